//! What rows are called.

use std::collections::HashMap;
use std::path::Path;

use ocelli_method::{Array, Data};

use crate::annotations::{filled_lines, npy, read_text};
use crate::error::DataError;

/// The names under which ids are looked for where the caller gives none.
pub(super) const ID_NAMES: [&str; 2] = ["id", "ids"];

/// An id for each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Whole numbers from 0 on.
    Numbers(Vec<u64>),
    /// Anything else, negative numbers included.
    Names(Vec<String>),
}

impl Ids {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(v) => v.len(),
            Self::Names(v) => v.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row's id as text.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn text(&self, row: usize) -> String {
        match self {
            Self::Numbers(v) => v[row].to_string(),
            Self::Names(v) => v[row].clone(),
        }
    }

    pub(super) fn into_names(self) -> Vec<String> {
        match self {
            Self::Numbers(v) => v.iter().map(u64::to_string).collect(),
            Self::Names(v) => v,
        }
    }

    /// The first row whose id an earlier row has, and that row.
    pub fn duplicate(&self) -> Option<(usize, usize)> {
        fn find<T: std::hash::Hash + Eq>(ids: &[T]) -> Option<(usize, usize)> {
            let mut rows = HashMap::with_capacity(ids.len());
            ids.iter().enumerate().find_map(|(row, id)| rows.insert(id, row).map(|first| (first, row)))
        }
        match self {
            Self::Numbers(v) => find(v),
            Self::Names(v) => find(v),
        }
    }

    /// Ids from text: numbers if all are written as such, without signs and leading zeros, names otherwise.
    pub fn from_texts(texts: Vec<String>) -> Self {
        let number = |text: &String| {
            let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            plain.then(|| text.parse().ok()).flatten()
        };
        match texts.iter().map(number).collect() {
            Some(numbers) => Self::Numbers(numbers),
            None => Self::Names(texts),
        }
    }

    /// Ids from whole numbers.
    pub fn from_integers(values: &[i64]) -> Self {
        match values.iter().map(|v| u64::try_from(*v).ok()).collect() {
            Some(numbers) => Self::Numbers(numbers),
            None => Self::Names(values.iter().map(i64::to_string).collect()),
        }
    }

    /// Ids from an array of one dimension, or of one column.
    pub(super) fn from_array(array: &Array) -> Result<Self, String> {
        let flat = matches!(array.shape(), [_] | [_, 1]);
        match array.data() {
            Data::I64(v) if flat => Ok(Self::from_integers(v)),
            Data::U8(v) if flat => Ok(Self::Numbers(v.iter().map(|x| u64::from(*x)).collect())),
            data => Err(format!("ids: whole numbers expected, found {} of {:?}", data.kind(), array.shape())),
        }
    }
}

/// Reads ids from a file of their own: `.npy` with whole numbers, or text with an id a line.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] when there is none or, in an array, anything but whole numbers.
pub fn read_ids(path: impl AsRef<Path>) -> Result<Ids, DataError> {
    let path = path.as_ref();
    let ids = if super::front::ending(path) == "npy" {
        Ids::from_array(&npy::read(path)?).map_err(|reason| DataError::content(path, reason))?
    } else {
        Ids::from_texts(filled_lines(&read_text(path)?).map(|(_, line)| line.to_owned()).collect())
    };
    if ids.is_empty() {
        return Err(DataError::content(path, "the file holds no id; an id a line is expected"));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_only_if_nothing_is_lost() {
        let ids = |texts: &[&str]| Ids::from_texts(texts.iter().map(|t| (*t).to_owned()).collect());
        assert_eq!(ids(&["0", "18446744073709551615"]), Ids::Numbers(vec![0, u64::MAX]));
        for text in ["007", "-1", "+1", "1.0", "cat", "18446744073709551616", ""] {
            assert_eq!(ids(&["1", text]), Ids::Names(vec!["1".into(), text.into()]));
        }
        assert_eq!(Ids::from_integers(&[3, -3]), Ids::Names(vec!["3".into(), "-3".into()]));
    }

    #[test]
    fn the_first_repetition_is_found() {
        assert_eq!(Ids::Numbers(vec![5, 6, 7, 6, 5]).duplicate(), Some((1, 3)));
        assert_eq!(Ids::Names(vec!["a".into(), "b".into()]).duplicate(), None);
    }

    #[test]
    fn files_of_ids_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.npy");
        npy::write(&path, &Array::integers([7, 9])).unwrap();
        assert_eq!(read_ids(&path).unwrap(), Ids::Numbers(vec![7, 9]));
        npy::write(&path, &Array::vector([7.0])).unwrap();
        assert!(read_ids(&path).unwrap_err().to_string().contains("ids.npy: ids: whole numbers expected"));
        let path = folder.path().join("ids.txt");
        std::fs::write(&path, "cat\n\n dog \n").unwrap();
        assert_eq!(read_ids(&path).unwrap(), Ids::Names(vec!["cat".into(), "dog".into()]));
        std::fs::write(&path, "\n").unwrap();
        assert!(read_ids(&path).is_err());
    }
}

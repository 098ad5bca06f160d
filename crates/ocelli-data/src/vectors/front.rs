//! The front door: the format by the file's ending.

use std::path::Path;
use std::str::FromStr;

use super::{Ids, VectorSet, delimited, hdf5, npz, parquet};
use crate::annotations::{npy, vecs};
use crate::error::DataError;

/// A column, by its name in the file or by its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// The name: of a column, a dataset, an array.
    Name(String),
    /// The column's number in a table, from 1.
    Position(usize),
}

impl FromStr for ColumnRef {
    type Err = std::convert::Infallible;

    /// A number from 1 on is a position, all else a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.parse() {
            Ok(position) if position > 0 => Self::Position(position),
            _ => Self::Name(text.to_owned()),
        })
    }
}

/// How a file is to be read; the default is to find out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Where the vectors are, in a file that may hold several: a dataset of an HDF5 file, an array of an `.npz`, a column of
    /// a Parquet file. Without it, the only one there is, or the one with the usual name.
    pub vectors: Option<String>,
    /// Where the ids are. Without it, what is called `id` or `ids`, if anything is.
    pub ids: Option<ColumnRef>,
    /// Columns of a table that belong to no vector, and are kept as metadata. Those of a Parquet file that can be nothing
    /// else need not be named.
    pub metadata: Vec<ColumnRef>,
    /// Whether a text table has a line of names first. Without it, it has one if no value of that line is a number.
    pub header: Option<bool>,
    /// What stands between the values of a text table; a space stands for any white space. Without it, the tab, the
    /// semicolon, the comma or the space: the first of them in the first line.
    pub delimiter: Option<u8>,
    /// Whether rows may share an id.
    pub allow_duplicate_ids: bool,
}

/// A path's ending in small letters.
pub(super) fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Reads vectors from a file, in the format of its ending.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] and [`DataError::Line`] for another ending, a damaged file, options that
/// fit no part of it, and all that [`VectorSet::check`] refuses; equal ids unless they are allowed.
pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<VectorSet, DataError> {
    let path = path.as_ref();
    let fail = |reason: String| DataError::content(path, reason);
    let set = match ending(path).as_str() {
        "npy" => VectorSet::from_array(npy::read(path)?).map_err(fail)?,
        "fvecs" | "ivecs" | "bvecs" => VectorSet::from_array(vecs::read(path)?).map_err(fail)?,
        "npz" => npz::read_set(path, options)?,
        "csv" | "tsv" | "txt" => delimited::read(path, options)?,
        "h5" | "hdf5" => hdf5::read_set(path, options)?,
        "parquet" => parquet::read_set(path, options)?,
        other => return Err(fail(unknown(other))),
    };
    if set.ids.is_none() && options.ids.is_some() {
        return Err(fail("this format holds no ids; keep them in a file of their own".into()));
    }
    set.check().map_err(fail)?;
    if let Some((first, second)) =
        set.ids.as_ref().filter(|_| !options.allow_duplicate_ids).and_then(Ids::duplicate)
    {
        let id = set.ids.as_ref().map(|ids| ids.text(first)).unwrap_or_default();
        return Err(fail(format!("rows {first} and {second} (counted from 0) have the same id `{id}`")));
    }
    Ok(set)
}

fn unknown(ending: &str) -> String {
    format!(
        "vectors are read and written as .fvecs, .ivecs, .bvecs, .npy, .npz, .csv, .tsv, .txt, .h5, .hdf5 and .parquet, \
         not as `.{ending}`"
    )
}

/// Writes vectors to a file, in the format of its ending, wholly or not at all.
///
/// # Errors
/// [`DataError::Content`] for another ending, a set that [`VectorSet::check`] refuses, and ids or metadata that the
/// format has no room for; [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, set: &VectorSet) -> Result<(), DataError> {
    let path = path.as_ref();
    let fail = |reason: String| DataError::content(path, reason);
    set.check().map_err(fail)?;
    let ending = ending(path);
    let (ids, metadata) = match ending.as_str() {
        "npy" | "fvecs" | "ivecs" | "bvecs" => (false, false),
        "npz" | "h5" | "hdf5" => (true, false),
        _ => (true, true),
    };
    if set.ids.is_some() && !ids {
        return Err(fail(format!(
            "`.{ending}` has no room for ids; write another format, or leave them out"
        )));
    }
    if !set.metadata.is_empty() && !metadata {
        return Err(fail(format!(
            "`.{ending}` has no room for metadata; write another format, or leave it out"
        )));
    }
    match ending.as_str() {
        "npy" | "fvecs" => {
            let array = set.to_array().map_err(fail)?;
            if ending == "npy" { npy::write(path, &array) } else { vecs::write(path, &array) }
        }
        "npz" => npz::write_set(path, set),
        "csv" | "tsv" | "txt" => delimited::write(path, set),
        "h5" | "hdf5" => hdf5::write_set(path, set),
        "parquet" => parquet::write(path, set),
        "ivecs" | "bvecs" => Err(fail("vectors of single precision are written as .fvecs".into())),
        other => Err(fail(unknown(other))),
    }
}

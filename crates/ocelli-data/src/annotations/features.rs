//! Features of videos: a folder with a file a video, each a table with a row for every snippet.
//!
//! | ending | what |
//! |---|---|
//! | `.csv` | numbers separated by commas; a first line that holds names is passed over |
//! | `.npy` | a NumPy array of two dimensions |
//!
//! The files of ActivityNet are called `v_<video>.csv`; annotations and results name videos with that `v_` or without it,
//! so names are compared by [`plain_name`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::annotations::{npy, read_text};
use crate::error::DataError;

/// A table of features, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureTable {
    /// Rows: snippets.
    pub rows: usize,
    /// Columns: features of a snippet.
    pub columns: usize,
    /// The numbers; not looked at yet, they may hold NaN.
    pub values: Vec<f32>,
}

/// The name of a video without the `v_` that file names begin with.
pub fn plain_name(name: &str) -> &str {
    name.strip_prefix("v_").unwrap_or(name)
}

/// The feature files of a folder by the plain names of their videos.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] when the folder has no feature file, or two for one video.
pub fn list(folder: impl AsRef<Path>) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let folder = folder.as_ref();
    let fault = |source| DataError::read(folder, source);
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let known = path.extension().is_some_and(|ending| ending == "csv" || ending == "npy");
        let Some(stem) = path.file_stem().and_then(|s| s.to_str()).filter(|_| known) else { continue };
        if let Some(other) = files.insert(plain_name(stem).to_owned(), path.clone()) {
            let names = [&other, &path].map(|p| p.file_name().unwrap_or_default().to_string_lossy());
            let reason = format!("{} and {} are of one video; remove one of them", names[0], names[1]);
            return Err(DataError::content(folder, reason));
        }
    }
    match files.is_empty() {
        true => Err(DataError::content(folder, "no .csv and no .npy file of features is in this folder")),
        false => Ok(files),
    }
}

/// Reads a feature file.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] naming the line of a table that is ragged or holds no number;
/// [`DataError::Content`] for a file without rows, or of an unknown kind.
pub fn read(path: impl AsRef<Path>) -> Result<FeatureTable, DataError> {
    let path = path.as_ref();
    let table = match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => read_csv(path)?,
        Some("npy") => read_npy(path)?,
        _ => return Err(DataError::content(path, "features are read from .csv and .npy files")),
    };
    match table.values.is_empty() {
        true => Err(DataError::content(path, "the video has no features: the table is empty")),
        false => Ok(table),
    }
}

fn read_npy(path: &Path) -> Result<FeatureTable, DataError> {
    let array = npy::read(path)?;
    let dims = array.dims::<2>();
    let [rows, columns] = dims.map_err(|_| {
        DataError::content(path, format!("a table is expected, found shape {:?}", array.shape()))
    })?;
    Ok(FeatureTable { rows, columns, values: array.to_f32() })
}

fn read_csv(path: &Path) -> Result<FeatureTable, DataError> {
    let text = read_text(path)?;
    let mut table = FeatureTable { rows: 0, columns: 0, values: Vec::new() };
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let names = index == 0 && line.split(',').all(|cell| cell.trim().parse::<f32>().is_err());
        if names {
            continue;
        }
        let before = table.values.len();
        for cell in line.split(',') {
            let value = cell.trim().parse::<f32>();
            let value = value.map_err(|_| {
                DataError::line(path, index + 1, format!("a number expected, found `{}`", cell.trim()))
            })?;
            table.values.push(value);
        }
        let found = table.values.len() - before;
        if table.rows > 0 && found != table.columns {
            let reason = format!("{found} numbers, the lines before have {}", table.columns);
            return Err(DataError::line(path, index + 1, reason));
        }
        table.columns = found;
        table.rows += 1;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_method::Array;
    use proptest::prelude::*;

    fn file(folder: &Path, name: &str, content: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn tables_are_read_with_names_and_without() {
        let folder = tempfile::tempdir().unwrap();
        let want = FeatureTable { rows: 2, columns: 3, values: vec![1.0, 2.5, -3.0, 0.0, 1e-3, 7.0] };
        for (name, head) in [("a.csv", "f0,f1,f2\n"), ("b.csv", "")] {
            let path = file(folder.path(), name, &format!("{head}1,2.5, -3\n0,1e-3,7\n\n"));
            assert_eq!(read(path).unwrap(), want);
        }
        let path = folder.path().join("c.npy");
        npy::write(&path, &Array::f32([2, 3], want.values.clone()).unwrap()).unwrap();
        assert_eq!(read(path).unwrap(), want);
    }

    #[test]
    fn bad_tables_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        for (content, said) in [
            ("f0,f1\n1,2\n3\n", "bad.csv:3: 1 numbers, the lines before have 2"),
            ("1,2\n3,x\n", "bad.csv:2: a number expected, found `x`"),
            ("f0,f1\n", "the table is empty"),
            ("", "the table is empty"),
        ] {
            let message = read(file(folder.path(), "bad.csv", content)).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
        let path = folder.path().join("flat.npy");
        npy::write(&path, &Array::vector([1.0])).unwrap();
        assert!(read(path).unwrap_err().to_string().contains("a table is expected, found shape [1]"));
        assert!(read(folder.path().join("a.txt")).unwrap_err().to_string().contains(".csv and .npy"));
    }

    #[test]
    fn folders_list_videos_by_their_plain_names() {
        let folder = tempfile::tempdir().unwrap();
        assert!(list(folder.path()).unwrap_err().to_string().contains("no .csv and no .npy"));
        file(folder.path(), "v_one.csv", "1\n");
        file(folder.path(), "two.npy", "");
        file(folder.path(), "note.txt", "");
        assert_eq!(list(folder.path()).unwrap().into_keys().collect::<Vec<_>>(), ["one", "two"]);
        file(folder.path(), "one.csv", "1\n");
        assert!(list(folder.path()).unwrap_err().to_string().contains("are of one video"));
    }

    proptest! {
        /// Whatever a file holds, reading ends in a table or an error.
        #[test]
        fn any_text_is_survived(text in "[-0-9,.eEa\n ]{0,200}") {
            let folder = tempfile::tempdir().unwrap();
            if let Ok(table) = read(file(folder.path(), "x.csv", &text)) {
                prop_assert_eq!(table.values.len(), table.rows * table.columns);
            }
        }
    }
}

//! Features of videos: a folder with a file a video, or one HDF5 file with a dataset a video; each a table with a row for
//! every snippet.
//!
//! | ending | what |
//! |---|---|
//! | `.csv` | numbers separated by commas; a first line that holds names is passed over |
//! | `.npy` | a NumPy array of two dimensions |
//! | `.npz` | its only array, the one called `features`, or `rgb` and `flow` side by side |
//! | `.h5`, `.hdf5` | in a folder: its only dataset; by itself: a dataset, or a group with one, for each video |
//!
//! The files of ActivityNet are called `v_<video>.csv`; annotations and results name videos with that `v_` or without it,
//! so names are compared by [`plain_name`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ocelli_method::Array;

use crate::annotations::{npy, read_text};
use crate::error::DataError;
use crate::vectors::hdf5::Hdf5;
use crate::vectors::npz;

/// What feature files may be called, in words.
const KINDS: &str = ".csv, .npy, .npz, .h5 and .hdf5";

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

/// Where the features of a video lie.
#[derive(Clone)]
pub struct FeatureFile {
    path: PathBuf,
    /// The dataset, where a file holds several videos.
    dataset: Option<(Arc<Hdf5>, String)>,
}

impl FeatureFile {
    /// Reads the table.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&self) -> Result<FeatureTable, DataError> {
        match &self.dataset {
            Some((file, name)) => Ok(of_set(file.features(name)?)),
            None => read(&self.path),
        }
    }
}

impl fmt::Debug for FeatureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeatureFile({self})")
    }
}

impl fmt::Display for FeatureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.dataset {
            Some((_, name)) => write!(f, ": {name}"),
            None => Ok(()),
        }
    }
}

/// The feature files of a folder, or the datasets of an HDF5 file, by the plain names of their videos.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] when there are none, or two for one video.
pub fn list(source: impl AsRef<Path>) -> Result<BTreeMap<String, FeatureFile>, DataError> {
    let source = source.as_ref();
    if source.is_file() && is_hdf5(source) {
        return datasets(source);
    }
    let fault = |error| DataError::read(source, error);
    let mut files: BTreeMap<String, FeatureFile> = BTreeMap::new();
    for entry in std::fs::read_dir(source).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let known = matches!(ending, Some("csv" | "npy" | "npz")) || is_hdf5(&path);
        let Some(stem) = path.file_stem().and_then(|s| s.to_str()).filter(|_| known) else { continue };
        let name = plain_name(stem).to_owned();
        let file = FeatureFile { path: path.clone(), dataset: None };
        if let Some(other) = files.insert(name, file) {
            let names = [&other.path, &path].map(|p| p.file_name().unwrap_or_default().to_string_lossy());
            let reason = format!("{} and {} are of one video; remove one of them", names[0], names[1]);
            return Err(DataError::content(source, reason));
        }
    }
    match files.is_empty() {
        true => Err(DataError::content(source, format!("no file of features ({KINDS}) is in this folder"))),
        false => Ok(files),
    }
}

fn is_hdf5(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "h5" || ending == "hdf5")
}

fn datasets(path: &Path) -> Result<BTreeMap<String, FeatureFile>, DataError> {
    let file = Arc::new(Hdf5::open(path)?);
    let mut videos: BTreeMap<String, FeatureFile> = BTreeMap::new();
    for dataset in file.datasets()? {
        // A group a video: its name is the video's.
        let inside = dataset.name.trim_start_matches('/');
        let video = inside.split('/').next().unwrap_or(inside);
        let own = FeatureFile { path: path.to_owned(), dataset: Some((Arc::clone(&file), video.to_owned())) };
        videos.insert(plain_name(video).to_owned(), own);
    }
    match videos.is_empty() {
        true => Err(DataError::content(path, "there is no dataset in this file")),
        false => Ok(videos),
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
        Some("npy") => table(path, &npy::read(path)?)?,
        Some("npz") => read_npz(path)?,
        _ if is_hdf5(path) => read_hdf5(path)?,
        _ => return Err(DataError::content(path, format!("features are read from {KINDS} files"))),
    };
    match table.values.is_empty() {
        true => Err(DataError::content(path, "the video has no features: the table is empty")),
        false => Ok(table),
    }
}

fn of_set(set: crate::vectors::VectorSet) -> FeatureTable {
    FeatureTable { rows: set.len(), columns: set.dim, values: set.rows }
}

fn read_hdf5(path: &Path) -> Result<FeatureTable, DataError> {
    let file = Hdf5::open(path)?;
    match &file.datasets()?[..] {
        [only] => table(path, &file.read(&only.name)?),
        all => Err(DataError::content(path, format!("one dataset is expected, found {}", all.len()))),
    }
}

fn read_npz(path: &Path) -> Result<FeatureTable, DataError> {
    let arrays = npz::read(path)?;
    let named = |name: &str| arrays.iter().find(|(own, _)| own == name).map(|(_, array)| array);
    let only = if let [(_, only)] = &arrays[..] { Some(only) } else { named("features") };
    if let Some(array) = only {
        return table(path, array);
    }
    let (Some(rgb), Some(flow)) = (named("rgb"), named("flow")) else {
        let names = arrays.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let reason = format!("one array, `features`, or `rgb` and `flow` are expected, found {names}");
        return Err(DataError::content(path, reason));
    };
    let (rgb, flow) = (table(path, rgb)?, table(path, flow)?);
    if rgb.rows != flow.rows {
        let reason = format!("`rgb` has {} rows, `flow` {}", rgb.rows, flow.rows);
        return Err(DataError::content(path, reason));
    }
    let rows = rgb.values.chunks(rgb.columns.max(1)).zip(flow.values.chunks(flow.columns.max(1)));
    let values = rows.flat_map(|(rgb, flow)| rgb.iter().chain(flow)).copied().collect();
    Ok(FeatureTable { rows: rgb.rows, columns: rgb.columns + flow.columns, values })
}

fn table(path: &Path, array: &Array) -> Result<FeatureTable, DataError> {
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
    use crate::vectors::hdf5;
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
    fn archives_and_hdf5_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let (rgb, flow) =
            (Array::f32([2, 1], vec![1.0, 3.0]).unwrap(), Array::f32([2, 2], vec![5.0; 4]).unwrap());
        let path = |name: &str| folder.path().join(name);
        npz::write(path("a.npz"), &[("flow", &flow), ("rgb", &rgb)]).unwrap();
        let both = FeatureTable { rows: 2, columns: 3, values: vec![1.0, 5.0, 5.0, 3.0, 5.0, 5.0] };
        assert_eq!(read(path("a.npz")).unwrap(), both);
        npz::write(path("b.npz"), &[("x", &flow)]).unwrap();
        assert_eq!(read(path("b.npz")).unwrap().columns, 2);
        npz::write(path("c.npz"), &[("x", &flow), ("y", &rgb)]).unwrap();
        assert!(read(path("c.npz")).unwrap_err().to_string().contains("found x, y"));
        hdf5::write(path("d.h5"), &[("x", &rgb)], &[]).unwrap();
        assert_eq!(read(path("d.h5")).unwrap().values, [1.0, 3.0]);

        let all = path("all.h5");
        hdf5::write(&all, &[("v_one", &rgb), ("two", &flow)], &[]).unwrap();
        let videos = list(&all).unwrap();
        assert_eq!(videos.keys().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(videos["one"].read().unwrap().values, [1.0, 3.0]);
        assert!(videos["two"].to_string().ends_with("all.h5: two"));
        assert!(read(&all).unwrap_err().to_string().contains("found 2"));
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
        assert!(read(folder.path().join("a.txt")).unwrap_err().to_string().contains(".csv, .npy, .npz"));
    }

    #[test]
    fn folders_list_videos_by_their_plain_names() {
        let folder = tempfile::tempdir().unwrap();
        assert!(list(folder.path()).unwrap_err().to_string().contains("no file of features"));
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

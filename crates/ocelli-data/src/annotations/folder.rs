//! A folder an identity (or class), pictures in it: the simplest of all data sets.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use crate::dataset::PictureFiles;
use crate::error::DataError;
use crate::image::Preparation;

/// Folders in folders are followed this deep; links in a circle end there.
const DEEPEST: usize = 8;

/// Pictures in one folder an identity.
///
/// Identities are numbered in byte order of their folders' names, as torchvision's `ImageFolder` numbers classes; files
/// follow in natural order (`2.pgm` before `10.pgm`). Hidden files, files beside the folders, and files that do not end
/// like a picture (jpg, jpeg, png, pgm, ppm, pbm, pnm, gif, bmp, webp) are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderDataset {
    /// The folder that holds the identities' folders.
    pub root: PathBuf,
    /// Names of the identities; the label is the index.
    pub identities: Vec<String>,
    /// All picture files, identity by identity.
    pub files: Vec<PathBuf>,
    /// The identity of each file.
    pub labels: Vec<usize>,
}

impl FolderDataset {
    /// Lists the folder; no picture is opened.
    ///
    /// # Errors
    /// [`DataError::Read`] when a folder cannot be listed, [`DataError::Content`] when there is no identity, or an
    /// identity without pictures.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, DataError> {
        let root = root.as_ref();
        let mut folders: Vec<PathBuf> = entries(root)?.into_iter().filter(|path| path.is_dir()).collect();
        folders.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        let mut found =
            Self { root: root.to_owned(), identities: Vec::new(), files: Vec::new(), labels: Vec::new() };
        for folder in folders {
            let mut files = Vec::new();
            collect(&folder, DEEPEST, &mut files)?;
            if files.is_empty() {
                return Err(DataError::content(&folder, "holds no picture; remove the folder or fill it"));
            }
            files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
            let label = found.identities.len();
            found.identities.push(file_name(&folder));
            found.labels.resize(found.labels.len() + files.len(), label);
            found.files.append(&mut files);
        }
        if found.identities.is_empty() {
            return Err(DataError::content(root, "holds no folders; one folder an identity is expected"));
        }
        Ok(found)
    }

    /// Fails unless there are at least `least` identities: with one there is nothing to tell apart.
    ///
    /// # Errors
    /// [`DataError::Content`].
    pub fn require_identities(&self, least: usize) -> Result<(), DataError> {
        let found = self.identities.len();
        if found < least {
            let reason = format!("at least {least} identities (folders) are needed, found {found}");
            return Err(DataError::content(&self.root, reason));
        }
        Ok(())
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Only these identities (by label), renumbered from 0 in the given order.
    ///
    /// # Errors
    /// [`DataError::Setting`] when an identity is unknown or given twice.
    pub fn subset(&self, identities: &[usize]) -> Result<Self, DataError> {
        let mut new_label = vec![None; self.identities.len()];
        for (label, &identity) in identities.iter().enumerate() {
            match new_label.get_mut(identity) {
                Some(slot @ None) => *slot = Some(label),
                _ => {
                    return Err(DataError::setting(
                        "identities",
                        format!("{identity} is unknown or given twice"),
                    ));
                }
            }
        }
        let mut chosen: Vec<(usize, PathBuf)> = self
            .labels
            .iter()
            .zip(&self.files)
            .filter_map(|(&label, file)| new_label[label].map(|label| (label, file.clone())))
            .collect();
        chosen.sort_by_key(|(label, _)| *label);
        let (labels, files) = chosen.into_iter().unzip();
        let identities = identities.iter().map(|&i| self.identities[i].clone()).collect();
        Ok(Self { root: self.root.clone(), identities, files, labels })
    }

    /// The pictures as a data set.
    pub fn into_files(self, preparation: Preparation) -> PictureFiles {
        PictureFiles::paired(self.files, self.labels, preparation)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What a folder holds, hidden entries left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = |source| DataError::read(folder, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    for path in entries(folder)? {
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, files)?;
            }
        } else if has_picture_ending(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn has_picture_ending(path: &Path) -> bool {
    const ENDINGS: [&str; 10] = ["jpg", "jpeg", "png", "pgm", "ppm", "pbm", "pnm", "gif", "bmp", "webp"];
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    ENDINGS.contains(&ending.as_str())
}

/// Compares texts with runs of digits as numbers; texts equal in that are told apart byte by byte.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a.as_bytes(), b.as_bytes());
    while let (Some(&first_a), Some(&first_b)) = (rest_a.first(), rest_b.first()) {
        let order = if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (number_a, number_b) = (take_number(&mut rest_a), take_number(&mut rest_b));
            number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b))
        } else {
            (rest_a, rest_b) = (&rest_a[1..], &rest_b[1..]);
            first_a.cmp(&first_b)
        };
        if order.is_ne() {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Splits the leading digits off; zeros in front do not count.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    &digits[digits.iter().position(|&b| b != b'0').unwrap_or(digits.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn touch(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    #[test]
    fn identities_are_sorted_and_files_in_natural_order() {
        let folder = tempfile::tempdir().unwrap();
        touch(
            folder.path(),
            &[
                "s2/10.pgm",
                "s2/2.pgm",
                "s2/.hidden.pgm",
                "s2/notes.txt",
                "s10/a/1.JPG",
                "s10/b.png",
                "readme.md",
                ".git/x.png",
            ],
        );
        let found = FolderDataset::open(folder.path()).unwrap();
        assert_eq!(found.identities, ["s10", "s2"]);
        assert_eq!(found.labels, [0, 0, 1, 1]);
        let names: Vec<_> = found
            .files
            .iter()
            .map(|f| f.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["s10/a/1.JPG", "s10/b.png", "s2/2.pgm", "s2/10.pgm"]);
        found.require_identities(2).unwrap();
        let message = found.require_identities(3).unwrap_err().to_string();
        assert!(message.contains("at least 3 identities (folders) are needed, found 2"), "{message}");
    }

    #[test]
    fn a_subset_is_renumbered() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["a/1.png", "b/1.png", "b/2.png", "c/1.png"]);
        let found = FolderDataset::open(folder.path()).unwrap();
        let part = found.subset(&[2, 1]).unwrap();
        assert_eq!((part.identities, part.labels), (vec!["c".to_owned(), "b".to_owned()], vec![0, 1, 1]));
        assert!(part.files[0].ends_with("c/1.png"));
        assert!(found.subset(&[3]).is_err());
        assert!(found.subset(&[1, 1]).is_err());
    }

    #[test]
    fn missing_and_empty_folders_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = FolderDataset::open(folder.path().join("absent")).unwrap_err().to_string();
        assert!(message.contains("absent"), "{message}");
        let message = FolderDataset::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("no folders"), "{message}");
        touch(folder.path(), &["a/1.png", "lonely/notes.txt"]);
        let message = FolderDataset::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("lonely") && message.contains("no picture"), "{message}");
        assert!(FolderDataset::open(folder.path().join("a/1.png")).is_err());
    }

    #[test]
    fn natural_order_reads_numbers() {
        let mut names = [
            "x10",
            "x9",
            "x010",
            "X1",
            "x",
            "x9a",
            "x9.png",
            "10",
            "9",
            "a99999999999999999999",
            "a100000000000000000000",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "9",
                "10",
                "X1",
                "a99999999999999999999",
                "a100000000000000000000",
                "x",
                "x9",
                "x9.png",
                "x9a",
                "x010",
                "x10"
            ]
        );
    }

    proptest! {
        #[test]
        fn natural_order_is_an_order(a in "[0-9a-b.]{0,6}", b in "[0-9a-b.]{0,6}", c in "[0-9a-b.]{0,6}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b).is_eq(), a == b);
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                prop_assert!(natural(&a, &c).is_le());
            }
        }
    }
}

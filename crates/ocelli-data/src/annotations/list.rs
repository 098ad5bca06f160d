//! Picture lists: one `relative/path label` a line.

use std::path::{Path, PathBuf};

use super::{filled_lines, number, read_text};
use crate::dataset::PictureFiles;
use crate::error::DataError;
use crate::image::Preparation;

/// Labels beyond this are taken for damage: a classifier's weights would not fit into any memory.
const LARGEST_LABEL: usize = 1 << 30;

/// Picture files and their labels, as a list file gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageList {
    /// The files, joined to the root.
    pub files: Vec<PathBuf>,
    /// The label of each file.
    pub labels: Vec<usize>,
}

impl ImageList {
    /// Reads a list: a path and a label a line, separated by white space. The path may itself hold blanks and is taken
    /// relative to `root`. Empty lines are skipped. No picture is opened.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Line`] names the first line that is not so; [`DataError::Content`] when there
    /// is no line.
    pub fn read(list: impl AsRef<Path>, root: impl AsRef<Path>) -> Result<Self, DataError> {
        let (list, root) = (list.as_ref(), root.as_ref());
        let (mut files, mut labels) = (Vec::new(), Vec::new());
        for (line, text) in filled_lines(&read_text(list)?) {
            let (path, label) = text.rsplit_once(char::is_whitespace).ok_or_else(|| {
                DataError::line(list, line, format!("`path label` expected, found `{text}`"))
            })?;
            let label = number(list, line, "a label (whole number from 0)", label)?;
            if label > LARGEST_LABEL {
                return Err(DataError::line(list, line, format!("label {label} is beyond {LARGEST_LABEL}")));
            }
            files.push(root.join(path.trim_end()));
            labels.push(label);
        }
        if files.is_empty() {
            return Err(DataError::content(list, "the list is empty; one `path label` a line is expected"));
        }
        Ok(Self { files, labels })
    }

    /// One more than the largest label.
    pub fn classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |largest| largest + 1)
    }

    /// The pictures as a data set.
    pub fn into_files(self, preparation: Preparation) -> PictureFiles {
        PictureFiles::paired(self.files, self.labels, preparation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<ImageList, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.txt");
        std::fs::write(&path, text).unwrap();
        ImageList::read(path, "faces")
    }

    #[test]
    fn paths_are_joined_and_may_hold_blanks() {
        let list = read("\u{feff}a/1.jpg 0\r\n\nb/two words.jpg\t3\n  c.jpg   1  \n").unwrap();
        assert_eq!(list.files, ["faces/a/1.jpg", "faces/b/two words.jpg", "faces/c.jpg"].map(PathBuf::from));
        assert_eq!((list.labels.as_slice(), list.classes()), ([0, 3, 1].as_slice(), 4));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, wanted) in [
            ("a.jpg 0\nb.jpg", "train.txt:2: `path label` expected, found `b.jpg`"),
            ("a.jpg 0\n\nb.jpg x", "train.txt:3: a label (whole number from 0) expected, found `x`"),
            ("a.jpg -1", "train.txt:1: a label"),
            ("a.jpg 99999999999", "train.txt:1: label 99999999999 is beyond"),
            ("a.jpg 99999999999999999999999", "train.txt:1: a label"),
            (" \n", "the list is empty"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
        assert!(read(b"a.jpg 0\n\xff\xfe").unwrap_err().to_string().contains("after byte 8"));
        assert!(ImageList::read("/absent/list", ".").is_err());
    }
}

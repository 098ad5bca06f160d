//! LFW's pair lists: which two pictures to compare, and whether they show the same person.

use std::path::{Path, PathBuf};

use super::{filled_lines, number, read_text};
use crate::error::DataError;

/// Two pictures to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacePair {
    /// The first picture.
    pub left: PathBuf,
    /// The second picture.
    pub right: PathBuf,
    /// Whether both show the same person.
    pub same: bool,
    /// The fold of cross-validation, from 0.
    pub fold: usize,
}

/// A list of pairs, fold by fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairList {
    /// The pairs in file order.
    pub pairs: Vec<FacePair>,
    /// Number of folds; 1 where the file knows none.
    pub folds: usize,
}

impl PairList {
    /// Reads `pairs.txt`.
    ///
    /// A genuine pair is `name n1 n2`, an impostor pair `name1 n1 name2 n2`; picture `n` of a name is
    /// `root/name/name_000n.ending`. The official header `10 300` says that in each of 10 folds 300 genuine pairs are
    /// followed by 300 impostor pairs; the header `1100` of the development lists is a single such fold; without a header
    /// all pairs are of one fold.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Line`] names the first line that is not so; [`DataError::Content`] when the
    /// number of pairs is not the header's.
    pub fn read(path: impl AsRef<Path>, root: impl AsRef<Path>, ending: &str) -> Result<Self, DataError> {
        let (path, root) = (path.as_ref(), root.as_ref());
        let text = read_text(path)?;
        let mut lines = filled_lines(&text).peekable();
        let header = match lines.peek() {
            Some(&(line, text)) => header(path, line, text)?,
            None => return Err(DataError::content(path, "the list of pairs is empty")),
        };
        if header.is_some() {
            lines.next();
        }
        let mut pairs = Vec::new();
        for (line, text) in lines {
            let mut pair = pair(path, line, text, root, ending)?;
            if let Some((folds, each)) = header {
                pair.fold = pairs.len() / (2 * each);
                let same = pairs.len() % (2 * each) < each;
                if pair.fold < folds && pair.same != same {
                    let wanted = if same { "a genuine" } else { "an impostor" };
                    let reason = format!("{wanted} pair is due by the header's count, found `{text}`");
                    return Err(DataError::line(path, line, reason));
                }
            }
            pairs.push(pair);
        }
        let (folds, each) = header.unwrap_or((1, 0));
        let wanted = folds.checked_mul(2 * each);
        if header.is_some() && wanted != Some(pairs.len()) {
            let reason =
                format!("the header promises {folds} folds of {each} + {each} pairs, found {}", pairs.len());
            return Err(DataError::content(path, reason));
        }
        Ok(Self { pairs, folds })
    }
}

/// Folds, and pairs of each kind in a fold, if this is a header: one or two numbers.
fn header(path: &Path, line: usize, text: &str) -> Result<Option<(usize, usize)>, DataError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (folds, each) = match fields[..] {
        [each] => (1, number(path, line, "a number of pairs", each)?),
        [folds, each] => {
            (number(path, line, "a number of folds", folds)?, number(path, line, "a number of pairs", each)?)
        }
        _ => return Ok(None),
    };
    // Also keeps twice the number of pairs from overflowing.
    if folds == 0 || each == 0 || each > usize::MAX / 2 {
        return Err(DataError::line(path, line, format!("`{text}` is no number of folds and pairs")));
    }
    Ok(Some((folds, each)))
}

fn pair(path: &Path, line: usize, text: &str, root: &Path, ending: &str) -> Result<FacePair, DataError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (left_name, left, right_name, right, same) = match fields[..] {
        [name, left, right] => (name, left, name, right, true),
        [left_name, left, right_name, right] => (left_name, left, right_name, right, false),
        _ => {
            let reason = format!("`name n1 n2` or `name1 n1 name2 n2` expected, found `{text}`");
            return Err(DataError::line(path, line, reason));
        }
    };
    let picture = |name: &str, index: &str| -> Result<PathBuf, DataError> {
        let index: u32 = number(path, line, "a picture's number", index)?;
        Ok(root.join(name).join(format!("{name}_{index:04}.{ending}")))
    };
    Ok(FacePair { left: picture(left_name, left)?, right: picture(right_name, right)?, same, fold: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PairList, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.txt");
        std::fs::write(&path, text).unwrap();
        PairList::read(path, "lfw", "jpg")
    }

    #[test]
    fn the_official_form_has_folds() {
        let list = read("2\t1\nAda_L\t1\t12\nAda_L\t2\tBob_M\t3\nCy\t1\t2\nCy\t1\tBob_M\t1\n").unwrap();
        assert_eq!(list.folds, 2);
        let flags: Vec<_> = list.pairs.iter().map(|p| (p.same, p.fold)).collect();
        assert_eq!(flags, [(true, 0), (false, 0), (true, 1), (false, 1)]);
        assert_eq!(list.pairs[0].right, Path::new("lfw/Ada_L/Ada_L_0012.jpg"));
        assert_eq!(list.pairs[1].right, Path::new("lfw/Bob_M/Bob_M_0003.jpg"));
    }

    #[test]
    fn headerless_and_development_lists_are_one_fold() {
        let list = read("A 1 B 2\nA 1 2\n").unwrap();
        assert_eq!((list.folds, list.pairs[1].same, list.pairs[1].fold), (1, true, 0));
        let list = read("1\nA 1 2\nA 1 B 2\n").unwrap();
        assert_eq!((list.folds, list.pairs.len()), (1, 2));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, wanted) in [
            ("", "the list of pairs is empty"),
            ("10 300\nA 1 2\n", "promises 10 folds of 300 + 300 pairs, found 1"),
            ("1 1\nA 1 B 2\nA 1 2\n", "pairs.txt:2: a genuine pair is due"),
            ("1 1\nA 1 2\nA 1 3\n", "pairs.txt:3: an impostor pair is due"),
            ("1 1\nA 1 2\nA 1 B 3\nA 1 2\n", "found 3"),
            ("A 1 2\nA one 2\n", "pairs.txt:2: a picture's number expected, found `one`"),
            ("A 1 2\nA 1\n", "pairs.txt:2: `name n1 n2`"),
            ("0 300\n", "pairs.txt:1: `0 300`"),
            ("18446744073709551615 9223372036854775807\nA 1 2\n", "found 1"),
            ("A B\n", "pairs.txt:1: a number of folds"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{text:?}: {message}");
        }
    }
}

//! Liveness lists: scores of pictures, and whether they show an attack.
//!
//! Scores are text, a line a picture: `name score`, or `score` alone. Labels are text lines `name label [type]`, or
//! `label [type]`, label 1 for an attack and 0 for a live person; or CelebA-Spoof's JSON, an object from a picture's path
//! to 44 integers of which number 40 is the type of attack and number 43 the label.

use std::path::Path;

use serde_json::Value;

use super::{filled_lines, number, read_text};
use crate::error::DataError;
use crate::image::write_atomically;

/// A picture's score.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The picture; empty when the file names none.
    pub name: String,
    /// Its score.
    pub score: f64,
}

/// A picture's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The picture; empty when the file names none.
    pub name: String,
    /// The type of the attack, 0 when the file tells none; `None` for a live person.
    pub attack: Option<i64>,
}

/// Where CelebA-Spoof's 44 integers say what.
const TYPE: usize = 40;
const LABEL: usize = 43;

/// Reads scores.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] names the first line that is not so; [`DataError::Content`] when there is
/// none.
pub fn read_scores(path: impl AsRef<Path>) -> Result<Vec<Scored>, DataError> {
    let path = path.as_ref();
    rows(path, |line, fields| {
        let (name, score) = match fields {
            [score] => ("", score),
            [name, score] => (*name, score),
            _ => return Err(DataError::line(path, line, "`name score` or `score` is expected")),
        };
        let score: f64 = number(path, line, "a score", score)?;
        if !score.is_finite() {
            return Err(DataError::line(path, line, format!("a finite score expected, found `{score}`")));
        }
        Ok(Scored { name: name.to_owned(), score })
    })
}

/// Writes scores.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_scores(path: impl AsRef<Path>, scores: &[Scored]) -> Result<(), DataError> {
    let line = |s: &Scored| format!("{} {}\n", s.name, s.score).trim_start().to_owned();
    write_atomically(path, scores.iter().map(line).collect::<String>().as_bytes())
}

/// Reads labels: JSON where the file begins with a brace, text otherwise.
///
/// # Errors
/// As [`read_scores`]; [`DataError::Content`] names the picture whose JSON entry is not so.
pub fn read_labels(path: impl AsRef<Path>) -> Result<Vec<Labelled>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    if text.trim_start().starts_with('{') {
        return celeba_spoof(path, &text);
    }
    rows(path, |line, fields| {
        let (name, label, kind) = match *fields {
            [label] => ("", label, "0"),
            [label, kind] if matches!(label, "0" | "1") => ("", label, kind),
            [name, label] => (name, label, "0"),
            [name, label, kind] => (name, label, kind),
            _ => {
                return Err(DataError::line(path, line, "`name label [type]` or `label [type]` is expected"));
            }
        };
        let attack = match label {
            "0" => None,
            "1" => Some(number(path, line, "a type's number", kind)?),
            _ => return Err(DataError::line(path, line, format!("label 0 or 1 expected, found `{label}`"))),
        };
        Ok(Labelled { name: name.to_owned(), attack })
    })
}

/// Writes labels as text.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_labels(path: impl AsRef<Path>, labels: &[Labelled]) -> Result<(), DataError> {
    let line = |l: &Labelled| {
        let label = l.attack.map_or("0 0".to_owned(), |kind| format!("1 {kind}"));
        format!("{} {label}\n", l.name).trim_start().to_owned()
    };
    write_atomically(path, labels.iter().map(line).collect::<String>().as_bytes())
}

fn celeba_spoof(path: &Path, text: &str) -> Result<Vec<Labelled>, DataError> {
    let table: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|e| DataError::content(path, e.to_string()))?;
    let labelled = |(name, entry): (String, Value)| {
        let at = |i: usize| entry.get(i).and_then(Value::as_i64);
        let attack = match (at(LABEL), at(TYPE)) {
            (Some(0), _) => Some(None),
            (Some(1), Some(kind)) => Some(Some(kind)),
            _ => None,
        };
        let reason = || format!("`{name}`: 44 integers are expected, number 43 of them 0 or 1");
        let attack = attack.ok_or_else(|| DataError::content(path, reason()))?;
        Ok(Labelled { name, attack })
    };
    let labels: Vec<Labelled> = table.into_iter().map(labelled).collect::<Result<_, DataError>>()?;
    match labels.is_empty() {
        true => Err(DataError::content(path, "no picture in the file")),
        false => Ok(labels),
    }
}

fn rows<T>(
    path: &Path,
    mut take: impl FnMut(usize, &[&str]) -> Result<T, DataError>,
) -> Result<Vec<T>, DataError> {
    let text = read_text(path)?;
    let lines = filled_lines(&text).filter(|(_, text)| !text.starts_with('#'));
    let fields = |text: &'_ str| -> Vec<String> {
        text.split([' ', '\t', ',']).filter(|f| !f.is_empty()).map(str::to_owned).collect()
    };
    let mut taken = Vec::new();
    for (line, text) in lines {
        let fields = fields(text);
        taken.push(take(line, &fields.iter().map(String::as_str).collect::<Vec<_>>())?);
    }
    match taken.is_empty() {
        true => Err(DataError::content(path, "the file is empty; a line a picture is expected")),
        false => Ok(taken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_come_back_and_errors_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let scored = |name: &str, score| Scored { name: name.to_owned(), score };
        for scores in [vec![scored("a.png", 0.5), scored("b.png", -1e-9)], vec![scored("", 2.0)]] {
            write_scores(&path, &scores).unwrap();
            assert_eq!(read_scores(&path).unwrap(), scores);
        }
        let labelled = |name: &str, attack| Labelled { name: name.to_owned(), attack };
        for labels in [
            vec![labelled("a.png", None), labelled("b.png", Some(7))],
            vec![labelled("", Some(3)), labelled("", None)],
        ] {
            write_labels(&path, &labels).unwrap();
            assert_eq!(read_labels(&path).unwrap(), labels);
        }
        std::fs::write(&path, "1\n0\n").unwrap();
        assert_eq!(read_labels(&path).unwrap(), [labelled("", Some(0)), labelled("", None)]);
        std::fs::write(&path, "a.png,1\nb.png,2\n").unwrap();
        assert!(read_labels(&path).unwrap_err().to_string().contains("a.txt:2: label 0 or 1"));
        std::fs::write(&path, "a.png NaN\n").unwrap();
        assert!(read_scores(&path).unwrap_err().to_string().contains("a.txt:1: a finite score"));
        std::fs::write(&path, "a b c d\n").unwrap();
        assert!(read_scores(&path).is_err() && read_labels(&path).is_err());
        std::fs::write(&path, "\n").unwrap();
        assert!(read_scores(&path).unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn celeba_spoof_labels_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test_label.json");
        let entry = |kind: i64, label: i64| {
            let mut values = vec![0; 44];
            (values[40], values[43]) = (kind, label);
            Value::from(values)
        };
        let put = |value: Value| std::fs::write(&path, value.to_string()).unwrap();
        put(
            serde_json::json!({"Data/test/1/live/0.png": entry(0, 0), "Data/test/1/spoof/1.png": entry(3, 1)}),
        );
        let read = read_labels(&path).unwrap();
        assert_eq!((read[0].attack, read[1].attack), (None, Some(3)));
        put(serde_json::json!({"x.png": [1, 2]}));
        assert!(read_labels(&path).unwrap_err().to_string().contains("`x.png`: 44 integers"));
        put(serde_json::json!({}));
        assert!(read_labels(&path).unwrap_err().to_string().contains("no picture"));
        std::fs::write(&path, "{\"x.png\": [1,").unwrap();
        assert!(read_labels(&path).unwrap_err().to_string().contains("line 1"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a0-2.,{}\\[\\]: \"\n]{0,60}") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.txt");
            std::fs::write(&path, text).unwrap();
            let _ = (read_scores(&path), read_labels(&path));
        }
    }
}

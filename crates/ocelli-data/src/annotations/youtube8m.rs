//! YouTube-8M's prediction and label files: a CSV line a video.
//!
//! Predictions have the header `VideoId,LabelConfidencePairs` and lines `id,class score class score …`; truth has lines
//! `id,class class …` under a header of any kind.

use std::fmt::Write as _;
use std::path::Path;

use super::{filled_lines, number, read_text};
use crate::error::DataError;
use crate::image::write_atomically;

/// Classes of a video with their scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredVideo {
    /// The video.
    pub id: String,
    /// Class and score, in file order.
    pub scores: Vec<(usize, f64)>,
}

/// Classes of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledVideo {
    /// The video.
    pub id: String,
    /// Its classes, in file order; there may be none.
    pub labels: Vec<usize>,
}

/// Reads predictions.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] names the first line that is not so; [`DataError::Content`] when there is
/// none.
pub fn read_predictions(path: impl AsRef<Path>) -> Result<Vec<ScoredVideo>, DataError> {
    let path = path.as_ref();
    lines(path, |line, id, fields| {
        if fields.len() % 2 == 1 {
            return Err(DataError::line(
                path,
                line,
                "a class without a score; `id,class score …` is expected",
            ));
        }
        let pair = |pair: &[&str]| -> Result<(usize, f64), DataError> {
            let score: f64 = number(path, line, "a score", pair[1])?;
            if !score.is_finite() {
                let reason = format!("a finite score expected, found `{}`", pair[1]);
                return Err(DataError::line(path, line, reason));
            }
            Ok((number(path, line, "a class's number", pair[0])?, score))
        };
        let scores = fields.chunks_exact(2).map(pair).collect::<Result<_, _>>()?;
        Ok(ScoredVideo { id: id.to_owned(), scores })
    })
}

/// Reads labels.
///
/// # Errors
/// As [`read_predictions`].
pub fn read_labels(path: impl AsRef<Path>) -> Result<Vec<LabelledVideo>, DataError> {
    let path = path.as_ref();
    lines(path, |line, id, fields| {
        let class = |field: &&str| number(path, line, "a class's number", field);
        let labels = fields.iter().map(class).collect::<Result<_, _>>()?;
        Ok(LabelledVideo { id: id.to_owned(), labels })
    })
}

/// Writes predictions.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_predictions(path: impl AsRef<Path>, videos: &[ScoredVideo]) -> Result<(), DataError> {
    let mut text = "VideoId,LabelConfidencePairs\n".to_owned();
    for video in videos {
        let pairs: Vec<String> =
            video.scores.iter().map(|(class, score)| format!("{class} {score}")).collect();
        let _ = writeln!(text, "{},{}", video.id, pairs.join(" "));
    }
    write_atomically(path, text.as_bytes())
}

/// Writes labels.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_labels(path: impl AsRef<Path>, videos: &[LabelledVideo]) -> Result<(), DataError> {
    let mut text = "VideoId,Labels\n".to_owned();
    for video in videos {
        let labels: Vec<String> = video.labels.iter().map(usize::to_string).collect();
        let _ = writeln!(text, "{},{}", video.id, labels.join(" "));
    }
    write_atomically(path, text.as_bytes())
}

/// Each line but a header, its id and the fields behind the comma.
fn lines<T>(
    path: &Path,
    mut take: impl FnMut(usize, &str, &[&str]) -> Result<T, DataError>,
) -> Result<Vec<T>, DataError> {
    let text = read_text(path)?;
    let mut taken = Vec::new();
    for (place, (line, text)) in filled_lines(&text).enumerate() {
        let (id, rest) = text.split_once(',').ok_or_else(|| {
            DataError::line(path, line, format!("`id,classes` with a comma is expected, found `{text}`"))
        })?;
        let rest = rest.trim().trim_matches('"');
        // A header's second column begins with a letter.
        if place == 0 && rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        taken.push(take(line, id.trim(), &rest.split_whitespace().collect::<Vec<_>>())?);
    }
    if taken.is_empty() {
        return Err(DataError::content(
            path,
            "no video in the file; a line `id,classes` a video is expected",
        ));
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_come_back_and_errors_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let scored = vec![
            ScoredVideo { id: "a".into(), scores: vec![(3, 0.25), (0, 1e-9)] },
            ScoredVideo { id: "b".into(), scores: vec![] },
        ];
        write_predictions(&path, &scored).unwrap();
        assert_eq!(read_predictions(&path).unwrap(), scored);
        let labelled = vec![
            LabelledVideo { id: "a".into(), labels: vec![3, 7] },
            LabelledVideo { id: "b".into(), labels: vec![] },
        ];
        write_labels(&path, &labelled).unwrap();
        assert_eq!(read_labels(&path).unwrap(), labelled);

        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_predictions(&path).unwrap_err().to_string()
        };
        assert!(message("VideoId,LabelConfidencePairs\na,1 0.5 2\n").contains("a.csv:2: a class without"));
        assert!(message("a,1 NaN\n").contains("a.csv:1: a finite score"));
        assert!(message("a,1 0.5\nb,x 1\n").contains("a.csv:2: a class's number"));
        assert!(message("VideoId,Labels\n").contains("no video"));
        assert!(message("a 1 0.5\n").contains("a.csv:1: `id,classes`"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a0-9.,\" \n-]{0,60}") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.csv");
            std::fs::write(&path, text).unwrap();
            let _ = (read_predictions(&path), read_labels(&path));
        }
    }
}

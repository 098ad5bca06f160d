//! Charades-STA: which stretch of a video a sentence describes, a line `VIDEO start end##sentence` each, in seconds.

use std::path::Path;

use ocelli_method::files::write_atomically;

use super::{filled_lines, number, read_text};
use crate::error::DataError;

/// A sentence and the stretch of a video that it describes.
#[derive(Clone, Debug, PartialEq)]
pub struct GroundedSentence {
    /// The video.
    pub video: String,
    /// What happens.
    pub sentence: String,
    /// Start and end in seconds.
    pub segment: [f64; 2],
}

/// Reads `charades_sta_*.txt`.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first line that is not so; [`DataError::Content`] when there is none.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<GroundedSentence>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let sentences: Vec<GroundedSentence> =
        filled_lines(&text).map(|(line, text)| sentence(path, line, text)).collect::<Result<_, _>>()?;
    if sentences.is_empty() {
        return Err(DataError::content(
            path,
            "the file is empty; `VIDEO start end##sentence` lines are expected",
        ));
    }
    Ok(sentences)
}

fn sentence(path: &Path, line: usize, text: &str) -> Result<GroundedSentence, DataError> {
    let wrong =
        || DataError::line(path, line, format!("`VIDEO start end##sentence` expected, found `{text}`"));
    let (place, sentence) = text.split_once("##").ok_or_else(wrong)?;
    let [video, start, end] = place.split_whitespace().collect::<Vec<_>>()[..] else { return Err(wrong()) };
    let second = |text: &str| -> Result<f64, DataError> {
        let value: f64 = number(path, line, "a time in seconds", text)?;
        if value.is_finite() { Ok(value) } else { Err(wrong()) }
    };
    let segment = [second(start)?, second(end)?];
    Ok(GroundedSentence { video: video.to_owned(), sentence: sentence.to_owned(), segment })
}

/// Writes the same form.
///
/// # Errors
/// [`DataError::Write`]; [`DataError::Content`] for a name or sentence that would not be read back.
pub fn write(path: impl AsRef<Path>, sentences: &[GroundedSentence]) -> Result<(), DataError> {
    let path = path.as_ref();
    for GroundedSentence { video, sentence, .. } in sentences {
        if video.is_empty() || video.contains("##") || video.contains(char::is_whitespace) {
            let reason = format!("a line cannot hold the video `{video}`: names are without blanks and `##`");
            return Err(DataError::content(path, reason));
        }
        // A carriage return at the end would be taken for a part of the line's.
        if sentence.contains('\n') || sentence.ends_with('\r') {
            let reason = format!("a sentence about the video `{video}` is of several lines; it must be one");
            return Err(DataError::content(path, reason));
        }
    }
    let line = |out: &mut dyn std::io::Write, s: &GroundedSentence| {
        let [start, end] = s.segment;
        writeln!(out, "{} {start:?} {end:?}##{}", s.video, s.sentence)
    };
    write_atomically(path, |out| sentences.iter().try_for_each(|s| line(out, s)))
        .map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(text: impl AsRef<[u8]>) -> Result<Vec<GroundedSentence>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sta.txt");
        std::fs::write(&path, text).unwrap();
        let sentences = read(&path)?;
        write(&path, &sentences).unwrap();
        assert_eq!(read(&path).unwrap(), sentences);
        Ok(sentences)
    }

    #[test]
    fn sentences_survive_a_round_trip() {
        let text = "3MSZA 24.3 30.4##person turn a light on.\r\n\nAB 0.0 7##a #1 fan, \"waving\"\n";
        let sentences = round(text).unwrap();
        assert_eq!((sentences.len(), sentences[0].segment), (2, [24.3, 30.4]));
        assert_eq!(
            (sentences[1].video.as_str(), sentences[1].sentence.as_str()),
            ("AB", "a #1 fan, \"waving\"")
        );
    }

    #[test]
    fn what_would_not_be_read_back_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sta.txt");
        for (video, sentence) in [("", "x"), ("a b", "x"), ("a##b", "x"), ("a", "x\ny")] {
            let one =
                GroundedSentence { video: video.into(), sentence: sentence.into(), segment: [0.0, 1.0] };
            assert!(write(&path, &[one]).is_err() && !path.exists(), "{video} {sentence}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, wanted) in [
            ("", "the file is empty"),
            ("A 1 2##x\nB 1 2#y", "sta.txt:2: `VIDEO start end##sentence` expected, found `B 1 2#y`"),
            ("A 1##x", "sta.txt:1: `VIDEO"),
            ("A 1 two##x", "sta.txt:1: a time in seconds expected, found `two`"),
            ("A 1 NaN##x", "sta.txt:1: `VIDEO"),
        ] {
            let message = round(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[A-Z]{0,3} [0-9.e-]{0,4} [0-9.]{0,4}#{0,3}.{0,9}") {
            let _ = round(&bytes);
            let _ = round(text);
        }
    }
}

//! Captions in whichever of the field's forms they come: told by what the file holds.

use std::path::Path;

use super::coco_captions::{self, Candidate, References};
use super::{msrvtt, read_text};
use crate::error::DataError;

/// The first thing in a JSON file that tells its form.
#[derive(serde::Deserialize)]
struct Keys {
    #[serde(default)]
    sentences: Option<serde::de::IgnoredAny>,
}

/// Reads references: COCO's JSON, MSR-VTT's JSON, or the table of MSR-VTT's split of one caption a clip.
///
/// # Errors
/// Those of [`coco_captions::read_references`], [`msrvtt::read_references`] and [`msrvtt::read_table`].
pub fn read_references(path: impl AsRef<Path>) -> Result<Vec<References>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    if !text.trim_start().starts_with(['{', '[']) {
        return msrvtt::parse_table(path, &text);
    }
    let keys: Keys = coco_captions::parse(path, &text, "an object with `annotations` or `sentences`")?;
    match keys.sentences {
        Some(_) => msrvtt::parse_references(path, &text, None),
        None => coco_captions::parse_references(path, &text),
    }
}

/// Reads candidates: COCO's results, or a challenge's submission.
///
/// # Errors
/// Those of [`coco_captions::read_candidates`] and [`msrvtt::read_submission`].
pub fn read_candidates(path: impl AsRef<Path>) -> Result<Vec<Candidate>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    if text.trim_start().starts_with('{') {
        msrvtt::parse_submission(path, &text)
    } else {
        coco_captions::parse_candidates(path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = |text: &str| {
            let path = folder.path().join("file");
            std::fs::write(&path, text).unwrap();
            path
        };
        for text in [
            "video_id,sentence\n1,a\n",
            r#" {"sentences": [{"video_id": "1", "caption": "a"}]}"#,
            r#"{"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a"}]}"#,
        ] {
            let read = read_references(file(text)).unwrap();
            assert_eq!(
                (read[0].id.to_string(), read[0].captions[0].as_str()),
                ("1".to_owned(), "a"),
                "{text}"
            );
        }
        for text in [
            r#"[{"image_id": 1, "caption": "a"}]"#,
            r#"{"version": "1", "result": [{"video_id": "1", "caption": "a"}], "external_data": {"used": true}}"#,
        ] {
            assert_eq!(read_candidates(file(text)).unwrap()[0].caption, "a", "{text}");
        }
        assert!(read_references(file("{")).is_err());
    }
}

//! MSR-VTT's captions in their three forms: the official JSON, the split of one caption a clip as a table, and the
//! submissions of the captioning challenges.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::coco_captions::{Candidate, CaptionId, Collector, References, one_each, parse, write_json};
use super::read_text;
use crate::error::DataError;

#[derive(Serialize, Deserialize)]
struct Sentence {
    video_id: String,
    caption: String,
}

#[derive(Serialize, Deserialize)]
struct Video {
    video_id: String,
    #[serde(default)]
    split: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct TruthFile {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    videos: Vec<Video>,
    sentences: Vec<Sentence>,
}

/// Reads references from `videodatainfo` JSON: `sentences` with `video_id` and `caption`, and `videos` with `split`, of
/// which those of `split` are kept when one is given. Clips come in the order of `videos`, or of their first sentence.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for what is no such JSON; [`DataError::Content`] when nothing is left or a
/// clip has no sentence.
pub fn read_references(path: impl AsRef<Path>, split: Option<&str>) -> Result<Vec<References>, DataError> {
    let path = path.as_ref();
    parse_references(path, &read_text(path)?, split)
}

pub(super) fn parse_references(
    path: &Path,
    text: &str,
    split: Option<&str>,
) -> Result<Vec<References>, DataError> {
    let file: TruthFile = parse(path, text, "an object with `sentences` of `video_id` and `caption`")?;
    let mut collector = Collector::default();
    let is_wanted = |video: &Video| split.is_none() || video.split.as_deref() == split;
    file.videos.iter().filter(|v| is_wanted(v)).for_each(|video| {
        collector.announce(CaptionId::Text(video.video_id.clone()));
    });
    for sentence in file.sentences {
        let id = CaptionId::Text(sentence.video_id);
        if split.is_none() || collector.has(&id) {
            collector.add(id, sentence.caption);
        }
    }
    collector.finish(path)
}

/// Writes references as `videodatainfo` does.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_references(path: impl AsRef<Path>, references: &[References]) -> Result<(), DataError> {
    let videos = references.iter().map(|unit| Video { video_id: unit.id.to_string(), split: None }).collect();
    let sentences = references.iter().flat_map(|unit| {
        let sentence =
            |caption: &String| Sentence { video_id: unit.id.to_string(), caption: caption.clone() };
        unit.captions.iter().map(sentence)
    });
    write_json(path.as_ref(), &TruthFile { videos, sentences: sentences.collect() })
}

/// Reads the table of the split "1k-A", `MSRVTT_JSFUSION_test.csv`: columns `video_id` and `sentence` among others.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for a row that is no such; [`DataError::Content`] when there is none.
pub fn read_table(path: impl AsRef<Path>) -> Result<Vec<References>, DataError> {
    let path = path.as_ref();
    parse_table(path, &read_text(path)?)
}

pub(super) fn parse_table(path: &Path, text: &str) -> Result<Vec<References>, DataError> {
    #[derive(Deserialize)]
    struct Row {
        video_id: String,
        sentence: String,
    }
    let mut collector = Collector::default();
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let row: Row = row.map_err(|e: csv::Error| {
            let line = e.position().map_or(1, |p| usize::try_from(p.line()).unwrap_or(usize::MAX));
            DataError::line(
                path,
                line,
                format!("a table with columns `video_id` and `sentence` expected: {e}"),
            )
        })?;
        collector.add(CaptionId::Text(row.video_id), row.sentence);
    }
    collector.finish(path)
}

/// Writes the table; clips with several captions have several rows.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_table(path: impl AsRef<Path>, references: &[References]) -> Result<(), DataError> {
    let path = path.as_ref();
    ocelli_method::files::write_atomically(path, |out| {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(["key", "video_id", "sentence"])?;
        for (i, (unit, caption)) in
            references.iter().flat_map(|u| u.captions.iter().map(move |c| (u, c))).enumerate()
        {
            table.write_record([&format!("ret{i}"), &unit.id.to_string(), caption])?;
        }
        table.flush()
    })
    .map_err(|source| DataError::write(path, source))
}

/// What a challenge's submission says besides captions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// `version`, such as `VERSION 1.0`.
    pub version: String,
    /// `result`.
    pub result: Vec<SubmittedCaption>,
}

/// A caption in a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedCaption {
    /// The clip.
    pub video_id: String,
    /// Its caption.
    pub caption: String,
}

/// Reads the captions of a submission.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for what is no such JSON; [`DataError::Content`] for a clip with two captions
/// and for an empty `result`.
pub fn read_submission(path: impl AsRef<Path>) -> Result<Vec<Candidate>, DataError> {
    let path = path.as_ref();
    parse_submission(path, &read_text(path)?)
}

pub(super) fn parse_submission(path: &Path, text: &str) -> Result<Vec<Candidate>, DataError> {
    let submission: Submission = parse(path, text, "a submission with `version` and `result`")?;
    let candidate = |s: SubmittedCaption| Candidate { id: CaptionId::Text(s.video_id), caption: s.caption };
    let candidates: Vec<Candidate> = submission.result.into_iter().map(candidate).collect();
    one_each(path, &candidates)?;
    Ok(candidates)
}

/// Writes captions as a submission.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_submission(path: impl AsRef<Path>, candidates: &[Candidate]) -> Result<(), DataError> {
    let caption = |c: &Candidate| SubmittedCaption { video_id: c.id.to_string(), caption: c.caption.clone() };
    let result = candidates.iter().map(caption).collect();
    write_json(path.as_ref(), &Submission { version: "VERSION 1.0".to_owned(), result })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRUTH: &str = r#"{"info": 1, "videos": [{"video_id": "video1", "split": "test", "id": 1},
        {"video_id": "video0", "split": "train"}], "sentences": [{"video_id": "video0", "sen_id": 0, "caption": "a, b"},
        {"video_id": "video1", "sen_id": 1, "caption": "c"}, {"video_id": "video0", "sen_id": 2, "caption": "d"}]}"#;

    #[test]
    fn all_forms_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let read = parse_references(Path::new("t.json"), TRUTH, None).unwrap();
        assert_eq!(
            (read[0].id.to_string(), &read[1].captions),
            ("video1".to_owned(), &vec!["a, b".into(), "d".into()])
        );
        write_references(file("t.json"), &read).unwrap();
        assert_eq!(read_references(file("t.json"), None).unwrap(), read);
        write_table(file("t.csv"), &read).unwrap();
        assert_eq!(read_table(file("t.csv")).unwrap(), read);
        let candidates = vec![Candidate { id: CaptionId::Text("video1".into()), caption: "x".into() }];
        write_submission(file("s.json"), &candidates).unwrap();
        assert_eq!(read_submission(file("s.json")).unwrap(), candidates);
    }

    #[test]
    fn a_split_is_kept_alone() {
        let test = parse_references(Path::new("t.json"), TRUTH, Some("test")).unwrap();
        assert_eq!((test.len(), &test[0].captions), (1, &vec!["c".to_owned()]));
        assert!(parse_references(Path::new("t.json"), TRUTH, Some("x")).is_err());
    }

    #[test]
    fn mistakes_are_named() {
        let table = |text: &str| parse_table(Path::new("t.csv"), text).unwrap_err().to_string();
        assert!(
            table("key,video_id\nx,y\n").contains("t.csv:2: a table with columns `video_id` and `sentence`")
        );
        assert!(table("video_id,sentence\nx,y\nx\n").contains("t.csv:3: "));
        assert!(table("").contains("no captions"));
        let submission = |text: &str| parse_submission(Path::new("s.json"), text).unwrap_err().to_string();
        assert!(submission("{\"version\": \"\", \"result\": []}").contains("no captions"));
        assert!(submission("[]").contains("s.json:1: a submission"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = parse_references(Path::new("t"), &text, None);
            let _ = parse_table(Path::new("t"), &text);
            let _ = parse_submission(Path::new("t"), &text);
        }
    }
}

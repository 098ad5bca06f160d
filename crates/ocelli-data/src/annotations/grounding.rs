//! Predictions of temporal grounding: for each sentence segments of its video, the surest first.
//!
//! No benchmark prescribes a form, so three are read, told apart by their content:
//!
//! * JSON, a list of `{"video": …, "sentence": …, "segments": [[start, end, score], …]}`;
//! * the same objects a line each, also under the names of Moment-DETR and its descendants (`vid`, `query`,
//!   `pred_relevant_windows`);
//! * CSV with the columns `video`, `sentence`, `start`, `end` and, if there are scores, `score`; a row a segment.
//!
//! Times are in seconds. Without scores segments count in the order given; with scores they are sorted by them.

use std::collections::HashMap;
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::json::{Place, fault, read_bytes};
use crate::error::DataError;

/// The predictions for one sentence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PredictedMoments {
    /// The video.
    pub video: String,
    /// The sentence, as in the truth.
    pub sentence: String,
    /// Start and end in seconds, the surest first.
    pub segments: Vec<[f64; 2]>,
}

/// Reads any of the forms.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first line or record that is not so; [`DataError::Content`] when
/// there is none.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<PredictedMoments>, DataError> {
    let path = path.as_ref();
    let bytes = read_bytes(path)?;
    let predictions = match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'[') => from_list(path, &bytes)?,
        Some(b'{') => from_lines(path, &bytes)?,
        _ => from_csv(path, &bytes)?,
    };
    if predictions.is_empty() {
        return Err(DataError::content(path, "the file holds no prediction"));
    }
    Ok(predictions)
}

/// Writes a JSON list; segments get falling scores 1, 1/2, 1/3 …, which keep their order.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_json(path: impl AsRef<Path>, predictions: &[PredictedMoments]) -> Result<(), DataError> {
    let path = path.as_ref();
    let raw = |p: &PredictedMoments| RawMoments {
        video: p.video.clone(),
        sentence: p.sentence.clone(),
        segments: p.segments.iter().zip(1..).map(|(s, n)| vec![s[0], s[1], score(n)]).collect(),
    };
    let raw: Vec<RawMoments> = predictions.iter().map(raw).collect();
    write_atomically(path, |out| Ok(serde_json::to_writer(out, &raw)?))
        .map_err(|source| DataError::write(path, source))
}

/// Writes the table. Sentences without a segment have no row in it.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_csv(path: impl AsRef<Path>, predictions: &[PredictedMoments]) -> Result<(), DataError> {
    let path = path.as_ref();
    let write = |out: &mut dyn std::io::Write| {
        let mut table = csv::Writer::from_writer(out);
        for p in predictions {
            for (&[start, end], n) in p.segments.iter().zip(1..) {
                let (video, sentence) = (p.video.as_str().into(), p.sentence.as_str().into());
                table.serialize(Row { video, sentence, start, end, score: Some(score(n)) })?;
            }
        }
        table.flush()
    };
    write_atomically(path, write).map_err(|source| DataError::write(path, source))
}

fn score(place: u32) -> f64 {
    1.0 / f64::from(place)
}

#[derive(Serialize, Deserialize)]
struct RawMoments {
    #[serde(alias = "vid")]
    video: String,
    #[serde(alias = "query")]
    sentence: String,
    #[serde(alias = "pred_relevant_windows")]
    segments: Vec<Vec<f64>>,
}

impl RawMoments {
    fn check(self) -> Result<PredictedMoments, String> {
        let width = self.segments.first().map_or(2, Vec::len);
        if !(2..=3).contains(&width) || self.segments.iter().any(|s| s.len() != width) {
            return Err(
                "segments of [start, end], or all of them of [start, end, score], are expected".to_owned()
            );
        }
        let scored = self.segments.iter().map(|s| ([s[0], s[1]], s.get(2).copied().unwrap_or(0.0)));
        Ok(PredictedMoments {
            video: self.video,
            sentence: self.sentence,
            segments: by_score(scored.collect()),
        })
    }
}

/// A segment and its score.
type Scored = ([f64; 2], f64);

/// Sorts by falling score, equal ones in their order.
fn by_score(mut scored: Vec<Scored>) -> Vec<[f64; 2]> {
    scored.sort_by(|a, b| (b.1 + 0.0).total_cmp(&(a.1 + 0.0)));
    scored.into_iter().map(|(segment, _)| segment).collect()
}

fn from_list(path: &Path, bytes: &[u8]) -> Result<Vec<PredictedMoments>, DataError> {
    let all: Vec<RawMoments> =
        serde_json::from_slice(bytes).map_err(|e| fault(path, &e, &Place::default()))?;
    let check = |(record, raw): (usize, RawMoments)| {
        raw.check().map_err(|reason| DataError::content(path, format!("prediction {}: {reason}", record + 1)))
    };
    all.into_iter().enumerate().map(check).collect()
}

fn from_lines(path: &Path, bytes: &[u8]) -> Result<Vec<PredictedMoments>, DataError> {
    let lines = bytes.split(|b| *b == b'\n').enumerate();
    let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let read = |(i, line): (usize, &[u8])| {
        let raw: RawMoments =
            serde_json::from_slice(line).map_err(|e| DataError::line(path, i + 1, e.to_string()))?;
        raw.check().map_err(|reason| DataError::line(path, i + 1, reason))
    };
    filled.map(read).collect()
}

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    video: std::borrow::Cow<'a, str>,
    sentence: std::borrow::Cow<'a, str>,
    start: f64,
    end: f64,
    #[serde(default)]
    score: Option<f64>,
}

fn from_csv(path: &Path, bytes: &[u8]) -> Result<Vec<PredictedMoments>, DataError> {
    let mut table = csv::Reader::from_reader(bytes);
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut all: Vec<(PredictedMoments, Vec<Scored>)> = Vec::new();
    for row in table.deserialize() {
        let fault = |e: csv::Error| {
            let line = e.position().map_or(1, csv::Position::line) as usize;
            DataError::line(path, line, e.to_string())
        };
        let Row { video, sentence, start, end, score } = row.map_err(fault)?;
        if ![start, end, score.unwrap_or(0.0)].iter().all(|v| v.is_finite()) {
            let reason = format!("`{video}`, `{sentence}`: a finite start, end and score are expected");
            return Err(DataError::content(path, reason));
        }
        let (video, sentence) = (video.into_owned(), sentence.into_owned());
        let place = *places.entry((video.clone(), sentence.clone())).or_insert_with(|| {
            all.push((PredictedMoments { video, sentence, segments: Vec::new() }, Vec::new()));
            all.len() - 1
        });
        all[place].1.push(([start, end], score.unwrap_or(0.0)));
    }
    let finish = |(moments, scored)| PredictedMoments { segments: by_score(scored), ..moments };
    Ok(all.into_iter().map(finish).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn from(text: impl AsRef<[u8]>) -> Result<Vec<PredictedMoments>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pred.json");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    const LIST: &str = r#"[{"video": "A", "sentence": "s, \"t\"", "segments": [[1, 2, 0.1], [3, 4.5, 0.9]]},
        {"video": "B", "sentence": "u", "segments": []}]"#;

    #[test]
    fn all_forms_say_the_same() {
        let list = from(LIST).unwrap();
        assert_eq!(list[0].segments, [[3.0, 4.5], [1.0, 2.0]]);
        let lines = "{\"qid\": 7, \"vid\": \"A\", \"query\": \"s, \\\"t\\\"\", \"pred_relevant_windows\": [[3, 4.5], [1, 2]]}\n\n";
        assert_eq!(from(lines).unwrap(), list[..1]);
        let csv =
            "video,sentence,start,end,score\nA,\"s, \"\"t\"\"\",1,2,0.1\nA,\"s, \"\"t\"\"\",3,4.5,0.9\n";
        assert_eq!(from(csv).unwrap(), list[..1]);
        let unscored = "video,sentence,start,end\nA,\"s, \"\"t\"\"\",3,4.5\nA,\"s, \"\"t\"\"\",1,2\n";
        assert_eq!(from(unscored).unwrap(), list[..1]);
    }

    #[test]
    fn predictions_survive_a_round_trip() {
        let list = from(LIST).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pred");
        write_json(&path, &list).unwrap();
        assert_eq!(read(&path).unwrap(), list);
        write_csv(&path, &list).unwrap();
        assert_eq!(read(&path).unwrap(), list[..1]);
    }

    #[test]
    fn errors_name_the_line_or_record() {
        for (text, wanted) in [
            ("", "holds no prediction"),
            ("[]", "holds no prediction"),
            ("[{\"video\": \"A\", \"sentence\": \"s\"}]", "pred.json:1: missing field `segments`"),
            (
                "[{\"video\": \"A\", \"sentence\": \"s\", \"segments\": [[1, 2], [1, 2, 3]]}]",
                "prediction 1: segments of [start, end]",
            ),
            ("[{\"video\": \"A\", \"sentence\": \"s\", \"segments\": [[1]]}]", "prediction 1: segments of"),
            ("{\"video\": \"A\", \"sentence\": \"s\", \"segments\": []}\n{\"video\"", "pred.json:2: EOF"),
            ("video,sentence,start,end\nA,s,1\n", "pred.json:2:"),
            ("video,sentence,start,end\nA,s,1,x\n", "pred.json:2:"),
            ("video,sentence,start,end\nA,s,1,inf\n", "`A`, `s`: a finite start"),
            ("video,start,end\nA,1,2\n", "missing field `sentence`"),
        ] {
            let message = from(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0usize..120, flip in any::<u8>()) {
            let _ = from(&bytes);
            let mut list = LIST.as_bytes().to_vec();
            list[at] ^= flip;
            let _ = (from(&list), from(&list[..at]));
        }
    }
}

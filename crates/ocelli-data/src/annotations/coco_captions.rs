//! COCO's captions: references by picture, and results, one candidate a picture.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::read_text;
use crate::error::DataError;

/// The identifier of a picture or clip: a number in COCO, a text in MSR-VTT.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CaptionId {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for CaptionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The captions that people gave a picture or clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    /// The picture or clip.
    pub id: CaptionId,
    /// At least one caption.
    pub captions: Vec<String>,
}

/// A machine's caption of a picture or clip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The picture or clip.
    #[serde(rename = "image_id")]
    pub id: CaptionId,
    /// Its caption.
    pub caption: String,
}

/// JSON as a `T`, mistakes with their line.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str, wanted: &str) -> Result<T, DataError> {
    serde_json::from_str(text).map_err(|e| DataError::line(path, e.line(), format!("{wanted} expected: {e}")))
}

/// Captions collected by picture, pictures in the order of their first mention.
#[derive(Default)]
pub(super) struct Collector {
    units: Vec<References>,
    places: HashMap<CaptionId, usize>,
}

impl Collector {
    /// Announces a picture.
    pub(super) fn announce(&mut self, id: CaptionId) -> usize {
        match self.places.entry(id) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                self.units.push(References { id: place.key().clone(), captions: Vec::new() });
                *place.insert(self.units.len() - 1)
            }
        }
    }

    /// Whether a picture was announced.
    pub(super) fn has(&self, id: &CaptionId) -> bool {
        self.places.contains_key(id)
    }

    pub(super) fn add(&mut self, id: CaptionId, caption: String) {
        let place = self.announce(id);
        self.units[place].captions.push(caption);
    }

    /// The pictures, each of which must have a caption.
    pub(super) fn finish(self, path: &Path) -> Result<Vec<References>, DataError> {
        if self.units.is_empty() {
            return Err(DataError::content(
                path,
                "there are no captions; references for one picture at least are expected",
            ));
        }
        match self.units.iter().find(|unit| unit.captions.is_empty()) {
            None => Ok(self.units),
            Some(unit) => Err(DataError::content(
                path,
                format!("`{}` has no caption; give it one or leave it out", unit.id),
            )),
        }
    }
}

#[derive(Deserialize)]
struct TruthFile {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

#[derive(Serialize, Deserialize)]
struct Image {
    id: CaptionId,
}

#[derive(Serialize, Deserialize)]
struct Annotation {
    image_id: CaptionId,
    #[serde(default)]
    id: Option<i64>,
    caption: String,
}

/// Reads references, such as `captions_val2014.json`: `images` with an `id`, `annotations` with `image_id` and
/// `caption`. Pictures come in the order of `images`.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for what is no such JSON; [`DataError::Content`] for a caption of an unknown
/// picture, naming the record, a picture twice, and one without a caption.
pub fn read_references(path: impl AsRef<Path>) -> Result<Vec<References>, DataError> {
    let path = path.as_ref();
    parse_references(path, &read_text(path)?)
}

pub(super) fn parse_references(path: &Path, text: &str) -> Result<Vec<References>, DataError> {
    let file: TruthFile = parse(path, text, "an object with `images` and `annotations` that have captions")?;
    let mut collector = Collector::default();
    for (i, image) in file.images.into_iter().enumerate() {
        if collector.has(&image.id) {
            return Err(DataError::content(
                path,
                format!("images[{i}]: picture `{}` is listed twice", image.id),
            ));
        }
        collector.announce(image.id);
    }
    for (i, annotation) in file.annotations.into_iter().enumerate() {
        if !collector.has(&annotation.image_id) {
            let reason = format!("annotations[{i}]: picture `{}` is not among `images`", annotation.image_id);
            return Err(DataError::content(path, reason));
        }
        collector.add(annotation.image_id, annotation.caption);
    }
    collector.finish(path)
}

/// Reads results: a list of `image_id` and `caption`, no picture twice.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for what is no such JSON; [`DataError::Content`] for a picture with two
/// captions, naming both records, and for an empty list.
pub fn read_candidates(path: impl AsRef<Path>) -> Result<Vec<Candidate>, DataError> {
    let path = path.as_ref();
    parse_candidates(path, &read_text(path)?)
}

pub(super) fn parse_candidates(path: &Path, text: &str) -> Result<Vec<Candidate>, DataError> {
    let candidates: Vec<Candidate> = parse(path, text, "a list of records with `image_id` and `caption`")?;
    one_each(path, &candidates)?;
    Ok(candidates)
}

/// No picture has two candidates, and there is one at least.
pub(super) fn one_each(path: &Path, candidates: &[Candidate]) -> Result<(), DataError> {
    let mut seen = HashMap::new();
    for (i, candidate) in candidates.iter().enumerate() {
        if let Some(first) = seen.insert(&candidate.id, i) {
            let reason = format!("record {i}: `{}` has a caption already, in record {first}", candidate.id);
            return Err(DataError::content(path, reason));
        }
    }
    if candidates.is_empty() {
        Err(DataError::content(path, "there are no captions in this file"))
    } else {
        Ok(())
    }
}

/// Writes references as COCO does; captions are numbered from 1.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_references(path: impl AsRef<Path>, references: &[References]) -> Result<(), DataError> {
    #[derive(Serialize)]
    struct File {
        images: Vec<Image>,
        annotations: Vec<Annotation>,
    }
    let images = references.iter().map(|unit| Image { id: unit.id.clone() }).collect();
    let captions = references.iter().flat_map(|unit| unit.captions.iter().map(|caption| (&unit.id, caption)));
    let annotation = |(i, (id, caption)): (i64, (&CaptionId, &String))| Annotation {
        image_id: id.clone(),
        id: Some(i),
        caption: caption.clone(),
    };
    write_json(path.as_ref(), &File { images, annotations: (1..).zip(captions).map(annotation).collect() })
}

/// Writes results.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_candidates(path: impl AsRef<Path>, candidates: &[Candidate]) -> Result<(), DataError> {
    write_json(path.as_ref(), &candidates)
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), DataError> {
    write_atomically(path, |out| Ok(serde_json::to_writer(out, value)?))
        .map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRUTH: &str = r#"{"info": {}, "images": [{"id": 7, "file_name": "x.jpg"}, {"id": 3}], "annotations": [
        {"image_id": 3, "id": 1, "caption": "a"}, {"image_id": 7, "id": 2, "caption": "b"},
        {"image_id": 3, "id": 3, "caption": "c"}]}"#;

    fn references(text: &str) -> Result<Vec<References>, DataError> {
        parse_references(Path::new("truth.json"), text)
    }

    #[test]
    fn references_survive_a_round_trip() {
        let read = references(TRUTH).unwrap();
        assert_eq!(read[0].id, CaptionId::Number(7));
        assert_eq!(read[1].captions, ["a", "c"]);
        let folder = tempfile::tempdir().unwrap();
        write_references(folder.path().join("t.json"), &read).unwrap();
        assert_eq!(read_references(folder.path().join("t.json")).unwrap(), read);
        let candidates = vec![Candidate { id: CaptionId::Text("v".into()), caption: "\"é\"\n".into() }];
        write_candidates(folder.path().join("c.json"), &candidates).unwrap();
        assert_eq!(read_candidates(folder.path().join("c.json")).unwrap(), candidates);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, wanted) in [
            (r#"{"images": []}"#, "truth.json:1: an object with `images`"),
            (r#"{"images": [], "annotations": []}"#, "there are no captions"),
            (
                r#"{"images": [{"id": 1}, {"id": 1}], "annotations": []}"#,
                "images[1]: picture `1` is listed twice",
            ),
            (r#"{"images": [{"id": 1}], "annotations": []}"#, "`1` has no caption"),
            (
                r#"{"images": [{"id": 1}], "annotations": [{"image_id": 2, "caption": "a"}]}"#,
                "annotations[0]: picture `2`",
            ),
            (&TRUTH[..200], "truth.json:3: "),
        ] {
            let message = references(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{text}: {message}");
        }
        let candidates = |text: &str| parse_candidates(Path::new("c.json"), text).unwrap_err().to_string();
        assert!(candidates("[]").contains("no captions"));
        let twice = r#"[{"image_id": 1, "caption": "a"}, {"image_id": 1, "caption": "b"}]"#;
        assert!(candidates(twice).contains("record 1: `1` has a caption already, in record 0"));
        assert!(candidates("[{\"image_id\": 1}]").contains("missing field `caption`"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}", cut in 0..250_usize) {
            let _ = references(&text);
            let _ = references(TRUTH.get(..cut).unwrap_or_default());
            let _ = parse_candidates(Path::new("c.json"), &text);
        }
    }
}

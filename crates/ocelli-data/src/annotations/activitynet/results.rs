//! What a method says happens when in which video.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::annotations::json::{Names, Place, Text, fault, read_bytes};
use crate::error::DataError;

/// A predicted segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// Start and end in seconds.
    pub segment: [f64; 2],
    /// Larger is surer.
    pub score: f64,
    /// Index in the list of labels; proposals have none.
    pub label: Option<u32>,
}

/// The predictions for a video.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoResults {
    /// Its name, as in the file.
    pub name: String,
    /// Where its predictions stand in the list of all.
    pub range: Range<usize>,
}

/// Predictions by video, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The labels, in the order in which they first occur.
    pub labels: Vec<String>,
    /// The videos.
    pub videos: Vec<VideoResults>,
    /// All predictions, video by video.
    pub predictions: Vec<Predicted>,
}

impl Results {
    /// Reads a file of results.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Line`] with line, video and entry; [`DataError::Content`] when the file has no
    /// `results`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = read_bytes(path)?;
        let mut reader = Reader::default();
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let read = json.deserialize_map(Top(&mut reader)).and_then(|found| json.end().map(|()| found));
        if !read.map_err(|e| fault(path, &e, &reader.place))? {
            return Err(DataError::content(
                path,
                "the file has no `results`; `{results: {video: [{score, segment}]}}` \
                                                 is expected",
            ));
        }
        Ok(Self { labels: reader.labels.list, videos: reader.videos, predictions: reader.predictions })
    }

    /// Writes the official form.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        #[derive(Serialize)]
        struct File<'a> {
            version: &'a str,
            #[serde(serialize_with = "by_video")]
            results: &'a Results,
            external_data: External,
        }
        #[derive(Serialize)]
        struct External {
            used: bool,
            details: &'static str,
        }
        let path = path.as_ref();
        let external_data = External { used: false, details: "" };
        let file = File { version: "VERSION 1.3", results: self, external_data };
        write_atomically(path, |out| Ok(serde_json::to_writer(out, &file)?))
            .map_err(|source| DataError::write(path, source))
    }

    /// The predictions of a video of [`Self::videos`].
    pub fn of(&self, video: &VideoResults) -> &[Predicted] {
        self.predictions.get(video.range.clone()).unwrap_or_default()
    }

    /// Adds a video with its predictions; their labels are indices in [`Self::labels`].
    pub fn push(&mut self, name: impl Into<String>, predictions: impl IntoIterator<Item = Predicted>) {
        let start = self.predictions.len();
        self.predictions.extend(predictions);
        self.videos.push(VideoResults { name: name.into(), range: start..self.predictions.len() });
    }
}

fn by_video<S: serde::Serializer>(all: &Results, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'a> {
        score: f64,
        segment: [f64; 2],
        #[serde(skip_serializing_if = "Option::is_none")]
        label: Option<&'a str>,
    }
    let entry = |p: &Predicted| {
        let label = p.label.and_then(|l| all.labels.get(l as usize)).map(String::as_str);
        Entry { score: p.score, segment: p.segment, label }
    };
    serializer
        .collect_map(all.videos.iter().map(|v| (&v.name, all.of(v).iter().map(entry).collect::<Vec<_>>())))
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    labels: Names,
    videos: Vec<VideoResults>,
    predictions: Vec<Predicted>,
    seen: HashSet<String>,
    place: Place,
}

#[derive(Deserialize)]
struct Entry<'a> {
    score: f64,
    segment: [f64; 2],
    #[serde(borrow)]
    label: Option<Text<'a>>,
}

/// The outermost object; whether it has results.
struct Top<'r>(&'r mut Reader);

impl<'de> Visitor<'de> for Top<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `results`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(Text(key)) = map.next_key()? {
            if key == "results" {
                map.next_value_seed(Videos(self.0))?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Lists of predictions by video.
struct Videos<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for Videos<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Videos<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of lists by video")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let reader = self.0;
        while let Some(Text(name)) = map.next_key()? {
            reader.place.enter(&name);
            if !reader.seen.insert(name.as_ref().to_owned()) {
                return Err(A::Error::custom("the video has two lists"));
            }
            let start = reader.predictions.len();
            map.next_value_seed(List(reader))?;
            let range = start..reader.predictions.len();
            reader.videos.push(VideoResults { name: name.into_owned(), range });
        }
        reader.place.enter("");
        Ok(())
    }
}

/// The predictions for one video.
struct List<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of `{score, segment}`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let reader = self.0;
        reader.place.entry = Some(0);
        while let Some(Entry { score, segment, label }) = seq.next_element()? {
            let label = label.map(|label| reader.labels.number(&label.0));
            reader.predictions.push(Predicted { segment, score, label });
            reader.place.entry = reader.place.entry.map(|n| n + 1);
        }
        reader.place.entry = None;
        Ok(())
    }
}

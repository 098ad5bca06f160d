//! What happens when in which video.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::annotations::json::{Names, Place, Text, fault, read_bytes};
use crate::error::DataError;

/// A segment of a video and what happens in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelledSegment {
    /// Start and end in seconds.
    pub segment: [f64; 2],
    /// Index in the list of labels.
    pub label: u32,
}

/// The annotation of a video.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoAnnotation {
    /// Its name, as in the file.
    pub name: String,
    /// `training`, `validation` or `testing`, where the file says so.
    pub subset: Option<String>,
    /// Duration in seconds, where the file says so.
    pub duration: Option<f64>,
    /// Its segments, in the order of the file.
    pub segments: Vec<LabelledSegment>,
}

/// Annotated videos.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    /// The labels, in the order in which they first occur.
    pub labels: Vec<String>,
    /// The videos, in the order of the file.
    pub videos: Vec<VideoAnnotation>,
}

impl Annotations {
    /// Reads either form.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Line`] with line and video; [`DataError::Content`] when there is no video.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = read_bytes(path)?;
        let mut reader = Reader::default();
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let read = json.deserialize_map(Top(&mut reader)).and_then(|()| json.end());
        read.map_err(|e| fault(path, &e, &reader.place))?;
        if reader.videos.is_empty() {
            let reason = "no video is annotated; `database: {video: {annotations}}` or `{video: {annotations}}` is \
                          expected";
            return Err(DataError::content(path, reason));
        }
        Ok(Self { labels: reader.labels.list, videos: reader.videos })
    }

    /// Writes the official form.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        #[derive(Serialize)]
        struct File<'a> {
            version: &'a str,
            taxonomy: [(); 0],
            #[serde(serialize_with = "database")]
            database: &'a Annotations,
        }
        let path = path.as_ref();
        let file = File { version: "VERSION 1.3", taxonomy: [], database: self };
        write_atomically(path, |out| Ok(serde_json::to_writer(out, &file)?))
            .map_err(|source| DataError::write(path, source))
    }

    /// The name of a label.
    pub fn label(&self, label: u32) -> &str {
        self.labels.get(label as usize).map_or("?", String::as_str)
    }
}

fn database<S: serde::Serializer>(all: &Annotations, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Video<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        subset: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        duration: Option<f64>,
        annotations: Vec<Segment<'a>>,
    }
    #[derive(Serialize)]
    struct Segment<'a> {
        segment: [f64; 2],
        label: &'a str,
    }
    serializer.collect_map(all.videos.iter().map(|v| {
        let segment = |s: &LabelledSegment| Segment { segment: s.segment, label: all.label(s.label) };
        let annotations = v.segments.iter().map(segment).collect();
        (&v.name, Video { subset: v.subset.as_deref(), duration: v.duration, annotations })
    }))
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    labels: Names,
    videos: Vec<VideoAnnotation>,
    seen: HashSet<String>,
    place: Place,
}

impl Reader {
    fn add<E: Error>(&mut self, video: RawVideo<'_>) -> Result<(), E> {
        let name = self.place.record.clone();
        if !self.seen.insert(name.clone()) {
            return Err(E::custom("the video is annotated twice"));
        }
        let labels = &mut self.labels;
        let segments = video.annotations.iter();
        let segments =
            segments.map(|a| LabelledSegment { segment: a.segment, label: labels.number(&a.label) });
        let segments = segments.collect();
        self.videos.push(VideoAnnotation { name, subset: video.subset, duration: video.duration, segments });
        self.place.enter("");
        Ok(())
    }
}

#[derive(Deserialize)]
struct RawVideo<'a> {
    subset: Option<String>,
    #[serde(alias = "duration_second")]
    duration: Option<f64>,
    #[serde(borrow)]
    annotations: Vec<RawSegment<'a>>,
}

#[derive(Deserialize)]
struct RawSegment<'a> {
    segment: [f64; 2],
    #[serde(borrow)]
    label: Cow<'a, str>,
}

/// The outermost object: the official one, or videos by name.
struct Top<'r>(&'r mut Reader);

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with annotated videos")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "database" => map.next_value_seed(Database(self.0))?,
                "taxonomy" | "version" => {
                    map.next_value::<IgnoredAny>()?;
                }
                name => {
                    self.0.place.enter(name);
                    map.next_value_seed(VideoOrNot(self.0))?;
                }
            }
        }
        Ok(())
    }
}

/// Videos by name.
struct Database<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for Database<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Database<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of annotated videos")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            self.0.place.enter(&name);
            let video = map.next_value()?;
            self.0.add(video)?;
        }
        Ok(())
    }
}

/// A video; whatever is no object stands beside the videos and is passed over.
struct VideoOrNot<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for VideoOrNot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for VideoOrNot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an annotated video")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let video = RawVideo::deserialize(MapAccessDeserializer::new(map))?;
        self.0.add(video)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

//! Charades-CG and ActivityNet-CG: sentences by video, with what is new to the training set in each.
//!
//! `{video: {sentences: […], timestamps: [[start, end], …], duration}}`, in seconds, and for the two hard splits a list
//! `novels` (new compositions: pairs of words by type) or `news` (new words by part of speech) with an entry a sentence.
//! ActivityNet Captions has the same form without that list.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::json::{Place, Text, fault, read_bytes};
use crate::error::DataError;

/// A video and the sentences about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribedVideo {
    /// Its name.
    pub name: String,
    /// Duration in seconds; sentences may end later.
    pub duration: Option<f64>,
    /// The sentences, in the order of the file.
    pub sentences: Vec<DescribedMoment>,
}

/// A sentence about a video.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribedMoment {
    /// What happens.
    pub sentence: String,
    /// Start and end in seconds.
    pub segment: [f64; 2],
    /// What is new to the training set in it.
    pub novelty: Novelty,
}

/// What a sentence holds that training sentences do not.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Novelty {
    /// The file does not say.
    #[default]
    Unsaid,
    /// Pairs of known words, by type (`v-n` verb and noun, `a-n`, `n-n`, `v-adv`, `p-n`).
    Compositions(BTreeMap<String, Vec<[String; 2]>>),
    /// Words, by part of speech.
    Words(BTreeMap<String, Vec<String>>),
}

impl Novelty {
    /// The types of composition, or parts of speech.
    pub fn kinds(&self) -> Vec<&str> {
        match self {
            Self::Unsaid => Vec::new(),
            Self::Compositions(pairs) => pairs.keys().map(String::as_str).collect(),
            Self::Words(words) => words.keys().map(String::as_str).collect(),
        }
    }
}

/// Reads a split.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] with line and video; [`DataError::Content`] when there is no sentence.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<DescribedVideo>, DataError> {
    let path = path.as_ref();
    let bytes = read_bytes(path)?;
    let mut reader = Reader::default();
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let read = json.deserialize_map(&mut reader).and_then(|()| json.end());
    read.map_err(|e| fault(path, &e, &reader.place))?;
    if reader.videos.iter().all(|v| v.sentences.is_empty()) {
        return Err(DataError::content(path, "the file holds no sentence"));
    }
    Ok(reader.videos)
}

/// Writes the same form.
///
/// # Errors
/// [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, videos: &[DescribedVideo]) -> Result<(), DataError> {
    struct File<'a>(&'a [DescribedVideo]);
    impl Serialize for File<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|v| (&v.name, RawVideo::from(v))))
        }
    }
    let path = path.as_ref();
    write_atomically(path, |out| Ok(serde_json::to_writer(out, &File(videos))?))
        .map_err(|source| DataError::write(path, source))
}

#[derive(Default, Serialize, Deserialize)]
struct RawVideo {
    sentences: Vec<String>,
    timestamps: Vec<[f64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    novels: Option<Vec<BTreeMap<String, Vec<[String; 2]>>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    news: Option<Vec<BTreeMap<String, Vec<String>>>>,
}

impl From<&DescribedVideo> for RawVideo {
    fn from(video: &DescribedVideo) -> Self {
        let mut raw = Self { duration: video.duration, ..Self::default() };
        for moment in &video.sentences {
            raw.sentences.push(moment.sentence.clone());
            raw.timestamps.push(moment.segment);
            match &moment.novelty {
                Novelty::Unsaid => {}
                Novelty::Compositions(pairs) => raw.novels.get_or_insert_default().push(pairs.clone()),
                Novelty::Words(words) => raw.news.get_or_insert_default().push(words.clone()),
            }
        }
        raw
    }
}

impl RawVideo {
    fn into_video(self, name: &str) -> Result<DescribedVideo, String> {
        let count = self.sentences.len();
        let lists = [
            ("timestamps", Some(self.timestamps.len())),
            ("novels", self.novels.as_ref().map(Vec::len)),
            ("news", self.news.as_ref().map(Vec::len)),
        ];
        if let Some((list, Some(found))) = lists.iter().find(|(_, n)| n.is_some_and(|n| n != count)) {
            return Err(format!("{count} sentences, but {found} `{list}`"));
        }
        let compositions = self.novels.into_iter().flatten().map(Novelty::Compositions);
        let words = self.news.into_iter().flatten().map(Novelty::Words);
        let novelty = compositions.chain(words).chain(std::iter::repeat_n(Novelty::Unsaid, count));
        let sentences = self.sentences.into_iter().zip(self.timestamps).zip(novelty);
        let moment = |((sentence, segment), novelty)| DescribedMoment { sentence, segment, novelty };
        let sentences = sentences.map(moment).collect();
        Ok(DescribedVideo { name: name.to_owned(), duration: self.duration, sentences })
    }
}

#[derive(Default)]
struct Reader {
    videos: Vec<DescribedVideo>,
    place: Place,
}

impl<'de> Visitor<'de> for &mut Reader {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of `{sentences, timestamps}` by video")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(Text(name)) = map.next_key()? {
            self.place.enter(&name);
            let video: RawVideo = map.next_value()?;
            self.videos.push(video.into_video(&name).map_err(A::Error::custom)?);
            if !seen.insert(name) {
                return Err(A::Error::custom("the video occurs twice"));
            }
        }
        self.place.enter("");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMPOSITIONS: &str = r#"{"AO8RW": {"sentences": ["a b.", "c d."], "timestamps": [[0.0, 6.9], [1, 2]],
        "duration": 33.67, "novels": [{"v-adv": [["put", "on"]], "a-n": [["x", "y"]]}, {}]}}"#;
    const WORDS: &str = r#"{"0QA8P": {"timestamps": [[7.3, 28.1]], "sentences": ["s"], "news": [{"DET": ["all"]}]}, "B": {"sentences": [], "timestamps": []}}"#;

    fn round(text: impl AsRef<[u8]>) -> Result<Vec<DescribedVideo>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("split.json");
        std::fs::write(&path, text).unwrap();
        let videos = read(&path)?;
        write(&path, &videos).unwrap();
        assert_eq!(read(&path).unwrap(), videos);
        Ok(videos)
    }

    #[test]
    fn splits_survive_a_round_trip() {
        let videos = round(COMPOSITIONS).unwrap();
        assert_eq!(videos[0].sentences[0].novelty.kinds(), ["a-n", "v-adv"]);
        assert_eq!((videos[0].duration, videos[0].sentences[1].segment), (Some(33.67), [1.0, 2.0]));
        let videos = round(WORDS).unwrap();
        assert_eq!((videos[0].sentences[0].novelty.kinds(), videos[0].duration), (vec!["DET"], None));
    }

    #[test]
    fn errors_name_line_and_video() {
        for (text, wanted) in [
            ("{}", "holds no sentence"),
            ("[]", "split.json:1: invalid type"),
            ("{\"A\": {\"sentences\": [\"s\"], \"timestamps\": []}}", "1 sentences, but 0 `timestamps`"),
            (
                "{\"A\": {\"sentences\": [\"s\"], \"timestamps\": [[1, 2]], \"news\": []}}",
                "1 sentences, but 0 `news`",
            ),
            ("{\"A\": {\"sentences\": [\"s\"], \"timestamps\": [[1]]}}", "(video `A`)"),
            ("{\"A\":\n{\"sentences\": [\"s\"]}}", "split.json:2: missing field `timestamps`"),
            (
                "{\"A\": {\"sentences\": [], \"timestamps\": []}, \"A\": {\"sentences\": [], \"timestamps\": []}}",
                "the video occurs twice",
            ),
        ] {
            let message = round(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(at in 0usize..120, flip in any::<u8>()) {
            for text in [COMPOSITIONS, WORDS] {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] ^= flip;
                let _ = (round(&bytes), round(&bytes[..at]));
            }
        }
    }
}

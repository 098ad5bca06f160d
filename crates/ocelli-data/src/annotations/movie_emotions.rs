//! Emotions in movie clips: the splits of temporal emotion localization (Li et al. 2022), on clips of MovieGraphs.
//!
//! | file | form |
//! |---|---|
//! | `train.json` | movie → clip → `emo`: emotion → count; `time`: spans; `dialog`: lines |
//! | `test.json` | movie → clip → `emo`: emotion → `segment`: numbers of subtitles; `dialog_name`: spans; `dialog`: lines |
//!
//! Segments are the clip's subtitles, whose times count from the clip's start. The files spell two of the eighteen
//! emotions in their own way, `aversion ` and `confident`; here all are called as in the paper. A name that is none of
//! them is left out and counted.

use std::collections::BTreeMap;
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::activitynet::{Annotations, LabelledSegment, Predicted, Results, VideoAnnotation, VideoResults};
use super::json::{Entries, Names, Place, entries, fault, read_bytes};
use super::subtitles::{SubtitleLine, format_time, of_split};
use crate::error::DataError;

/// The emotions, in the order of the paper's table.
pub const EMOTIONS: [&str; 18] = [
    "affection",
    "anger",
    "anticipation",
    "aversion",
    "confidence",
    "disconnection",
    "disquietment",
    "doubt",
    "embarrassment",
    "engagement",
    "esteem",
    "excitement",
    "happiness",
    "sadness",
    "suffering",
    "surprise",
    "sympathy",
    "peace",
];

/// The number of an emotion, however the files spell it.
pub fn emotion(name: &str) -> Option<usize> {
    let name = name.trim().to_lowercase();
    let name = if name == "confident" { "confidence" } else { &name };
    EMOTIONS.iter().position(|e| *e == name)
}

/// A clip with what is said in it, and what is known of its emotions.
#[derive(Clone, Debug, PartialEq)]
pub struct EmotionalClip<E> {
    /// The movie's identifier at IMDb.
    pub movie: String,
    /// The clip's name within the movie.
    pub clip: String,
    /// Its subtitles, one a segment.
    pub lines: Vec<SubtitleLine>,
    /// Its emotions, in the order of the file.
    pub emotions: Vec<E>,
}

/// An emotion of a whole clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Index in [`EMOTIONS`].
    pub emotion: usize,
    /// How often the clip was given it.
    pub count: u32,
}

/// An emotion and the segments that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Localized {
    /// Index in [`EMOTIONS`].
    pub emotion: usize,
    /// Numbers of the segments, from 0, rising.
    pub segments: Vec<usize>,
}

/// A split.
#[derive(Clone, Debug, PartialEq)]
pub struct Split<E> {
    /// The clips, in the order of the file.
    pub clips: Vec<EmotionalClip<E>>,
    /// Names that are no emotion, and how often each was left out.
    pub unknown: BTreeMap<String, usize>,
}

/// How the segments of an emotion become windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Windows {
    /// One, from the start of the first to the end of the last, whatever lies between.
    #[default]
    Whole,
    /// One for each run of consecutive segments.
    Runs,
}

impl<E> EmotionalClip<E> {
    /// The name by which its features are found: `movie.clip`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.movie, self.clip)
    }
}

impl EmotionalClip<Localized> {
    /// Emotions and their windows, start and end in seconds.
    pub fn windows(&self, convention: Windows) -> Vec<(usize, [f64; 2])> {
        let mut windows = Vec::new();
        for Localized { emotion, segments } in &self.emotions {
            let apart = |a: &usize, b: &usize| convention == Windows::Whole || a + 1 == *b;
            for run in segments.chunk_by(apart) {
                let lines = run.iter().filter_map(|&s| self.lines.get(s));
                // Lines overlap at times: the last to start need not be the last to end.
                let span = lines.fold(None, |span: Option<[f64; 2]>, line| {
                    let [start, end] = span.unwrap_or([line.start, line.end]);
                    Some([start.min(line.start), end.max(line.end)])
                });
                windows.extend(span.map(|span| (*emotion, span)));
            }
        }
        windows
    }
}

/// Reads the split of clips whose emotions are known as a whole.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] where it is no such file; [`DataError::Content`] naming movie, clip and what is
/// wrong with it, or when there is no clip.
pub fn read_train(path: impl AsRef<Path>) -> Result<Split<Counted>, DataError> {
    #[derive(Deserialize)]
    struct Raw {
        emo: Entries<u32>,
        time: Vec<String>,
        dialog: Vec<String>,
    }
    let parts = |raw: Raw| Ok((of_split(&raw.time, &raw.dialog)?, raw.emo.0));
    read(path.as_ref(), parts, |emotion, count, _| Ok(Counted { emotion, count }))
}

/// Reads the split of clips whose emotions are localized.
///
/// # Errors
/// As [`read_train`]; also a segment that the clip does not have, and an emotion without segments.
pub fn read_test(path: impl AsRef<Path>) -> Result<Split<Localized>, DataError> {
    #[derive(Deserialize)]
    struct Annotation {
        segment: Vec<usize>,
    }
    #[derive(Deserialize)]
    struct Raw {
        emo: Entries<Annotation>,
        dialog: Vec<String>,
        dialog_name: Vec<String>,
    }
    let parts = |raw: Raw| Ok((of_split(&raw.dialog_name, &raw.dialog)?, raw.emo.0));
    read(path.as_ref(), parts, |emotion, annotation: Annotation, lines: &[SubtitleLine]| {
        let (name, all, mut segments) = (EMOTIONS[emotion], lines.len(), annotation.segment);
        // Not always in order.
        segments.sort_unstable();
        segments.dedup();
        match segments.last() {
            None => Err(format!("{name} has no segment")),
            Some(last) if *last >= all => Err(format!("{name} is in segment {last} of {all}, from 0")),
            Some(_) => Ok(Localized { emotion, segments }),
        }
    })
}

/// Reads a split: `parts` takes a raw clip apart into subtitles and named entries, `make` makes an emotion of an entry.
fn read<R: for<'de> Deserialize<'de>, A, E>(
    path: &Path,
    parts: impl Fn(R) -> Result<(Vec<SubtitleLine>, Vec<(String, A)>), String>,
    make: impl Fn(usize, A, &[SubtitleLine]) -> Result<E, String>,
) -> Result<Split<E>, DataError> {
    let bytes = read_bytes(path)?;
    let movies: Entries<Entries<R>> =
        serde_json::from_slice(&bytes).map_err(|e| fault(path, &e, &Place::default()))?;
    let mut split = Split { clips: Vec::new(), unknown: BTreeMap::new() };
    for (movie, clips) in movies.0 {
        for (clip, raw) in clips.0 {
            let at = |reason: String| DataError::content(path, format!("{movie}, {clip}: {reason}"));
            let (lines, entries) = parts(raw).map_err(at)?;
            let mut emotions = Vec::with_capacity(entries.len());
            for (name, entry) in entries {
                match emotion(&name) {
                    Some(number) => emotions.push(make(number, entry, &lines).map_err(at)?),
                    None => *split.unknown.entry(name).or_default() += 1,
                }
            }
            split.clips.push(EmotionalClip { movie: movie.clone(), clip, lines, emotions });
        }
    }
    match split.clips.is_empty() {
        true => Err(DataError::content(path, "there is no clip; movies of clips by name are expected")),
        false => Ok(split),
    }
}

/// The windows of localized emotions as annotated videos, one a clip by its [`EmotionalClip::name`]; labels are
/// [`EMOTIONS`]. What evaluators of actions take can thus be emotions.
pub fn as_annotations(split: &Split<Localized>, convention: Windows) -> Annotations {
    let segment = |(emotion, segment): (usize, [f64; 2])| LabelledSegment { segment, label: emotion as u32 };
    let video = |clip: &EmotionalClip<Localized>| VideoAnnotation {
        name: clip.name(),
        segments: clip.windows(convention).into_iter().map(segment).collect(),
        ..VideoAnnotation::default()
    };
    let labels = EMOTIONS.map(str::to_owned).to_vec();
    Annotations { labels, videos: split.clips.iter().map(video).collect() }
}

/// An emotion in a file of predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedEmotion {
    /// Its name.
    pub emotion: String,
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends.
    pub end: f64,
    /// Larger is surer.
    pub score: f64,
}

/// Reads predictions, `{clip: [{emotion, start, end, score}]}`; emotions may be spelled as in the splits.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] where it is no such file; [`DataError::Content`] naming the clip that has two
/// lists.
pub fn read_predictions(path: impl AsRef<Path>) -> Result<Results, DataError> {
    let path = path.as_ref();
    let bytes = read_bytes(path)?;
    let clips: Entries<Vec<PredictedEmotion>> =
        serde_json::from_slice(&bytes).map_err(|e| fault(path, &e, &Place::default()))?;
    if let Some(twice) = clips.repeated() {
        return Err(DataError::content(path, format!("clip `{twice}` has two lists")));
    }
    let mut labels = Names::default();
    let mut results = Results::default();
    for (clip, emotions) in clips.0 {
        let predicted = emotions.into_iter().map(|PredictedEmotion { emotion: name, start, end, score }| {
            let label = labels.number(emotion(&name).map_or(name.as_str(), |number| EMOTIONS[number]));
            Predicted { segment: [start, end], score, label: Some(label) }
        });
        results.push(clip, predicted);
    }
    Ok(Results { labels: labels.list, ..results })
}

/// Writes predictions in the form of [`read_predictions`]. Those without a label are left out.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_predictions(path: impl AsRef<Path>, results: &Results) -> Result<(), DataError> {
    let path = path.as_ref();
    let told = |p: &Predicted| {
        let emotion = results.labels.get(p.label? as usize)?.clone();
        let [start, end] = p.segment;
        Some(PredictedEmotion { emotion, start, end, score: p.score })
    };
    let of_clip = |clip: &VideoResults| {
        (clip.name.clone(), results.of(clip).iter().filter_map(told).collect::<Vec<_>>())
    };
    let clips = Entries(results.videos.iter().map(of_clip).collect());
    write_atomically(path, |out| Ok(serde_json::to_writer_pretty(out, &clips)?))
        .map_err(|source| DataError::write(path, source))
}

/// Writes a split of clips whose emotions are known as a whole, in the form of the official file.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_train(path: impl AsRef<Path>, clips: &[EmotionalClip<Counted>]) -> Result<(), DataError> {
    #[derive(Serialize)]
    struct Raw<'a> {
        #[serde(serialize_with = "entries")]
        emo: Vec<(&'a str, u32)>,
        time: Vec<String>,
        dialog: Vec<&'a str>,
    }
    write(path.as_ref(), clips, |clip| {
        let emo = clip.emotions.iter().map(|e| (EMOTIONS[e.emotion], e.count)).collect();
        Raw { emo, time: spans(&clip.lines), dialog: clip.lines.iter().map(|l| l.text.as_str()).collect() }
    })
}

/// Writes a split of clips whose emotions are localized, in the form of the official file.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_test(path: impl AsRef<Path>, clips: &[EmotionalClip<Localized>]) -> Result<(), DataError> {
    #[derive(Serialize)]
    struct Annotation<'a> {
        time: Vec<String>,
        dialog: Vec<&'a str>,
        segment: &'a [usize],
    }
    #[derive(Serialize)]
    struct Raw<'a> {
        #[serde(serialize_with = "entries")]
        emo: Vec<(&'a str, Annotation<'a>)>,
        dialog: Vec<&'a str>,
        dialog_name: Vec<String>,
    }
    write(path.as_ref(), clips, |clip| {
        let time = spans(&clip.lines);
        let dialog: Vec<&str> = clip.lines.iter().map(|l| l.text.as_str()).collect();
        let emo = clip.emotions.iter().map(|e| {
            let annotation = Annotation {
                time: e.segments.iter().filter_map(|&s| time.get(s).cloned()).collect(),
                dialog: e.segments.iter().filter_map(|&s| dialog.get(s).copied()).collect(),
                segment: &e.segments,
            };
            (EMOTIONS[e.emotion], annotation)
        });
        let emo = emo.collect();
        Raw { emo, dialog, dialog_name: time }
    })
}

/// Writes clips by movie, whatever `raw` makes of a clip.
fn write<'a, E, R: Serialize>(
    path: &Path,
    clips: &'a [EmotionalClip<E>],
    raw: impl Fn(&'a EmotionalClip<E>) -> R,
) -> Result<(), DataError> {
    let mut movies: Vec<(&str, Entries<R>)> = Vec::new();
    for clip in clips {
        let at = movies.iter().position(|(movie, _)| *movie == clip.movie).unwrap_or_else(|| {
            movies.push((&clip.movie, Entries(Vec::new())));
            movies.len() - 1
        });
        movies[at].1.0.push((clip.clip.clone(), raw(clip)));
    }
    write_atomically(path, |out| {
        let mut json = serde_json::Serializer::new(out);
        Ok(entries(&movies, &mut json)?)
    })
    .map_err(|source| DataError::write(path, source))
}

fn spans(lines: &[SubtitleLine]) -> Vec<String> {
    let span = |l: &SubtitleLine| format!("{}-->{}", format_time(l.start, '.'), format_time(l.end, '.'));
    lines.iter().map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRAIN: &str = r#"{"tt1": {"scene-1": {"emo": {"happiness": 2, "aversion ": 1, "confident": 1, "boredom": 1},
        "time": ["00:00:00.000-->00:00:01.000"], "dialog": ["Hi. "]}}}"#;
    const TEST: &str = r#"{"tt1": {"s": {"emo": {"confident": {"time": ["x"], "dialog": ["x"], "segment": [3, 0, 1, 1]}},
        "dialog": ["a", "b", "c", "d"],
        "dialog_name": ["00:00:01.000-->00:00:02.000", "00:00:02.000-->00:00:09.000", "00:00:03.000-->00:00:04.000",
                        "00:00:05.000-->00:00:06.000"]}}}"#;

    fn file(text: impl AsRef<[u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("split.json");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn index(name: &str) -> usize {
        emotion(name).unwrap()
    }

    #[test]
    fn names_are_those_of_the_paper() {
        let (_folder, path) = file(TRAIN);
        let split = read_train(&path).unwrap();
        let clip = &split.clips[0];
        assert_eq!(clip.name(), "tt1.scene-1");
        let counted = |name: &str, count| Counted { emotion: index(name), count };
        let want = [counted("happiness", 2), counted("aversion", 1), counted("confidence", 1)];
        assert_eq!(clip.emotions, want);
        assert_eq!(split.unknown, BTreeMap::from([("boredom".to_owned(), 1)]));
        assert_eq!((clip.lines[0].end, clip.lines[0].text.as_str()), (1.0, "Hi. "));
    }

    #[test]
    fn windows_follow_either_convention() {
        let (_folder, path) = file(TEST);
        let clip = &read_test(&path).unwrap().clips[0];
        let confidence = index("confidence");
        assert_eq!(clip.emotions, [Localized { emotion: confidence, segments: vec![0, 1, 3] }]);
        // The second line ends last.
        assert_eq!(clip.windows(Windows::Whole), [(confidence, [1.0, 9.0])]);
        assert_eq!(clip.windows(Windows::Runs), [(confidence, [1.0, 9.0]), (confidence, [5.0, 6.0])]);
    }

    #[test]
    fn errors_name_the_clip() {
        let broken = |from: &str, to: &str| {
            let (_folder, path) = file(TEST.replace(from, to));
            read_test(&path).unwrap_err().to_string()
        };
        for (message, wanted) in [
            (broken("[3, 0, 1, 1]", "[4]"), "tt1, s: confidence is in segment 4 of 4, from 0"),
            (broken("[3, 0, 1, 1]", "[]"), "tt1, s: confidence has no segment"),
            (broken("[3, 0, 1, 1]", "[-1]"), "split.json:1: invalid value: integer `-1`"),
            (broken("\"a\", ", ""), "tt1, s: 4 times for 3 lines of dialog"),
            (
                broken("02.000\", \"00:00:02", "02.000\", \"00:00:99"),
                "tt1, s: subtitle 2: `start --> end` expected",
            ),
            (broken("dialog_name", "dialogs"), "missing field `dialog_name`"),
        ] {
            assert!(message.contains(wanted) && !message.contains('\n'), "{message}");
        }
        let (_folder, path) = file("{\"tt1\": {}}");
        assert!(read_train(&path).unwrap_err().to_string().contains("there is no clip"));
    }

    #[test]
    fn windows_and_predictions_are_those_of_actions() {
        let (_folder, path) = file(TEST);
        let split = read_test(&path).unwrap();
        let all = as_annotations(&split, Windows::Runs);
        assert_eq!((all.videos[0].name.as_str(), all.videos[0].segments.len()), ("tt1.s", 2));
        assert_eq!(all.label(all.videos[0].segments[1].label), "confidence");
        let text = r#"{"tt1.s": [{"emotion": "confident", "start": 1, "end": 2.5, "score": 0.5},
            {"emotion": "boredom", "start": 0, "end": 1, "score": 1}], "tt1.t": []}"#;
        std::fs::write(&path, text).unwrap();
        let found = read_predictions(&path).unwrap();
        assert_eq!(found.labels, ["confidence", "boredom"]);
        assert_eq!(found.predictions[0], Predicted { segment: [1.0, 2.5], score: 0.5, label: Some(0) });
        write_predictions(&path, &found).unwrap();
        assert_eq!(read_predictions(&path).unwrap(), found);
        for (text, wanted) in [
            ("[]", "an object of entries by name"),
            ("{\"a\": [{\"emotion\": \"joy\", \"start\": 1, \"end\": 2}]}", "missing field `score`"),
            ("{\"a\": [], \"a\": []}", "clip `a` has two lists"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = read_predictions(&path).unwrap_err().to_string();
            assert!(message.contains(wanted) && !message.contains('\n'), "{message}");
        }
    }

    fn clips<E: std::fmt::Debug>(
        emotions: impl Strategy<Value = Vec<E>>,
    ) -> impl Strategy<Value = Vec<EmotionalClip<E>>> {
        let line = (0u64..9_000_000, 0u64..9000, ".{0,6}").prop_map(|(start, length, text)| SubtitleLine {
            start: start as f64 / 1000.0,
            end: (start + length) as f64 / 1000.0,
            text,
        });
        let one = (0u8..3, prop::collection::vec(line, 4), emotions);
        prop::collection::vec(one, 1..5).prop_map(|clips| {
            let mut numbered: Vec<_> = clips.into_iter().enumerate().collect();
            // The file has the clips of a movie together.
            numbered.sort_by_key(|(_, (movie, ..))| *movie);
            let clip = |(number, (movie, lines, emotions)): (usize, (u8, Vec<SubtitleLine>, Vec<E>))| {
                EmotionalClip { movie: format!("tt{movie}"), clip: format!("s{number}"), lines, emotions }
            };
            numbered.into_iter().map(clip).collect()
        })
    }

    proptest! {
        #[test]
        fn splits_survive_a_round_trip(
            train in clips(prop::collection::vec((0usize..18, 1u32..5).prop_map(|(emotion, count)| Counted { emotion, count }), 0..3)),
            test in clips(prop::collection::vec((0usize..18, prop::collection::btree_set(0usize..4, 1..4)).prop_map(
                |(emotion, segments)| Localized { emotion, segments: segments.into_iter().collect() }), 0..3)),
        ) {
            let (_folder, path) = file("");
            write_train(&path, &train).unwrap();
            prop_assert_eq!(read_train(&path).unwrap().clips, train);
            write_test(&path, &test).unwrap();
            prop_assert_eq!(read_test(&path).unwrap().clips, test);
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..400, with in any::<u8>()) {
            let mut changed = TEST.as_bytes().to_vec();
            let n = changed.len();
            changed[at % n] = with;
            for content in [&bytes, &changed, &changed[..at % n].to_vec()] {
                let (_folder, path) = file(content);
                let _ = read_test(&path).map(|split| split.clips.iter().flat_map(|c| c.windows(Windows::Runs)).count());
                let _ = read_train(&path);
            }
        }
    }
}

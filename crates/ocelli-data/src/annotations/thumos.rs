//! THUMOS14's temporal files: annotations, a text file a class with `video start end` lines, and detections, `video
//! start end class score` lines whose class is a number of `detclasslist.txt`. Times are in seconds.
//!
//! Both come as the types of [`activitynet`](super::activitynet), so that either benchmark's evaluator takes either's
//! files. The class `Ambiguous` is a label like others here; what it means is the evaluator's business.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ocelli_method::files::write_atomically;

use super::activitynet::{Annotations, LabelledSegment, Predicted, Results, VideoAnnotation};
use super::json::Names;
use super::{filled_lines, number, read_text};
use crate::error::DataError;

/// The label of segments that no detection should be blamed for.
pub const AMBIGUOUS: &str = "Ambiguous";

/// The twenty classes with temporal annotation and their numbers among the 101 of the challenge.
pub const CLASSES: [(u32, &str); 20] = [
    (7, "BaseballPitch"),
    (9, "BasketballDunk"),
    (12, "Billiards"),
    (21, "CleanAndJerk"),
    (22, "CliffDiving"),
    (23, "CricketBowling"),
    (24, "CricketShot"),
    (26, "Diving"),
    (31, "FrisbeeCatch"),
    (33, "GolfSwing"),
    (36, "HammerThrow"),
    (40, "HighJump"),
    (45, "JavelinThrow"),
    (51, "LongJump"),
    (68, "PoleVault"),
    (79, "Shotput"),
    (85, "SoccerPenalty"),
    (92, "TennisSwing"),
    (93, "ThrowDiscus"),
    (97, "VolleyballSpiking"),
];

/// Reads annotation files, named `<class>_val.txt` or `<class>_test.txt`; a folder stands for all such files in it.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first line that is not so; [`DataError::Content`] for a file of
/// another name, a folder without such files, and when there is no line at all.
pub fn read_annotations(paths: &[PathBuf]) -> Result<Annotations, DataError> {
    let mut labels = Names::default();
    let mut all = Annotations::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    for path in class_files(paths)? {
        let (class, subset) = class_and_subset(&path).ok_or_else(|| {
            DataError::content(
                &path,
                "the file's name gives no class; `<class>_val.txt` or `<class>_test.txt` is expected",
            )
        })?;
        let label = labels.number(&class);
        for (line, text) in filled_lines(&read_text(&path)?) {
            let [video, start, end] = text.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(DataError::line(
                    &path,
                    line,
                    format!("`video start end` expected, found `{text}`"),
                ));
            };
            let segment = [second(&path, line, start)?, second(&path, line, end)?];
            let place = *places.entry(video.to_owned()).or_insert_with(|| {
                let (name, subset) = (video.to_owned(), Some(subset.to_owned()));
                all.videos.push(VideoAnnotation { name, subset, ..VideoAnnotation::default() });
                all.videos.len() - 1
            });
            all.videos[place].segments.push(LabelledSegment { segment, label });
        }
    }
    if all.videos.is_empty() {
        let path = paths.first().map(PathBuf::as_path).unwrap_or(Path::new("annotations"));
        return Err(DataError::content(path, "no `video start end` line was found"));
    }
    all.labels = labels.list;
    Ok(all)
}

/// Reads annotations of either benchmark: a single JSON file in ActivityNet's form, or class files and folders of them as
/// [`read_annotations`] takes them.
///
/// # Errors
/// As [`Annotations::read`] or [`read_annotations`].
pub fn read_either(paths: &[PathBuf]) -> Result<Annotations, DataError> {
    match paths {
        [json] if !json.is_dir() && json.extension().is_none_or(|e| !e.eq_ignore_ascii_case("txt")) => {
            Annotations::read(json)
        }
        _ => read_annotations(paths),
    }
}

/// Writes a file a class into a folder that is there. Videos of the subset `validation` go to `<class>_val.txt`, all
/// others to `<class>_test.txt`.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_annotations(folder: impl AsRef<Path>, all: &Annotations) -> Result<Vec<PathBuf>, DataError> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for video in &all.videos {
        let ending = if video.subset.as_deref() == Some("validation") { "val" } else { "test" };
        for LabelledSegment { segment: [start, end], label } in &video.segments {
            let text = files.entry(format!("{}_{ending}.txt", all.label(*label))).or_default();
            text.push_str(&format!("{} {start:?} {end:?}\n", video.name));
        }
    }
    let write = |(name, text): (String, String)| {
        let path = folder.as_ref().join(name);
        write_atomically(&path, |out| out.write_all(text.as_bytes()))
            .map_err(|source| DataError::write(&path, source))?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}

/// Reads `video start end class score` lines.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first line that is not so, or whose class is not one of
/// [`CLASSES`]; [`DataError::Content`] when there is none.
pub fn read_detections(path: impl AsRef<Path>) -> Result<Results, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let mut videos = Names::default();
    let mut by_video: Vec<Vec<Predicted>> = Vec::new();
    for (line, text) in filled_lines(&text) {
        let [video, start, end, class, score] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            let reason = format!("`video start end class score` expected, found `{text}`");
            return Err(DataError::line(path, line, reason));
        };
        let segment = [second(path, line, start)?, second(path, line, end)?];
        let class: u32 = number(path, line, "a class's number", class)?;
        let label = CLASSES.iter().position(|(n, _)| *n == class).ok_or_else(|| {
            DataError::line(
                path,
                line,
                format!("class {class} is none of the twenty with temporal annotation"),
            )
        })?;
        let score: f64 = number(path, line, "a score", score)?;
        if !score.is_finite() {
            return Err(DataError::line(path, line, format!("a finite score expected, found `{score}`")));
        }
        let video = videos.number(video) as usize;
        by_video.resize_with(by_video.len().max(video + 1), Vec::new);
        by_video[video].push(Predicted { segment, score, label: Some(label as u32) });
    }
    if by_video.is_empty() {
        return Err(DataError::content(
            path,
            "the file is empty; `video start end class score` lines are expected",
        ));
    }
    let labels = CLASSES.iter().map(|(_, name)| (*name).to_owned()).collect();
    let mut results = Results { labels, ..Results::default() };
    videos.list.into_iter().zip(by_video).for_each(|(name, predictions)| results.push(name, predictions));
    Ok(results)
}

/// Writes the same form.
///
/// # Errors
/// [`DataError::Write`]; [`DataError::Content`] for a prediction whose label is not one of [`CLASSES`].
pub fn write_detections(path: impl AsRef<Path>, results: &Results) -> Result<(), DataError> {
    let path = path.as_ref();
    let mut text = String::new();
    for video in &results.videos {
        for Predicted { segment: [start, end], score, label } in results.of(video) {
            let name = label.and_then(|l| results.labels.get(l as usize)).map_or("none", String::as_str);
            let (class, _) = CLASSES.iter().find(|(_, n)| *n == name).ok_or_else(|| {
                DataError::content(
                    path,
                    format!("label `{name}` is no class of THUMOS14 with temporal annotation"),
                )
            })?;
            text.push_str(&format!("{} {start:?} {end:?} {class} {score:?}\n", video.name));
        }
    }
    write_atomically(path, |out| out.write_all(text.as_bytes()))
        .map_err(|source| DataError::write(path, source))
}

fn second(path: &Path, line: usize, text: &str) -> Result<f64, DataError> {
    let value: f64 = number(path, line, "a time in seconds", text)?;
    match value.is_finite() {
        true => Ok(value),
        false => Err(DataError::line(path, line, format!("a finite time expected, found `{text}`"))),
    }
}

/// The files, with folders replaced by the class files in them, sorted.
fn class_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|source| DataError::read(path, source))?;
        let entries: Result<Vec<PathBuf>, _> = entries.map(|e| e.map(|e| e.path())).collect();
        let mut found = entries.map_err(|source| DataError::read(path, source))?;
        found.retain(|f| class_and_subset(f).is_some());
        if found.is_empty() {
            return Err(DataError::content(path, "no `<class>_val.txt` or `<class>_test.txt` in the folder"));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn class_and_subset(path: &Path) -> Option<(String, &'static str)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".txt")?;
    let (class, ending) = name.rsplit_once('_')?;
    match ending {
        "val" => Some((class.to_owned(), "validation")),
        "test" => Some((class.to_owned(), "testing")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn annotated(files: &[(&str, &str)]) -> Result<Annotations, DataError> {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        read_annotations(&[folder.path().to_owned()])
    }

    fn detected(text: impl AsRef<[u8]>) -> Result<Results, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("det.txt");
        std::fs::write(&path, text).unwrap();
        let results = read_detections(&path)?;
        write_detections(&path, &results).unwrap();
        assert_eq!(read_detections(&path).unwrap(), results);
        Ok(results)
    }

    #[test]
    fn annotations_survive_a_round_trip() {
        let all = annotated(&[
            ("Diving_val.txt", "video_validation_1  72.8 76.4\nvideo_validation_2 1 2\n"),
            ("Ambiguous_val.txt", "video_validation_1 5.0 6.0\n"),
            ("readme.txt", "words"),
        ])
        .unwrap();
        assert_eq!(all.labels, [AMBIGUOUS, "Diving"]);
        assert_eq!((all.videos.len(), all.videos[0].segments.len()), (2, 2));
        assert_eq!(all.videos[0].subset.as_deref(), Some("validation"));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write_annotations(folder.path(), &all).unwrap().len(), 2);
        assert_eq!(read_annotations(&[folder.path().to_owned()]).unwrap(), all);
    }

    #[test]
    fn detections_survive_a_round_trip() {
        let results = detected("v1 1.5 2.5 7 0.9\nv2 0 1 97 0.5\nv1 3 4 7 -1e-3\n").unwrap();
        assert_eq!(results.videos.len(), 2);
        let of_first = results.of(&results.videos[0]);
        assert_eq!((of_first.len(), of_first[1].score, of_first[1].label), (2, -1e-3, Some(0)));
    }

    #[test]
    fn errors_name_file_and_line() {
        for (text, wanted) in [
            ("", "det.txt: the file is empty"),
            ("v 1 2 7 0.5\nv 1 2 7", "det.txt:2: `video start end class score`"),
            ("v 1 2 8 0.5", "det.txt:1: class 8 is none of the twenty"),
            ("v 1 2 seven 0.5", "det.txt:1: a class's number expected"),
            ("v 1 2 7 NaN", "det.txt:1: a finite score"),
            ("v 1 inf 7 0.5", "det.txt:1: a finite time"),
        ] {
            let message = detected(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
        assert!(annotated(&[("x.txt", "")]).unwrap_err().to_string().contains("in the folder"));
        assert!(
            annotated(&[("Diving_val.txt", "")])
                .unwrap_err()
                .to_string()
                .contains("no `video start end` line")
        );
        let message = annotated(&[("Diving_val.txt", "v 1 2\nv 1 2 3\n")]).unwrap_err().to_string();
        assert!(message.contains("Diving_val.txt:2: `video start end` expected"), "{message}");
        let message = read_either(&["/absent/diving.txt".into()]).unwrap_err().to_string();
        assert!(message.contains("gives no class"), "{message}");
        let labels = vec!["Surfing".to_owned()];
        let mut foreign = Results { labels, ..Results::default() };
        foreign.push("v", [Predicted { segment: [0.0, 1.0], score: 1.0, label: Some(0) }]);
        assert!(write_detections("/absent/det.txt", &foreign).unwrap_err().to_string().contains("`Surfing`"));
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[a-z]{1,2} [0-9.]{1,3} [0-9.]{1,3} (7|9|x) [0-9.e-]{1,4}\n?") {
            let _ = detected(&bytes);
            let _ = detected(text);
        }
    }
}

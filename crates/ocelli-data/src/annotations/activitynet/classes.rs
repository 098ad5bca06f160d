//! How sure a classifier is that a video, as a whole, shows a class.

use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::{Deserialize, Serialize};

use crate::annotations::json::{Entries, Names, Place, fault, read_bytes};
use crate::error::DataError;

/// Scores of classes by video.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoClasses {
    /// The names of the classes.
    pub labels: Vec<String>,
    /// The videos in the order of the file, each with a score for every label.
    pub videos: Vec<(String, Vec<f64>)>,
}

/// The file; `class` is absent where scores stand beside their labels.
#[derive(Serialize, Deserialize)]
struct File {
    #[serde(default)]
    class: Vec<String>,
    results: Entries<Scores>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a list of scores, or of `{label, score}`")]
enum Scores {
    Row(Vec<f64>),
    Labelled(Vec<Labelled>),
}

#[derive(Serialize, Deserialize)]
struct Labelled {
    label: String,
    score: f64,
}

impl VideoClasses {
    /// Reads `{class: [label], results: {video: [score]}}`, the form in which class scores of ActivityNet are shared, or
    /// `{results: {video: [{label, score}]}}`, that of submissions to its classification task, where a label that a video
    /// does not name has score 0 there.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Line`] where it is no such file; [`DataError::Content`] naming the video whose scores
    /// are not one for each label or not from 0 on, or that stands there twice, and a label that does.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = read_bytes(path)?;
        let file: File = serde_json::from_slice(&bytes).map_err(|e| fault(path, &e, &Place::default()))?;
        let fault = |reason: String| DataError::content(path, reason);
        if let Some(video) = file.results.repeated() {
            return Err(fault(format!("video `{video}` has two lists")));
        }
        if file.results.0.is_empty() {
            return Err(fault("there is no video; `results: {video: [scores]}` is expected".to_owned()));
        }
        let mut labels = Names::default();
        for (index, label) in file.class.iter().enumerate() {
            if labels.number(label) as usize != index {
                return Err(fault(format!("class `{label}` is listed twice")));
            }
        }
        let mut videos = Vec::with_capacity(file.results.0.len());
        for (video, scores) in file.results.0 {
            let row = row(scores, file.class.len(), &mut labels)
                .map_err(|e| fault(format!("video `{video}`: {e}")))?;
            videos.push((video, row));
        }
        // Labels that later videos brought in.
        let count = labels.list.len();
        videos.iter_mut().for_each(|(_, row)| row.resize(count, 0.0));
        Ok(Self { labels: labels.list, videos })
    }

    /// Writes the first of these forms.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        let results = self.videos.iter().map(|(video, row)| (video.clone(), Scores::Row(row.clone())));
        let file = File { class: self.labels.clone(), results: Entries(results.collect()) };
        write_atomically(path, |out| Ok(serde_json::to_writer(out, &file)?))
            .map_err(|source| DataError::write(path, source))
    }
}

/// The scores of a video, one for each label known so far.
fn row(scores: Scores, classes: usize, labels: &mut Names) -> Result<Vec<f64>, String> {
    let row = match scores {
        Scores::Row(row) if row.len() == classes => row,
        Scores::Row(row) => return Err(format!("{} scores for {classes} classes", row.len())),
        Scores::Labelled(list) => {
            let mut row = vec![0.0; labels.list.len()];
            for Labelled { label, score } in list {
                let number = labels.number(&label) as usize;
                row.resize(row.len().max(number + 1), 0.0);
                row[number] = score;
            }
            row
        }
    };
    match row.iter().find(|score| **score < 0.0) {
        Some(score) => Err(format!("a score of {score}; scores are from 0 on, such as probabilities")),
        None => Ok(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<VideoClasses, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classes.json");
        std::fs::write(&path, text).unwrap();
        let read = VideoClasses::read(&path)?;
        read.write(&path).unwrap();
        assert_eq!(VideoClasses::read(&path).unwrap(), read);
        Ok(read)
    }

    #[test]
    fn both_forms_are_read() {
        let shared = read(r#"{"class": ["a", "b"], "results": {"x": [0.25, 0.75], "y": [1, 0]}}"#).unwrap();
        assert_eq!(shared.labels, ["a", "b"]);
        assert_eq!(shared.videos[0], ("x".to_owned(), vec![0.25, 0.75]));
        let submitted = read(
            r#"{"version": "1.3", "results": {"x": [{"label": "b", "score": 0.5}],
                "y": [{"label": "a", "score": 0.5}, {"label": "b", "score": 0.25}]}}"#,
        );
        let submitted = submitted.unwrap();
        assert_eq!(submitted.labels, ["b", "a"]);
        assert_eq!(submitted.videos[0].1, [0.5, 0.0]);
        assert_eq!(submitted.videos[1].1, [0.25, 0.5]);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, wanted) in [
            ("", "classes.json:1: EOF"),
            ("{}", "missing field `results`"),
            (r#"{"class": ["a"], "results": {}}"#, "there is no video"),
            (r#"{"class": ["a"], "results": {"x": [1, 2]}}"#, "video `x`: 2 scores for 1 classes"),
            (r#"{"class": ["a"], "results": {"x": [-1]}}"#, "video `x`: a score of -1"),
            (r#"{"class": ["a", "a"], "results": {"x": [1, 2]}}"#, "class `a` is listed twice"),
            (r#"{"class": ["a"], "results": {"x": [1], "x": [1]}}"#, "video `x` has two lists"),
            (r#"{"class": ["a"], "results": {"x": 3}}"#, "a list of scores, or of `{label, score}`"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(wanted) && !message.contains('\n'), "{message}");
        }
    }
}

//! Feature files by video, with what annotations and the table of videos tell of each.

use std::collections::BTreeMap;
use std::path::Path;

use ocelli_data::DataError;
use ocelli_data::annotations::activitynet::{Annotations, VideoAnnotation, VideoInfo, read_video_info};
use ocelli_data::annotations::features::{self, FeatureFile, plain_name};
use ocelli_data::annotations::thumos;
use ocelli_data::dataset::BadItem;
use rayon::prelude::*;

use super::features::Sequence;

/// Where videos are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// A folder with a feature file a video.
    pub features: &'a Path,
    /// Annotations: JSON in ActivityNet's form, or THUMOS14's folder of class files.
    pub truth: Option<&'a Path>,
    /// `video_info.csv`: frames, seconds and subset of each video.
    pub info: Option<&'a Path>,
    /// Only the videos of this subset.
    pub subset: Option<&'a str>,
}

/// A video with features.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// Its name, without `v_`.
    pub name: &'a str,
    /// Its features.
    pub file: &'a FeatureFile,
    /// Its annotation, where there are annotations.
    pub annotation: Option<&'a VideoAnnotation>,
    /// The labels of annotations.
    pub labels: &'a [String],
    /// Its row of the table.
    pub info: Option<&'a VideoInfo>,
}

impl Listed<'_> {
    /// Reads the features.
    ///
    /// # Errors
    /// What is wrong with the file, which it names.
    pub fn sequence(&self) -> Result<Sequence, String> {
        let table = self.file.read().map_err(|e| e.to_string())?;
        let sequence = Sequence::new(table.values, [table.rows, table.columns]);
        sequence.map_err(|e| format!("{}: {e}", self.file))
    }

    /// The duration in seconds, where the annotation or the table tells it.
    ///
    /// # Errors
    /// One that is not above 0.
    pub fn duration(&self) -> Result<Option<f64>, String> {
        duration(self.annotation, self.info)
    }
}

fn duration(annotation: Option<&VideoAnnotation>, info: Option<&VideoInfo>) -> Result<Option<f64>, String> {
    match annotation.and_then(|a| a.duration).or(info.map(|i| i.seconds)) {
        Some(seconds) if !(seconds > 0.0 && seconds.is_finite()) => {
            Err(format!("a duration of {seconds} seconds"))
        }
        duration => Ok(duration),
    }
}

/// Annotations and rows of the table by the plain names of their videos.
#[derive(Default)]
struct Known {
    annotations: Option<BTreeMap<String, VideoAnnotation>>,
    labels: Vec<String>,
    infos: BTreeMap<String, VideoInfo>,
}

impl Known {
    fn read(truth: Option<&Path>, info: Option<&Path>) -> Result<Self, DataError> {
        let mut known = Self::default();
        if let Some(path) = truth {
            let Annotations { labels, videos } = thumos::read_either(&[path.to_owned()])?;
            let named = videos.into_iter().map(|video| (plain_name(&video.name).to_owned(), video));
            (known.labels, known.annotations) = (labels, Some(named.collect()));
        }
        if let Some(path) = info {
            let rows = read_video_info(path)?.into_iter();
            known.infos = rows.map(|row| (plain_name(&row.video).to_owned(), row)).collect();
        }
        Ok(known)
    }

    fn annotation(&self, name: &str) -> Option<&VideoAnnotation> {
        self.annotations.as_ref().and_then(|all| all.get(name))
    }

    /// The subset of a video, as the annotations or else the table say.
    fn subset(&self, name: &str) -> Option<&str> {
        let own = self.annotation(name).and_then(|video| video.subset.as_deref());
        own.or(self.infos.get(name).map(|info| info.subset.as_str()))
    }
}

/// What became of videos: those that can be used, by name, and why others cannot.
pub type Each<T> = (Vec<(String, T)>, Vec<BadItem>);

impl<'a> Files<'a> {
    /// The files that a recipe names; an empty name is none.
    pub fn of_recipe([features, truth, info]: [&'a str; 3], subset: &'a str) -> Self {
        let path = |text: &'a str| (!text.is_empty()).then(|| Path::new(text));
        let subset = (!subset.is_empty()).then_some(subset);
        Self { features: Path::new(features), truth: path(truth), info: path(info), subset }
    }

    /// Makes something of each video: with annotations of those that are annotated, else of all that have features.
    ///
    /// # Errors
    /// When a file or folder as a whole cannot be read, or no video is left. What is wrong with one video, be it that it has
    /// no features, is in the second list.
    pub fn each<T: Send>(
        &self,
        make: impl Fn(&Listed<'_>) -> Result<T, String> + Sync,
    ) -> Result<Each<T>, DataError> {
        let files = features::list(self.features)?;
        let known = Known::read(self.truth, self.info)?;
        let names: Vec<&String> = match &known.annotations {
            Some(annotated) => annotated.keys().collect(),
            None => files.keys().collect(),
        };
        let wanted = |name: &&String| self.subset.is_none_or(|subset| known.subset(name) == Some(subset));
        let names: Vec<&String> = names.into_iter().filter(wanted).collect();
        if names.is_empty() {
            return Err(self.nothing());
        }
        let read = names.par_iter().map(|name| {
            let Some(file) = files.get(*name) else {
                return Err("the video is annotated but has no features".to_owned());
            };
            let (annotation, info) = (known.annotation(name), known.infos.get(*name));
            make(&Listed { name, file, annotation, labels: &known.labels, info })
        });
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (index, (result, name)) in read.collect::<Vec<_>>().into_iter().zip(&names).enumerate() {
            let name = (*name).clone();
            match result {
                Ok(made) => good.push((name, made)),
                Err(reason) => bad.push(BadItem { index, name, reason }),
            }
        }
        Ok((good, bad))
    }

    fn nothing(&self) -> DataError {
        let reason = match self.subset {
            Some(subset) => format!("no video of the subset `{subset}` is annotated here"),
            None => "no video is here".to_owned(),
        };
        DataError::Content { path: self.truth.unwrap_or(self.features).to_owned(), reason }
    }
}

/// The durations in seconds that annotations and the table of videos tell, by the plain names of the videos.
///
/// # Errors
/// When a file cannot be read, or tells a duration that is not above 0.
pub fn durations(truth: Option<&Path>, info: Option<&Path>) -> Result<BTreeMap<String, f64>, DataError> {
    let known = Known::read(truth, info)?;
    let mut durations = BTreeMap::new();
    let annotated = known.annotations.iter().flat_map(BTreeMap::keys);
    for name in annotated.chain(known.infos.keys()) {
        let told = duration(known.annotation(name), known.infos.get(name));
        let at = |reason: String| {
            let path = truth.or(info).unwrap_or(Path::new("")).to_owned();
            DataError::Content { path, reason: format!("{name}: {reason}") }
        };
        if let Some(seconds) = told.map_err(at)? {
            durations.insert(name.clone(), seconds);
        }
    }
    Ok(durations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_come_from_either_file() {
        let folder = tempfile::tempdir().unwrap();
        let (truth, info) = (folder.path().join("truth.json"), folder.path().join("info.csv"));
        let text = r#"{"v_a": {"duration": 4, "annotations": []}, "v_b": {"annotations": []}}"#;
        std::fs::write(&truth, text).unwrap();
        let row = |name: &str, seconds: &str| format!("{name},1,{seconds},1,1,testing,1\n");
        let table = |rows: String| format!("video,numFrame,seconds,fps,rfps,subset,featureFrame\n{rows}");
        std::fs::write(&info, table(row("v_b", "7") + &row("v_c", "9"))).unwrap();
        let told = durations(Some(&truth), Some(&info)).unwrap();
        assert_eq!(
            told.into_iter().collect::<Vec<_>>(),
            [("a", 4.0), ("b", 7.0), ("c", 9.0)].map(|(n, d)| (n.to_owned(), d))
        );
        assert_eq!(durations(Some(&truth), None).unwrap().len(), 1);
        std::fs::write(&info, table(row("v_c", "0"))).unwrap();
        let message = durations(None, Some(&info)).unwrap_err().to_string();
        assert!(message.contains("info.csv: c: a duration of 0 seconds"), "{message}");
    }
}

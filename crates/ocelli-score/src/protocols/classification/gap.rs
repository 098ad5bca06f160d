//! `gap`: which classes does a video show? The YouTube-8M evaluation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocelli_data::annotations::youtube8m::{self as csv, ScoredVideo};
use ocelli_metrics::multi_label::{MultiLabel, MultiLabelReport, Video};

use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "gap",
    summary: "multi-label video classification (YouTube-8M): GAP, mAP, PERR, Hit@1",
    pred: "CSV `VideoId,LabelConfidencePairs`; several files are the shards of one",
    truth: "CSV `id,class class …`",
    variants: &[Choice { name: "youtube-8m", summary: "the public evaluation code; ties keep their order" }],
    settings: &[Setting {
        name: "top",
        default: "20",
        summary: "a number of classes of each video that are pooled",
    }],
    open,
    perfect: Perfect { write: perfect, expect: &[("gap", 1.0)] },
};

#[derive(Debug)]
struct Videos {
    names: Vec<String>,
    metrics: MultiLabel,
    unknown: usize,
    missing: usize,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let truth_path = inputs.one_truth()?;
    let truth = csv::read_labels(truth_path)?;
    let mut scores: BTreeMap<String, Vec<(usize, f64)>> = BTreeMap::new();
    for path in &inputs.pred {
        for video in csv::read_predictions(path)? {
            if scores.contains_key(&video.id) {
                return Err(ScoreError::content(path, format!("video `{}` is predicted twice", video.id)));
            }
            scores.insert(video.id, video.scores);
        }
    }
    let (mut names, mut videos, mut missing) = (Vec::new(), Vec::new(), 0);
    let mut seen = std::collections::BTreeSet::new();
    for video in truth {
        if !seen.insert(video.id.clone()) {
            return Err(ScoreError::content(truth_path, format!("video `{}` is listed twice", video.id)));
        }
        let found = scores.remove(&video.id);
        missing += usize::from(found.is_none());
        names.push(video.id);
        videos.push(Video { scores: found.unwrap_or_default(), labels: video.labels });
    }
    let metrics = MultiLabel::new(&videos, inputs.setting("top")?)?;
    Ok(Box::new(Videos { names, metrics, unknown: scores.len(), missing }))
}

impl Videos {
    fn of(&self, sample: &[usize]) -> MultiLabelReport {
        let mut times = vec![0; self.names.len()];
        sample.iter().for_each(|&i| times[i] += 1);
        self.metrics.weighted(&times)
    }
}

impl Evaluation for Videos {
    fn unit(&self) -> &'static str {
        "video"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let MultiLabelReport { gap, map, perr, hit_at_1, .. } = self.of(sample);
        Ok([("gap", gap), ("map", map), ("perr", perr), ("hit@1", hit_at_1)].into_iter().collect())
    }

    fn notes(&self) -> Vec<String> {
        let unknown = (self.unknown > 0).then(|| {
            format!("{} predictions of videos that the truth does not list were left out", self.unknown)
        });
        let missing = (self.missing > 0)
            .then(|| format!("{} videos have no prediction and count as missed", self.missing));
        unknown.into_iter().chain(missing).collect()
    }

    fn detail(&self) -> Result<Detail> {
        let report = self.metrics.overall();
        let rows =
            report.ap_per_class.into_iter().map(|(class, ap)| (format!("class {class}"), vec![ap])).collect();
        let mut worst: Vec<(f64, usize)> =
            (0..self.names.len()).map(|i| (self.metrics.of_video(i).1, i)).filter(|w| w.0 < 1.0).collect();
        worst.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let worst = worst.into_iter().take(20);
        let worst =
            worst.map(|(perr, i)| Worst { unit: self.names[i].clone(), what: format!("PERR {perr:.3}") });
        let groups = vec![Group { title: "Classes".to_owned(), columns: vec!["AP".to_owned()], rows }];
        Ok(Detail { groups, worst: worst.collect(), ..Detail::default() })
    }
}

/// Every label with score 1.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let truth = csv::read_labels(inputs.one_truth()?)?;
    let video = |v: csv::LabelledVideo| ScoredVideo {
        id: v.id,
        scores: v.labels.into_iter().map(|class| (class, 1.0)).collect(),
    };
    let file = folder.join("predictions.csv");
    csv::write_predictions(&file, &truth.into_iter().map(video).collect::<Vec<_>>())?;
    Ok(vec![file])
}

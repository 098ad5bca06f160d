//! `detection-temporal`: which actions happen when? mAP at thresholds of temporal overlap.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ocelli_data::annotations::movie_emotions;
use ocelli_data::annotations::thumos::AMBIGUOUS;
use ocelli_metrics::segment::ScoredSegment;
use ocelli_metrics::temporal_detection::{
    Detection, DetectionRecords, Instance, JudgedVideo, RankedDetections, TemporalMap, TemporalOptions,
    TemporalVariant,
};
use rayon::prelude::*;

use super::threshold_name;
use super::videos::{
    BLOCKED, EMOTIONS, PredictedVideo, PredictionFiles, SUBSET, THRESHOLDS, TRUTH_OR_SPLIT, Truth, WINDOWS,
    backwards, counted, segment,
};
use crate::in_order::in_order;
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError,
    Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "detection-temporal",
    summary: "temporal detection of actions and emotions: mAP at thresholds of temporal overlap (ActivityNet, THUMOS14, …)",
    pred: "ActivityNet results JSON (`results: {video: [{label, score, segment}]}`) or THUMOS14's `video start end class score` lines (.txt); for tel `{clip: [{emotion, start, end, score}]}`",
    truth: TRUTH_OR_SPLIT,
    variants: &[
        Choice {
            name: "activitynet",
            summary: "the ActivityNet toolkit: interpolated AP, tIoU 0.5:0.05:0.95",
        },
        Choice {
            name: "thumos",
            summary: "the same matching, AP as the mean precision at hits, tIoU 0.3:0.1:0.7",
        },
        Choice {
            name: "thumos-kit",
            summary: "THUMOS14's MATLAB kit: segments choose detections, 11-point AP, tIoU 0.3:0.1:0.7",
        },
        Choice {
            name: EMOTIONS,
            summary: "emotions of movie clips, in their own files: interpolated AP, tIoU 0.1:0.1:0.7",
        },
    ],
    settings: &[SUBSET, THRESHOLDS, BLOCKED, STRANGERS, WINDOWS],
    open,
    perfect: Perfect { write: perfect, expect: &[("average_mAP", 1.0)] },
};

const STRANGERS: Setting = Setting {
    name: "strangers",
    default: "false",
    summary: "what detections in videos that the truth does not have are: `false`, as in the toolkit, or `ignored`",
};

/// Curves of so many classes fit into one drawing.
const DRAWN: usize = 6;
/// Lines of the table of worst videos.
const LISTED: usize = 20;

#[derive(Debug)]
struct Judged {
    /// The videos of the truth.
    names: Vec<String>,
    /// Where each of them stands among the records, which are in the order of the predictions.
    record_of: Vec<usize>,
    /// Whether the record is of a video that the truth does not have.
    is_strange: Vec<bool>,
    records: DetectionRecords,
    ranked: RankedDetections,
    classes: Vec<String>,
    notes: Vec<String>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let truth = Truth::read(inputs)?;
    let files = PredictionFiles::read(inputs)?;
    let mut videos = files.videos(&truth)?;
    // Emotions are judged as ActivityNet's actions, at lower overlaps.
    let (variant, usual) = match inputs.variant() {
        EMOTIONS => (TemporalVariant::ActivityNet, vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        name => {
            let variant: TemporalVariant = name.parse()?;
            (variant, variant.usual_thresholds())
        }
    };
    let thresholds = inputs.list(THRESHOLDS.name)?;
    let thresholds = if thresholds.is_empty() { usual } else { thresholds };
    let classes = Classes::new(&truth);
    let options = TemporalOptions { variant, thresholds, classes: classes.names.len() };
    let mut notes = Vec::new();
    if keep_strangers(inputs)? {
        note_strangers(&videos, "false", &mut notes);
    } else {
        note_strangers(&videos, "ignored", &mut notes);
        videos.retain(|v| v.truth.is_some());
    }
    notes.extend(backwards(&videos, "detection"));
    let judged = classes.judge(&truth, &videos, &options)?;
    if judged.unknown > 0 {
        let what = counted(judged.unknown, "detection");
        notes.push(format!("left out: {what} of labels that the truth does not have"));
    }
    let ranked = judged.records.ranked();
    Ok(Box::new(Judged {
        names: truth.videos().iter().map(|v| v.name.clone()).collect(),
        record_of: judged.record_of,
        is_strange: judged.is_strange,
        records: judged.records,
        ranked,
        classes: classes.names,
        notes,
    }))
}

fn keep_strangers(inputs: &Inputs) -> Result<bool> {
    let value: String = inputs.setting(STRANGERS.name)?;
    match value.as_str() {
        "false" => Ok(true),
        "ignored" => Ok(false),
        _ => Err(ScoreError::Setting {
            key: STRANGERS.name.into(),
            value,
            reason: format!("expected {}", STRANGERS.summary),
        }),
    }
}

fn note_strangers(videos: &[PredictedVideo<'_>], what: &str, notes: &mut Vec<String>) {
    let strange = videos.iter().filter(|v| v.truth.is_none());
    let (videos, detections) = strange.fold((0, 0), |(v, d), video| (v + 1, d + video.predictions.len()));
    if videos > 0 {
        let (detections, videos) = (counted(detections, "detection"), counted(videos, "video"));
        notes.push(format!("{detections} in {videos} that the scored subset does not have: {what}"));
    }
}

/// The labels that occur in the scored videos.
struct Classes {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

/// All videos judged.
struct Judgement {
    records: DetectionRecords,
    record_of: Vec<usize>,
    is_strange: Vec<bool>,
    /// Detections of labels that the truth does not have.
    unknown: usize,
}

impl Classes {
    fn new(truth: &Truth) -> Self {
        let mut classes = Self { names: Vec::new(), numbers: HashMap::new() };
        for segment in truth.videos().iter().flat_map(|v| &v.segments) {
            let label = truth.annotations.label(segment.label);
            if label != AMBIGUOUS && !classes.numbers.contains_key(label) {
                classes.numbers.insert(label.to_owned(), classes.names.len() as u32);
                classes.names.push(label.to_owned());
            }
        }
        classes
    }

    fn judge(
        &self,
        truth: &Truth,
        videos: &[PredictedVideo<'_>],
        options: &TemporalOptions,
    ) -> Result<Judgement> {
        let mut records = DetectionRecords::new(options.clone())?;
        let judged: Vec<(JudgedVideo, usize)> =
            in_order(videos.par_iter().map(|video| self.video(truth, video, options)))?;
        let unknown = judged.iter().map(|(_, unknown)| unknown).sum();
        let mut record_of = vec![None; truth.videos().len()];
        let mut is_strange = Vec::new();
        for (record, ((judged, _), video)) in judged.into_iter().zip(videos).enumerate() {
            records.push(judged);
            is_strange.push(video.truth.is_none());
            if let Some(truth) = video.truth {
                record_of[truth] = Some(record);
            }
        }
        let mut places = Vec::new();
        for (video, place) in record_of.into_iter().enumerate() {
            places.push(place.unwrap_or(is_strange.len()));
            if place.is_none() {
                records.push(JudgedVideo::new(&self.instances(truth, video), &[], options)?);
                is_strange.push(false);
            }
        }
        Ok(Judgement { records, record_of: places, is_strange, unknown })
    }

    /// The judgement of a video, and how many of its detections have an unknown label.
    fn video(
        &self,
        truth: &Truth,
        video: &PredictedVideo<'_>,
        options: &TemporalOptions,
    ) -> Result<(JudgedVideo, usize)> {
        let numbers: Vec<Option<u32>> = video.labels.iter().map(|l| self.numbers.get(l).copied()).collect();
        let mut detections = Vec::with_capacity(video.predictions.len());
        for (entry, p) in video.predictions.iter().enumerate() {
            let Some(label) = p.label else {
                let reason = format!("video `{}`, entry {} has no label", video.name, entry + 1);
                return Err(ScoreError::content(video.path, reason));
            };
            if let Some(class) = numbers[label as usize] {
                let scored = ScoredSegment { segment: segment(p.segment), score: p.score };
                detections.push(Detection { class, scored });
            }
        }
        let instances = video.truth.map_or_else(Vec::new, |number| self.instances(truth, number));
        let unknown = video.predictions.len() - detections.len();
        Ok((JudgedVideo::new(&instances, &detections, options)?, unknown))
    }

    fn instances(&self, truth: &Truth, video: usize) -> Vec<Instance> {
        let class = |label| self.numbers.get(truth.annotations.label(label)).copied();
        let segments = truth.videos()[video].segments.iter();
        segments.map(|s| Instance { class: class(s.label), segment: segment(s.segment) }).collect()
    }
}

impl Judged {
    fn summary(&self, sample: &[usize]) -> Result<TemporalMap> {
        let mut copies: Vec<u32> = self.is_strange.iter().map(|&strange| u32::from(strange)).collect();
        sample.iter().for_each(|&video| copies[self.record_of[video]] += 1);
        Ok(self.ranked.summary_of(&copies)?)
    }

    fn by_class(&self, summary: &TemporalMap) -> Group {
        let thresholds = &self.records.options().thresholds;
        let mut columns = vec!["average AP".to_owned()];
        columns.extend(thresholds.iter().map(|t| format!("AP@{}", threshold_name(*t))));
        columns.push("segments".to_owned());
        let row = |class: usize| {
            let ap: Vec<f64> = summary.average_precision.iter().map(|row| row[class]).collect();
            let mean = ap.iter().sum::<f64>() / ap.len() as f64;
            let segments = summary.positives[class] as f64;
            let values = std::iter::once(mean).chain(ap).chain([segments]).collect();
            (self.classes[class].clone(), values)
        };
        let mut rows: Vec<(String, Vec<f64>)> = (0..self.classes.len()).map(row).collect();
        rows.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]).then_with(|| a.0.cmp(&b.0)));
        Group { title: "By class".into(), columns, rows }
    }

    fn curves(&self, summary: &TemporalMap) -> Vec<Curve> {
        let thresholds = &self.records.options().thresholds;
        let mut largest: Vec<usize> = (0..self.classes.len()).collect();
        largest.sort_by_key(|&class| std::cmp::Reverse(summary.positives[class]));
        largest.truncate(DRAWN);
        let line = |class: usize| (self.classes[class].clone(), self.ranked.precision_recall(class, 0));
        vec![
            Curve {
                title: "mAP over the threshold".into(),
                x: "tIoU".into(),
                y: "mAP".into(),
                lines: vec![(
                    "mAP".into(),
                    thresholds.iter().copied().zip(summary.map.iter().copied()).collect(),
                )],
            },
            Curve {
                title: format!("Precision at tIoU {}, largest classes", threshold_name(thresholds[0])),
                x: "recall".into(),
                y: "precision".into(),
                lines: largest.into_iter().map(line).collect(),
            },
        ]
    }

    /// Videos with most segments missed at the first threshold.
    fn worst(&self) -> Vec<Worst> {
        let missed = |record: usize| {
            let video = &self.records.videos()[record];
            video.truths() - video.hits(0)
        };
        let mut order: Vec<usize> =
            (0..self.names.len()).filter(|&v| missed(self.record_of[v]) > 0).collect();
        order.sort_by_key(|&v| std::cmp::Reverse(missed(self.record_of[v])));
        order.truncate(LISTED);
        let describe = |v: usize| {
            let video = &self.records.videos()[self.record_of[v]];
            let (missed, wrong) = (missed(self.record_of[v]), video.len() - video.hits(0));
            let what = format!("{missed} of {} missed, {wrong} false", counted(video.truths(), "segment"));
            Worst { unit: self.names[v].clone(), what }
        };
        order.into_iter().map(describe).collect()
    }
}

impl Evaluation for Judged {
    fn unit(&self) -> &'static str {
        "video"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let summary = self.summary(sample)?;
        let mut metrics = Metrics::new().with("average_mAP", summary.average_map);
        for (threshold, map) in self.records.options().thresholds.iter().zip(&summary.map) {
            metrics.set(format!("mAP@{}", threshold_name(*threshold)), *map);
        }
        Ok(metrics)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let summary = self.summary(&(0..self.names.len()).collect::<Vec<_>>())?;
        let groups = vec![self.by_class(&summary)];
        Ok(Detail { groups, curves: self.curves(&summary), worst: self.worst() })
    }
}

fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let file = folder.join("detections.json");
    let truth = Truth::read(inputs)?.as_results(true);
    match inputs.variant() {
        EMOTIONS => movie_emotions::write_predictions(&file, &truth)?,
        _ => truth.write(&file)?,
    }
    Ok(vec![file])
}

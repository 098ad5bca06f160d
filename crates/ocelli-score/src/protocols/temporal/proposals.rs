//! `proposals`: do the segments cover the actions of a video? AR@AN and the area under it.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::thumos::AMBIGUOUS;
use ocelli_metrics::proposals::{ProposalRecords, RecallCurve, VideoProposals};
use ocelli_metrics::segment::{ScoredSegment, Segment, linspace};
use rayon::prelude::*;

use super::threshold_name;
use super::videos::{
    BLOCKED, PredictedVideo, PredictionFiles, SUBSET, THRESHOLDS, TRUTH, Truth, backwards, counted, segment,
};
use crate::in_order::in_order;
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError,
    Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "proposals",
    summary: "temporal proposals: average recall by average number of proposals, and its area (ActivityNet, THUMOS14)",
    pred: "ActivityNet results JSON, `results: {video: [{score, segment}]}`; labels play no part",
    truth: TRUTH,
    variants: &[
        Choice {
            name: "activitynet",
            summary: "the ActivityNet toolkit: AUC and AR@AN of one curve, tIoU 0.5:0.05:0.95",
        },
        Choice { name: "thumos", summary: "AR@AN of a curve for each AN, tIoU 0.5:0.05:1.0" },
    ],
    settings: &[SUBSET, THRESHOLDS, LIMIT, AT, BLOCKED],
    open,
    perfect: Perfect { write: perfect, expect: &[("AR@100", 1.0)] },
};

const LIMIT: Setting = Setting {
    name: "limit",
    default: "100",
    summary: "variant activitynet: the largest average number of proposals a video, or `all` for their number",
};

const AT: Setting = Setting {
    name: "at",
    default: "",
    summary: "numbers of proposals to report recall at; empty: 1,5,10,100 or for thumos 50,100,200,500,1000",
};

/// Lines of the table of worst videos.
const LISTED: usize = 20;

#[derive(Debug)]
struct Proposals {
    names: Vec<String>,
    records: ProposalRecords,
    reading: Reading,
    notes: Vec<String>,
}

/// What is read off the curve.
#[derive(Debug)]
enum Reading {
    /// One curve up to a limit, and its values at some numbers.
    OneCurve(f64, Vec<f64>),
    /// One curve up to the number of proposals there are.
    All,
    /// The ends of curves up to each number.
    Ends(Vec<f64>),
}

impl Reading {
    fn new(inputs: &Inputs) -> Result<Self> {
        let at: Vec<f64> = inputs.list(AT.name)?;
        let or = |usual: &[f64]| if at.is_empty() { usual.to_vec() } else { at.clone() };
        if inputs.variant() == "thumos" {
            return Ok(Self::Ends(or(&[50.0, 100.0, 200.0, 500.0, 1000.0])));
        }
        if inputs.setting::<String>(LIMIT.name)? == "all" {
            return Ok(Self::All);
        }
        let limit: f64 = inputs.setting(LIMIT.name)?;
        let is_point =
            |n: &f64| (n * 100.0 / limit - (n * 100.0 / limit).round()).abs() < 1e-9 && *n <= limit;
        let at = match at.is_empty() {
            true => [1.0, 5.0, 10.0, 100.0].into_iter().filter(is_point).collect(),
            false => at,
        };
        match at.iter().find(|n| !is_point(n) || **n <= 0.0) {
            None => Ok(Self::OneCurve(limit, at)),
            Some(n) => Err(ScoreError::Setting {
                key: AT.name.into(),
                value: n.to_string(),
                reason: format!(
                    "the curve up to {limit} has its hundred points at multiples of {}",
                    limit / 100.0
                ),
            }),
        }
    }

    fn limit(&self) -> Option<f64> {
        match self {
            Self::OneCurve(limit, _) => Some(*limit),
            Self::All => None,
            Self::Ends(at) => at.iter().copied().reduce(f64::max),
        }
    }

    fn metrics(&self, records: &ProposalRecords, sample: &[usize]) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        if let Self::Ends(at) = self {
            for &number in at {
                let curve = records.curve_of_sample(sample, Some(number))?;
                metrics.set(format!("AR@{number}"), end(&curve.average_recall));
            }
            return Ok(metrics);
        }
        let curve = records.curve_of_sample(sample, self.limit())?;
        metrics.set("AUC", curve.auc);
        match self {
            Self::OneCurve(limit, at) => at.iter().for_each(|&number| {
                metrics.set(format!("AR@{number}"), curve.at(number, *limit).unwrap_or(f64::NAN));
            }),
            _ => {
                metrics.set("AR", end(&curve.average_recall)).set("AN", end(&curve.proposals_per_video));
            }
        }
        Ok(metrics)
    }
}

fn end(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let truth = Truth::read(inputs)?;
    let files = PredictionFiles::read(inputs)?;
    let videos = files.videos(&truth)?;
    let thresholds: Vec<f64> = inputs.list(THRESHOLDS.name)?;
    let thresholds = match (thresholds.is_empty(), inputs.variant()) {
        (false, _) => thresholds,
        (true, "thumos") => linspace(0.5, 1.0, 11),
        (true, _) => linspace(0.5, 0.95, 10),
    };
    let mut of_video: Vec<&[_]> = vec![&[]; truth.videos().len()];
    videos.iter().for_each(|v| {
        if let Some(number) = v.truth {
            of_video[number] = v.predictions;
        }
    });
    // Only videos that have truth are averaged over.
    let segments: Vec<Vec<Segment>> = (0..of_video.len()).map(|v| certain(&truth, v)).collect();
    let counted_videos: Vec<usize> = (0..of_video.len()).filter(|&v| !segments[v].is_empty()).collect();
    let record = |&v: &usize| {
        let scored =
            of_video[v].iter().map(|p| ScoredSegment { segment: segment(p.segment), score: p.score });
        VideoProposals::new(&segments[v], &scored.collect::<Vec<_>>(), &thresholds)
    };
    let mut records = ProposalRecords::new(&thresholds)?;
    records.videos = in_order(counted_videos.par_iter().map(record))?;
    let all: usize = videos.iter().map(|v| v.predictions.len()).sum();
    records.outside = all - records.videos.iter().map(VideoProposals::proposals).sum::<usize>();
    let names = counted_videos.iter().map(|&v| truth.videos()[v].name.clone()).collect();
    let notes = notes(&videos, &records);
    Ok(Box::new(Proposals { names, records, reading: Reading::new(inputs)?, notes }))
}

fn certain(truth: &Truth, video: usize) -> Vec<Segment> {
    let segments = truth.videos()[video].segments.iter();
    let certain = segments.filter(|s| truth.annotations.label(s.label) != AMBIGUOUS);
    certain.map(|s| segment(s.segment)).collect()
}

fn notes(videos: &[PredictedVideo<'_>], records: &ProposalRecords) -> Vec<String> {
    let mut notes = Vec::new();
    if records.outside > 0 {
        let outside = counted(records.outside, "proposal");
        notes.push(format!(
            "{outside} of videos without truth, lowering the share that is kept of the others as in the toolkit"
        ));
    }
    match records.videos.iter().filter(|v| v.proposals() == 0).count() {
        0 => {}
        n => notes.push(format!("{} with truth but without proposals", counted(n, "video"))),
    }
    notes.extend(backwards(videos, "proposal"));
    notes
}

impl Evaluation for Proposals {
    fn unit(&self) -> &'static str {
        "video"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        self.reading.metrics(&self.records, sample)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let curve = self.records.curve(self.reading.limit())?;
        let thresholds = self.records.thresholds();
        let rows = thresholds.iter().zip(&curve.recall).map(|(t, row)| (threshold_name(*t), vec![end(row)]));
        let groups = vec![Group {
            title: "Recall at the end of the curve, by tIoU".into(),
            columns: vec!["recall".into()],
            rows: rows.collect(),
        }];
        Ok(Detail { groups, curves: vec![drawn(&curve, thresholds)], worst: self.worst() })
    }
}

fn drawn(curve: &RecallCurve, thresholds: &[f64]) -> Curve {
    let line =
        |recall: &[f64]| curve.proposals_per_video.iter().copied().zip(recall.iter().copied()).collect();
    let mut lines = vec![("average".to_owned(), line(&curve.average_recall))];
    let middle = thresholds.len() / 2;
    for t in [0, middle, thresholds.len() - 1] {
        let name = format!("tIoU {}", threshold_name(thresholds[t]));
        if lines.iter().all(|(known, _)| *known != name) {
            lines.push((name, line(&curve.recall[t])));
        }
    }
    Curve { title: "Recall".into(), x: "proposals a video, on average".into(), y: "recall".into(), lines }
}

impl Proposals {
    /// Videos with most segments that no proposal reaches at the first threshold.
    fn worst(&self) -> Vec<Worst> {
        let videos = &self.records.videos;
        let mut order: Vec<usize> = (0..videos.len()).filter(|&v| videos[v].missed(0) > 0).collect();
        order.sort_by_key(|&v| std::cmp::Reverse(videos[v].missed(0)));
        order.truncate(LISTED);
        let describe = |v: usize| {
            let (missed, all) = (videos[v].missed(0), counted(videos[v].truths(), "segment"));
            let what =
                format!("{missed} of {all} found by none of {}", counted(videos[v].proposals(), "proposal"));
            Worst { unit: self.names[v].clone(), what }
        };
        order.into_iter().map(describe).collect()
    }
}

fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let file = folder.join("proposals.json");
    Truth::read(inputs)?.as_results(false).write(&file)?;
    Ok(vec![file])
}

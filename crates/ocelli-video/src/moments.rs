//! What the cases of several methods share: flat lists of segments, brought to the evaluators of moments in videos.

use std::collections::BTreeMap;

use ocelli_method::{Array, Data, Outputs, Replay, ReplayError};
use ocelli_metrics::proposals::{ProposalRecords, RecallCurve, VideoProposals};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_metrics::temporal_detection::{
    Detection, DetectionRecords, Instance, JudgedVideo, TemporalMap, TemporalOptions, TemporalVariant,
};

/// A segment of the truth: its video, and a class where there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct True {
    pub(crate) video: i64,
    pub(crate) class: i64,
    pub(crate) segment: Segment,
}

/// A predicted segment likewise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predicted {
    pub(crate) video: i64,
    pub(crate) class: i64,
    pub(crate) scored: ScoredSegment,
}

/// The rows of an input of `N` columns.
pub(crate) fn rows<const N: usize>(case: &Replay<'_>, name: &str) -> Result<Vec<[f64; N]>, ReplayError> {
    let [_, columns] = case.dims(name)?;
    if columns != N {
        return Err(ReplayError::refused(format!("`{name}` has {columns} columns; {N} are expected")));
    }
    Ok(case.doubles(name)?.as_chunks().0.to_vec())
}

/// A matrix with these rows.
pub(crate) fn table(rows: &[Vec<f64>]) -> Result<Array, ReplayError> {
    let shape = [rows.len(), rows.first().map_or(0, Vec::len)];
    Array::new(shape, Data::F64(rows.concat())).map_err(ReplayError::refused)
}

/// The recall of proposals, videos in the order of the truth. No limit, or one of 0, is that of the number of proposals.
pub(crate) fn recall(
    truth: &[True],
    predicted: &[Predicted],
    thresholds: &[f64],
    limit: Option<f64>,
) -> Result<RecallCurve, ReplayError> {
    let mut videos: Vec<i64> = Vec::new();
    let mut segments: BTreeMap<i64, Vec<Segment>> = BTreeMap::new();
    for t in truth {
        segments.entry(t.video).or_insert_with(|| {
            videos.push(t.video);
            Vec::new()
        });
        segments.entry(t.video).or_default().push(t.segment);
    }
    let mut proposals: BTreeMap<i64, Vec<ScoredSegment>> = BTreeMap::new();
    predicted.iter().for_each(|p| proposals.entry(p.video).or_default().push(p.scored));
    let mut records = ProposalRecords::new(thresholds).map_err(ReplayError::refused)?;
    for video in &videos {
        let own = proposals.remove(video).unwrap_or_default();
        let record = VideoProposals::new(&segments[video], &own, thresholds);
        records.videos.push(record.map_err(ReplayError::refused)?);
    }
    records.outside = proposals.values().map(Vec::len).sum();
    records.curve(limit.filter(|l| *l != 0.0)).map_err(ReplayError::refused)
}

/// A curve under the names `recall`, `auc` and those given for average recall and number of proposals.
pub(crate) fn curve_outputs(
    curve: RecallCurve,
    [average, number]: [&str; 2],
) -> Result<Outputs, ReplayError> {
    Ok(Outputs::new()
        .with("recall", table(&curve.recall)?)
        .with(average, Array::vector_f64(curve.average_recall))
        .with(number, Array::vector_f64(curve.proposals_per_video))
        .with("auc", curve.auc))
}

/// Mean average precision over `classes`, columns in their order; other classes are left out.
pub(crate) fn mean_average_precision(
    truth: &[True],
    predicted: &[Predicted],
    classes: &[i64],
    thresholds: &[f64],
    variant: TemporalVariant,
) -> Result<TemporalMap, ReplayError> {
    let numbers: BTreeMap<i64, u32> = classes.iter().copied().zip(0..).collect();
    let mut videos: BTreeMap<i64, (Vec<Instance>, Vec<Detection>)> = BTreeMap::new();
    for t in truth {
        if let Some(&class) = numbers.get(&t.class) {
            let instance = Instance { class: Some(class), segment: t.segment };
            videos.entry(t.video).or_default().0.push(instance);
        }
    }
    for (p, place) in predicted.iter().zip(places(predicted)?) {
        if let Some(&class) = numbers.get(&p.class) {
            let scored = ScoredSegment { segment: p.scored.segment, score: -(place as f64) };
            videos.entry(p.video).or_default().1.push(Detection { class, scored });
        }
    }
    let options = TemporalOptions { variant, thresholds: thresholds.to_vec(), classes: classes.len() };
    let mut records = DetectionRecords::new(options.clone()).map_err(ReplayError::refused)?;
    for (instances, detections) in videos.values() {
        let video = JudgedVideo::new(instances, detections, &options);
        records.push(video.map_err(ReplayError::refused)?);
    }
    records.ranked().summary().map_err(ReplayError::refused)
}

/// The place of each prediction by falling score. Equal scores keep the order of the list, in which videos may alternate:
/// by their places they do so, whatever the order of videos.
fn places(predicted: &[Predicted]) -> Result<Vec<usize>, ReplayError> {
    if let Some(p) = predicted.iter().find(|p| !p.scored.score.is_finite()) {
        return Err(ReplayError::refused(format!("a score is {}", p.scored.score)));
    }
    let mut order: Vec<usize> = (0..predicted.len()).collect();
    let score = |i: usize| predicted[i].scored.score + 0.0;
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    let mut places = vec![0; order.len()];
    order.into_iter().enumerate().for_each(|(place, i)| places[i] = place);
    Ok(places)
}

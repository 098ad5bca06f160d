//! Components: features, inference and the evaluator.

use ocelli_method::{Array, Outputs, Replay, ReplayError};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use serde::Deserialize;

use crate::dbg::propose::{ProposeConfig, VideoScores};
use crate::moments::{Predicted, True, curve_outputs, recall, rows, table};
use crate::temporal::features::{Sequence, Snippets};
use crate::temporal::sampler::proposals;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RescaleConfig {
    num_prop: usize,
    num_sample_bin: usize,
    frames: f64,
    seconds: f64,
    stride: f64,
}

pub(super) fn rescale(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let RescaleConfig { num_prop, num_sample_bin, frames, seconds, stride } = case.config()?;
    let x = Sequence::new(case.floats("x")?.to_vec(), case.dims("x")?).map_err(ReplayError::refused)?;
    let snippets = Snippets { frames, seconds, stride };
    let pooled = x.pooled(num_prop, num_sample_bin, snippets).map_err(ReplayError::refused)?;
    let array = |x: &Sequence| {
        Array::f32([x.rows(), x.channels()], x.values().to_vec()).map_err(ReplayError::refused)
    };
    Ok(Outputs::new().with("y", array(&pooled)?).with("resized", array(&x.resized(num_prop))?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InferenceConfig {
    top_number: usize,
    duration: f64,
    nms_base: f64,
    nms_slope: f64,
    sigma: f64,
}

pub(super) fn inference(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let InferenceConfig { top_number, duration, nms_base, nms_slope, sigma } = case.config()?;
    let config = ProposeConfig { top_number, nms_base, nms_slope, sigma };
    let [cells, _] = case.dims("iou")?;
    let valid = |name: &str| {
        if case.dims(name)? != [cells; 2] {
            return Err(ReplayError::refused(format!("`{name}` is no map of {cells} x {cells}")));
        }
        let map = case.floats(name)?;
        Ok(proposals(cells).map(|(i, j)| map[i * cells + j]).collect::<Vec<f32>>())
    };
    let (iou, start, end) = (valid("iou")?, valid("prop_start")?, valid("prop_end")?);
    let scores = VideoScores::new(cells, [&iou, &start, &end]);
    let candidates = scores.candidates().into_iter().map(|c| {
        let Segment { start, end } = c.scored.segment;
        vec![c.iou, c.start, c.end, start, end, c.scored.score]
    });
    let kept = scores.proposals(duration, &config).into_iter();
    let kept = kept.map(|p| vec![p.segment.start, p.segment.end, p.score]);
    Ok(Outputs::new()
        .with("candidates", table(&candidates.collect::<Vec<_>>())?)
        .with("proposals", table(&kept.collect::<Vec<_>>())?)
        .with("start", Array::vector_f64(scores.start))
        .with("end", Array::vector_f64(scores.end)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallConfig {
    max_avg_nr_proposals: Option<f64>,
    tiou_thresholds: Vec<f64>,
}

pub(super) fn average_recall(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: RecallConfig = case.config()?;
    let truth = rows::<3>(case, "gt")?.into_iter();
    let truth: Vec<True> = truth
        .map(|[video, start, end]| True { video: video as i64, class: 0, segment: Segment::new(start, end) })
        .collect();
    let proposals = rows::<4>(case, "proposals")?.into_iter().map(|[video, start, end, score]| {
        let scored = ScoredSegment { segment: Segment::new(start, end), score };
        Predicted { video: video as i64, class: 0, scored }
    });
    let proposals: Vec<Predicted> = proposals.collect();
    let curve = recall(&truth, &proposals, &config.tiou_thresholds, config.max_avg_nr_proposals)?;
    curve_outputs(curve, ["avg_recall", "avg_nr_proposals"])
}

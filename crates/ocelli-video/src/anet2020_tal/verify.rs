//! Reference-case components.

mod pipeline;

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_metrics::temporal_detection::TemporalVariant;
use serde::Deserialize;

use crate::moments::{Predicted, True, curve_outputs, mean_average_precision, recall, rows, table};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "metric.recall", run: average_recall },
    Component { name: "metric.map", run: map },
    Component { name: "features", run: pipeline::features },
    Component { name: "nms", run: pipeline::nms },
    Component { name: "ensemble", run: pipeline::ensemble },
    Component { name: "pipeline", run: pipeline::pipeline },
];

/// Truth and predictions, from an array for each field.
fn lists(case: &Replay<'_>, with_labels: bool) -> Result<(Vec<True>, Vec<Predicted>), ReplayError> {
    let labels = |name: &str, count: usize| match with_labels {
        true => case.integers(name).map(<[i64]>::to_vec),
        false => Ok(vec![0; count]),
    };
    let (videos, segments) = (case.integers("gt_video")?, rows::<2>(case, "gt_segment")?);
    let classes = labels("gt_label", videos.len())?;
    same_length("gt", [videos.len(), segments.len(), classes.len()])?;
    let truth = videos.iter().zip(&classes).zip(&segments);
    let truth =
        truth.map(|((&video, &class), &s)| True { video, class, segment: Segment::from(s) }).collect();

    let (videos, segments) = (case.integers("pred_video")?, rows::<2>(case, "pred_segment")?);
    let (classes, scores) = (labels("pred_label", videos.len())?, case.doubles("pred_score")?);
    same_length("pred", [videos.len(), segments.len(), classes.len()])?;
    same_length("pred", [videos.len(), scores.len(), scores.len()])?;
    let predicted = videos.iter().zip(&classes).zip(segments.iter().zip(&scores));
    let predicted = predicted.map(|((&video, &class), (&s, &score))| {
        let scored = ScoredSegment { segment: Segment::from(s), score };
        Predicted { video, class, scored }
    });
    Ok((truth, predicted.collect()))
}

fn same_length(lists: &str, lengths: [usize; 3]) -> Result<(), ReplayError> {
    match lengths {
        [a, b, c] if a == b && b == c => Ok(()),
        _ => Err(ReplayError::refused(format!("the lists `{lists}_…` differ in length: {lengths:?}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallConfig {
    max_avg_nr_proposals: Option<f64>,
    tiou_thresholds: Vec<f64>,
}

fn average_recall(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: RecallConfig = case.config()?;
    let (truth, predicted) = lists(case, false)?;
    let curve = recall(&truth, &predicted, &config.tiou_thresholds, config.max_avg_nr_proposals)?;
    curve_outputs(curve, ["average_recall", "proposals_per_video"])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapConfig {
    tiou_thresholds: Vec<f64>,
    classes: Vec<i64>,
}

fn map(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: MapConfig = case.config()?;
    let (truth, predicted) = lists(case, true)?;
    let of = |variant| {
        mean_average_precision(&truth, &predicted, &config.classes, &config.tiou_thresholds, variant)
    };
    let (activitynet, thumos) = (of(TemporalVariant::ActivityNet)?, of(TemporalVariant::Thumos)?);
    Ok(Outputs::new()
        .with("ap", table(&activitynet.average_precision)?)
        .with("thumos_ap", table(&thumos.average_precision)?)
        .with("map", Array::vector_f64(activitynet.map))
        .with("average_map", activitynet.average_map))
}

//! Reference-case components.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use serde::Deserialize;

use crate::moments::{Predicted, True, curve_outputs, recall, rows};

/// The components.
pub(super) const COMPONENTS: &[Component] =
    &[Component { name: "metric.anet_proposal", run: average_recall }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    max_avg_nr_proposals: Option<f64>,
    tiou_thresholds: Vec<f64>,
}

fn average_recall(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = case.config()?;
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

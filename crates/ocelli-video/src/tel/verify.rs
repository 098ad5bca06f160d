//! Reference-case components.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_metrics::temporal_detection::TemporalVariant;
use serde::Deserialize;

use crate::moments::{Predicted, True, mean_average_precision, rows, table};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.map", run: map }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    thresholds: Vec<f64>,
}

fn map(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = case.config()?;
    let truth = rows::<4>(case, "gt")?.into_iter();
    let truth: Vec<True> = truth
        .map(|[class, video, start, end]| True {
            video: video as i64,
            class: class as i64,
            segment: Segment::new(start, end),
        })
        .collect();
    let predicted = rows::<5>(case, "det")?.into_iter().map(|[class, video, start, end, score]| {
        let scored = ScoredSegment { segment: Segment::new(start, end), score };
        Predicted { video: video as i64, class: class as i64, scored }
    });
    let predicted: Vec<Predicted> = predicted.collect();
    // A column for each class of the truth, rising.
    let mut classes: Vec<i64> = truth.iter().map(|t| t.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let summary = mean_average_precision(
        &truth,
        &predicted,
        &classes,
        &config.thresholds,
        TemporalVariant::ActivityNet,
    )?;
    Ok(Outputs::new()
        .with("ap", table(&summary.average_precision)?)
        .with("map", Array::vector_f64(summary.map))
        .with("average", summary.average_map))
}

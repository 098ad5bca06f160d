//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::multi_label::{MultiLabel, Video};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric", run: metric }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricConfig {
    top_k: usize,
}

fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let MetricConfig { top_k } = case.config()?;
    let [videos, classes] = case.dims::<2>("p")?;
    if case.dims::<2>("labels")? != [videos, classes] || classes == 0 {
        return Err(ReplayError::refused("p and labels of one shape [videos, classes] are expected"));
    }
    let (scores, labels) = (case.doubles("p")?, case.booleans("labels")?);
    let rows = scores.chunks_exact(classes).zip(labels.chunks_exact(classes));
    let videos: Vec<Video> = rows
        .map(|(scores, labels)| Video {
            scores: scores.iter().copied().enumerate().collect(),
            labels: (0..classes).filter(|&k| labels[k]).collect(),
        })
        .collect();
    let found = MultiLabel::new(&videos, top_k).map_err(ReplayError::refused)?.overall();
    // The tool accumulates over batches; here batches are one list, so both values are the same.
    Ok(Outputs::new()
        .with("gap", found.gap)
        .with("gap_once", found.gap)
        .with("map", found.map)
        .with("ap_per_class", Array::vector_f64(found.ap_per_class.into_iter().map(|(_, ap)| ap)))
        .with("hit1", found.hit_at_1)
        .with("perr", found.perr))
}

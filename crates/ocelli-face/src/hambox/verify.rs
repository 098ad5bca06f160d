//! Reference-case components.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::detection::wider_face::{ScoreRange, WiderOptions};
use serde::Deserialize;

use crate::wider::{CountFrom, Names, records};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.widerface", run: average_precision }];

/// The subsets of the validation faces.
const SUBSETS: [&str; 3] = ["easy", "medium", "hard"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    images: usize,
    thresholds: usize,
    iou: f64,
}

fn average_precision(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Config { images, thresholds, iou } = case.config()?;
    let options = WiderOptions { overlap: iou, steps: thresholds, range: ScoreRange::Official };
    let names = Names { joint: "", subsets: &SUBSETS, count_from: CountFrom::One };
    let records = records(case, images, names, &options)?;
    let all: Vec<usize> = (0..images).collect();
    let mut outputs = Outputs::new();
    for (subset, name) in SUBSETS.iter().enumerate() {
        let curve = options.measure(&records, subset, &all);
        outputs.set(format!("ap_{name}"), curve.average_precision);
        outputs.set(format!("count_{name}"), Array::integers([curve.faces as i64]));
    }
    Ok(outputs)
}

//! Reference-case components.

use std::collections::BTreeMap;

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::detection::imagenet_vid::{FrameRecords, VidFound, VidObject, VidOptions, VidRanking};
use serde::Deserialize;

use crate::moments::rows;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.vid", run: average_precision }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The background, number 0, included.
    num_classes: usize,
    /// Frames are those that rows name; one without rows changes nothing.
    #[serde(rename = "num_images")]
    _num_images: usize,
    iou_threshold: f64,
    pixel_tolerance: f64,
}

/// Image, class from 0 and box of each thing of a kind.
fn things(case: &Replay<'_>, kind: &str, classes: usize) -> Result<Vec<(i64, u32, [f64; 4])>, ReplayError> {
    let name = |what: &str| format!("{kind}_{what}");
    let images = case.integers(&name("image"))?;
    let labels = case.integers(&name("label"))?;
    let boxes: Vec<[f64; 4]> = rows(case, &name("box"))?;
    if [labels.len(), boxes.len()] != [images.len(); 2] {
        return Err(ReplayError::refused(format!("inputs of `{kind}` differ in length")));
    }
    let each =
        images.iter().zip(labels).zip(boxes).map(|((&image, &label), corners)| {
            match usize::try_from(label) {
                Ok(class) if (1..=classes).contains(&class) => Ok((image, class as u32 - 1, corners)),
                _ => {
                    Err(ReplayError::refused(format!("{kind}: label {label} is not between 1 and {classes}")))
                }
            }
        });
    each.collect()
}

fn average_precision(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = case.config()?;
    let classes = config.num_classes.saturating_sub(1);
    let options = VidOptions {
        overlap: config.iou_threshold,
        tolerance: config.pixel_tolerance,
        ..VidOptions::default()
    };
    let mut frames: BTreeMap<i64, (Vec<VidObject>, Vec<VidFound>)> = BTreeMap::new();
    for (image, category, corners) in things(case, "gt", classes)? {
        frames.entry(image).or_default().0.push(VidObject { category, corners, motion: 1.0 });
    }
    let scores = case.doubles("det_score")?;
    let detections = things(case, "det", classes)?;
    if scores.len() != detections.len() {
        return Err(ReplayError::refused("`det_score` has not one score a detection"));
    }
    for ((image, category, corners), score) in detections.into_iter().zip(scores) {
        frames.entry(image).or_default().1.push(VidFound { category, score, corners });
    }
    let records: FrameRecords =
        frames.iter().map(|(&image, (objects, found))| options.judge(image, objects, found)).collect();
    let ranking = options.rank(records, classes).map_err(ReplayError::refused)?;
    let all: Vec<usize> = (0..ranking.images().len()).collect();
    let average_precisions = ranking.measure(0, &all);
    Ok(Outputs::new()
        .with("ap", Array::vector_f64(average_precisions.iter().map(|ap| ap.unwrap_or(f64::NAN))))
        .with("map", VidRanking::mean(&average_precisions)))
}

//! Reference-case components.

use std::collections::BTreeMap;

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::detection::lists::{Lists, area, eleven_points};
use ocelli_metrics::detection::voc::{VocFound, VocObject, VocVariant, judge};
use serde::Deserialize;

use crate::rows::rows;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.voc_ap", run: voc_ap }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    iou: f64,
    plus_one: bool,
    /// Pictures are those that rows name; one without rows changes nothing.
    #[serde(rename = "images")]
    _images: usize,
}

fn voc_ap(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = case.config()?;
    let variant = if config.plus_one { VocVariant::Official } else { VocVariant::Corrected };
    let mut pictures: BTreeMap<i64, (Vec<VocObject>, Vec<VocFound>)> = BTreeMap::new();
    for [image, x1, y1, x2, y2, difficult] in rows(case, "gt")? {
        let object = VocObject { category: 0, corners: [x1, y1, x2, y2], difficult: difficult != 0.0 };
        pictures.entry(image as i64).or_default().0.push(object);
    }
    for (place, [image, score, x1, y1, x2, y2]) in (0..).zip(rows(case, "det")?) {
        let found = VocFound { category: 0, score, corners: [x1, y1, x2, y2], place };
        pictures.entry(image as i64).or_default().1.push(found);
    }
    let judged = pictures.iter().map(|(&image, (objects, found))| judge(image, objects, found, config.iou));
    let lists = Lists::new(judged.collect(), 1).map_err(ReplayError::refused)?;
    let curve = lists.curve(0, &vec![1; lists.images().len()], 1.0);
    let recall = curve.recall(variant.positives(&curve));
    let precision = curve.precision();
    Ok(Outputs::new()
        .with("ap07", eleven_points(&recall, &precision))
        .with("ap_area", area(&recall, &precision))
        .with("recall", Array::vector_f64(recall))
        .with("precision", Array::vector_f64(precision)))
}

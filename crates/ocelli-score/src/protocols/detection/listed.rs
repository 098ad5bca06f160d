//! What protocols share that judge each detection once: boxes as corners, curves, the worst pictures, checks.

use ocelli_data::annotations::detection::{Detection, Object};
use ocelli_metrics::detection::lists::Lists;

use crate::{Curve, Inputs, Result, ScoreError, Setting, Worst};

/// Pictures that the page names.
const WORST: usize = 20;
/// Points of a curve that the page draws.
const POINTS: usize = 200;
/// Categories whose curves the page draws.
const CURVES: usize = 20;

/// The setting of the overlap that finds an object.
pub(super) const OVERLAP: Setting =
    Setting { name: "overlap", default: "0.5", summary: "the overlap that finds an object, in [0, 1]" };

/// The value of [`OVERLAP`].
pub(super) fn overlap(inputs: &Inputs) -> Result<f64> {
    let overlap: f64 = inputs.setting(OVERLAP.name)?;
    if (0.0..=1.0).contains(&overlap) {
        return Ok(overlap);
    }
    Err(ScoreError::Setting {
        key: OVERLAP.name.to_owned(),
        value: overlap.to_string(),
        reason: format!("expected {}", OVERLAP.summary),
    })
}

/// The corners `[x1, y1, x2, y2]` of a box `[x, y, width, height]`.
pub(super) fn corners([x, y, width, height]: [f64; 4]) -> [f64; 4] {
    [x, y, x + width, y + height]
}

/// The corners of a detection's box.
pub(super) fn found_corners(detection: &Detection) -> Result<[f64; 4], String> {
    detection.bbox.map(corners).ok_or_else(|| "a detection has no box".to_owned())
}

/// An object as a detection of full score.
pub(super) fn as_detection(object: &Object) -> Detection {
    Detection {
        image: object.image,
        category: object.category,
        score: 1.0,
        bbox: Some(object.bbox),
        ..Detection::default()
    }
}

/// Precision over recall of the categories that have objects, the first of them if there are many.
pub(super) fn curves(lists: &Lists, categories: &[String]) -> Vec<Curve> {
    let times = vec![1; lists.images().len()];
    let line = |(category, name): (usize, &String)| {
        let curve = lists.curve(category, &times, 1.0);
        (curve.positives > 0.0 && !curve.hits.is_empty()).then(|| (name.clone(), curve.thinned(POINTS)))
    };
    let lines: Vec<_> = categories.iter().enumerate().filter_map(line).take(CURVES).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let (x, y) = ("recall".to_owned(), "precision".to_owned());
    vec![Curve { title: "Precision over recall".to_owned(), x, y, lines }]
}

/// The pictures with the most mistakes, given those missed and false on each.
pub(super) fn worst(mistakes: &[[f64; 2]], images: &[String]) -> Vec<Worst> {
    let mut order: Vec<usize> = (0..mistakes.len()).filter(|&i| mistakes[i] != [0.0; 2]).collect();
    let total = |i: usize| mistakes[i][0] + mistakes[i][1];
    order.sort_by(|&a, &b| total(b).total_cmp(&total(a)));
    let what = |i: usize| format!("{} missed, {} false", mistakes[i][0], mistakes[i][1]);
    order.iter().take(WORST).map(|&i| Worst { unit: images[i].clone(), what: what(i) }).collect()
}

/// What is said about boxes without extent and detections of unknown categories.
pub(super) fn notes<'a>(boxes: impl Iterator<Item = &'a [f64; 4]>, strangers: usize) -> Vec<String> {
    let negative = boxes.filter(|bbox| bbox[2] < 0.0 || bbox[3] < 0.0).count();
    let mut notes = Vec::new();
    if strangers > 0 {
        let were = super::evaluation::count(strangers, "detection", "detections");
        notes.push(format!("{were} of categories that the truth does not have, and left out"));
    }
    if negative > 0 {
        let were = super::evaluation::count(negative, "box", "boxes");
        notes.push(format!("{were} of negative width or height"));
    }
    notes
}

//! `lvis`: boxes and masks by LVIS's rules for a long tail of categories.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::coco::{Detail, Results, Stranger};
use ocelli_data::annotations::detection::{Detection, Frequency, ImageEntry, Object};
use ocelli_data::annotations::lvis::{self, write_results};
use ocelli_metrics::detection::coco::Shape;
use ocelli_metrics::detection::lvis::{Knowledge, LvisOptions, Tail};
use ocelli_metrics::detection::{ImageRecord, Matcher, Truth};
use rayon::prelude::*;

use super::coco::{as_detection, notes, read_results};
use super::evaluation::{Detections, Rules};
use super::outlines::{Extent, Layout, Outlines};
use super::scenes::Scenes;
use crate::in_order::in_order;
use crate::{Choice, Evaluation, Inputs, Perfect, Protocol, Result, ScoreError, Setting};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "lvis",
    summary: "detection over a long tail: average precision of boxes and masks by frequency (LVIS)",
    pred: "COCO results, a JSON list of image_id, category_id, score and bbox or segmentation",
    truth: "LVIS annotations, a JSON object with images, categories (frequency r, c, f) and annotations",
    variants: &[
        Choice { name: "bbox", summary: "boxes; lvis 0.5.3" },
        Choice { name: "segm", summary: "masks, as polygons or run lengths; lvis 0.5.3" },
    ],
    settings: &[
        Setting {
            name: "max_dets",
            default: "300",
            summary: "a number of detections a picture, over all categories",
        },
        Setting {
            name: "quirks",
            default: "strict",
            summary: "strict for the tool's numbers, corrected to mend its known errors",
        },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("AP", 1.0), ("AP50", 1.0), ("AP75", 1.0)] },
};

fn shape(inputs: &Inputs) -> Result<(Shape, Detail)> {
    let shape = inputs.variant().parse()?;
    Ok((shape, if shape == Shape::Boxes { Detail::Boxes } else { Detail::Full }))
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (shape, detail) = shape(inputs)?;
    let options = LvisOptions {
        max_dets: inputs.setting("max_dets")?,
        fidelity: inputs.setting("quirks")?,
        ..LvisOptions::default()
    };
    let truth_file = inputs.one_truth()?;
    let lvis::Truth { set, left_out } = lvis::read(truth_file, detail)?;
    let Results { detections, strangers } = read_results(inputs, &set, detail)?;
    let detections = limited(&options, set.images.len(), detections, &strangers);
    let scenes = Scenes::new(&set, &detections);
    let layout = Layout { shape, extent: Extent::of(&detections), sigmas: &[] };
    let matcher = options.matcher()?;
    let matched: Vec<(ImageRecord, usize)> = in_order((0..scenes.len()).into_par_iter().map(|place| {
        let record = record(&options, &matcher, layout, &scenes, place);
        record.map_err(|reason| ScoreError::content(truth_file, reason))
    }))?;
    let areas_made: usize = matched.iter().map(|(_, made)| made).sum();
    let records = matched.into_iter().map(|(record, _)| record).collect();
    let mut tails = vec![None; set.categories.len()];
    for (category, &place) in set.categories.iter().zip(&scenes.category_place) {
        tails[place as usize] = category.frequency.map(tail);
    }
    Ok(Box::new(Detections {
        ranking: options.rank(records, set.categories.len())?,
        images: scenes.image_names(),
        categories: scenes.category_names(),
        notes: notes(&set, &detections, [left_out, strangers.len(), areas_made]),
        rules: Rules::Lvis(options, tails),
    }))
}

/// The detections within each picture's limit, among which those of unknown categories take places.
fn limited(
    options: &LvisOptions,
    images: usize,
    mut detections: Vec<Detection>,
    strangers: &[Stranger],
) -> Vec<Detection> {
    let mut scores: Vec<Vec<f64>> = vec![Vec::new(); images];
    let mut places: Vec<Vec<Option<usize>>> = vec![Vec::new(); images];
    let mut add = |image: u32, score: f64, place: Option<usize>| {
        scores[image as usize].push(score);
        places[image as usize].push(place);
    };
    let mut strangers = strangers.iter().peekable();
    for (place, detection) in detections.iter().enumerate() {
        while let Some(stranger) = strangers.next_if(|s| s.before <= place) {
            add(stranger.image, stranger.score, None);
        }
        add(detection.image, detection.score, Some(place));
    }
    strangers.for_each(|stranger| add(stranger.image, stranger.score, None));
    let mut kept = vec![false; detections.len()];
    for (scores, places) in scores.iter().zip(&places) {
        for place in options.within_limit(scores).into_iter().filter_map(|i| places[i]) {
            kept[place] = true;
        }
    }
    let mut next = kept.into_iter();
    detections.retain(|_| next.next() == Some(true));
    detections
}

fn tail(frequency: Frequency) -> Tail {
    match frequency {
        Frequency::Rare => Tail::Rare,
        Frequency::Common => Tail::Common,
        Frequency::Frequent => Tail::Frequent,
    }
}

/// What is known of a picture, with categories by their place.
fn knowledge(image: &ImageEntry, category_place: &[u32]) -> [Vec<u32>; 2] {
    let places = |list: &[u32]| list.iter().map(|&index| category_place[index as usize]).collect();
    [places(&image.negative), places(&image.not_exhaustive)]
}

/// The record of picture number `place`, and the number of its objects without area.
fn record(
    options: &LvisOptions,
    matcher: &Matcher,
    layout: Layout<'_>,
    scenes: &Scenes<'_>,
    place: usize,
) -> Result<(ImageRecord, usize), String> {
    let scene = scenes.scene(place);
    let category = |index: u32| scenes.category_place[index as usize];
    let named = |reason: String| format!("{}: {reason}", scene.image.name());
    let truth = |object: &Object, area: f64| Truth {
        category: category(object.category),
        area,
        ignore: object.flags.ignore,
        crowd: false,
        unnoticed: options.overlooks(object.id),
    };
    let mut outlines = Outlines::new(layout, &scene, truth, category).map_err(named)?;
    let [negative, not_exhaustive] = knowledge(scene.image, &scenes.category_place);
    let known = Knowledge { negative: &negative, not_exhaustive: &not_exhaustive };
    outlines.keep_objects(&options.objects_kept(&outlines.truth));
    outlines.keep_detections(&options.detections_kept(&outlines.found, &outlines.truth, &known));
    let record = outlines.matched(matcher, scene.image.id, |c| known.unmatched(c)).map_err(named)?;
    Ok((record, outlines.areas_made))
}

/// Each object that is to be found as a detection of full score.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let set = lvis::read(inputs.one_truth()?, shape(inputs)?.1)?.set;
    let counts = |o: &&Object| !o.flags.ignore;
    let detections: Vec<Detection> = set.objects.iter().filter(counts).map(as_detection).collect();
    let file = folder.join("results.json");
    write_results(&file, &set, &detections)?;
    Ok(vec![file])
}

//! `coco`: boxes, masks and keypoints by COCO's rules.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::coco::{self, Detail, Results, Stranger, Truth as CocoTruth};
use ocelli_data::annotations::detection::{Detection, DetectionSet, Keypoints, Object};
use ocelli_metrics::detection::coco::{CocoOptions, Shape};
use ocelli_metrics::detection::{COCO_PERSON_SIGMAS, ImageRecord, Matcher, Truth, Unmatched};
use rayon::prelude::*;

use super::evaluation::{Detections, Rules, count};
use super::outlines::{Extent, Layout, Outlines};
use super::scenes::Scenes;
use crate::in_order::in_order;
use crate::{Choice, Evaluation, Inputs, Perfect, Protocol, Result, ScoreError, Setting};

/// What a list setting says for the official values.
const OFFICIAL: &str = "official";

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "coco",
    summary: "detection: average precision and recall of boxes, masks and keypoints (COCO)",
    pred: "COCO results, a JSON list of image_id, category_id, score and bbox, segmentation or keypoints; or a JSON \
           object like the truth with a score in each annotation, matched by file and category names",
    truth: "COCO annotations, a JSON object with images, categories and annotations",
    variants: &[
        Choice { name: "bbox", summary: "boxes; pycocotools" },
        Choice { name: "segm", summary: "masks, as polygons or run lengths; pycocotools" },
        Choice { name: "keypoints", summary: "poses by object keypoint similarity (OKS); pycocotools" },
    ],
    settings: &[
        Setting {
            name: "max_dets",
            default: OFFICIAL,
            summary: "rising numbers of detections a picture and category (1,10,100; keypoints 20)",
        },
        Setting { name: "thresholds", default: OFFICIAL, summary: "rising overlaps (0.5, 0.55 … 0.95)" },
        Setting {
            name: "use_cats",
            default: "true",
            summary: "true, or false to score all categories as one (proposals)",
        },
        Setting {
            name: "quirks",
            default: "strict",
            summary: "strict for the tool's numbers, corrected to mend its known errors",
        },
        Setting {
            name: "sigmas",
            default: OFFICIAL,
            summary: "a number for each keypoint (COCO's 17 of a person)",
        },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("AP", 1.0), ("AP50", 1.0), ("AP75", 1.0)] },
};

/// A list setting, or nothing for the official values.
fn list<T: std::str::FromStr>(inputs: &Inputs, key: &str) -> Result<Option<Vec<T>>> {
    if inputs.setting::<String>(key)? == OFFICIAL { Ok(None) } else { inputs.list(key).map(Some) }
}

fn options(inputs: &Inputs) -> Result<CocoOptions> {
    let official = CocoOptions::official(inputs.variant().parse()?);
    Ok(CocoOptions {
        limits: list(inputs, "max_dets")?.unwrap_or(official.limits),
        thresholds: list(inputs, "thresholds")?.unwrap_or(official.thresholds),
        fidelity: inputs.setting("quirks")?,
        shape: official.shape,
    })
}

fn detail(shape: Shape) -> Detail {
    if shape == Shape::Boxes { Detail::Boxes } else { Detail::Full }
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let options = options(inputs)?;
    let as_one = !inputs.setting::<bool>("use_cats")?;
    let sigmas = list(inputs, "sigmas")?.unwrap_or_else(|| COCO_PERSON_SIGMAS.to_vec());
    let truth_file = inputs.one_truth()?;
    let CocoTruth { set, left_out } = coco::read(truth_file, detail(options.shape))?;
    let Results { detections, strangers } = read_results(inputs, &set, detail(options.shape))?;
    let scenes = Scenes::new(&set, &detections);
    let layout = Layout { shape: options.shape, extent: Extent::of(&detections), sigmas: &sigmas };
    let rules = Pictures { options: &options, scenes: &scenes, layout, as_one };
    let matcher = options.matcher()?;
    let matched: Vec<(ImageRecord, usize)> = in_order((0..scenes.len()).into_par_iter().map(|place| {
        rules.record(&matcher, place).map_err(|reason| ScoreError::content(truth_file, reason))
    }))?;
    let areas_made: usize = matched.iter().map(|(_, made)| made).sum();
    let records = matched.into_iter().map(|(record, _)| record).collect();
    let categories = if as_one { vec!["all categories".to_owned()] } else { scenes.category_names() };
    let mut notes = notes(&set, &detections, [left_out, strangers.len(), areas_made]);
    if !options.reads_ap() {
        notes.push(
            "AP is -1 under these max_dets, as in pycocotools; set quirks=corrected for its value".to_owned(),
        );
    }
    Ok(Box::new(Detections {
        ranking: options.rank(records, categories.len())?,
        images: scenes.image_names(),
        categories,
        notes,
        rules: Rules::Coco(options),
    }))
}

/// The results of all files as one.
pub(super) fn read_results(inputs: &Inputs, set: &DetectionSet, detail: Detail) -> Result<Results> {
    if inputs.pred.is_empty() {
        return Err(ScoreError::Files("no --pred file was given".to_owned()));
    }
    let mut all = Results::default();
    for file in &inputs.pred {
        let mut results = coco::read_results(file, set, detail)?;
        if detail == Detail::Boxes && results.detections.iter().any(|d| d.bbox.is_none()) {
            // Boxes are then those around masks or keypoints.
            results = coco::read_results(file, set, Detail::Full)?;
        }
        let before = all.detections.len();
        all.strangers.extend(results.strangers.iter().map(|s| Stranger { before: before + s.before, ..*s }));
        all.detections.append(&mut results.detections);
    }
    Ok(all)
}

/// What is said about inputs that do not take part as they stand.
pub(super) fn notes(
    set: &DetectionSet,
    detections: &[Detection],
    [left_out, strangers, areas_made]: [usize; 3],
) -> Vec<String> {
    let flat = |bbox: &[f64; 4]| bbox[2] < 0.0 || bbox[3] < 0.0;
    let negative =
        detections.iter().filter_map(|d| d.bbox.as_ref()).chain(set.objects.iter().map(|o| &o.bbox));
    let negative = negative.filter(|bbox| flat(bbox)).count();
    let mut notes = Vec::new();
    let mut note = |n: usize, one: &str, many: &str, what: &str| {
        if n > 0 {
            notes.push(format!("{} {what}", count(n, one, many)));
        }
    };
    note(left_out, "object", "objects", "of images or categories that the truth does not list, and left out");
    note(strangers, "detection", "detections", "of categories that the truth does not list, and left out");
    note(areas_made, "object", "objects", "without area; that of the box or mask was taken");
    note(negative, "box", "boxes", "of negative width or height, which overlap nothing");
    notes
}

/// What the matching of pictures needs.
struct Pictures<'a> {
    options: &'a CocoOptions,
    scenes: &'a Scenes<'a>,
    layout: Layout<'a>,
    as_one: bool,
}

impl Pictures<'_> {
    /// The record of picture number `place`, and the number of its objects without area.
    fn record(&self, matcher: &Matcher, place: usize) -> Result<(ImageRecord, usize), String> {
        let mut scene = self.scenes.scene(place);
        let category_of = |index: u32| self.scenes.category_place[index as usize];
        if self.as_one {
            // The tool strings the categories together in the order of their numbers.
            scene.objects.sort_by_key(|o| category_of(o.category));
            scene.detections.sort_by_key(|d| category_of(d.category));
        }
        let category = |index: u32| if self.as_one { 0 } else { category_of(index) };
        let named = |reason: String| format!("{}: {reason}", scene.image.name());
        let truth = |object: &Object, area: f64| Truth {
            category: category(object.category),
            area,
            ignore: self.options.ignores(object.flags.crowd, object.flags.ignore, labelled(object)),
            crowd: object.flags.crowd,
            unnoticed: self.options.overlooks(object.id),
        };
        let outlines = Outlines::new(self.layout, &scene, truth, category).map_err(named)?;
        let record = outlines.matched(matcher, scene.image.id, |_| Unmatched::Counts).map_err(named)?;
        Ok((record, outlines.areas_made))
    }
}

/// The number of an object's labelled keypoints.
fn labelled(object: &Object) -> Option<u32> {
    let Keypoints { points, labelled } = object.keypoints.as_deref()?;
    Some(labelled.unwrap_or_else(|| points.iter().filter(|p| p[2] > 0.0).count() as u32))
}

/// Each object that is to be found as a detection of full score.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let options = options(inputs)?;
    let set = coco::read(inputs.one_truth()?, detail(options.shape))?.set;
    let counts = |o: &&Object| !options.ignores(o.flags.crowd, o.flags.ignore, labelled(o));
    let detections: Vec<Detection> = set.objects.iter().filter(counts).map(as_detection).collect();
    let file = folder.join("results.json");
    coco::write_results(&file, &set, &detections)?;
    Ok(vec![file])
}

/// An object as a detection.
pub(super) fn as_detection(object: &Object) -> Detection {
    Detection {
        image: object.image,
        category: object.category,
        score: 1.0,
        bbox: Some(object.bbox),
        segmentation: object.segmentation.clone(),
        keypoints: object.keypoints.as_ref().map(|k| k.points.clone().into_boxed_slice()),
    }
}

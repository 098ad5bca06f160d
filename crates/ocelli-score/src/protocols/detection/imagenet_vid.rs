//! `imagenet-vid`: boxes in video frames by ImageNet VID's rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocelli_data::annotations::detection::{Attribute, Detection, DetectionSet, Object, stem};
use ocelli_data::annotations::imagenet_vid::{self, CLASSES};
use ocelli_metrics::detection::imagenet_vid::{
    FrameRecord, MotionRange, VidFound, VidObject, VidOptions, VidRanking, motion_iou,
};
use rayon::prelude::*;

use super::listed::{self, OVERLAP, as_detection, corners, found_corners};
use super::scenes::Scenes;
use crate::in_order::in_order;
use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting,
};

/// The variant that splits objects by their speed.
const BY_MOTION: &str = "motion";

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "imagenet-vid",
    summary: "detection in video: average precision of boxes, small objects found by less (ImageNet VID)",
    pred: "text files of `frame class score xmin ymin xmax ymax`, frames numbered as in the list, classes from 1",
    truth: "the folder of the XML files (`Annotations/VID/val`) and a list of frames, `path number` a line (`VID_val_all.txt`)",
    variants: &[
        Choice { name: "all", summary: "all objects; the development kit" },
        Choice {
            name: BY_MOTION,
            summary: "also slow, medium and fast objects apart; flow-guided feature aggregation",
        },
    ],
    settings: &[
        OVERLAP,
        Setting {
            name: "tolerance",
            default: "10",
            summary: "pixels by which the box of a small object may be off",
        },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("mAP", 1.0)] },
};

/// Judged frames.
#[derive(Debug)]
struct Vid {
    options: VidOptions,
    ranking: VidRanking,
    frames: Vec<String>,
    notes: Vec<String>,
}

fn truth(inputs: &Inputs) -> Result<DetectionSet> {
    let (folders, lists): (Vec<&PathBuf>, Vec<&PathBuf>) = inputs.truth.iter().partition(|p| p.is_dir());
    match (&folders[..], &lists[..]) {
        ([folder], [list]) => Ok(imagenet_vid::read(folder, list)?),
        _ => Err(ScoreError::Files(
            "`imagenet-vid` takes two --truth: the folder of the XML files, and the list of frames".into(),
        )),
    }
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let by_motion = inputs.variant() == BY_MOTION;
    let base = if by_motion { VidOptions::by_motion() } else { VidOptions::default() };
    let options =
        VidOptions { overlap: listed::overlap(inputs)?, tolerance: inputs.setting("tolerance")?, ..base };
    let set = truth(inputs)?;
    if inputs.pred.is_empty() {
        return Err(ScoreError::Files("no --pred file was given".to_owned()));
    }
    let detections = imagenet_vid::read_results(&inputs.pred, &set)?;
    let motions = if by_motion { motions(inputs, &set)? } else { vec![1.0; set.objects.len()] };
    let scenes = Scenes::new(&set, &detections);
    let frames: Vec<FrameRecord> =
        in_order((0..scenes.len()).into_par_iter().map(|place| frame(&options, &scenes, place, &motions)))
            .map_err(ScoreError::Files)?;
    let boxes = detections.iter().filter_map(|d| d.bbox.as_ref()).chain(set.objects.iter().map(|o| &o.bbox));
    Ok(Box::new(Vid {
        ranking: options.rank(frames.into_iter().collect(), CLASSES.len())?,
        options,
        frames: scenes.image_names(),
        notes: listed::notes(boxes, 0),
    }))
}

fn frame(
    options: &VidOptions,
    scenes: &Scenes<'_>,
    place: usize,
    motions: &[f64],
) -> Result<FrameRecord, String> {
    let scene = scenes.scene(place);
    // Objects are numbered from 1 in the order of the set.
    let object = |o: &&Object| VidObject {
        category: o.category,
        corners: corners(o.bbox),
        motion: motions[o.id as usize - 1],
    };
    let objects: Vec<VidObject> = scene.objects.iter().map(object).collect();
    let found = scene.detections.iter().map(|d| {
        let corners = found_corners(d).map_err(|e| format!("{}: {e}", scene.image.name()))?;
        Ok(VidFound { category: d.category, score: d.score, corners })
    });
    Ok(options.judge(scene.image.id, &objects, &found.collect::<Result<Vec<_>, String>>()?))
}

/// The motion IoU of each object, from the tracks of its video.
fn motions(inputs: &Inputs, set: &DetectionSet) -> Result<Vec<f64>> {
    let refused = |reason: String| ScoreError::content(&inputs.truth[0], reason);
    let mut tracks: BTreeMap<(&str, &str), Vec<(usize, i64)>> = BTreeMap::new();
    for (index, object) in set.objects.iter().enumerate() {
        let name = stem(&set.images[object.image as usize].file_name);
        let Some(Attribute::Text(track)) = object.attributes.get("trackid") else {
            return Err(refused(format!(
                "{name}.xml: an object without <trackid>, which the split by speed needs"
            )));
        };
        let (video, frame) = name.rsplit_once('/').unwrap_or(("", name));
        let frame =
            frame.parse().map_err(|_| refused(format!("{name}.xml: its name is no number of a frame")))?;
        tracks.entry((video, track)).or_default().push((index, frame));
    }
    let mut motions = vec![0.0; set.objects.len()];
    for ((video, track), members) in tracks {
        let boxes: Vec<(i64, [f64; 4])> =
            members.iter().map(|&(index, frame)| (frame, corners(set.objects[index].bbox))).collect();
        let own = motion_iou(&boxes).map_err(|e| refused(format!("{video}, track {track}: {e}")))?;
        members.iter().zip(own).for_each(|(&(index, _), motion)| motions[index] = motion);
    }
    Ok(motions)
}

/// The name of the metric of a range of speeds.
fn metric(range: &MotionRange) -> String {
    if range.name.is_empty() { "mAP".to_owned() } else { format!("mAP-{}", range.name) }
}

impl Evaluation for Vid {
    fn unit(&self) -> &'static str {
        "frame"
    }

    fn units(&self) -> &[String] {
        &self.frames
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let of = |(place, range)| (metric(range), VidRanking::mean(&self.ranking.measure(place, sample)));
        Ok(self.options.ranges.iter().enumerate().map(of).collect())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let all: Vec<usize> = (0..self.frames.len()).collect();
        let ranges = 0..self.options.ranges.len();
        let by_range: Vec<Vec<Option<f64>>> = ranges.map(|range| self.ranking.measure(range, &all)).collect();
        let names: Vec<String> = CLASSES.iter().map(|(_, name)| (*name).to_owned()).collect();
        let row = |class: usize| by_range.iter().map(|aps| aps[class].unwrap_or(f64::NAN)).collect();
        let rows = names.iter().enumerate().filter(|(class, _)| by_range[0][*class].is_some());
        let rows = rows.map(|(class, name)| (name.clone(), row(class))).collect();
        let columns = self.options.ranges.iter().map(metric).collect();
        let (mut curves, mut worst) = (Vec::new(), Vec::new());
        if let Some(lists) = self.ranking.lists(0) {
            curves = listed::curves(lists, &names);
            worst = listed::worst(&lists.mistakes(), &self.frames);
        }
        Ok(Detail { groups: vec![Group { title: "Categories".to_owned(), columns, rows }], curves, worst })
    }
}

/// Each object as a detection of full score.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let set = truth(inputs)?;
    let detections: Vec<Detection> = set.objects.iter().map(as_detection).collect();
    let path = folder.join("results.txt");
    imagenet_vid::write_results(&path, &set, &detections)?;
    Ok(vec![path])
}

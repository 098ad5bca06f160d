//! `widerface`: faces by WIDER FACE's rules.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::detection::{Detection, DetectionSet, Object};
use ocelli_data::annotations::wider;
use ocelli_metrics::detection::wider_face::{
    FaceCurve, FacePicture, FaceRecord, FaceRecords, ScoreRange, WiderOptions,
};
use rayon::prelude::*;

use super::listed::{self, OVERLAP, as_detection};
use super::scenes::Scenes;
use crate::in_order::in_order;
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting,
};

/// The subsets, as the names of their files tell them.
const SUBSETS: [&str; 3] = ["easy", "medium", "hard"];
/// The subset that needs no file.
const ALL: &str = "all";

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "widerface",
    summary: "face detection: average precision of easy, medium and hard faces (WIDER FACE)",
    pred: "a folder of predictions: a folder an event, in it a text file a picture (name, number of boxes, `x y w h score`)",
    truth: "`wider_face_val_bbx_gt.txt`; and the subsets, `easy`, `medium` or `hard` in the name, as the official .mat files \
            or as text (path, number of faces, the places of the faces that count from 1); all valid faces are a subset \
            of their own",
    variants: &[
        Choice { name: "official", summary: "scores stretched from min(1, all) to max(0, all); eval_tools" },
        Choice { name: "min-max", summary: "scores stretched from the least to the largest; ports" },
    ],
    settings: &[OVERLAP, Setting { name: "steps", default: "1000", summary: "number of thresholds, from 1" }],
    open,
    perfect: Perfect { write: perfect, expect: &[("AP-all", 1.0)] },
};

/// Matched pictures.
#[derive(Debug)]
struct Wider {
    options: WiderOptions,
    records: Vec<FaceRecord>,
    subsets: Vec<&'static str>,
    images: Vec<String>,
    notes: Vec<String>,
}

/// The truth with its subsets: names, and for each subset whether each object belongs to it.
struct Truth {
    set: DetectionSet,
    subsets: Vec<(&'static str, Vec<bool>)>,
}

impl Truth {
    fn read(inputs: &Inputs) -> Result<Self> {
        let subset = |path: &PathBuf| {
            let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
            SUBSETS.into_iter().find(|subset| name.contains(subset))
        };
        let (parts, wholes): (Vec<&PathBuf>, Vec<&PathBuf>) =
            inputs.truth.iter().partition(|path| subset(path).is_some());
        let [whole] = wholes[..] else {
            return Err(ScoreError::Files(
                "`widerface` takes one --truth file of all faces, and files of subsets".into(),
            ));
        };
        let set = wider::read(whole)?;
        let mut subsets = Vec::new();
        for path in parts {
            if let Some(name) = subset(path) {
                subsets.push((name, members(path, &set)?));
            }
        }
        subsets.sort_by_key(|(name, _)| SUBSETS.iter().position(|subset| subset == name));
        if let Some(pair) = subsets.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(ScoreError::Files(format!(
                "two --truth files of the {} faces were given",
                pair[0].0
            )));
        }
        let valid = |o: &Object| !o.flags.ignore && o.bbox[2] > 0.0 && o.bbox[3] > 0.0;
        subsets.push((ALL, set.objects.iter().map(valid).collect()));
        Ok(Self { set, subsets })
    }
}

/// Whether each object belongs to the subset of a file.
fn members(path: &Path, set: &DetectionSet) -> Result<Vec<bool>> {
    let places = wider::read_subset(path, set)?;
    let mut members = vec![false; set.objects.len()];
    // The objects of a picture follow one another.
    let mut start = 0;
    for (image, places) in set.images.iter().zip(places) {
        let count = set.objects[start..].iter().take_while(|o| o.image == (image.id - 1) as u32).count();
        for place in places {
            let member = members[start..start + count].get_mut(place);
            *member.ok_or_else(|| {
                ScoreError::content(path, format!("{} has {count} faces, not {}", image.name(), place + 1))
            })? = true;
        }
        start += count;
    }
    Ok(members)
}

fn options(inputs: &Inputs) -> Result<WiderOptions> {
    let steps: usize = inputs.setting("steps")?;
    let range: ScoreRange = inputs.variant().parse()?;
    Ok(WiderOptions { overlap: listed::overlap(inputs)?, steps: steps.max(1), range })
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let options = options(inputs)?;
    let Truth { set, subsets } = Truth::read(inputs)?;
    let detections = wider::read_results(inputs.one_pred()?, &set)?;
    let scenes = Scenes::new(&set, &detections);
    let records: Vec<FaceRecord> = in_order((0..scenes.len()).into_par_iter().map(|place| {
        let scene = scenes.scene(place);
        let faces: Vec<[f64; 4]> = scene.objects.iter().map(|o| o.bbox).collect();
        let found: Vec<([f64; 4], f64)> =
            scene.detections.iter().filter_map(|d| Some((d.bbox?, d.score))).collect();
        // Objects are numbered from 1 in the order of the set.
        let own = |all: &Vec<bool>| scene.objects.iter().map(|o| all[o.id as usize - 1]).collect();
        let subsets: Vec<Vec<bool>> = subsets.iter().map(|(_, all)| own(all)).collect();
        let picture = FacePicture { image: scene.image.id, faces: &faces, subsets: &subsets, found: &found };
        options.judge(&picture)
    }))?;
    let boxes = detections.iter().filter_map(|d| d.bbox.as_ref()).chain(set.objects.iter().map(|o| &o.bbox));
    Ok(Box::new(Wider {
        options,
        records: FaceRecords::from_iter(records).into_sorted()?,
        subsets: subsets.iter().map(|(name, _)| *name).collect(),
        images: scenes.image_names(),
        notes: listed::notes(boxes, 0),
    }))
}

impl Wider {
    fn curve(&self, subset: usize, sample: &[usize]) -> FaceCurve {
        self.options.measure(&self.records, subset, sample)
    }
}

impl Evaluation for Wider {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.images
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let of = |(subset, name): (usize, &&str)| {
            (format!("AP-{name}"), self.curve(subset, sample).average_precision)
        };
        Ok(self.subsets.iter().enumerate().map(of).collect())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let all: Vec<usize> = (0..self.images.len()).collect();
        let curves: Vec<FaceCurve> = (0..self.subsets.len()).map(|subset| self.curve(subset, &all)).collect();
        let named = || self.subsets.iter().map(|name| (*name).to_owned()).zip(&curves);
        let rows = named().map(|(name, curve)| {
            let recall = curve.recall.last().copied().unwrap_or(f64::NAN);
            (name, vec![curve.average_precision, recall, curve.faces as f64])
        });
        let columns = ["AP", "recall", "faces"].map(str::to_owned).to_vec();
        let lines = named().map(|(name, curve)| {
            (name, curve.recall.iter().copied().zip(curve.precision.iter().copied()).collect())
        });
        let drawn = Curve {
            title: "Precision over recall".to_owned(),
            x: "recall".to_owned(),
            y: "precision".to_owned(),
            lines: lines.collect(),
        };
        let mistakes = self.records.iter().map(|r| r.mistakes(self.subsets.len() - 1).map(f64::from));
        Ok(Detail {
            groups: vec![Group { title: "Subsets".to_owned(), columns, rows: rows.collect() }],
            curves: vec![drawn],
            worst: listed::worst(&mistakes.collect::<Vec<_>>(), &self.images),
        })
    }
}

/// Every face as a prediction of full score; those outside of a subset count neither way.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let Truth { set, .. } = Truth::read(inputs)?;
    let detections: Vec<Detection> = set.objects.iter().map(as_detection).collect();
    let results = folder.join("results");
    wider::write_results(&results, &set, &detections)?;
    Ok(vec![results])
}

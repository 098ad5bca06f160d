//! `voc`: boxes by PASCAL VOC's rules.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::detection::{Detection, DetectionSet};
use ocelli_data::annotations::{coco, voc};
use ocelli_metrics::detection::lists::{JudgedImage, Lists};
use ocelli_metrics::detection::voc::{VocFound, VocObject, VocVariant, judge};
use rayon::prelude::*;

use super::listed::{self, OVERLAP, as_detection, corners, found_corners};
use super::scenes::Scenes;
use crate::in_order::in_order;
use crate::{Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "voc",
    summary: "detection: average precision of boxes at one overlap, by area and by 11 points (PASCAL VOC)",
    pred: "the devkit's results, `…_CATEGORY.txt` files of `image score xmin ymin xmax ymax`, or a folder of them; or a file \
           a picture of `category score xmin ymin xmax ymax`; or COCO results (JSON)",
    truth: "a folder of XML files, or the one above `Annotations`; and a list of pictures from `ImageSets/Main` if not all count",
    variants: &[
        Choice { name: "corrected", summary: "recall is the share of the objects found; VOC devkit" },
        Choice {
            name: "official",
            summary: "recall divided by one object too many, as in widely copied evaluators",
        },
    ],
    settings: &[OVERLAP],
    open,
    perfect: Perfect { write: perfect, expect: &[("mAP", 1.0), ("mAP07", 1.0)] },
};

/// Judged pictures.
#[derive(Debug)]
struct Voc {
    variant: VocVariant,
    lists: Lists,
    images: Vec<String>,
    categories: Vec<String>,
    notes: Vec<String>,
}

/// The truth, of the listed pictures where a list is given.
fn truth(inputs: &Inputs) -> Result<DetectionSet> {
    let (folders, lists): (Vec<&PathBuf>, Vec<&PathBuf>) = inputs.truth.iter().partition(|p| p.is_dir());
    match (&folders[..], &lists[..]) {
        ([folder], []) => Ok(voc::read(folder)?),
        ([folder], lists) => {
            let mut names = Vec::new();
            for list in lists {
                names.extend(voc::read_list(list)?);
            }
            Ok(voc::read_listed(folder, &names)?)
        }
        _ => Err(ScoreError::Files(
            "`voc` takes one --truth folder of XML files, and lists of pictures".into(),
        )),
    }
}

/// The detections of all files, and the number of those of unknown categories.
fn detections(inputs: &Inputs, set: &DetectionSet) -> Result<(Vec<Detection>, usize)> {
    if inputs.pred.is_empty() {
        return Err(ScoreError::Files("no --pred file was given".to_owned()));
    }
    let is_json = |path: &&PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let (json, text): (Vec<&PathBuf>, Vec<&PathBuf>) = inputs.pred.iter().partition(|p| is_json(p));
    let text: Vec<PathBuf> = text.into_iter().cloned().collect();
    let (mut all, mut strangers) =
        if text.is_empty() { Default::default() } else { voc::read_results(&text, set)? };
    for file in json {
        let mut results = coco::read_results(file, set, coco::Detail::Boxes)?;
        all.append(&mut results.detections);
        strangers += results.strangers.len();
    }
    Ok((all, strangers))
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let overlap = listed::overlap(inputs)?;
    let set = truth(inputs)?;
    let (detections, strangers) = detections(inputs, &set)?;
    let scenes = Scenes::new(&set, &detections);
    let judged: Vec<JudgedImage> =
        in_order((0..scenes.len()).into_par_iter().map(|place| picture(&scenes, place, overlap)))
            .map_err(ScoreError::Files)?;
    let boxes = detections.iter().filter_map(|d| d.bbox.as_ref()).chain(set.objects.iter().map(|o| &o.bbox));
    let categories = scenes.category_names();
    Ok(Box::new(Voc {
        variant: inputs.variant().parse()?,
        lists: Lists::new(judged.into_iter().collect(), categories.len())?,
        images: scenes.image_names(),
        categories,
        notes: listed::notes(boxes, strangers),
    }))
}

fn picture(scenes: &Scenes<'_>, place: usize, overlap: f64) -> Result<JudgedImage, String> {
    let scene = scenes.scene(place);
    let category = |index: u32| scenes.category_place[index as usize];
    let object = |o: &&ocelli_data::annotations::detection::Object| VocObject {
        category: category(o.category),
        corners: corners(o.bbox),
        difficult: o.flags.difficult,
    };
    let objects: Vec<VocObject> = scene.objects.iter().map(object).collect();
    let found = scene.detections.iter().zip(scenes.found_places(place)).map(|(d, &place)| {
        let corners = found_corners(d).map_err(|e| format!("{}: {e}", scene.image.name()))?;
        Ok(VocFound { category: category(d.category), score: d.score, corners, place: u64::from(place) })
    });
    Ok(judge(scene.image.id, &objects, &found.collect::<Result<Vec<_>, String>>()?, overlap))
}

impl Evaluation for Voc {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.images
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let means = self.variant.measure(&self.lists, sample).means();
        Ok(Metrics::new().with("mAP", means.area).with("mAP07", means.eleven))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let all: Vec<usize> = (0..self.images.len()).collect();
        let measure = self.variant.measure(&self.lists, &all);
        let rows = self.categories.iter().zip(measure.categories);
        let rows = rows.filter_map(|(name, ap)| ap.map(|ap| (name.clone(), vec![ap.area, ap.eleven])));
        let columns = ["AP", "AP07"].map(str::to_owned).to_vec();
        Ok(Detail {
            groups: vec![Group { title: "Categories".to_owned(), columns, rows: rows.collect() }],
            curves: listed::curves(&self.lists, &self.categories),
            worst: listed::worst(&self.lists.mistakes(), &self.images),
        })
    }
}

/// Each object that is to be found as a detection of full score.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let set = truth(inputs)?;
    let own = set.objects.iter().filter(|o| !o.flags.difficult);
    let detections: Vec<Detection> = own.map(as_detection).collect();
    let results = folder.join("results");
    voc::write_results(&results, &set, &detections)?;
    Ok(vec![results])
}

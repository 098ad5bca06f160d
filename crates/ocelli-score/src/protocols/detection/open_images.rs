//! `openimages`: boxes by the rules of Open Images.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use ocelli_data::annotations::detection::{Category, DetectionSet, ImageEntry, Object, stem};
use ocelli_data::annotations::open_images::{self as tables, BoxRow, LabelRow};
use ocelli_metrics::detection::lists::{JudgedImage, Lists};
use ocelli_metrics::detection::open_images::{
    Hierarchy, OpenImagesFound, OpenImagesObject, OpenImagesOptions,
};
use rayon::prelude::*;

use super::listed::{self, OVERLAP, as_detection};
use crate::{Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "openimages",
    summary: "detection: average precision of boxes with groups, verified labels and a hierarchy (Open Images)",
    pred: "a CSV table of ImageID, LabelName, Score, XMin, XMax, YMin, YMax",
    truth: "CSV tables of boxes (`*-annotations-bbox.csv`) and of verified labels (`*-imagelabels.csv`), told apart by their \
            columns; and the hierarchy (JSON), along which both are then expanded",
    variants: &[
        Choice {
            name: "challenge",
            summary: "verified categories only, a group counts once; the challenges' evaluator",
        },
        Choice { name: "v2", summary: "all detections, groups do not count; the V2 metric" },
    ],
    settings: &[OVERLAP],
    open,
    perfect: Perfect { write: perfect, expect: &[("mAP", 1.0)] },
};

/// The truth of a picture.
#[derive(Debug, Default)]
struct Known {
    objects: Vec<OpenImagesObject>,
    verified: BTreeSet<u32>,
}

/// The truth, expanded.
#[derive(Debug, Default)]
struct Truth {
    labels: Vec<String>,
    places: HashMap<String, u32>,
    /// By name, without ending.
    images: BTreeMap<String, Known>,
}

impl Truth {
    fn read(inputs: &Inputs) -> Result<Self> {
        let is_json = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let (mut boxes, mut labels, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for path in &inputs.truth {
            if is_json(path) {
                kinds.extend(tables::read_hierarchy(path)?);
            } else if tables::holds_boxes(path)? {
                boxes.extend(tables::read_boxes(path)?);
            } else {
                labels.extend(tables::read_labels(path)?);
            }
        }
        if boxes.is_empty() {
            return Err(ScoreError::Files("no --truth table of boxes, or an empty one, was given".into()));
        }
        Ok(Self::new(&boxes, &labels, &kinds))
    }

    fn new(boxes: &[BoxRow], verified: &[LabelRow], kinds: &[(String, String)]) -> Self {
        let named = boxes.iter().map(|row| &row.label).chain(verified.iter().map(|row| &row.label));
        let names: BTreeSet<&String> = named.chain(kinds.iter().flat_map(|(kind, of)| [kind, of])).collect();
        let labels: Vec<String> = names.into_iter().cloned().collect();
        let places: HashMap<String, u32> = labels.iter().cloned().zip(0..).collect();
        let pairs: Vec<(u32, u32)> = kinds.iter().map(|(kind, of)| (places[kind], places[of])).collect();
        let hierarchy = Hierarchy::new(labels.len(), &pairs);
        let mut images: BTreeMap<String, Known> = BTreeMap::new();
        for row in boxes {
            let known = images.entry(stem(&row.image).to_owned()).or_default();
            let (corners, group) = (row.corners, row.flags.group_of);
            let all = hierarchy.upwards(places[&row.label]).into_iter();
            known.objects.extend(all.map(|category| OpenImagesObject { category, corners, group }));
        }
        for row in verified {
            let known = images.entry(stem(&row.image).to_owned()).or_default();
            let category = places[&row.label];
            let all = if row.present { hierarchy.upwards(category) } else { hierarchy.downwards(category) };
            known.verified.extend(all);
        }
        Self { labels, places, images }
    }
}

/// Judged pictures.
#[derive(Debug)]
struct OpenImages {
    options: OpenImagesOptions,
    lists: Lists,
    images: Vec<String>,
    labels: Vec<String>,
    notes: Vec<String>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let official = OpenImagesOptions::official(inputs.variant().parse()?);
    let options = OpenImagesOptions { overlap: listed::overlap(inputs)?, ..official };
    let truth = Truth::read(inputs)?;
    if inputs.pred.is_empty() {
        return Err(ScoreError::Files("no --pred file was given".to_owned()));
    }
    let mut found: BTreeMap<&str, Vec<OpenImagesFound>> = BTreeMap::new();
    let (mut strangers, mut elsewhere) = (0, 0);
    for path in &inputs.pred {
        for row in tables::read_predictions(path)? {
            let (image, category) =
                (truth.images.get_key_value(stem(&row.image)), truth.places.get(&row.label));
            match (image, category) {
                (None, _) => elsewhere += 1,
                (_, None) => strangers += 1,
                (Some((image, _)), Some(&category)) => {
                    let (score, corners) = (row.score.unwrap_or(0.0), row.corners);
                    found.entry(image).or_default().push(OpenImagesFound { category, score, corners });
                }
            }
        }
    }
    let pictures: Vec<(i64, (&String, &Known))> = (0..).zip(&truth.images).collect();
    let judged: Vec<JudgedImage> = pictures
        .par_iter()
        .map(|(number, (name, known))| {
            let verified: Vec<u32> = known.verified.iter().copied().collect();
            let own = found.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            options.judge(*number, &known.objects, &verified, own)
        })
        .collect();
    let mut notes = listed::notes(std::iter::empty(), strangers);
    if elsewhere > 0 {
        let were = super::evaluation::count(elsewhere, "detection", "detections");
        notes.push(format!("{were} on pictures that the truth does not have, and left out"));
    }
    Ok(Box::new(OpenImages {
        options,
        lists: Lists::new(judged.into_iter().collect(), truth.labels.len())?,
        images: truth.images.keys().cloned().collect(),
        labels: truth.labels,
        notes,
    }))
}

impl Evaluation for OpenImages {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.images
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let mean = OpenImagesOptions::mean(&self.options.measure(&self.lists, sample));
        Ok(Metrics::new().with("mAP", mean))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let all: Vec<usize> = (0..self.images.len()).collect();
        let times = self.lists.times(&all);
        let measured = self.options.measure(&self.lists, &all);
        let rows = self.labels.iter().zip(measured).enumerate().filter_map(|(category, (name, ap))| {
            let positives = self.lists.curve(category, &times, 1.0).positives;
            ap.map(|ap| (name.clone(), vec![ap, positives]))
        });
        let columns = ["AP", "objects"].map(str::to_owned).to_vec();
        Ok(Detail {
            groups: vec![Group { title: "Categories".to_owned(), columns, rows: rows.collect() }],
            curves: listed::curves(&self.lists, &self.labels),
            worst: listed::worst(&self.lists.mistakes(), &self.images),
        })
    }
}

/// Each expanded box that counts as a prediction of full score; boxes are shares of the picture already, so a picture
/// is one unit wide.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let options = OpenImagesOptions::official(inputs.variant().parse()?);
    let truth = Truth::read(inputs)?;
    let named = |name: &String| Category { name: name.clone(), ..Category::default() };
    let mut set =
        DetectionSet { categories: truth.labels.iter().map(named).collect(), ..DetectionSet::default() };
    let mut detections = Vec::new();
    for (image, (name, known)) in (0u32..).zip(&truth.images) {
        set.images.push(ImageEntry { file_name: name.clone(), size: Some([1, 1]), ..ImageEntry::default() });
        let counts = |o: &&OpenImagesObject| !o.group || options.group_weight > 0.0;
        detections.extend(known.objects.iter().filter(counts).map(|o| {
            let [x1, y1, x2, y2] = o.corners;
            let bbox = [x1, y1, x2 - x1, y2 - y1];
            as_detection(&Object { image, category: o.category, bbox, ..Object::default() })
        }));
    }
    let path = folder.join("predictions.csv");
    tables::write_predictions(&path, &set, &detections)?;
    Ok(vec![path])
}

//! Reference-case components.

use ocelli_method::{Array, Component, Data, Outputs, Replay, ReplayError};
use ocelli_metrics::detection::lists::Lists;
use ocelli_metrics::detection::open_images::{
    Hierarchy, OpenImagesFound, OpenImagesObject, OpenImagesOptions, OpenImagesVariant,
};
use serde::Deserialize;

use crate::rows::rows;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "metric.oid", run: average_precision },
    Component { name: "hierarchy", run: hierarchy },
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    protocol: String,
    group_of_weight: f64,
    iou_threshold: f64,
    n_images: usize,
    n_classes: usize,
}

/// A picture of a case.
#[derive(Clone, Default)]
struct Picture {
    objects: Vec<OpenImagesObject>,
    verified: Vec<u32>,
    found: Vec<OpenImagesFound>,
}

/// The pictures, each with what rows of an input say of it.
struct Pictures {
    all: Vec<Picture>,
    classes: usize,
}

impl Pictures {
    fn at(&mut self, image: i64) -> Result<&mut Picture, ReplayError> {
        let count = self.all.len();
        let place = usize::try_from(image).ok().and_then(|image| self.all.get_mut(image));
        place.ok_or_else(|| ReplayError::refused(format!("image {image} of {count}, counted from 0")))
    }

    fn class(&self, class: i64) -> Result<u32, ReplayError> {
        match usize::try_from(class) {
            Ok(index) if index < self.classes => Ok(index as u32),
            _ => Err(ReplayError::refused(format!("class {class} of {}, counted from 0", self.classes))),
        }
    }
}

/// Image, class and box `[x1, y1, x2, y2]`, with a further value.
type Thing = (i64, i64, [f64; 4], f64);

/// The things of a kind.
fn things(case: &Replay<'_>, kind: &str, value: &str) -> Result<Vec<Thing>, ReplayError> {
    let name = |what: &str| format!("{kind}_{what}");
    let images = case.integers(&name("images"))?;
    let classes = case.integers(&name("classes"))?;
    let boxes: Vec<[f64; 4]> = rows(case, &name("boxes"))?;
    let values = case.doubles(&name(value))?;
    if [classes.len(), boxes.len(), values.len()] != [images.len(); 3] {
        return Err(ReplayError::refused(format!("inputs of `{kind}` differ in length")));
    }
    let each = images.iter().zip(classes).zip(boxes).zip(values);
    Ok(each.map(|(((&i, &c), [y1, x1, y2, x2]), v)| (i, c, [x1, y1, x2, y2], v)).collect())
}

fn average_precision(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = case.config()?;
    let variant: OpenImagesVariant = config.protocol.parse().map_err(ReplayError::refused)?;
    let options =
        OpenImagesOptions { variant, group_weight: config.group_of_weight, overlap: config.iou_threshold };
    let mut pictures = Pictures { all: vec![Picture::default(); config.n_images], classes: config.n_classes };
    for (image, class, corners, group) in things(case, "gt", "group_of")? {
        let category = pictures.class(class)?;
        pictures.at(image)?.objects.push(OpenImagesObject { category, corners, group: group != 0.0 });
    }
    for (image, class, corners, score) in things(case, "dt", "scores")? {
        let category = pictures.class(class)?;
        pictures.at(image)?.found.push(OpenImagesFound { category, score, corners });
    }
    for &[image, class] in case.integers("image_labels")?.as_chunks().0 {
        let category = pictures.class(class)?;
        pictures.at(image)?.verified.push(category);
    }
    let judged = (0..).zip(&pictures.all);
    let judged = judged.map(|(image, p)| options.judge(image, &p.objects, &p.verified, &p.found));
    let lists = Lists::new(judged.collect(), config.n_classes).map_err(ReplayError::refused)?;
    let all: Vec<usize> = (0..config.n_images).collect();
    let average_precisions = options.measure(&lists, &all);
    let times = lists.times(&all);
    let positives = (0..config.n_classes).map(|class| lists.curve(class, &times, 1.0).positives);
    Ok(Outputs::new()
        .with("ap", Array::vector_f64(average_precisions.iter().map(|ap| ap.unwrap_or(-1.0))))
        .with("map", OpenImagesOptions::mean(&average_precisions))
        .with("n_gt", Array::vector_f64(positives)))
}

/// A table of whole numbers, its rows in lexicographic order.
fn sorted<const N: usize>(mut rows: Vec<[i64; N]>) -> Result<Array, ReplayError> {
    rows.sort_unstable();
    Array::new([rows.len(), N], Data::I64(rows.into_flattened())).map_err(ReplayError::refused)
}

fn hierarchy(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let parents = case.integers("parent")?;
    let classes = parents.len();
    let index = |name: &str, class: i64| match usize::try_from(class) {
        Ok(index) if index < classes => Ok(index as u32),
        _ => Err(ReplayError::refused(format!("{name}: class {class} of {classes}, counted from 0"))),
    };
    let mut above = Vec::new();
    for (child, &parent) in (0u32..).zip(parents) {
        if parent != -1 {
            above.push((child, index("parent", parent)?));
        }
    }
    let tree = Hierarchy::new(classes, &above);
    let mut boxes: Vec<[i64; 2]> = Vec::new();
    for (row, &class) in (0i64..).zip(case.integers("box_classes")?) {
        let all = tree.upwards(index("box_classes", class)?);
        boxes.extend(all.into_iter().map(|class| [row, i64::from(class)]));
    }
    let mut labels: Vec<[i64; 3]> = Vec::new();
    let confidences = case.integers("label_confidence")?;
    for ((row, &class), &confidence) in (0i64..).zip(case.integers("label_classes")?).zip(confidences) {
        let class = index("label_classes", class)?;
        let all = if confidence == 0 { tree.downwards(class) } else { tree.upwards(class) };
        labels.extend(all.into_iter().map(|class| [row, i64::from(class), confidence]));
    }
    Ok(Outputs::new().with("boxes", sorted(boxes)?).with("labels", sorted(labels)?))
}

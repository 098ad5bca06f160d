//! Writing COCO's JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::{Serialize, Serializer};

use super::super::detection::{
    Attribute, Category, Detection, DetectionSet, ImageEntry, Object, Segmentation,
};
use super::rows::{CategoryRow, ImageRow};
use crate::error::DataError;

/// A list made record by record while it is written.
struct Listed<'a, T, F>(&'a [T], F);

impl<'a, T, R: Serialize, F: Fn(&'a T) -> R> Serialize for Listed<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

#[derive(Serialize)]
struct File<I, C, A> {
    images: I,
    categories: C,
    annotations: A,
}

#[derive(Serialize)]
struct Annotation<'a> {
    id: i64,
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    area: Option<f64>,
    iscrowd: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segmentation: Option<Outline<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keypoints: Option<Flat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_keypoints: Option<u32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, Attribute>,
}

#[derive(Serialize)]
struct Found<'a> {
    image_id: i64,
    category_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bbox: Option<[f64; 4]>,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    segmentation: Option<Outline<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keypoints: Option<Flat<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outline<'a> {
    Polygons(&'a [Vec<f64>]),
    Runs { size: [u32; 2], counts: &'a [u32] },
    Compressed { size: [u32; 2], counts: &'a str },
}

impl<'a> From<&'a Segmentation> for Outline<'a> {
    fn from(segmentation: &'a Segmentation) -> Self {
        match segmentation {
            Segmentation::Polygons(polygons) => Self::Polygons(polygons),
            Segmentation::Runs { size, counts } => Self::Runs { size: *size, counts },
            Segmentation::Compressed { size, counts } => Self::Compressed { size: *size, counts },
        }
    }
}

/// Points as one list of numbers.
struct Flat<'a>(&'a [[f64; 3]]);

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.as_flattened())
    }
}

/// Writes a truth. What COCO has no field for (`difficult` and the like) is not written.
///
/// # Errors
/// [`DataError::Write`]; [`DataError::Setting`] for an object whose picture or category is not there.
pub fn write(path: impl AsRef<Path>, set: &DetectionSet) -> Result<(), DataError> {
    let path = path.as_ref();
    check(set, set.objects.iter().map(|o| (o.image, o.category)))?;
    let file = File {
        images: Listed(&set.images, |image| image_row(set, image)),
        categories: Listed(&set.categories, category_row),
        annotations: Listed(&set.objects, |object| annotation(set, object)),
    };
    write_json(path, &file)
}

/// Writes results for a truth as a list.
///
/// # Errors
/// As [`write()`].
pub fn write_results(
    path: impl AsRef<Path>,
    set: &DetectionSet,
    detections: &[Detection],
) -> Result<(), DataError> {
    check(set, detections.iter().map(|d| (d.image, d.category)))?;
    write_json(path.as_ref(), &Listed(detections, |detection| found(set, detection)))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), DataError> {
    write_atomically(path, |out| serde_json::to_writer(out, value).map_err(io::Error::other))
        .map_err(|source| DataError::write(path, source))
}

/// That all pictures and categories named are there.
fn check(set: &DetectionSet, mut named: impl Iterator<Item = (u32, u32)>) -> Result<(), DataError> {
    let absent = |&(image, category): &(u32, u32)| {
        set.images.len() <= image as usize || set.categories.len() <= category as usize
    };
    match named.find(absent) {
        None => Ok(()),
        Some((image, category)) => {
            let reason = format!("picture {image} or category {category} is not in the data set");
            Err(DataError::setting("detection set", reason))
        }
    }
}

fn image_row<'a>(set: &DetectionSet, image: &'a ImageEntry) -> ImageRow<'a> {
    let ids = |places: &[u32]| -> Vec<i64> {
        places.iter().filter_map(|&place| Some(set.categories.get(place as usize)?.id)).collect()
    };
    // Both lists belong to LVIS, whose tools want them on every picture or on none.
    let federated = set.images.iter().any(|i| !i.negative.is_empty() || !i.not_exhaustive.is_empty())
        || set.categories.iter().any(|c| c.frequency.is_some());
    ImageRow {
        id: image.id,
        file_name: (!image.file_name.is_empty()).then_some(Cow::Borrowed(image.file_name.as_str())),
        coco_url: None,
        width: image.size.map(|size| size[0]),
        height: image.size.map(|size| size[1]),
        neg_category_ids: federated.then(|| ids(&image.negative)),
        not_exhaustive_category_ids: federated.then(|| ids(&image.not_exhaustive)),
    }
}

fn category_row(category: &Category) -> CategoryRow<'_> {
    CategoryRow {
        id: category.id,
        name: Cow::Borrowed(&category.name),
        supercategory: Cow::Borrowed(&category.supercategory),
        frequency: category.frequency,
        keypoints: category.keypoints.clone(),
    }
}

fn annotation<'a>(set: &DetectionSet, object: &'a Object) -> Annotation<'a> {
    let points = object.keypoints.as_deref();
    Annotation {
        id: object.id,
        image_id: set.images[object.image as usize].id,
        category_id: set.categories[object.category as usize].id,
        bbox: object.bbox,
        area: object.area,
        iscrowd: object.flags.crowd.into(),
        ignore: object.flags.ignore.then_some(1),
        segmentation: object.segmentation.as_deref().map(Outline::from),
        keypoints: points.map(|k| Flat(&k.points)),
        num_keypoints: points.and_then(|k| k.labelled),
        attributes: &object.attributes,
    }
}

fn found<'a>(set: &DetectionSet, detection: &'a Detection) -> Found<'a> {
    Found {
        image_id: set.images[detection.image as usize].id,
        category_id: set.categories[detection.category as usize].id,
        bbox: detection.bbox,
        score: detection.score,
        segmentation: detection.segmentation.as_deref().map(Outline::from),
        keypoints: detection.keypoints.as_deref().map(Flat),
    }
}

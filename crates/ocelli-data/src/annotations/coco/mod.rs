//! COCO's JSON: pictures with boxes, masks and keypoints, and files of results.
//!
//! The truth is an object with `images`, `categories` and `annotations`; results are a list of records `image_id`,
//! `category_id`, `score` and `bbox`, `segmentation` or `keypoints`
//! (<https://cocodataset.org/#format-data>, <https://cocodataset.org/#format-results>). Some tools write results as an
//! object like the truth, with numbers of their own and a `score` in each annotation; its pictures and categories are
//! recognised by their names. Fields that are not known are passed over.

mod rows;
mod write;

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::detection::{Category, Detection, DetectionSet, Flags, ImageEntry, Keypoints, Object, index_of};
use crate::error::DataError;
use rows::{AnnotationRow, CategoryRow, FileRow, ImageRow, ResultRow, Rows};

pub use write::{write, write_results};

/// What of a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Boxes alone; outlines and keypoints, the larger part of most files, are passed over.
    Boxes,
    /// Everything.
    #[default]
    Full,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// The pictures with their objects.
    pub set: DetectionSet,
    /// Objects of pictures or categories that the file does not list: left out, as by the official tools.
    pub left_out: usize,
}

/// What a file of results holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The detections in file order.
    pub detections: Vec<Detection>,
    /// Detections of categories that the truth does not list: left out, as by the official tools.
    pub strangers: Vec<Stranger>,
}

/// A detection of a category that the truth does not list. It takes a place where their number is limited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stranger {
    /// The picture, an index into [`DetectionSet::images`].
    pub image: u32,
    /// Its score.
    pub score: f64,
    /// How many of the other detections stand before it in the file.
    pub before: usize,
}

impl Results {
    fn add(&mut self, image: u32, score: f64, category: Option<u32>, found: Detection) {
        match category {
            Some(category) => self.detections.push(Detection { image, category, score, ..found }),
            None => self.strangers.push(Stranger { image, score, before: self.detections.len() }),
        }
    }
}

/// Reads the truth.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] names the line and record that cannot be understood; [`DataError::Content`]
/// for missing lists, and for pictures, categories or objects that share a number.
pub fn read(path: impl AsRef<Path>, detail: Detail) -> Result<Truth, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    match detail {
        Detail::Boxes => truth::<false>(path, &bytes),
        Detail::Full => truth::<true>(path, &bytes),
    }
}

/// Reads results for a truth.
///
/// # Errors
/// As [`read`]; and [`DataError::Content`] naming the first record of a picture that the truth does not have, which the
/// official tools refuse too.
pub fn read_results(
    path: impl AsRef<Path>,
    set: &DetectionSet,
    detail: Detail,
) -> Result<Results, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    let is_list = without_mark(&bytes).iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    match (is_list, detail) {
        (true, Detail::Boxes) => listed_results::<false>(path, &bytes, set),
        (true, Detail::Full) => listed_results::<true>(path, &bytes, set),
        (false, Detail::Boxes) => named_results::<false>(path, &bytes, set),
        (false, Detail::Full) => named_results::<true>(path, &bytes, set),
    }
}

/// A file's bytes without a byte-order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn parse<'de, T: Deserialize<'de>>(path: &Path, bytes: &'de [u8]) -> Result<T, DataError> {
    serde_json::from_slice(without_mark(bytes)).map_err(|e| match e.line() {
        0 => DataError::content(path, e.to_string()),
        line => DataError::line(path, line, e.to_string()),
    })
}

/// Where pictures and categories of a file stand, by number.
struct Places {
    images: HashMap<i64, u32>,
    categories: HashMap<i64, u32>,
}

impl Places {
    fn new(
        path: &Path,
        images: impl IntoIterator<Item = i64>,
        categories: impl IntoIterator<Item = i64>,
    ) -> Result<Self, DataError> {
        let twice = |list: &str, [a, b]: [usize; 2]| {
            DataError::content(
                path,
                format!("{list}[{a}] and {list}[{b}] have the same id; ids must be unique"),
            )
        };
        Ok(Self {
            images: index_of(images).map_err(|pair| twice("images", pair))?,
            categories: index_of(categories).map_err(|pair| twice("categories", pair))?,
        })
    }

    fn of_set(path: &Path, set: &DetectionSet) -> Result<Self, DataError> {
        Self::new(path, set.images.iter().map(|i| i.id), set.categories.iter().map(|c| c.id))
    }

    fn categories_of(&self, ids: Option<Vec<i64>>) -> Vec<u32> {
        ids.into_iter().flatten().filter_map(|id| self.categories.get(&id).copied()).collect()
    }
}

fn required<T>(path: &Path, rows: Option<Rows<T>>, name: &str) -> Result<Vec<T>, DataError> {
    let rows = rows.ok_or_else(|| {
        DataError::content(
            path,
            format!("no `{name}`; an object with images, categories and annotations is expected"),
        )
    })?;
    Ok(rows.0)
}

fn truth<const FULL: bool>(path: &Path, bytes: &[u8]) -> Result<Truth, DataError> {
    let file: FileRow<'_, FULL> = parse(path, bytes)?;
    let images = required(path, file.images, "images")?;
    let categories = required(path, file.categories, "categories")?;
    let annotations = required(path, file.annotations, "annotations")?;
    let places = Places::new(path, images.iter().map(|i| i.id), categories.iter().map(|c| c.id))?;
    let mut objects = Vec::with_capacity(annotations.len());
    let count = annotations.len();
    for (record, row) in annotations.into_iter().enumerate() {
        let image = places.images.get(&row.image_id).copied();
        let category = places.categories.get(&row.category_id).copied();
        let object = object(path, record, row)?;
        if let (Some(image), Some(category)) = (image, category) {
            objects.push(Object { image, category, ..object });
        }
    }
    unique_objects(path, &objects)?;
    let left_out = count - objects.len();
    let images = images.into_iter().map(|row| image(row, &places)).collect();
    let categories = categories.into_iter().map(category).collect();
    Ok(Truth { set: DetectionSet { images, categories, objects }, left_out })
}

fn image(row: ImageRow<'_>, places: &Places) -> ImageEntry {
    let of_url = || row.coco_url.as_deref().and_then(|url| url.rsplit('/').next());
    let file_name = row.file_name.as_deref().or_else(of_url).unwrap_or_default().to_owned();
    ImageEntry {
        id: row.id,
        file_name,
        size: row.width.zip(row.height).map(Into::into),
        negative: places.categories_of(row.neg_category_ids),
        not_exhaustive: places.categories_of(row.not_exhaustive_category_ids),
    }
}

fn category(row: CategoryRow<'_>) -> Category {
    Category {
        id: row.id,
        name: row.name.into_owned(),
        supercategory: row.supercategory.into_owned(),
        frequency: row.frequency,
        keypoints: row.keypoints,
    }
}

/// The object of a record, but for its picture and category.
fn object<const FULL: bool>(
    path: &Path,
    record: usize,
    row: AnnotationRow<FULL>,
) -> Result<Object, DataError> {
    let missing = |field: &str| DataError::content(path, format!("annotations[{record}] has no `{field}`"));
    let bbox = row.bbox.and_then(|b| b.0).ok_or_else(|| missing("bbox"))?;
    let labelled = row.num_keypoints;
    Ok(Object {
        id: row.id.ok_or_else(|| missing("id"))?,
        image: 0,
        category: 0,
        bbox,
        area: row.area,
        flags: Flags { crowd: row.iscrowd.0, ignore: row.ignore.0, ..Flags::default() },
        segmentation: row.segmentation.0,
        keypoints: row.keypoints.0.map(|points| Box::new(Keypoints { points, labelled })),
        attributes: row.attributes.0,
    })
}

fn unique_objects(path: &Path, objects: &[Object]) -> Result<(), DataError> {
    if objects.windows(2).all(|pair| pair[0].id < pair[1].id) {
        return Ok(());
    }
    match index_of(objects.iter().map(|o| o.id)) {
        Ok(_) => Ok(()),
        Err([first, _]) => {
            let id = objects[first].id;
            Err(DataError::content(path, format!("two annotations have the id {id}; ids must be unique")))
        }
    }
}

fn listed_results<const FULL: bool>(
    path: &Path,
    bytes: &[u8],
    set: &DetectionSet,
) -> Result<Results, DataError> {
    let Rows::<ResultRow<FULL>>(rows) = parse(path, bytes)?;
    let places = Places::of_set(path, set)?;
    let mut results = Results { detections: Vec::with_capacity(rows.len()), strangers: Vec::new() };
    for (record, row) in rows.into_iter().enumerate() {
        let Some(&image) = places.images.get(&row.image_id) else {
            let reason =
                format!("record {record} is of image {}, which the truth does not have", row.image_id);
            return Err(DataError::content(path, reason));
        };
        let category = places.categories.get(&row.category_id).copied();
        let found = Detection {
            bbox: row.bbox.and_then(|b| b.0),
            segmentation: row.segmentation.0,
            keypoints: row.keypoints.0.map(Vec::into_boxed_slice),
            ..Detection::default()
        };
        results.add(image, row.score, category, found);
    }
    Ok(results)
}

/// The last part of a file name without its ending.
fn stem(name: &str) -> &str {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    last.rsplit_once('.').map_or(last, |(stem, _)| stem)
}

/// Results in the form of a truth, whose pictures and categories are known by name.
fn named_results<const FULL: bool>(
    path: &Path,
    bytes: &[u8],
    set: &DetectionSet,
) -> Result<Results, DataError> {
    let file: FileRow<'_, FULL> = parse(path, bytes)?;
    let rows = required(path, file.annotations, "annotations")?;
    let mut places = Places::of_set(path, set)?;
    if let Some(Rows(images)) = file.images {
        let by_name = index_of(set.images.iter().map(|i| stem(&i.file_name))).map_err(|_| {
            DataError::content(path, "pictures of the truth share a name, so its own cannot be told apart")
        })?;
        let own = images.iter().filter_map(|row| {
            let name = row.file_name.as_deref().unwrap_or_default();
            Some((row.id, *by_name.get(stem(name))?))
        });
        places.images = own.collect();
    }
    if let Some(Rows(categories)) = file.categories {
        let by_name: HashMap<&str, u32> =
            (0..).zip(&set.categories).map(|(i, c)| (c.name.as_str(), i)).collect();
        places.categories =
            categories.iter().filter_map(|row| Some((row.id, *by_name.get(row.name.as_ref())?))).collect();
    }
    let mut results = Results::default();
    for (record, row) in rows.into_iter().enumerate() {
        let Some(&image) = places.images.get(&row.image_id) else {
            let reason = format!(
                "annotations[{record}] is of image {}, whose name the truth does not have",
                row.image_id
            );
            return Err(DataError::content(path, reason));
        };
        let score = row.score.ok_or_else(|| {
            DataError::content(path, format!("annotations[{record}] has no `score`; are these results?"))
        })?;
        let category = places.categories.get(&row.category_id).copied();
        let found = Detection {
            bbox: row.bbox.and_then(|b| b.0),
            segmentation: row.segmentation.0,
            keypoints: row.keypoints.0.map(Vec::into_boxed_slice),
            ..Detection::default()
        };
        results.add(image, score, category, found);
    }
    Ok(results)
}

#[cfg(test)]
mod tests;

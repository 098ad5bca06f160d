//! The model that formats of detection and segmentation share: pictures, categories, objects, and what a detector found.
//!
//! A format's reader makes a [`DetectionSet`] (truth) or a list of [`Detection`]s of it, its writer the reverse; what one
//! turns into another goes through here. Objects name their picture and category by *index*, so that formats without
//! numbered pictures need none; the numbers of formats that have them are kept beside (`id`) and written back.
//!
//! Boxes are `[x, y, width, height]` in pixels with the origin at the picture's upper left corner; formats that count
//! otherwise (corners, centres, shares of the picture) convert on the way.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use serde::{Deserialize, Serialize};

/// Pictures with their objects: the truth of a detection or segmentation task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectionSet {
    /// The pictures in file order.
    pub images: Vec<ImageEntry>,
    /// The categories in file order.
    pub categories: Vec<Category>,
    /// The objects in file order.
    pub objects: Vec<Object>,
}

/// A picture of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageEntry {
    /// Its number in the file; readers of formats without numbers count from 1.
    pub id: i64,
    /// Its file name or name; empty where the format gives none.
    pub file_name: String,
    /// Width and height in pixels, where known.
    pub size: Option<[u32; 2]>,
    /// Categories (indices) that people looked for and did not find here: LVIS's and Open Images' negative labels.
    pub negative: Vec<u32>,
    /// Categories (indices) of which not every object here is annotated.
    pub not_exhaustive: Vec<u32>,
}

impl ImageEntry {
    /// What messages and tables call it: its file name, or its number.
    pub fn name(&self) -> String {
        if self.file_name.is_empty() { format!("image {}", self.id) } else { self.file_name.clone() }
    }
}

/// A category of objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Category {
    /// Its number in the file; readers of formats without numbers count from 1.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The kind it belongs to; empty where there is none.
    pub supercategory: String,
    /// How often it occurs in the training pictures (LVIS).
    pub frequency: Option<Frequency>,
    /// The names of its keypoints in the order of an object's points; none for boxes and masks.
    pub keypoints: Vec<String>,
}

/// How many training pictures show a category (LVIS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Frequency {
    /// Ten at most.
    #[serde(rename = "r")]
    Rare,
    /// A hundred at most.
    #[serde(rename = "c")]
    Common,
    /// More.
    #[serde(rename = "f")]
    Frequent,
}

/// An object of the truth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Its number in the file; readers of formats without numbers count from 1.
    pub id: i64,
    /// Its picture, an index into [`DetectionSet::images`].
    pub image: u32,
    /// Its category, an index into [`DetectionSet::categories`].
    pub category: u32,
    /// `[x, y, width, height]` in pixels.
    pub bbox: [f64; 4],
    /// The area by which it counts as small or large, in pixels; where the file gives none, that of the box or mask.
    pub area: Option<f64>,
    /// How evaluators treat it.
    pub flags: Flags,
    /// Its outline, where read and given.
    pub segmentation: Option<Box<Segmentation>>,
    /// Its keypoints, where read and given.
    pub keypoints: Option<Box<Keypoints>>,
    /// What else is said of it, such as VOC's `pose`.
    pub attributes: BTreeMap<String, Attribute>,
}

/// How evaluators treat an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// A crowd annotated as one region (COCO's `iscrowd`).
    pub crowd: bool,
    /// Hard to recognise (VOC).
    pub difficult: bool,
    /// Reaches beyond the picture or is covered in part (VOC's `truncated`, Open Images' `IsTruncated`).
    pub truncated: bool,
    /// Covered by something else (VOC's `occluded`, Open Images' `IsOccluded`).
    pub occluded: bool,
    /// One box around several objects (Open Images' `IsGroupOf`).
    pub group_of: bool,
    /// Neither to be found nor to be missed (LVIS's and many tools' `ignore`, WIDER's `invalid`).
    pub ignore: bool,
}

/// Points of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keypoints {
    /// `[x, y, visibility]` of each; visibility 0 not labelled, 1 labelled but hidden, 2 visible.
    pub points: Vec<[f64; 3]>,
    /// How many are labelled, as the file says.
    pub labelled: Option<u32>,
}

/// An outline as files give it. Rasterising is left to whoever needs pixels (`ocelli_metrics::mask`).
#[derive(Clone, Debug, PartialEq)]
pub enum Segmentation {
    /// Polygons of one object, each `x0, y0, x1, y1, …`.
    Polygons(Vec<Vec<f64>>),
    /// Run lengths, column by column, first of pixels outside of the mask.
    Runs {
        /// Height and width.
        size: [u32; 2],
        /// The run lengths.
        counts: Vec<u32>,
    },
    /// Run lengths in COCO's compressed text.
    Compressed {
        /// Height and width.
        size: [u32; 2],
        /// The text.
        counts: String,
    },
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Attribute {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
}

/// What a detector found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detection {
    /// The picture, an index into [`DetectionSet::images`].
    pub image: u32,
    /// The category, an index into [`DetectionSet::categories`].
    pub category: u32,
    /// The more, the surer.
    pub score: f64,
    /// `[x, y, width, height]` in pixels, where given.
    pub bbox: Option<[f64; 4]>,
    /// The outline, where read and given.
    pub segmentation: Option<Box<Segmentation>>,
    /// `[x, y, score]` of each keypoint, where read and given.
    pub keypoints: Option<Box<[[f64; 3]]>>,
}

impl DetectionSet {
    /// The place of each picture by its file name without ending, as formats name pictures that leave the ending out.
    ///
    /// # Errors
    /// The places of the first two of one name.
    pub fn images_by_stem(&self) -> Result<HashMap<&str, u32>, [usize; 2]> {
        index_of(self.images.iter().map(|image| stem(&image.file_name)))
    }

    /// The place of each category by its name.
    ///
    /// # Errors
    /// The places of the first two of one name.
    pub fn categories_by_name(&self) -> Result<HashMap<&str, u32>, [usize; 2]> {
        index_of(self.categories.iter().map(|category| category.name.as_str()))
    }

    /// Gives every category the frequency that its number of pictures here has.
    pub fn count_frequencies(&mut self) {
        let mut shown: Vec<(u32, u32)> = self.objects.iter().map(|o| (o.category, o.image)).collect();
        shown.sort_unstable();
        shown.dedup();
        let mut counts = vec![0u32; self.categories.len()];
        for (category, _) in shown {
            if let Some(count) = counts.get_mut(category as usize) {
                *count += 1;
            }
        }
        for (category, count) in self.categories.iter_mut().zip(counts) {
            category.frequency = Some(match count {
                0..=10 => Frequency::Rare,
                11..=100 => Frequency::Common,
                _ => Frequency::Frequent,
            });
        }
    }

    /// Numbers the objects from 1.
    pub(crate) fn number_objects(&mut self) {
        for (id, object) in (1..).zip(&mut self.objects) {
            object.id = id;
        }
    }
}

/// Categories of these names, numbered from 1.
pub fn categories_of<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Vec<Category> {
    let named = (1..).zip(names);
    named.map(|(id, name)| Category { id, name: name.into(), ..Category::default() }).collect()
}

/// A file name without its ending.
pub fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !ending.contains('/') => stem,
        _ => name,
    }
}

/// The place of each key in a list of distinct keys.
///
/// # Errors
/// The positions of the first two that are equal.
pub fn index_of<K: Eq + Hash>(keys: impl IntoIterator<Item = K>) -> Result<HashMap<K, u32>, [usize; 2]> {
    let mut places = HashMap::new();
    for (index, key) in keys.into_iter().enumerate() {
        match places.entry(key) {
            Entry::Vacant(place) => place.insert(index as u32),
            Entry::Occupied(place) => return Err([*place.get() as usize, index]),
        };
    }
    Ok(places)
}

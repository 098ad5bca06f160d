//! Who or what is in a picture, and what happens in a video: readers of the field's annotation formats, a file a format.

pub mod activitynet;
pub mod caption_table;
pub mod captions;
pub mod charades_cg;
pub mod charades_sta;
pub mod coco;
pub mod coco_captions;
pub mod columns;
pub mod detection;
pub mod flo;
pub mod folder;
pub mod grounding;
pub mod ijb;
pub mod imagenet_vid;
pub mod imglab;
mod json;
pub mod kitti_flow;
pub mod label_map;
pub mod lfw;
pub mod list;
pub mod liveness;
pub mod lvis;
pub mod mat;
pub mod meteor_tables;
pub mod mot;
pub mod mpii;
pub mod msrvtt;
pub mod npy;
pub mod open_images;
pub mod pictures;
pub mod reid;
pub mod split;
pub mod thumos;
pub mod track_boxes;
pub mod vecs;
pub mod voc;
pub mod wider;
pub mod yolo;
pub mod youtube8m;

use std::path::Path;
use std::str::FromStr;

use crate::error::DataError;

pub use folder::FolderDataset;
pub use list::ImageList;
pub use split::{IdentitySplit, split_identities};

/// The text of a file, without a byte-order mark.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        DataError::content(path, format!("no UTF-8 text after byte {}", e.utf8_error().valid_up_to()))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The lines that hold anything, with their numbers from 1.
pub(crate) fn filled_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.is_empty())
}

/// A number in a text file.
fn number<T: FromStr>(path: &Path, line: usize, what: &str, text: &str) -> Result<T, DataError> {
    text.parse().map_err(|_| DataError::line(path, line, format!("{what} expected, found `{text}`")))
}

/// A finite number in a text file.
fn finite(path: &Path, line: usize, what: &str, text: &str) -> Result<f64, DataError> {
    let value: f64 = number(path, line, what, text)?;
    if value.is_finite() {
        return Ok(value);
    }
    Err(DataError::line(path, line, format!("{what} expected, found `{text}`")))
}

/// Finite numbers in a text file, as many as `texts` has.
fn finites<const N: usize>(
    path: &Path,
    line: usize,
    what: &str,
    texts: [&str; N],
) -> Result<[f64; N], DataError> {
    let mut values = [0.0; N];
    for (value, text) in values.iter_mut().zip(texts) {
        *value = finite(path, line, what, text)?;
    }
    Ok(values)
}

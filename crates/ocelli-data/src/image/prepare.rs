//! From a picture file to a picture of the size a network wants.

use std::path::Path;

use ::image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{DecodeLimits, Filter, letterbox, open, resize, resize_crop};
use crate::error::DataError;

/// How a picture of another shape is brought to the wanted size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Both sides are resized on their own; the aspect ratio may change.
    #[default]
    Stretch,
    /// The largest middle part of the wanted aspect ratio is resized.
    CentreCrop,
    /// The whole picture is resized with its aspect ratio kept, on a black ground.
    Letterbox,
}

/// What happens to every picture file before augmentation.
///
/// ```
/// use ocelli_data::image::{Preparation, RgbImage};
///
/// let preparation = Preparation { size: Some([112, 96]), ..Preparation::default() };
/// let prepared = preparation.apply(&RgbImage::new(300, 200))?;
/// assert_eq!((prepared.width(), prepared.height()), (96, 112));
/// # Ok::<(), ocelli_data::DataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preparation {
    /// Height and width in pixels; pictures stay as they are without it.
    pub size: Option<[u32; 2]>,
    /// What to do about another aspect ratio.
    pub fit: Fit,
    /// The resize kernel.
    pub filter: Filter,
    /// What a file may cost.
    pub limits: DecodeLimits,
}

impl Preparation {
    /// Reads, decodes and prepares a picture file.
    ///
    /// # Errors
    /// See [`open`]; [`DataError::Shape`] when the wanted size has no pixels.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<RgbImage, DataError> {
        let picture = open(path, &self.limits)?;
        match self.size {
            Some([height, width]) if picture.dimensions() != (width, height) => self.apply(&picture),
            _ => Ok(picture),
        }
    }

    /// Brings a picture to the wanted size.
    ///
    /// # Errors
    /// [`DataError::Shape`] when the picture or the wanted size has no pixels.
    pub fn apply(&self, picture: &RgbImage) -> Result<RgbImage, DataError> {
        let Some([height, width]) = self.size else { return Ok(picture.clone()) };
        match self.fit {
            Fit::Stretch => resize(picture, height, width, self.filter),
            Fit::CentreCrop => {
                let (w, h) = (f64::from(picture.width()), f64::from(picture.height()));
                let ratio = f64::from(width) / f64::from(height.max(1));
                let (part_w, part_h) = if w > h * ratio { (h * ratio, h) } else { (w, w / ratio) };
                let middle = [(w - part_w) / 2.0, (h - part_h) / 2.0, part_w, part_h];
                resize_crop(picture, middle, height, width, self.filter)
            }
            Fit::Letterbox => Ok(letterbox(picture, height, width, [0; 3], self.filter)?.picture),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::Rgb;

    #[test]
    fn every_fit_gives_the_wanted_size() {
        // Left third red, rest blue.
        let picture =
            RgbImage::from_fn(90, 30, |x, _| if x < 30 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
        let apply = |fit| {
            let preparation = Preparation { size: Some([30, 30]), fit, ..Preparation::default() };
            let out = preparation.apply(&picture).unwrap();
            assert_eq!(out.dimensions(), (30, 30));
            out
        };
        assert_eq!(apply(Fit::Stretch).get_pixel(2, 2).0, [255, 0, 0]);
        assert_eq!(apply(Fit::CentreCrop).get_pixel(2, 2).0, [0, 0, 255]);
        assert_eq!(apply(Fit::Letterbox).get_pixel(2, 2).0, [0, 0, 0]);
        assert_eq!(apply(Fit::Letterbox).get_pixel(2, 15).0, [255, 0, 0]);
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(serde_json::from_str::<Preparation>(r#"{"size": [4, 4], "fit": "centre-crop"}"#).is_ok());
        assert!(serde_json::from_str::<Preparation>(r#"{"sise": [4, 4]}"#).is_err());
    }

    #[test]
    fn empty_pictures_and_sizes_are_errors() {
        for fit in [Fit::Stretch, Fit::CentreCrop, Fit::Letterbox] {
            for size in [[0, 5], [5, 0]] {
                let preparation = Preparation { size: Some(size), fit, ..Preparation::default() };
                assert!(preparation.apply(&RgbImage::new(3, 3)).is_err(), "{fit:?} {size:?}");
            }
            let preparation = Preparation { size: Some([2, 2]), fit, ..Preparation::default() };
            assert!(preparation.apply(&RgbImage::new(0, 3)).is_err(), "{fit:?}");
        }
    }
}

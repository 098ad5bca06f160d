//! Random changes to training pictures, and the way from pixels to network input.
//!
//! Every step follows torchvision's definition of the same name on 8-bit pictures and takes its generator as an
//! argument. [`Augment`] is the usual pipeline, configured from a recipe; [`Normalise`] makes the `[B, 3, H, W]`
//! batch.
//!
//! ```
//! use ocelli_data::augment::{Augment, Normalise};
//! use ocelli_data::image::RgbImage;
//! use ocelli_method::random::stream;
//!
//! let augment = Augment { flip: 0.5, ..Augment::default() };
//! let picture = augment.apply(&RgbImage::new(96, 112), &mut stream(1, "augment", 0))?;
//! let batch = Normalise::HALF.batch([&picture])?;
//! assert_eq!(batch.shape, [1, 3, 112, 96]);
//! # Ok::<(), ocelli_data::DataError>(())
//! ```

mod blur;
mod colour;
mod geometry;
mod normalise;
mod scale;

use ::image::RgbImage;
use ocelli_method::random::Generator;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::image::flip_horizontal;

pub use blur::{GaussianBlur, gaussian_blur};
pub use colour::{
    ColourJitter, adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, greyscale,
};
pub use geometry::{Cutout, PadCrop, RandomResizedCrop};
pub use normalise::{Normalise, PictureBatch};
pub use scale::RandomScale;

/// A pipeline of random changes. Steps that are not configured do nothing; the others run in the order of the fields.
///
/// The default is to change nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// A random part, resized to a fixed size.
    pub resized_crop: Option<RandomResizedCrop>,
    /// A random shift: padding, then a random crop of the original size.
    pub pad_crop: Option<PadCrop>,
    /// Probability of mirroring left to right.
    pub flip: f64,
    /// Random brightness, contrast, saturation and hue.
    pub colour_jitter: Option<ColourJitter>,
    /// Probability of losing all colour.
    pub grey: f64,
    /// Random blur.
    pub blur: Option<GaussianBlur>,
    /// Random loss of resolution.
    pub scale: Option<RandomScale>,
    /// Squares painted over.
    pub cutout: Option<Cutout>,
}

impl Augment {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first impossible one.
    pub fn check(&self) -> Result<(), DataError> {
        probability("augment.flip", self.flip)?;
        probability("augment.grey", self.grey)?;
        self.resized_crop.as_ref().map_or(Ok(()), RandomResizedCrop::check)?;
        self.colour_jitter.as_ref().map_or(Ok(()), ColourJitter::check)?;
        self.blur.as_ref().map_or(Ok(()), GaussianBlur::check)?;
        self.scale.as_ref().map_or(Ok(()), RandomScale::check)?;
        self.cutout.as_ref().map_or(Ok(()), Cutout::check)
    }

    /// A randomly changed copy of the picture.
    ///
    /// # Errors
    /// [`DataError::Shape`] when a step does not fit the picture: an empty picture, or a blur wider than it.
    pub fn apply(&self, picture: &RgbImage, rng: &mut Generator) -> Result<RgbImage, DataError> {
        let mut picture = match &self.resized_crop {
            Some(step) => step.apply(picture, rng)?,
            None => picture.clone(),
        };
        if let Some(step) = &self.pad_crop {
            picture = step.apply(&picture, rng);
        }
        if happens(rng, self.flip) {
            picture = flip_horizontal(&picture);
        }
        if let Some(step) = &self.colour_jitter {
            step.apply(&mut picture, rng);
        }
        if happens(rng, self.grey) {
            greyscale(&mut picture);
        }
        if let Some(step) = &self.blur {
            picture = step.apply(&picture, rng)?;
        }
        if let Some(step) = &self.scale {
            picture = step.apply(&picture, rng)?;
        }
        if let Some(step) = &self.cutout {
            step.apply(&mut picture, rng);
        }
        Ok(picture)
    }
}

/// Draws a chance; impossible probabilities act as the nearest possible one. Nothing is drawn for probability 0.
fn happens(rng: &mut Generator, probability: f64) -> bool {
    probability > 0.0 && rng.random::<f64>() < probability
}

/// A number drawn evenly from `low` to `high`; `low` when they are equal.
fn uniform(rng: &mut Generator, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

fn probability(key: &'static str, value: f64) -> Result<(), DataError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(DataError::setting(key, format!("a probability must be from 0 to 1, found {value}")))
}

fn increasing(key: &'static str, range: [f64; 2], low: f64, high: f64) -> Result<(), DataError> {
    if low <= range[0] && range[0] <= range[1] && range[1] <= high {
        return Ok(());
    }
    Err(DataError::setting(key, format!("must rise within {low} to {high}, found {range:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::Rgb;
    use ocelli_method::random::stream;

    pub(super) fn noise(width: u32, height: u32) -> RgbImage {
        let mut rng = stream(3, "noise", 0);
        RgbImage::from_fn(width, height, |_, _| Rgb(rng.random()))
    }

    fn everything() -> Augment {
        Augment {
            resized_crop: Some(RandomResizedCrop { size: [24, 20], ..RandomResizedCrop::default() }),
            pad_crop: Some(PadCrop { padding: 3, fill: [0; 3] }),
            flip: 0.5,
            colour_jitter: Some(ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
            grey: 0.2,
            blur: Some(GaussianBlur { kernel: 5, sigma: [0.1, 2.0], probability: 0.5 }),
            scale: Some(RandomScale { k_min: 4, ..RandomScale::default() }),
            cutout: Some(Cutout { size: 6, holes: 2, probability: 1.0, fill: [0; 3] }),
        }
    }

    #[test]
    fn the_default_changes_nothing_and_draws_nothing() {
        let picture = noise(9, 7);
        let mut rng = stream(1, "augment", 0);
        assert_eq!(Augment::default().apply(&picture, &mut rng).unwrap(), picture);
        assert_eq!(rng, stream(1, "augment", 0));
    }

    #[test]
    fn the_generator_alone_decides() {
        let (augment, picture) = (everything(), noise(40, 30));
        augment.check().unwrap();
        let apply = |index| augment.apply(&picture, &mut stream(7, "augment", index)).unwrap();
        assert_eq!(apply(0), apply(0));
        assert_ne!(apply(0), apply(1));
        assert_eq!(apply(0).dimensions(), (20, 24));
    }

    #[test]
    fn flips_come_as_often_as_asked() {
        let augment = Augment { flip: 0.25, ..Augment::default() };
        let picture = noise(4, 1);
        let flipped = (0..4000)
            .filter(|i| augment.apply(&picture, &mut stream(2, "augment", *i)).unwrap() != picture)
            .count();
        // Binomial: mean 1000, standard deviation 27.
        assert!((860..1140).contains(&flipped), "{flipped}");
    }

    #[test]
    fn impossible_settings_are_named() {
        let bad = [
            r#"{"flip": 1.5}"#,
            r#"{"grey": -0.1}"#,
            r#"{"colour_jitter": {"hue": 0.7}}"#,
            r#"{"colour_jitter": {"contrast": -1}}"#,
            r#"{"blur": {"kernel": 4}}"#,
            r#"{"blur": {"sigma": [2.0, 1.0]}}"#,
            r#"{"scale": {"k_min": 0}}"#,
            r#"{"scale": {"k": 0}}"#,
            r#"{"scale": {"p_keep": 1.5}}"#,
            r#"{"resized_crop": {"size": [0, 4]}}"#,
            r#"{"resized_crop": {"scale": [0.0, 1.0]}}"#,
            r#"{"cutout": {"size": 4, "probability": 2}}"#,
        ];
        for text in bad {
            let message = serde_json::from_str::<Augment>(text).unwrap().check().unwrap_err().to_string();
            assert!(message.starts_with("augment."), "{text}: {message}");
        }
        for text in [r#"{"flp": 0.5}"#, r#"{"blur": {"radius": 4}}"#] {
            assert!(serde_json::from_str::<Augment>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn any_picture_size_is_survived() {
        let augment = everything();
        for (width, height) in [(1, 1), (1, 50), (50, 1), (3, 2)] {
            for index in 0..20 {
                let picture = augment.apply(&noise(width, height), &mut stream(1, "augment", index)).unwrap();
                assert_eq!(picture.dimensions(), (20, 24));
            }
        }
        assert!(augment.apply(&RgbImage::new(0, 0), &mut stream(1, "augment", 0)).is_err());
    }
}

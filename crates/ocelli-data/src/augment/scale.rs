//! Random loss of resolution.

use ::image::RgbImage;
use ocelli_method::random::Generator;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::probability;
use crate::error::DataError;
use crate::image::degrade;

/// Random scale augmentation (Yin et al. 2020, section 3.3): a picture is reduced to a random size and enlarged back, so
/// that what is learned from it holds at every distance from the camera.
///
/// Sizes count along the picture's smaller side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomScale {
    /// The smallest size in pixels.
    pub k_min: u32,
    /// Probability that a picture is left as it is.
    pub p_keep: f64,
    /// A fixed size in pixels instead of a random one: the augmentation that random scales are compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
    /// Whether detail that the smaller picture cannot hold is averaged away instead of picked at random.
    pub antialias: bool,
}

impl Default for RandomScale {
    /// Sizes from 8 pixels, one picture in five as it is.
    fn default() -> Self {
        Self { k_min: 8, p_keep: 0.2, k: None, antialias: true }
    }
}

impl RandomScale {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first impossible one.
    pub fn check(&self) -> Result<(), DataError> {
        let none = |key, value: u32| match value {
            0 => Err(DataError::setting(key, "must be at least 1 pixel".to_owned())),
            _ => Ok(()),
        };
        none("augment.scale.k_min", self.k_min)?;
        none("augment.scale.k", self.k.unwrap_or(1))?;
        probability("augment.scale.p_keep", self.p_keep)
    }

    /// The size in pixels that the uniform draws `u` and `v`, from 0 up to but not including 1, stand for in a picture of
    /// `side` pixels: `side` with probability `p_keep`, else evenly from `k_min` to `side`.
    ///
    /// Computed in single precision, like the draws.
    pub fn size(&self, [u, v]: [f32; 2], side: u32) -> u32 {
        if u < self.p_keep as f32 {
            return side;
        }
        let smallest = self.k_min.min(side);
        let sizes = side - smallest + 1;
        self.k.unwrap_or_else(|| smallest + ((v * sizes as f32) as u32).min(sizes - 1)).min(side)
    }

    /// The picture at a random resolution, in its own size.
    ///
    /// # Errors
    /// [`DataError::Shape`] when it has no pixels or a size is 0.
    pub fn apply(&self, picture: &RgbImage, rng: &mut Generator) -> Result<RgbImage, DataError> {
        let draws = [rng.random(), rng.random()];
        degrade(picture, self.size(draws, picture.width().min(picture.height())), self.antialias)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;
    use ocelli_method::random::stream;

    const BELOW_ONE: f32 = 1.0 - f32::EPSILON;

    #[test]
    fn sizes_cover_the_range_evenly() {
        let scale = RandomScale { k_min: 5, p_keep: 0.25, ..RandomScale::default() };
        assert_eq!([0.0, 0.2499].map(|u| scale.size([u, 0.0], 32)), [32, 32]);
        assert_eq!([0.0, 0.5, BELOW_ONE].map(|v| scale.size([0.25, v], 32)), [5, 19, 32]);
        let mut counts = [0; 33];
        let mut rng = stream(4, "scale", 0);
        for _ in 0..28_000 {
            counts[scale.size([0.9, rng.random()], 32) as usize] += 1;
        }
        assert!(counts[..5].iter().all(|n| *n == 0));
        assert!(counts[5..].iter().all(|n| (850..1150).contains(n)), "{counts:?}");
    }

    #[test]
    fn a_fixed_size_is_kept_to() {
        let scale = RandomScale { k: Some(8), p_keep: 0.0, ..RandomScale::default() };
        assert_eq!([0.0, 0.5, BELOW_ONE].map(|v| scale.size([v, v], 32)), [8; 3]);
        assert_eq!(scale.size([0.5, 0.5], 6), 6, "nothing is enlarged");
    }

    #[test]
    fn small_pictures_are_kept() {
        let scale = RandomScale { k_min: 50, p_keep: 0.0, ..RandomScale::default() };
        let picture = noise(20, 24);
        assert_eq!(scale.apply(&picture, &mut stream(1, "scale", 0)).unwrap(), picture);
        assert!(scale.apply(&RgbImage::new(0, 3), &mut stream(1, "scale", 0)).is_err());
    }

    #[test]
    fn the_generator_alone_decides() {
        let scale = RandomScale { k_min: 4, p_keep: 0.0, ..RandomScale::default() };
        let picture = noise(24, 24);
        let apply = |index| scale.apply(&picture, &mut stream(2, "scale", index)).unwrap();
        assert_eq!(apply(0), apply(0));
        assert_ne!(apply(0), apply(1));
        assert_eq!(apply(0).dimensions(), (24, 24));
    }
}

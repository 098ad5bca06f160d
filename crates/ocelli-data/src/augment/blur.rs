//! Gaussian blur.

use ::image::RgbImage;
use ocelli_method::random::Generator;
use serde::{Deserialize, Serialize};

use super::{happens, increasing, probability, uniform};
use crate::error::DataError;

/// Blur of random strength.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianBlur {
    /// Side of the kernel in pixels, odd.
    pub kernel: u32,
    /// Smallest and largest standard deviation in pixels, drawn evenly.
    pub sigma: [f64; 2],
    /// Probability that a picture is blurred.
    pub probability: f64,
}

impl Default for GaussianBlur {
    /// 9 pixels, standard deviation 0.1 to 2, half of the pictures.
    fn default() -> Self {
        Self { kernel: 9, sigma: [0.1, 2.0], probability: 0.5 }
    }
}

impl GaussianBlur {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first impossible one.
    pub fn check(&self) -> Result<(), DataError> {
        if self.kernel.is_multiple_of(2) {
            let reason = format!("must be odd, found {}", self.kernel);
            return Err(DataError::setting("augment.blur.kernel", reason));
        }
        increasing("augment.blur.sigma", self.sigma, 1e-3, 1e3)?;
        probability("augment.blur.probability", self.probability)
    }

    /// The picture, perhaps blurred.
    ///
    /// # Errors
    /// See [`gaussian_blur`].
    pub fn apply(&self, picture: &RgbImage, rng: &mut Generator) -> Result<RgbImage, DataError> {
        if !happens(rng, self.probability) {
            return Ok(picture.clone());
        }
        gaussian_blur(picture, self.kernel, uniform(rng, self.sigma[0], self.sigma[1]))
    }
}

/// Convolves with a Gaussian of standard deviation `sigma` (pixels) cut to `kernel` x `kernel` pixels and normalised to
/// sum 1. The picture is mirrored at its border without repeating the border pixel; values are rounded.
///
/// # Errors
/// [`DataError::Shape`] when the kernel is even or reaches more than the whole picture over its border (the mirror has
/// `kernel / 2 < side`), [`DataError::Setting`] when `sigma` is not positive.
pub fn gaussian_blur(picture: &RgbImage, kernel: u32, sigma: f64) -> Result<RgbImage, DataError> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let half = (kernel / 2) as usize;
    if kernel.is_multiple_of(2) || half >= width || half >= height {
        return Err(DataError::Shape {
            what: "gaussian blur",
            wanted: format!("an odd kernel and a picture of more than {half} pixels a side"),
            found: format!("kernel {kernel}, picture {width} x {height}"),
        });
    }
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(DataError::setting("sigma", format!("must be positive, found {sigma}")));
    }
    let weights = weights(half, sigma);
    let stride = 3 * width;
    let mut rows = vec![0f32; stride * height];
    let mut mirrored = vec![0f32; stride + 6 * half];
    for (source, target) in picture.as_raw().chunks_exact(stride).zip(rows.chunks_exact_mut(stride)) {
        for (x, pixel) in mirrored.chunks_exact_mut(3).enumerate() {
            let from = 3 * mirror(x as isize - half as isize, width);
            for (value, &byte) in pixel.iter_mut().zip(&source[from..from + 3]) {
                *value = f32::from(byte);
            }
        }
        for (tap, weight) in weights.iter().enumerate() {
            add_scaled(target, &mirrored[3 * tap..], *weight);
        }
    }
    let mut blurred = picture.clone();
    let mut sums = vec![0f32; stride];
    for (y, target) in blurred.chunks_exact_mut(stride).enumerate() {
        sums.fill(0.0);
        for (weight, tap) in weights.iter().zip(y as isize - half as isize..) {
            let from = stride * mirror(tap, height);
            add_scaled(&mut sums, &rows[from..], *weight);
        }
        for (value, sum) in target.iter_mut().zip(&sums) {
            *value = sum.round_ties_even().clamp(0.0, 255.0) as u8;
        }
    }
    Ok(blurred)
}

fn add_scaled(sums: &mut [f32], values: &[f32], weight: f32) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

fn weights(half: usize, sigma: f64) -> Vec<f32> {
    let gauss = |i: usize| (-0.5 * ((i as f64 - half as f64) / sigma).powi(2)).exp();
    let total: f64 = (0..=2 * half).map(gauss).sum();
    (0..=2 * half).map(|i| (gauss(i) / total) as f32).collect()
}

/// The position in `0..length` that stands at `at` when the picture is mirrored about its border pixels.
fn mirror(at: isize, length: usize) -> usize {
    let last = length as isize - 1;
    (last - (last - at.abs()).abs()) as usize
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;
    use ::image::Rgb;

    #[test]
    fn a_dot_becomes_the_kernel() {
        let mut picture = RgbImage::new(7, 7);
        picture.put_pixel(3, 3, Rgb([255, 0, 0]));
        let blurred = gaussian_blur(&picture, 3, 1.0).unwrap();
        // Weights e^-0.5 : 1 : e^-0.5, normalised: 0.27407, 0.45186, 0.27407.
        assert_eq!(blurred.get_pixel(3, 3).0, [52, 0, 0]);
        assert_eq!(blurred.get_pixel(2, 3).0, [32, 0, 0]);
        assert_eq!(blurred.get_pixel(3, 4).0, [32, 0, 0]);
        assert_eq!(blurred.get_pixel(2, 2).0, [19, 0, 0]);
        assert_eq!(blurred.get_pixel(1, 3).0, [0, 0, 0]);
    }

    #[test]
    fn the_border_is_mirrored_without_repeating_it() {
        assert_eq!((-3..8).map(|at| mirror(at, 5)).collect::<Vec<_>>(), [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1]);
    }

    #[test]
    fn a_flat_picture_stays_and_a_tiny_sigma_changes_nothing() {
        let flat = RgbImage::from_pixel(12, 9, Rgb([3, 200, 255]));
        assert_eq!(gaussian_blur(&flat, 9, 2.0).unwrap(), flat);
        let picture = noise(12, 9);
        assert_eq!(gaussian_blur(&picture, 5, 0.01).unwrap(), picture);
    }

    #[test]
    fn impossible_blurs_are_errors() {
        let picture = noise(4, 9);
        assert!(gaussian_blur(&picture, 4, 1.0).is_err());
        assert!(gaussian_blur(&picture, 9, 1.0).unwrap_err().to_string().contains("4 x 9"));
        assert!(gaussian_blur(&picture, 3, f64::NAN).is_err());
        assert!(gaussian_blur(&RgbImage::new(0, 0), 1, 1.0).is_err());
    }
}

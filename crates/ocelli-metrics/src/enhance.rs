//! Picture quality against a reference: PSNR and SSIM, the measures of enhancement, restoration and generation.
//!
//! Both compare a picture with its reference pixel by pixel; `range` is the largest value a pixel can have (1 or 255).
//! PSNR is 10 log₁₀(range² / mean squared error) over all pixels and channels of a picture. SSIM (Wang et al. 2004) is
//! the mean of a map: at each position a Gaussian window gives means μ, variances σ² and the covariance σₐᵦ of both
//! pictures, and with C₁ = (0.01 range)², C₂ = (0.03 range)²
//!
//! ```text
//! SSIM = (2 μₐ μᵦ + C₁)(2 σₐᵦ + C₂) / ((μₐ² + μᵦ² + C₁)(σₐ² + σᵦ² + C₂))
//! ```
//!
//! Which positions and which dimensions the window covers is a matter of convention, and moves the number a lot:
//!
//! | variant | window | positions | channels |
//! |---|---|---|---|
//! | [`valid`](SsimVariant::Valid) | k x k | where it lies inside the picture | averaged |
//! | [`replicate`](SsimVariant::Replicate) | k x k | all, the border pixels repeated outwards | averaged |
//! | [`gray`](SsimVariant::Gray) | k x k | all, the border pixels repeated outwards | one: the rounded grey |
//! | [`volume`](SsimVariant::Volume) | k x k x k | all, repeated outwards in every dimension | a third spatial dimension |
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | ENH-1 | moments are biased: weights sum to 1, no n / (n - 1) | strict | `moments_are_biased` |
//! | ENH-2 | equal pictures have an infinite PSNR, and so has every mean that contains one | strict | `equal_pictures` |
//! | ENH-3 | the mean over pictures is that of the PSNRs, not the PSNR of the mean error | strict, `mse` is reported for the other | `means_are_of_decibels` |
//! | ENH-4 | valid: pixels at the border weigh less than others, in the corner once in k² | strict | `borders_tell_the_variants_apart` |
//! | ENH-5 | gray: weights 0.298936, 0.587043, 0.114021, rounded half up to whole 8-bit levels before comparing | strict | `grey_is_rounded_half_up` |
//! | ENH-6 | volume: MATLAB's `ssim` takes [H, W, 3] as a volume; with the colours repeated outwards, red and blue weigh more than green | strict | `a_volume_mixes_colours` |
//!
//! ```
//! use ocelli_metrics::enhance::{Picture, SsimOptions, psnr, ssim};
//!
//! let reference = Picture::planar("reference", &[0.5; 12 * 12], [1, 12, 12])?;
//! let brighter = Picture::planar("picture", &[0.6; 12 * 12], [1, 12, 12])?;
//! assert!((psnr(&brighter, &reference, 1.0)? - 20.0).abs() < 1e-9);
//! assert!(ssim(&brighter, &reference, &SsimOptions::default())? < 1.0);
//! # Ok::<(), ocelli_metrics::MetricError>(())
//! ```

use crate::named::named_variants;
use crate::{MetricError, Result, check};
use serde::Serialize;

/// Where the window of SSIM goes; see the [module's table](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SsimVariant {
    /// Inside the picture, each channel for itself.
    #[default]
    Valid,
    /// Everywhere, each channel for itself.
    Replicate,
    /// Everywhere, on the grey of a colour picture.
    Gray,
    /// Everywhere, colour as a third dimension.
    Volume,
}

named_variants!(SsimVariant, "SSIM variant", {
    Valid => "valid",
    Replicate => "replicate",
    Gray => "gray",
    Volume => "volume",
});

/// Settings of [`ssim`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SsimOptions {
    /// Where the window goes.
    pub variant: SsimVariant,
    /// Side of the window in pixels; odd unless the variant is `valid`.
    pub window: usize,
    /// Standard deviation of the window in pixels.
    pub sigma: f64,
    /// The largest value a pixel can have.
    pub range: f64,
}

impl Default for SsimOptions {
    /// 11 pixels with standard deviation 1.5, inside the picture, values in [0, 1].
    fn default() -> Self {
        Self { variant: SsimVariant::Valid, window: 11, sigma: 1.5, range: 1.0 }
    }
}

/// A picture of any number of channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Channel after channel, each row by row.
    planes: Vec<f64>,
    channels: usize,
    height: usize,
    width: usize,
}

impl Picture {
    /// From `[C, H, W]`. Fails when `values` do not fill the shape, are not finite, or there is none.
    pub fn planar(name: &'static str, values: &[f64], [channels, height, width]: [usize; 3]) -> Result<Self> {
        let pixels = height.saturating_mul(width);
        if channels.checked_mul(pixels) != Some(values.len()) {
            return Err(MetricError::Shape { name, found: values.len(), rows: channels, columns: pixels });
        }
        check::at_least(name, values.len(), 1)?;
        check::finite(name, values)?;
        Ok(Self { planes: values.to_vec(), channels, height, width })
    }

    /// From `[H, W, C]`, as picture files have it. Fails as [`Picture::planar`].
    pub fn interleaved(
        name: &'static str,
        values: &[f64],
        [height, width, channels]: [usize; 3],
    ) -> Result<Self> {
        let plane = |c: usize| values.iter().skip(c).step_by(channels);
        let planes: Vec<f64> = (0..channels).flat_map(plane).copied().collect();
        Self::planar(name, &planes, [channels, height, width])
    }

    /// `[C, H, W]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    fn same_shape(&self, reference: &Picture) -> Result<()> {
        if self.shape() == reference.shape() {
            return Ok(());
        }
        let text = |p: &Picture| format!("{} x {} pixels of {} channels", p.height, p.width, p.channels);
        Err(check::setting(
            "size of the picture",
            text(self),
            &format!("that of its reference, {}", text(reference)),
        ))
    }

    /// One plane of grey, rounded to whole 8-bit levels.
    fn grey(&self, range: f64) -> Result<Picture> {
        let pixels = self.height * self.width;
        let [red, green, blue] = self.planes.chunks_exact(pixels).collect::<Vec<_>>()[..] else {
            let wanted = "red, green and blue for the variant `gray`";
            return Err(check::setting("channels", self.channels, wanted));
        };
        let level = range / 255.0;
        let grey = |i: usize| {
            let value = 0.298936 * red[i] + 0.587043 * green[i] + 0.114021 * blue[i];
            (value / level + 0.5).floor() * level
        };
        Ok(Picture { planes: (0..pixels).map(grey).collect(), channels: 1, ..*self })
    }
}

/// Mean squared difference over all pixels and channels. Fails when the sizes differ.
pub fn mean_squared_error(picture: &Picture, reference: &Picture) -> Result<f64> {
    picture.same_shape(reference)?;
    let squares = picture.planes.iter().zip(&reference.planes).map(|(a, b)| (a - b).powi(2));
    Ok(squares.sum::<f64>() / picture.planes.len() as f64)
}

/// Peak signal-to-noise ratio in dB; infinite for equal pictures. Fails when the sizes differ or `range` is not positive.
pub fn psnr(picture: &Picture, reference: &Picture, range: f64) -> Result<f64> {
    positive("range", range)?;
    Ok(decibels(mean_squared_error(picture, reference)?, range))
}

fn decibels(mse: f64, range: f64) -> f64 {
    10.0 * (range * range / mse).log10()
}

/// Structural similarity, at most 1. Fails when the sizes differ, a setting is impossible, or the window does not fit.
pub fn ssim(picture: &Picture, reference: &Picture, options: &SsimOptions) -> Result<f64> {
    let SsimOptions { variant, window, sigma, range } = *options;
    picture.same_shape(reference)?;
    positive("sigma", sigma)?;
    positive("range", range)?;
    let inside = variant == SsimVariant::Valid;
    if window == 0 || (!inside && window.is_multiple_of(2)) {
        return Err(check::setting("window", window, "an odd number of pixels"));
    }
    let smaller_side = picture.height.min(picture.width);
    if inside && window > smaller_side {
        let wanted = format!("at most {smaller_side} pixels, the picture's smaller side");
        return Err(check::setting("window", window, &wanted));
    }
    let smoothing =
        Smoothing { weights: gaussian(window, sigma), inside, colours: variant == SsimVariant::Volume };
    Ok(match variant {
        SsimVariant::Gray => mean_of_map(&picture.grey(range)?, &reference.grey(range)?, &smoothing, range),
        _ => mean_of_map(picture, reference, &smoothing, range),
    })
}

fn positive(name: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(check::setting(name, value, "a positive number"))
    }
}

/// Weights of a window, summing to 1.
fn gaussian(window: usize, sigma: f64) -> Vec<f64> {
    let middle = (window as f64 - 1.0) / 2.0;
    let weight = |i: usize| (-((i as f64 - middle) / sigma).powi(2) / 2.0).exp();
    let total: f64 = (0..window).map(weight).sum();
    (0..window).map(|i| weight(i) / total).collect()
}

fn mean_of_map(a: &Picture, b: &Picture, smoothing: &Smoothing, range: f64) -> f64 {
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<_>>();
    let smooth = |planes: &[f64]| smoothing.apply(planes, a.shape());
    let (mean_a, mean_b) = (smooth(&a.planes), smooth(&b.planes));
    let (square_a, square_b) =
        (smooth(&product(&a.planes, &a.planes)), smooth(&product(&b.planes, &b.planes)));
    let both = smooth(&product(&a.planes, &b.planes));
    let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
    let at = |i: usize| {
        let (ma, mb) = (mean_a[i], mean_b[i]);
        let (va, vb, covariance) = (square_a[i] - ma * ma, square_b[i] - mb * mb, both[i] - ma * mb);
        (2.0 * ma * mb + c1) * (2.0 * covariance + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    };
    (0..both.len()).map(at).sum::<f64>() / both.len() as f64
}

/// A window moved over planes, one dimension after the other.
struct Smoothing {
    weights: Vec<f64>,
    /// Only where the window lies inside; else the border is repeated outwards.
    inside: bool,
    /// Over the channels too.
    colours: bool,
}

impl Smoothing {
    fn apply(&self, planes: &[f64], [channels, height, width]: [usize; 3]) -> Vec<f64> {
        let columns = self.along(planes, width, 1);
        let width = columns.len() / (channels * height);
        let rows = self.along(&columns, height, width);
        if self.colours { self.along(&rows, channels, height * width) } else { rows }
    }

    /// Over the middle dimension of `[n, length, inner]`.
    fn along(&self, values: &[f64], length: usize, inner: usize) -> Vec<f64> {
        let taps = self.weights.len();
        let positions = if self.inside { length + 1 - taps } else { length };
        let mut out = vec![0.0; values.len() / length * positions];
        for (from, to) in values.chunks_exact(length * inner).zip(out.chunks_exact_mut(positions * inner)) {
            for (at, row) in to.chunks_exact_mut(inner).enumerate() {
                for (tap, weight) in self.weights.iter().enumerate() {
                    let source = match self.inside {
                        true => at + tap,
                        false => (at + tap).saturating_sub(taps / 2).min(length - 1),
                    };
                    let source = &from[source * inner..(source + 1) * inner];
                    row.iter_mut().zip(source).for_each(|(sum, value)| *sum += weight * value);
                }
            }
        }
        out
    }
}

/// What one picture measures against its reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PictureQuality {
    /// Mean squared error.
    pub mse: f64,
    /// Peak signal-to-noise ratio in dB; infinite for equal pictures.
    pub psnr: f64,
    /// Structural similarity.
    pub ssim: f64,
}

/// Means over pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanQuality {
    /// Number of pictures.
    pub pictures: usize,
    /// Mean of the mean squared errors.
    pub mse: f64,
    /// Mean of the PSNRs in dB.
    pub psnr: f64,
    /// Mean of the SSIMs.
    pub ssim: f64,
}

/// Measures one picture: the record that [`Enhancement`] collects. Fails as [`ssim`].
pub fn evaluate(picture: &Picture, reference: &Picture, options: &SsimOptions) -> Result<PictureQuality> {
    let ssim = ssim(picture, reference, options)?;
    let mse = mean_squared_error(picture, reference)?;
    Ok(PictureQuality { mse, psnr: decibels(mse, options.range), ssim })
}

/// Records of pictures in their order; parts of a set that are measured apart are put together by [`Enhancement::merge`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Enhancement {
    /// One a picture.
    pub records: Vec<PictureQuality>,
}

impl Enhancement {
    /// Appends the records of what comes after.
    pub fn merge(&mut self, other: Self) {
        self.records.extend(other.records);
    }

    /// Means over all pictures. Fails when there is none.
    pub fn mean(&self) -> Result<MeanQuality> {
        mean(&self.records)
    }
}

/// Means over any records, repeated ones included. Fails when there is none.
pub fn mean<'a>(records: impl IntoIterator<Item = &'a PictureQuality>) -> Result<MeanQuality> {
    let mut sum = MeanQuality { pictures: 0, mse: 0.0, psnr: 0.0, ssim: 0.0 };
    for record in records {
        sum.pictures += 1;
        sum.mse += record.mse;
        sum.psnr += record.psnr;
        sum.ssim += record.ssim;
    }
    check::at_least("pictures", sum.pictures, 1)?;
    let n = sum.pictures as f64;
    Ok(MeanQuality { mse: sum.mse / n, psnr: sum.psnr / n, ssim: sum.ssim / n, ..sum })
}

#[cfg(test)]
mod tests;

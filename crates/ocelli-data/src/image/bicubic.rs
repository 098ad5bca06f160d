//! Bicubic resampling in single precision, and loss of resolution.
//!
//! Libraries disagree about "bicubic". Here enlargement, and reduction without antialiasing, take four pixels weighed by
//! the cubic kernel with a = -3/4, as OpenCV and PyTorch do; antialiased reduction widens the kernel with a = -1/2 by
//! the ratio and scales its weights to sum 1, as Pillow does. Centres lie at half pixels, and the border pixel stands
//! for what is outside.

use ::image::RgbImage;

use crate::error::DataError;

/// One dimension's way from `from` to `to` pixels: a linear map with few neighbours.
#[derive(Clone, Debug)]
struct Axis {
    from: usize,
    /// The pixels that each new pixel is made of, with their weights.
    taps: Vec<Vec<(usize, f32)>>,
}

/// The kernel's value at distance `x`.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((x - 5.0) * x + 8.0) * x * a - 4.0 * a
    } else {
        0.0
    }
}

impl Axis {
    fn new(from: usize, to: usize, antialias: bool) -> Self {
        let ratio = from as f64 / to as f64;
        let taps = |at: usize| match antialias && ratio > 1.0 {
            true => wide_taps(from, (at as f64 + 0.5) * ratio, ratio),
            false => four_taps(from, (at as f64 + 0.5) * ratio - 0.5),
        };
        Self { from, taps: (0..to).map(taps).collect() }
    }

    /// Over the middle dimension of `[n, from, inner]`.
    fn apply(&self, values: &[f32], inner: usize) -> Vec<f32> {
        let mut out = vec![0.0; values.len() / self.from * self.taps.len()];
        let blocks = out.chunks_exact_mut(self.taps.len() * inner);
        for (source, target) in values.chunks_exact(self.from * inner).zip(blocks) {
            for (row, taps) in target.chunks_exact_mut(inner).zip(&self.taps) {
                for &(pixel, weight) in taps {
                    let source = &source[pixel * inner..(pixel + 1) * inner];
                    row.iter_mut().zip(source).for_each(|(sum, value)| *sum += weight * value);
                }
            }
        }
        out
    }
}

/// Around `centre`, where the first pixel lies at 0.
fn four_taps(from: usize, centre: f64) -> Vec<(usize, f32)> {
    let floor = centre.floor();
    let inside = |k: i32| (floor + f64::from(k)).clamp(0.0, (from - 1) as f64) as usize;
    (-1..3).map(|k| (inside(k), cubic(centre - floor - f64::from(k), -0.75) as f32)).collect()
}

/// Around `centre`, where the first pixel reaches from 0 to 1; the kernel is widened by `ratio`.
fn wide_taps(from: usize, centre: f64, ratio: f64) -> Vec<(usize, f32)> {
    let support = 2.0 * ratio;
    let first = (centre - support + 0.5).max(0.0) as usize;
    let end = ((centre + support + 0.5) as usize).min(from);
    let weight = |pixel: usize| cubic((pixel as f64 + 0.5 - centre) / ratio, -0.5);
    let total: f64 = (first..end).map(weight).sum();
    (first..end).map(|pixel| (pixel, (weight(pixel) / total) as f32)).collect()
}

/// Resamples planes `[n, H, W]` to `[n, H', W']`; `from` is `[H, W]` and `to` is `[H', W']`, in pixels.
///
/// Values are not clamped: the kernel overshoots at edges.
///
/// # Errors
/// [`DataError::Shape`] when a side is 0 or `planes` is not a number of whole planes.
pub fn resample_bicubic(
    planes: &[f32],
    from: [usize; 2],
    to: [usize; 2],
    antialias: bool,
) -> Result<Vec<f32>, DataError> {
    let pixels = from[0].saturating_mul(from[1]);
    if pixels == 0 || to.contains(&0) || !planes.len().is_multiple_of(pixels) {
        return Err(DataError::Shape {
            what: "bicubic resampling",
            wanted: "whole planes and sides of at least 1 pixel".into(),
            found: format!(
                "{} values of planes {} x {}, to {} x {}",
                planes.len(),
                from[0],
                from[1],
                to[0],
                to[1]
            ),
        });
    }
    let columns = Axis::new(from[1], to[1], antialias).apply(planes, 1);
    Ok(Axis::new(from[0], to[0], antialias).apply(&columns, to[1]))
}

/// Square planes `[n, S, S]` reduced to `size` x `size` pixels and enlarged back, clamped to `range`: what is left of a
/// picture that was taken from afar. A `size` of `side` or more changes nothing.
///
/// # Errors
/// As [`resample_bicubic`].
pub fn rescale(
    planes: &[f32],
    side: usize,
    size: usize,
    antialias: bool,
    range: [f32; 2],
) -> Result<Vec<f32>, DataError> {
    if size >= side {
        return Ok(planes.to_vec());
    }
    let reduced = resample_bicubic(planes, [side; 2], [size; 2], antialias)?;
    let mut enlarged = resample_bicubic(&reduced, [size; 2], [side; 2], antialias)?;
    enlarged.iter_mut().for_each(|v| *v = v.clamp(range[0], range[1]));
    Ok(enlarged)
}

/// The picture reduced until its smaller side has `size` pixels, and enlarged back to its own size. A `size` of that
/// side or more changes nothing.
///
/// # Errors
/// [`DataError::Shape`] when `size` is 0 or the picture has no pixels.
pub fn degrade(picture: &RgbImage, size: u32, antialias: bool) -> Result<RgbImage, DataError> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let side = width.min(height);
    if size as usize >= side && side > 0 {
        return Ok(picture.clone());
    }
    if size == 0 || side == 0 {
        return Err(DataError::Shape {
            what: "loss of resolution",
            wanted: "a picture and a size of at least 1 pixel".into(),
            found: format!("a picture of {width} x {height} pixels, to {size}"),
        });
    }
    let reduced = |length: usize| ((length * size as usize) as f64 / side as f64).round().max(1.0) as usize;
    let (low_width, low_height) = (reduced(width), reduced(height));
    let along = |from: usize, to: usize, values: &[f32], inner: usize| {
        Axis::new(from, to, antialias).apply(values, inner)
    };
    let values: Vec<f32> = picture.as_raw().iter().map(|&v| f32::from(v)).collect();
    // Pixels of three channels, row by row: a row's inner stride is 3 times its width.
    let low = along(height, low_height, &along(width, low_width, &values, 3), 3 * low_width);
    let back = along(low_height, height, &along(low_width, width, &low, 3), 3 * width);
    let mut degraded = picture.clone();
    for (byte, value) in degraded.iter_mut().zip(back) {
        *byte = value.round_ties_even().clamp(0.0, 255.0) as u8;
    }
    Ok(degraded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::Rgb;

    fn close(got: &[f32], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((f64::from(*g) - w).abs() < 1e-6, "{got:?} against {want:?}");
        }
    }

    #[test]
    fn the_kernel_is_the_cubic_one() {
        for a in [-0.75, -0.5] {
            assert_eq!([0.0, 1.0, 2.0, 3.0].map(|x| cubic(x, a)), [1.0, 0.0, 0.0, 0.0]);
            for t in [0.1, 0.5, 0.9] {
                let sum: f64 = (-1..3).map(|k| cubic(t - f64::from(k), a)).sum();
                assert!((sum - 1.0).abs() < 1e-12);
            }
        }
        assert!((cubic(0.5, -0.75) - 0.59375).abs() < 1e-12 && (cubic(1.5, -0.75) + 0.09375).abs() < 1e-12);
    }

    #[test]
    fn halving_follows_the_definition() {
        let row = [0.0, 1.0, 5.0, 2.0];
        // Between the pixels: weights -0.09375, 0.59375, 0.59375, -0.09375, the border pixel repeated.
        let plain = resample_bicubic(&row, [1, 4], [1, 2], false).unwrap();
        let (o, i) = (-0.09375, 0.59375);
        close(&plain, &[o * 0.0 + i * 0.0 + i * 1.0 + o * 5.0, o * 1.0 + i * 5.0 + i * 2.0 + o * 2.0]);
        let wide = resample_bicubic(&row, [1, 4], [1, 2], true).unwrap();
        assert!((f64::from(wide[0]) - antialiased(&row)).abs() < 1e-6, "{wide:?}");
    }

    /// The first of two antialiased pixels by the definition: centre 1, support 4, pixels 0 to 3 at distances
    /// 1/2, 1/2, 3/2, 5/2 over the ratio 2.
    fn antialiased(row: &[f32; 4]) -> f64 {
        let weights = [0.5, 0.5, 1.5, 2.5].map(|d: f64| cubic(d / 2.0, -0.5));
        let sum: f64 = weights.iter().zip(row).map(|(w, v)| w * f64::from(*v)).sum();
        sum / weights.iter().sum::<f64>()
    }

    #[test]
    fn dimensions_are_independent() {
        let plane: Vec<f32> = (0..12).map(|i| ((5 * i) % 7) as f32).collect();
        let whole = resample_bicubic(&plane, [3, 4], [5, 2], false).unwrap();
        let transposed: Vec<f32> = (0..12).map(|i| plane[i % 3 * 4 + i / 3]).collect();
        let other = resample_bicubic(&transposed, [4, 3], [2, 5], false).unwrap();
        for (y, x) in (0..5).flat_map(|y| (0..2).map(move |x| (y, x))) {
            assert!((whole[y * 2 + x] - other[x * 5 + y]).abs() < 1e-5);
        }
    }

    #[test]
    fn flat_pictures_stay_and_detail_goes() {
        let flat = RgbImage::from_pixel(21, 30, Rgb([9, 130, 251]));
        for antialias in [false, true] {
            for size in [1, 2, 7, 20] {
                assert_eq!(degrade(&flat, size, antialias).unwrap(), flat, "{size}");
            }
        }
        let checks = RgbImage::from_fn(16, 16, |x, y| Rgb([if (x + y) % 2 == 0 { 255 } else { 0 }; 3]));
        let blurred = degrade(&checks, 8, true).unwrap();
        assert!(blurred.iter().all(|v| (100..156).contains(v)), "a fine pattern becomes grey");
        assert_eq!(degrade(&checks, 16, true).unwrap(), checks);
        assert_eq!(degrade(&checks, 99, false).unwrap(), checks);
    }

    #[test]
    fn pictures_and_planes_agree() {
        let picture = RgbImage::from_fn(12, 12, |x, y| Rgb([(x * 20) as u8, (y * 17) as u8, (x * y) as u8]));
        for antialias in [false, true] {
            let degraded = degrade(&picture, 5, antialias).unwrap();
            for c in 0..3 {
                let plane: Vec<f32> = picture.pixels().map(|p| f32::from(p.0[c])).collect();
                let low = rescale(&plane, 12, 5, antialias, [0.0, 255.0]).unwrap();
                let got = degraded.pixels().map(|p| f32::from(p.0[c]));
                assert!(got.zip(low).all(|(g, w)| (g - w).abs() <= 0.501));
            }
        }
    }

    #[test]
    fn impossible_sizes_are_errors() {
        assert!(resample_bicubic(&[0.0; 4], [2, 2], [0, 2], false).is_err());
        assert!(resample_bicubic(&[0.0; 5], [2, 2], [1, 1], false).is_err());
        assert!(resample_bicubic(&[], [0, 2], [1, 1], true).is_err());
        assert!(rescale(&[0.0; 4], 2, 0, true, [-1.0, 1.0]).is_err());
        assert!(degrade(&RgbImage::new(4, 4), 0, true).is_err());
        assert!(degrade(&RgbImage::new(0, 4), 2, true).is_err());
    }
}

//! Resizing, cropping, mirroring, letterboxing.

use ::image::{Rgb, RgbImage, imageops};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer, SrcCropping};
use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// How the pixels of a resized picture are computed.
///
/// Except for the two last, kernels grow with the reduction (antialiasing), as in Pillow and in torchvision's
/// `antialias=True`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Triangle kernel; the field's default.
    #[default]
    Bilinear,
    /// Mean of the covered area.
    Area,
    /// Cubic kernel with a = -1/2.
    Bicubic,
    /// Lanczos kernel of three lobes.
    Lanczos,
    /// Bilinear between the four nearest pixels also when reducing, as OpenCV's `INTER_LINEAR`.
    BilinearPoint,
    /// The nearest pixel.
    Nearest,
}

impl Filter {
    fn algorithm(self) -> ResizeAlg {
        match self {
            Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Filter::Area => ResizeAlg::Convolution(FilterType::Box),
            Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
            Filter::BilinearPoint => ResizeAlg::Interpolation(FilterType::Bilinear),
            Filter::Nearest => ResizeAlg::Nearest,
        }
    }
}

/// Resizes to `height` x `width` pixels, without keeping the aspect ratio.
///
/// # Errors
/// [`DataError::Shape`] when the picture or the wanted size has no pixels.
pub fn resize(picture: &RgbImage, height: u32, width: u32, filter: Filter) -> Result<RgbImage, DataError> {
    if picture.dimensions() == (width, height) && width > 0 && height > 0 {
        return Ok(picture.clone());
    }
    let whole = [0.0, 0.0, f64::from(picture.width()), f64::from(picture.height())];
    resize_crop(picture, whole, height, width, filter)
}

/// Resizes the box `[x, y, width, height]` (pixels, fractions allowed) of a picture to `height` x `width` pixels.
///
/// # Errors
/// [`DataError::Shape`] when the box is empty or not inside the picture, or the wanted size has no pixels.
pub fn resize_crop(
    picture: &RgbImage,
    box_xywh: [f64; 4],
    height: u32,
    width: u32,
    filter: Filter,
) -> Result<RgbImage, DataError> {
    let shape = |reason: &dyn std::fmt::Display| DataError::Shape {
        what: "resize",
        wanted: "a box inside the picture and a size of at least 1 x 1".into(),
        found: format!(
            "box {box_xywh:?} of a picture of {} x {} pixels, to {width} x {height} ({reason})",
            picture.width(),
            picture.height()
        ),
    };
    if width == 0 || height == 0 {
        return Err(shape(&"empty"));
    }
    // The resizer itself trusts its box blindly.
    let (left, box_width) =
        inside(box_xywh[0], box_xywh[2], picture.width()).ok_or_else(|| shape(&"left, width"))?;
    let (top, box_height) =
        inside(box_xywh[1], box_xywh[3], picture.height()).ok_or_else(|| shape(&"top, height"))?;
    let source = TypedImageRef::<U8x3>::from_buffer(picture.width(), picture.height(), picture.as_raw())
        .map_err(|e| shape(&e))?;
    let mut resized = RgbImage::new(width, height);
    let mut target = TypedImage::<U8x3>::from_buffer(width, height, resized.as_flat_samples_mut().samples)
        .map_err(|e| shape(&e))?;
    let mut options = ResizeOptions::new().resize_alg(filter.algorithm());
    options.cropping = SrcCropping::Crop(CropBox { left, top, width: box_width, height: box_height });
    // The typed call compiles for this one pixel type instead of for all of them.
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| shape(&e))?;
    Ok(resized)
}

/// The stretch of `length` pixels from `start`, if it lies within a `side`; freed of rounding errors at its ends.
fn inside(start: f64, length: f64, side: u32) -> Option<(f64, f64)> {
    let (side, slack) = (f64::from(side), 1e-9 * f64::from(side));
    let possible = length > 0.0 && start >= -slack && start < side && start + length <= side + slack;
    let start = start.max(0.0);
    possible.then(|| (start, length.min(side - start)))
}

/// The part of `width` x `height` pixels whose upper left corner is at `(x, y)`; what lies outside the picture is
/// black.
pub fn crop(picture: &RgbImage, x: i64, y: i64, width: u32, height: u32) -> RgbImage {
    let mut out = RgbImage::new(width, height);
    imageops::replace(&mut out, picture, x.saturating_neg(), y.saturating_neg());
    out
}

/// The middle of `height` x `width` pixels; of odd margins the smaller half is cut at the left and top. Pictures
/// smaller than that are padded with black.
pub fn centre_crop(picture: &RgbImage, height: u32, width: u32) -> RgbImage {
    let margin = |whole: u32, part: u32| (i64::from(whole) - i64::from(part)).div_euclid(2);
    crop(picture, margin(picture.width(), width), margin(picture.height(), height), width, height)
}

/// The picture mirrored left to right.
pub fn flip_horizontal(picture: &RgbImage) -> RgbImage {
    imageops::flip_horizontal(picture)
}

/// A picture fitted into a frame, and how to get back.
#[derive(Clone, Debug)]
pub struct Letterbox {
    /// The frame with the resized picture in its middle.
    pub picture: RgbImage,
    /// Resized width over original width, and the same of the heights: they differ by rounding to whole pixels.
    pub scale_xy: [f32; 2],
    /// Left and top margin in pixels.
    pub offset_xy: [u32; 2],
}

impl Letterbox {
    /// Takes a point of the frame back to the original picture (both in pixels, `[x, y]`).
    pub fn to_original(&self, point: [f32; 2]) -> [f32; 2] {
        [0, 1].map(|i| (point[i] - self.offset_xy[i] as f32) / self.scale_xy[i])
    }
}

/// Resizes as large as fits into `height` x `width` with the aspect ratio kept, centred on a ground of one colour.
///
/// # Errors
/// [`DataError::Shape`] when the picture or the wanted size has no pixels.
pub fn letterbox(
    picture: &RgbImage,
    height: u32,
    width: u32,
    ground: [u8; 3],
    filter: Filter,
) -> Result<Letterbox, DataError> {
    if width == 0 || height == 0 {
        let found = format!("{width} x {height}");
        return Err(DataError::Shape { what: "letterbox", wanted: "a size of at least 1 x 1".into(), found });
    }
    let (w, h) = (f64::from(picture.width().max(1)), f64::from(picture.height().max(1)));
    let scale = (f64::from(width) / w).min(f64::from(height) / h);
    let fitted = |length: f64, most: u32| ((length * scale).round() as u32).clamp(1, most);
    let (fitted_width, fitted_height) = (fitted(w, width), fitted(h, height));
    let resized = resize(picture, fitted_height, fitted_width, filter)?;
    let mut framed = RgbImage::from_pixel(width, height, Rgb(ground));
    let offset_xy = [(width - fitted_width) / 2, (height - fitted_height) / 2];
    imageops::replace(&mut framed, &resized, i64::from(offset_xy[0]), i64::from(offset_xy[1]));
    let scale_xy = [(f64::from(fitted_width) / w) as f32, (f64::from(fitted_height) / h) as f32];
    Ok(Letterbox { picture: framed, scale_xy, offset_xy })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(values: &[u8]) -> RgbImage {
        RgbImage::from_fn(values.len() as u32, 2, |x, _| Rgb([values[x as usize]; 3]))
    }

    fn row(picture: &RgbImage) -> Vec<u8> {
        (0..picture.width()).map(|x| picture.get_pixel(x, 0).0[0]).collect()
    }

    #[test]
    fn filters_follow_their_definitions() {
        let picture = columns(&[0, 100, 200, 40]);
        let halved = |filter| row(&resize(&picture, 2, 2, filter).unwrap());
        assert_eq!(halved(Filter::Area), [50, 120]);
        // Triangle of half-width 2: weights 3, 3, 1 and 1, 3, 3 over 7.
        assert_eq!(halved(Filter::Bilinear), [71, 117]);
        assert_eq!(halved(Filter::BilinearPoint), [50, 120]);
        assert_eq!(halved(Filter::Nearest), [100, 40]);
        let doubled = row(&resize(&columns(&[0, 100]), 2, 4, Filter::Bilinear).unwrap());
        assert_eq!(doubled, [0, 25, 75, 100], "half-pixel centres");
    }

    #[test]
    fn every_filter_keeps_a_flat_picture_flat() {
        let flat = RgbImage::from_pixel(31, 17, Rgb([9, 130, 251]));
        for filter in
            [Filter::Bilinear, Filter::Area, Filter::Bicubic, Filter::Lanczos, Filter::BilinearPoint]
        {
            for (height, width) in [(5, 7), (17, 31), (40, 64), (1, 1)] {
                let out = resize(&flat, height, width, filter).unwrap();
                assert_eq!(out.dimensions(), (width, height));
                assert!(out.pixels().all(|p| p.0 == [9, 130, 251]), "{filter:?}");
            }
        }
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let picture = columns(&[1, 2, 3]);
        assert!(resize(&picture, 0, 4, Filter::Bilinear).is_err());
        assert!(resize(&RgbImage::new(0, 0), 4, 4, Filter::Bilinear).is_err());
        for bad in
            [[-1.0, 0.0, 2.0, 2.0], [0.0, 0.0, 9.0, 2.0], [0.0, 0.0, 0.0, 2.0], [f64::NAN, 0.0, 1.0, 1.0]]
        {
            let message = resize_crop(&picture, bad, 4, 4, Filter::Bilinear).unwrap_err().to_string();
            assert!(message.contains("3 x 2"), "{message}");
        }
    }

    #[test]
    fn crops_reach_outside_in_black() {
        let picture = columns(&[10, 20, 30]);
        assert_eq!(row(&crop(&picture, 1, 0, 2, 1)), [20, 30]);
        assert_eq!(row(&crop(&picture, -1, 0, 3, 1)), [0, 10, 20]);
        assert_eq!(row(&crop(&picture, 2, 0, 3, 2)), [30, 0, 0]);
        assert_eq!(row(&crop(&picture, 99, i64::MIN, 2, 2)), [0, 0]);
        assert_eq!(row(&centre_crop(&picture, 2, 1)), [20]);
        assert_eq!(row(&centre_crop(&picture, 2, 5)), [0, 10, 20, 30, 0]);
        assert_eq!(row(&flip_horizontal(&picture)), [30, 20, 10]);
    }

    #[test]
    fn letterbox_knows_the_way_back() {
        let picture = RgbImage::from_pixel(200, 100, Rgb([255; 3]));
        let fitted = letterbox(&picture, 64, 64, [1, 2, 3], Filter::Bilinear).unwrap();
        assert_eq!((fitted.offset_xy, fitted.picture.dimensions()), ([0, 16], (64, 64)));
        assert_eq!(fitted.picture.get_pixel(0, 15).0, [1, 2, 3]);
        assert_eq!(fitted.picture.get_pixel(0, 16).0, [255; 3]);
        let [x, y] = fitted.to_original([32.0, 32.0]);
        assert!((x - 100.0).abs() < 1e-3 && (y - 50.0).abs() < 1e-3);
        assert!(letterbox(&picture, 0, 64, [0; 3], Filter::Bilinear).is_err());
    }
}

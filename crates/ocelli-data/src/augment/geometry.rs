//! Random parts, shifts and holes.

use ::image::RgbImage;
use ocelli_method::random::Generator;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{happens, increasing, probability, uniform};
use crate::error::DataError;
use crate::image::{Canvas, Filter, crop, resize_crop};

/// A part of random area and aspect ratio, resized to a fixed size (the crop of Inception training).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Height and width of the result.
    pub size: [u32; 2],
    /// Smallest and largest area of the part, as a share of the picture's.
    pub scale: [f64; 2],
    /// Smallest and largest width over height of the part; drawn evenly in its logarithm.
    pub ratio: [f64; 2],
    /// The resize kernel.
    pub filter: Filter,
}

impl Default for RandomResizedCrop {
    /// 224 x 224 from 8 % to all of the picture, aspect ratio 3:4 to 4:3.
    fn default() -> Self {
        Self { size: [224, 224], scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0], filter: Filter::Bilinear }
    }
}

impl RandomResizedCrop {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first impossible one.
    pub fn check(&self) -> Result<(), DataError> {
        if self.size.contains(&0) {
            return Err(DataError::setting("augment.resized_crop.size", "both sides must be at least 1"));
        }
        increasing("augment.resized_crop.scale", self.scale, 1e-6, 1.0)?;
        increasing("augment.resized_crop.ratio", self.ratio, 1e-3, 1e3)
    }

    /// The random part, resized.
    ///
    /// # Errors
    /// [`DataError::Shape`] when the picture or the wanted size has no pixels.
    pub fn apply(&self, picture: &RgbImage, rng: &mut Generator) -> Result<RgbImage, DataError> {
        let part = self.draw(picture.width(), picture.height(), rng).map(f64::from);
        resize_crop(picture, part, self.size[0], self.size[1], self.filter)
    }

    /// The part `[x, y, width, height]` of a picture of `width` x `height` pixels: the first of ten draws that fits,
    /// else the largest middle part of an allowed aspect ratio.
    fn draw(&self, width: u32, height: u32, rng: &mut Generator) -> [u32; 4] {
        let (w, h) = (f64::from(width), f64::from(height));
        for _ in 0..10 {
            let area = w * h * uniform(rng, self.scale[0], self.scale[1]);
            let ratio = uniform(rng, self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let part_w = (area * ratio).sqrt().round() as u32;
            let part_h = (area / ratio).sqrt().round() as u32;
            if (1..=width).contains(&part_w) && (1..=height).contains(&part_h) {
                let x = rng.random_range(0..=width - part_w);
                let y = rng.random_range(0..=height - part_h);
                return [x, y, part_w, part_h];
            }
        }
        let (part_w, part_h) = if w < h * self.ratio[0] {
            (width, (w / self.ratio[0]).round() as u32)
        } else if w > h * self.ratio[1] {
            ((h * self.ratio[1]).round() as u32, height)
        } else {
            (width, height)
        };
        // A picture of few pixels may round to nothing or to more than there is.
        let (part_w, part_h) = (part_w.max(1).min(width), part_h.max(1).min(height));
        [(width - part_w) / 2, (height - part_h) / 2, part_w, part_h]
    }
}

/// A random shift by up to `padding` pixels: the picture is padded on all sides and a part of the old size is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PadCrop {
    /// Pixels added on each side.
    pub padding: u32,
    /// Their colour.
    pub fill: [u8; 3],
}

impl PadCrop {
    /// The shifted picture, of unchanged size.
    pub fn apply(&self, picture: &RgbImage, rng: &mut Generator) -> RgbImage {
        let padding = i64::from(self.padding);
        let x = rng.random_range(-padding..=padding);
        let y = rng.random_range(-padding..=padding);
        let (width, height) = picture.dimensions();
        let mut shifted = crop(picture, x, y, width, height);
        if self.fill != [0; 3] {
            let (w, h) = (i64::from(width), i64::from(height));
            Canvas::new(&mut shifted)
                .fill(0, 0, -x, h, self.fill)
                .fill(w - x.max(0), 0, w, h, self.fill)
                .fill(0, 0, w, -y, self.fill)
                .fill(0, h - y.max(0), w, h, self.fill);
        }
        shifted
    }
}

/// Squares about random pixels painted over, cut off at the border (DeVries and Taylor 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cutout {
    /// Side of a square in pixels.
    pub size: u32,
    /// Number of squares.
    pub holes: u32,
    /// Probability that a picture gets any.
    pub probability: f64,
    /// The squares' colour.
    pub fill: [u8; 3],
}

impl Default for Cutout {
    /// One black square of 16 pixels in every picture.
    fn default() -> Self {
        Self { size: 16, holes: 1, probability: 1.0, fill: [0; 3] }
    }
}

impl Cutout {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first impossible one.
    pub fn check(&self) -> Result<(), DataError> {
        probability("augment.cutout.probability", self.probability)
    }

    /// Paints the holes.
    pub fn apply(&self, picture: &mut RgbImage, rng: &mut Generator) {
        let (width, height) = picture.dimensions();
        if width == 0 || height == 0 || !happens(rng, self.probability) {
            return;
        }
        let side = i64::from(self.size);
        for _ in 0..self.holes {
            let x = i64::from(rng.random_range(0..width)) - side / 2;
            let y = i64::from(rng.random_range(0..height)) - side / 2;
            Canvas::new(picture).fill(x, y, x + side, y + side, self.fill);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;
    use ::image::Rgb;
    use ocelli_method::random::stream;

    #[test]
    fn parts_have_the_asked_area_and_ratio() {
        let step = RandomResizedCrop { scale: [0.2, 0.6], ..RandomResizedCrop::default() };
        let mut rng = stream(1, "crop", 0);
        let (mut smallest, mut largest) = (1.0f64, 0.0f64);
        for _ in 0..2000 {
            let [x, y, w, h] = step.draw(640, 480, &mut rng);
            assert!(x + w <= 640 && y + h <= 480);
            let (area, ratio) = (f64::from(w * h) / (640.0 * 480.0), f64::from(w) / f64::from(h));
            assert!((0.195..0.605).contains(&area) && (0.74..1.35).contains(&ratio), "{w} x {h}");
            (smallest, largest) = (smallest.min(area), largest.max(area));
        }
        assert!(smallest < 0.22 && largest > 0.58);
    }

    #[test]
    fn a_picture_too_narrow_for_any_draw_gives_its_middle() {
        let step = RandomResizedCrop { scale: [1.0, 1.0], ..RandomResizedCrop::default() };
        // 100 x 10: the widest allowed part is 13 x 10.
        assert_eq!(step.draw(100, 10, &mut stream(1, "crop", 0)), [43, 0, 13, 10]);
        assert_eq!(step.draw(10, 100, &mut stream(1, "crop", 0)), [0, 43, 10, 13]);
    }

    #[test]
    fn a_shift_moves_pixels_and_fills_the_rest() {
        let picture = noise(8, 6);
        let step = PadCrop { padding: 3, fill: [9, 8, 7] };
        let mut shifts = std::collections::BTreeSet::new();
        for index in 0..300 {
            // The same stream tells which shift was drawn.
            let mut rng = stream(1, "shift", index);
            let (dx, dy) = (rng.random_range(-3i64..=3), rng.random_range(-3i64..=3));
            shifts.insert((dx, dy));
            let shifted = step.apply(&picture, &mut stream(1, "shift", index));
            for (x, y, pixel) in shifted.enumerate_pixels() {
                let (from_x, from_y) = (i64::from(x) + dx, i64::from(y) + dy);
                let inside = (0..8).contains(&from_x) && (0..6).contains(&from_y);
                let wanted =
                    if inside { *picture.get_pixel(from_x as u32, from_y as u32) } else { Rgb([9, 8, 7]) };
                assert_eq!(*pixel, wanted, "shift {dx} {dy} at {x} {y}");
            }
        }
        assert_eq!(shifts.len(), 49, "every shift occurs");
    }

    #[test]
    fn holes_are_squares_cut_at_the_border() {
        let step = Cutout { size: 4, fill: [1, 2, 3], ..Cutout::default() };
        let mut areas = std::collections::BTreeSet::new();
        for index in 0..200 {
            let mut picture = RgbImage::new(10, 10);
            step.apply(&mut picture, &mut stream(1, "cutout", index));
            areas.insert(picture.pixels().filter(|p| p.0 == [1, 2, 3]).count());
        }
        assert_eq!(areas.first(), Some(&4), "a corner hides all but 2 x 2");
        assert_eq!(areas.last(), Some(&16));
    }
}

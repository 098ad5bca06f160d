//! Brightness, contrast, saturation, hue and greyscale on 8-bit pictures, by torchvision's definitions for `uint8`
//! tensors, truncations included.

use ::image::RgbImage;
use ocelli_method::random::Generator;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::uniform;
use crate::error::DataError;

/// Random brightness, contrast, saturation and hue, in random order (`ColorJitter`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColourJitter {
    /// The factor is drawn evenly from `max(0, 1 - brightness)` to `1 + brightness`.
    pub brightness: f64,
    /// The factor is drawn evenly from `max(0, 1 - contrast)` to `1 + contrast`.
    pub contrast: f64,
    /// The factor is drawn evenly from `max(0, 1 - saturation)` to `1 + saturation`.
    pub saturation: f64,
    /// The shift is drawn evenly from `-hue` to `hue`, in turns of the colour circle; at most 0.5.
    pub hue: f64,
}

impl ColourJitter {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first impossible one.
    pub fn check(&self) -> Result<(), DataError> {
        let limits = [
            ("augment.colour_jitter.brightness", self.brightness, 1e3),
            ("augment.colour_jitter.contrast", self.contrast, 1e3),
            ("augment.colour_jitter.saturation", self.saturation, 1e3),
            ("augment.colour_jitter.hue", self.hue, 0.5),
        ];
        match limits.iter().find(|(_, value, most)| !(0.0..=*most).contains(value)) {
            Some((key, value, most)) => {
                Err(DataError::setting(key, format!("must be from 0 to {most}, found {value}")))
            }
            None => Ok(()),
        }
    }

    /// Changes the colours.
    pub fn apply(&self, picture: &mut RgbImage, rng: &mut Generator) {
        let mut order = [0, 1, 2, 3];
        order.shuffle(rng);
        for step in order {
            match step {
                0 if self.brightness > 0.0 => adjust_brightness(picture, factor(self.brightness, rng)),
                1 if self.contrast > 0.0 => adjust_contrast(picture, factor(self.contrast, rng)),
                2 if self.saturation > 0.0 => adjust_saturation(picture, factor(self.saturation, rng)),
                3 if self.hue > 0.0 => adjust_hue(picture, uniform(rng, -self.hue, self.hue) as f32),
                _ => {}
            }
        }
    }
}

fn factor(strength: f64, rng: &mut Generator) -> f32 {
    uniform(rng, (1.0 - strength).max(0.0), 1.0 + strength) as f32
}

/// `factor * value + (1 - factor) * other`, clamped and truncated.
fn blend(value: u8, other: f32, factor: f32) -> u8 {
    (factor * f32::from(value) + (1.0 - factor) * other).clamp(0.0, 255.0) as u8
}

/// Luma of ITU-R 601, truncated.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    (0.2989 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)) as u8
}

/// Multiplies every value: 0 gives black, 1 the picture itself.
pub fn adjust_brightness(picture: &mut RgbImage, factor: f32) {
    blend_with(picture, 0.0, factor);
}

fn blend_with(picture: &mut RgbImage, ground: f32, factor: f32) {
    // 256 values are fewer than the pixels.
    let table: [u8; 256] = std::array::from_fn(|value| blend(value as u8, ground, factor));
    for value in picture.iter_mut() {
        *value = table[usize::from(*value)];
    }
}

/// Spreads the values about the picture's mean luma: 0 gives one grey, 1 the picture itself.
pub fn adjust_contrast(picture: &mut RgbImage, factor: f32) {
    let total: u64 = picture.pixels().map(|p| u64::from(luma(p.0))).sum();
    let pixels = u64::from(picture.width()) * u64::from(picture.height());
    let mean = total as f64 / pixels.max(1) as f64;
    blend_with(picture, mean as f32, factor);
}

/// Moves every pixel away from or to its grey: 0 gives greyscale, 1 the picture itself.
pub fn adjust_saturation(picture: &mut RgbImage, factor: f32) {
    for pixel in picture.pixels_mut() {
        let grey = f32::from(luma(pixel.0));
        pixel.0 = pixel.0.map(|value| blend(value, grey, factor));
    }
}

/// Turns every hue by `shift` of the colour circle, from -0.5 to 0.5.
pub fn adjust_hue(picture: &mut RgbImage, shift: f32) {
    for pixel in picture.pixels_mut() {
        let [hue, saturation, value] = rgb_to_hsv(pixel.0);
        pixel.0 = hsv_to_rgb([(hue + shift).rem_euclid(1.0), saturation, value]);
    }
}

/// Replaces colours by their luma.
pub fn greyscale(picture: &mut RgbImage) {
    for pixel in picture.pixels_mut() {
        pixel.0 = [luma(pixel.0); 3];
    }
}

/// Hue, saturation, value, all in [0, 1].
fn rgb_to_hsv(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|v| f32::from(v) / 255.0);
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0.0, 0.0, most];
    }
    let chroma = most - least;
    let sector = if most == r {
        (g - b) / chroma
    } else if most == g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    [(sector / 6.0).rem_euclid(1.0), chroma / most, most]
}

fn hsv_to_rgb([hue, saturation, value]: [f32; 3]) -> [u8; 3] {
    let sector = (hue * 6.0).floor();
    let part = hue * 6.0 - sector;
    let low = value * (1.0 - saturation);
    let falling = value * (1.0 - saturation * part);
    let rising = value * (1.0 - saturation * (1.0 - part));
    let rgb = match sector as i32 % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    };
    // torchvision's float to byte: 255.999 v, truncated.
    rgb.map(|v| (v.clamp(0.0, 1.0) * 255.999) as u8)
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;
    use ::image::Rgb;
    use ocelli_method::random::stream;

    fn changed(pixels: &[[u8; 3]], change: impl Fn(&mut RgbImage)) -> Vec<[u8; 3]> {
        let mut picture = RgbImage::from_fn(pixels.len() as u32, 1, |x, _| Rgb(pixels[x as usize]));
        change(&mut picture);
        picture.pixels().map(|p| p.0).collect()
    }

    /// Worked out by hand from the definitions.
    #[test]
    fn every_step_follows_its_definition() {
        let pixels = [[200, 100, 50], [10, 20, 30]];
        assert_eq!(changed(&pixels, |p| adjust_brightness(p, 1.5)), [[255, 150, 75], [15, 30, 45]]);
        // Lumas 124.18 and 18.149, truncated 124 and 18, mean 71.
        assert_eq!(changed(&pixels, |p| adjust_contrast(p, 0.5)), [[135, 85, 60], [40, 45, 50]]);
        assert_eq!(changed(&pixels, |p| adjust_contrast(p, 0.0)), [[71; 3]; 2]);
        assert_eq!(changed(&pixels, |p| adjust_saturation(p, 0.5)), [[162, 112, 87], [14, 19, 24]]);
        assert_eq!(changed(&pixels, |p| adjust_saturation(p, 2.0)), [[255, 76, 0], [2, 22, 42]]);
        assert_eq!(changed(&pixels, greyscale), [[124; 3], [18; 3]]);
    }

    #[test]
    fn hue_turns_the_colour_circle() {
        let primaries = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [7, 7, 7]];
        let turned = changed(&primaries, |p| adjust_hue(p, 1.0 / 3.0));
        assert_eq!(turned, [[0, 255, 0], [0, 0, 255], [255, 0, 0], [7, 7, 7]]);
        let opposite = changed(&primaries[..1], |p| adjust_hue(p, -0.5));
        assert_eq!(opposite, [[0, 255, 255]]);
    }

    #[test]
    fn factor_one_changes_nothing() {
        let picture = noise(40, 40);
        for change in [adjust_brightness, adjust_contrast, adjust_saturation] {
            let mut same = picture.clone();
            change(&mut same, 1.0);
            assert_eq!(same, picture);
        }
        let mut same = picture.clone();
        adjust_hue(&mut same, 0.0);
        let worst = same.iter().zip(picture.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 1, "two roundings lie between: {worst}");
    }

    #[test]
    fn jitter_draws_within_its_range() {
        let jitter = ColourJitter { brightness: 0.2, ..ColourJitter::default() };
        for index in 0..200 {
            let mut picture = RgbImage::from_pixel(1, 1, Rgb([100, 100, 100]));
            jitter.apply(&mut picture, &mut stream(1, "jitter", index));
            assert!((79..=120).contains(&picture.get_pixel(0, 0).0[0]));
        }
        let mut empty = RgbImage::new(0, 0);
        let all = ColourJitter { brightness: 1.0, contrast: 1.0, saturation: 1.0, hue: 0.5 };
        all.apply(&mut empty, &mut stream(1, "jitter", 0));
    }
}

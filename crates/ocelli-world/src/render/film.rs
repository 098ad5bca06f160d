//! The film: blur, sensor resolution, noise and encoding.

use image::RgbImage;
use ocelli_method::random::Generator;
use rand::Rng;

use super::geometry::{Rgb, mix};

/// A picture in linear light.
#[derive(Clone, Debug)]
pub struct Film {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Colours, row-major.
    pub pixels: Vec<Rgb>,
}

impl Film {
    /// Blurs with a Gaussian of standard deviation `sigma` pixels; the border repeats.
    pub fn blur(&mut self, sigma: f32) {
        if sigma.is_nan() || sigma <= 0.15 {
            return;
        }
        let radius = (sigma * 2.5).ceil() as usize;
        let weights: Vec<f32> = (0..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
        let total: f32 = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
        let weights: Vec<f32> = weights.iter().map(|w| w / total).collect();
        let (w, h) = (self.width, self.height);
        convolve_lines(&mut self.pixels, &weights, h, w, w, 1);
        convolve_lines(&mut self.pixels, &weights, w, h, 1, w);
    }

    /// Smears along a line of `length` pixels at `angle` degrees from the horizontal.
    pub fn smear(&mut self, length: f32, angle: f32) {
        if length.is_nan() || length <= 0.5 {
            return;
        }
        let steps = (length.ceil() as usize * 2).max(2);
        let (sin, cos) = angle.to_radians().sin_cos();
        let source = self.clone();
        for y in 0..self.height {
            for x in 0..self.width {
                let mut sum = [0.0; 3];
                for i in 0..=steps {
                    let t = (i as f32 / steps as f32 - 0.5) * length;
                    let c = source.sample(x as f32 + t * cos, y as f32 + t * sin);
                    for k in 0..3 {
                        sum[k] += c[k];
                    }
                }
                self.pixels[y * self.width + x] = sum.map(|s| s / (steps + 1) as f32);
            }
        }
    }

    /// Lowers the resolution to `share` of its side (area averages) and enlarges again (bilinear).
    pub fn coarsen(&mut self, share: f32) {
        let (w, h) = (self.width, self.height);
        let small_w = ((w as f32 * share).round() as usize).clamp(1, w);
        let small_h = ((h as f32 * share).round() as usize).clamp(1, h);
        if (small_w, small_h) == (w, h) {
            return;
        }
        let across = resample_rows(&self.pixels, w, &[average(w, small_w), enlarge(small_w, w)]);
        let down = resample_rows(&transpose(&across, w, h), h, &[average(h, small_h), enlarge(small_h, h)]);
        self.pixels = transpose(&down, h, w);
    }

    /// The colour at a position in pixel centres, bilinear; the border repeats.
    fn sample(&self, x: f32, y: f32) -> Rgb {
        let x = x.clamp(0.0, self.width as f32 - 1.0);
        let y = y.clamp(0.0, self.height as f32 - 1.0);
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (tx, ty) = (x - x0 as f32, y - y0 as f32);
        let at = |x: usize, y: usize| self.pixels[y * self.width + x];
        mix(mix(at(x0, y0), at(x1, y0), tx), mix(at(x0, y1), at(x1, y1), tx), ty)
    }

    /// Develops the film: gain, a soft shoulder instead of clipping, sRGB encoding, gamma, noise, eight bits.
    ///
    /// `noise` is the standard deviation as a share of white; with `grey`, all channels share it.
    pub fn develop(&self, gain: f32, gamma: f32, noise: f32, grey: bool, rng: &mut Generator) -> RgbImage {
        let curve = Curve::new(gamma);
        let mut picture = RgbImage::new(self.width as u32, self.height as u32);
        for (out, pixel) in picture.pixels_mut().zip(&self.pixels) {
            let mut grain = if noise > 0.0 { grain(rng) } else { [0.0; 3] };
            if grey {
                grain = [grain[0]; 3];
            }
            for c in 0..3 {
                let v = curve.encode(pixel[c] * gain) + grain[c] * noise;
                out.0[c] = (v * 255.0 + 0.5) as u8;
            }
        }
        picture
    }
}

/// Three nearly normal numbers of mean 0 and variance 1: each the sum of three uniform numbers of seven bits, all
/// from one draw.
fn grain(rng: &mut Generator) -> [f32; 3] {
    let bits = rng.next_u64();
    std::array::from_fn(|c| {
        let sum: u64 = (0..3).map(|k| (bits >> (21 * c + 7 * k)) & 127).sum();
        // The mean of the sum is 3 · 63.5; its variance 3 · (128² - 1) / 12, nearly 64².
        (sum as f32 - 190.5) * (1.0 / 63.998)
    })
}

/// Convolves each of `lines` lines of `length` pixels (`line_stride` and `stride` apart) with a symmetric kernel.
fn convolve_lines(
    pixels: &mut [Rgb],
    weights: &[f32],
    lines: usize,
    length: usize,
    line_stride: usize,
    stride: usize,
) {
    let mut line = vec![[0.0; 3]; length];
    let last = length as isize - 1;
    for l in 0..lines {
        for (i, v) in line.iter_mut().enumerate() {
            *v = pixels[l * line_stride + i * stride];
        }
        for i in 0..length {
            let mut sum = line[i].map(|v| v * weights[0]);
            for (k, weight) in weights.iter().enumerate().skip(1) {
                let before = line[(i as isize - k as isize).clamp(0, last) as usize];
                let after = line[(i + k).min(length - 1)];
                for c in 0..3 {
                    sum[c] += weight * (before[c] + after[c]);
                }
            }
            pixels[l * line_stride + i * stride] = sum;
        }
    }
}

/// What each place of a resampled line is made of: the first source place and the weights from there on.
type Taps = Vec<(usize, Vec<f32>)>;

/// Averages a line of `from` places over `to` equal intervals.
fn average(from: usize, to: usize) -> Taps {
    let step = from as f32 / to as f32;
    (0..to)
        .map(|i| {
            let (low, high) = (i as f32 * step, (i + 1) as f32 * step);
            let places = low as usize..(high.ceil() as usize).min(from);
            let share = |x: usize| (high.min(x as f32 + 1.0) - low.max(x as f32)).max(0.0) / step;
            (places.start, places.map(share).collect())
        })
        .collect()
}

/// Enlarges a line of `from` places to `to`, linearly between their centres; the border repeats.
fn enlarge(from: usize, to: usize) -> Taps {
    (0..to)
        .map(|i| {
            let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, from as f32 - 1.0);
            let place = (at as usize).min(from.saturating_sub(2));
            let t = at - place as f32;
            (place, if from == 1 { vec![1.0] } else { vec![1.0 - t, t] })
        })
        .collect()
}

/// Resamples each row of `width` pixels by one set of taps after the other.
fn resample_rows(pixels: &[Rgb], width: usize, passes: &[Taps; 2]) -> Vec<Rgb> {
    let [first, second] = passes;
    let mut out = Vec::with_capacity(pixels.len());
    let mut between = Vec::with_capacity(first.len());
    for row in pixels.chunks_exact(width) {
        between.clear();
        between.extend(first.iter().map(|tap| weighted(row, tap)));
        out.extend(second.iter().map(|tap| weighted(&between, tap)));
    }
    out
}

fn weighted(row: &[Rgb], (first, weights): &(usize, Vec<f32>)) -> Rgb {
    let mut sum = [0.0; 3];
    for (pixel, weight) in row[*first..].iter().zip(weights) {
        for c in 0..3 {
            sum[c] += weight * pixel[c];
        }
    }
    sum
}

fn transpose(pixels: &[Rgb], width: usize, height: usize) -> Vec<Rgb> {
    let mut out = Vec::with_capacity(pixels.len());
    for x in 0..width {
        out.extend((0..height).map(|y| pixels[y * width + x]));
    }
    out
}

/// Entries of the encoding table, over linear light from 0 to 2.
const STEPS: usize = 320;

/// Linear light to encoded value, tabulated over the square root of the light.
struct Curve {
    table: Vec<f32>,
}

impl Curve {
    fn new(gamma: f32) -> Curve {
        let entry = |i: usize| {
            let root = i as f32 / STEPS as f32 * std::f32::consts::SQRT_2;
            let v = shoulder(root * root);
            let srgb = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
            if gamma == 1.0 { srgb } else { srgb.powf(gamma) }
        };
        Curve { table: (0..=STEPS).map(entry).collect() }
    }

    fn encode(&self, light: f32) -> f32 {
        let u = (light.max(0.0).sqrt() * (STEPS as f32 / std::f32::consts::SQRT_2)).min(STEPS as f32 - 0.001);
        let i = u as usize;
        let (a, b) = (self.table[i], self.table[i + 1]);
        a + (b - a) * (u - i as f32)
    }
}

/// Identity up to 0.7, then bends to reach 1 at light 2.
fn shoulder(v: f32) -> f32 {
    if v <= 0.7 {
        return v;
    }
    let t = ((v - 0.7) / 1.3).min(1.0);
    // Slope 1 at t = 0 asks for 1.3 units of light on 0.3 units of output.
    0.7 + 0.3 * (1.0 - (1.0 - t).powf(1.3 / 0.3))
}

#[cfg(test)]
mod tests {
    use ocelli_method::random::stream;

    use super::*;

    fn dot(size: usize) -> Film {
        let mut pixels = vec![[0.0; 3]; size * size];
        pixels[size * (size / 2) + size / 2] = [1.0; 3];
        Film { width: size, height: size, pixels }
    }

    fn total(film: &Film) -> f32 {
        film.pixels.iter().map(|p| p[0]).sum()
    }

    #[test]
    fn blurs_spread_light_without_losing_it() {
        for change in
            [(|f: &mut Film| f.blur(2.0)) as fn(&mut Film), |f| f.smear(6.0, 30.0), |f| f.coarsen(0.34)]
        {
            let mut film = dot(33);
            change(&mut film);
            assert!((total(&film) - 1.0).abs() < 0.05, "light {}", total(&film));
            let peak = film.pixels.iter().map(|p| p[0]).fold(0.0, f32::max);
            assert!(peak < 0.5, "peak {peak}");
        }
    }

    #[test]
    fn gaussian_blur_has_the_variance_it_is_asked_for() {
        let mut film = dot(41);
        film.blur(2.0);
        let variance: f32 =
            film.pixels.iter().enumerate().map(|(i, p)| ((i % 41) as f32 - 20.0).powi(2) * p[0]).sum();
        assert!((variance - 4.0).abs() < 0.35, "{variance}");
    }

    #[test]
    fn development_is_srgb_in_the_middle_and_noise_has_its_deviation() {
        let film = Film { width: 64, height: 64, pixels: vec![[0.214; 3]; 4096] };
        let plain = film.develop(1.0, 1.0, 0.0, false, &mut stream(0, "test", 0));
        assert!(plain.as_raw().iter().all(|&b| (126..=128).contains(&b)), "{:?}", plain.get_pixel(0, 0));
        let noisy = film.develop(1.0, 1.0, 0.05, false, &mut stream(0, "test", 0));
        let deviation =
            (noisy.as_raw().iter().map(|&b| (f32::from(b) - 127.0).powi(2)).sum::<f32>() / 12_288.0).sqrt();
        assert!((deviation / 255.0 - 0.05).abs() < 0.003, "{}", deviation / 255.0);
    }
}

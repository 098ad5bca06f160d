//! Lights and how a surface answers them.

use serde::{Deserialize, Serialize};

use super::geometry::{Rgb, Vec3, positive, vec3};

/// A distant light.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Light {
    /// Where the light stands, in camera axes (x right, y up, z towards the viewer); need not be of length one.
    pub direction: [f32; 3],
    /// Linear red, green, blue intensity; 1 lights a white surface that faces it to white.
    pub colour: Rgb,
}

impl Light {
    /// A light beside the camera, such as a telephone's screen held before the face.
    pub fn frontal(colour: Rgb) -> Light {
        Light { direction: [0.0, 0.0, 1.0], colour }
    }
}

/// What a surface is made of at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Material {
    /// Linear reflectance.
    pub albedo: Rgb,
    /// Strength of the highlight.
    pub gloss: f32,
    /// Number of squarings of the highlight's cosine: 4 is dull (power 16), 7 is wet (power 128).
    pub polish: u32,
}

/// All light in a scene, prepared for shading.
#[derive(Clone, Debug)]
pub struct Lighting {
    ambient: Rgb,
    sources: Vec<Source>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    towards: Vec3,
    halfway: Vec3,
    colour: Rgb,
}

/// Light that seeps round the terminator through skin, as a share of the full cosine range.
const WRAP: f32 = 0.15;

impl Lighting {
    /// Ambient light (linear colour) and distant lights.
    pub fn new(ambient: Rgb, lights: &[Light]) -> Lighting {
        let source = |light: &Light| {
            let [x, y, z] = light.direction;
            let towards = vec3(x, y, z).unit();
            Source { towards, halfway: (towards + vec3(0.0, 0.0, 1.0)).unit(), colour: light.colour }
        };
        Lighting { ambient, sources: lights.iter().map(source).collect() }
    }

    /// Light leaving a surface towards the camera; `normal` is unit length in camera axes, `openness` in `[0, 1]`
    /// is the share of the surroundings that the point sees.
    #[inline]
    pub fn shade(&self, material: &Material, normal: Vec3, openness: f32) -> Rgb {
        // Rooms are brighter above than below.
        let sky = openness * (0.78 + 0.22 * normal.y);
        let mut diffuse = [self.ambient[0] * sky, self.ambient[1] * sky, self.ambient[2] * sky];
        let mut shine = [0.0; 3];
        let direct = 0.35 + 0.65 * openness;
        for source in &self.sources {
            let cosine = positive((normal.dot(source.towards) + WRAP) * (1.0 / (1.0 + WRAP))) * direct;
            let mut highlight = positive(normal.dot(source.halfway));
            for _ in 0..material.polish {
                highlight *= highlight;
            }
            let highlight = highlight * material.gloss * openness * cosine.min(1.0);
            for c in 0..3 {
                diffuse[c] += cosine * source.colour[c];
                shine[c] += highlight * source.colour[c];
            }
        }
        let mut out = [0.0; 3];
        for c in 0..3 {
            out[c] = material.albedo[c] * diffuse[c] + shine[c];
        }
        out
    }
}

/// The linear colour of a black body at `kelvin`, with green near 1; a fit good to a few per cent from 2000 to
/// 12 000 K.
pub fn black_body(kelvin: f32) -> Rgb {
    let t = kelvin.clamp(1500.0, 15_000.0) / 6500.0;
    let red = if t < 1.0 { 1.0 + 0.55 * (1.0 / t - 1.0) } else { t.powf(-0.35) };
    let blue = if t < 1.0 { (1.35 * t - 0.35).max(0.05) } else { t.powf(0.45) };
    [red, 1.0, blue]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surfaces_are_brightest_facing_the_light() {
        let lighting = Lighting::new([0.1; 3], &[Light { direction: [1.0, 0.0, 0.0], colour: [1.0; 3] }]);
        let paper = Material { albedo: [0.5; 3], gloss: 0.0, polish: 4 };
        let facing = lighting.shade(&paper, vec3(1.0, 0.0, 0.0), 1.0)[0];
        let away = lighting.shade(&paper, vec3(-1.0, 0.0, 0.0), 1.0)[0];
        assert!(facing > 0.5 && away < 0.06, "{facing} {away}");
    }

    #[test]
    fn candles_are_red_and_skies_are_blue() {
        let (candle, sky) = (black_body(2500.0), black_body(10_000.0));
        assert!(candle[0] > candle[2] && sky[2] > sky[0]);
    }
}

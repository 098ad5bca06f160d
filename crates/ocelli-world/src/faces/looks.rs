//! Colours and surface details from a person's traits.

use super::identity::{Identity, Traits};
use super::shot::Spectrum;
use crate::render::geometry::{Rgb, lerp, mix, scale, smoothstep};
use crate::render::noise::hash;

/// A mole: position on the face (x, y in head units) and radius.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mole {
    pub(super) at: [f32; 2],
    pub(super) radius: f32,
}

/// How the hair grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hair {
    /// Height of the hairline over the middle of the forehead.
    pub(super) line: f32,
    pub(super) recession: f32,
    pub(super) volume: f32,
    /// Height down to which long hair hangs; `None` for short hair.
    pub(super) length: Option<f32>,
    /// Strength of the fringe, 0 for none.
    pub(super) fringe: f32,
    pub(super) parting: f32,
    pub(super) curl: f32,
}

/// All that is painted rather than shaped.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    pub(super) skin: Rgb,
    pub(super) flush: Rgb,
    pub(super) lips: Rgb,
    pub(super) hair: Rgb,
    pub(super) brow: Rgb,
    pub(super) iris: Rgb,
    pub(super) sclera: Rgb,
    pub(super) ruddiness: f32,
    pub(super) freckles: f32,
    pub(super) moles: Vec<Mole>,
    pub(super) lines: f32,
    pub(super) lashes: f32,
    pub(super) beard: f32,
    pub(super) moustache: f32,
    pub(super) growth: Hair,
    pub(super) marks: u32,
}

/// The identity with every trait held within ±3.5 standard deviations, where faces stay sound.
pub(super) fn held(identity: &Identity) -> Identity {
    let hold = |v: f32| if v.is_nan() { 0.0 } else { v.clamp(-3.5, 3.5) };
    Identity { traits: Traits::from_array(identity.traits.to_array().map(hold)), marks: identity.marks }
}

/// A smooth step from 0 to 1 in units of standard deviations.
fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-1.702 * v).exp())
}

impl Looks {
    pub(super) fn new(identity: &Identity, spectrum: Spectrum) -> Looks {
        let person = held(identity);
        let t = &person.traits;
        let skin = skin_tone(t);
        let male = t.masculinity;
        let hair = hair_colour(t);
        let iris_light = sigmoid(0.8 * t.iris_lightness + 0.9 * t.skin_lightness - 0.3);
        let hue = sigmoid(1.2 * t.iris_hue);
        let pale = mix([0.13, 0.22, 0.10], [0.14, 0.27, 0.42], hue);
        let mut looks = Looks {
            skin,
            flush: [skin[0] * 0.92, skin[1] * 0.58, skin[2] * 0.55],
            lips: lip_colour(t, skin),
            hair,
            brow: scale(mix(hair, [0.02, 0.015, 0.012], 0.45), 0.9),
            iris: mix([0.055, 0.026, 0.012], pale, iris_light),
            sclera: [0.68, 0.66, 0.63],
            ruddiness: (0.22 + 0.18 * t.ruddiness).clamp(0.0, 0.8),
            freckles: (0.5 * (t.freckles - 0.5)).clamp(0.0, 1.0) * smoothstep(-1.5, 0.5, t.skin_lightness),
            moles: moles(t, person.marks),
            lines: (0.18 + 0.24 * t.age).clamp(0.0, 1.0),
            lashes: (0.55 - 0.28 * male).clamp(0.15, 1.0),
            beard: (0.55 * (t.beard + 0.75 * male - 1.0)).clamp(0.0, 1.0),
            moustache: (0.6 * (t.moustache + 0.75 * male - 1.1)).clamp(0.0, 1.0),
            growth: growth(t),
            marks: person.marks,
        };
        if spectrum == Spectrum::NearInfrared {
            looks.turn_infrared();
        }
        looks
    }

    /// Melanin and blood hardly absorb near infrared: skin and lips become pale and alike, irises light, and hair
    /// keeps only part of its darkness.
    fn turn_infrared(&mut self) {
        let grey = |c: Rgb| 0.6 * c[0] + 0.3 * c[1] + 0.1 * c[2];
        let to = |c: Rgb, floor: f32, power: f32| [floor + (1.0 - floor) * grey(c).powf(power) * 0.8; 3];
        self.skin = to(self.skin, 0.38, 0.8);
        self.flush = scale(self.skin, 0.97);
        self.lips = scale(self.skin, 0.86);
        self.hair = to(self.hair, 0.13, 0.7);
        self.brow = to(self.brow, 0.10, 0.7);
        self.iris = to(self.iris, 0.24, 0.9);
        self.sclera = [0.58; 3];
        self.freckles *= 0.2;
    }
}

fn skin_tone(t: &Traits) -> Rgb {
    // Interpolated in the logarithm, as absorption by melanin acts.
    let light: Rgb = [0.78, 0.52, 0.40];
    let dark: Rgb = [0.13, 0.065, 0.038];
    let melanin = sigmoid(-0.85 * t.skin_lightness - 0.75);
    let warm = 0.07 * t.skin_warmth;
    let tone: Rgb = std::array::from_fn(|c| light[c].powf(1.0 - melanin) * dark[c].powf(melanin));
    [tone[0] * (1.0 + 0.2 * warm), tone[1] * (1.0 + 0.3 * warm), tone[2] * (1.0 - 1.6 * warm)]
}

fn lip_colour(t: &Traits, skin: Rgb) -> Rgb {
    let rouge = (0.45 + 0.16 * t.lip_colour - 0.10 * t.masculinity).clamp(0.1, 1.0);
    let natural = [skin[0] * 0.80, skin[1] * 0.50, skin[2] * 0.52];
    let red = [skin[0] * 0.72, skin[1] * 0.20, skin[2] * 0.24];
    mix(mix(skin, natural, (rouge * 2.0).min(1.0)), red, (rouge - 0.5).max(0.0) * 1.6)
}

fn hair_colour(t: &Traits) -> Rgb {
    let blond = sigmoid(0.9 * t.hair_lightness + 0.6 * t.skin_lightness - 1.1);
    let red = smoothstep(0.8, 2.4, t.hair_warmth + 0.4 * t.skin_lightness);
    let base = mix([0.012, 0.009, 0.008], [0.12, 0.062, 0.030], (2.0 * blond).min(1.0));
    let base = mix(base, [0.50, 0.34, 0.16], (2.0 * blond - 1.0).max(0.0));
    let base = mix(base, [0.32, 0.085, 0.025], red * (0.3 + 0.7 * blond.min(0.8)));
    mix(base, [0.42, 0.41, 0.40], smoothstep(0.7, 2.2, t.age) * 0.95)
}

fn growth(t: &Traits) -> Hair {
    let long = t.hair_length - 0.85 * t.masculinity;
    let balding = smoothstep(1.3, 3.2, 0.9 * t.recession + 0.8 * t.masculinity + 0.5 * t.age);
    Hair {
        line: 0.70 + 0.045 * t.hairline + 0.5 * balding,
        recession: (0.05 + 0.05 * t.recession + 0.03 * t.masculinity).max(0.0) + 0.25 * balding,
        volume: (0.085 + 0.035 * t.hair_volume + 0.02 * t.curl.max(0.0)).clamp(0.025, 0.26)
            * lerp(1.0, 0.3, balding),
        length: (long > 0.35 && balding < 0.5).then(|| -0.45 - 0.45 * (long - 0.35).min(2.5)),
        fringe: if balding > 0.2 { 0.0 } else { smoothstep(0.4, 1.3, t.fringe) },
        parting: 0.5 * t.parting,
        curl: smoothstep(0.0, 1.8, t.curl),
    }
}

fn moles(t: &Traits, marks: u32) -> Vec<Mole> {
    let count = (1.0 + t.moles).clamp(0.0, 4.0) as u32;
    let u = |i: u32, k: u32| hash(i as i32, k as i32, marks ^ 0x4D4F);
    (0..count)
        .map(|i| Mole {
            at: [(u(i, 0) - 0.5) * 1.1, lerp(-0.95, 0.45, u(i, 1))],
            radius: lerp(0.012, 0.028, u(i, 2)),
        })
        .collect()
}

//! Who it is: the traits of a person that stay the same from picture to picture.

use ocelli_method::random::{Generator, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::error::{SpaceError, check_range};

/// Declares [`Traits`] with one documented field a trait, and its conversion to and from an array.
macro_rules! traits {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The traits of a person, each in standard deviations from the average of the population.
        ///
        /// Every combination within about ±4 gives a sound face; values beyond are held there.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Traits {
            $($(#[doc = $doc])+ pub $name: f32,)+
        }

        impl Traits {
            /// Names, in the order of [`Traits::to_array`].
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Number of traits.
            pub const COUNT: usize = Self::NAMES.len();

            /// The traits as an array.
            pub fn to_array(&self) -> [f32; Traits::COUNT] {
                [$(self.$name),+]
            }

            /// The traits from an array.
            pub fn from_array(values: [f32; Traits::COUNT]) -> Traits {
                let [$($name),+] = values;
                Traits { $($name),+ }
            }
        }
    };
}

traits! {
    /// Width of the skull.
    head_width,
    /// Height of the skull above the eyes.
    head_height,
    /// Length of the skull from front to back.
    head_depth,
    /// Width at the cheekbones.
    cheekbone_width,
    /// Fullness of the cheeks.
    cheek_fullness,
    /// Width of the jaw.
    jaw_width,
    /// Squareness of the jaw.
    jaw_squareness,
    /// Length of the chin.
    chin_length,
    /// Width of the chin.
    chin_width,
    /// How far the chin stands out.
    chin_projection,
    /// Flatness of the face.
    flatness,
    /// Strength of the brow ridge.
    brow_ridge,
    /// Distance between the eyes.
    eye_spacing,
    /// Width of the eyes.
    eye_width,
    /// Height of the eyes' opening.
    eye_openness,
    /// Upward slant of the outer corners.
    eye_tilt,
    /// Height of the eyes in the face.
    eye_height,
    /// Depth of the eye sockets.
    eye_depth,
    /// Colour of the iris, from brown through green to blue.
    iris_hue,
    /// Lightness of the iris.
    iris_lightness,
    /// Height of the brows over the eyes.
    brow_height,
    /// Thickness of the brows.
    brow_thickness,
    /// Arch of the brows.
    brow_arch,
    /// Upward slope of the brows to the outside.
    brow_slope,
    /// Length of the brows.
    brow_length,
    /// Length of the nose.
    nose_length,
    /// Width of the nose.
    nose_width,
    /// Height of the bridge.
    nose_bridge,
    /// How far the tip stands out.
    nose_projection,
    /// Roundness of the tip.
    nose_tip,
    /// Sideways bend of the nose.
    nose_skew,
    /// Height of the mouth in the face.
    mouth_height,
    /// Width of the mouth.
    mouth_width,
    /// Thickness of the upper lip.
    upper_lip,
    /// Thickness of the lower lip.
    lower_lip,
    /// Upward curve of the resting mouth.
    mouth_curve,
    /// Redness of the lips.
    lip_colour,
    /// Size of the ears.
    ear_size,
    /// How far the ears stand out.
    ear_flare,
    /// Lightness of the skin.
    skin_lightness,
    /// Yellowness of the skin.
    skin_warmth,
    /// Redness of the cheeks and nose.
    ruddiness,
    /// Freckles; none below about +0.5.
    freckles,
    /// Moles; none below about -0.5.
    moles,
    /// Age: lines, grey hair, thinner lips.
    age,
    /// Masculinity: shifts brows, jaw, hair and beard together.
    masculinity,
    /// Height of the hairline.
    hairline,
    /// Depth of the receding corners of the hairline.
    recession,
    /// Volume of the hair.
    hair_volume,
    /// Length of the hair.
    hair_length,
    /// Lightness of the hair.
    hair_lightness,
    /// Redness of the hair.
    hair_warmth,
    /// Fringe over the forehead; none below about +0.4.
    fringe,
    /// Side and strength of the parting.
    parting,
    /// Curliness of the hair.
    curl,
    /// Beard on the jaw; none below about +0.5.
    beard,
    /// Moustache; none below about +0.6.
    moustache,
}

/// How identities are distributed.
///
/// With `families = 0` all traits are independent standard normals. Otherwise each identity belongs to a family
/// (`index % families`) and its traits are `(centre + spread · normal) / sqrt(1 + spread²)`, so that the population
/// as a whole stays standard normal while a small spread makes the members of a family look alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentitySpace {
    /// Number of families; 0 (the default) for none.
    pub families: u64,
    /// Spread within a family, in `[0, 4]`; default 0.6. Below 1, relatives are hard to tell apart.
    pub spread: f32,
    /// Strength of all traits, in `(0, 2]`; default 1. Smaller values make everybody more average.
    pub diversity: f32,
}

impl Default for IdentitySpace {
    fn default() -> Self {
        IdentitySpace { families: 0, spread: 0.6, diversity: 1.0 }
    }
}

impl IdentitySpace {
    /// Checks that every value lies in its documented range.
    pub fn validate(&self) -> Result<(), SpaceError> {
        check_range("identities.spread", self.spread, 0.0, 4.0)?;
        check_range("identities.diversity", self.diversity, 0.01, 2.0)
    }
}

/// One person.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Traits in standard deviations.
    pub traits: Traits,
    /// Seed of the skin's marks (freckles, moles) and the strands of the hair.
    pub marks: u32,
}

impl Identity {
    /// The average person.
    pub fn average() -> Identity {
        Identity { traits: Traits::default(), marks: 0 }
    }

    /// Person number `index` of the population drawn from `space` under `seed`.
    pub fn sample(seed: u64, index: u64, space: &IdentitySpace) -> Identity {
        let mut own = stream(seed, "faces.identity", index);
        let mut values = normals(&mut own);
        if space.families > 0 {
            let centre = normals(&mut stream(seed, "faces.family", index % space.families));
            let scale = 1.0 / (1.0 + space.spread * space.spread).sqrt();
            for (value, centre) in values.iter_mut().zip(centre) {
                *value = (centre + space.spread * *value) * scale;
            }
        }
        for value in &mut values {
            *value *= space.diversity;
        }
        Identity { traits: Traits::from_array(values), marks: own.random() }
    }

    /// Root-mean-square difference of two people's traits, in standard deviations.
    pub fn distance(&self, other: &Identity) -> f32 {
        let (a, b) = (self.traits.to_array(), other.traits.to_array());
        let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        (sum / Traits::COUNT as f32).sqrt()
    }
}

fn normals(rng: &mut Generator) -> [f32; Traits::COUNT] {
    std::array::from_fn(|_| normal(rng))
}

/// A standard normal number (Box–Muller; one of the pair is used, so that draws stay independent of each other's
/// number).
pub(super) fn normal(rng: &mut Generator) -> f32 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relatives_are_closer_than_strangers() {
        let space = IdentitySpace { families: 10, spread: 0.3, ..Default::default() };
        let person = |i| Identity::sample(3, i, &space);
        let mean = |step: u64| (0..40).map(|i| person(i).distance(&person(i + step))).sum::<f32>() / 40.0;
        let (relatives, strangers) = (mean(10), mean(3));
        assert!(relatives < 0.5 * strangers, "{relatives} {strangers}");
    }

    #[test]
    fn the_population_stays_standard_normal() {
        for space in [IdentitySpace::default(), IdentitySpace { families: 500, ..Default::default() }] {
            let values: Vec<f32> =
                (0..500).flat_map(|i| Identity::sample(1, i, &space).traits.to_array()).collect();
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let variance = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
            assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        }
    }

    #[test]
    fn arrays_and_fields_agree() {
        let traits = Traits { moustache: 2.0, head_width: -1.0, ..Default::default() };
        let array = traits.to_array();
        assert_eq!((array[0], array[Traits::COUNT - 1]), (-1.0, 2.0));
        assert_eq!(Traits::from_array(array), traits);
        assert_eq!(Traits::NAMES[0], "head_width");
    }
}

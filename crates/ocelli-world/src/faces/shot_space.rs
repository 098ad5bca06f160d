//! The distribution of shots.

use ocelli_method::random::Generator;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::error::{SpaceError, check_range};
use super::identity::normal;
use super::shot::{
    Background, Covering, CropError, Exposure, Expression, Eyewear, Hardness, Illumination, Obstacle,
    Occlusion, Pattern, Pose, Shot, Spectrum,
};
use crate::render::geometry::{Rgb, scale};
use crate::render::light::{Light, black_body};

/// How far a nuisance goes: up to `usual` in ordinary shots, between `usual` and `hard` in shots made hard by it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// Largest magnitude in ordinary shots.
    pub usual: f32,
    /// Largest magnitude in hard shots.
    pub hard: f32,
}

impl Reach {
    /// A reach from its two ends.
    pub const fn new(usual: f32, hard: f32) -> Reach {
        Reach { usual, hard }
    }

    fn validate(&self, key: &'static str, limit: f32) -> Result<(), SpaceError> {
        check_range(key, self.usual, 0.0, limit)?;
        check_range(key, self.hard, 0.0, limit)?;
        if self.usual <= self.hard {
            Ok(())
        } else {
            Err(SpaceError::Disordered { key, first: self.usual, second: self.hard })
        }
    }

    /// A magnitude, never negative.
    fn magnitude(&self, rng: &mut Generator, hard: bool) -> f32 {
        let u: f32 = rng.random();
        if hard { self.usual + (self.hard - self.usual) * u } else { self.usual * u }
    }

    /// A magnitude with a random sign.
    fn signed(&self, rng: &mut Generator, hard: bool) -> f32 {
        let magnitude = self.magnitude(rng, hard);
        if rng.random::<bool>() { magnitude } else { -magnitude }
    }
}

/// How shots are distributed.
///
/// A share `hard_share` of the shots is hard in one way (sometimes two) of pose, light, blur and occlusion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShotSpace {
    /// Share of hard shots; default 0.15.
    pub hard_share: f32,
    /// Yaw in degrees, up to 120; default 25 usual, 85 hard.
    pub yaw: Reach,
    /// Pitch in degrees, up to 60; default 10 usual, 30 hard.
    pub pitch: Reach,
    /// Roll in degrees, up to 180; default 8 usual, 25 hard. An aligned crop takes it out again.
    pub roll: Reach,
    /// Strength of expressions, in `[0, 1]`; default 0.7.
    pub expression: f32,
    /// Share of shots with closed eyes; default 0.03.
    pub blink_share: f32,
    /// Angle between the main light and the camera in degrees, up to 120; default 50 usual, 100 hard.
    pub light_angle: Reach,
    /// Under- or overexposure in stops, up to 6; default 0.4 usual, 2.6 hard. Hard shots are dark.
    pub stops: Reach,
    /// Lowest and highest colour temperature in kelvin, within 1500 and 15 000; default 4300 to 8500.
    pub kelvin: [f32; 2],
    /// Sensor noise as a share of white, up to 0.5; default 0.015 usual, 0.06 hard (in dark shots).
    pub noise: Reach,
    /// Gaussian blur's standard deviation as a share of the side, up to 0.1; default 0.004 usual, 0.025 hard.
    pub blur: Reach,
    /// Motion blur's length as a share of the side, up to 0.5; default 0 usual, 0.09 hard.
    pub motion: Reach,
    /// Lowest resolution of the sensor as a share of the picture's: default 0.7 in ordinary shots, 0.16 in hard.
    pub resolution: [f32; 2],
    /// Share of ordinary shots with clear glasses; default 0.1.
    pub glasses_share: f32,
    /// Misplacement of the crop as a share of the side, up to 0.5; default 0.015.
    pub shift: f32,
    /// Error of the crop's size as a share, up to 0.5; default 0.03.
    pub zoom: f32,
    /// The camera's spectrum; default visible.
    pub spectrum: Spectrum,
}

impl Default for ShotSpace {
    fn default() -> Self {
        ShotSpace {
            hard_share: 0.15,
            yaw: Reach::new(25.0, 85.0),
            pitch: Reach::new(10.0, 30.0),
            roll: Reach::new(8.0, 25.0),
            expression: 0.7,
            blink_share: 0.03,
            light_angle: Reach::new(50.0, 100.0),
            stops: Reach::new(0.4, 2.6),
            kelvin: [4300.0, 8500.0],
            noise: Reach::new(0.015, 0.06),
            blur: Reach::new(0.004, 0.025),
            motion: Reach::new(0.0, 0.09),
            resolution: [0.7, 0.16],
            glasses_share: 0.1,
            shift: 0.015,
            zoom: 0.03,
            spectrum: Spectrum::Visible,
        }
    }
}

impl ShotSpace {
    /// Cooperative pictures, as taken at enrolment: nearly frontal, sharp, well lit, never hard.
    pub fn enrolment() -> ShotSpace {
        ShotSpace {
            hard_share: 0.0,
            yaw: Reach::new(5.0, 5.0),
            pitch: Reach::new(4.0, 4.0),
            roll: Reach::new(3.0, 3.0),
            expression: 0.15,
            blink_share: 0.0,
            light_angle: Reach::new(25.0, 25.0),
            stops: Reach::new(0.15, 0.15),
            kelvin: [5500.0, 7000.0],
            noise: Reach::new(0.008, 0.008),
            blur: Reach::new(0.002, 0.002),
            motion: Reach::new(0.0, 0.0),
            resolution: [1.0, 1.0],
            ..ShotSpace::default()
        }
    }

    /// Pictures from a street camera: half of them hard, all of them a little soft.
    pub fn surveillance() -> ShotSpace {
        ShotSpace {
            hard_share: 0.5,
            yaw: Reach::new(45.0, 90.0),
            pitch: Reach::new(20.0, 40.0),
            stops: Reach::new(0.8, 3.0),
            resolution: [0.4, 0.1],
            ..ShotSpace::default()
        }
    }

    /// Checks that every value lies in its documented range.
    pub fn validate(&self) -> Result<(), SpaceError> {
        for (key, share) in [
            ("shots.hard_share", self.hard_share),
            ("shots.expression", self.expression),
            ("shots.blink_share", self.blink_share),
            ("shots.glasses_share", self.glasses_share),
        ] {
            check_range(key, share, 0.0, 1.0)?;
        }
        self.yaw.validate("shots.yaw", 120.0)?;
        self.pitch.validate("shots.pitch", 60.0)?;
        self.roll.validate("shots.roll", 180.0)?;
        self.light_angle.validate("shots.light_angle", 120.0)?;
        self.stops.validate("shots.stops", 6.0)?;
        self.noise.validate("shots.noise", 0.5)?;
        self.blur.validate("shots.blur", 0.1)?;
        self.motion.validate("shots.motion", 0.5)?;
        check_range("shots.shift", self.shift, 0.0, 0.5)?;
        check_range("shots.zoom", self.zoom, 0.0, 0.5)?;
        for kelvin in self.kelvin {
            check_range("shots.kelvin", kelvin, 1500.0, 15_000.0)?;
        }
        for resolution in self.resolution {
            check_range("shots.resolution", resolution, 0.02, 1.0)?;
        }
        ordered("shots.kelvin", self.kelvin[0], self.kelvin[1])?;
        ordered("shots.resolution (hard must not exceed usual)", self.resolution[1], self.resolution[0])
    }

    /// Draws a shot.
    pub fn sample(&self, rng: &mut Generator) -> Shot {
        let hard = self.hardness(rng);
        let is = |way| hard.contains(&way);
        let pose = self.pose(rng, is(Hardness::Pose));
        let expression = self.expression(rng);
        let (illumination, exposure_stops) = self.illumination(rng, is(Hardness::Light));
        let exposure = self.exposure(rng, exposure_stops, &hard);
        let occlusion = self.occlusion(rng, is(Hardness::Occlusion));
        let crop = CropError {
            shift: [rng.random_range(-1.0..=1.0) * self.shift, rng.random_range(-1.0..=1.0) * self.shift],
            zoom: 1.0 + rng.random_range(-1.0..=1.0) * self.zoom,
        };
        let background = background(rng);
        Shot {
            pose,
            expression,
            illumination,
            exposure,
            spectrum: self.spectrum,
            occlusion,
            background,
            crop,
            hard,
            noise_seed: rng.random(),
        }
    }

    fn hardness(&self, rng: &mut Generator) -> Vec<Hardness> {
        const WAYS: [Hardness; 4] = [Hardness::Pose, Hardness::Light, Hardness::Blur, Hardness::Occlusion];
        let is_hard = rng.random::<f32>() < self.hard_share;
        let (first, second) = (rng.random_range(0..4), rng.random_range(0..4));
        let twice = rng.random::<f32>() < 0.25;
        if !is_hard {
            return Vec::new();
        }
        let mut ways = vec![WAYS[first]];
        if twice && second != first {
            ways.push(WAYS[second]);
        }
        ways.sort_unstable();
        ways
    }

    fn pose(&self, rng: &mut Generator, hard: bool) -> Pose {
        Pose {
            yaw: self.yaw.signed(rng, hard),
            pitch: self.pitch.signed(rng, hard),
            roll: self.roll.signed(rng, hard),
        }
    }

    fn expression(&self, rng: &mut Generator) -> Expression {
        let k = self.expression;
        let smile = (0.25 + 0.45 * normal(rng)).clamp(-0.8, 1.0) * k;
        let open: f32 = rng.random();
        Expression {
            smile,
            mouth_open: ((open - 0.6) * 2.5).clamp(0.0, 1.0) * rng.random::<f32>() * k,
            brow_raise: (0.4 * normal(rng)).clamp(-1.0, 1.0) * k,
            eye_closure: if rng.random::<f32>() < self.blink_share {
                1.0
            } else {
                0.25 * rng.random::<f32>() * k
            },
            gaze: [0.35 * normal(rng) * k, 0.2 * normal(rng) * k].map(|g| g.clamp(-1.0, 1.0)),
        }
    }

    fn illumination(&self, rng: &mut Generator, hard: bool) -> (Illumination, f32) {
        let angle = self.light_angle.magnitude(rng, hard).to_radians();
        // Around the camera's axis: lights stand above more often than below.
        let around = (90.0 + 75.0 * normal(rng).clamp(-1.8, 1.8)).to_radians();
        let direction = [angle.sin() * around.cos(), angle.sin() * around.sin(), angle.cos()];
        let colour = black_body(rng.random_range(self.kelvin[0]..=self.kelvin[1]));
        let key = if hard { 1.1 } else { rng.random_range(0.55..1.0) };
        let fill = if hard { 0.03 } else { rng.random_range(0.05..0.25) };
        let ambient = if hard { 0.08 } else { rng.random_range(0.3..0.55) };
        let fill_direction = [-direction[0], 0.3 * rng.random::<f32>(), 0.7];
        let fill_colour = black_body(rng.random_range(self.kelvin[0]..=self.kelvin[1]));
        let lights = vec![
            Light { direction, colour: scale(colour, key) },
            Light { direction: fill_direction, colour: scale(fill_colour, fill) },
        ];
        let stops = if hard {
            -self.stops.magnitude(rng, true) * rng.random::<f32>()
        } else {
            self.stops.signed(rng, false)
        };
        (Illumination { ambient: scale(colour, ambient), lights }, stops)
    }

    fn exposure(&self, rng: &mut Generator, stops: f32, hard: &[Hardness]) -> Exposure {
        let dark = hard.contains(&Hardness::Light);
        // A blurred shot is blurred in one of three ways.
        let kind = if hard.contains(&Hardness::Blur) { rng.random_range(0..3) } else { 3 };
        let [usual, lowest] = self.resolution;
        Exposure {
            gain: stops.exp2(),
            gamma: 1.0 + 0.08 * normal(rng).clamp(-2.0, 2.0),
            noise: self.noise.magnitude(rng, dark),
            blur: self.blur.magnitude(rng, kind == 0),
            motion: self.motion.magnitude(rng, kind == 1),
            motion_angle: rng.random_range(0.0..180.0),
            resolution: if kind == 2 {
                rng.random_range(lowest..=usual)
            } else {
                rng.random_range(usual..=1.0)
            },
        }
    }

    fn occlusion(&self, rng: &mut Generator, hard: bool) -> Occlusion {
        let wears_glasses = rng.random::<f32>() < self.glasses_share;
        let colour = random_colour(rng);
        let mut occlusion = Occlusion { colour, ..Default::default() };
        let kind = rng.random_range(0..6);
        if wears_glasses {
            occlusion.eyewear = Eyewear::Glasses;
        }
        if !hard {
            return occlusion;
        }
        match kind {
            0 => occlusion.eyewear = Eyewear::Sunglasses,
            1 => occlusion.covering = Covering::Mask,
            2 => occlusion.covering = Covering::Scarf,
            3 => occlusion.hat = true,
            4 => {
                occlusion.obstacle = Some(Obstacle::Rectangle {
                    centre: [rng.random_range(0.2..0.8), rng.random_range(0.25..0.9)],
                    size: [rng.random_range(0.2..0.5), rng.random_range(0.2..0.5)],
                    colour: random_colour(rng),
                });
            }
            _ => {
                let tone = rng.random_range(0.25..1.0);
                occlusion.obstacle = Some(Obstacle::Hand {
                    centre: [rng.random_range(0.25..0.75), rng.random_range(0.65..1.0)],
                    size: rng.random_range(0.22..0.34),
                    angle: rng.random_range(-50.0..50.0),
                    colour: scale([0.75, 0.48, 0.35], tone),
                });
            }
        }
        occlusion
    }
}

fn ordered(key: &'static str, first: f32, second: f32) -> Result<(), SpaceError> {
    if first <= second { Ok(()) } else { Err(SpaceError::Disordered { key, first, second }) }
}

fn random_colour(rng: &mut Generator) -> Rgb {
    let level = rng.random_range(0.15..0.75_f32).powi(2);
    std::array::from_fn(|_| level * rng.random_range(0.65..1.35_f32))
}

fn background(rng: &mut Generator) -> Background {
    const PATTERNS: [Pattern; 5] =
        [Pattern::Plain, Pattern::Gradient, Pattern::Clouds, Pattern::Stripes, Pattern::Blocks];
    Background {
        pattern: PATTERNS[rng.random_range(0..PATTERNS.len())],
        colours: [random_colour(rng), random_colour(rng)],
        frequency: rng.random_range(2.0..9.0),
        seed: rng.random(),
    }
}

#[cfg(test)]
mod tests {
    use ocelli_method::random::stream;

    use super::*;

    fn shots(space: &ShotSpace, n: u64) -> Vec<Shot> {
        (0..n).map(|i| space.sample(&mut stream(5, "test.shots", i))).collect()
    }

    #[test]
    fn presets_are_valid_and_hard_shots_have_their_share() {
        for space in [ShotSpace::default(), ShotSpace::enrolment(), ShotSpace::surveillance()] {
            space.validate().unwrap();
            let hard = shots(&space, 2000).iter().filter(|s| !s.hard.is_empty()).count() as f32 / 2000.0;
            assert!((hard - space.hard_share).abs() < 0.04, "{hard} hard instead of {}", space.hard_share);
        }
    }

    #[test]
    fn ordinary_shots_stay_within_the_usual_reach() {
        let space = ShotSpace::default();
        for shot in shots(&space, 500) {
            let turned = shot.hard.contains(&Hardness::Pose);
            assert!(shot.pose.yaw.abs() <= space.yaw.hard);
            assert_eq!(turned, shot.pose.yaw.abs() > space.yaw.usual, "{:?}", shot.pose);
            assert!(!shot.occlusion.hat || shot.hard.contains(&Hardness::Occlusion));
        }
    }

    #[test]
    fn bad_settings_are_named() {
        let bad = ShotSpace { yaw: Reach::new(50.0, 20.0), ..Default::default() };
        assert!(bad.validate().unwrap_err().to_string().contains("shots.yaw"));
        let bad = ShotSpace { hard_share: f32::NAN, ..Default::default() };
        assert!(bad.validate().unwrap_err().to_string().contains("hard_share"));
        let bad = ShotSpace { kelvin: [9000.0, 3000.0], ..Default::default() };
        assert!(bad.validate().is_err());
        assert!(ShotSpace { resolution: [0.2, 0.5], ..Default::default() }.validate().is_err());
    }
}

//! How a person is seen: everything that changes from picture to picture.

use serde::{Deserialize, Serialize};

use super::error::{SpaceError, check_range};
use crate::render::geometry::Rgb;
use crate::render::light::Light;

/// The head's attitude, in degrees; all zero looks into the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pose {
    /// Turn; positive towards the right of the picture; ±90 is a profile.
    pub yaw: f32,
    /// Nod; positive upwards.
    pub pitch: f32,
    /// Tilt; positive clockwise in the picture.
    pub roll: f32,
}

/// What the face does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expression {
    /// From -1 (the corners of the mouth pulled down) to 1 (a broad smile).
    pub smile: f32,
    /// Opening of the mouth, from 0 to 1.
    pub mouth_open: f32,
    /// From -1 (a frown) to 1 (raised brows).
    pub brow_raise: f32,
    /// From 0 (open eyes) to 1 (closed eyes).
    pub eye_closure: f32,
    /// Where the eyes look relative to the head: right and up, each from -1 to 1.
    pub gaze: [f32; 2],
}

/// The part of the spectrum the camera sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spectrum {
    /// Colours as the eye sees them.
    #[default]
    Visible,
    /// Near infrared: grey, with pale skin and lips, dark irises turned pale, hair of any colour bright.
    NearInfrared,
}

/// Glasses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Eyewear {
    /// None.
    #[default]
    None,
    /// Clear glasses.
    Glasses,
    /// Dark glasses that hide the eyes.
    Sunglasses,
}

/// What covers the lower face.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Covering {
    /// Nothing.
    #[default]
    None,
    /// A surgical mask over nose, mouth and chin.
    Mask,
    /// A scarf over mouth and neck.
    Scarf,
}

/// Something held between camera and face. Positions and sizes are shares of the picture's side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Obstacle {
    /// A plain rectangle.
    Rectangle {
        /// Centre, x and y.
        centre: [f32; 2],
        /// Width and height.
        size: [f32; 2],
        /// Linear colour.
        colour: Rgb,
    },
    /// A hand with its fingers.
    Hand {
        /// Middle of the palm, x and y.
        centre: [f32; 2],
        /// Width of the palm.
        size: f32,
        /// Where the fingers point: 0 up, 90 right, in degrees.
        angle: f32,
        /// Linear colour of its skin.
        colour: Rgb,
    },
}

impl Obstacle {
    fn validate(&self) -> Result<(), SpaceError> {
        let (centre, size, angle, colour) = match *self {
            Obstacle::Rectangle { centre, size, colour } => (centre, size, 0.0, colour),
            Obstacle::Hand { centre, size, angle, colour } => (centre, [size; 2], angle, colour),
        };
        check_range("occlusion.obstacle.angle", angle, -360.0, 360.0)?;
        for i in 0..2 {
            check_range("occlusion.obstacle.centre", centre[i], -10.0, 10.0)?;
            check_range("occlusion.obstacle.size", size[i], 0.0, 10.0)?;
        }
        colour.iter().try_for_each(|&c| check_range("occlusion.obstacle.colour", c, 0.0, 1000.0))
    }
}

/// Everything worn or held in the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Occlusion {
    /// Glasses.
    pub eyewear: Eyewear,
    /// Mask or scarf.
    pub covering: Covering,
    /// A knitted hat down to the forehead.
    pub hat: bool,
    /// Something between camera and face.
    pub obstacle: Option<Obstacle>,
    /// Linear colour of frames, mask, scarf and hat.
    pub colour: Rgb,
}

/// The light on the scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Illumination {
    /// Linear colour of the light from everywhere.
    pub ambient: Rgb,
    /// Distant lights; the first is the strongest.
    pub lights: Vec<Light>,
}

/// What the camera makes of the light.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exposure {
    /// Factor on linear intensity.
    pub gain: f32,
    /// Extra gamma on the encoded picture; above 1 darkens the middle tones.
    pub gamma: f32,
    /// Standard deviation of the noise in the encoded picture, as a share of white.
    pub noise: f32,
    /// Standard deviation of the Gaussian blur, as a share of the picture's side.
    pub blur: f32,
    /// Length of the motion blur, as a share of the picture's side.
    pub motion: f32,
    /// Direction of the motion in degrees from the horizontal.
    pub motion_angle: f32,
    /// Resolution of the sensor as a share of the picture's: 0.25 gives a quarter of the pixels a side, enlarged.
    pub resolution: f32,
}

impl Default for Exposure {
    fn default() -> Self {
        Exposure {
            gain: 1.0,
            gamma: 1.0,
            noise: 0.0,
            blur: 0.0,
            motion: 0.0,
            motion_angle: 0.0,
            resolution: 1.0,
        }
    }
}

/// The pattern behind the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// One colour.
    Plain,
    /// From one colour to another, top to bottom.
    Gradient,
    /// Soft clouds of two colours, as a room out of focus.
    Clouds,
    /// Slanted stripes.
    Stripes,
    /// Rectangles, as shelves or buildings.
    Blocks,
}

/// The background.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// Its pattern.
    pub pattern: Pattern,
    /// Its two linear colours.
    pub colours: [Rgb; 2],
    /// Features a picture.
    pub frequency: f32,
    /// Seed of the pattern.
    pub seed: u32,
}

/// A misplaced crop, relative to the framing asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CropError {
    /// Shift of the face to the right and down, as shares of the picture's side.
    pub shift: [f32; 2],
    /// Factor on the face's size.
    pub zoom: f32,
}

impl Default for CropError {
    fn default() -> Self {
        CropError { shift: [0.0; 2], zoom: 1.0 }
    }
}

/// The ways in which a shot can be hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hardness {
    /// Turned far aside.
    Pose,
    /// Dark, or lit from the side.
    Light,
    /// Out of focus, moving, or of low resolution.
    Blur,
    /// Partly covered.
    Occlusion,
}

/// One picture's circumstances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shot {
    /// The head's attitude.
    pub pose: Pose,
    /// What the face does.
    pub expression: Expression,
    /// The light.
    pub illumination: Illumination,
    /// The camera.
    pub exposure: Exposure,
    /// What it can see of the spectrum.
    pub spectrum: Spectrum,
    /// What is in the way.
    pub occlusion: Occlusion,
    /// What is behind.
    pub background: Background,
    /// How far the crop is off.
    pub crop: CropError,
    /// In which ways the shot was made hard, sorted; empty for an ordinary shot.
    pub hard: Vec<Hardness>,
    /// Seed of the sensor's noise.
    pub noise_seed: u64,
}

impl Shot {
    /// Checks that every number is finite and that the camera's lie in their ranges.
    pub fn validate(&self) -> Result<(), SpaceError> {
        let (p, e, x, i) = (&self.pose, &self.expression, &self.exposure, &self.illumination);
        for (key, value, low, high) in [
            ("pose.yaw", p.yaw, -180.0, 180.0),
            ("pose.pitch", p.pitch, -90.0, 90.0),
            ("pose.roll", p.roll, -180.0, 180.0),
            ("expression.smile", e.smile, -1.0, 1.0),
            ("expression.mouth_open", e.mouth_open, 0.0, 1.0),
            ("expression.brow_raise", e.brow_raise, -1.0, 1.0),
            ("expression.eye_closure", e.eye_closure, 0.0, 1.0),
            ("expression.gaze", e.gaze[0], -1.0, 1.0),
            ("expression.gaze", e.gaze[1], -1.0, 1.0),
            ("exposure.gain", x.gain, 0.0, 1000.0),
            ("exposure.gamma", x.gamma, 0.1, 10.0),
            ("exposure.noise", x.noise, 0.0, 1.0),
            ("exposure.blur", x.blur, 0.0, 0.2),
            ("exposure.motion", x.motion, 0.0, 1.0),
            ("exposure.motion_angle", x.motion_angle, -360.0, 360.0),
            ("exposure.resolution", x.resolution, 0.01, 1.0),
            ("crop.zoom", self.crop.zoom, 0.1, 10.0),
            ("crop.shift", self.crop.shift[0], -2.0, 2.0),
            ("crop.shift", self.crop.shift[1], -2.0, 2.0),
            ("background.frequency", self.background.frequency, 0.0, 1000.0),
        ] {
            check_range(key, value, low, high)?;
        }
        let colours =
            [i.ambient, self.occlusion.colour, self.background.colours[0], self.background.colours[1]];
        for value in colours.into_iter().chain(i.lights.iter().map(|l| l.colour)).flatten() {
            check_range("a colour", value, 0.0, 1000.0)?;
        }
        for value in i.lights.iter().flat_map(|l| l.direction) {
            check_range("illumination.lights.direction", value, -1e6, 1e6)?;
        }
        self.occlusion.obstacle.map_or(Ok(()), |o| o.validate())
    }

    /// A passport photograph: frontal, evenly lit, sharp, before a plain wall.
    pub fn studio() -> Shot {
        Shot {
            pose: Pose::default(),
            expression: Expression::default(),
            illumination: Illumination {
                ambient: [0.45; 3],
                lights: vec![
                    Light { direction: [-0.6, 0.55, 0.8], colour: [0.85; 3] },
                    Light { direction: [0.9, 0.2, 0.6], colour: [0.22; 3] },
                ],
            },
            exposure: Exposure::default(),
            spectrum: Spectrum::Visible,
            occlusion: Occlusion { colour: [0.05; 3], ..Default::default() },
            background: Background {
                pattern: Pattern::Plain,
                colours: [[0.35, 0.4, 0.45]; 2],
                frequency: 1.0,
                seed: 0,
            },
            crop: CropError::default(),
            hard: Vec::new(),
            noise_seed: 0,
        }
    }
}

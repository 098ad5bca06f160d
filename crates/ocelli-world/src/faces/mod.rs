//! Faces: procedural people with identity, pose, expression, lighting, blur and occlusion as parameters.
//!
//! An [`Identity`] says who it is, a [`Shot`] how the person is seen, a [`Canvas`] what is cropped; [`render`] turns
//! the three into a [`Face`]: a picture with its labels. A [`FaceWorld`] draws identities and shots from
//! distributions ([`IdentitySpace`], [`ShotSpace`]), so that a data set is a seed and two ranges of indices.
//!
//! The head is a closed-form surface (`anatomy.rs`): egg-shaped sections with the features as bumps. It is meshed
//! (`head.rs`), rasterised, and painted per pixel in the head's own axes (`paint.rs`, `features.rs`), so texture,
//! labels and geometry agree by construction. No picture is resampled to be aligned: the camera is placed so that
//! the five points fall on the template.

mod anatomy;
mod background;
mod error;
mod features;
mod hair;
mod head;
mod identity;
mod labels;
mod landmarks;
mod looks;
mod overlay;
mod paint;
mod part;
mod shot;
mod shot_space;
mod studio;
mod world;

pub use error::SpaceError;
pub use identity::{Identity, IdentitySpace, Traits};
pub use labels::{Face, Labels, Landmark};
pub use landmarks::LANDMARK_COUNT;
pub use part::Part;
pub use shot::{
    Background, Covering, CropError, Exposure, Expression, Eyewear, Hardness, Illumination, Obstacle,
    Occlusion, Pattern, Pose, Shot, Spectrum,
};
pub use shot_space::{Reach, ShotSpace};
pub use studio::{
    ALIGNED_TEMPLATE, Canvas, Framing, MAX_SIZE, MIN_SIZE, Studio, render, render_lit, render_picture,
};
pub use world::FaceWorld;

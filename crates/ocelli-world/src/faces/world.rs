//! A population under a camera: identities and shots by index.

use image::RgbImage;
use ocelli_method::random::stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::SpaceError;
use super::identity::{Identity, IdentitySpace};
use super::labels::Face;
use super::shot::Shot;
use super::shot_space::ShotSpace;
use super::studio::{Canvas, Studio};

/// A world of faces: picture `(identity, shot)` is a pure function of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaceWorld {
    /// Seed of people and shots.
    pub seed: u64,
    /// How people are distributed.
    pub identities: IdentitySpace,
    /// How shots are distributed.
    pub shots: ShotSpace,
    /// Size and framing of the pictures.
    pub canvas: Canvas,
}

impl FaceWorld {
    /// Checks every setting.
    pub fn validate(&self) -> Result<(), SpaceError> {
        self.identities.validate()?;
        self.shots.validate()?;
        self.canvas.validate()
    }

    /// Person number `identity`.
    pub fn identity(&self, identity: u64) -> Identity {
        Identity::sample(self.seed, identity, &self.identities)
    }

    /// Shot number `shot` of person number `identity`.
    pub fn shot(&self, identity: u64, shot: u64) -> Shot {
        // One named stream a person, one index a shot: neither depends on how many there are of the other.
        let seed = self.seed ^ identity.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29);
        self.shots.sample(&mut stream(seed, "faces.shot", shot))
    }

    /// The picture of a person in a shot, with labels.
    pub fn render(&self, identity: u64, shot: u64) -> Result<Face, SpaceError> {
        self.validate()?;
        self.render_in(&mut Studio::default(), identity, shot)
    }

    /// The picture alone, which is quicker.
    pub fn render_picture(&self, identity: u64, shot: u64) -> Result<RgbImage, SpaceError> {
        self.validate()?;
        self.picture_in(&mut Studio::default(), identity, shot)
    }

    /// Pictures with labels of many `(identity, shot)` pairs, in their order, on all threads.
    pub fn render_all(&self, pairs: &[(u64, u64)]) -> Result<Vec<Face>, SpaceError> {
        self.validate()?;
        pairs.par_iter().map_init(Studio::default, |studio, &(i, j)| self.render_in(studio, i, j)).collect()
    }

    /// Pictures of many `(identity, shot)` pairs, in their order, on all threads.
    pub fn render_pictures(&self, pairs: &[(u64, u64)]) -> Result<Vec<RgbImage>, SpaceError> {
        self.validate()?;
        pairs.par_iter().map_init(Studio::default, |studio, &(i, j)| self.picture_in(studio, i, j)).collect()
    }

    fn render_in(&self, studio: &mut Studio, identity: u64, shot: u64) -> Result<Face, SpaceError> {
        studio.render(&self.identity(identity), &self.shot(identity, shot), &self.canvas)
    }

    fn picture_in(&self, studio: &mut Studio, identity: u64, shot: u64) -> Result<RgbImage, SpaceError> {
        studio.render_picture(&self.identity(identity), &self.shot(identity, shot), &self.canvas)
    }
}

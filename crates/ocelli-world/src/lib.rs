//! Procedural pictures with every label.
//!
//! Methods need labelled pictures to be trained and checked on, and downloads go stale. This crate draws them:
//! [`faces`] renders pictures of people who do not exist, thousands a second, with identity, pose, expression,
//! light, blur and occlusion as parameters, and with landmarks, part masks, depth and normals that are exact because
//! they come from the same geometry as the picture. [`clips`] makes untrimmed videos as sequences of features.
//!
//! Everything is a pure function of a seed and of indices: the same request gives the same bytes on any number of
//! threads.
//!
//! ```
//! use ocelli_world::faces::FaceWorld;
//!
//! let world = FaceWorld { seed: 7, ..FaceWorld::default() };
//! let face = world.render(3, 0)?; // person 3, shot 0
//! assert_eq!(face.picture.dimensions(), (112, 112));
//! assert_eq!(face.labels.landmarks.len(), 68);
//! # Ok::<(), ocelli_world::faces::SpaceError>(())
//! ```

pub mod clips;
pub mod faces;
pub mod longtail;
pub mod lookalikes;
pub mod render;

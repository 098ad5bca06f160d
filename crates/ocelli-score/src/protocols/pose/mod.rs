//! Joints of people, in the picture and in space.

mod pose2d;
mod pose3d;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] = &[&pose2d::PROTOCOL, &pose3d::PROTOCOL];

//! Boxes and masks.

mod coco;
mod evaluation;
mod lvis;
mod outlines;
mod scenes;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] = &[&coco::PROTOCOL, &lvis::PROTOCOL];

//! Boxes and masks.

mod coco;
mod evaluation;
mod imagenet_vid;
mod listed;
mod lvis;
mod open_images;
mod outlines;
mod scenes;
mod voc;
mod wider_face;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] = &[
    &coco::PROTOCOL,
    &lvis::PROTOCOL,
    &voc::PROTOCOL,
    &imagenet_vid::PROTOCOL,
    &open_images::PROTOCOL,
    &wider_face::PROTOCOL,
];

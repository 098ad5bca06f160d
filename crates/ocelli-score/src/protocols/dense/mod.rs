//! Values at every pixel: segmentation, flow, enhancement.

mod ccd;
mod enhance;
mod face_parsing;
mod label_folders;
mod miou;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] =
    &[&miou::PROTOCOL, &face_parsing::PROTOCOL, &ccd::PROTOCOL, &enhance::PROTOCOL];

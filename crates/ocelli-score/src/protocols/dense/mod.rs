//! Values at every pixel, joints and labels: segmentation, flow, enhancement, poses, classification.

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] = &[];

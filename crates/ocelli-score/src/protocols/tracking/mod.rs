//! One object or many, through time; and the motion of pixels.

mod flow;
mod got10k;
mod mot;
mod sequences;
mod sot;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] =
    &[&sot::PROTOCOL, &got10k::PROTOCOL, &mot::PROTOCOL, &flow::PROTOCOL];

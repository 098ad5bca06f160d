//! Who is this? Verification, identification, liveness.

mod lfw;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] = &[&lfw::PROTOCOL];

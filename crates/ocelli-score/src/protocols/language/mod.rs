//! Captions.

mod caption;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] = &[&caption::PROTOCOL];

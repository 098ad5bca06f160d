//! Ranked items: retrieval by codes and by inner products, directions of vectors.

mod ann;
mod direction;
mod hashing;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] = &[&hashing::PROTOCOL, &ann::PROTOCOL, &direction::PROTOCOL];

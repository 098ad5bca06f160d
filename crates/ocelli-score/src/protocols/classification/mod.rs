//! Labels of whole pictures, clips and statements.

mod few_shot;
mod gap;
mod statements;
mod topk;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] =
    &[&topk::PROTOCOL, &gap::PROTOCOL, &statements::PROTOCOL, &few_shot::PROTOCOL];

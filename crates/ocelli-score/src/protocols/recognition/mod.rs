//! Who is this? Verification, identification, liveness.

mod identification;
mod ijb;
mod lfw;
mod liveness;
mod pairs;
mod reid;
mod roc;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] = &[
    &lfw::PROTOCOL,
    &roc::PROTOCOL,
    &ijb::PROTOCOL,
    &identification::PROTOCOL,
    &reid::PROTOCOL,
    &liveness::PROTOCOL,
];

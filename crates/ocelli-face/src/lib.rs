//! Face methods: recognition, generation, detection, parsing, liveness.
//!
//! One folder a method; what several share lies in the folder of their task, such as [`recognition`].

pub mod aenet;
pub mod aurora_guard;
pub mod curricularface;
pub mod dvg_face;
pub mod eagrnet;
pub mod fan;
pub mod m2fpa;
pub mod recognition;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[
    &aenet::METHOD,
    &aurora_guard::METHOD,
    &curricularface::METHOD,
    &dvg_face::METHOD,
    &eagrnet::METHOD,
    &fan::METHOD,
    &m2fpa::METHOD,
];

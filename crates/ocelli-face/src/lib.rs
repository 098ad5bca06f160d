//! Face methods: recognition, generation, detection, parsing, liveness.
//!
//! One folder a method; what several share lies in the folder of their task, such as [`recognition`].

pub mod aenet;
pub mod asfd;
pub mod aurora_guard;
pub mod curricularface;
pub mod ddl;
pub mod dvg_face;
pub mod eagrnet;
pub mod fan;
pub mod hambox;
pub mod ir_softmax;
pub mod m2fpa;
pub mod npcface;
pub mod recognition;
pub mod search_softmax;
pub mod semi_siamese;
mod wider;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[
    &aenet::METHOD,
    &asfd::METHOD,
    &aurora_guard::METHOD,
    &curricularface::METHOD,
    &ddl::METHOD,
    &dvg_face::METHOD,
    &eagrnet::METHOD,
    &fan::METHOD,
    &hambox::METHOD,
    &ir_softmax::METHOD,
    &m2fpa::METHOD,
    &npcface::METHOD,
    &search_softmax::METHOD,
    &semi_siamese::METHOD,
];

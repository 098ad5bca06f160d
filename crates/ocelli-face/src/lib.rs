//! Face methods: recognition, generation, detection, parsing, liveness.
//!
//! One folder a method; what several share lies in the folder of their task, such as [`recognition`].

pub mod curricularface;
pub mod ddl;
pub mod recognition;
pub mod search_softmax;
pub mod semi_siamese;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] =
    &[&curricularface::METHOD, &ddl::METHOD, &search_softmax::METHOD, &semi_siamese::METHOD];

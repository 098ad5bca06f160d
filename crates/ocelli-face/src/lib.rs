//! Face methods: recognition, generation, detection, parsing, liveness.
//!
//! One folder a method; what several share lies in the folder of their task, such as [`recognition`].

pub mod curricularface;
pub mod fan;
pub mod recognition;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&curricularface::METHOD, &fan::METHOD];

//! Face methods: recognition, generation, detection, parsing, liveness.
//!
//! One folder a method; what several share lies in the folder of their task, such as [`recognition`].

pub mod asfd;
pub mod curricularface;
pub mod hambox;
pub mod recognition;
mod wider;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&asfd::METHOD, &curricularface::METHOD, &hambox::METHOD];

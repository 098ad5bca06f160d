//! Methods on people: re-identification and pose.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod bc_net;
pub mod posegu;
pub mod ranet;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&bc_net::METHOD, &posegu::METHOD, &ranet::METHOD];

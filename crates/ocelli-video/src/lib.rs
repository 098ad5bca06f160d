//! Methods on video: actions, moments, optical flow, tracking, detection in video.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod dcgn;
pub mod teinet;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&dcgn::METHOD, &teinet::METHOD];

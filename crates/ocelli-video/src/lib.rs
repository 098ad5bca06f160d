//! Methods on video: actions, moments, optical flow, tracking, detection in video.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod anet2020_tal;
pub mod dbg;
mod moments;
pub mod tel;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&anet2020_tal::METHOD, &dbg::METHOD, &tel::METHOD];

//! Methods on video: actions, moments, optical flow, tracking, detection in video.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod anet2020_tal;
pub mod arflow;
pub mod bsn_plus_plus;
pub mod dbg;
pub mod dcgn;
mod moments;
mod passport;
pub mod ssvd;
pub mod teinet;
pub mod tel;
pub mod temporal;
pub mod utt;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[
    &anet2020_tal::METHOD,
    &arflow::METHOD,
    &bsn_plus_plus::METHOD,
    &dbg::METHOD,
    &dcgn::METHOD,
    &ssvd::METHOD,
    &teinet::METHOD,
    &tel::METHOD,
    &utt::METHOD,
];

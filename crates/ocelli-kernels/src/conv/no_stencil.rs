//! On processors without AVX-512 depthwise convolution has one way only.

use std::convert::Infallible;
use std::mem::MaybeUninit;

use super::plan::Plan;

/// Never made here.
pub(super) struct Stencil(Infallible);

impl Stencil {
    pub(super) fn new(_plan: &Plan) -> Option<Self> {
        None
    }

    pub(super) fn convolve(
        &self,
        _source: &[f32],
        _kernel: &[f32],
        _bias: f32,
        _target: &mut [MaybeUninit<f32>],
    ) {
        match self.0 {}
    }

    pub(super) fn add_gradient(&self, _source: &[f32], _gradient: &[f32], _sums: &mut [f32]) {
        match self.0 {}
    }
}

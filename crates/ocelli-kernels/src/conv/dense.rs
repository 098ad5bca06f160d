//! Convolution with filters over many channels: three products of matrices that are never written down.

use super::correlate::{Operands, correlate};
use super::geometry::Geometry;
use super::plan::Plan;
use crate::memory::filled;

/// Output `[B, O, ...]` of `x` `[B, C, ...]` and `weight` `[O, C / groups, ...]`.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let operands = Operands { source: x, filters: weight, bias };
    // SAFETY: the forward plan's targets are all output positions.
    unsafe { filled(geometry.out_len(), |output| correlate(&Plan::forward(geometry), operands, output)) }
}

/// Gradient `[B, C, ...]` of the input, from the output's `[B, O, ...]`; or a transposed convolution, to which a bias
/// `[C]` may be added.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) fn input_gradient(
    geometry: &Geometry,
    output_gradient: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    // SAFETY: the targets of the plans together are all input pixels.
    unsafe {
        filled(geometry.in_len(), |output| {
            for plan in Plan::input_gradient(geometry) {
                let filters = transposed_filters(geometry, &plan, weight);
                correlate(&plan, Operands { source: output_gradient, filters: &filters, bias }, output);
            }
        })
    }
}

/// `weight` `[O, C / groups, ...]` as `[C, O / groups, taps]`, the taps being those of `plan`.
pub(super) fn transposed_filters(geometry: &Geometry, plan: &Plan, weight: &[f32]) -> Vec<f32> {
    let (group_in, group_out, area) = (geometry.group_in(), geometry.group_out(), geometry.kernel_area());
    let taps = plan.kernel_indices(geometry.kernel);
    let mut transposed = Vec::with_capacity(geometry.in_channels * plan.depth());
    for group in 0..geometry.options.groups {
        for channel in 0..group_in {
            for filter in group * group_out..(group + 1) * group_out {
                let kernel = &weight[(filter * group_in + channel) * area..][..area];
                transposed.extend(taps.iter().map(|&tap| kernel[tap]));
            }
        }
    }
    transposed
}

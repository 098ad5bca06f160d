//! Convolution with filters over many channels: three products of matrices that are never written down.

use super::correlate::{Operands, correlate};
use super::direct;
use super::geometry::Geometry;
use super::pack::Packed;
use super::plan::Plan;
use crate::jobs;
use crate::memory::{SharedOutput, filled};
use ocelli_simd::lanes::transpose;

/// Output `[B, O, ...]` of `x` `[B, C, ...]` and `weight` `[O, C / groups, ...]`.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let plan = Plan::forward(geometry);
    let work = |output: SharedOutput<'_>| {
        if direct::pays(&plan, false) {
            let filters = &Packed::forward(geometry, weight);
            direct::correlate(&plan, direct::Operands { source: x, filters, bias }, output);
        } else {
            correlate(&plan, Operands { source: x, filters: weight, bias }, output);
        }
    };
    // SAFETY: the forward plan's targets are all output positions.
    unsafe { filled(geometry.out_len(), work) }
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
    let work = |output: SharedOutput<'_>| {
        for plan in Plan::input_gradient(geometry) {
            if direct::pays(&plan, true) {
                let filters = &Packed::input_gradient(geometry, &plan, weight);
                direct::correlate(&plan, direct::Operands { source: output_gradient, filters, bias }, output);
            } else {
                let filters = transposed_filters(geometry, &plan, weight);
                correlate(&plan, Operands { source: output_gradient, filters: &filters, bias }, output);
            }
        }
    };
    // SAFETY: the targets of the plans together are all input pixels.
    unsafe { filled(geometry.in_len(), work) }
}

/// Channels turned at a time.
const CHANNELS: usize = 16;

/// `weight` `[O, C / groups, ...]` as `[C, O / groups, taps]`, the taps being those of `plan`.
pub(super) fn transposed_filters(geometry: &Geometry, plan: &Plan, weight: &[f32]) -> Vec<f32> {
    let (group_in, group_out, area) = (geometry.group_in(), geometry.group_out(), geometry.kernel_area());
    let taps = plan.kernel_indices(geometry.kernel);
    let depth = plan.depth();
    let mut transposed = vec![0.0; geometry.in_channels * depth];
    if depth == 0 {
        return transposed;
    }
    let groups = transposed.chunks_exact_mut(group_in * depth).enumerate();
    let chunks = groups.flat_map(|(group, channels)| {
        let chunks = channels.chunks_mut(CHANNELS * depth).enumerate();
        chunks.map(move |(index, target)| (group, index * CHANNELS, target))
    });
    jobs::each(chunks, |(group, first, target)| {
        let count = target.len() / depth;
        let kernels = &weight[(group * group_out * group_in + first) * area..];
        if area == 1 {
            transpose(kernels, group_in, [group_out, count], target, group_out);
            return;
        }
        for (channel, target) in target.chunks_exact_mut(depth).enumerate() {
            for (filter, target) in target.chunks_exact_mut(taps.len()).enumerate() {
                let kernel = &kernels[(filter * group_in + channel) * area..][..area];
                target.iter_mut().zip(&taps).for_each(|(value, &tap)| *value = kernel[tap]);
            }
        }
    });
    transposed
}

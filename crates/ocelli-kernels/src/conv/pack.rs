//! Filters in the order in which register tiles read them: for every step of the inner dimension the numbers of up to 48
//! target channels side by side.

use std::ops::Range;

use super::geometry::Geometry;
use super::plan::Plan;
use crate::jobs;
use crate::memory::filled;
use crate::tile::{UNIT, WIDTH};
use ocelli_simd::lanes::transpose;

/// Steps of the inner dimension that a job packs.
const PIECE: usize = 256;

/// Cuts a group's target channels into blocks of up to [`WIDTH`].
pub(crate) fn blocks(channels: usize) -> impl ExactSizeIterator<Item = Range<usize>> + Clone {
    (0..channels.div_ceil(WIDTH)).map(move |block| block * WIDTH..((block + 1) * WIDTH).min(channels))
}

/// Packed filters: `[groups, blocks, depth, lanes]`, lanes being a block's channels filled up to whole vectors.
pub(crate) struct Packed {
    values: Vec<f32>,
    depth: usize,
    /// Lanes of one group.
    lanes: usize,
}

impl Packed {
    /// The filters `weight` `[O, C / groups, ...]` of a forward plan.
    pub(crate) fn forward(geometry: &Geometry, weight: &[f32]) -> Self {
        let depth = geometry.depth();
        Self::new(geometry.options.groups, geometry.group_out(), depth, |group, block, steps, target| {
            let first = (group * geometry.group_out() + block.start) * depth + steps.start;
            let lanes = block.len().next_multiple_of(UNIT);
            transpose(&weight[first..], depth, [block.len(), steps.len()], target, lanes);
        })
    }

    /// The filters `weight` `[O, C / groups, ...]` of a plan of the input's gradient.
    pub(crate) fn input_gradient(geometry: &Geometry, plan: &Plan, weight: &[f32]) -> Self {
        let (group_in, group_out, area) = (geometry.group_in(), geometry.group_out(), geometry.kernel_area());
        let taps = plan.kernel_indices(geometry.kernel);
        Self::new(geometry.options.groups, group_in, plan.depth(), |group, block, steps, target| {
            let lanes = block.len().next_multiple_of(UNIT);
            for (step, target) in steps.zip(target.chunks_exact_mut(lanes)) {
                let filter = group * group_out + step / taps.len();
                let kernels = &weight[(filter * group_in + block.start) * area..][..block.len() * area];
                let tap = taps[step % taps.len()];
                if area == 1 {
                    target[..block.len()].copy_from_slice(kernels);
                } else {
                    let kernels = kernels.chunks_exact(area);
                    target.iter_mut().zip(kernels).for_each(|(value, kernel)| *value = kernel[tap]);
                }
            }
        })
    }

    /// `fill` writes the lanes of steps of a block of a group's channels.
    #[allow(unsafe_code)] // the memory is not zeroed first
    fn new(
        groups: usize,
        channels: usize,
        depth: usize,
        fill: impl Fn(usize, Range<usize>, Range<usize>, &mut [f32]) + Sync,
    ) -> Self {
        let lanes = channels.next_multiple_of(UNIT);
        let pieces = depth.div_ceil(PIECE);
        let count = blocks(channels).len();
        let job = |output: crate::memory::SharedOutput<'_>, index: usize| {
            let (rest, piece) = (index / pieces, index % pieces);
            let (group, block) = (rest / count, rest % count);
            let steps = piece * PIECE..((piece + 1) * PIECE).min(depth);
            let channels = block * WIDTH..((block + 1) * WIDTH).min(channels);
            let width = channels.len().next_multiple_of(UNIT);
            let first = (group * lanes + block * WIDTH) * depth + steps.start * width;
            // SAFETY: every piece of every block is visited once.
            let part = unsafe { output.strided(first, steps.len() * width, 1) }.memory();
            part.fill(std::mem::MaybeUninit::new(0.0));
            // SAFETY: all numbers have just been written.
            fill(group, channels, steps, unsafe { part.assume_init_mut() });
        };
        // SAFETY: the pieces are all of the memory, and `job` writes them.
        let values = unsafe {
            filled(groups * lanes * depth, |output| {
                jobs::run(groups * count * pieces, |index| job(output, index));
            })
        };
        Self { values, depth, lanes }
    }

    /// The filters of a block of a group, from a step of the inner dimension on.
    pub(crate) fn block(&self, group: usize, block: &Range<usize>, step: usize) -> &[f32] {
        let width = block.len().next_multiple_of(UNIT);
        let first = (group * self.lanes + block.start) * self.depth;
        &self.values[first + step * width..first + self.depth * width]
    }
}

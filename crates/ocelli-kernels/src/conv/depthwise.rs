//! Depthwise convolution: every filter sees one channel, so a product of matrices would have nothing to reuse.
//!
//! A channel's slab (see [`super::plan`]) is convolved as one long line, for all of its pixels at once and several taps
//! at a time. What comes out between the rows is not used.

use rayon::prelude::*;

use super::dense::transposed_filters;
use super::geometry::Geometry;
use super::plan::Plan;
use super::slab::{SlabShape, Tile};
use crate::memory::{SharedOutput, filled, with_scratch};
use ocelli_simd::lanes::{add_scaled, dot};

/// Output `[B, O, H', W']` of `x` `[B, C, H, W]` and `weight` `[O, 1, kh, kw]`.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let line = Line::new(Plan::forward(geometry));
    let plane = |image: usize, filter: usize, output: SharedOutput<'_>| {
        line.with_buffers(|slab, sums| {
            line.fill(x, image, filter / geometry.group_out(), slab);
            sums.fill(bias.map_or(0.0, |bias| bias[filter]));
            add_scaled(sums, slab, &line.taps, &weight[filter * line.taps.len()..][..line.taps.len()]);
            line.store(sums, image * geometry.out_channels + filter, output);
        });
    };
    // SAFETY: the forward plan's targets are all output positions, and every plane is visited once.
    unsafe {
        filled(geometry.out_shape().iter().product(), |output| {
            (0..geometry.batch * geometry.out_channels).into_par_iter().for_each(|index| {
                plane(index / geometry.out_channels, index % geometry.out_channels, output);
            });
        })
    }
}

/// Gradient `[B, C, H, W]` of the input, from the output's `[B, O, H', W']`.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) fn input_gradient(geometry: &Geometry, weight: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let filters = geometry.group_out();
    let plane = |line: &Line, kernels: &[f32], image: usize, channel: usize, output: SharedOutput<'_>| {
        line.with_buffers(|slab, sums| {
            sums.fill(0.0);
            for filter in channel * filters..(channel + 1) * filters {
                line.fill(output_gradient, image, filter, slab);
                add_scaled(sums, slab, &line.taps, &kernels[filter * line.taps.len()..][..line.taps.len()]);
            }
            line.store(sums, image * geometry.in_channels + channel, output);
        });
    };
    // SAFETY: the targets of the plans together are all input pixels, and every plane is visited once.
    unsafe {
        filled(geometry.in_shape().iter().product(), |output| {
            for plan in Plan::input_gradient(geometry) {
                let kernels = transposed_filters(geometry, &plan, weight);
                let line = Line::new(plan);
                (0..geometry.batch * geometry.in_channels).into_par_iter().for_each(|index| {
                    plane(
                        &line,
                        &kernels,
                        index / geometry.in_channels,
                        index % geometry.in_channels,
                        output,
                    );
                });
            }
        })
    }
}

/// Gradient `[O, 1, kh, kw]` of the filters, from `x` `[B, C, H, W]` and the output's `[B, O, H', W']`.
pub(crate) fn weight_gradient(geometry: &Geometry, x: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let line = Line::new(Plan::forward(geometry));
    let plane = geometry.out_plane();
    let mut gradient = vec![0.0; geometry.out_channels * geometry.kernel_area()];
    gradient.par_chunks_exact_mut(geometry.kernel_area()).enumerate().for_each(|(filter, sums)| {
        line.with_buffers(|slab, gradients| {
            // Zero between the rows, so that whole lines can be multiplied.
            gradients.fill(0.0);
            for image in 0..geometry.batch {
                line.fill(x, image, filter / geometry.group_out(), slab);
                let rows = &output_gradient[(image * geometry.out_channels + filter) * plane..][..plane];
                for (line, row) in
                    gradients.chunks_mut(line.shape.pitch).zip(rows.chunks_exact(geometry.out_size[1]))
                {
                    line[..row.len()].copy_from_slice(row);
                }
                for (sum, &tap) in sums.iter_mut().zip(&line.taps) {
                    *sum += dot(gradients, &slab[tap..tap + gradients.len()]);
                }
            }
        });
    });
    gradient
}

/// A plan for one channel, its rows laid end to end.
struct Line {
    plan: Plan,
    shape: SlabShape,
    /// Where each tap reads.
    taps: Vec<usize>,
    /// From the first result to the last, in slab pixels.
    len: usize,
}

impl Line {
    fn new(plan: Plan) -> Self {
        let [rows, cols] = plan.axes.each_ref().map(|axis| axis.count);
        let shape = SlabShape::new(&plan, 1, rows);
        let taps = shape.offsets(&plan, 1).values().iter().map(|&tap| tap as usize).collect();
        let len = (rows - 1) * shape.pitch + cols;
        Self { plan, shape, taps, len }
    }

    /// Lends a slab, its padding zero, and a line of results or gradients.
    fn with_buffers(&self, work: impl FnOnce(&mut [f32], &mut [f32])) {
        let slab_len = self.shape.len(1);
        with_scratch(slab_len + self.len, |scratch| {
            let (slab, line) = scratch.split_at_mut(slab_len);
            slab.fill(0.0);
            work(slab, line);
        });
    }

    /// Copies channel `channel` (absolute) of a picture of `source` to the slab.
    fn fill(&self, source: &[f32], image: usize, channel: usize, slab: &mut [f32]) {
        let tile = Tile { images: image..image + 1, rows: 0..self.plan.axes[0].count };
        self.shape.fill(&self.plan, source, &tile, channel..channel + 1, slab);
    }

    /// Moves the results to plane `plane` of the output.
    #[allow(unsafe_code)] // plans with several residues interleave
    fn store(&self, sums: &[f32], plane: usize, output: SharedOutput<'_>) {
        let [vertical, horizontal] = &self.plan.axes;
        for (row, sums) in sums.chunks(self.shape.pitch).enumerate() {
            let row = vertical.target_start + row * vertical.target_step;
            let first =
                plane * self.plan.target_plane() + row * self.plan.target_size[1] + horizontal.target_start;
            // SAFETY: every plane is stored by one job, and plans that share an output have targets of different
            // residues.
            let part = unsafe { output.strided(first, horizontal.count, horizontal.target_step) };
            part.write(&sums[..horizontal.count], 0.0);
        }
    }
}

//! Depthwise convolution: every filter sees one channel, so a product of matrices would have nothing to reuse.
//!
//! A channel's slab (see [`super::plan`]) is convolved as one long line, for all of its pixels at once and several taps
//! at a time. What comes out between the rows is not used.

use super::dense::transposed_filters;
use super::geometry::{AXES, Geometry};
use super::plan::Plan;
use super::slab::{Filling, SlabShape, Tile};
use super::stencil::Stencil;
use crate::jobs;
use crate::memory::{SharedOutput, filled, with_scratch};
use ocelli_simd::lanes::{add_scaled, dot};

/// Output `[B, O, ...]` of `x` `[B, C, ...]` and `weight` `[O, 1, ...]`.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let line = Line::new(Plan::forward(geometry));
    let area = geometry.kernel_area();
    let plane = |image: usize, filter: usize, output: SharedOutput<'_>| {
        let bias = bias.map_or(0.0, |bias| bias[filter]);
        let kernel = &weight[filter * area..][..area];
        if line.convolve([x, kernel], [image, filter / geometry.group_out(), filter], bias, output) {
            return;
        }
        line.with_buffers(|slab, sums| {
            line.fill(x, image, filter / geometry.group_out(), slab);
            sums.fill(bias);
            add_scaled(sums, slab, &line.taps, kernel);
            line.store(sums, image * geometry.out_channels + filter, output);
        });
    };
    // SAFETY: the forward plan's targets are all output positions, and every plane is visited once.
    unsafe {
        filled(geometry.out_len(), |output| {
            jobs::run(geometry.batch * geometry.out_channels, |index| {
                plane(index / geometry.out_channels, index % geometry.out_channels, output);
            });
        })
    }
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
    let filters = geometry.group_out();
    let plane = |line: &Line, kernels: &[f32], image: usize, channel: usize, output: SharedOutput<'_>| {
        let bias = bias.map_or(0.0, |bias| bias[channel]);
        let taps = line.taps.len();
        let kernel = &kernels[channel * filters * taps..][..taps];
        if filters == 1 && line.convolve([output_gradient, kernel], [image, channel, channel], bias, output) {
            return;
        }
        line.with_buffers(|slab, sums| {
            sums.fill(bias);
            for filter in channel * filters..(channel + 1) * filters {
                line.fill(output_gradient, image, filter, slab);
                add_scaled(sums, slab, &line.taps, &kernels[filter * line.taps.len()..][..line.taps.len()]);
            }
            line.store(sums, image * geometry.in_channels + channel, output);
        });
    };
    // SAFETY: the targets of the plans together are all input pixels, and every plane is visited once.
    unsafe {
        filled(geometry.in_len(), |output| {
            for plan in Plan::input_gradient(geometry) {
                let kernels = transposed_filters(geometry, &plan, weight);
                let line = Line::new(plan);
                jobs::run(geometry.batch * geometry.in_channels, |index| {
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

/// Gradient `[O, 1, ...]` of the filters, from `x` `[B, C, ...]` and the output's `[B, O, ...]`.
pub(crate) fn weight_gradient(geometry: &Geometry, x: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let line = Line::new(Plan::forward(geometry));
    let plane = geometry.out_plane();
    let mut gradient = vec![0.0; geometry.out_channels * geometry.kernel_area()];
    jobs::each(gradient.chunks_exact_mut(geometry.kernel_area()).enumerate(), |(filter, sums)| {
        if let Some(stencil) = &line.stencil {
            let (pixels, channel) = (geometry.in_plane(), filter / geometry.group_out());
            for image in 0..geometry.batch {
                let x = &x[(image * geometry.in_channels + channel) * pixels..][..pixels];
                let gradient = &output_gradient[(image * geometry.out_channels + filter) * plane..][..plane];
                stencil.add_gradient(x, gradient, sums);
            }
            return;
        }
        line.with_buffers(|slab, gradients| {
            // Zero between the rows, so that whole lines can be multiplied.
            gradients.fill(0.0);
            for image in 0..geometry.batch {
                line.fill(x, image, filter / geometry.group_out(), slab);
                let rows = &output_gradient[(image * geometry.out_channels + filter) * plane..][..plane];
                let width = line.size[2];
                for ((_, first), row) in line.rows().zip(rows.chunks_exact(width)) {
                    gradients[first..first + width].copy_from_slice(row);
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
    /// Results along every axis.
    size: [usize; AXES],
    /// The faster way, where it serves.
    stencil: Option<Stencil>,
    shape: SlabShape,
    filling: Filling,
    /// Where each tap reads.
    taps: Vec<usize>,
    /// From the first result to the last, in slab pixels.
    len: usize,
}

impl Line {
    fn new(plan: Plan) -> Self {
        let tile = Tile::image(&plan, 0);
        let size = tile.size();
        let shape = SlabShape::new(&plan, 1, size);
        let filling = shape.filling(&plan, &tile);
        let taps = shape.offsets(&plan, 1).values().iter().map(|&tap| tap as usize).collect();
        let len = if plan.count() == 0 { 0 } else { shape.position(0, size.map(|len| len - 1)) + 1 };
        Self { stencil: Stencil::new(&plan), plan, size, shape, filling, taps, len }
    }

    /// Convolves a channel of a picture straight from `source`, if that way serves; `operands` are `source` and the kernel,
    /// `[image, channel, filter]` say which planes of source and output are meant.
    #[allow(unsafe_code)] // the output is not zeroed first
    fn convolve(
        &self,
        [source, kernel]: [&[f32]; 2],
        [image, channel, filter]: [usize; 3],
        bias: f32,
        output: SharedOutput<'_>,
    ) -> bool {
        let Some(stencil) = &self.stencil else { return false };
        let (pixels, results) = (self.plan.source_plane(), self.plan.target_plane());
        let channels = self.plan.groups;
        let source = &source[(image * channels + channel) * pixels..][..pixels];
        let filters = channels * self.plan.target_channels;
        // SAFETY: every plane is made by one job.
        let target = unsafe { output.strided((image * filters + filter) * results, results, 1) };
        stencil.convolve(source, kernel, bias, target.memory());
        true
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
        let part = (image..image + 1, channel..channel + 1);
        self.shape.fill(&self.plan, &self.filling, source, part, slab);
    }

    /// Every row of results: its position, and where it begins in the line.
    fn rows(&self) -> impl Iterator<Item = ([usize; AXES], usize)> {
        let [planes, rows, _] = self.size;
        (0..planes * rows).map(move |row| {
            let position = [row / rows, row % rows, 0];
            (position, self.shape.position(0, position))
        })
    }

    /// Moves the results to plane `plane` of the output.
    #[allow(unsafe_code)] // plans with several residues interleave
    fn store(&self, sums: &[f32], plane: usize, output: SharedOutput<'_>) {
        let horizontal = &self.plan.axes[2];
        for (position, first) in self.rows() {
            let target = plane * self.plan.target_plane() + self.plan.target(position);
            // SAFETY: every plane is stored by one job, and plans that share an output have targets of different
            // residues.
            let part = unsafe { output.strided(target, horizontal.count, horizontal.target_step) };
            part.write(&sums[first..first + horizontal.count], 0.0);
        }
    }
}

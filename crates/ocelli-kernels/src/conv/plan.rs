//! A correlation reduced to unit strides: what each kernel tap reads, for the forward pass and for every residue of the
//! input gradient.
//!
//! A tap of a strided convolution reads every `stride`-th pixel. Pixels are therefore first copied to a *slab*: padding
//! becomes zeros, and each residue of the pixel index modulo the stride becomes a *phase*, a plane of its own, so
//! that afterwards every tap of every output row reads neighbours. The input gradient is the same walk the other way: the
//! input pixels of one residue are a unit-stride correlation of the output gradient with the taps that reach them.

use super::geometry::{AXES, Geometry};

/// One spatial axis of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Results along the axis.
    pub(crate) count: usize,
    /// Where the first result belongs in the target, and how far apart the results are.
    pub(crate) target_start: usize,
    pub(crate) target_step: usize,
    /// Pixels of the source along the axis.
    pub(crate) source_len: usize,
    /// Source pixels between neighbours in the slab.
    pub(crate) source_step: usize,
    /// Source pixel of the first slab pixel of every phase; padding is outside `0..source_len`.
    pub(crate) origins: Vec<isize>,
    pub(crate) taps: Vec<Tap>,
}

/// Where a kernel tap reads for the first result of an axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// Index of the tap in the kernel.
    pub(crate) kernel_index: usize,
    pub(crate) phase: usize,
    pub(crate) shift: usize,
}

impl Axis {
    fn forward(geometry: &Geometry, axis: usize) -> Self {
        let options = geometry.options;
        let (stride, dilation) = (options.stride[axis], options.dilation[axis]);
        let mut residues = Vec::new();
        let mut taps = Vec::new();
        for kernel_index in 0..geometry.kernel[axis] {
            let (shift, residue) = (kernel_index * dilation / stride, kernel_index * dilation % stride);
            let phase = residues.iter().position(|&known| known == residue).unwrap_or_else(|| {
                residues.push(residue);
                residues.len() - 1
            });
            taps.push(Tap { kernel_index, phase, shift });
        }
        Self {
            count: geometry.out_size[axis],
            target_start: 0,
            target_step: 1,
            source_len: geometry.in_size[axis],
            source_step: stride,
            origins: residues.iter().map(|&r| r as isize - options.padding[axis] as isize).collect(),
            taps,
        }
    }

    /// The input pixels `i` with `(i + padding) % stride == residue`. Tap `k` carries the gradient of output
    /// `(i + padding - k dilation) / stride` to them, if that is whole.
    fn input_gradient(geometry: &Geometry, axis: usize, residue: usize) -> Self {
        let options = geometry.options;
        let (stride, dilation) = (options.stride[axis], options.dilation[axis]);
        let (padding, len) = (options.padding[axis], geometry.in_size[axis]);
        let first = (residue + stride - padding % stride) % stride;
        let reaching: Vec<(usize, usize)> = (0..geometry.kernel[axis])
            .filter(|k| k * dilation % stride == residue)
            .map(|k| (k, k * dilation / stride))
            .collect();
        let farthest = reaching.iter().map(|&(_, steps)| steps).max().unwrap_or(0);
        Self {
            count: len.saturating_sub(first).div_ceil(stride),
            target_start: first,
            target_step: stride,
            source_len: geometry.out_size[axis],
            source_step: 1,
            origins: vec![((first + padding - residue) / stride) as isize - farthest as isize],
            taps: reaching
                .into_iter()
                .map(|(kernel_index, steps)| Tap { kernel_index, phase: 0, shift: farthest - steps })
                .collect(),
        }
    }

    /// Whether results read the source itself, pixel by pixel, without border or gaps, and fill the target.
    fn is_pointwise(&self) -> bool {
        self.source_step == 1
            && self.target_step == 1
            && self.origins == [0]
            && self.count == self.source_len
            && matches!(self.taps[..], [Tap { shift: 0, .. }])
    }

    /// Two pointwise axes as one, `inner` running faster; `None` if they cannot be.
    fn fold(&self, inner: &Self) -> Option<Self> {
        (self.is_pointwise() && inner.is_pointwise()).then(|| {
            let len = self.count * inner.count;
            Self { count: len, source_len: len, ..inner.clone() }
        })
    }

    /// The axis of one pixel that a folded axis leaves behind, with the tap that it had.
    fn folded(&self) -> Self {
        Self { count: 1, source_len: 1, ..self.clone() }
    }

    /// Slab pixels needed for `count` results.
    pub(crate) fn slab_len(&self, count: usize) -> usize {
        count + self.taps.iter().map(|tap| tap.shift).max().unwrap_or(0)
    }
}

/// A grouped unit-stride correlation from a source `[B, groups * source_channels, ..]` to a target
/// `[B, groups * target_channels, ..]`.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) batch: usize,
    pub(crate) groups: usize,
    /// Channels of one group.
    pub(crate) source_channels: usize,
    /// Channels of one group.
    pub(crate) target_channels: usize,
    pub(crate) target_size: [usize; AXES],
    /// Depth, height, width.
    pub(crate) axes: [Axis; AXES],
}

impl Plan {
    pub(crate) fn forward(geometry: &Geometry) -> Self {
        let mut plan = Self {
            batch: geometry.batch,
            groups: geometry.options.groups,
            source_channels: geometry.group_in(),
            target_channels: geometry.group_out(),
            target_size: geometry.out_size,
            axes: std::array::from_fn(|axis| Axis::forward(geometry, axis)),
        };
        plan.fold();
        plan
    }

    /// The plans whose targets together are all input pixels.
    pub(crate) fn input_gradient(geometry: &Geometry) -> Vec<Self> {
        let [planes, rows, cols] = std::array::from_fn(|axis| {
            let residues = 0..geometry.options.stride[axis];
            let axes = residues.map(|residue| Axis::input_gradient(geometry, axis, residue));
            axes.filter(|axis| axis.count > 0).collect::<Vec<_>>()
        });
        let mut plans = Vec::with_capacity(planes.len() * rows.len() * cols.len());
        for plane in &planes {
            for row in &rows {
                for col in &cols {
                    let mut plan = Self {
                        batch: geometry.batch,
                        groups: geometry.options.groups,
                        source_channels: geometry.group_out(),
                        target_channels: geometry.group_in(),
                        target_size: geometry.in_size,
                        axes: [plane, row, col].map(Clone::clone),
                    };
                    plan.fold();
                    plans.push(plan);
                }
            }
        }
        plans
    }

    /// Makes one long axis of neighbouring axes along which nothing happens.
    fn fold(&mut self) {
        for (outer, inner) in [(1, 2), (0, 1), (1, 2)] {
            if let Some(folded) = self.axes[outer].fold(&self.axes[inner]) {
                self.target_size[inner] = folded.count;
                self.target_size[outer] = 1;
                self.axes[outer] = self.axes[outer].folded();
                self.axes[inner] = folded;
            }
        }
    }

    /// Index in the kernel `[kd, kh, kw]` of every tap, in the order of the inner dimension.
    pub(crate) fn kernel_indices(&self, kernel: [usize; AXES]) -> Vec<usize> {
        let [planes, rows, cols] = self.axes.each_ref().map(|axis| &axis.taps);
        let mut indices = Vec::with_capacity(self.taps());
        for plane in planes {
            for row in rows {
                let line = (plane.kernel_index * kernel[1] + row.kernel_index) * kernel[2];
                indices.extend(cols.iter().map(|col| line + col.kernel_index));
            }
        }
        indices
    }

    pub(crate) fn taps(&self) -> usize {
        self.axes.iter().map(|axis| axis.taps.len()).product()
    }

    /// Products summed in one result: the inner dimension.
    pub(crate) fn depth(&self) -> usize {
        self.source_channels * self.taps()
    }

    pub(crate) fn source_plane(&self) -> usize {
        self.axes.iter().map(|axis| axis.source_len).product()
    }

    pub(crate) fn target_plane(&self) -> usize {
        self.target_size.iter().product()
    }

    /// Results of one channel of one picture.
    pub(crate) fn count(&self) -> usize {
        self.axes.iter().map(|axis| axis.count).product()
    }

    /// The number of a result among all of a plane.
    pub(crate) fn position(&self, result: [usize; AXES]) -> usize {
        result.iter().zip(&self.axes).fold(0, |at, (result, axis)| at * axis.count + result)
    }

    /// The number of a result in a target plane.
    pub(crate) fn target(&self, result: [usize; AXES]) -> usize {
        let mut at = 0;
        for (axis, size) in self.target_size.into_iter().enumerate() {
            let Axis { target_start, target_step, .. } = self.axes[axis];
            at = at * size + target_start + result[axis] * target_step;
        }
        at
    }

    /// Numbers of the source that one picture contributes.
    pub(crate) fn source_image(&self) -> usize {
        self.groups * self.source_channels * self.source_plane()
    }

    /// Whether taps read the source itself, without border or gaps.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.axes.iter().all(Axis::is_pointwise)
    }
}

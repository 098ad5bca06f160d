//! The shape of a convolution, checked once and shared by every kernel.

use super::options::{ConvError, ConvOptions, TransposeOptions};

/// Spatial axes of every kernel: depth, height, width. Pictures have a depth of one, sequences a height of one too.
pub(crate) const AXES: usize = 3;

/// All extents of one convolution.
#[derive(Clone, Debug)]
pub(crate) struct Geometry<const N: usize = AXES> {
    pub(crate) batch: usize,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) in_size: [usize; N],
    pub(crate) out_size: [usize; N],
    pub(crate) kernel: [usize; N],
    pub(crate) options: ConvOptions<N>,
}

impl Geometry {
    /// Checks that an input `[B, C, ...]` and a weight `[O, C / groups, ...]` with one to three spatial axes fit
    /// together.
    pub(crate) fn new(x: &[usize], weight: &[usize], options: ConvOptions<AXES>) -> Result<Self, ConvError> {
        let mut geometry = Self::unsized_output(x, weight, options)?;
        if geometry.in_channels != x[1] {
            let (expected, groups) = (geometry.in_channels, options.groups);
            return Err(ConvError::InputChannels { got: x[1], expected, groups });
        }
        geometry.in_size = raised(&x[2..], 1);
        for axis in 0..AXES {
            let padded = geometry.in_size[axis] + 2 * options.padding[axis];
            let reach = geometry.reach(axis);
            if reach > padded {
                return Err(ConvError::KernelTooLarge { axis: axis_name(axis, x), reach, padded });
            }
            geometry.out_size[axis] = (padded - reach) / options.stride[axis] + 1;
        }
        Ok(geometry)
    }

    /// The convolution whose input gradient is the transposed convolution of `x` `[B, C, ...]` by a weight
    /// `[C, O / groups, ...]`: `x` takes the place of the output's gradient.
    pub(crate) fn transposed(
        x: &[usize],
        weight: &[usize],
        options: TransposeOptions<AXES>,
    ) -> Result<Self, ConvError> {
        let TransposeOptions { stride, padding, output_padding, dilation, groups } = options;
        let mut geometry =
            Self::unsized_output(x, weight, ConvOptions { stride, padding, dilation, groups })?;
        if geometry.out_channels != x[1] {
            let expected = geometry.out_channels;
            return Err(ConvError::InputChannels { got: x[1], expected, groups });
        }
        geometry.out_size = raised(&x[2..], 1);
        for axis in 0..AXES {
            let len = geometry.out_size[axis];
            if output_padding[axis] >= stride[axis].max(dilation[axis]) {
                return Err(ConvError::OutputPadding { axis: axis_name(axis, x), options });
            }
            let full = len.saturating_sub(1) * stride[axis] + geometry.reach(axis) + output_padding[axis];
            if len == 0 || full <= 2 * padding[axis] {
                return Err(ConvError::NoOutput { axis: axis_name(axis, x), padding: padding[axis], full });
            }
            geometry.in_size[axis] = full - 2 * padding[axis];
        }
        Ok(geometry)
    }

    /// What the weight says, the input and output sizes being open.
    fn unsized_output(x: &[usize], weight: &[usize], options: ConvOptions<AXES>) -> Result<Self, ConvError> {
        let groups = options.groups;
        if groups == 0 || options.stride.contains(&0) || options.dilation.contains(&0) {
            return Err(ConvError::ZeroOption { options });
        }
        let (out_channels, in_channels) = (weight[0], weight[1] * groups);
        if x[1] == 0 || out_channels == 0 || in_channels == 0 {
            return Err(ConvError::NoChannels { x: x.to_vec(), weight: weight.to_vec() });
        }
        if out_channels % groups != 0 {
            return Err(ConvError::OutputChannels { channels: out_channels, groups });
        }
        let kernel = raised(&weight[2..], 1);
        if kernel.contains(&0) {
            return Err(ConvError::EmptyKernel { weight: weight.to_vec() });
        }
        Ok(Self {
            batch: x[0],
            in_channels,
            out_channels,
            in_size: [0; AXES],
            out_size: [0; AXES],
            kernel,
            options,
        })
    }

    /// Of pictures: the last two axes.
    pub(crate) fn flat(self) -> Geometry<2> {
        let Self { batch, in_channels, out_channels, in_size, out_size, kernel, options } = self;
        let ConvOptions { stride, padding, dilation, groups } = options;
        let [stride, padding, dilation] = [stride, padding, dilation].map(last_two);
        Geometry {
            batch,
            in_channels,
            out_channels,
            in_size: last_two(in_size),
            out_size: last_two(out_size),
            kernel: last_two(kernel),
            options: ConvOptions { stride, padding, dilation, groups },
        }
    }

    /// Pixels that the dilated kernel spans along an axis.
    fn reach(&self, axis: usize) -> usize {
        self.options.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Shape of the output with `rank` spatial axes.
    pub(crate) fn out_shape(&self, rank: usize) -> Vec<usize> {
        [&[self.batch, self.out_channels], &self.out_size[AXES - rank..]].concat()
    }

    /// Shape of the input with `rank` spatial axes.
    pub(crate) fn in_shape(&self, rank: usize) -> Vec<usize> {
        [&[self.batch, self.in_channels], &self.in_size[AXES - rank..]].concat()
    }
}

impl Geometry<2> {
    /// Shape of the output.
    pub(crate) fn out_shape(&self) -> [usize; 4] {
        [self.batch, self.out_channels, self.out_size[0], self.out_size[1]]
    }
}

impl<const N: usize> Geometry<N> {
    /// Pixels of an input channel.
    pub(crate) fn in_plane(&self) -> usize {
        self.in_size.iter().product()
    }

    /// Pixels of an output channel.
    pub(crate) fn out_plane(&self) -> usize {
        self.out_size.iter().product()
    }

    /// Input channels of one group.
    pub(crate) fn group_in(&self) -> usize {
        self.in_channels / self.options.groups
    }

    /// Output channels of one group.
    pub(crate) fn group_out(&self) -> usize {
        self.out_channels / self.options.groups
    }

    /// Taps of a kernel.
    pub(crate) fn kernel_area(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Products summed in one output element: the inner dimension of the matrix product.
    pub(crate) fn depth(&self) -> usize {
        self.group_in() * self.kernel_area()
    }

    /// Numbers of the output.
    pub(crate) fn out_len(&self) -> usize {
        self.batch * self.out_channels * self.out_plane()
    }

    /// Numbers of the input.
    pub(crate) fn in_len(&self) -> usize {
        self.batch * self.in_channels * self.in_plane()
    }

    /// One filter a channel group: too little work per product for a matrix product to pay.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.group_in() == 1 && self.options.groups > 1
    }
}

/// One to three values as those of the last of three axes, the axes before having `missing`.
pub(crate) fn raised(values: &[usize], missing: usize) -> [usize; AXES] {
    let mut all = [missing; AXES];
    all[AXES - values.len()..].copy_from_slice(values);
    all
}

fn last_two([_, height, width]: [usize; AXES]) -> [usize; 2] {
    [height, width]
}

/// What users call an axis of a tensor of shape `x`.
fn axis_name(axis: usize, x: &[usize]) -> &'static str {
    match x.len() {
        3 => "length",
        _ => ["depth", "height", "width"][axis],
    }
}

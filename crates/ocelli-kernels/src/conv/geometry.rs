//! The shape of a convolution, checked once and shared by every kernel.

use super::{ConvError, ConvOptions};

/// All extents of one convolution. `[height, width]` order throughout.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) in_size: [usize; 2],
    pub(crate) out_size: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) options: ConvOptions,
}

impl Geometry {
    /// Checks that an input `[B, C, H, W]` and a weight `[O, C / groups, kh, kw]` fit together.
    pub(crate) fn new(x: [usize; 4], weight: [usize; 4], options: ConvOptions) -> Result<Self, ConvError> {
        let [batch, in_channels, height, width] = x;
        let [out_channels, group_in, kernel_height, kernel_width] = weight;
        let groups = options.groups;
        if groups == 0 || options.stride.contains(&0) || options.dilation.contains(&0) {
            return Err(ConvError::ZeroOption { options });
        }
        if in_channels == 0 || out_channels == 0 {
            return Err(ConvError::NoChannels { x, weight });
        }
        if group_in * groups != in_channels {
            return Err(ConvError::InputChannels { got: in_channels, expected: group_in * groups, groups });
        }
        if out_channels % groups != 0 {
            return Err(ConvError::OutputChannels { channels: out_channels, groups });
        }
        let in_size = [height, width];
        let kernel = [kernel_height, kernel_width];
        let mut out_size = [0; 2];
        for axis in 0..2 {
            let padded = in_size[axis] + 2 * options.padding[axis];
            if kernel[axis] == 0 {
                return Err(ConvError::EmptyKernel { weight });
            }
            let reach = options.dilation[axis] * (kernel[axis] - 1) + 1;
            if reach > padded {
                return Err(ConvError::KernelTooLarge { axis: ["height", "width"][axis], reach, padded });
            }
            out_size[axis] = (padded - reach) / options.stride[axis] + 1;
        }
        Ok(Self { batch, in_channels, out_channels, in_size, out_size, kernel, options })
    }

    pub(crate) fn in_plane(&self) -> usize {
        self.in_size[0] * self.in_size[1]
    }

    pub(crate) fn out_plane(&self) -> usize {
        self.out_size[0] * self.out_size[1]
    }

    /// Input channels of one group.
    pub(crate) fn group_in(&self) -> usize {
        self.in_channels / self.options.groups
    }

    /// Output channels of one group.
    pub(crate) fn group_out(&self) -> usize {
        self.out_channels / self.options.groups
    }

    pub(crate) fn kernel_area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Products summed in one output element: the inner dimension of the matrix product.
    pub(crate) fn depth(&self) -> usize {
        self.group_in() * self.kernel_area()
    }

    pub(crate) fn out_shape(&self) -> [usize; 4] {
        [self.batch, self.out_channels, self.out_size[0], self.out_size[1]]
    }

    pub(crate) fn in_shape(&self) -> [usize; 4] {
        [self.batch, self.in_channels, self.in_size[0], self.in_size[1]]
    }

    pub(crate) fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.group_in(), self.kernel[0], self.kernel[1]]
    }

    /// One filter a channel group: too little work per product for a matrix product to pay.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.group_in() == 1 && self.options.groups > 1
    }
}

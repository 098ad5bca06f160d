//! Convolutions over sequences, pictures and volumes.

use burn::tensor::Tensor;
use ocelli_kernels::{ConvOptions, conv1d, conv2d, conv3d};

use super::prepared::Prepared;
use super::pytorch_bias;
use crate::init::Init;
use crate::store::{Param, Path, Role};

/// A convolution with `N` spatial axes (`torch.nn.Conv1d` and its kin): `weight [out, in / groups, ...]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct Conv<const N: usize> {
    pub(super) weight: Param,
    pub(super) bias: Option<Param>,
    pub(super) options: ConvOptions<N>,
    /// What fused passes over pictures run in its place.
    pub(super) prepared: Prepared,
}

/// A convolution over sequences.
pub type Conv1d = Conv<1>;
/// A convolution over pictures.
pub type Conv2d = Conv<2>;
/// A convolution over volumes or clips.
pub type Conv3d = Conv<3>;

/// What a convolution's bias starts from.
#[derive(Clone, Copy, Debug)]
enum Bias {
    Zeros,
    /// PyTorch's uniform.
    Uniform,
}

/// How a convolution with `N` spatial axes is built: stride 1, no padding, one group unless said otherwise. Extents are one
/// number for all axes, or an array in the order of the tensor's axes.
#[derive(Clone, Copy, Debug)]
pub struct ConvConfig<const N: usize> {
    input: usize,
    output: usize,
    kernel: [usize; N],
    options: ConvOptions<N>,
    bias: Option<Bias>,
    init: Init,
}

/// How a convolution over sequences is built: with bias.
pub type Conv1dConfig = ConvConfig<1>;
/// How a convolution over pictures is built: without bias.
pub type Conv2dConfig = ConvConfig<2>;
/// How a convolution over volumes is built: with bias.
pub type Conv3dConfig = ConvConfig<3>;

/// A number for each of `N` axes.
pub trait Extents<const N: usize> {
    /// The numbers, in the order of the axes.
    fn extents(self) -> [usize; N];
}

/// The same for all axes.
impl<const N: usize> Extents<N> for usize {
    fn extents(self) -> [usize; N] {
        [self; N]
    }
}

impl<const N: usize> Extents<N> for [usize; N] {
    fn extents(self) -> [usize; N] {
        self
    }
}

impl ConvConfig<1> {
    /// A convolution from `input` to `output` channels with `kernel` taps; the weight starts from PyTorch's uniform, the
    /// bias from zeros.
    pub fn new(input: usize, output: usize, kernel: usize) -> Self {
        Self::of(input, output, [kernel], Init::FanInUniform, Some(Bias::Zeros))
    }
}

impl ConvConfig<2> {
    /// A convolution from `input` to `output` channels; the weight starts from Kaiming's normal with fan-out.
    pub fn new(input: usize, output: usize, kernel: impl Extents<2>) -> Self {
        Self::of(input, output, kernel.extents(), Init::KaimingNormalFanOut, None)
    }
}

impl ConvConfig<3> {
    /// A convolution from `input` to `output` channels; weight and bias start from PyTorch's uniform.
    pub fn new(input: usize, output: usize, kernel: impl Extents<3>) -> Self {
        Self::of(input, output, kernel.extents(), Init::FanInUniform, Some(Bias::Uniform))
    }
}

impl<const N: usize> ConvConfig<N> {
    fn of(input: usize, output: usize, kernel: [usize; N], init: Init, bias: Option<Bias>) -> Self {
        Self { input, output, kernel, options: ConvOptions::default(), bias, init }
    }

    /// Steps of `stride` positions.
    #[must_use]
    pub fn stride(mut self, stride: impl Extents<N>) -> Self {
        self.options.stride = stride.extents();
        self
    }

    /// `padding` zeros on both sides of each axis.
    #[must_use]
    pub fn padding(mut self, padding: impl Extents<N>) -> Self {
        self.options.padding = padding.extents();
        self
    }

    /// Kernel elements `dilation` positions apart.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Extents<N>) -> Self {
        self.options.dilation = dilation.extents();
        self
    }

    /// Channels in `groups` independent groups.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.options.groups = groups;
        self
    }

    /// With a constant added to each output channel, 0 at first.
    #[must_use]
    pub fn bias(mut self) -> Self {
        self.bias = Some(Bias::Zeros);
        self
    }

    /// Without a constant added to each output channel.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }

    /// The weight starting from `init`.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Builds the layer at `path`.
    pub fn build(self, path: &Path) -> Conv<N> {
        let shape = [&[self.output, self.input / self.options.groups], &self.kernel[..]].concat();
        let weight = path.param("weight", &shape, self.init, Role::Kernel);
        let bias = self.bias.map(|bias| {
            let init = match bias {
                Bias::Zeros => Init::Zeros,
                Bias::Uniform => pytorch_bias(&shape),
            };
            path.param("bias", &[self.output], init, Role::Bias)
        });
        Conv { weight, bias, options: self.options, prepared: Prepared::default() }
    }
}

impl<const N: usize> Conv<N> {
    fn bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Param::value)
    }
}

impl Conv<1> {
    /// `[B, C, T]` to `[B, out, T']`, `T' = (T + 2 padding - dilation (k - 1) - 1) / stride + 1`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        conv1d(x, self.weight.value::<3>(), self.bias(), self.options)
    }
}

impl Conv<2> {
    /// `[B, C, H, W]` to `[B, out, H', W']`, `H' = (H + 2 padding - dilation (k - 1) - 1) / stride + 1`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv2d(x, self.weight.value::<4>(), self.bias(), self.options)
    }
}

impl Conv<3> {
    /// `[B, C, D, H, W]` to `[B, out, D', H', W']`, `D' = (D + 2 padding - dilation (k - 1) - 1) / stride + 1`.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        conv3d(x, self.weight.value::<5>(), self.bias(), self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};

    #[test]
    fn taps_slide_along_time() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let layer = Conv1dConfig::new(2, 1, 3).padding(2).dilation(2).build(&store.root());
        let weight = from_values(vec![1.0, 10.0, 100.0, 0.0, 0.5, 0.0], [6], &device);
        store.find("weight").unwrap().set(weight);
        let x = from_values(vec![1.0, 2.0, 3.0, 4.0, 2.0, 2.0, 2.0, 4.0], [1, 2, 4], &device);
        let y = layer.forward(x);
        assert_eq!(y.dims(), [1, 1, 4]);
        assert_eq!(values(y), [311.0, 421.0, 32.0, 44.0]);
    }

    #[test]
    fn a_dilated_kernel_reaches_past_its_neighbours_into_zeros() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let config = Conv1dConfig::new(1, 1, 3).padding(4).dilation(4);
        let conv = config.build(&store.root());
        store.find("weight").unwrap().set(from_values(vec![100.0, 10.0, 1.0], [3], &device));
        store.find("bias").unwrap().set(from_values(vec![0.5], [1], &device));
        let x = from_values((1..=6).map(|v| v as f32).collect(), [1, 1, 6], &device);
        // Step t sees 100 x[t - 4] + 10 x[t] + x[t + 4].
        assert_eq!(values(conv.forward(x)), [15.5, 26.5, 30.5, 40.5, 150.5, 260.5]);
        // Shorter than the dilation, only the middle of the kernel meets anything.
        let x = from_values(vec![3.0, 4.0], [1, 1, 2], &device);
        assert_eq!(values(conv.forward(x)), [30.5, 40.5]);
    }

    #[test]
    fn axes_have_options_of_their_own() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let config = Conv3dConfig::new(1, 1, [2, 1, 3]).stride([1, 2, 1]).padding([0, 0, 1]);
        let layer = config.build(&store.root());
        store.find("weight").unwrap().set(from_values(vec![1.0, 10.0, 100.0, 0.0, 0.0, 0.5], [6], &device));
        store.find("bias").unwrap().set(from_values(vec![0.25], [1], &device));
        let x = from_values((1..=12).map(|v| v as f32).collect(), [1, 1, 2, 3, 2], &device);
        let y = layer.forward(x);
        assert_eq!(y.dims(), [1, 1, 1, 2, 2]);
        // Of the rows (1, 2) and (7, 8), and (5, 6) and (11, 12).
        assert_eq!(values(y), [214.25, 21.25, 656.25, 65.25]);
    }

    #[test]
    fn parameters_have_pytorchs_shapes_and_bounds() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        Conv3dConfig::new(8, 6, [3, 3, 1]).groups(2).build(&store.root());
        let [weight, bias] = ["weight", "bias"].map(|name| store.find(name).unwrap());
        assert_eq!(weight.shape(), [6, 4, 3, 3, 1]);
        for values in [weight, bias].map(|entry| values(entry.plain())) {
            assert!(values.iter().all(|value| value.abs() <= 1.0 / 6.0) && values.iter().any(|&v| v != 0.0));
        }
    }
}

//! Convolutions for inference: packed once, with normalisation folded in and everything that follows done in registers.
//!
//! What comes out lies in memory by pixel, its channels side by side (PyTorch's `channels_last`), under a tensor of the
//! usual shape `[B, C, H, W]`: the next convolution reads it as it is, and everything else sees an ordinary tensor.

mod amx;
pub mod by_pixel;
mod dense;
mod depthwise;
mod finish;
mod late;
mod linear;
mod pack;
mod plan;
mod slab;
mod tile;
mod vector;
#[cfg(target_arch = "x86_64")]
mod vector_x86;

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;

use crate::backend::{Numbers, is_served};
use crate::conv::ConvError;
pub use pack::{Affine, ConvParts};
use pack::{Kernels, Packed};

/// What is applied to every sum of a fused convolution.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// `max(0, x)`.
    Relu,
    /// `min(max(low, x), high)`; from 0 to 6 it is ReLU6.
    Clamp {
        /// Least value.
        low: f32,
        /// Greatest value.
        high: f32,
    },
    /// `x` above zero, else `x` times this slope.
    Leaky(f32),
    /// `x` above zero, else `x` times the slope of its channel `[O]`.
    Prelu(Vec<f32>),
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x min(max(0, x + 3), 6) / 6`.
    HardSwish,
    /// `x` times the standard normal distribution at `x` (Hendrycks and Gimpel 2016).
    Gelu,
    /// [`Activation::Gelu`] in its approximation by a hyperbolic tangent (ibid., section 2).
    GeluTanh,
    /// `x sigmoid(1.702 x)`, the approximation (ibid.) that CLIP was trained with.
    QuickGelu,
}

/// The numbers that are multiplied; sums are always single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Single,
    /// bfloat16: eight bits of mantissa, half the memory, and twice the products a cycle where the processor has them,
    /// sixteen times with AMX.
    /// Depthwise convolutions, which wait for memory anyway, stay in single precision.
    Bf16,
}

impl Precision {
    /// Whether this processor multiplies such numbers by itself. Elsewhere results are the same but slow to come by.
    pub fn is_native(self) -> bool {
        self == Self::Single || tile::multiplies_pairs() || amx::is_available()
    }
}

/// Where a shortcut joins a fused convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// It is added to what the activation is applied to.
    BeforeActivation,
    /// It is added to what the activation gives.
    AfterActivation,
}

/// A convolution ready to run: filters in the order in which they are read, with the affine maps around them folded in.
/// Cloning gives another handle to the same filters.
#[derive(Clone, Debug)]
pub struct PackedConv(Arc<Packed>);

impl PackedConv {
    /// Packs a convolution.
    ///
    /// # Errors
    /// [`ConvError`] when the parts do not fit together.
    pub fn new(parts: ConvParts) -> Result<Self, ConvError> {
        Ok(Self(Arc::new(Packed::new(parts)?)))
    }

    /// Whether a tensor can be run through packed convolutions: 32-bit, on the CPU, and nothing recorded.
    pub fn serves<const D: usize>(x: &Tensor<D>) -> bool {
        is_served(x) && !x.is_autodiff()
    }

    /// `x` `[B, C, H, W]` to `[B, O, H', W']`, all in one: the map before, the convolution, the map after, `shortcut`
    /// `[B, O, H', W']` where it joins, and the activation. The output lies by pixel in memory.
    ///
    /// The result does not depend on the number of threads.
    ///
    /// # Panics
    /// If the shapes do not fit, or [`PackedConv::serves`] is false for a tensor.
    pub fn forward(&self, x: Tensor<4>, shortcut: Option<(Tensor<4>, Joint)>) -> Tensor<4> {
        assert!(Self::serves(&x), "packed convolution: only 32-bit tensors on the CPU, without gradients");
        let geometry =
            self.0.geometry(x.dims()).unwrap_or_else(|error| panic!("packed convolution: {error}"));
        Self::check_shortcut("packed convolution", &shortcut, geometry.out_shape());
        let (x, conv) = (x.into_dispatch(), self.clone());
        Tensor::from_dispatch(match shortcut {
            Some((shortcut, joint)) => Dispatch::run_joined(x, shortcut.into_dispatch(), conv, joint),
            None => Dispatch::run(x, conv),
        })
    }

    /// # Panics
    /// If there is a shortcut that is not as the output, or not as [`PackedConv::serves`] wants it.
    fn check_shortcut<const D: usize>(what: &str, shortcut: &Option<(Tensor<D>, Joint)>, wanted: [usize; D]) {
        if let Some((shortcut, _)) = shortcut {
            assert!(Self::serves(shortcut), "{what}: the shortcut must be as the input");
            let found = shortcut.dims();
            assert!(found == wanted, "{what}: a shortcut {found:?} for an output {wanted:?}");
        }
    }
}

/// A backend that runs packed convolutions.
#[backend_extension(Flex)]
pub(crate) trait PackedBackend: Backend {
    /// Without a shortcut.
    fn run(x: FloatTensor<Self>, conv: PackedConv) -> FloatTensor<Self>;

    /// With one.
    fn run_joined(
        x: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        conv: PackedConv,
        joint: Joint,
    ) -> FloatTensor<Self>;
}

impl PackedBackend for Flex {
    fn run(x: FloatTensor<Self>, conv: PackedConv) -> FloatTensor<Self> {
        run(&conv.0, x, None)
    }

    fn run_joined(
        x: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        conv: PackedConv,
        joint: Joint,
    ) -> FloatTensor<Self> {
        let shortcut = Numbers::of(pixels_first(&shortcut));
        run(&conv.0, x, Some((&shortcut, joint)))
    }
}

fn run(packed: &Packed, x: FlexTensor, shortcut: Option<(&[f32], Joint)>) -> FlexTensor {
    let geometry = packed.geometry(x.layout().shape().dims());
    let geometry = geometry.unwrap_or_else(|error| panic!("packed convolution: {error}"));
    let output = match &packed.kernels {
        Kernels::Dense(dense) => dense::run(packed, dense, &geometry, &Input::of(x), shortcut),
        Kernels::Depthwise(filters) => {
            depthwise::run(packed, filters, &geometry, &Numbers::of(pixels_first(&x)), shortcut)
        }
    };
    output.permute(&[0, 3, 1, 2])
}

/// The extents of `[B, C, H, W]` as they lie in memory: `[B, H, W, C]`.
fn lying([batch, channels, height, width]: [usize; 4]) -> [usize; 4] {
    [batch, height, width, channels]
}

/// A view `[B, H, W, C]` of `[B, C, H, W]`.
fn pixels_first(x: &FlexTensor) -> FlexTensor {
    x.permute(&[0, 2, 3, 1])
}

/// A tensor `[B, C, H, W]` in whatever order.
struct Input {
    tensor: FlexTensor,
    /// Numbers between neighbours of each dimension.
    strides: [usize; 4],
    first: usize,
}

impl Input {
    fn of(x: FlexTensor) -> Self {
        debug_assert_eq!(x.dtype(), DType::F32);
        let negative = x.layout().strides().iter().any(|&stride| stride < 0);
        let tensor = if negative { x.to_contiguous() } else { x };
        let layout = tensor.layout();
        let mut strides = [0; 4];
        strides.iter_mut().zip(layout.strides()).for_each(|(stride, given)| *stride = given.unsigned_abs());
        let first = layout.start_offset();
        Self { tensor, strides, first }
    }

    fn values(&self) -> &[f32] {
        self.tensor.storage()
    }

    /// Whether pixels follow each other without gaps, their channels side by side.
    fn is_by_pixel(&self) -> bool {
        self.tensor.layout().permute(&[0, 2, 3, 1]).is_contiguous()
    }
}

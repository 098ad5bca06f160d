//! What stands between fused convolutions, for tensors that lie by pixel in memory.

use std::mem::MaybeUninit;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchTensorKind, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::{PackedConv, pixels_first};
use crate::backend::Numbers;
use crate::jobs;
use crate::memory::{SharedOutput, filled_aligned};
use ocelli_simd::vectorized;

/// Numbers that make a job worth a thread's while.
const JOB: usize = 32 * 1024;

/// Whether the functions here serve a tensor `[B, C, H, W]`: 32-bit on the CPU, nothing recorded, and its channels side by
/// side in memory, as [`PackedConv`] leaves them.
pub fn lies_by_pixel(x: &Tensor<4>) -> bool {
    if !PackedConv::serves(x) || x.dims()[1] == 1 {
        return false;
    }
    match x.clone().into_dispatch().kind {
        DispatchTensorKind::Flex(tensor) => pixels_first(tensor.as_float()).is_contiguous(),
        #[allow(unreachable_patterns)] // there are more backends with the GPU features
        _ => false,
    }
}

/// Largest number of every `kernel` x `kernel` window, `stride` apart, of pictures `[B, C, H, W]` with a border of
/// `padding` that never is the largest; NaN is. To `[B, C, H', W']`, `H' = (H + 2 padding - kernel) / stride + 1`.
///
/// # Panics
/// If [`lies_by_pixel`] is false, or a window can lie in the border alone.
pub fn max_pool2d(x: Tensor<4>, [kernel, stride, padding]: [usize; 3]) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    assert!(lies_by_pixel(&x), "max_pool2d: the tensor does not lie by pixel");
    assert!(
        stride > 0 && 2 * padding <= kernel && kernel <= height.min(width) + 2 * padding,
        "max_pool2d: windows of {kernel} with stride {stride} and padding {padding} on {height}x{width} pixels"
    );
    Tensor::from_dispatch(Dispatch::largest(x.into_dispatch(), [kernel, stride, padding]))
}

/// Every channel of `x` `[B, C, H, W]` times its factor of `gate` `[B, C, 1, 1]`, plus `shortcut` of the shape of `x`, if
/// there is one.
///
/// # Panics
/// If [`lies_by_pixel`] is false for `x`, or the shapes do not fit.
pub fn gated(x: Tensor<4>, gate: Tensor<4>, shortcut: Option<Tensor<4>>) -> Tensor<4> {
    let [batch, channels, ..] = x.dims();
    assert!(lies_by_pixel(&x), "gated: the tensor does not lie by pixel");
    assert!(gate.dims() == [batch, channels, 1, 1] && PackedConv::serves(&gate), "gated: a factor a channel");
    let (gate, dims) = (gate.into_dispatch(), x.dims());
    Tensor::from_dispatch(match shortcut {
        Some(shortcut) => {
            assert!(shortcut.dims() == dims && PackedConv::serves(&shortcut), "gated: the shortcut's shape");
            Dispatch::gate_joined(x.into_dispatch(), gate, shortcut.into_dispatch())
        }
        None => Dispatch::gate(x.into_dispatch(), gate),
    })
}

/// A backend with these operations.
#[backend_extension(Flex)]
pub(crate) trait ByPixelBackend: Backend {
    /// Kernel, stride, padding.
    fn largest(x: FloatTensor<Self>, window: [usize; 3]) -> FloatTensor<Self>;

    /// Without a shortcut.
    fn gate(x: FloatTensor<Self>, gate: FloatTensor<Self>) -> FloatTensor<Self>;

    /// With one.
    fn gate_joined(
        x: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl ByPixelBackend for Flex {
    fn largest(x: FloatTensor<Self>, window: [usize; 3]) -> FloatTensor<Self> {
        largest(x, window)
    }

    fn gate(x: FloatTensor<Self>, gate: FloatTensor<Self>) -> FloatTensor<Self> {
        gate_channels(x, gate, None)
    }

    fn gate_joined(
        x: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        gate_channels(x, gate, Some(shortcut))
    }
}

/// A tensor `[B, C, H, W]` whose pixels, `C` numbers each, `fill` writes by their number.
///
/// # Safety
/// `fill` must write every number of its pixel.
#[allow(unsafe_code)] // the output is not zeroed first
unsafe fn filled_by_pixel(
    [batch, channels, height, width]: [usize; 4],
    fill: impl Fn(usize, &mut [MaybeUninit<f32>]) + Sync,
) -> FlexTensor {
    let pixels = batch * height * width;
    let each = JOB.div_ceil(channels.max(1));
    let work = |output: SharedOutput<'_>| {
        jobs::run(pixels.div_ceil(each), |job| {
            for pixel in job * each..((job + 1) * each).min(pixels) {
                // SAFETY: every pixel belongs to one job.
                fill(pixel, unsafe { output.strided(pixel * channels, channels, 1) }.memory());
            }
        });
    };
    // SAFETY: the pixels are all of the output, and `fill` writes them by contract.
    unsafe { filled_aligned([batch, height, width, channels], work) }.permute(&[0, 3, 1, 2])
}

#[allow(unsafe_code)] // the output is not zeroed first
fn largest(x: FlexTensor, [kernel, stride, padding]: [usize; 3]) -> FlexTensor {
    let [batch, channels, height, width] = x.layout().shape().dims();
    let [out_height, out_width] = [height, width].map(|len| (len + 2 * padding - kernel) / stride + 1);
    let x = Numbers::of(pixels_first(&x));
    let window = |at: usize, len: usize| {
        let first = (at * stride).saturating_sub(padding);
        first..(at * stride + kernel - padding).min(len)
    };
    let fill = |pixel: usize, output: &mut [MaybeUninit<f32>]| {
        let (image, row, col) =
            (pixel / (out_height * out_width), pixel / out_width % out_height, pixel % out_width);
        let mut first = true;
        for y in window(row, height) {
            for z in window(col, width) {
                let from = &x[((image * height + y) * width + z) * channels..][..channels];
                if first {
                    output.iter_mut().zip(from).for_each(|(output, &from)| _ = output.write(from));
                } else {
                    // SAFETY: the first pixel of the window has written all numbers.
                    raise(unsafe { output.assume_init_mut() }, from);
                }
                first = false;
            }
        }
    };
    // SAFETY: no window lies in the border alone, and the first pixel of a window writes all numbers.
    unsafe { filled_by_pixel([batch, channels, out_height, out_width], fill) }
}

vectorized! {
    /// Replaces numbers by larger ones.
    fn raise(values: &mut [f32], others: &[f32]) {
        for (value, &other) in values.iter_mut().zip(others) {
            *value = if other > *value || other.is_nan() { other } else { *value };
        }
    }
}

#[allow(unsafe_code)] // the output is not zeroed first
fn gate_channels(x: FlexTensor, gate: FlexTensor, shortcut: Option<FlexTensor>) -> FlexTensor {
    let shape: [usize; 4] = x.layout().shape().dims();
    let [_, channels, height, width] = shape;
    let (x, gate) = (Numbers::of(pixels_first(&x)), Numbers::of(gate));
    let shortcut = shortcut.map(|shortcut| Numbers::of(pixels_first(&shortcut)));
    let fill = |pixel: usize, output: &mut [MaybeUninit<f32>]| {
        let at = pixel * channels..(pixel + 1) * channels;
        let factors = &gate[pixel / (height * width) * channels..][..channels];
        match &shortcut {
            Some(shortcut) => multiply_add(&x[at.clone()], factors, &shortcut[at], output),
            None => multiply(&x[at], factors, output),
        }
    };
    // SAFETY: both loops write all numbers of the pixel.
    unsafe { filled_by_pixel(shape, fill) }
}

vectorized! {
    fn multiply(x: &[f32], factors: &[f32], output: &mut [MaybeUninit<f32>]) {
        for ((output, x), factor) in output.iter_mut().zip(x).zip(factors) {
            output.write(x * factor);
        }
    }
}

vectorized! {
    fn multiply_add(x: &[f32], factors: &[f32], terms: &[f32], output: &mut [MaybeUninit<f32>]) {
        for (((output, x), factor), term) in output.iter_mut().zip(x).zip(factors).zip(terms) {
            output.write(x * factor + term);
        }
    }
}

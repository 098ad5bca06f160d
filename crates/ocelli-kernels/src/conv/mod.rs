//! Convolutions over sequences, pictures and volumes, and transposed ones, with their gradients.

mod backend;
mod border;
mod correlate;
mod dense;
mod depthwise;
mod direct;
mod filters;
mod gather;
mod geometry;
mod options;
mod pack;
mod plan;
mod slab;

use burn::tensor::{Tensor, module};

pub use options::{ConvError, ConvOptions, TransposeOptions};

use crate::backend::is_served;
use backend::Direction;
pub(crate) use geometry::Geometry;
pub(crate) use slab::even_parts;

/// Convolves sequences `[B, C, T]` with filters `[O, C / groups, k]`: [`conv2d`] with one axis.
///
/// # Panics
/// If the shapes do not fit together; the message is a [`ConvError`].
pub fn conv1d(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<1>,
) -> Tensor<3> {
    let geometry = Geometry::new(&x.dims(), &weight.dims(), options.raised());
    check("conv1d", geometry.map(|geometry| geometry.out_channels), bias.as_ref());
    match are_served(&x, &weight, bias.as_ref()) {
        true => backend::convolve(x, weight, bias, Direction::Gather(options.raised())),
        false => module::conv1d(x, weight, bias, burn::backend::ops::ConvOptions::from(options)),
    }
}

/// Convolves pictures `[B, C, H, W]` with filters `[O, C / groups, kh, kw]` (cross-correlation, as in every network
/// framework) and adds a bias `[O]`; the result is `[B, O, H', W']` with
/// `H' = (H + 2 padding - dilation (kh - 1) - 1) / stride + 1`, rounded down, and `W'` alike.
///
/// On the CPU, 32-bit tensors take this crate's kernels; every other device or number type takes Burn's own
/// operation. Gradients flow to whichever of the three arguments track them. The result is the same for any number of
/// threads.
///
/// # Panics
/// If the shapes do not fit together; the message is a [`ConvError`].
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let geometry = Geometry::new(&x.dims(), &weight.dims(), options.raised());
    check("conv2d", geometry.map(|geometry| geometry.out_channels), bias.as_ref());
    match are_served(&x, &weight, bias.as_ref()) {
        true => backend::convolve(x, weight, bias, Direction::Gather(options.raised())),
        false => module::conv2d(x, weight, bias, burn::backend::ops::ConvOptions::from(options)),
    }
}

/// Convolves volumes `[B, C, D, H, W]` with filters `[O, C / groups, kd, kh, kw]`: [`conv2d`] with three axes.
///
/// # Panics
/// If the shapes do not fit together; the message is a [`ConvError`].
pub fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<3>,
) -> Tensor<5> {
    let geometry = Geometry::new(&x.dims(), &weight.dims(), options);
    check("conv3d", geometry.map(|geometry| geometry.out_channels), bias.as_ref());
    match are_served(&x, &weight, bias.as_ref()) {
        true => backend::convolve(x, weight, bias, Direction::Gather(options)),
        false => module::conv3d(x, weight, bias, burn::backend::ops::ConvOptions::from(options)),
    }
}

/// Spreads sequences `[B, C, T]` with filters `[C, O / groups, k]`: [`conv_transpose2d`] with one axis.
///
/// # Panics
/// If the shapes do not fit together; the message is a [`ConvError`].
pub fn conv_transpose1d(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: TransposeOptions<1>,
) -> Tensor<3> {
    let geometry = Geometry::transposed(&x.dims(), &weight.dims(), options.raised());
    check("conv_transpose1d", geometry.map(|geometry| geometry.in_channels), bias.as_ref());
    match are_served(&x, &weight, bias.as_ref()) {
        true => backend::convolve(x, weight, bias, Direction::Spread(options.raised())),
        false => module::conv_transpose1d(x, weight, bias, options.into()),
    }
}

/// Spreads pictures `[B, C, H, W]` with filters `[C, O / groups, kh, kw]` and adds a bias `[O]`: the transposed
/// convolution, which takes an input to the sum of its filters, each weighted by a pixel and placed around it.
///
/// The result is `[B, O, H', W']` with
/// `H' = (H - 1) stride - 2 padding + dilation (kh - 1) + output padding + 1`, and `W'` alike. Apart from the bias it is
/// the gradient of the input of [`conv2d`] with the same options; which tensors are served, and how gradients flow, is as
/// there.
///
/// # Panics
/// If the shapes do not fit together; the message is a [`ConvError`].
pub fn conv_transpose2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: TransposeOptions<2>,
) -> Tensor<4> {
    let geometry = Geometry::transposed(&x.dims(), &weight.dims(), options.raised());
    check("conv_transpose2d", geometry.map(|geometry| geometry.in_channels), bias.as_ref());
    match are_served(&x, &weight, bias.as_ref()) {
        true => backend::convolve(x, weight, bias, Direction::Spread(options.raised())),
        false => module::conv_transpose2d(x, weight, bias, options.into()),
    }
}

/// Spreads volumes `[B, C, D, H, W]` with filters `[C, O / groups, kd, kh, kw]`: [`conv_transpose2d`] with three axes.
///
/// # Panics
/// If the shapes do not fit together; the message is a [`ConvError`].
pub fn conv_transpose3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    options: TransposeOptions<3>,
) -> Tensor<5> {
    let geometry = Geometry::transposed(&x.dims(), &weight.dims(), options);
    check("conv_transpose3d", geometry.map(|geometry| geometry.in_channels), bias.as_ref());
    match are_served(&x, &weight, bias.as_ref()) {
        true => backend::convolve(x, weight, bias, Direction::Spread(options)),
        false => module::conv_transpose3d(x, weight, bias, options.into()),
    }
}

fn are_served<const D: usize>(x: &Tensor<D>, weight: &Tensor<D>, bias: Option<&Tensor<1>>) -> bool {
    is_served(x) && is_served(weight) && bias.is_none_or(is_served)
}

/// Panics with the function's name unless the shapes fit together, and the bias to the output channels.
fn check(name: &str, out_channels: Result<usize, ConvError>, bias: Option<&Tensor<1>>) {
    let checked = out_channels.and_then(|expected| match bias.map(Tensor::dims) {
        Some([got]) if got != expected => Err(ConvError::Bias { got, expected }),
        _ => Ok(()),
    });
    if let Err(error) = checked {
        panic!("{name}: {error}");
    }
}

//! Functions of one or two numbers and their slopes, over blocks.

use std::mem::MaybeUninit;

use burn::tensor::{Tensor, activation};
use ocelli_simd::math::{exp, exp_m1, ln, sigmoid, softplus, tanh};
use ocelli_simd::{MulAdd, vectorized};

use crate::curves::{gelu, gelu_slope, gelu_tanh, gelu_tanh_slope, swish, swish_slope};

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    /// `scale x + shift`.
    Affine {
        scale: f32,
        shift: f32,
    },
    Relu,
    /// Held between two numbers; the slope at either is 1.
    Clamp {
        min: f32,
        max: f32,
    },
    /// Held between two numbers; the slope at either is 0.
    HardTanh {
        min: f32,
        max: f32,
    },
    LeakyRelu(f32),
    Elu(f32),
    Sigmoid,
    Tanh,
    Gelu,
    GeluTanh,
    Silu,
    HardSwish,
    HardSigmoid,
    Mish,
    Softplus(f32),
    LogSigmoid,
    Exp,
    Ln,
    Sqrt,
    Square,
    Abs,
    Recip,
    Power(f32),
}

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Sub,
    Mul,
    Div,
}

/// What a slope is made of, beside the gradient of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) input: bool,
    pub(crate) output: bool,
}

/// Beyond this `β x` softplus is the line itself, as in PyTorch.
const SOFTPLUS_LINE: f32 = 20.0;

impl Function {
    /// What the slope is made of.
    pub(crate) fn uses(self) -> Uses {
        let (input, output) = match self {
            Self::Affine { .. } => (false, false),
            Self::LeakyRelu(slope) => (slope <= 0.0, slope > 0.0),
            Self::Elu(alpha) => (alpha <= 0.0, alpha > 0.0),
            Self::Relu
            | Self::HardTanh { .. }
            | Self::Sigmoid
            | Self::Tanh
            | Self::Exp
            | Self::Sqrt
            | Self::Recip => (false, true),
            _ => (true, false),
        };
        Uses { input, output }
    }

    /// The framework's own operation.
    pub(crate) fn framework<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Affine { scale, shift } => x.mul_scalar(scale).add_scalar(shift),
            Self::Relu => activation::relu(x),
            Self::Clamp { min, max } | Self::HardTanh { min, max } => x.clamp(min, max),
            Self::LeakyRelu(slope) => activation::leaky_relu(x, slope.into()),
            Self::Elu(alpha) => activation::elu(x, alpha.into()),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Gelu => activation::gelu(x),
            Self::GeluTanh => activation::gelu_approximate(x),
            Self::Silu => activation::silu(x),
            Self::HardSwish => x.clone() * x.add_scalar(3.0).clamp(0.0, 6.0).div_scalar(6.0),
            Self::HardSigmoid => x.add_scalar(3.0).clamp(0.0, 6.0).div_scalar(6.0),
            Self::Mish => activation::mish(x),
            Self::Softplus(beta) => activation::softplus(x, beta.into()),
            Self::LogSigmoid => activation::log_sigmoid(x),
            Self::Exp => x.exp(),
            Self::Ln => x.log(),
            Self::Sqrt => x.sqrt(),
            Self::Square => x.square(),
            Self::Abs => x.abs(),
            Self::Recip => x.recip(),
            Self::Power(exponent) => x.powf_scalar(exponent),
        }
    }
}

impl Operation {
    /// What the slopes are made of: the left operand, the right one, and the output, for the gradients that are wanted.
    pub(crate) fn uses(self, wanted: [bool; 2]) -> [bool; 3] {
        match self {
            Self::Add | Self::Sub => [false; 3],
            Self::Mul => [wanted[1], wanted[0], false],
            Self::Div => [false, true, wanted[1]],
        }
    }

    /// The framework's own operation.
    pub(crate) fn framework<const D: usize>(self, left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Add => left + right,
            Self::Sub => left - right,
            Self::Mul => left * right,
            Self::Div => left / right,
        }
    }
}

#[inline(always)]
fn map(x: &[f32], y: &mut [MaybeUninit<f32>], function: impl Fn(f32) -> f32) {
    for (y, &x) in y.iter_mut().zip(x) {
        y.write(function(x));
    }
}

#[inline(always)]
fn map_two(a: &[f32], b: &[f32], y: &mut [MaybeUninit<f32>], function: impl Fn(f32, f32) -> f32) {
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        y.write(function(a, b));
    }
}

/// Multiplies every number of a gradient by the slope at a value.
#[inline(always)]
fn steepen(values: &[f32], gradient: &mut [f32], slope: impl Fn(f32) -> f32) {
    for (gradient, &value) in gradient.iter_mut().zip(values) {
        *gradient *= slope(value);
    }
}

/// Sets those numbers of a gradient to 0 whose value is closed.
#[inline(always)]
fn gate(values: &[f32], gradient: &mut [f32], closed: impl Fn(f32) -> bool) {
    for (gradient, &value) in gradient.iter_mut().zip(values) {
        *gradient = if closed(value) { 0.0 } else { *gradient };
    }
}

#[inline(always)]
fn hold(x: f32, min: f32, max: f32) -> f32 {
    let x = if x < min { min } else { x };
    if x > max { max } else { x }
}

/// tanh(ln(1 + eˣ)) is n / (n + 2) with this n; the first is x itself held where that is 1.
#[inline(always)]
fn mish_parts<M: MulAdd>(x: f32) -> f32 {
    let power = exp::<M>(if x > 20.0 { 20.0 } else { x });
    power * (power + 2.0)
}

#[inline(always)]
fn mish_slope<M: MulAdd>(x: f32) -> f32 {
    let n = mish_parts::<M>(x);
    let (bend, gate) = (n / (n + 2.0), 4.0 * (n + 1.0) / ((n + 2.0) * (n + 2.0)));
    bend + x * gate * sigmoid::<M>(x)
}

#[inline(always)]
fn hard_swish_slope(x: f32) -> f32 {
    let slope = if x <= -3.0 { 0.0 } else { x / 3.0 + 0.5 };
    if x >= 3.0 { 1.0 } else { slope }
}

/// The sign, which is 0 for 0.
#[inline(always)]
fn sign(x: f32) -> f32 {
    let below = if x < 0.0 { -1.0 } else { 0.0 };
    if x > 0.0 { 1.0 } else { below }
}

vectorized! {
    /// Writes `function` of every number of `x`.
    pub(crate) fn apply<M>(function: Function, x: &[f32], y: &mut [MaybeUninit<f32>]) {
        assert_eq!(x.len(), y.len());
        match function {
            Function::Affine { scale, shift } => map(x, y, |x| scale * x + shift),
            Function::Relu => map(x, y, |x| if x < 0.0 { 0.0 } else { x }),
            Function::Clamp { min, max } | Function::HardTanh { min, max } => map(x, y, |x| hold(x, min, max)),
            Function::LeakyRelu(slope) => map(x, y, |x| if x > 0.0 { x } else { slope * x }),
            Function::Elu(alpha) => map(x, y, |x| if x > 0.0 { x } else { alpha * exp_m1::<M>(x) }),
            Function::Sigmoid => map(x, y, sigmoid::<M>),
            Function::Tanh => map(x, y, tanh::<M>),
            Function::Gelu => map(x, y, gelu::<M>),
            Function::GeluTanh => map(x, y, gelu_tanh::<M>),
            Function::Silu => map(x, y, |x| swish::<M>(x, 1.0)),
            Function::HardSwish => map(x, y, |x| x * hold(x + 3.0, 0.0, 6.0) * (1.0 / 6.0)),
            Function::HardSigmoid => map(x, y, |x| hold(x + 3.0, 0.0, 6.0) * (1.0 / 6.0)),
            Function::Mish => map(x, y, |x| {
                let n = mish_parts::<M>(x);
                x * (n / (n + 2.0))
            }),
            Function::Softplus(beta) => map(x, y, |x| {
                let scaled = beta * x;
                if scaled > SOFTPLUS_LINE { x } else { softplus::<M>(scaled) / beta }
            }),
            Function::LogSigmoid => map(x, y, |x| -softplus::<M>(-x)),
            Function::Exp => map(x, y, exp::<M>),
            Function::Ln => map(x, y, ln::<M>),
            Function::Sqrt => map(x, y, f32::sqrt),
            Function::Square => map(x, y, |x| x * x),
            Function::Abs => map(x, y, f32::abs),
            Function::Recip => map(x, y, f32::recip),
            Function::Power(exponent) => map(x, y, |x| x.powf(exponent)),
        }
    }
}

vectorized! {
    /// Multiplies `gradient` by the slopes of `function`, of whose inputs `x` and outputs `y` those are there that it
    /// [uses](Function::uses).
    pub(crate) fn pull_back<M>(function: Function, x: &[f32], y: &[f32], gradient: &mut [f32]) {
        let values = if function.uses().output { y } else { x };
        assert!(matches!(function, Function::Affine { .. }) || values.len() == gradient.len());
        match function {
            Function::Affine { scale, .. } => gradient.iter_mut().for_each(|gradient| *gradient *= scale),
            Function::Relu => gate(y, gradient, |y| y <= 0.0),
            Function::Clamp { min, max } => gate(x, gradient, |x| (x < min) | (x > max)),
            Function::HardTanh { min, max } => gate(y, gradient, |y| (y <= min) | (y >= max)),
            Function::LeakyRelu(slope) => steepen(values, gradient, |value| if value > 0.0 { 1.0 } else { slope }),
            Function::Elu(alpha) if alpha > 0.0 => steepen(y, gradient, |y| if y > 0.0 { 1.0 } else { y + alpha }),
            Function::Elu(alpha) => steepen(x, gradient, |x| if x > 0.0 { 1.0 } else { alpha * exp::<M>(x) }),
            Function::Sigmoid => steepen(y, gradient, |y| y * (1.0 - y)),
            Function::Tanh => steepen(y, gradient, |y| 1.0 - y * y),
            Function::Gelu => steepen(x, gradient, gelu_slope::<M>),
            Function::GeluTanh => steepen(x, gradient, gelu_tanh_slope::<M>),
            Function::Silu => steepen(x, gradient, swish_slope::<M>),
            Function::HardSwish => steepen(x, gradient, hard_swish_slope),
            Function::HardSigmoid => steepen(x, gradient, |x| if (x > -3.0) & (x < 3.0) { 1.0 / 6.0 } else { 0.0 }),
            Function::Mish => steepen(x, gradient, mish_slope::<M>),
            Function::Softplus(beta) => steepen(x, gradient, |x| {
                let scaled = beta * x;
                if scaled > SOFTPLUS_LINE { 1.0 } else { sigmoid::<M>(scaled) }
            }),
            Function::LogSigmoid => steepen(x, gradient, |x| sigmoid::<M>(-x)),
            Function::Exp => steepen(y, gradient, |y| y),
            Function::Ln => steepen(x, gradient, f32::recip),
            Function::Sqrt => steepen(y, gradient, |y| 0.5 / y),
            Function::Square => steepen(x, gradient, |x| 2.0 * x),
            Function::Abs => steepen(x, gradient, sign),
            Function::Recip => steepen(y, gradient, |y| -y * y),
            Function::Power(exponent) => steepen(x, gradient, |x| exponent * x.powf(exponent - 1.0)),
        }
    }
}

vectorized! {
    /// Writes `operation` of every two numbers.
    pub(crate) fn combine(operation: Operation, a: &[f32], b: &[f32], y: &mut [MaybeUninit<f32>]) {
        assert!(a.len() == y.len() && b.len() == y.len());
        match operation {
            Operation::Add => map_two(a, b, y, |a, b| a + b),
            Operation::Sub => map_two(a, b, y, |a, b| a - b),
            Operation::Mul => map_two(a, b, y, |a, b| a * b),
            Operation::Div => map_two(a, b, y, |a, b| a / b),
        }
    }
}

vectorized! {
    /// Writes the right operand's gradient from the output's; `values` are left operand, right one and output, those of
    /// which are there that the operation [uses](Operation::uses).
    pub(crate) fn pull_right(
        operation: Operation,
        values: [&[f32]; 3],
        gradient: &[f32],
        target: &mut [MaybeUninit<f32>],
    ) {
        let [left, right, output] = values;
        match operation {
            Operation::Add => map(gradient, target, |gradient| gradient),
            Operation::Sub => map(gradient, target, |gradient| -gradient),
            Operation::Mul => map_two(gradient, left, target, |gradient, left| gradient * left),
            Operation::Div => {
                for (((target, gradient), right), output) in target.iter_mut().zip(gradient).zip(right).zip(output) {
                    target.write(-gradient * output / right);
                }
            }
        }
    }
}

vectorized! {
    /// Makes the left operand's gradient of the output's.
    pub(crate) fn pull_left(operation: Operation, right: &[f32], gradient: &mut [f32]) {
        match operation {
            Operation::Add | Operation::Sub => {}
            Operation::Mul => steepen(right, gradient, |right| right),
            Operation::Div => {
                for (gradient, right) in gradient.iter_mut().zip(right) {
                    *gradient /= right;
                }
            }
        }
    }
}

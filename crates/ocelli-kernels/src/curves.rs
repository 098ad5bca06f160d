//! Activations with exponentials, and their slopes, for the loops of whoever applies them.

use ocelli_simd::MulAdd;
use ocelli_simd::math::{erf, exp_of_negative, sigmoid, tanh};

/// The square root of 2 / π.
const GELU_SCALE: f32 = 0.797_884_6;
/// Weight of the cube in the tanh form of GELU (Hendrycks and Gimpel, 2016, section 2).
const GELU_CUBE: f32 = 0.044_715;
/// 1 / √(2 π), the height of the normal density.
const DENSITY: f32 = 0.398_942_3;

/// `x` times the normal distribution's share below it.
#[inline(always)]
pub(crate) fn gelu<M: MulAdd>(x: f32) -> f32 {
    x * normal_share::<M>(x)
}

#[inline(always)]
pub(crate) fn gelu_slope<M: MulAdd>(x: f32) -> f32 {
    M::mul_add(x * DENSITY, exp_of_negative::<M>(-0.5 * x * x), normal_share::<M>(x))
}

/// [`gelu`] with a hyperbolic tangent in place of the normal distribution.
#[inline(always)]
pub(crate) fn gelu_tanh<M: MulAdd>(x: f32) -> f32 {
    0.5 * x * (1.0 + bend::<M>(x))
}

#[inline(always)]
pub(crate) fn gelu_tanh_slope<M: MulAdd>(x: f32) -> f32 {
    let bend = bend::<M>(x);
    let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * x * x);
    0.5 * (1.0 + bend) + 0.5 * x * (1.0 - bend * bend) * inner
}

/// `x sigmoid(steepness x)`.
#[inline(always)]
pub(crate) fn swish<M: MulAdd>(x: f32, steepness: f32) -> f32 {
    x * sigmoid::<M>(steepness * x)
}

/// The slope of [`swish`] of steepness 1.
#[inline(always)]
pub(crate) fn swish_slope<M: MulAdd>(x: f32) -> f32 {
    let share = sigmoid::<M>(x);
    share * (1.0 + x * (1.0 - share))
}

/// The normal distribution's share below `x`.
#[inline(always)]
fn normal_share<M: MulAdd>(x: f32) -> f32 {
    M::mul_add(0.5, erf::<M>(x * std::f32::consts::FRAC_1_SQRT_2), 0.5)
}

#[inline(always)]
fn bend<M: MulAdd>(x: f32) -> f32 {
    tanh::<M>(GELU_SCALE * (x + GELU_CUBE * x * x * x))
}

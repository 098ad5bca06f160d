//! Activations with exponentials: applied to what a tile has written, while it is still in the first cache.

use super::Activation;
use super::finish::Shortcut;
use crate::memory::OutputRows;
use ocelli_simd::math::{erf, exp_of_negative as exp, tanh};
use ocelli_simd::{MulAdd, vectorized};

/// Replaces numbers by an activation's, and adds the others, if there are any.
pub(super) type Late = fn(&mut [f32], &[f32]);

/// The square root of 2 / π.
const GELU_SCALE: f32 = 0.797_884_6;
/// Weight of the cube (Hendrycks and Gimpel 2016, section 2).
const GELU_CUBE: f32 = 0.044_715;
/// What the sigmoid of [`Activation::QuickGelu`] is steeper by.
const QUICK: f32 = 1.702;

impl Activation {
    /// What is applied to what tiles have written; `None` where they do all by themselves.
    pub(super) fn late(&self) -> Option<Late> {
        match self {
            Self::Silu => Some(silu),
            Self::Gelu => Some(gelu),
            Self::GeluTanh => Some(gelu_tanh),
            Self::QuickGelu => Some(quick_gelu),
            _ => None,
        }
    }
}

/// Replaces numbers by an activation's, plus a shortcut, if there is one.
///
/// # Safety
/// All numbers of all rows were written.
#[allow(unsafe_code)] // the output is not zeroed first
pub(super) unsafe fn apply(late: Late, output: &mut OutputRows<'_>, shortcut: Option<Shortcut<'_>>) {
    for row in 0..output.rows {
        let at = row * output.pitch;
        let added = shortcut.map_or(&[][..], |shortcut| &shortcut.values[at..][..output.len]);
        // SAFETY: all were written, by contract.
        late(unsafe { output.written(row) }, added);
    }
}

/// `x / (1 + exp(-steepness x))`.
#[inline(always)]
fn gated<M: MulAdd>(x: f32, steepness: f32) -> f32 {
    // The exponential of a negative number cannot overflow.
    let power = exp::<M>(-(steepness * x).abs());
    let gate = if x < 0.0 { power } else { 1.0 } / (1.0 + power);
    x * gate
}

macro_rules! late {
    ($($name:ident: |$x:ident| $value:expr;)+) => {$(
        vectorized! {
            fn $name<M>(values: &mut [f32], added: &[f32]) {
                for value in values.iter_mut() {
                    let $x = *value;
                    *value = $value;
                }
                for (value, added) in values.iter_mut().zip(added) {
                    *value += added;
                }
            }
        }
    )+};
}

late! {
    silu: |x| gated::<M>(x, 1.0);
    quick_gelu: |x| gated::<M>(x, QUICK);
    gelu: |x| 0.5 * x * (1.0 + erf::<M>(x * std::f32::consts::FRAC_1_SQRT_2));
    gelu_tanh: |x| 0.5 * x * (1.0 + tanh::<M>(GELU_SCALE * (x + GELU_CUBE * x * x * x)));
}

//! Activations with exponentials: applied to what a tile has written, while it is still in the first cache.

use super::Activation;
use super::finish::Shortcut;
use crate::curves::{gelu, gelu_tanh, swish};
use crate::memory::OutputRows;
use ocelli_simd::vectorized;

/// Replaces numbers by an activation's, and adds the others, if there are any.
pub(super) type Late = fn(&mut [f32], &[f32]);

/// What the sigmoid of [`Activation::QuickGelu`] is steeper by.
const QUICK: f32 = 1.702;

impl Activation {
    /// What is applied to what tiles have written; `None` where they do all by themselves.
    pub(super) fn late(&self) -> Option<Late> {
        match self {
            Self::Silu => Some(late_silu),
            Self::Gelu => Some(late_gelu),
            Self::GeluTanh => Some(late_gelu_tanh),
            Self::QuickGelu => Some(late_quick_gelu),
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
    late_silu: |x| swish::<M>(x, 1.0);
    late_quick_gelu: |x| swish::<M>(x, QUICK);
    late_gelu: |x| gelu::<M>(x);
    late_gelu_tanh: |x| gelu_tanh::<M>(x);
}

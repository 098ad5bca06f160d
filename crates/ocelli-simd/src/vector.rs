//! Plain loops compiled for the processor they run on.

use std::sync::OnceLock;

/// `a b + c` as an instruction set computes it best: a type that the elementary functions of [`math`](crate::math) are
/// compiled for.
///
/// Whether the processor has an instruction for it must be known when a loop is compiled: without one `f32::mul_add` is a call.
pub trait MulAdd: Copy {
    /// `a b + c`.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// One rounding, by one instruction.
#[derive(Clone, Copy, Debug)]
pub struct Fused;

/// A product and a sum, each rounded.
#[derive(Clone, Copy, Debug)]
pub struct Separate;

impl MulAdd for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl MulAdd for Separate {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// What the instruction set has that the target always has.
#[cfg(any(target_arch = "aarch64", target_feature = "fma"))]
pub type BaseMulAdd = Fused;
/// What the instruction set has that the target always has.
#[cfg(not(any(target_arch = "aarch64", target_feature = "fma")))]
pub type BaseMulAdd = Separate;

/// Compiles a safe function three times, for AVX-512, AVX2 and the base instruction set, and picks one at run time.
///
/// The body is ordinary Rust that the compiler vectorises; there is nothing to keep in step by hand. What it calls should be
/// `#[inline(always)]`, and its loops loops: a closure given to `map` of an array may be compiled on its own, without
/// the instruction set, where a fused product is a call. A function with a type parameter gets the [`MulAdd`] of the
/// instruction set for it:
///
/// ```
/// use ocelli_simd::{math::exp, vectorized};
///
/// vectorized! {
///     fn exponentials<M>(values: &mut [f32]) {
///         values.iter_mut().for_each(|value| *value = exp::<M>(*value));
///     }
/// }
/// let mut values = [0.0; 20];
/// exponentials(&mut values);
/// assert_eq!(values, [1.0; 20]);
/// ```
#[macro_export]
macro_rules! vectorized {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$mul_add:ident>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    ) => {
        $(#[$meta])*
        #[allow(unsafe_code)] // calls to functions that need the processor's features
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body$(<$mul_add: $crate::MulAdd>)?($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    $crate::vectorized!(@call body $(<$mul_add>)? $crate::Fused, $($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $crate::vectorized!(@call body $(<$mul_add>)? $crate::Fused, $($arg),*)
                }
                match $crate::level() {
                    // SAFETY: the processor has the features the function is compiled for.
                    $crate::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::Level::Base => {}
                }
            }
            $crate::vectorized!(@call body $(<$mul_add>)? $crate::BaseMulAdd, $($arg),*)
        }
    };
    (@call $body:ident <$name:ident> $mul_add:ty, $($arg:ident),*) => { $body::<$mul_add>($($arg),*) };
    (@call $body:ident $mul_add:ty, $($arg:ident),*) => { $body($($arg),*) };
}
/// What this processor offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// AVX-512 F, VL, BW, DQ, and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The instruction set that the target always has.
    Base,
}

/// The best level of this processor.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(detect)
}

fn detect() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512vl") && has!("avx512bw") && has!("avx512dq") && has!("fma") {
            return Level::Avx512;
        }
        if has!("avx2") && has!("fma") {
            return Level::Avx2;
        }
    }
    Level::Base
}

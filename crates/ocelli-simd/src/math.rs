//! Elementary functions in single precision without branches, for loops that the compiler vectorises.
//!
//! They are meant for functions that are [`vectorized!`](crate::vectorized), into which they are compiled with the
//! [`MulAdd`] of the instruction set, and right to a few units in the last place; NaN stays NaN.

use std::f32::consts::{LN_2, LOG2_E, SQRT_2};

use crate::MulAdd;

/// 1.5 · 2²³ + 127: adding it rounds to a whole number, which is then found in the lowest bits, plus the bias of exponents.
const ROUNDING: f32 = 12_583_039.0;
/// ln 2 in two parts, of which the first has few digits, so that its small multiples are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Below this `eˣ` is no normal number any more.
const LOWEST: f32 = -87.336_54;
/// Above this it is no number any more.
const HIGHEST: f32 = 88.722_83;

/// A polynomial, its coefficients from the highest power on.
#[inline(always)]
fn polynomial<M: MulAdd, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    for &coefficient in &coefficients[1..] {
        sum = M::mul_add(sum, x, coefficient);
    }
    sum
}

/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`: `r`, and `n + 127` in the lowest bits of the second.
#[inline(always)]
fn reduce<M: MulAdd>(x: f32) -> (f32, u32) {
    let shifted = M::mul_add(x, LOG2_E, ROUNDING);
    let n = shifted - ROUNDING;
    (M::mul_add(n, -LN_2_LOW, M::mul_add(n, -LN_2_HIGH, x)), shifted.to_bits())
}

/// `(eʳ - 1) / r` for `|r| <= ln 2 / 2`: Taylor's first two terms, and a polynomial fitted to the others.
#[inline(always)]
fn growth<M: MulAdd>(r: f32) -> f32 {
    polynomial::<M, 6>(r, [0.001_386_374_8, 0.008_367_52, 0.041_667_238, 0.166_665_33, 0.5, 1.0])
}

/// `eˣ`. What would be smaller than the normal numbers is 0.
#[inline(always)]
pub fn exp<M: MulAdd>(x: f32) -> f32 {
    let (r, n) = reduce::<M>(x);
    let power = M::mul_add(growth::<M>(r), r, 1.0);
    // 2ⁿ itself need not be a number where the product is.
    let power = f32::from_bits(power.to_bits().wrapping_add(n.wrapping_sub(127) << 23));
    let power = if x < LOWEST { 0.0 } else { power };
    let power = if x > HIGHEST { f32::INFINITY } else { power };
    if x.is_nan() { x } else { power }
}

/// `eˣ` for numbers up to 0.
#[inline(always)]
pub fn exp_of_negative<M: MulAdd>(x: f32) -> f32 {
    let (r, n) = reduce::<M>(x);
    let power = M::mul_add(growth::<M>(r), r, 1.0) * f32::from_bits(n << 23);
    if x < LOWEST { 0.0 } else { power }
}

/// `eˣ - 1`, with all its digits near 0.
#[inline(always)]
pub fn exp_m1<M: MulAdd>(x: f32) -> f32 {
    // Beyond this nothing is left of the power.
    let held = if x < -30.0 { -30.0 } else { x };
    let (r, n) = reduce::<M>(held);
    let near = growth::<M>(r) * r;
    let power = exp::<M>(held) - 1.0;
    if n == ROUNDING.to_bits() { near } else { power }
}

/// What the series of `2 artanh s` has beyond `2 s`, over `s`, cut off below the rounding.
#[inline(always)]
fn artanh_tail<M: MulAdd>(s: f32) -> f32 {
    let z = s * s;
    z * polynomial::<M, 4>(z, [2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0])
}

/// `ln x`; of negative numbers NaN, of 0 minus infinity.
#[inline(always)]
pub fn ln<M: MulAdd>(x: f32) -> f32 {
    // Numbers below the normal ones are brought among them.
    let tiny = x < f32::MIN_POSITIVE;
    let bits = (if tiny { x * 8_388_608.0 } else { x }).to_bits();
    // x = m 2ⁿ with m between the roots of 1/2 and 2.
    let half_root = (SQRT_2 / 2.0).to_bits();
    let n = (bits.wrapping_sub(half_root) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((n as u32) << 23));
    let n = n as f32 - if tiny { 23.0 } else { 0.0 };
    // ln m = 2 artanh s; 2 s is written as f - s f to keep f's digits.
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let near = M::mul_add(-s, f - artanh_tail::<M>(s), f);
    let logarithm = M::mul_add(n, LN_2_HIGH, M::mul_add(n, LN_2_LOW, near));
    let logarithm = if x == f32::INFINITY { x } else { logarithm };
    let logarithm = if x == 0.0 { f32::NEG_INFINITY } else { logarithm };
    if x < 0.0 || x.is_nan() { f32::NAN } else { logarithm }
}

/// `ln(1 + x)` for numbers from 0 to 1, with all its digits near 0.
#[inline(always)]
pub fn ln_1p_of_unit<M: MulAdd>(x: f32) -> f32 {
    let s = x / (2.0 + x);
    // Up to the root of 2 the series is that of `ln`; above, `ln` itself has the digits.
    let near = M::mul_add(-s, x - artanh_tail::<M>(s), x);
    let half = (x - 1.0) / (3.0 + x);
    // ln((1 + x) / 2) + ln 2.
    let far = M::mul_add(half, 2.0 + artanh_tail::<M>(half), LN_2);
    if x < SQRT_2 - 1.0 { near } else { far }
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub fn sigmoid<M: MulAdd>(x: f32) -> f32 {
    let power = exp_of_negative::<M>(-x.abs());
    (if x < 0.0 { power } else { 1.0 }) / (1.0 + power)
}

/// `ln(1 + eˣ)`.
#[inline(always)]
pub fn softplus<M: MulAdd>(x: f32) -> f32 {
    let above = if x < 0.0 { 0.0 } else { x };
    above + ln_1p_of_unit::<M>(exp_of_negative::<M>(-x.abs()))
}

/// An odd function that ends in 1: `x` times a quotient of polynomials in its square, with `x` held where 1 is reached. All
/// coefficients are positive, so that no digits are lost.
#[inline(always)]
fn odd<M: MulAdd, const N: usize>(x: f32, end: f32, upper: [f32; N], lower: [f32; N]) -> f32 {
    let held = if x > end { end } else { x };
    let held = if held < -end { -end } else { held };
    let z = held * held;
    let value = held * polynomial::<M, N>(z, upper) / polynomial::<M, N>(z, lower);
    let value = if value > 1.0 { 1.0 } else { value };
    if value < -1.0 { -1.0 } else { value }
}

/// The hyperbolic tangent, by a quotient fitted to the least largest relative error of all rounded coefficients nearby.
#[inline(always)]
pub fn tanh<M: MulAdd>(x: f32) -> f32 {
    odd::<M, 5>(
        x,
        9.02,
        [1.331_932_8e-8, 2.058_370_6e-5, 0.003_494_050_1, 0.133_797_32, 0.999_999_94],
        [7.762_131_4e-7, 3.283_117e-4, 0.025_871_135, 0.467_130_42, 1.0],
    )
}

/// The error function, by a quotient fitted like that of [`tanh`].
#[inline(always)]
#[allow(clippy::approx_constant)] // the last coefficient is the neighbour of 2 / √π that fits better
pub fn erf<M: MulAdd>(x: f32) -> f32 {
    odd::<M, 6>(
        x,
        3.95,
        [2.025_827_4e-6, 2.846_785_4e-4, 0.003_808_073_5, 0.052_875_172, 0.191_549_32, 1.128_379_1],
        [3.783_047_6e-5, 0.001_170_690_3, 0.015_054_929, 0.114_559_05, 0.503_088_95, 1.0],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fused, Separate};

    /// Checks `got` against `expected` in double precision at many numbers between two, up to `ulps` units in the last
    /// place of the result or of `floor`, whichever is larger.
    fn check(
        name: &str,
        [from, to]: [f64; 2],
        ulps: f64,
        floor: f64,
        got: impl Fn(f32) -> f32,
        expected: impl Fn(f64) -> f64,
    ) {
        for step in 0..=200_000 {
            let x = (from + (to - from) * f64::from(step) / 200_000.0) as f32;
            let (got, expected) = (f64::from(got(x)), expected(f64::from(x)));
            let unit = f64::from(f32::EPSILON) * expected.abs().max(floor);
            assert!((got - expected).abs() <= ulps * unit, "{name}({x}) = {got}, expected {expected}");
        }
    }

    /// The error function by its series and its continued fraction.
    fn exact_erf(x: f64) -> f64 {
        let z = x.abs();
        let scale = 2.0 / std::f64::consts::PI.sqrt() * (-z * z).exp();
        let magnitude = if z < 3.0 {
            let (mut term, mut sum) = (z, z);
            for n in 1..100 {
                term *= 2.0 * z * z / f64::from(2 * n + 1);
                sum += term;
            }
            scale * sum
        } else {
            let fraction = (1..60).rev().fold(z, |fraction, n| z + f64::from(n) / 2.0 / fraction);
            1.0 - scale / 2.0 / fraction
        };
        magnitude.copysign(x)
    }

    #[test]
    fn functions_are_right_to_the_last_digits() {
        check_digits::<Fused>();
        check_digits::<Separate>();
    }

    fn check_digits<M: MulAdd>() {
        let tiny = f64::from(f32::MIN_POSITIVE);
        check("exp", [-87.3, 88.7], 2.0, tiny, exp::<M>, f64::exp);
        check("exp_of_negative", [-87.3, 0.0], 2.0, tiny, exp_of_negative::<M>, f64::exp);
        check("exp_m1", [-40.0, 40.0], 3.0, 0.0, exp_m1::<M>, f64::exp_m1);
        check("exp_m1", [-0.5, 0.5], 3.0, 0.0, exp_m1::<M>, f64::exp_m1);
        check("ln", [1e-3, 4.0], 2.5, 0.0, ln::<M>, f64::ln);
        check("ln", [1.0, 1e30], 2.0, 0.0, ln::<M>, f64::ln);
        check("ln_1p", [0.0, 1.0], 2.5, 0.0, ln_1p_of_unit::<M>, f64::ln_1p);
        check("sigmoid", [-80.0, 80.0], 3.0, tiny, sigmoid::<M>, |x| 1.0 / (1.0 + (-x).exp()));
        check("softplus", [-80.0, 80.0], 3.0, tiny, softplus::<M>, |x| x.max(0.0) + (-x.abs()).exp().ln_1p());
        check("tanh", [-10.0, 10.0], 3.0, 0.0, tanh::<M>, f64::tanh);
        check("tanh", [-0.7, 0.7], 2.5, 0.0, tanh::<M>, f64::tanh);
        check("erf", [-5.0, 5.0], 3.0, 0.0, erf::<M>, exact_erf);
        check("erf", [-0.01, 0.01], 2.5, 0.0, erf::<M>, exact_erf);
    }

    #[test]
    fn ends_are_reached_and_nan_is_kept() {
        check_ends::<Fused>();
        check_ends::<Separate>();
    }

    fn check_ends<M: MulAdd>() {
        let (most, least) = (f32::INFINITY, f32::NEG_INFINITY);
        assert_eq!(
            [exp::<M>(most), exp::<M>(100.0), exp::<M>(least), exp::<M>(-90.0)],
            [most, most, 0.0, 0.0]
        );
        assert_eq!(
            [exp_of_negative::<M>(least), exp_of_negative::<M>(-1e9), exp_of_negative::<M>(0.0)],
            [0.0, 0.0, 1.0]
        );
        assert_eq!([exp_m1::<M>(most), exp_m1::<M>(least), exp_m1::<M>(0.0)], [most, -1.0, 0.0]);
        assert_eq!([ln::<M>(most), ln::<M>(0.0), ln::<M>(1.0)], [most, least, 0.0]);
        assert!(ln::<M>(-1.0).is_nan());
        assert!((ln::<M>(1e-40) - 1e-40_f64.ln() as f32).abs() < 1e-3);
        assert_eq!(
            [sigmoid::<M>(most), sigmoid::<M>(least), softplus::<M>(most), softplus::<M>(least)],
            [1.0, 0.0, most, 0.0]
        );
        assert_eq!(
            [tanh::<M>(most), tanh::<M>(least), erf::<M>(most), erf::<M>(least)],
            [1.0, -1.0, 1.0, -1.0]
        );
        let functions: [fn(f32) -> f32; 9] = [
            exp::<M>,
            exp_of_negative::<M>,
            exp_m1::<M>,
            ln::<M>,
            ln_1p_of_unit::<M>,
            sigmoid::<M>,
            softplus::<M>,
            tanh::<M>,
            erf::<M>,
        ];
        for function in functions {
            assert!(function(f32::NAN).is_nan());
        }
    }
}

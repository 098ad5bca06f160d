//! Elementary functions in single precision without branches, for loops that the compiler vectorises.
//!
//! They are meant for functions that are [`vectorized!`](crate::vectorized), into which they are compiled, and right to a few
//! units in the last place; NaN stays NaN.

use std::f32::consts::{FRAC_2_SQRT_PI, LN_2, LOG2_E, SQRT_2};

/// 1.5 · 2²³: adding it rounds to a whole number, which is then found in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first has few digits, so that its small multiples are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Below this `eˣ` is no normal number any more.
const LOWEST: f32 = -87.336_54;
/// Above this it is no number any more.
const HIGHEST: f32 = 88.722_83;

/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`: `r`, and `n` in the lowest bits of the second.
#[inline(always)]
fn reduce(x: f32) -> (f32, u32) {
    let shifted = x * LOG2_E + ROUNDING;
    let n = shifted - ROUNDING;
    ((x - n * LN_2_HIGH) - n * LN_2_LOW, shifted.to_bits().wrapping_sub(ROUNDING.to_bits()))
}

/// `(eʳ - 1) / r` for `|r| <= ln 2 / 2`: Taylor's series, whose next term is below the rounding. Its terms are summed in pairs,
/// which need not wait for each other.
#[inline(always)]
fn growth(r: f32) -> f32 {
    let (square, fourth) = (r * r, (r * r) * (r * r));
    let low = (1.0 + r * 0.5) + square * (1.0 / 6.0 + r * (1.0 / 24.0));
    let high = (1.0 / 120.0 + r * (1.0 / 720.0)) + square * (1.0 / 5040.0 + r * (1.0 / 40_320.0));
    low + fourth * high
}

/// `value 2ⁿ`, for results that are normal numbers.
#[inline(always)]
fn scale(value: f32, n: u32) -> f32 {
    f32::from_bits(value.to_bits().wrapping_add(n << 23))
}

/// `eˣ`. What would be smaller than the normal numbers is 0.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (r, n) = reduce(x);
    let power = scale(growth(r) * r + 1.0, n);
    let power = if x < LOWEST { 0.0 } else { power };
    let power = if x > HIGHEST { f32::INFINITY } else { power };
    if x.is_nan() { x } else { power }
}

/// `eˣ` for numbers up to 0.
#[inline(always)]
pub fn exp_of_negative(x: f32) -> f32 {
    let (r, n) = reduce(x);
    let power = (growth(r) * r + 1.0) * f32::from_bits(n.wrapping_add(127) << 23);
    if x < LOWEST { 0.0 } else { power }
}

/// `eˣ - 1`, with all its digits near 0.
#[inline(always)]
pub fn exp_m1(x: f32) -> f32 {
    // Beyond this nothing is left of the power.
    let held = if x < -30.0 { -30.0 } else { x };
    let (r, n) = reduce(held);
    let near = growth(r) * r;
    let power = exp(held) - 1.0;
    if n == 0 { near } else { power }
}

/// `ln x`; of negative numbers NaN, of 0 minus infinity.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    // Numbers below the normal ones are brought among them.
    let tiny = x < f32::MIN_POSITIVE;
    let bits = (if tiny { x * 8_388_608.0 } else { x }).to_bits();
    // x = m 2ⁿ with m between the roots of 1/2 and 2.
    let half_root = (SQRT_2 / 2.0).to_bits();
    let n = (bits.wrapping_sub(half_root) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((n as u32) << 23));
    let n = n as f32 - if tiny { 23.0 } else { 0.0 };
    // ln m = 2 artanh s, whose series is cut off below the rounding; 2 s is written as f - s f to keep f's digits.
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let tail = z * (2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * (2.0 / 9.0))));
    let logarithm = n * LN_2_HIGH + (f - s * (f - tail) + n * LN_2_LOW);
    let logarithm = if x == f32::INFINITY { x } else { logarithm };
    let logarithm = if x == 0.0 { f32::NEG_INFINITY } else { logarithm };
    if x < 0.0 || x.is_nan() { f32::NAN } else { logarithm }
}

/// `ln(1 + x)` for numbers from 0 to 1, with all its digits near 0.
#[inline(always)]
pub fn ln_1p_of_unit(x: f32) -> f32 {
    let s = x / (2.0 + x);
    // Up to the root of 2 the series is that of `ln`; above, `ln` itself has the digits.
    let z = s * s;
    let tail = z * (2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * (2.0 / 9.0))));
    let near = x - s * (x - tail);
    let half = (x - 1.0) / (3.0 + x);
    let z = half * half;
    let tail = z * (2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * (2.0 / 9.0))));
    // ln((1 + x) / 2) + ln 2.
    let far = half * (2.0 + tail) + LN_2;
    if x < SQRT_2 - 1.0 { near } else { far }
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `ln(1 + eˣ)`.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let above = if x < 0.0 { 0.0 } else { x };
    above + ln_1p_of_unit(exp_of_negative(-x.abs()))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    let mut series = -0.005_652_359;
    for factor in [0.020_583_503, -0.053_718_496, 0.133_310_91, -0.333_332_6, 1.0] {
        series = series * z + factor;
    }
    let magnitude = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    let far = magnitude.copysign(x);
    if x.abs() < 0.625 { x * series } else { far }
}

/// The error function. Near 0 a polynomial in the square; elsewhere `1 - e⁻ᵖ` with a polynomial `p`, both fitted by least
/// squares on Chebyshev's points.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let z = x * x;
    let mut near = 8.179_484e-5;
    for factor in [-8.096_17e-4, 0.005_196_795, -0.026_857_631, 0.112_836_62, -0.376_126_32, FRAC_2_SQRT_PI] {
        near = near * z + factor;
    }
    let magnitude = x.abs();
    let held = if magnitude > 3.92 { 3.92 } else { magnitude };
    let mut power = 2.011_306_2e-5;
    for factor in [
        -4.227_827_3e-4,
        0.004_113_416,
        -0.024_966_05,
        0.108_042_03,
        0.633_562_8,
        1.129_408_8,
        -1.528_326_5e-4,
    ] {
        power = power * held + factor;
    }
    let far = (1.0 - exp_of_negative(-power)).copysign(x);
    if magnitude < 0.95 { x * near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let tiny = f64::from(f32::MIN_POSITIVE);
        check("exp", [-87.3, 88.7], 2.0, tiny, exp, f64::exp);
        check("exp_of_negative", [-87.3, 0.0], 2.0, tiny, exp_of_negative, f64::exp);
        check("exp_m1", [-40.0, 40.0], 3.0, 0.0, exp_m1, f64::exp_m1);
        check("exp_m1", [-0.5, 0.5], 3.0, 0.0, exp_m1, f64::exp_m1);
        check("ln", [1e-3, 4.0], 2.5, 0.0, ln, f64::ln);
        check("ln", [1.0, 1e30], 2.0, 0.0, ln, f64::ln);
        check("ln_1p", [0.0, 1.0], 2.5, 0.0, ln_1p_of_unit, f64::ln_1p);
        check("sigmoid", [-80.0, 80.0], 3.0, tiny, sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
        check("softplus", [-80.0, 80.0], 3.0, tiny, softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p());
        check("tanh", [-10.0, 10.0], 2.5, 0.0, tanh, f64::tanh);
        check("tanh", [-0.7, 0.7], 2.5, 0.0, tanh, f64::tanh);
        check("erf", [-5.0, 5.0], 2.5, 0.0, erf, exact_erf);
        check("erf", [-0.01, 0.01], 2.5, 0.0, erf, exact_erf);
    }

    #[test]
    fn ends_are_reached_and_nan_is_kept() {
        let (most, least) = (f32::INFINITY, f32::NEG_INFINITY);
        assert_eq!([exp(most), exp(100.0), exp(least), exp(-90.0)], [most, most, 0.0, 0.0]);
        assert_eq!([exp_of_negative(least), exp_of_negative(-1e9), exp_of_negative(0.0)], [0.0, 0.0, 1.0]);
        assert_eq!([exp_m1(most), exp_m1(least), exp_m1(0.0)], [most, -1.0, 0.0]);
        assert_eq!([ln(most), ln(0.0), ln(1.0)], [most, least, 0.0]);
        assert!(ln(-1.0).is_nan());
        assert!((ln(1e-40) - 1e-40_f64.ln() as f32).abs() < 1e-3);
        assert_eq!([sigmoid(most), sigmoid(least), softplus(most), softplus(least)], [1.0, 0.0, most, 0.0]);
        assert_eq!([tanh(most), tanh(least), erf(most), erf(least)], [1.0, -1.0, 1.0, -1.0]);
        for function in [exp, exp_of_negative, exp_m1, ln, ln_1p_of_unit, sigmoid, softplus, tanh, erf] {
            assert!(function(f32::NAN).is_nan());
        }
    }
}

//! Where an axis is marked, and how the marks read.

use super::axis::{LARGEST, Scale};

/// About so many intervals an axis is cut into.
const INTERVALS: f64 = 6.0;
/// A range narrower than this share of its values is one value: `f64` could no longer tell its ticks apart.
const NARROWEST: f64 = 1e-9;
/// Ratios below this are marked by equal differences even on a log axis: powers of ten would lie outside.
const NARROW_RATIO: f64 = 3.0;
/// Up to so many decades a log axis is marked at 1, 2 and 5 too.
const FEW_DECADES: f64 = 2.2;

/// The marks of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    /// Labelled marks, ascending, at least two before [`Self::kept_within`].
    pub(super) major: Vec<f64>,
    /// Unlabelled marks between the labelled ones of a log axis, ascending.
    pub(super) minor: Vec<f64>,
}

impl Ticks {
    /// Round values of which the first is at or below `low` and the last at or above `high`.
    ///
    /// Any two numbers will do: reversed ends are swapped, ends off the scale are moved onto it, and a range of one
    /// value is widened around it.
    pub(super) fn covering(scale: Scale, low: f64, high: f64) -> Self {
        let smallest = match scale {
            Scale::Linear => -LARGEST,
            Scale::Log => 1.0 / LARGEST,
        };
        let onto_scale = |value: f64| if value.is_nan() { smallest } else { value.clamp(smallest, LARGEST) };
        let (low, high) = (onto_scale(low.min(high)), onto_scale(high.max(low)));
        match scale {
            Scale::Linear => Self { major: linear(low, high), minor: Vec::new() },
            Scale::Log => log(low, high),
        }
    }

    /// The first and last labelled mark.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.major[0], self.major[self.major.len() - 1])
    }

    /// The marks without those outside the given range.
    pub(super) fn kept_within(mut self, (low, high): (f64, f64)) -> Self {
        let slack = (high - low) * NARROWEST;
        let inside = |value: &f64| (low - slack..=high + slack).contains(value);
        self.major.retain(inside);
        self.minor.retain(inside);
        self
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(low: f64, high: f64) -> Vec<f64> {
    let (low, high) = widened(low, high);
    let step = round_step((high - low) / INTERVALS);
    // Without the slack 0.3 / 0.1 = 2.999… would start an axis at 0.2.
    let first = (low / step + NARROWEST).floor();
    let last = (high / step - NARROWEST).ceil();
    // Between 2 and 8 intervals, whatever the range: `round_step` is within a factor 2.5 of the step asked for.
    let intervals = (last - first) as usize;
    (0..=intervals).map(|k| (first + k as f64) * step).collect()
}

/// A range that `f64` can divide: a single value gets a tenth of itself on either side, zero gets one.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let magnitude = low.abs().max(high.abs());
    if magnitude < 1.0 / LARGEST {
        return (-1.0, 1.0);
    }
    if high - low > magnitude * NARROWEST {
        return (low, high);
    }
    (low - magnitude / 10.0, high + magnitude / 10.0)
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let decade = power_of_ten(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= step * (1.0 - NARROWEST));
    factor.unwrap_or(10.0) * decade
}

fn log(low: f64, high: f64) -> Ticks {
    let decades = high.log10() - low.log10();
    if high / low < NARROW_RATIO {
        let major = linear(low, high);
        if major[0] > 0.0 {
            return Ticks { major, minor: Vec::new() };
        }
    }
    if decades <= FEW_DECADES {
        return Ticks { major: subdivided(low, high, &[1.0, 2.0, 5.0]), minor: Vec::new() };
    }
    let stride = (decades / INTERVALS).ceil();
    let first = (low.log10() / stride + NARROWEST).floor();
    let last = (high.log10() / stride - NARROWEST).ceil();
    let major: Vec<f64> =
        (0..=(last - first) as usize).map(|k| power_of_ten((first + k as f64) * stride)).collect();
    let minor = if stride > 1.0 {
        Vec::new()
    } else {
        let between: Vec<f64> = (2..=9).map(f64::from).collect();
        major[..major.len() - 1].iter().flat_map(|decade| between.iter().map(move |k| k * decade)).collect()
    };
    Ticks { major, minor }
}

/// The products of `factors` with powers of ten, from the last at or below `low` to the first at or above `high`.
fn subdivided(low: f64, high: f64, factors: &[f64]) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32 - 1, high.log10().ceil() as i32 + 1);
    let all: Vec<f64> = (first..=last)
        .flat_map(|decade| factors.iter().map(move |k| k * power_of_ten(f64::from(decade))))
        .collect();
    let start = all.iter().rposition(|tick| *tick <= low * (1.0 + NARROWEST)).unwrap_or(0);
    let end = all.iter().position(|tick| *tick >= high * (1.0 - NARROWEST)).unwrap_or(all.len() - 1);
    all[start..=end].to_vec()
}

/// 10 to the `exponent`, a whole number, as the nearest `f64`: `powi` is a unit off for many negative exponents.
fn power_of_ten(exponent: f64) -> f64 {
    let power = 10_f64.powi(exponent.abs() as i32);
    if exponent < 0.0 { 1.0 / power } else { power }
}

/// What stands beside each major tick: as few digits as tell the ticks apart, and the same number for all of them.
pub(super) fn labels(ticks: &Ticks, scale: Scale, percent: bool) -> Vec<String> {
    let (factor, unit) = if percent { (100.0, "%") } else { (1.0, "") };
    let values: Vec<f64> = ticks.major.iter().map(|value| value * factor).collect();
    let plain = match scale {
        Scale::Linear => linear_labels(&values),
        Scale::Log if evenly_spaced(&values) => linear_labels(&values),
        Scale::Log => log_labels(&values),
    };
    plain.into_iter().map(|label| label + unit).collect()
}

/// Whether a log axis is so narrow that its ticks have equal differences.
fn evenly_spaced(values: &[f64]) -> bool {
    values.windows(3).all(|v| ((v[2] - v[1]) - (v[1] - v[0])).abs() <= (v[2] - v[0]) * NARROWEST)
}

fn linear_labels(values: &[f64]) -> Vec<String> {
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let step = values.windows(2).map(|pair| pair[1] - pair[0]).next().unwrap_or(largest);
    let (unit, suffix) = unit_of(largest);
    let decimals = decimals_of(step / unit);
    let write = |value: &f64| {
        // A multiple of the step this small is zero with a rounding error, or -0.
        if value.abs() <= step.abs() * NARROWEST {
            "0".to_owned()
        } else {
            signed(value / unit, decimals) + &suffix
        }
    };
    values.iter().map(write).collect()
}

fn log_labels(values: &[f64]) -> Vec<String> {
    let plain = values.iter().all(|value| (0.999e-3..1e4).contains(value));
    let write = |value: &f64| {
        let exponent = (value.log10() + NARROWEST).floor();
        let digit = (value / power_of_ten(exponent)).round();
        if plain {
            signed(*value, decimals_of(*value))
        } else if *value == 1.0 {
            "1".to_owned()
        } else if digit == 1.0 {
            format!("10{}", superscript(exponent))
        } else {
            format!("{digit}×10{}", superscript(exponent))
        }
    };
    values.iter().map(write).collect()
}

/// The unit in which values up to `largest` are short, with the sign that stands for it.
fn unit_of(largest: f64) -> (f64, String) {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    if largest == 0.0 || (1e-4..1e4).contains(&largest) {
        return (1.0, String::new());
    }
    if (1e4..1e15).contains(&largest)
        && let Some((unit, suffix)) = UNITS.into_iter().find(|(unit, _)| largest >= *unit)
    {
        return (unit, suffix.to_owned());
    }
    let exponent = (largest.log10() + NARROWEST).floor();
    (power_of_ten(exponent), format!("×10{}", superscript(exponent)))
}

/// How many digits after the point a multiple of `step` needs, where `step` has one significant digit.
fn decimals_of(step: f64) -> usize {
    // No axis has ticks that need more, see `NARROWEST`.
    const MOST: f64 = 12.0;
    if step > 0.0 { (-(step.log10() + NARROWEST).floor()).clamp(0.0, MOST) as usize } else { 0 }
}

/// `value` with a true minus sign.
fn signed(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}").replace('-', "−")
}

/// A whole number in raised digits.
fn superscript(number: f64) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raise = |character: char| character.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]);
    format!("{number:.0}").chars().map(raise).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(scale: Scale, low: f64, high: f64) -> String {
        labels(&Ticks::covering(scale, low, high), scale, false).join(" ")
    }

    fn check(scale: Scale, low: f64, high: f64) {
        let ticks = Ticks::covering(scale, low, high);
        let context = format!("{scale:?} {low:e}..{high:e}: {ticks:?}");
        assert!((2..=10).contains(&ticks.major.len()), "{context}");
        for marks in [&ticks.major, &ticks.minor] {
            assert!(marks.iter().all(|tick| tick.is_finite()), "{context}");
            assert!(marks.windows(2).all(|pair| pair[0] < pair[1]), "{context}");
        }
        let (first, last) = ticks.ends();
        let slack = (last - first) * 1e-8;
        let smallest = if scale == Scale::Log { 1.0 / LARGEST } else { -LARGEST };
        assert!(first <= low.min(high).clamp(smallest, LARGEST) + slack, "{context}");
        assert!(last >= high.max(low).clamp(smallest, LARGEST) - slack, "{context}");
        assert!(scale == Scale::Linear || first > 0.0, "{context}");
        let labels = labels(&ticks, scale, false);
        assert_eq!(labels.len(), ticks.major.len());
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?} {context}");
        assert!(labels.iter().all(|label| label.chars().count() <= 20), "{labels:?} {context}");
    }

    #[test]
    fn linear_axes_read_well() {
        assert_eq!(read(Scale::Linear, 0.0, 1.0), "0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(read(Scale::Linear, 0.31, 0.34), "0.310 0.315 0.320 0.325 0.330 0.335 0.340");
        assert_eq!(read(Scale::Linear, -3.0, 3.0), "−3 −2 −1 0 1 2 3");
        assert_eq!(read(Scale::Linear, 0.0, 937.0), "0 200 400 600 800 1000");
        assert_eq!(read(Scale::Linear, 0.0, 20_000.0), "0 5k 10k 15k 20k");
        assert_eq!(read(Scale::Linear, 0.0, 2.4e6), "0 0.5M 1.0M 1.5M 2.0M 2.5M");
        assert_eq!(read(Scale::Linear, 0.0, 3e-5), "0 0.5×10⁻⁵ 1.0×10⁻⁵ 1.5×10⁻⁵ 2.0×10⁻⁵ 2.5×10⁻⁵ 3.0×10⁻⁵");
        let quarters = Ticks::covering(Scale::Linear, 0.5, 1.0);
        assert_eq!(labels(&quarters, Scale::Linear, true).join(" "), "50% 60% 70% 80% 90% 100%");
    }

    #[test]
    fn log_axes_read_well() {
        assert_eq!(read(Scale::Log, 1e-4, 1.0), "10⁻⁴ 10⁻³ 10⁻² 10⁻¹ 1");
        assert_eq!(read(Scale::Log, 2e-3, 0.9), "0.001 0.01 0.1 1");
        assert_eq!(read(Scale::Log, 0.3, 9.0), "0.2 0.5 1 2 5 10");
        assert_eq!(read(Scale::Log, 2.1, 2.4), "2.10 2.15 2.20 2.25 2.30 2.35 2.40");
        assert_eq!(read(Scale::Log, 1e-30, 1.0), "10⁻³⁰ 10⁻²⁵ 10⁻²⁰ 10⁻¹⁵ 10⁻¹⁰ 10⁻⁵ 1");
        let ticks = Ticks::covering(Scale::Log, 1e-4, 1.0);
        assert_eq!(ticks.minor.len(), 4 * 8);
        assert!((ticks.minor[0] - 2e-4).abs() < 1e-18);
    }

    #[test]
    fn degenerate_ranges_still_have_ticks() {
        let ends = [0.0, -0.0, 1.0, -7.3, 1e-300, 5e-324, 1e-100, 1e16, 1e100, 1e300, f64::MAX, f64::MIN];
        for scale in [Scale::Linear, Scale::Log] {
            for low in ends {
                for high in ends {
                    check(scale, low, high);
                }
                check(scale, low, low + 1.0);
            }
        }
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for scale in [Scale::Linear, Scale::Log] {
                let ticks = Ticks::covering(scale, odd, 1.0);
                assert!(
                    ticks.major.len() >= 2 && ticks.major.iter().all(|tick| tick.is_finite()),
                    "{ticks:?}"
                );
            }
        }
        assert_eq!(read(Scale::Linear, 0.0, 0.0), "−1.0 −0.5 0 0.5 1.0");
    }

    #[test]
    fn marks_outside_a_fixed_range_go() {
        let ticks = Ticks::covering(Scale::Linear, 0.05, 0.95).kept_within((0.05, 0.95));
        assert_eq!(labels(&ticks, Scale::Linear, false).join(" "), "0.2 0.4 0.6 0.8");
    }

    proptest! {
        #[test]
        fn linear_ticks_cover_any_range(low in -1e100..1e100_f64, high in -1e100..1e100_f64) {
            check(Scale::Linear, low, high);
        }

        #[test]
        fn linear_ticks_cover_any_magnitude(
            centre in -1e6..1e6_f64, width in 0.0..1.0_f64, exponent in -90..90_i32,
        ) {
            let unit = 10_f64.powi(exponent);
            check(Scale::Linear, centre * unit, (centre + width) * unit);
        }

        #[test]
        fn log_ticks_cover_any_range(low in -100.0..100.0_f64, decades in 0.0..200.0_f64) {
            check(Scale::Log, 10_f64.powf(low), 10_f64.powf((low + decades).min(100.0)));
        }

        #[test]
        fn log_ticks_cover_narrow_ranges(low in -100.0..97.0_f64, decades in 0.0..3.0_f64) {
            check(Scale::Log, 10_f64.powf(low), 10_f64.powf(low + decades));
        }
    }
}

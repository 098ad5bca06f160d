//! An axis: what it measures, on which scale, over which range.

use super::ticks::{self, Ticks};

/// Values beyond this magnitude are not drawn; below its inverse they count as zero. It leaves tick arithmetic far
/// from the ends of `f64`.
pub(super) const LARGEST: f64 = 1e100;

/// An axis with fewer ticks than this cannot be read.
const FEWEST_TICKS: usize = 3;

/// A tick so near the end of the data, as a share of the axis, is worth the space to it.
const NEAR: f64 = 0.04;

/// How values turn into distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Log,
}

impl Scale {
    /// Whether the scale has a place for `value`.
    pub(super) fn holds(self, value: f64) -> bool {
        match self {
            Scale::Linear => value.abs() <= LARGEST,
            Scale::Log => (1.0 / LARGEST..=LARGEST).contains(&value),
        }
    }

    /// The quantity distances are proportional to.
    fn measure(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        }
    }
}

/// One axis of a [`Chart`](super::Chart).
#[derive(Debug, Clone)]
pub struct Axis {
    pub(super) title: String,
    pub(super) scale: Scale,
    range: Option<(f64, f64)>,
    percent: bool,
}

impl Axis {
    /// An axis on which equal differences take equal space.
    pub fn linear(title: &str) -> Self {
        Self { title: title.to_owned(), scale: Scale::Linear, range: None, percent: false }
    }

    /// An axis on which equal ratios take equal space. Points at or below zero have no place on it: they are left out,
    /// and the chart's description says how many.
    pub fn log(title: &str) -> Self {
        Self { scale: Scale::Log, ..Self::linear(title) }
    }

    /// Fixes the ends of the axis, which otherwise come from the data; what lies beyond is cut off. A range that is
    /// empty, not finite, or not positive on a log axis is ignored.
    #[must_use]
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range =
            Some((low, high)).filter(|_| self.scale.holds(low) && self.scale.holds(high) && low < high);
        self
    }

    /// Writes fractions as percentages: 0.25 reads 25%.
    #[must_use]
    pub fn percent(mut self) -> Self {
        self.percent = true;
        self
    }

    /// Lays the axis out over `extent` pixels for data between the two ends of `data`; `None` is no data.
    pub(super) fn lay_out(&self, data: Option<(f64, f64)>, ends: Ends, extent: f64) -> Placed {
        let (low, high) = self.range.or(data).unwrap_or(match self.scale {
            Scale::Linear => (0.0, 1.0),
            Scale::Log => (0.1, 1.0),
        });
        let covering = Ticks::covering(self.scale, low, high);
        let (first, last) = covering.ends();
        let near = NEAR * (self.scale.measure(last) - self.scale.measure(first));
        let is_near = |a: f64, b: f64| (self.scale.measure(a) - self.scale.measure(b)).abs() <= near;
        let at_data =
            (if is_near(first, low) { first } else { low }, if is_near(high, last) { last } else { high });
        let within = covering.clone().kept_within(at_data);
        let (ticks, range) = match self.range {
            Some(range) => (covering.kept_within(range), range),
            None if ends == Ends::AtData && within.major.len() >= FEWEST_TICKS => (within, at_data),
            None => (covering, (first, last)),
        };
        let labels = ticks::labels(&ticks, self.scale, self.percent);
        let (from, to) = (self.scale.measure(range.0), self.scale.measure(range.1));
        Placed {
            scale: self.scale,
            low: range.0,
            high: range.1,
            from,
            per_unit: extent / (to - from),
            ticks,
            labels,
        }
    }
}

/// Where an axis without a fixed range ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// Where the data end, so that no width is wasted, or at a tick near there; at ticks if too few lie between.
    AtData,
    /// At ticks, so that the grid encloses the data.
    AtTicks,
}

/// An axis laid out over pixels.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) scale: Scale,
    pub(super) low: f64,
    pub(super) high: f64,
    from: f64,
    per_unit: f64,
    pub(super) ticks: Ticks,
    /// One label a major tick.
    pub(super) labels: Vec<String>,
}

impl Placed {
    /// The distance of `value` from the axis's low end in pixels, or `None` where the scale has no place for it.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        self.scale.holds(value).then(|| (self.scale.measure(value) - self.from) * self.per_unit)
    }

    /// [`Self::place`], with values past an end moved to that end.
    pub(super) fn place_clamped(&self, value: f64) -> f64 {
        (self.scale.measure(value.clamp(self.low, self.high)) - self.from) * self.per_unit
    }

    /// The value `distance` pixels from the axis's low end.
    pub(super) fn value_at(&self, distance: f64) -> f64 {
        let measure = self.from + distance / self.per_unit;
        match self.scale {
            Scale::Linear => measure,
            Scale::Log => 10_f64.powf(measure),
        }
    }
}

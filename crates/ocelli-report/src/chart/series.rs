//! What a chart shows.

use super::axis::Scale;

/// The bar of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Left edge, in units of the x axis.
    pub from: f64,
    /// Right edge, in units of the x axis.
    pub to: f64,
    /// Height, in units of the y axis.
    pub height: f64,
}

/// One named set of points or bars of a [`Chart`](super::Chart).
#[derive(Debug, Clone)]
pub struct Series {
    pub(super) name: String,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    Line {
        points: Vec<(f64, f64)>,
        /// The moving average drawn over the points, which then step back.
        smooth: Option<Vec<(f64, f64)>>,
    },
    Bars(Vec<Bar>),
}

impl Series {
    /// A line through `points`, (x, y) in the order of drawing. NaN makes a gap. A short line also shows its points.
    pub fn line(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().collect();
        Self { name: name.to_owned(), shape: Shape::Line { points, smooth: None } }
    }

    /// The outline of `bars`, filled down to zero. Bars that touch are drawn as one shape.
    pub fn bars(name: &str, bars: impl IntoIterator<Item = Bar>) -> Self {
        Self { name: name.to_owned(), shape: Shape::Bars(bars.into_iter().collect()) }
    }

    /// Draws the exponential moving average of a line over it, and the line itself faintly: for a noisy training loss.
    ///
    /// `span` is how many points the average reaches back, in the sense that a point's weight is 2 / (span + 1); the
    /// average is corrected for its start and skips what is not finite. Bars stay as they are.
    #[must_use]
    pub fn smoothed(mut self, span: usize) -> Self {
        if let Shape::Line { points, smooth } = &mut self.shape {
            *smooth = Some(moving_average(points, span));
        }
        self
    }

    /// One histogram a set over common bins; see [`Chart::histogram`](super::Chart::histogram).
    pub(super) fn histograms(sets: &[(&str, &[f64])], bins: usize) -> Vec<Self> {
        let drawn =
            |values: &[f64]| values.iter().copied().filter(|v| Scale::Linear.holds(*v)).collect::<Vec<_>>();
        let sets: Vec<(&str, Vec<f64>)> = sets.iter().map(|(name, values)| (*name, drawn(values))).collect();
        let all = || sets.iter().flat_map(|(_, values)| values);
        let low = all().copied().fold(f64::INFINITY, f64::min);
        let high = all().copied().fold(f64::NEG_INFINITY, f64::max);
        // A set of one value has a bar too.
        let margin = if low == high { (low.abs() * 1e-3).max(0.5) } else { 0.0 };
        let (low, high) = (low - margin, high + margin);
        let bins = bins.max(1);
        let edge = |k: usize| low + (high - low) * (k as f64 / bins as f64);
        let histogram = |(name, values): &(&str, Vec<f64>)| {
            let mut counts = vec![0_usize; bins];
            for value in values {
                // The highest value of all belongs to the last bin, which is closed on both sides.
                counts[(((value - low) / (high - low) * bins as f64) as usize).min(bins - 1)] += 1;
            }
            let share = |count: usize| count as f64 / values.len() as f64;
            let bar = |(k, count)| Bar { from: edge(k), to: edge(k + 1), height: share(count) };
            Self::bars(
                name,
                if values.is_empty() {
                    Vec::new()
                } else {
                    counts.into_iter().enumerate().map(bar).collect()
                },
            )
        };
        sets.iter().map(histogram).collect()
    }
}

fn moving_average(points: &[(f64, f64)], span: usize) -> Vec<(f64, f64)> {
    let weight = 2.0 / (span as f64 + 1.0);
    let keep = (1.0 - weight).max(0.0);
    let (mut average, mut mass) = (0.0, 0.0);
    let mut smooth = |&(x, y): &(f64, f64)| {
        if !y.is_finite() {
            return (x, y);
        }
        average = keep * average + (1.0 - keep) * y;
        mass = keep * mass + (1.0 - keep);
        (x, average / mass)
    };
    points.iter().map(&mut smooth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moving_average_has_no_bias_at_its_start_and_keeps_gaps() {
        let points = [(0.0, 4.0), (1.0, 4.0), (2.0, f64::NAN), (3.0, 4.0)];
        let smooth = moving_average(&points, 10);
        assert_eq!(smooth[0], (0.0, 4.0));
        assert!(smooth[2].1.is_nan());
        assert!((smooth[3].1 - 4.0).abs() < 1e-12);
        // Span 3: weight 1/2, so after 0 then 1 the corrected average is (0/4 + 1/2) / (3/4).
        let step = moving_average(&[(0.0, 0.0), (1.0, 1.0)], 3);
        assert!((step[1].1 - 2.0 / 3.0).abs() < 1e-12);
        // A span of one, or none, is the line itself.
        for span in [0, 1] {
            assert_eq!(moving_average(&[(0.0, 3.0), (1.0, 5.0)], span)[1].1, 5.0);
        }
    }

    #[test]
    fn histograms_share_their_bins_and_each_sums_to_one() {
        let series = Series::histograms(&[("a", &[0.0, 0.1, 1.0, f64::NAN]), ("b", &[2.0])], 4);
        let bars = |k: usize| match &series[k].shape {
            Shape::Bars(bars) => bars.clone(),
            Shape::Line { .. } => Vec::new(),
        };
        let heights = |k: usize| bars(k).iter().map(|bar| bar.height).collect::<Vec<_>>();
        assert_eq!(heights(0), [2.0 / 3.0, 0.0, 1.0 / 3.0, 0.0]);
        assert_eq!(heights(1), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!((bars(0)[0].from, bars(1)[3].to), (0.0, 2.0));
    }

    #[test]
    fn odd_sets_still_make_histograms() {
        assert_eq!(Series::histograms(&[("none", &[])], 4).len(), 1);
        assert_eq!(Series::histograms(&[], 0).len(), 0);
        let one = Series::histograms(&[("one", &[3.0, 3.0])], 0);
        assert!(
            matches!(&one[0].shape, Shape::Bars(bars) if *bars == [Bar { from: 2.5, to: 3.5, height: 1.0 }])
        );
    }
}

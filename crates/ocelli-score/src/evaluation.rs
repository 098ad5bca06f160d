//! Predictions and truth, opened: units, and the metrics of any multiset of them.

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::Result;

/// Predictions and truth, read, checked and matched.
///
/// A *unit* is what a test set is a sample of: a picture, a video, a query. All expensive work that concerns one unit
/// alone is done when the evaluation is opened, so that [`Self::metrics`] may be asked a thousand times.
pub trait Evaluation: std::fmt::Debug + Send + Sync {
    /// What a unit is, in the singular, such as `image`.
    fn unit(&self) -> &'static str;

    /// The names of the units in the order of the truth. They depend on the truth alone, so that two prediction files
    /// for one truth can be compared unit by unit.
    fn units(&self) -> &[String];

    /// The metrics over the units with these indices, each counted as often as it is named. All indices in order give
    /// exactly the official tool's values. A metric that is undefined is NaN, or what the tool prints for it (-1 in
    /// COCO's case). Names and their number do not depend on the sample.
    ///
    /// # Errors
    /// When the sample leaves nothing to evaluate.
    fn metrics(&self, sample: &[usize]) -> Result<Metrics>;

    /// What the user should know and no number says, such as `3 predictions of unknown images were left out`.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Tables, curves and the worst units, for the page.
    ///
    /// # Errors
    /// As [`Self::metrics`].
    fn detail(&self) -> Result<Detail> {
        Ok(Detail::default())
    }

    /// The metrics over all units.
    ///
    /// # Errors
    /// As [`Self::metrics`].
    fn overall(&self) -> Result<Metrics> {
        let all: Vec<usize> = (0..self.units().len()).collect();
        self.metrics(&all)
    }
}

/// Metrics by name, the most important first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Vec<(String, f64)>);

impl Metrics {
    /// No metrics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn set(&mut self, name: impl Into<String>, value: f64) -> &mut Self {
        self.0.push((name.into(), value));
        self
    }

    /// Adds one and returns the whole, for chains.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.set(name, value);
        self
    }

    /// The metric called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: Into<String>> FromIterator<(S, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (S, f64)>>(metrics: I) -> Self {
        Self(metrics.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl Serialize for Metrics {
    /// A map; what is undefined becomes null.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, &value.is_finite().then_some(value))?;
        }
        map.end()
    }
}

/// What the page shows beyond the metrics.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// Tables such as the values of each class; their first column is drawn as bars.
    pub groups: Vec<Group>,
    /// Curves such as precision over recall.
    pub curves: Vec<Curve>,
    /// The units that went worst, worst first.
    pub worst: Vec<Worst>,
}

/// A table with a row for each member of a group, such as each class.
#[derive(Clone, Debug)]
pub struct Group {
    /// What it shows.
    pub title: String,
    /// Names of the columns, without that of the rows' names.
    pub columns: Vec<String>,
    /// Name and values; NaN where undefined.
    pub rows: Vec<(String, Vec<f64>)>,
}

/// Lines over one pair of axes.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it shows.
    pub title: String,
    /// The axis from left to right.
    pub x: String,
    /// The axis from bottom to top.
    pub y: String,
    /// Name and points `(x, y)`.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// A unit that went badly.
#[derive(Clone, Debug)]
pub struct Worst {
    /// Its name.
    pub unit: String,
    /// How badly, in words and numbers, such as `4 missed, 2 false`.
    pub what: String,
}

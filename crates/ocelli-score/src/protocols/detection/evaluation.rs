//! What COCO and LVIS share once pictures are matched: metrics of samples, tables, curves, the worst pictures.

use ocelli_metrics::detection::coco::CocoOptions;
use ocelli_metrics::detection::lvis::{LvisOptions, Tail};
use ocelli_metrics::detection::{Measure, Ranking};

use crate::{Curve, Detail, Evaluation, Group, Metrics, Result, Worst};

/// Pictures that the page names.
const WORST: usize = 20;
/// Overlaps of which the page shows a curve.
const CURVES: [f64; 3] = [0.5, 0.75, 0.9];

/// By whose rules metrics are summed up.
#[derive(Debug)]
pub(super) enum Rules {
    Coco(CocoOptions),
    /// With the frequency of each category.
    Lvis(LvisOptions, Vec<Option<Tail>>),
}

impl Rules {
    fn metrics(&self, measure: &Measure) -> Vec<(String, f64)> {
        match self {
            Self::Coco(options) => options.metrics(measure),
            Self::Lvis(options, tails) => options.metrics(measure, tails),
        }
    }

    fn thresholds(&self) -> &[f64] {
        match self {
            Self::Coco(options) => &options.thresholds,
            Self::Lvis(options, _) => &options.thresholds,
        }
    }
}

/// Matched pictures.
#[derive(Debug)]
pub(super) struct Detections {
    pub(super) rules: Rules,
    pub(super) ranking: Ranking,
    /// In the order of the ranking's.
    pub(super) images: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Evaluation for Detections {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.images
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        Ok(self.rules.metrics(&self.ranking.measure(sample)).into_iter().collect())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let all: Vec<usize> = (0..self.images.len()).collect();
        Ok(Detail {
            groups: vec![self.by_category(&self.ranking.measure(&all))],
            curves: self.curves().into_iter().collect(),
            worst: self.worst(),
        })
    }
}

impl Detections {
    /// Categories that have objects.
    fn by_category(&self, measure: &Measure) -> Group {
        let at = |overlap: f64| self.rules.thresholds().iter().position(|&t| t == overlap);
        let (half, three_quarters) = (at(0.5), at(0.75));
        let rows = self.categories.iter().zip(&measure.categories).filter_map(|(name, category)| {
            let ap_at =
                |threshold: Option<usize>| threshold.and_then(|t| category.ap_at(t)).unwrap_or(f64::NAN);
            let values =
                vec![category.ap()?, ap_at(half), ap_at(three_quarters), category.ar().unwrap_or(f64::NAN)];
            Some((name.clone(), values))
        });
        let columns = ["AP", "AP50", "AP75", "AR"].map(str::to_owned).to_vec();
        Group { title: "Categories".to_owned(), columns, rows: rows.collect() }
    }

    /// Precision over recall, averaged over the categories that have objects.
    fn curves(&self) -> Option<Curve> {
        let thresholds = self.rules.thresholds();
        let line = |t: usize| {
            let curves: Vec<_> =
                (0..self.categories.len()).filter_map(|c| self.ranking.curve(c, t, 0)).collect();
            let first = curves.first()?;
            let mean = |i: usize| curves.iter().map(|c| c[i].1).sum::<f64>() / curves.len() as f64;
            let points = first.iter().enumerate().map(|(i, &(recall, _))| (recall, mean(i))).collect();
            Some((format!("overlap {}", thresholds[t]), points))
        };
        let shown =
            (0..thresholds.len()).filter(|&t| CURVES.iter().any(|c| (c - thresholds[t]).abs() < 1e-9));
        let lines: Vec<_> = shown.filter_map(line).collect();
        (!lines.is_empty()).then(|| Curve {
            title: "Precision over recall, mean of the categories".to_owned(),
            x: "recall".to_owned(),
            y: "precision".to_owned(),
            lines,
        })
    }

    /// The pictures with the most mistakes at the lowest overlap.
    fn worst(&self) -> Vec<Worst> {
        let mistakes = self.ranking.mistakes(0, 0);
        let mut order: Vec<usize> = (0..mistakes.len()).filter(|&i| mistakes[i] != [0, 0]).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(mistakes[i][0] + mistakes[i][1]));
        let what = |i: usize| format!("{} missed, {} false", mistakes[i][0], mistakes[i][1]);
        order.iter().take(WORST).map(|&i| Worst { unit: self.images[i].clone(), what: what(i) }).collect()
    }
}

/// `1 box was` or `3 boxes were`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one} was") } else { format!("{n} {many} were") }
}

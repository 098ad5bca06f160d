//! Semantic segmentation: one confusion matrix over all pixels of the set, and the intersection over union of each class.
//!
//! Two evaluators in use differ in what a class is worth that occurs in neither map:
//!
//! | variant | IoU of a class | a class in neither map |
//! |---|---|---|
//! | [`absent-out`](MiouVariant::AbsentOut) | the exact ratio | -1, left out of the mean |
//! | [`eps`](MiouVariant::Eps) | I / (U + 1e-10) | 0, counted in the mean |
//!
//! A [`Confusion`] is the accumulator: merging adds counts, so shards merged in any grouping equal the single pass.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | SEG-1 | eps: a class in neither map has IoU 0 and lowers the mean | strict; `absent-out` leaves it out | `a_class_in_neither_map` |
//! | SEG-2 | pixels of the ignored label are dropped before anything is counted, whatever is predicted there | strict | `ignored_pixels_do_not_count` |
//! | SEG-3 | a prediction that names no class, such as 255, is a miss of its label and a false alarm of nobody | strict | `predictions_outside_the_classes_are_misses` |
//! | SEG-4 | a label outside the classes is dropped, but what is predicted there counts as a false alarm | corrected: an error | `labels_outside_the_classes_are_refused` |
//! | SEG-5 | counts are pooled over the set, so a large picture weighs more than a small one | strict | `merged_shards_equal_the_single_pass` |

use crate::named::named_variants;
use crate::{MetricError, Result, check};
use serde::Serialize;

/// What a class that occurs in neither map is worth; see the [module's table](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MiouVariant {
    /// Nothing: it is left out of the mean.
    #[default]
    AbsentOut,
    /// 0, by a small number in the denominators.
    Eps,
}

named_variants!(MiouVariant, "mIoU variant", { AbsentOut => "absent-out", Eps => "eps" });

/// The small number in the denominators of [`MiouVariant::Eps`].
pub const EPS: f64 = 1e-10;

/// The label that data sets give to pixels that nobody is judged by.
pub const IGNORE: i64 = 255;

/// How often each label was predicted as each class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confusion {
    classes: usize,
    /// `[classes, classes + 1]`: rows are labels, columns predictions; the last column is all that is no class.
    counts: Vec<u64>,
}

/// The cells of a confusion matrix that are not 0: what a picture adds to it, in little space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConfusionCells(Vec<(u32, u64)>);

/// Intersection over union and accuracies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentationReport {
    /// Mean IoU over classes.
    pub miou: f64,
    /// Mean over classes of the share of their pixels that was found.
    pub mean_accuracy: f64,
    /// Share of all pixels predicted rightly.
    pub pixel_accuracy: f64,
    /// IoU of each class.
    pub iou: Vec<f64>,
    /// Share of each class's pixels that was found.
    pub class_accuracy: Vec<f64>,
    /// Pixels of each class predicted as it.
    pub intersection: Vec<u64>,
    /// Pixels of each class or predicted as it.
    pub union: Vec<u64>,
}

impl Confusion {
    /// No pixels yet, of `classes` classes, at least 1 and at most 65,536.
    pub fn new(classes: usize) -> Result<Self> {
        if !(1..=65_536).contains(&classes) {
            return Err(check::setting("classes", classes, "1 to 65536"));
        }
        Ok(Self { classes, counts: vec![0; classes * (classes + 1)] })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Counts pixels: `labels[i]` is the truth and `predictions[i]` the answer at pixel i. Pixels labelled `ignore` are
    /// left out. Fails, and counts nothing, when a label is no class.
    pub fn add<L, P>(&mut self, labels: &[L], predictions: &[P], ignore: Option<i64>) -> Result<()>
    where
        L: Copy + Into<i64>,
        P: Copy + Into<i64>,
    {
        check::same_length("predictions", predictions.len(), "labels", labels.len())?;
        let is_wrong = |label: i64| !(0..self.classes as i64).contains(&label) && ignore != Some(label);
        if let Some(index) = labels.iter().position(|&l| is_wrong(l.into())) {
            let class = labels[index].into();
            return Err(MetricError::Class { name: "labels", index, class, classes: self.classes });
        }
        for (&label, &prediction) in labels.iter().zip(predictions) {
            let label = label.into();
            if ignore != Some(label) {
                let column = usize::try_from(prediction.into()).map_or(self.classes, |p| p.min(self.classes));
                self.counts[label as usize * (self.classes + 1) + column] += 1;
            }
        }
        Ok(())
    }

    /// Adds the counts of another part of the set.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.classes != self.classes {
            return Err(check::setting("classes", other.classes, &format!("{} in every part", self.classes)));
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        Ok(())
    }

    /// Its cells that are not 0.
    pub fn cells(&self) -> ConfusionCells {
        let filled = (0..).zip(&self.counts).filter(|(_, n)| **n > 0);
        ConfusionCells(filled.map(|(cell, n)| (cell, *n)).collect())
    }

    /// Adds cells taken from a matrix of as many classes.
    ///
    /// # Panics
    /// When they come from a larger matrix.
    pub fn add_cells(&mut self, cells: &ConfusionCells) {
        cells.0.iter().for_each(|&(cell, n)| self.counts[cell as usize] += n);
    }

    /// Pixels labelled `label` and predicted as `prediction`.
    ///
    /// # Panics
    /// When one of them is no class.
    pub fn count(&self, label: usize, prediction: usize) -> u64 {
        assert!(prediction < self.classes, "class {prediction} of {}", self.classes);
        self.counts[label * (self.classes + 1) + prediction]
    }

    /// The matrix `[label][prediction]`, row-major, without what was predicted as no class.
    pub fn matrix(&self) -> Vec<u64> {
        self.counts.chunks_exact(self.classes + 1).flat_map(|row| &row[..self.classes]).copied().collect()
    }

    /// Pixels labelled so, for each class.
    pub fn label_totals(&self) -> Vec<u64> {
        self.counts.chunks_exact(self.classes + 1).map(|row| row.iter().sum()).collect()
    }

    /// Pixels predicted so, for each class.
    pub fn prediction_totals(&self) -> Vec<u64> {
        let mut totals = vec![0; self.classes];
        for row in self.counts.chunks_exact(self.classes + 1) {
            totals.iter_mut().zip(row).for_each(|(t, n)| *t += n);
        }
        totals
    }

    /// Pixels of each class predicted rightly.
    pub fn hits(&self) -> Vec<u64> {
        (0..self.classes).map(|class| self.count(class, class)).collect()
    }

    /// Intersection over union and accuracies. `eps` is the small number of [`MiouVariant::Eps`], usually [`EPS`].
    pub fn report(&self, variant: MiouVariant, eps: f64) -> SegmentationReport {
        let (intersection, labels) = (self.hits(), self.label_totals());
        let predictions = self.prediction_totals();
        let union: Vec<u64> =
            (0..self.classes).map(|k| labels[k] + predictions[k] - intersection[k]).collect();
        let iou = ratios(&intersection, &union, variant, eps);
        let class_accuracy = ratios(&intersection, &labels, variant, eps);
        let [hits, pixels] = [&intersection, &labels].map(|counts| counts.iter().sum::<u64>() as f64);
        SegmentationReport {
            miou: mean(&iou),
            mean_accuracy: mean(&class_accuracy),
            pixel_accuracy: match variant {
                MiouVariant::AbsentOut => hits / pixels,
                MiouVariant::Eps => hits / (pixels + eps),
            },
            iou,
            class_accuracy,
            intersection,
            union,
        }
    }
}

fn ratios(parts: &[u64], wholes: &[u64], variant: MiouVariant, eps: f64) -> Vec<f64> {
    let ratio = |(&part, &whole): (&u64, &u64)| match variant {
        MiouVariant::AbsentOut if whole == 0 => -1.0,
        MiouVariant::AbsentOut => part as f64 / whole as f64,
        MiouVariant::Eps => part as f64 / (whole as f64 + eps),
    };
    parts.iter().zip(wholes).map(ratio).collect()
}

/// Of the values that are defined; NaN when none is.
fn mean(values: &[f64]) -> f64 {
    let defined = || values.iter().filter(|v| **v >= 0.0);
    defined().sum::<f64>() / defined().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(classes: usize, labels: &[i64], predictions: &[i64]) -> Confusion {
        let mut confusion = Confusion::new(classes).unwrap();
        confusion.add(labels, predictions, Some(IGNORE)).unwrap();
        confusion
    }

    #[test]
    fn a_class_in_neither_map() {
        let confusion = counted(3, &[0, 0, 1, 1], &[0, 1, 1, 1]);
        let out = confusion.report(MiouVariant::AbsentOut, EPS);
        assert_eq!(out.iou, [0.5, 2.0 / 3.0, -1.0]);
        assert_eq!((out.miou, out.pixel_accuracy), ((0.5 + 2.0 / 3.0) / 2.0, 0.75));
        let eps = confusion.report(MiouVariant::Eps, EPS);
        assert!((eps.miou - (0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-9 && eps.iou[2] == 0.0);
        assert!((eps.mean_accuracy - 0.5).abs() < 1e-9);
        assert_eq!((eps.intersection, eps.union), (vec![1, 2, 0], vec![2, 3, 0]));
    }

    #[test]
    fn ignored_pixels_do_not_count() {
        let confusion = counted(2, &[0, 255, 255, 1], &[0, 0, 1, 1]);
        assert_eq!(confusion.matrix(), [1, 0, 0, 1]);
        let nothing = counted(2, &[255], &[0]).report(MiouVariant::AbsentOut, EPS);
        assert!(nothing.miou.is_nan() && nothing.pixel_accuracy.is_nan());
    }

    #[test]
    fn predictions_outside_the_classes_are_misses() {
        let report = counted(2, &[0, 0, 1, 1], &[0, 255, -1, 1]).report(MiouVariant::AbsentOut, EPS);
        assert_eq!((report.iou, report.pixel_accuracy), (vec![0.5, 0.5], 0.5));
    }

    #[test]
    fn labels_outside_the_classes_are_refused() {
        let mut confusion = Confusion::new(2).unwrap();
        let error = confusion.add(&[0u8, 7], &[0u8, 0], Some(IGNORE)).unwrap_err();
        assert_eq!(error.to_string(), "labels[1] is class 7; the classes are 0 to 1");
        assert_eq!(confusion, Confusion::new(2).unwrap(), "nothing was counted");
        assert!(confusion.add(&[255u8], &[0u8], None).is_err());
        assert!(confusion.add(&[0u8], &[0u8, 1], None).is_err());
        assert!(Confusion::new(0).is_err());
        assert!(confusion.merge(&Confusion::new(3).unwrap()).is_err());
    }

    #[test]
    fn merged_shards_equal_the_single_pass() {
        let labels: Vec<i64> = (0..900).map(|i| i * 7 % 5).collect();
        let predictions: Vec<i64> = (0..900).map(|i| i * 11 % 6).collect();
        let whole = counted(5, &labels, &predictions);
        let parts: Vec<Confusion> =
            labels.chunks(311).zip(predictions.chunks(311)).map(|(l, p)| counted(5, l, p)).collect();
        let merged = |order: &[usize]| {
            let mut sum = Confusion::new(5).unwrap();
            order.iter().for_each(|&i| sum.merge(&parts[i]).unwrap());
            sum
        };
        assert_eq!(merged(&[0, 1, 2]), whole);
        assert_eq!(merged(&[2, 0, 1]), whole);
        let mut by_cells = Confusion::new(5).unwrap();
        parts.iter().for_each(|part| by_cells.add_cells(&part.cells()));
        assert_eq!(by_cells, whole);
    }
}

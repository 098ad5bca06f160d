//! WIDER FACE (Yang et al., CVPR 2016): average precision of faces in three subsets, at a thousand thresholds.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | WIDER-1 | a box x, y, w, h ends at x + w, and its last pixel belongs to it: it is w + 1 pixels wide | strict | `boxes_are_a_pixel_larger` |
//! | WIDER-2 | scores are stretched over the set to [0, 1], from min(1, all) to max(0, all); ports take the plain minimum and maximum | strict; `min-max` | `scores_are_stretched_over_the_set` |
//! | WIDER-3 | a detection looks at the face it overlaps most; outside of the subset it counts neither way, again and again; a face found twice makes a false alarm | strict | `faces_outside_of_the_subset_are_neutral` |
//! | WIDER-4 | detections on pictures without annotated faces are not counted | strict | `pictures_without_faces_are_skipped` |
//! | WIDER-5 | precision is read at 1 - t / 1000; where nothing counts yet it is 0, and the area starts at recall 0 | strict | `thresholds_are_steps` |
//! | WIDER-6 | where all scores are equal the tool divides by 0 | corrected: they become 0 | `equal_scores_are_the_last_step` |

use serde::Serialize;

use super::lists::area;
use super::overlap::inclusive_iou;
use super::voc::surest_first;
use crate::named::named_variants;
use crate::{MetricError, Result, check};

/// What range of scores is stretched to [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScoreRange {
    /// From the least score, 1 at most, to the largest, 0 at least: the official tool.
    #[default]
    Official,
    /// From the least score to the largest.
    MinMax,
}

named_variants!(ScoreRange, "score range", { Official => "official", MinMax => "min-max" });

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WiderOptions {
    /// The overlap that finds a face.
    pub overlap: f64,
    /// Number of thresholds.
    pub steps: usize,
    /// What range of scores is stretched.
    pub range: ScoreRange,
}

impl Default for WiderOptions {
    fn default() -> Self {
        Self { overlap: 0.5, steps: 1000, range: ScoreRange::default() }
    }
}

/// A picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FacePicture<'a> {
    /// Its number.
    pub image: i64,
    /// All annotated faces, `[x, y, width, height]`.
    pub faces: &'a [[f64; 4]],
    /// For each subset whether each face belongs to it.
    pub subsets: &'a [Vec<bool>],
    /// The detections, `[x, y, width, height]` and score.
    pub found: &'a [([f64; 4], f64)],
}

/// What matching leaves of a picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaceRecord {
    /// The picture's number.
    pub image: i64,
    /// The scores of its detections, falling.
    scores: Vec<f64>,
    /// What each of them is, for each subset; none on pictures without faces.
    verdicts: Vec<Vec<Verdict>>,
    /// Faces in each subset.
    faces: Vec<u32>,
}

/// What becomes of a detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Verdict {
    /// It is the first to find a face of the subset.
    Found,
    /// It is a false alarm.
    False,
    /// It found a face outside of the subset.
    Neutral,
}

/// Pictures of a set, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FaceRecords(Vec<FaceRecord>);

impl FaceRecords {
    /// Adds the pictures of another part of the set. The order in which parts are added does not matter.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The records in the order of the pictures' numbers; a sample names pictures by their place here.
    ///
    /// # Errors
    /// [`MetricError::Repeated`] for a picture that is there twice.
    pub fn into_sorted(self) -> Result<Vec<FaceRecord>> {
        let mut records = self.0;
        records.sort_by_key(|record| record.image);
        match records.windows(2).find(|pair| pair[0].image == pair[1].image) {
            Some(pair) => Err(MetricError::Repeated { what: "image", id: pair[0].image }),
            None => Ok(records),
        }
    }
}

impl FromIterator<FaceRecord> for FaceRecords {
    fn from_iter<I: IntoIterator<Item = FaceRecord>>(records: I) -> Self {
        Self(records.into_iter().collect())
    }
}

/// A subset's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FaceCurve {
    /// Area under precision and recall.
    pub average_precision: f64,
    /// Precision at each threshold, falling ones.
    pub precision: Vec<f64>,
    /// Recall there.
    pub recall: Vec<f64>,
    /// Faces of the subset.
    pub faces: u64,
}

impl FaceRecord {
    /// Faces of a subset that were not found, and false alarms.
    pub fn mistakes(&self, subset: usize) -> [u32; 2] {
        let verdicts = self.verdicts.get(subset).map_or(&[][..], Vec::as_slice);
        let count = |wanted: Verdict| verdicts.iter().filter(|v| **v == wanted).count() as u32;
        [self.faces.get(subset).copied().unwrap_or(0) - count(Verdict::Found), count(Verdict::False)]
    }
}

impl WiderOptions {
    /// Matches a picture's detections.
    ///
    /// # Errors
    /// [`MetricError::Length`] for a subset that does not speak of every face, [`MetricError::NotFinite`] for a score that
    /// is no number.
    pub fn judge(&self, picture: &FacePicture<'_>) -> Result<FaceRecord> {
        let FacePicture { image, faces, subsets, found } = *picture;
        for subset in subsets {
            check::same_length("faces of a subset", subset.len(), "the picture", faces.len())?;
        }
        let scores: Vec<f64> = found.iter().map(|(_, score)| *score).collect();
        check::finite("scores", &scores)?;
        let order = surest_first(found, |f| (f.1, 0));
        let count = |subset: &Vec<bool>| subset.iter().filter(|counts| **counts).count() as u32;
        let verdicts = if faces.is_empty() {
            Vec::new()
        } else {
            let targets = self.targets(faces, found, &order);
            subsets.iter().map(|subset| verdicts(subset, &targets)).collect()
        };
        Ok(FaceRecord {
            image,
            scores: order.iter().map(|&d| scores[d]).collect(),
            verdicts,
            faces: subsets.iter().map(count).collect(),
        })
    }

    /// The face that each detection finds, in the order given: the one it overlaps most, the first of equals.
    fn targets(&self, faces: &[[f64; 4]], found: &[([f64; 4], f64)], order: &[usize]) -> Vec<Option<usize>> {
        let corners = |[x, y, width, height]: [f64; 4]| [x, y, x + width, y + height];
        let faces: Vec<[f64; 4]> = faces.iter().map(|&face| corners(face)).collect();
        let target = |&d: &usize| {
            let own = corners(found[d].0);
            let mut best = (0, f64::NEG_INFINITY);
            for (k, face) in faces.iter().enumerate() {
                let iou = inclusive_iou(&own, face);
                if iou > best.1 {
                    best = (k, iou);
                }
            }
            (best.1 >= self.overlap).then_some(best.0)
        };
        order.iter().map(target).collect()
    }

    /// The thresholds, falling to 0.
    fn thresholds(&self) -> Vec<f64> {
        (1..=self.steps).map(|t| 1.0 - t as f64 / self.steps as f64).collect()
    }

    /// The result of a subset over these records, each counted as often as `sample` names it.
    ///
    /// # Panics
    /// When a picture is named that is not there.
    pub fn measure(&self, records: &[FaceRecord], subset: usize, sample: &[usize]) -> FaceCurve {
        let [low, high] = self.stretch(records, sample);
        let width = if high > low { high - low } else { 1.0 };
        let thresholds = self.thresholds();
        // What is added when the threshold falls to each step: detections that count, and faces found.
        let mut added = vec![[0u64; 2]; self.steps];
        let mut faces = 0u64;
        for &image in sample {
            let record = &records[image];
            faces += u64::from(record.faces.get(subset).copied().unwrap_or(0));
            let Some(verdicts) = record.verdicts.get(subset) else { continue };
            for (score, verdict) in record.scores.iter().zip(verdicts) {
                let score = (score - low) / width;
                let step = thresholds.partition_point(|threshold| *threshold > score);
                let Some(at) = added.get_mut(step) else { continue };
                at[0] += u64::from(*verdict != Verdict::Neutral);
                at[1] += u64::from(*verdict == Verdict::Found);
            }
        }
        let mut total = [0u64; 2];
        let (mut precision, mut recall) = (Vec::with_capacity(self.steps), Vec::with_capacity(self.steps));
        for [counted, found] in added {
            total = [total[0] + counted, total[1] + found];
            precision.push(share(total[1], total[0]));
            recall.push(share(total[1], faces));
        }
        FaceCurve { average_precision: area(&recall, &precision), precision, recall, faces }
    }

    /// The scores that become 0 and 1.
    fn stretch(&self, records: &[FaceRecord], sample: &[usize]) -> [f64; 2] {
        let start = match self.range {
            ScoreRange::Official => [1.0, 0.0],
            ScoreRange::MinMax => [f64::INFINITY, f64::NEG_INFINITY],
        };
        let scores = sample.iter().map(|&image| &records[image].scores);
        // Scores fall, so the ends are all that matters.
        let ends = scores.filter_map(|s| Some([*s.last()?, *s.first()?]));
        ends.fold(start, |[low, high], [least, most]| [low.min(least), high.max(most)])
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What each detection is in a subset, given the face that each found.
fn verdicts(subset: &[bool], targets: &[Option<usize>]) -> Vec<Verdict> {
    let mut found = vec![false; subset.len()];
    let verdict = |target: &Option<usize>| match *target {
        Some(k) if !subset[k] => Verdict::Neutral,
        Some(k) if !std::mem::replace(&mut found[k], true) => Verdict::Found,
        _ => Verdict::False,
    };
    targets.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Face = [f64; 4];

    fn record(image: i64, faces: &[Face], subset: &[bool], found: &[(Face, f64)]) -> FaceRecord {
        let subsets = [subset.to_vec()];
        WiderOptions::default().judge(&FacePicture { image, faces, subsets: &subsets, found }).unwrap()
    }

    const A: Face = [0.0, 0.0, 9.0, 9.0];
    const B: Face = [100.0, 0.0, 9.0, 9.0];

    #[test]
    fn boxes_are_a_pixel_larger() {
        // 2 x 1 pixels against 4 x 1.
        let one = record(1, &[[0.0, 0.0, 3.0, 0.0]], &[true], &[([0.0, 0.0, 1.0, 0.0], 1.0)]);
        assert_eq!(one.verdicts, [[Verdict::Found]]);
        let one = record(1, &[[0.0, 0.0, 4.0, 0.0]], &[true], &[([0.0, 0.0, 1.0, 0.0], 1.0)]);
        assert_eq!(one.verdicts, [[Verdict::False]]);
    }

    #[test]
    fn scores_are_stretched_over_the_set() {
        let records = [record(1, &[A, B], &[true; 2], &[(A, 0.9), (B, 0.6)])];
        let at = |range| WiderOptions { range, ..WiderOptions::default() }.measure(&records, 0, &[0]).recall;
        let first = |recall: &[f64], least: f64| recall.iter().position(|r| *r >= least);
        // Official: from 0.6 to 0.9 as well, for 0.6 is below 1 and 0.9 above 0.
        assert_eq!(at(ScoreRange::Official), at(ScoreRange::MinMax));
        assert_eq!(first(&at(ScoreRange::MinMax), 1.0), Some(999));
        let records = [record(1, &[A, B], &[true; 2], &[(A, 3.0), (B, 2.0)])];
        let at = |range| WiderOptions { range, ..WiderOptions::default() }.measure(&records, 0, &[0]).recall;
        // From 1 to 3: the second score becomes a half.
        assert_eq!(first(&at(ScoreRange::Official), 1.0), Some(499));
        assert_eq!(first(&at(ScoreRange::MinMax), 1.0), Some(999));
    }

    #[test]
    fn faces_outside_of_the_subset_are_neutral() {
        let found = [(A, 0.9), (B, 0.8), (A, 0.7), (B, 0.6)];
        let one = record(1, &[A, B], &[false, true], &found);
        use Verdict::{False, Found, Neutral};
        assert_eq!(one.verdicts, [[Neutral, Found, Neutral, False]]);
        assert_eq!(one.mistakes(0), [0, 1]);
        let curve = WiderOptions::default().measure(&[one], 0, &[0]);
        assert_eq!((curve.average_precision, curve.faces), (1.0, 1));
        assert_eq!(curve.precision.last(), Some(&0.5));
    }

    #[test]
    fn pictures_without_faces_are_skipped() {
        let empty = record(1, &[], &[], &[(A, 0.9)]);
        let full = record(2, &[A], &[true], &[(A, 0.5)]);
        let options = WiderOptions::default();
        let merged = FaceRecords::from_iter([full.clone()]).merge(FaceRecords::from_iter([empty.clone()]));
        let records = merged.into_sorted().unwrap();
        assert_eq!(records, [empty, full.clone()]);
        assert_eq!(options.measure(&records, 0, &[0, 1]).average_precision, 1.0);
        assert!(FaceRecords::from_iter([full.clone(), full]).into_sorted().is_err());
    }

    #[test]
    fn thresholds_are_steps() {
        let found = [(A, 1.0), ([50.0, 50.0, 9.0, 9.0], 0.9995), (B, 0.0)];
        let curve = WiderOptions::default().measure(&[record(1, &[A, B], &[true; 2], &found)], 0, &[0]);
        // The first step is 0.999: right and wrong come together.
        assert_eq!((curve.precision[0], curve.recall[0]), (0.5, 0.5));
        assert_eq!((curve.precision[999], curve.recall[999]), (2.0 / 3.0, 1.0));
        assert!((curve.average_precision - 2.0 / 3.0).abs() < 1e-15);
        let nothing = WiderOptions::default().measure(&[record(1, &[A], &[true], &[])], 0, &[0]);
        assert_eq!((nothing.average_precision, nothing.precision[999]), (0.0, 0.0));
    }

    #[test]
    fn equal_scores_are_the_last_step() {
        let curve = WiderOptions::default().measure(&[record(1, &[A], &[true], &[(A, 1.0)])], 0, &[0]);
        assert_eq!((curve.average_precision, curve.recall[998], curve.recall[999]), (1.0, 0.0, 1.0));
    }
}

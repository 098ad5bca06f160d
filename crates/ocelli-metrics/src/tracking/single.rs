//! One given object: overlap and centre errors frame by frame, curves over thresholds.
//!
//! OTB and LaSOT as the common tracking toolkit evaluates them ([`evaluate`]): boxes `x, y, w, h` in inclusive pixels;
//! the first frame counts with the truth as prediction. GOT-10k ([`got10k`]) leaves the first frame out, clips boxes to
//! the picture, and pools all frames.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | SOT-1 | the first frame is counted as perfect; at threshold 1 it fails, for success is overlap above the threshold | strict | `a_perfect_track_misses_the_last_threshold` |
//! | SOT-2 | a frame without a visible or valid truth has overlap -1 and infinite centre error, but stays in the denominator | strict | `frames_without_truth_are_failures_of_overlap` |
//! | SOT-3 | its normalised centre error is -1, a success; of an invisible LaSOT frame it is infinite, a failure | strict | `frames_without_truth_are_failures_of_overlap` |
//! | SOT-4 | a prediction of width or height 0 repeats the box before it, the second frame that of the first prediction | strict | `an_empty_prediction_repeats_the_box_before` |
//! | SOT-5 | predictions beyond the truth are cut off; missing ones are empty boxes at the origin, an error for LaSOT | strict | `lengths_are_brought_together` |
//! | SOT-6 | GOT-10k clips a box's corner to the picture without shortening the box by as much | strict | `clipping_keeps_the_width` |
//! | SOT-7 | GOT-10k pools all frames; its server averages over classes | strict | `frames_are_pooled` |

use crate::named::named_variants;
use crate::{MetricError, Result, check};
use serde::Serialize;

/// Whose habits in frames without a visible object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SotVariant {
    /// OTB and all data sets without visibility.
    #[default]
    Otb,
    /// LaSOT.
    Lasot,
}

named_variants!(SotVariant, "single-object variant", { Otb => "otb", Lasot => "lasot" });

/// A box `x, y, w, h` in pixels.
pub type Xywh = [f64; 4];

/// Overlap thresholds of the success curve: 0, 0.05 … 1.
pub const SUCCESS_THRESHOLDS: usize = 21;
/// Centre errors up to so many pixels are precise.
const PRECISE_PIXELS: f64 = 20.0;
/// The same for errors in units of the truth's width and height.
const PRECISE_NORMALISED: f64 = 0.2;

/// One frame of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FrameErrors {
    /// Intersection over union; -1 without a truth.
    pub iou: f64,
    /// Distance of the centres in pixels; infinite without a truth.
    pub centre: f64,
    /// The same with x and y divided by the truth's width and height.
    pub normalised: f64,
    /// Whether there is a truth: of some size, and visible.
    pub valid: bool,
}

/// One sequence's curves, as shares of its frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SequenceCurves {
    /// Frames.
    pub frames: Vec<FrameErrors>,
    /// Share of frames with overlap above each threshold.
    pub success: Vec<f64>,
    /// Share of frames whose centre error is at most 20 pixels.
    pub precision: f64,
    /// Share of frames whose normalised centre error is at most 0.2.
    pub normalised_precision: f64,
}

/// Means over sequences, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SotReport {
    /// Mean of the success curve.
    pub auc: f64,
    /// Success at overlap 0.5.
    pub op50: f64,
    /// Success at overlap 0.75.
    pub op75: f64,
    /// Precision at 20 pixels.
    pub precision: f64,
    /// Normalised precision at 0.2.
    pub normalised_precision: f64,
}

/// Evaluates one sequence; `visible` is all frames where absent.
///
/// # Errors
/// [`MetricError`] for an empty sequence, boxes that are no numbers or negative in size, too few predictions under
/// [`SotVariant::Lasot`].
pub fn evaluate(
    truth: &[Xywh],
    pred: &[Xywh],
    visible: Option<&[bool]>,
    variant: SotVariant,
) -> Result<SequenceCurves> {
    check::at_least("truth", truth.len(), 1)?;
    check::finite("truth", truth.as_flattened())?;
    let pred = prepare(truth, pred, variant)?;
    if let Some(visible) = visible {
        check::same_length("visible", visible.len(), "truth", truth.len())?;
    }
    let errors = |i: usize| {
        let seen = visible.is_none_or(|v| v[i]);
        frame(&truth[i], &pred[i], seen, variant)
    };
    let frames: Vec<FrameErrors> = (0..truth.len()).map(errors).collect();
    let share = |holds: &dyn Fn(&FrameErrors) -> bool| {
        frames.iter().filter(|f| holds(f)).count() as f64 / frames.len() as f64
    };
    let threshold = |k: usize| k as f64 * 0.05;
    Ok(SequenceCurves {
        success: (0..SUCCESS_THRESHOLDS).map(|k| share(&|f| f.iou > threshold(k))).collect(),
        precision: share(&|f| f.centre <= PRECISE_PIXELS),
        normalised_precision: share(&|f| f.normalised <= PRECISE_NORMALISED),
        frames,
    })
}

/// Means of sequences; of any multiset of them.
///
/// # Errors
/// [`MetricError::Empty`] without a sequence.
pub fn summarise<'a>(
    sequences: impl IntoIterator<Item = &'a SequenceCurves, IntoIter: Clone>,
) -> Result<SotReport> {
    let sequences = sequences.into_iter();
    let count = sequences.clone().count();
    check::at_least("sequences", count, 1)?;
    let mean =
        |of: &dyn Fn(&SequenceCurves) -> f64| 100.0 * sequences.clone().map(of).sum::<f64>() / count as f64;
    let curve: Vec<f64> = (0..SUCCESS_THRESHOLDS).map(|k| mean(&|s| s.success[k])).collect();
    Ok(SotReport {
        auc: curve.iter().sum::<f64>() / curve.len() as f64,
        op50: curve[10],
        op75: curve[15],
        precision: mean(&|s| s.precision),
        normalised_precision: mean(&|s| s.normalised_precision),
    })
}

/// As many predictions as frames, none empty but at the start, the first that of the truth.
fn prepare(truth: &[Xywh], pred: &[Xywh], variant: SotVariant) -> Result<Vec<Xywh>> {
    check::finite("pred", pred.as_flattened())?;
    if let Some(bad) = pred.iter().flat_map(|b| [b[2], b[3]]).find(|side| *side < 0.0) {
        return Err(check::setting("a predicted box's side", bad, "pixels, not below 0"));
    }
    let mut pred = pred.to_vec();
    for i in 1..pred.len() {
        if pred[i][2] == 0.0 || pred[i][3] == 0.0 {
            pred[i] = pred[i - 1];
        }
    }
    if variant == SotVariant::Lasot && pred.len() < truth.len() {
        return Err(MetricError::Length {
            name: "pred",
            found: pred.len(),
            partner: "truth",
            wanted: truth.len(),
        });
    }
    pred.resize(truth.len(), [0.0; 4]);
    pred[0] = truth[0];
    Ok(pred)
}

/// Overlap of boxes in inclusive pixels: the ones on either side cancel out.
fn overlap(a: &Xywh, b: &Xywh) -> f64 {
    let side = |k: usize| {
        let (low, high) = (a[k].max(b[k]), (a[k] + a[k + 2] - 1.0).min(b[k] + b[k + 2] - 1.0));
        (high - low + 1.0).max(0.0)
    };
    let shared = side(0) * side(1);
    shared / (a[2] * a[3] + b[2] * b[3] - shared)
}

fn frame(truth: &Xywh, pred: &Xywh, visible: bool, variant: SotVariant) -> FrameErrors {
    let valid = truth[2] > 0.0 && truth[3] > 0.0 && visible;
    if !valid {
        let lost = variant == SotVariant::Lasot && !visible;
        let normalised = if lost { f64::INFINITY } else { -1.0 };
        return FrameErrors { iou: -1.0, centre: f64::INFINITY, normalised, valid };
    }
    let centre = |b: &Xywh, k: usize| b[k] + (b[k + 2] - 1.0) / 2.0;
    let apart = |k: usize, unit: f64| (centre(pred, k) / unit - centre(truth, k) / unit).powi(2);
    FrameErrors {
        iou: overlap(truth, pred),
        centre: (apart(0, 1.0) + apart(1, 1.0)).sqrt(),
        normalised: (apart(0, truth[2]) + apart(1, truth[3])).sqrt(),
        valid,
    }
}

/// Average overlap and success rates of GOT-10k.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Got10kReport {
    /// Mean overlap over all frames.
    pub ao: f64,
    /// Share of frames with overlap above 0.5.
    pub sr50: f64,
    /// Share of frames with overlap above 0.75.
    pub sr75: f64,
}

/// Overlaps of one sequence from its second frame on; boxes are clipped to a picture of `bounds` (width, height) where
/// that is known.
///
/// # Errors
/// [`MetricError`] when lengths differ or values are no numbers.
pub fn got10k(truth: &[Xywh], pred: &[Xywh], bounds: Option<[f64; 2]>) -> Result<Vec<f64>> {
    check::same_length("pred", pred.len(), "truth", truth.len())?;
    check::finite("truth", truth.as_flattened())?;
    check::finite("pred", pred.as_flattened())?;
    let clip = |b: &Xywh| match bounds {
        None => *b,
        Some([width, height]) => {
            let (x, y) = (b[0].max(0.0).min(width), b[1].max(0.0).min(height));
            [x, y, b[2].max(0.0).min(width - x), b[3].max(0.0).min(height - y)]
        }
    };
    let iou = |(truth, pred): (&Xywh, &Xywh)| {
        let (a, b) = (clip(truth), clip(pred));
        let side = |k: usize| ((a[k] + a[k + 2]).min(b[k] + b[k + 2]) - a[k].max(b[k])).max(0.0);
        let shared = side(0) * side(1);
        (shared / (a[2] * a[3] + b[2] * b[3] - shared + f64::EPSILON)).clamp(0.0, 1.0)
    };
    Ok(truth.iter().zip(pred).skip(1).map(iou).collect())
}

/// Pools the frames of sequences; of any multiset of them.
///
/// # Errors
/// [`MetricError::Empty`] without a frame.
pub fn got10k_summary<'a>(sequences: impl IntoIterator<Item = &'a [f64]>) -> Result<Got10kReport> {
    let pooled: Vec<f64> = sequences.into_iter().flatten().copied().collect();
    check::at_least("frames after the first", pooled.len(), 1)?;
    let count = pooled.len() as f64;
    let above = |t: f64| pooled.iter().filter(|iou| **iou > t).count() as f64 / count;
    Ok(Got10kReport { ao: pooled.iter().sum::<f64>() / count, sr50: above(0.5), sr75: above(0.75) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Xywh = [10.0, 20.0, 30.0, 40.0];

    #[test]
    fn a_perfect_track_misses_the_last_threshold() {
        let found = evaluate(&[BOX; 3], &[BOX; 3], None, SotVariant::Otb).unwrap();
        assert_eq!((found.success[0], found.success[19], found.success[20]), (1.0, 1.0, 0.0));
        let report = summarise([&found]).unwrap();
        assert!((report.auc - 2000.0 / 21.0).abs() < 1e-9 && report.precision == 100.0);
    }

    #[test]
    fn frames_without_truth_are_failures_of_overlap() {
        let mut truth = [BOX; 4];
        truth[2][2] = 0.0;
        let visible = [true, false, true, true];
        for (variant, share) in [(SotVariant::Otb, 1.0), (SotVariant::Lasot, 0.75)] {
            let found = evaluate(&truth, &[BOX; 4], Some(&visible), variant).unwrap();
            assert_eq!(found.success[0], 0.5);
            assert_eq!((found.precision, found.normalised_precision), (0.5, share));
            assert_eq!((found.frames[1].iou, found.frames[2].valid), (-1.0, false));
        }
    }

    #[test]
    fn an_empty_prediction_repeats_the_box_before() {
        let far = [500.0, 500.0, 30.0, 40.0];
        let empty = [0.0, 0.0, 0.0, 5.0];
        let found = evaluate(&[BOX; 4], &[far, empty, BOX, empty], None, SotVariant::Otb).unwrap();
        let ious: Vec<f64> = found.frames.iter().map(|f| f.iou).collect();
        // The second frame repeats the first prediction, not the truth that stands in for it.
        assert_eq!(ious, [1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn lengths_are_brought_together() {
        let found = evaluate(&[BOX; 3], &[BOX; 2], None, SotVariant::Otb).unwrap();
        assert_eq!(found.frames[2].iou, 0.0);
        assert_eq!(evaluate(&[BOX; 2], &[BOX; 5], None, SotVariant::Lasot).unwrap().frames.len(), 2);
        assert!(evaluate(&[BOX; 3], &[BOX; 2], None, SotVariant::Lasot).is_err());
        assert!(evaluate(&[], &[], None, SotVariant::Otb).is_err());
        assert!(evaluate(&[BOX], &[[0.0, 0.0, -1.0, 2.0]], None, SotVariant::Otb).is_err());
        assert!(evaluate(&[[f64::NAN; 4]], &[BOX], None, SotVariant::Otb).is_err());
    }

    #[test]
    fn clipping_keeps_the_width() {
        let truth = [BOX, [0.0, 0.0, 20.0, 10.0]];
        let pred = [BOX, [-10.0, 0.0, 20.0, 10.0]];
        // Moved into the picture, the box is whole again.
        assert!((got10k(&truth, &pred, Some([100.0, 100.0])).unwrap()[0] - 1.0).abs() < 1e-12);
        assert!((got10k(&truth, &pred, None).unwrap()[0] - 1.0 / 3.0).abs() < 1e-12);
        assert!(got10k(&truth, &pred[..1], None).is_err());
    }

    #[test]
    fn frames_are_pooled() {
        let report = got10k_summary([&[1.0, 1.0, 1.0][..], &[0.0][..]]).unwrap();
        assert_eq!((report.ao, report.sr50, report.sr75), (0.75, 0.75, 0.75));
        assert!(got10k_summary([&[][..]]).is_err());
    }
}

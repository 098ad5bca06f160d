//! Optical flow: end-point errors against the truth, by mask.
//!
//! A prediction of another size than the truth is first scaled (its u by the ratio of the widths, its v by that of the
//! heights) and then resized, bilinearly between half-pixel centres. [`FlowVariant::Sintel`] is the mean end-point error
//! over all pixels; [`FlowVariant::Kitti`] has a valid mask and one of pixels that are not occluded, and Fl, the share of
//! valid pixels that are wrong by more than 3 pixels and more than 5 % of the true motion. Both are averaged over images.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | FLOW-1 | each image counts alike, whatever the number of its valid pixels | strict | `images_count_alike` |
//! | FLOW-2 | both limits of Fl are strict: exactly 3 pixels or 5 % is right | strict | `errors_at_the_limits_are_right` |
//! | FLOW-3 | an image without occluded pixels has occluded error 0 and is counted | strict | `images_count_alike` |
//! | FLOW-4 | an image without valid pixels is 0/0 in the tool | corrected: an error | `bad_input_is_named` |
//! | FLOW-5 | resizing does not smooth, also where the truth is smaller | strict | `resizing_samples_between_centres` |

use crate::named::named_variants;
use crate::{MetricError, Result, check};
use serde::Serialize;

/// Whose measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowVariant {
    /// Mean end-point error over all pixels.
    #[default]
    Sintel,
    /// End-point error over valid, non-occluded and occluded pixels, and Fl.
    Kitti,
}

named_variants!(FlowVariant, "flow variant", { Sintel => "sintel", Kitti => "kitti" });

/// A field of motion vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowField {
    /// `[height, width, 2]`: u to the right and v downwards, in pixels.
    pub uv: Vec<f64>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl FlowField {
    /// From row-major `[height, width, 2]` values.
    ///
    /// # Errors
    /// [`MetricError`] when they do not fill it, or there is no pixel.
    pub fn new(uv: Vec<f64>, height: usize, width: usize) -> Result<Self> {
        check::at_least("flow", height.min(width), 1)?;
        if uv.len() != 2 * height * width {
            let (found, rows, columns) = (uv.len(), height, 2 * width);
            return Err(MetricError::Shape { name: "flow", found, rows, columns });
        }
        Ok(Self { uv, height, width })
    }

    /// The field on another grid: vectors scaled with it, then sampled bilinearly between half-pixel centres, the border
    /// repeated.
    pub fn resized(&self, height: usize, width: usize) -> Self {
        if (height, width) == (self.height, self.width) {
            return self.clone();
        }
        let ratios = [width as f64 / self.width as f64, height as f64 / self.height as f64];
        let columns = taps(self.width, width);
        let mut uv = Vec::with_capacity(2 * height * width);
        for (top, bottom, down) in taps(self.height, height) {
            for &(left, right, across) in &columns {
                for (c, ratio) in ratios.into_iter().enumerate() {
                    let at = |y: usize, x: usize| self.uv[2 * (y * self.width + x) + c];
                    let upper = at(top, left) * (1.0 - across) + at(top, right) * across;
                    let lower = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
                    uv.push(ratio * (upper * (1.0 - down) + lower * down));
                }
            }
        }
        Self { uv, height, width }
    }
}

/// The two source positions of each target position and the weight of the second.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f64)> {
    let tap = |i: usize| {
        let centre = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let centre = centre.clamp(0.0, (from - 1) as f64);
        let low = centre.floor() as usize;
        (low, (low + 1).min(from - 1), centre - low as f64)
    };
    (0..to).map(tap).collect()
}

/// Which pixels of a KITTI truth count.
#[derive(Clone, Copy, Debug)]
pub struct FlowMasks<'a> {
    /// Pixels with a known motion, `[height, width]`.
    pub valid: &'a [bool],
    /// Those among them that are seen in both frames.
    pub not_occluded: &'a [bool],
}

/// The errors of one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FlowRecord {
    /// Mean end-point error over valid pixels.
    pub epe_all: f64,
    /// Over those that are not occluded.
    pub epe_noc: f64,
    /// Over those that are; 0 where none is.
    pub epe_occ: f64,
    /// Share of valid pixels with an error above 3 pixels and 5 %.
    pub fl_all: f64,
}

/// Means over images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FlowReport {
    /// Mean end-point error over valid pixels, in pixels.
    pub epe_all: f64,
    /// Over those that are not occluded.
    pub epe_noc: f64,
    /// Over those that are.
    pub epe_occ: f64,
    /// Wrong pixels in percent.
    pub fl_all: f64,
}

/// An error above this many pixels …
const WRONG_PIXELS: f64 = 3.0;
/// … and this share of the motion is wrong.
const WRONG_SHARE: f64 = 0.05;

impl FlowRecord {
    /// Compares a prediction, of any size, with the truth; without masks all pixels are valid and none occluded.
    ///
    /// # Errors
    /// [`MetricError`] for masks of another size, motion that is no number where it counts, no valid pixel.
    pub fn new(truth: &FlowField, pred: &FlowField, masks: Option<FlowMasks<'_>>) -> Result<Self> {
        let pred = pred.resized(truth.height, truth.width);
        let pixels = truth.height * truth.width;
        if let Some(masks) = masks {
            check::same_length("the valid mask", masks.valid.len(), "the truth", pixels)?;
            check::same_length(
                "the mask of pixels not occluded",
                masks.not_occluded.len(),
                "the truth",
                pixels,
            )?;
        }
        let (mut all, mut noc, mut occ, mut wrong) = (Sum::default(), Sum::default(), Sum::default(), 0.0);
        for i in 0..pixels {
            let (valid, seen) = masks.map_or((true, true), |m| (m.valid[i], m.not_occluded[i]));
            if !valid && !seen {
                continue;
            }
            let (u, v) = (truth.uv[2 * i], truth.uv[2 * i + 1]);
            let error = (pred.uv[2 * i] - u).hypot(pred.uv[2 * i + 1] - v);
            if !error.is_finite() {
                return Err(MetricError::NotFinite { name: "the error of pixel", index: i, value: error });
            }
            if valid {
                all.add(error);
                let is_wrong = error > WRONG_PIXELS && error / u.hypot(v) > WRONG_SHARE;
                wrong += f64::from(u8::from(is_wrong));
            }
            if seen {
                noc.add(error);
            } else {
                occ.add(error);
            }
        }
        if all.count == 0.0 {
            return Err(MetricError::MissingClass { class: "valid pixels", within: "the truth".to_owned() });
        }
        Ok(Self { epe_all: all.mean(), epe_noc: noc.mean(), epe_occ: occ.mean(), fl_all: wrong / all.count })
    }
}

#[derive(Default)]
struct Sum {
    total: f64,
    count: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.total += value;
        self.count += 1.0;
    }

    fn mean(&self) -> f64 {
        self.total / self.count.max(1.0)
    }
}

/// Means over images; over any multiset of them.
///
/// # Errors
/// [`MetricError::Empty`] without an image.
pub fn summarise<'a>(
    records: impl IntoIterator<Item = &'a FlowRecord, IntoIter: Clone>,
) -> Result<FlowReport> {
    let records = records.into_iter();
    let count = records.clone().count();
    check::at_least("images", count, 1)?;
    let mean = |of: fn(&FlowRecord) -> f64| records.clone().map(of).sum::<f64>() / count as f64;
    Ok(FlowReport {
        epe_all: mean(|r| r.epe_all),
        epe_noc: mean(|r| r.epe_noc),
        epe_occ: mean(|r| r.epe_occ),
        fl_all: 100.0 * mean(|r| r.fl_all),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(uv: &[f64], height: usize, width: usize) -> FlowField {
        FlowField::new(uv.to_vec(), height, width).unwrap()
    }

    #[test]
    fn images_count_alike() {
        let truth = field(&[0.0; 8], 2, 2);
        let pred = field(&[3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 2, 2);
        let masks =
            FlowMasks { valid: &[true, false, false, false], not_occluded: &[true, false, false, false] };
        let one = FlowRecord::new(&truth, &pred, Some(masks)).unwrap();
        let all = FlowRecord::new(&truth, &pred, None).unwrap();
        assert_eq!((one.epe_all, one.epe_occ, all.epe_all), (5.0, 0.0, 1.25));
        let report = summarise([&one, &all]).unwrap();
        assert_eq!((report.epe_all, report.fl_all), (3.125, 62.5));
    }

    #[test]
    fn errors_at_the_limits_are_right() {
        let fl = |u: f64, error: f64| {
            let (truth, pred) = (field(&[u, 0.0], 1, 1), field(&[u + error, 0.0], 1, 1));
            FlowRecord::new(&truth, &pred, None).unwrap().fl_all
        };
        assert_eq!(
            [fl(1.0, 3.0), fl(1.0, 3.001), fl(80.0, 4.0), fl(79.0, 4.0), fl(0.0, 4.0)],
            [0.0, 1.0, 0.0, 1.0, 1.0]
        );
    }

    #[test]
    fn resizing_samples_between_centres() {
        let wide = field(&[1.0, 0.0, 3.0, 0.0], 1, 2).resized(1, 4);
        let u: Vec<f64> = wide.uv.chunks(2).map(|uv| uv[0]).collect();
        assert_eq!(u, [2.0, 3.0, 5.0, 6.0]);
        // A quarter of the width takes single pixels, not means.
        let narrow = field(&[8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 1, 4).resized(1, 1);
        assert_eq!(narrow.uv, [0.0, 0.0]);
    }

    #[test]
    fn bad_input_is_named() {
        let truth = field(&[0.0; 4], 1, 2);
        let none = FlowMasks { valid: &[false; 2], not_occluded: &[false; 2] };
        assert!(
            FlowRecord::new(&truth, &truth, Some(none)).unwrap_err().to_string().contains("valid pixels")
        );
        let short = FlowMasks { valid: &[true], not_occluded: &[true, true] };
        assert!(FlowRecord::new(&truth, &truth, Some(short)).is_err());
        let bad = field(&[f64::NAN, 0.0, 0.0, 0.0], 1, 2);
        assert!(FlowRecord::new(&truth, &bad, None).is_err());
        // Where it does not count, it does not matter.
        let second = FlowMasks { valid: &[false, true], not_occluded: &[false, true] };
        assert!(FlowRecord::new(&truth, &bad, Some(second)).is_ok());
        assert!(FlowField::new(vec![0.0; 3], 1, 2).is_err() && FlowField::new(Vec::new(), 0, 2).is_err());
        assert!(summarise([]).is_err());
    }
}

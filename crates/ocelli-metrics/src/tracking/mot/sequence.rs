//! The boxes of one video, frame by frame.

use std::collections::{BTreeMap, BTreeSet};

use crate::{MetricError, Result, check};

/// A box of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxRow {
    /// The frame's number.
    pub frame: i64,
    /// The object's or track's id.
    pub id: i64,
    /// `x, y, w, h` in pixels.
    pub xywh: [f64; 4],
}

/// Ids (as numbers from 0) and boxes of one side of a frame.
pub(super) type Side = Vec<(usize, [f64; 4])>;

/// Truth and predictions of one video.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// By frame, those with a row on either side; objects and predictions in row order.
    frames: Vec<(Side, Side)>,
    objects: usize,
    tracks: usize,
}

/// A frame with the overlaps of all pairs.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Objects, by number.
    pub(super) truth: Vec<usize>,
    /// Tracks, by number.
    pub(super) pred: Vec<usize>,
    /// IoU `[truth, pred]`.
    pub(super) iou: Vec<f64>,
}

impl Frame {
    pub(super) fn iou(&self, row: usize, column: usize) -> f64 {
        self.iou[row * self.pred.len() + column]
    }
}

impl Sequence {
    /// From rows in any order; frames without a row on either side do not count.
    ///
    /// # Errors
    /// [`MetricError`] for values that are no numbers, negative sides, and an id that occurs twice in a frame.
    pub fn new(truth: &[BoxRow], pred: &[BoxRow]) -> Result<Self> {
        let mut frames: BTreeMap<i64, (Side, Side)> = BTreeMap::new();
        let objects = fill("truth", truth, &mut frames, |f| &mut f.0)?;
        let tracks = fill("pred", pred, &mut frames, |f| &mut f.1)?;
        Ok(Self { frames: frames.into_values().collect(), objects, tracks })
    }

    /// Number of objects.
    pub fn objects(&self) -> usize {
        self.objects
    }

    /// Number of tracks.
    pub fn tracks(&self) -> usize {
        self.tracks
    }

    /// In how many frames each object is.
    pub(super) fn object_frames(&self) -> Vec<u64> {
        count(self.frames.iter().map(|f| &f.0), self.objects)
    }

    /// In how many frames each track is.
    pub(super) fn track_frames(&self) -> Vec<u64> {
        count(self.frames.iter().map(|f| &f.1), self.tracks)
    }

    pub(super) fn overlaps(&self) -> Vec<Frame> {
        let frame = |(truth, pred): &(Side, Side)| Frame {
            iou: truth.iter().flat_map(|(_, a)| pred.iter().map(move |(_, b)| iou(a, b))).collect(),
            truth: truth.iter().map(|(id, _)| *id).collect(),
            pred: pred.iter().map(|(id, _)| *id).collect(),
        };
        self.frames.iter().map(frame).collect()
    }
}

fn count<'a>(sides: impl Iterator<Item = &'a Side>, ids: usize) -> Vec<u64> {
    let mut counts = vec![0; ids];
    sides.flatten().for_each(|(id, _)| counts[*id] += 1);
    counts
}

/// Sorts rows into frames and numbers their ids by size.
fn fill(
    name: &'static str,
    rows: &[BoxRow],
    frames: &mut BTreeMap<i64, (Side, Side)>,
    side: impl Fn(&mut (Side, Side)) -> &mut Side,
) -> Result<usize> {
    let ids: Vec<i64> = rows.iter().map(|r| r.id).collect::<BTreeSet<_>>().into_iter().collect();
    let mut seen = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        check::finite(name, &row.xywh)?;
        if row.xywh[2] < 0.0 || row.xywh[3] < 0.0 {
            return Err(check::setting("a box's side", row.xywh[2].min(row.xywh[3]), "pixels, not below 0"));
        }
        if !seen.insert((row.frame, row.id)) {
            return Err(MetricError::DuplicateId { name, index, id: row.id, frame: row.frame });
        }
        let id = ids.partition_point(|id| *id < row.id);
        side(frames.entry(row.frame).or_default()).push((id, row.xywh));
    }
    Ok(ids.len())
}

/// Intersection over union of continuous boxes; 0 where both are empty.
pub(super) fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let side = |k: usize| ((a[k] + a[k + 2]).min(b[k] + b[k + 2]) - a[k].max(b[k])).max(0.0);
    let shared = side(0) * side(1);
    let union = a[2] * a[3] + b[2] * b[3] - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}

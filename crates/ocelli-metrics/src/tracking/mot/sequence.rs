//! The boxes of one video, frame by frame.

use crate::tracking::assignment::least_cost;
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
type Side = Vec<(usize, [f64; 4])>;

/// Truth and predictions of one video.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// By frame, those with a row on either side; objects and predictions in row order.
    frames: Vec<(Side, Side)>,
    objects: usize,
    tracks: usize,
}

/// A frame with its overlaps.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Objects, by number.
    pub(super) truth: Vec<usize>,
    /// Tracks, by number.
    pub(super) pred: Vec<usize>,
    /// The pairs that overlap at all, by rising row, then column.
    pub(super) overlaps: Vec<Overlap>,
}

/// Two boxes of a frame that overlap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlap {
    /// Place in [`Frame::truth`].
    pub(super) row: usize,
    /// Place in [`Frame::pred`].
    pub(super) column: usize,
    /// Place of object and track in [`Overlaps::pairs`].
    pub(super) pair: usize,
    /// Above 0.
    pub(super) iou: f64,
}

/// The overlaps of a sequence. Most boxes are apart, so only those that are not are listed.
#[derive(Clone, Debug)]
pub(super) struct Overlaps {
    pub(super) frames: Vec<Frame>,
    /// Objects and tracks that overlap in any frame, rising.
    pub(super) pairs: Vec<(usize, usize)>,
}

impl Frame {
    /// The overlaps' pairs are not known yet.
    fn new(truth: &Side, pred: &Side) -> Self {
        let mut overlaps = Vec::with_capacity(2 * truth.len());
        for (row, (_, a)) in truth.iter().enumerate() {
            for (column, (_, b)) in pred.iter().enumerate() {
                let iou = iou(a, b);
                if iou > 0.0 {
                    overlaps.push(Overlap { row, column, pair: 0, iou });
                }
            }
        }
        let ids = |side: &Side| side.iter().map(|(id, _)| *id).collect();
        Self { truth: ids(truth), pred: ids(pred), overlaps }
    }

    /// The overlap of two boxes, where they overlap at all.
    pub(super) fn overlap(&self, row: usize, column: usize) -> Option<&Overlap> {
        let at = self.overlaps.binary_search_by_key(&(row, column), |o| (o.row, o.column)).ok()?;
        Some(&self.overlaps[at])
    }

    /// The overlap of two boxes, 0 where they are apart.
    pub(super) fn iou(&self, row: usize, column: usize) -> f64 {
        self.overlap(row, column).map_or(0.0, |o| o.iou)
    }

    /// The assignment of rows to columns with the largest sum of `score`, which is 0 where boxes are apart.
    pub(super) fn assign(&self, score: impl Fn(&Overlap) -> f64) -> Vec<(usize, usize)> {
        let columns = self.pred.len();
        let mut costs = vec![0.0; self.truth.len() * columns];
        self.overlaps.iter().for_each(|o| costs[o.row * columns + o.column] = -score(o));
        least_cost(&costs, self.truth.len(), columns)
    }
}

impl Sequence {
    /// From rows in any order; frames without a row on either side do not count.
    ///
    /// # Errors
    /// [`MetricError`] for values that are no numbers, negative sides, and an id that occurs twice in a frame.
    pub fn new(truth: &[BoxRow], pred: &[BoxRow]) -> Result<Self> {
        let (truth, objects) = numbered("truth", truth)?;
        let (pred, tracks) = numbered("pred", pred)?;
        Ok(Self { frames: joined(truth, pred), objects, tracks })
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

    pub(super) fn overlaps(&self) -> Overlaps {
        let mut frames: Vec<Frame> =
            self.frames.iter().map(|(truth, pred)| Frame::new(truth, pred)).collect();
        let pair = |frame: &Frame, o: &Overlap| (frame.truth[o.row], frame.pred[o.column]);
        let mut pairs: Vec<(usize, usize)> =
            frames.iter().flat_map(|frame| frame.overlaps.iter().map(|o| pair(frame, o))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        for frame in &mut frames {
            let Frame { truth, pred, overlaps } = frame;
            for o in overlaps {
                o.pair = pairs.partition_point(|pair| *pair < (truth[o.row], pred[o.column]));
            }
        }
        Overlaps { frames, pairs }
    }
}

fn count<'a>(sides: impl Iterator<Item = &'a Side>, ids: usize) -> Vec<u64> {
    let mut counts = vec![0; ids];
    sides.flatten().for_each(|(id, _)| counts[*id] += 1);
    counts
}

/// One side's rows by rising frame.
type Sides = Vec<(i64, Side)>;

/// Sorts rows into frames and numbers their ids by size; gives the number of ids too.
fn numbered(name: &'static str, rows: &[BoxRow]) -> Result<(Sides, usize)> {
    for row in rows {
        check::finite(name, &row.xywh)?;
        if row.xywh[2] < 0.0 || row.xywh[3] < 0.0 {
            return Err(check::setting("a box's side", row.xywh[2].min(row.xywh[3]), "pixels, not below 0"));
        }
    }
    let mut ids: Vec<i64> = rows.iter().map(|r| r.id).collect();
    ids.sort_unstable();
    ids.dedup();
    // Files mostly are in order, which a stable sort is quick to find.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&at| rows[at].frame);
    let mut sides: Sides = Vec::new();
    let mut last_frame = vec![None; ids.len()];
    let mut twice: Option<usize> = None;
    for at in order {
        let BoxRow { frame, id, xywh } = rows[at];
        let number = ids.partition_point(|known| *known < id);
        if last_frame[number].replace(frame) == Some(frame) {
            twice = Some(twice.map_or(at, |first| first.min(at)));
        }
        match sides.last_mut() {
            Some((last, side)) if *last == frame => side.push((number, xywh)),
            _ => sides.push((frame, vec![(number, xywh)])),
        }
    }
    match twice {
        None => Ok((sides, ids.len())),
        Some(index) => {
            Err(MetricError::DuplicateId { name, index, id: rows[index].id, frame: rows[index].frame })
        }
    }
}

/// The frames that either side has.
fn joined(truth: Sides, pred: Sides) -> Vec<(Side, Side)> {
    let (mut truth, mut pred) = (truth.into_iter().peekable(), pred.into_iter().peekable());
    let mut frames = Vec::with_capacity(truth.len().max(pred.len()));
    while let Some(frame) = [truth.peek(), pred.peek()].into_iter().flatten().map(|(frame, _)| *frame).min() {
        let side = |(_, side)| side;
        frames.push((
            truth.next_if(|(f, _)| *f == frame).map(side).unwrap_or_default(),
            pred.next_if(|(f, _)| *f == frame).map(side).unwrap_or_default(),
        ));
    }
    frames
}

/// Intersection over union of continuous boxes; 0 where both are empty.
pub(super) fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let side = |k: usize| ((a[k] + a[k + 2]).min(b[k] + b[k + 2]) - a[k].max(b[k])).max(0.0);
    let shared = side(0) * side(1);
    if shared == 0.0 {
        return 0.0;
    }
    // Sides from corners, as both tools have them: the rounding decides at a threshold.
    let area = |r: &[f64; 4]| (r[0] + r[2] - r[0]) * (r[1] + r[3] - r[1]);
    let union = area(a) + area(b) - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}

//! The boxes of one video, frame by frame.

use super::numbers::Numbers;
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

/// Truth and predictions of one video, with the overlaps between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// Those with a row on either side.
    pub(super) frames: Vec<Frame>,
    /// Objects and tracks that overlap in any frame, rising.
    pub(super) pairs: Vec<(usize, usize)>,
    objects: usize,
    tracks: usize,
}

/// A frame with its overlaps. Most boxes are apart, so only those that are not are listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Frame {
    /// Objects in row order, by number; by row as long as they have none.
    pub(super) truth: Vec<usize>,
    /// Tracks likewise.
    pub(super) pred: Vec<usize>,
    /// The pairs that overlap at all, by rising row, then column.
    pub(super) overlaps: Vec<Overlap>,
}

/// Two boxes of a frame that overlap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Overlap {
    /// Place in [`Frame::truth`].
    pub(super) row: usize,
    /// Place in [`Frame::pred`].
    pub(super) column: usize,
    /// Place of object and track in [`Sequence::pairs`].
    pub(super) pair: usize,
    /// Above 0.
    pub(super) iou: f64,
}

impl Frame {
    /// Where the overlap of two boxes is listed, if they overlap at all.
    pub(super) fn place(&self, row: usize, column: usize) -> Option<usize> {
        self.overlaps.binary_search_by_key(&(row, column), |o| (o.row, o.column)).ok()
    }
}

impl Sequence {
    /// From rows in any order; frames without a row on either side do not count.
    ///
    /// # Errors
    /// [`MetricError`] for values that are no numbers, negative sides, and an id that occurs twice in a frame.
    pub fn new(truth: &[BoxRow], pred: &[BoxRow]) -> Result<Self> {
        Self::numbered(truth, pred, frames(truth, pred, |_| ())?)
    }

    /// From frames of rows that have no numbers yet.
    pub(super) fn numbered(truth: &[BoxRow], pred: &[BoxRow], mut frames: Vec<Frame>) -> Result<Self> {
        let objects = number("truth", truth, frames.iter_mut().map(|frame| &mut frame.truth))?;
        let tracks = number("pred", pred, frames.iter_mut().map(|frame| &mut frame.pred))?;
        let pairs = pair_up(&mut frames, objects, tracks);
        Ok(Self { frames, pairs, objects, tracks })
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
        count(self.frames.iter().map(|frame| &frame.truth), self.objects)
    }

    /// In how many frames each track is.
    pub(super) fn track_frames(&self) -> Vec<u64> {
        count(self.frames.iter().map(|frame| &frame.pred), self.tracks)
    }
}

fn count<'a>(sides: impl Iterator<Item = &'a Vec<usize>>, ids: usize) -> Vec<u64> {
    let mut counts = vec![0; ids];
    sides.flatten().for_each(|&id| counts[id] += 1);
    counts
}

/// The frames that either side has, rising, of rows that have no numbers yet, each as `prepare` leaves it.
pub(super) fn frames(
    truth: &[BoxRow],
    pred: &[BoxRow],
    mut prepare: impl FnMut(&mut Frame),
) -> Result<Vec<Frame>> {
    check_rows("truth", truth)?;
    check_rows("pred", pred)?;
    let (truth_order, pred_order) = (by_frame(truth), by_frame(pred));
    let (mut left, mut right) = (&truth_order[..], &pred_order[..]);
    let (mut frames, mut frame, mut corners) = (Vec::new(), Frame::default(), Vec::new());
    loop {
        let next =
            [(truth, left), (pred, right)].map(|(rows, order)| order.first().map(|&at| rows[at].frame));
        let Some(number) = next.into_iter().flatten().min() else { return Ok(frames) };
        left = frame_rows(truth, left, number, &mut frame.truth);
        right = frame_rows(pred, right, number, &mut frame.pred);
        corners.clear();
        corners.extend(frame.pred.iter().map(|&at| Corners::new(&pred[at].xywh)));
        frame.overlaps.clear();
        for (row, &at) in frame.truth.iter().enumerate() {
            Corners::new(&truth[at].xywh).overlaps(row, &corners, &mut frame.overlaps);
        }
        prepare(&mut frame);
        // A copy has no more room than it needs.
        frames.push(frame.clone());
    }
}

fn check_rows(name: &'static str, rows: &[BoxRow]) -> Result<()> {
    for row in rows {
        check::finite(name, &row.xywh)?;
        if row.xywh[2] < 0.0 || row.xywh[3] < 0.0 {
            return Err(check::setting("a box's side", row.xywh[2].min(row.xywh[3]), "pixels, not below 0"));
        }
    }
    Ok(())
}

/// The rows by rising frame, those of a frame in order. Files mostly are in order, which a stable sort is quick to find.
fn by_frame(rows: &[BoxRow]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&at| rows[at].frame);
    order
}

/// Moves the rows at the head of an order that are in a frame into `side`; gives those after them.
fn frame_rows<'a>(rows: &[BoxRow], order: &'a [usize], frame: i64, side: &mut Vec<usize>) -> &'a [usize] {
    let count = order.iter().take_while(|&&at| rows[at].frame == frame).count();
    side.clear();
    side.extend_from_slice(&order[..count]);
    &order[count..]
}

/// A continuous box by its corners, as both tools have it: the rounding of the area decides at a threshold.
#[derive(Clone, Copy, Debug)]
struct Corners {
    low: [f64; 2],
    high: [f64; 2],
    area: f64,
}

impl Corners {
    fn new([x, y, w, h]: &[f64; 4]) -> Self {
        let (low, high) = ([*x, *y], [x + w, y + h]);
        Self { low, high, area: (high[0] - low[0]) * (high[1] - low[1]) }
    }

    /// Whether the boxes have no inner point in common. Most pairs are apart, in either direction, so one branch is
    /// cheaper than four.
    fn apart(&self, other: &Self) -> bool {
        let along = |k: usize| (self.high[k] <= other.low[k]) | (other.high[k] <= self.low[k]);
        along(0) | along(1)
    }

    /// Intersection over union; 0 where both are empty.
    fn iou(&self, other: &Self) -> f64 {
        let side = |k: usize| (self.high[k].min(other.high[k]) - self.low[k].max(other.low[k])).max(0.0);
        let shared = side(0) * side(1);
        let union = self.area + other.area - shared;
        if shared > 0.0 && union > 0.0 { shared / union } else { 0.0 }
    }

    /// Lists the boxes of the other side that overlap this one; their pairs have no place yet.
    fn overlaps(&self, row: usize, others: &[Self], found: &mut Vec<Overlap>) {
        for (column, other) in others.iter().enumerate().filter(|(_, other)| !self.apart(other)) {
            let iou = self.iou(other);
            if iou > 0.0 {
                found.push(Overlap { row, column, pair: 0, iou });
            }
        }
    }
}

/// Puts the numbers of ids, by size, in place of rows; gives the number of ids.
fn number<'a>(
    name: &'static str,
    rows: &[BoxRow],
    sides: impl Iterator<Item = &'a mut Vec<usize>>,
) -> Result<usize> {
    let mut sides: Vec<&mut Vec<usize>> = sides.collect();
    let ids = sides.iter().flat_map(|side| side.iter().map(|&at| rows[at].id));
    let numbers = Numbers::new(ids);
    let mut last_frame = vec![usize::MAX; numbers.len()];
    let mut twice: Option<usize> = None;
    for (frame, side) in sides.iter_mut().enumerate() {
        for at in side.iter_mut() {
            let number = numbers.of(rows[*at].id);
            if std::mem::replace(&mut last_frame[number], frame) == frame {
                twice = Some(twice.map_or(*at, |first| first.min(*at)));
            }
            *at = number;
        }
    }
    match twice {
        None => Ok(numbers.len()),
        Some(index) => {
            Err(MetricError::DuplicateId { name, index, id: rows[index].id, frame: rows[index].frame })
        }
    }
}

/// Lists objects and tracks that overlap, rising, and notes in each overlap which of them it is.
fn pair_up(frames: &mut [Frame], objects: usize, tracks: usize) -> Vec<(usize, usize)> {
    let met: Vec<(usize, usize)> = frames
        .iter()
        .flat_map(|frame| frame.overlaps.iter().map(|o| (frame.truth[o.row], frame.pred[o.column])))
        .collect();
    // Overlaps by object, in the room of each from `ends[object - 1]` to `ends[object]`.
    let mut ends = vec![0; objects + 1];
    met.iter().for_each(|&(object, _)| ends[object + 1] += 1);
    (0..objects).for_each(|object| ends[object + 1] += ends[object]);
    let mut by_object = vec![0; met.len()];
    for (at, &(object, _)) in met.iter().enumerate() {
        by_object[ends[object]] = at;
        ends[object] += 1;
    }
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut pair_of = vec![0; met.len()];
    // The last object that met each track, and as which pair.
    let mut seen = vec![(usize::MAX, 0); tracks];
    let mut start = 0;
    for object in 0..objects {
        let own = &by_object[start..ends[object]];
        let first = pairs.len();
        for &at in own {
            let track = met[at].1;
            if std::mem::replace(&mut seen[track].0, object) != object {
                pairs.push((object, track));
            }
        }
        pairs[first..].sort_unstable();
        (first..pairs.len()).for_each(|pair| seen[pairs[pair].1].1 = pair);
        own.iter().for_each(|&at| pair_of[at] = seen[met[at].1].1);
        start = ends[object];
    }
    let overlaps = frames.iter_mut().flat_map(|frame| &mut frame.overlaps);
    overlaps.zip(pair_of).for_each(|(o, pair)| o.pair = pair);
    pairs
}

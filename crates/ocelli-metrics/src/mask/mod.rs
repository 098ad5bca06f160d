//! Binary masks as run lengths: COCO's codec, bit for bit.
//!
//! A mask is a row of run lengths over its pixels column by column, starting with pixels that do not belong to it. Files
//! hold them as numbers or as a compressed text ([`Rle::from_text`]), or as polygons ([`Rle::from_polygon`]). Areas,
//! boxes, unions and overlaps are computed on the runs; [`Region`] keeps what repeated overlaps need.
//!
//! | quirk | the tool (pycocotools) | here | pinned by |
//! |---|---|---|---|
//! | MASK-1 | a polygon's boundary is walked at five times the resolution and crosses pixel columns at their centres, so half-covered pixels do not count by area | strict | `a_polygon_counts_the_pixels_whose_columns_it_crosses` |
//! | MASK-2 | coordinates are rounded towards zero after adding 0.5, also negative ones | strict | `polygons_are_clipped_at_the_border` |
//! | MASK-3 | if the first of several polygons has four numbers, all of them are read as boxes x, y, width, height | strict | `four_numbers_are_a_box` |
//! | MASK-4 | an odd last number of a polygon is dropped | strict | `four_numbers_are_a_box` |
//! | MASK-5 | runs that end before the last pixel are taken; the rest is outside | strict; runs beyond the last pixel are an error | `runs_must_fit_the_picture` |
//! | MASK-6 | the overlap with a crowd is the share of the first mask inside of it | strict | `overlaps_are_those_of_the_pixels` |
//! | MASK-7 | in the text a run is the difference to the run two before, from the fourth on | strict | `text_survives_a_round_trip` |

mod polygon;
mod text;

use crate::{MetricError, Result, check};

pub use polygon::{LARGEST_COORDINATE, union_of_polygons};

/// A mask as run lengths, column by column, the first run outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    height: u32,
    width: u32,
    counts: Vec<u32>,
}

/// How two masks become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Pixels of either.
    Union,
    /// Pixels of both.
    Intersection,
}

impl Rle {
    /// A mask of these run lengths.
    ///
    /// # Errors
    /// [`MetricError::Setting`] when they cover more pixels than the picture has.
    pub fn from_counts([height, width]: [u32; 2], mut counts: Vec<u32>) -> Result<Self> {
        let pixels = pixels(height, width)?;
        let covered: u64 = counts.iter().map(|&c| u64::from(c)).sum();
        if covered > u64::from(pixels) {
            return Err(refused(
                format!("runs over {covered} pixels"),
                &format!("at most the {pixels} pixels of {height} x {width}"),
            ));
        }
        let rest = pixels - covered as u32;
        if counts.len().is_multiple_of(2) {
            counts.extend((rest > 0).then_some(rest));
        } else if let Some(last) = counts.last_mut() {
            *last += rest;
        }
        Ok(Self { height, width, counts })
    }

    /// The runs of a mask given pixel by pixel in rows; everything but 0 belongs to it.
    ///
    /// # Errors
    /// [`MetricError::Shape`] when the pixels do not fill the picture.
    pub fn from_pixels([height, width]: [u32; 2], mask: &[u8]) -> Result<Self> {
        let (rows, columns) = (height as usize, width as usize);
        if pixels(height, width)? as usize != mask.len() {
            return Err(MetricError::Shape { name: "mask", found: mask.len(), rows, columns });
        }
        let (mut counts, mut inside, mut run) = (Vec::new(), false, 0);
        for x in 0..columns {
            for y in 0..rows {
                if (mask[y * columns + x] != 0) != inside {
                    counts.push(run);
                    (inside, run) = (!inside, 0);
                }
                run += 1;
            }
        }
        counts.push(run);
        Ok(Self { height, width, counts })
    }

    /// The mask pixel by pixel in rows, 1 for pixels that belong to it.
    pub fn to_pixels(&self) -> Vec<u8> {
        let (rows, columns) = (self.height as usize, self.width as usize);
        let mut mask = vec![0; rows * columns];
        for place in self.spans().flat_map(|[from, to]| from as usize..to as usize) {
            mask[place % rows * columns + place / rows] = 1;
        }
        mask
    }

    /// Height and width.
    pub fn size(&self) -> [u32; 2] {
        [self.height, self.width]
    }

    /// The run lengths.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Number of pixels that belong to the mask.
    pub fn area(&self) -> u64 {
        self.counts.iter().skip(1).step_by(2).map(|&c| u64::from(c)).sum()
    }

    /// The runs that belong to the mask as `[first, end)`, column by column.
    fn spans(&self) -> impl Iterator<Item = [u32; 2]> {
        let mut end = 0;
        let runs = self.counts.chunks_exact(2).map(move |pair| {
            let first = end + pair[0];
            end = first + pair[1];
            [first, end]
        });
        runs.filter(|[first, end]| first < end)
    }

    /// The smallest box `[x, y, width, height]` around the mask; zeros for an empty one.
    pub fn bbox(&self) -> [f64; 4] {
        let h = self.height;
        let (mut left, mut top, mut right, mut bottom) = (u32::MAX, u32::MAX, 0, 0);
        for [first, end] in self.spans() {
            let ([x0, y0], [x1, y1]) = ([first / h, first % h], [(end - 1) / h, (end - 1) % h]);
            (left, right) = (left.min(x0), right.max(x1));
            // A run that goes on in the next column touches the lower and the upper border.
            let (y0, y1) = if x0 < x1 { (0, h - 1) } else { (y0, y1) };
            (top, bottom) = (top.min(y0), bottom.max(y1));
        }
        if left == u32::MAX {
            return [0.0; 4];
        }
        [left, top, right - left + 1, bottom - top + 1].map(f64::from)
    }

    /// One mask of several, which must be of one size.
    ///
    /// # Errors
    /// [`MetricError::Empty`] for none, [`MetricError::Setting`] for different sizes.
    pub fn merged(masks: &[Rle], how: Combine) -> Result<Rle> {
        check::at_least("masks", masks.len(), 1)?;
        let size = masks[0].size();
        if let Some(other) = masks.iter().find(|m| m.size() != size) {
            return Err(refused(
                format!("{:?}", other.size()),
                &format!("the size {size:?} of the first mask"),
            ));
        }
        let mut merged = masks[0].clone();
        for mask in &masks[1..] {
            merged.counts = combine(&merged.counts, &mask.counts, how);
        }
        Ok(merged)
    }

    /// How much this mask and another overlap, see [`Region::overlap`].
    pub fn iou(&self, other: &Rle, crowd: bool) -> f64 {
        Region::new(self).overlap(&Region::new(other), crowd)
    }
}

/// Runs of the union or intersection.
fn combine(a: &[u32], b: &[u32], how: Combine) -> Vec<u32> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let mut sides = [Walk::new(a), Walk::new(b)];
    let (mut run, mut inside) = (0, false);
    loop {
        let step = sides[0].left.min(sides[1].left);
        run += step;
        sides.iter_mut().for_each(|side| side.advance(step));
        let done = sides[0].left + sides[1].left == 0;
        let before = inside;
        inside = match how {
            Combine::Union => sides[0].inside || sides[1].inside,
            Combine::Intersection => sides[0].inside && sides[1].inside,
        };
        if inside != before || done {
            merged.push(run);
            run = 0;
        }
        if done {
            return merged;
        }
    }
}

/// A place in a row of runs.
struct Walk<'a> {
    rest: std::slice::Iter<'a, u32>,
    /// What is left of the run.
    left: u32,
    inside: bool,
}

impl<'a> Walk<'a> {
    fn new(counts: &'a [u32]) -> Self {
        let mut rest = counts.iter();
        Self { left: rest.next().copied().unwrap_or(0), rest, inside: false }
    }

    fn advance(&mut self, step: u32) {
        self.left -= step;
        if self.left == 0
            && let Some(&next) = self.rest.next()
        {
            (self.left, self.inside) = (next, !self.inside);
        }
    }
}

/// A mask laid out for many overlaps: its runs by position, its area, its box.
#[derive(Clone, Debug)]
pub struct Region {
    size: [u32; 2],
    spans: Vec<[u32; 2]>,
    area: u64,
    bbox: [f64; 4],
}

impl Region {
    /// Of a mask.
    pub fn new(mask: &Rle) -> Self {
        Self { size: mask.size(), spans: mask.spans().collect(), area: mask.area(), bbox: mask.bbox() }
    }

    /// Number of pixels.
    pub fn area(&self) -> u64 {
        self.area
    }

    /// The box around it, as [`Rle::bbox`].
    pub fn bbox(&self) -> [f64; 4] {
        self.bbox
    }

    /// Intersection over union; over the own area if the other is a crowd. Masks of different sizes give -1 when
    /// their boxes overlap, as in the official tool.
    pub fn overlap(&self, other: &Region, crowd: bool) -> f64 {
        if crate::detection::box_iou(&self.bbox, &other.bbox, false) <= 0.0 {
            return 0.0;
        }
        if self.size != other.size {
            return -1.0;
        }
        let common = intersection(&self.spans, &other.spans);
        if common == 0 {
            return 0.0;
        }
        let union = if crowd { self.area } else { self.area + other.area - common };
        common as f64 / union as f64
    }
}

/// Number of pixels in both rows of runs.
fn intersection(a: &[[u32; 2]], b: &[[u32; 2]]) -> u64 {
    let (Some(first_a), Some(first_b)) = (a.first(), b.first()) else { return 0 };
    let mut i = a.partition_point(|span| span[1] <= first_b[0]);
    let mut k = b.partition_point(|span| span[1] <= first_a[0]);
    let mut common = 0;
    while let (Some([from_a, to_a]), Some([from_b, to_b])) = (a.get(i), b.get(k)) {
        common += u64::from(to_a.min(to_b).saturating_sub(*from_a.max(from_b)));
        if to_a <= to_b {
            i += 1;
        } else {
            k += 1;
        }
    }
    common
}

/// The number of pixels of a picture, which must be countable.
fn pixels(height: u32, width: u32) -> Result<u32> {
    // Positions are 32-bit as in the official tool; one more must fit.
    let count = height.checked_mul(width).filter(|&n| n > 0 && n < u32::MAX);
    count.ok_or_else(|| {
        refused(format!("{height} x {width} pixels"), "a size between 1 and 4294967294 pixels")
    })
}

fn refused(value: impl ToString, wanted: &str) -> MetricError {
    check::setting("mask", value, wanted)
}

#[cfg(test)]
mod tests;

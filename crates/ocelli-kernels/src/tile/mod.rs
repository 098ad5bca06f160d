//! The register tile: the one loop in which convolutions spend their time.
//!
//! A tile holds up to 8 x 48 sums in vector registers and walks along the inner dimension of a product. At every step
//! it loads up to three vectors of sixteen numbers and up to eight scalars, and adds all their products:
//!
//! ```text
//! sums[line][lane] += Σ_k vectors[vector(k) + lane] * scalars[starts[line] + scalar(k)]
//! ```
//!
//! Every architecture's file is tested against [`portable`], plain Rust. The order of the additions is the same in all
//! calls that reach a sum, so results depend neither on how a product is cut into tiles nor on the threads.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use ocelli_simd::{Level, level};

/// Numbers in a vector.
pub(crate) const UNIT: usize = 16;
/// Lanes of a tile: three vectors.
pub(crate) const WIDTH: usize = 3 * UNIT;
/// Lines of a tile.
pub(crate) const HEIGHT: usize = 8;

/// The sums of a tile.
pub(crate) type Sums = [[f32; WIDTH]; HEIGHT];

/// Where the operands lie along the inner dimension.
#[derive(Clone, Copy)]
pub(crate) enum Walk<'a> {
    /// `depth` steps: vectors `stride` apart, neighbouring scalars.
    Strided { stride: usize, depth: usize },
    /// Vectors at these offsets, neighbouring scalars.
    VectorsAt(&'a Offsets),
    /// Vectors `stride` apart, scalars at these offsets.
    ScalarsAt { stride: usize, offsets: &'a Offsets },
    /// Vectors and scalars at these offsets.
    At(&'a Steps),
}

/// Offsets of vectors and scalars, with their bounds known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    values: Vec<[u32; 2]>,
    /// One more than the largest offset of each kind.
    bounds: [usize; 2],
}

impl Steps {
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.bounds = [0; 2];
    }

    /// Appends a step that reads vectors at one offset and scalars at another, both below 2^32.
    #[inline]
    pub(crate) fn push(&mut self, vector: usize, scalar: usize) {
        self.reach([vector, scalar]);
        self.values.push([vector as u32, scalar as u32]);
    }

    /// Appends `count` steps: the first reads vectors at one offset and scalars at another, the next ones `by` further on.
    /// All offsets must be below 2^32.
    pub(crate) fn extend(&mut self, first: [usize; 2], by: [usize; 2], count: usize) {
        let Some(more) = count.checked_sub(1) else { return };
        self.reach(std::array::from_fn(|side| first[side] + more * by[side]));
        let [first, by] = [first, by].map(|pair| pair.map(|offset| offset as u32));
        self.values
            .extend((0..count as u32).map(|index| [first[0] + index * by[0], first[1] + index * by[1]]));
    }

    /// Takes note of the largest offsets of some steps.
    #[inline]
    fn reach(&mut self, last: [usize; 2]) {
        assert!(
            last.iter().all(|&offset| u32::try_from(offset).is_ok()),
            "an offset of {last:?} does not fit 32 bits"
        );
        self.bounds = [self.bounds[0].max(last[0] + 1), self.bounds[1].max(last[1] + 1)];
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

/// Offsets into a slice, with their bound known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    values: Vec<u32>,
    /// One more than the largest offset.
    bound: usize,
}

impl Offsets {
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.bound = 0;
    }

    /// Appends neighbours, which must be below 2^32.
    pub(crate) fn extend(&mut self, offsets: std::ops::Range<usize>) {
        assert!(u32::try_from(offsets.end).is_ok(), "offset {} does not fit 32 bits", offsets.end);
        self.bound = self.bound.max(offsets.end);
        self.values.extend(offsets.map(|offset| offset as u32));
    }

    /// Appends `offset`, which must be below 2^32.
    pub(crate) fn push(&mut self, offset: usize) {
        assert!(u32::try_from(offset).is_ok(), "offset {offset} does not fit 32 bits");
        self.bound = self.bound.max(offset + 1);
        self.values.push(offset as u32);
    }

    /// One more than the largest offset.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    pub(crate) fn values(&self) -> &[u32] {
        &self.values
    }
}

/// The two operands of a tile product.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    vectors: &'a [f32],
    units: usize,
    scalars: &'a [f32],
    starts: [usize; HEIGHT],
    lines: usize,
    walk: Walk<'a>,
}

impl<'a> Product<'a> {
    /// Steps of `units` vectors (1 to 3), times a line of scalars from each of the starts (1 to 8).
    ///
    /// # Panics
    /// If a vector or a scalar lies outside its slice; the tiles rely on it.
    #[inline]
    pub(crate) fn new(
        vectors: &'a [f32],
        units: usize,
        scalars: &'a [f32],
        line_starts: impl ExactSizeIterator<Item = usize>,
        walk: Walk<'a>,
    ) -> Self {
        let lines = line_starts.len();
        assert!(
            (1..=WIDTH / UNIT).contains(&units) && (1..=HEIGHT).contains(&lines),
            "tile of {lines}x{units}"
        );
        // One more than the last scalar of a line, and the first number of the last vectors.
        let (bound, last) = match walk {
            Walk::Strided { stride, depth } => (depth, depth.saturating_sub(1) * stride),
            Walk::VectorsAt(offsets) => (offsets.values.len(), offsets.bound.saturating_sub(1)),
            Walk::ScalarsAt { stride, offsets } => {
                (offsets.bound, offsets.values.len().saturating_sub(1) * stride)
            }
            Walk::At(steps) => (steps.bounds[1], steps.bounds[0].saturating_sub(1)),
        };
        let mut starts = [0; HEIGHT];
        for (start, given) in starts.iter_mut().zip(line_starts) {
            *start = given;
            assert!(given + bound <= scalars.len(), "scalars reach past their slice");
        }
        assert!(bound == 0 || last + units * UNIT <= vectors.len(), "vectors reach past their slice");
        Self { vectors, units, scalars, starts, lines, walk }
    }

    /// Steps along the inner dimension.
    fn depth(&self) -> usize {
        match self.walk {
            Walk::Strided { depth, .. } => depth,
            Walk::VectorsAt(offsets) | Walk::ScalarsAt { offsets, .. } => offsets.values.len(),
            Walk::At(steps) => steps.values.len(),
        }
    }

    /// Stores the product in `sums`, or adds it to what is there.
    pub(crate) fn apply(&self, sums: &mut Sums, add: bool) {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::apply(self, sums, add),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::apply(self, sums, add),
            Level::Base => portable::apply(self, sums, add),
        }
    }
}

/// The first `units` vectors of all lines with lines and lanes exchanged.
pub(crate) fn turn(sums: &Sums, units: usize, turned: &mut [[f32; HEIGHT]; WIDTH]) {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::turn(sums, units, turned),
        _ => portable::turn(sums, units, turned),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
    }

    fn check(apply: fn(&Product<'_>, &mut Sums, bool), product: &Product<'_>) {
        let mut before = [[0.0; WIDTH]; HEIGHT];
        for (line, sums) in before.iter_mut().enumerate() {
            sums.copy_from_slice(&numbers(WIDTH, line));
        }
        for add in [false, true] {
            let (mut sums, mut expected) = (before, before);
            portable::apply(product, &mut expected, add);
            apply(product, &mut sums, add);
            for (got, expected) in sums.as_flattened().iter().zip(expected.as_flattened()) {
                // The portable tile rounds every product, the others do not.
                assert!((got - expected).abs() < 1e-4, "{got}, expected {expected}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_architecture_matches_the_portable_tile(
            units in 1..=3_usize,
            lines in 1..=HEIGHT,
            depth in 0..=40_usize,
            stride in 48..=60_usize,
            seed in 0..100_usize,
        ) {
            let mut offsets = Offsets::default();
            (0..depth).for_each(|k| offsets.push((k * 37 + seed) % 101));
            let mut steps = Steps::default();
            (0..depth).for_each(|k| steps.push((k * 41 + seed) % 997, (k * 37 + seed) % 101));
            let (vectors, scalars) = (numbers(60 * 60, seed), numbers(1000, seed + 1));
            for walk in [
                Walk::Strided { stride, depth },
                Walk::VectorsAt(&offsets),
                Walk::ScalarsAt { stride, offsets: &offsets },
                Walk::At(&steps),
            ] {
                let product = Product::new(&vectors, units, &scalars, (0..lines).map(|line| line * 110), walk);
                check(|product, sums, add| product.apply(sums, add), &product);
                #[cfg(target_arch = "x86_64")]
                if level() != Level::Base {
                    check(avx2::apply, &product);
                }
            }
        }
    }

    #[test]
    fn turned_sums_are_where_they_belong() {
        let mut sums = [[0.0; WIDTH]; HEIGHT];
        for (line, sums) in sums.iter_mut().enumerate() {
            sums.iter_mut().enumerate().for_each(|(lane, sum)| *sum = (line * WIDTH + lane) as f32);
        }
        for units in 1..=WIDTH / UNIT {
            let mut turned = [[-1.0; HEIGHT]; WIDTH];
            turn(&sums, units, &mut turned);
            for (lane, turned) in turned.iter().enumerate() {
                for (line, &value) in turned.iter().enumerate() {
                    let expected = if lane < units * UNIT { sums[line][lane] } else { -1.0 };
                    assert_eq!(value, expected, "line {line}, lane {lane} of {units} vectors");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "vectors reach past")]
    fn vectors_outside_their_slice_are_refused() {
        let walk = Walk::Strided { stride: WIDTH, depth: 2 };
        Product::new(&[0.0; WIDTH + UNIT - 1], 1, &[0.0; 2], [0].into_iter(), walk);
    }

    #[test]
    #[should_panic(expected = "scalars reach past")]
    fn scalars_outside_their_slice_are_refused() {
        let mut offsets = Offsets::default();
        offsets.push(5);
        let walk = Walk::ScalarsAt { stride: UNIT, offsets: &offsets };
        Product::new(&[0.0; UNIT], 1, &[0.0; 6], [0, 1].into_iter(), walk);
    }
}

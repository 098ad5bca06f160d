//! Rows of numbers: what is summed up over one, and how one is written.
//!
//! Everything here is compiled into functions that are [`vectorized`](ocelli_simd::vectorized).

use std::cell::Cell;
use std::mem::MaybeUninit;

use ocelli_simd::MulAdd;
use ocelli_simd::math::{exp_of_negative, ln};

/// Numbers that are worked on side by side.
const WIDTH: usize = 16;
/// Blocks of them that are independent of each other.
const CHAINS: usize = 4;

/// Neighbouring rows that are to be written, or one of them. Each is written by a method that takes it, so at most once.
pub(crate) enum Values<'a> {
    /// They hold what they are made of.
    Held(&'a mut [f32]),
    /// They are made of others, and have not been written yet.
    New(New<'a>),
}

/// Rows that have not been written yet.
pub(crate) struct New<'a> {
    source: &'a [f32],
    target: &'a mut [MaybeUninit<f32>],
    /// Numbers of all rows, of which these are some, that are still to be written.
    left: &'a Cell<usize>,
}

impl<'a> New<'a> {
    /// # Panics
    /// If source and target differ in length.
    pub(crate) fn of(source: &'a [f32], target: &'a mut [MaybeUninit<f32>], left: &'a Cell<usize>) -> Self {
        assert_eq!(source.len(), target.len(), "rows made of others of another length");
        Self { source, target, left }
    }

    /// Source and target, which the caller writes whole.
    #[inline(always)]
    fn take(self) -> (&'a [f32], &'a mut [MaybeUninit<f32>]) {
        self.left.set(self.left.get() - self.target.len());
        (self.source, self.target)
    }
}

impl<'a> Values<'a> {
    /// What they are made of.
    #[inline(always)]
    pub(crate) fn source(&self) -> &[f32] {
        match self {
            Self::Held(values) => values,
            Self::New(new) => new.source,
        }
    }

    /// The first of them, if there are as many, and the others.
    #[inline(always)]
    fn split(self, len: usize) -> Option<[Self; 2]> {
        match self {
            Self::Held(values) => {
                let (first, rest) = values.split_at_mut_checked(len)?;
                Some([Self::Held(first), Self::Held(rest)])
            }
            Self::New(New { source, target, left }) => {
                let (first, rest) = target.split_at_mut_checked(len)?;
                let (from, others) = source.split_at(len);
                Some([
                    Self::New(New { source: from, target: first, left }),
                    Self::New(New { source: others, target: rest, left }),
                ])
            }
        }
    }

    /// The rows one by one, each of `len` numbers.
    #[inline(always)]
    pub(crate) fn rows(self, len: usize) -> impl Iterator<Item = Self> {
        let mut all = Some(self);
        std::iter::from_fn(move || {
            let [row, rest] = all.take()?.split(len.max(1))?;
            all = Some(rest);
            Some(row)
        })
    }

    /// Writes what `function` makes of every number and those `beside` it in other rows.
    #[inline(always)]
    pub(crate) fn write<const N: usize>(self, beside: [&[f32]; N], function: impl Fn(f32, [f32; N]) -> f32) {
        let len = self.source().len();
        let beside = beside.map(|row| &row[..len]);
        match self {
            Self::Held(values) => {
                for (at, value) in values.iter_mut().enumerate() {
                    *value = function(*value, beside.map(|row| row[at]));
                }
            }
            Self::New(new) => {
                let (source, target) = new.take();
                for (at, (value, target)) in source.iter().zip(target).enumerate() {
                    target.write(function(*value, beside.map(|row| row[at])));
                }
            }
        }
    }

    /// The rows with what they are made of in them.
    pub(crate) fn copied(self) -> &'a mut [f32] {
        match self {
            Self::Held(values) => values,
            Self::New(new) => {
                let (source, target) = new.take();
                target.write_copy_of_slice(source)
            }
        }
    }

    /// Writes `e` to the power of the numbers' distances from `reference`, and returns the row and its sum.
    #[inline(always)]
    pub(super) fn exponentials<M: MulAdd>(self, reference: f32) -> (&'a mut [f32], f64) {
        let mut sums = [0.0; WIDTH];
        let row = match self {
            Self::Held(values) => {
                let (blocks, rest) = values.as_chunks_mut::<WIDTH>();
                for block in blocks {
                    *block = powers::<M>(*block, reference, &mut sums);
                }
                if !rest.is_empty() {
                    let last = powers::<M>(padded(rest, f32::NEG_INFINITY), reference, &mut sums);
                    rest.copy_from_slice(&last[..rest.len()]);
                }
                values
            }
            Self::New(new) => {
                let (source, target) = new.take();
                let ((blocks, rest), (targets, last)) =
                    (source.as_chunks::<WIDTH>(), target.as_chunks_mut::<WIDTH>());
                for (target, block) in targets.iter_mut().zip(blocks) {
                    target.write_copy_of_slice(&powers::<M>(*block, reference, &mut sums));
                }
                if !rest.is_empty() {
                    let powers = powers::<M>(padded(rest, f32::NEG_INFINITY), reference, &mut sums);
                    last.write_copy_of_slice(&powers[..rest.len()]);
                }
                #[allow(unsafe_code)] // the target was not zeroed first
                // SAFETY: source and target are of one length, and every block and the rest have been written.
                unsafe {
                    target.assume_init_mut()
                }
            }
        };
        (row, total(&sums))
    }
}

/// `e` to the power of the numbers' distances from `reference`, which are added to the sums.
#[inline(always)]
fn powers<M: MulAdd>(mut block: [f32; WIDTH], reference: f32, sums: &mut [f32; WIDTH]) -> [f32; WIDTH] {
    // A loop, not a closure: what is not compiled into its caller is compiled without the caller's instructions.
    for (value, sum) in block.iter_mut().zip(sums) {
        *value = exp_of_negative::<M>(*value - reference);
        *sum += *value;
    }
    block
}

/// The first numbers of a block, the others filled up.
#[inline(always)]
fn padded(rest: &[f32], filler: f32) -> [f32; WIDTH] {
    let mut block = [filler; WIDTH];
    for (place, value) in block.iter_mut().zip(rest) {
        *place = *value;
    }
    block
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest number of a row; NaN may be passed over.
#[inline(always)]
pub(super) fn largest(row: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; WIDTH * CHAINS];
    let (long, rest) = row.as_chunks::<{ WIDTH * CHAINS }>();
    for block in long {
        best.iter_mut().zip(block).for_each(|(best, &value)| *best = larger(*best, value));
    }
    let (short, rest) = rest.as_chunks::<WIDTH>();
    let mut last = padded(rest, f32::NEG_INFINITY);
    for block in short.iter().chain(best.as_chunks::<WIDTH>().0) {
        last.iter_mut().zip(block).for_each(|(last, &value)| *last = larger(*last, value));
    }
    let mut width = WIDTH / 2;
    while width > 0 {
        for at in 0..width {
            last[at] = larger(last[at], last[at + width]);
        }
        width /= 2;
    }
    last[0]
}

/// What is subtracted before the exponential: the largest number, or 0 if that is minus infinity.
#[inline(always)]
pub(super) fn reference(row: &[f32]) -> f32 {
    let largest = largest(row);
    if largest == f32::NEG_INFINITY { 0.0 } else { largest }
}

/// A sum over rows of the same length, read in step: `add` adds the term of some numbers to what is there already; that of
/// the `fillers` must be zero.
#[inline(always)]
pub(super) fn row_sum<const N: usize>(
    rows: [&[f32]; N],
    fillers: [f32; N],
    add: impl Fn(f32, [f32; N]) -> f32,
) -> f64 {
    let len = rows[0].len();
    let mut sums = [0.0_f32; WIDTH * CHAINS];
    let long = rows.map(|row| row[..len].as_chunks::<{ WIDTH * CHAINS }>().0);
    for at in 0..long[0].len() {
        let blocks = long.map(|row| &row[at]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum = add(*sum, blocks.map(|block| block[lane]));
        }
    }
    let mut last = [0.0_f32; WIDTH];
    for block in sums.as_chunks::<WIDTH>().0 {
        last.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
    }
    let done = long[0].len() * WIDTH * CHAINS;
    let short = rows.map(|row| row[done..len].as_chunks::<WIDTH>());
    for at in 0..short[0].0.len() {
        let blocks = short.map(|(blocks, _)| &blocks[at]);
        for (lane, sum) in last.iter_mut().enumerate() {
            *sum = add(*sum, blocks.map(|block| block[lane]));
        }
    }
    if !short[0].1.is_empty() {
        let ends: [[f32; WIDTH]; N] = std::array::from_fn(|row| padded(short[row].1, fillers[row]));
        for (lane, sum) in last.iter_mut().enumerate() {
            *sum = add(*sum, ends.map(|end| end[lane]));
        }
    }
    total(&last)
}

/// Sum of all lanes, in pairs: neither digits nor time are lost in a chain of additions.
#[inline(always)]
fn total(sums: &[f32; WIDTH]) -> f64 {
    let mut wide = [0.0_f64; WIDTH / 2];
    for (lane, wide) in wide.iter_mut().enumerate() {
        *wide = f64::from(sums[lane]) + f64::from(sums[lane + WIDTH / 2]);
    }
    let [a, b, c, d, e, f, g, h] = wide;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Sum of `e` to the power of a row's distances from `reference`.
#[inline(always)]
fn exponential_sum<M: MulAdd>(row: &[f32], reference: f32) -> f64 {
    let mut sums = [0.0; WIDTH];
    let (blocks, rest) = row.as_chunks::<WIDTH>();
    for block in blocks.iter().chain(std::iter::once(&padded(rest, f32::NEG_INFINITY))) {
        for (&value, sum) in block.iter().zip(&mut sums) {
            *sum += exp_of_negative::<M>(value - reference);
        }
    }
    total(&sums)
}

/// The logarithm of the sum of a row's exponentials.
#[inline(always)]
pub(super) fn log_sum<M: MulAdd>(row: &[f32]) -> f32 {
    let reference = reference(row);
    reference + ln::<M>(exponential_sum::<M>(row, reference) as f32)
}

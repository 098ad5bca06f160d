//! Products of matrices of any size and layout.
//!
//! [`multiply`] is one thread's product: it cuts the inner dimension so that a panel of the right factor and the lines of
//! the left one stay in a core's cache, lays factors out in the order of the tiles where that pays, and runs the tiles.
//! [`batch`] cuts whole tensors into such products and gives them to the threads. Factors are [`View`]s, so that a
//! transposed or sliced tensor is read where it lies.
//!
//! A sum's terms are added in the order of the inner dimension, however the product is cut, except where a factor has only
//! a few rows and both lie along the inner dimension; which way is taken depends on the shape alone.
#![allow(unsafe_code)] // tiles read and write through pointers

pub(crate) mod batch;
mod pack;
mod packed;
mod sums;
mod tile;
mod turn;
mod vector;

use std::marker::PhantomData;

use crate::memory::with_scratch;
use pack::{LINES, left_len, pack_left, pack_right};
pub(crate) use packed::Packed;
use sums::add_rows;
use tile::{DOTS, Dots, Kernels, Start, Tile};

/// Steps along the inner dimension between visits to the target.
const DEPTH: usize = 384;
/// Lines from which on it pays to lay out the right factor.
const PACKED_LINES: usize = 12;
/// Columns from which on it pays to lay out the left factor.
const PACKED_COLUMNS: usize = 144;
/// Rows up to which a factor is multiplied by inner products.
const FEW: usize = 8;

/// A matrix where it lies: element `(i, j)` is `values[i * row + j * column]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl<'a> View<'a> {
    /// Rows without gaps.
    pub(crate) fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, row: columns, column: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// The matrix from element `(row, column)` on.
    pub(crate) fn at(self, row: usize, column: usize) -> Self {
        let first = row * self.row + column * self.column;
        Self { values: self.values.get(first..).unwrap_or_default(), ..self }
    }

    /// The matrix from number `first` of the memory on.
    fn from(self, first: usize) -> Self {
        Self { values: &self.values[first..], ..self }
    }

    /// # Panics
    /// If elements of a matrix of this size lie outside the memory; the tiles rely on it.
    fn check(self, rows: usize, columns: usize) {
        if rows * columns > 0 {
            let last = (rows - 1) * self.row + (columns - 1) * self.column;
            assert!(last < self.values.len(), "a factor reaches past its memory");
        }
    }
}

/// Rows of numbers, `pitch` apart, that one thread may write, whether they have been written before or not.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    pitch: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

impl<'a> Target<'a> {
    /// `rows` rows of `columns` numbers, `pitch` apart.
    pub(crate) fn new(values: &'a mut [f32], [rows, columns]: [usize; 2], pitch: usize) -> Self {
        assert!(rows * columns == 0 || (rows - 1) * pitch + columns <= values.len(), "a target is too short");
        // SAFETY: the numbers are borrowed exclusively, and were just counted.
        unsafe { Self::from_raw(values.as_mut_ptr(), [rows, columns], pitch) }
    }

    /// # Safety
    /// The rows lie in memory that nobody else touches during the lifetime.
    pub(crate) unsafe fn from_raw(start: *mut f32, [rows, columns]: [usize; 2], pitch: usize) -> Self {
        Self { start, rows, columns, pitch, lifetime: PhantomData }
    }

    /// The first `rows` rows.
    pub(crate) fn first_rows(self, rows: usize) -> Self {
        assert!(rows <= self.rows, "a target of {} rows has no {rows}", self.rows);
        Self { rows, ..self }
    }

    /// Writes zeros everywhere.
    pub(crate) fn clear(&self) {
        for row in 0..self.rows {
            // SAFETY: the row lies inside the target, which its holder alone touches.
            unsafe { self.start.add(row * self.pitch).write_bytes(0, self.columns) };
        }
    }

    /// Writes the sum of rows to the first row.
    pub(crate) fn write_sum<'b>(self, rows: impl Iterator<Item = &'b [f32]>) {
        self.first_rows(1).clear();
        // SAFETY: the row lies inside the target, and has just been written.
        let sum = unsafe { std::slice::from_raw_parts_mut(self.start, self.columns) };
        for row in rows {
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }

    fn at(self, row: usize, column: usize) -> *mut f32 {
        debug_assert!(row < self.rows && column < self.columns);
        self.start.wrapping_add(row * self.pitch + column)
    }
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Onto<'a> {
    /// Nothing.
    Zero,
    /// What is in the target, all of which has been written.
    Target,
    /// A number a column.
    Bias(&'a [f32]),
}

impl Onto<'_> {
    /// # Panics
    /// If a bias is shorter than the columns.
    fn check(self, columns: usize) {
        if let Onto::Bias(bias) = self {
            assert!(bias.len() >= columns, "a bias of {} numbers for {columns} columns", bias.len());
        }
    }

    /// What the sums of some columns start from.
    fn start(self, column: usize, columns: usize) -> Start {
        match self {
            Onto::Zero => Start::Zero,
            Onto::Target => Start::Target,
            Onto::Bias(bias) => Start::Row(bias[column..][..columns].as_ptr()),
        }
    }
}

/// How a product is computed. It depends on the shape and the layout of the whole, not of its pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Register tiles.
    Tiles,
    /// Inner products of rows.
    Dots,
    /// Sums of the rows of the right factor, each times a number of the only row of the left one.
    Sums,
}

impl Way {
    /// For `[m, k]` times `[k, n]`.
    pub(crate) fn of(left: View<'_>, right: View<'_>, [m, n, k]: [usize; 3]) -> Self {
        let along = left.column == 1 && right.row == 1;
        // A right factor of one column is a row as well.
        match along && (m <= FEW || n <= DOTS) && k >= 4 {
            true => Self::Dots,
            false if m == 1 && right.column == 1 && left.column == 1 => Self::Sums,
            false => Self::Tiles,
        }
    }
}

/// Writes `left` `[m, k]` times `right` `[k, n]`, plus what it is to be added to, to a target of `[m, n]`.
///
/// # Panics
/// If a factor or the bias is shorter than its shape.
pub(crate) fn multiply(
    way: Way,
    left: View<'_>,
    right: View<'_>,
    target: Target<'_>,
    depth: usize,
    onto: Onto<'_>,
) {
    let (m, n) = (target.rows, target.columns);
    left.check(m, depth);
    right.check(depth, n);
    onto.check(n);
    if m * n == 0 {
        return;
    }
    match way {
        Way::Dots => by_dots(left, right, target, depth, onto),
        Way::Sums => by_sums(left, right, target, depth, onto),
        Way::Tiles => by_tiles(left, Right::View(right), target, depth, onto),
    }
}

/// The left factor is a row, and the right one lies in rows, which are read from end to end.
fn by_sums(left: View<'_>, right: View<'_>, target: Target<'_>, depth: usize, onto: Onto<'_>) {
    let n = target.columns;
    match onto {
        // SAFETY: the row lies inside the target, and neither source shares memory with it.
        Onto::Zero => unsafe { target.start.write_bytes(0, n) },
        // SAFETY: as above.
        Onto::Bias(bias) => unsafe { target.start.copy_from_nonoverlapping(bias.as_ptr(), n) },
        Onto::Target => {}
    }
    // SAFETY: the row lies inside the target, and has been written by now.
    let row = unsafe { std::slice::from_raw_parts_mut(target.start, n) };
    add_rows(row, right, &left.values[..depth]);
}

/// Both factors lie along the inner dimension.
fn by_dots(left: View<'_>, right: View<'_>, target: Target<'_>, depth: usize, onto: Onto<'_>) {
    let (kernels, mut sums) = (Kernels::get(), [[0.0; DOTS]; DOTS]);
    for column in (0..target.columns).step_by(DOTS) {
        let columns = DOTS.min(target.columns - column);
        for row in (0..target.rows).step_by(DOTS) {
            let rows = DOTS.min(target.rows - row);
            let dots = Dots {
                depth,
                left: left.at(row, 0).values.as_ptr(),
                left_pitch: left.row,
                right: right.at(0, column).values.as_ptr(),
                right_pitch: right.column,
            };
            // SAFETY: `multiply` checked both factors.
            unsafe { kernels.dots(&dots, [rows, columns], &mut sums) };
            for (i, sums) in sums.iter().enumerate().take(rows) {
                for (j, sum) in sums.iter().enumerate().take(columns) {
                    let target = target.at(row + i, column + j);
                    // SAFETY: inside the target; it has been written if it is added to.
                    unsafe {
                        target.write(match onto {
                            Onto::Zero => *sum,
                            Onto::Target => *target + sum,
                            Onto::Bias(bias) => bias[column + j] + sum,
                        });
                    }
                }
            }
        }
    }
}

/// The right factor of a product over tiles.
#[derive(Clone, Copy)]
enum Right<'a> {
    /// Where it lies.
    View(View<'a>),
    /// Laid out, from a column on with which a panel begins.
    Packed(&'a Packed<'a>, usize),
}

fn by_tiles(left: View<'_>, right: Right<'_>, target: Target<'_>, depth: usize, onto: Onto<'_>) {
    let (m, n) = (target.rows, target.columns);
    let kernels = Kernels::get();
    let packs_left = (left.column != 1 && left.row != 1) || n >= PACKED_COLUMNS && m >= LINES;
    let packs_right = matches!(right, Right::View(view) if view.column != 1 || m >= PACKED_LINES);
    let chunks = depth.div_ceil(DEPTH).max(1);
    let chunk = depth.div_ceil(chunks);
    let left_len = if packs_left { left_len(m, chunk) } else { 0 };
    let right_len = if packs_right { chunk * kernels.width() } else { 0 };
    with_scratch(left_len + right_len, |scratch| {
        let (left_scratch, right_scratch) = scratch.split_at_mut(left_len);
        for index in 0..chunks {
            let first = index * chunk;
            let depth = chunk.min(depth - first);
            let onto = if index == 0 { onto } else { Onto::Target };
            let left = left.at(0, first);
            let lines = if packs_left {
                pack_left(left, m, depth, &mut left_scratch[..pack::left_len(m, depth)]);
                Lines::packed(left_scratch, depth)
            } else {
                Lines::of(left)
            };
            for column in (0..n).step_by(kernels.width()) {
                let columns = kernels.width().min(n - column);
                let panel = match right {
                    Right::Packed(packed, start) => packed.panel(kernels, start + column, first),
                    Right::View(view) if packs_right => {
                        Panel::packed(kernels, view.at(first, column), [depth, columns], right_scratch)
                    }
                    Right::View(view) => Panel::of(kernels, view.at(first, column), columns),
                };
                let start = onto.start(column, columns);
                // SAFETY: the factors were checked, and packed ones are as long as the tiles reach.
                unsafe { sweep(kernels, &lines, &panel, target, [column, depth], start) };
            }
        }
    });
}

/// All lines of the left factor, where they lie or packed.
#[derive(Clone, Copy)]
struct Lines<'a> {
    values: &'a [f32],
    /// From a line to the next within a tile, and from a step to the next.
    line: usize,
    step: usize,
    /// From a group of [`LINES`] lines to the next, and from a line to the next in it.
    group: usize,
}

impl<'a> Lines<'a> {
    fn packed(values: &'a [f32], depth: usize) -> Self {
        Self { values, line: 1, step: LINES, group: LINES * depth }
    }

    fn of(view: View<'a>) -> Self {
        Self { values: view.values, line: view.row, step: view.column, group: LINES * view.row }
    }
}

/// Columns of the right factor, as many as a tile has, where they lie or packed.
struct Panel<'a> {
    values: &'a [f32],
    stride: usize,
    columns: usize,
    units: usize,
}

impl<'a> Panel<'a> {
    fn of(kernels: &Kernels, view: View<'a>, columns: usize) -> Self {
        Self { values: view.values, stride: view.row, columns, units: columns.div_ceil(kernels.lanes) }
    }

    /// Lays out `[depth, columns]` numbers.
    fn packed(kernels: &Kernels, view: View<'_>, [depth, columns]: [usize; 2], space: &'a mut [f32]) -> Self {
        let width = columns.next_multiple_of(kernels.lanes);
        let values = &mut space[..depth * width];
        pack_right(view, [depth, columns], values, width);
        Self { values, stride: width, columns, units: width / kernels.lanes }
    }
}

/// Runs the tiles of a panel, for all lines.
///
/// # Safety
/// Lines and panel have `depth` steps in their memory.
unsafe fn sweep(
    kernels: &Kernels,
    lines: &Lines<'_>,
    panel: &Panel<'_>,
    target: Target<'_>,
    [column, depth]: [usize; 2],
    start: Start,
) {
    for row in (0..target.rows).step_by(kernels.height()) {
        let left = row / LINES * lines.group + row % LINES * lines.line;
        let tile = Tile {
            depth,
            left: lines.values.as_ptr().wrapping_add(left),
            line: lines.line,
            step: lines.step,
            right: panel.values.as_ptr(),
            stride: panel.stride,
            lanes: panel.columns - (panel.units - 1) * kernels.lanes,
            target: target.at(row, column),
            pitch: target.pitch,
            start,
        };
        // SAFETY: passed on.
        unsafe { kernels.run(&tile, kernels.height().min(target.rows - row), panel.units) };
    }
}

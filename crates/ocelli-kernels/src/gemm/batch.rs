//! Products of whole tensors, cut into pieces for the threads.

use super::{Onto, PACKED_LINES, Packed, Target, View, Way, multiply};
use crate::jobs;
use crate::memory::{SharedOutput, filled};

/// Multiplications that make a piece worth a thread's while.
const PIECE: usize = 256 * 1024;
/// Lines and columns of a piece at most: its lines stay in a core's cache.
const LARGEST: [usize; 2] = [384, 768];
/// Numbers of a right factor that is laid out whole at most: 16 MiB are kept for it.
const LAID_OUT: usize = 4 * 1024 * 1024;

/// Many products of the same shape. Each is a sum of `terms` products of a left and a right factor, which begin at offsets
/// of their memory.
pub(crate) struct Products<'a> {
    pub(crate) left: View<'a>,
    pub(crate) right: View<'a>,
    /// Of the left and the right factor, for every term of every product.
    pub(crate) offsets: Vec<[usize; 2]>,
    pub(crate) terms: usize,
    /// `[m, n, k]`.
    pub(crate) shape: [usize; 3],
    /// Added to every row.
    pub(crate) bias: Option<&'a [f32]>,
}

impl Products<'_> {
    /// One product.
    pub(crate) fn one<'a>(
        left: View<'a>,
        right: View<'a>,
        shape: [usize; 3],
        bias: Option<&'a [f32]>,
    ) -> Products<'a> {
        Products { left, right, offsets: vec![[0, 0]], terms: 1, shape, bias }
    }

    /// The products one after the other, each `[m, n]` row-major; `finish` is applied to every row of every piece.
    #[allow(unsafe_code)] // the output is not zeroed first, and pieces of it interleave
    pub(crate) fn run(mut self, finish: Option<fn(&mut [f32])>) -> Vec<f32> {
        let products = self.offsets.len() / self.terms.max(1);
        let len = products * self.shape[0] * self.shape[1];
        self.join();
        let grid = self.grid();
        let work = |packed: Option<&Packed<'_>>| {
            // SAFETY: the pieces are all of the output, and each is written whole.
            unsafe {
                filled(len, |output| {
                    self.share(grid, |piece| self.piece(grid, piece, packed, output, finish))
                })
            }
        };
        match self.lays_out(grid) {
            Some(right) => Packed::with(right, [self.shape[2], self.shape[1]], |packed| work(Some(packed))),
            None => work(None),
        }
    }

    /// Calls `piece` with the number of every piece, shared out among the threads.
    fn share(&self, grid: [usize; 2], piece: impl Fn(usize) + Sync) {
        let pieces = self.pieces(grid);
        if self.work() < 2 * PIECE {
            (0..pieces).for_each(piece);
        } else {
            let least = PIECE.div_ceil((self.work() / pieces.max(1)).max(1));
            jobs::run(pieces.div_ceil(least), |job| {
                (job * least..pieces.min((job + 1) * least)).for_each(&piece);
            });
        }
    }

    /// The right factor, if it is to be laid out once for the pieces of a product, each of which would do so for itself.
    fn lays_out(&self, [lines, _]: [usize; 2]) -> Option<View<'_>> {
        let ([m, n, k], &[[_, right]]) = (self.shape, &*self.offsets) else { return None };
        let tiles = Way::of(self.left, self.right, self.shape) == Way::Tiles;
        let many = m > lines && (lines >= PACKED_LINES || self.right.column != 1);
        (tiles && many && n * k <= LAID_OUT).then(|| self.right.from(right))
    }

    /// Multiplications of all products.
    fn work(&self) -> usize {
        self.offsets.len() * self.shape.iter().product::<usize>()
    }

    /// Makes one long product of several where their factors lie in line.
    fn join(&mut self) {
        let [m, n, k] = self.shape;
        let steps = |by: [usize; 2]| {
            self.offsets.windows(2).all(|pair| (0..2).all(|side| pair[1][side] == pair[0][side] + by[side]))
        };
        if self.offsets.len() < 2 {
            return;
        }
        if self.terms == 1 && steps([m * self.left.row, 0]) {
            self.shape = [m * self.offsets.len(), n, k];
        } else if self.terms == self.offsets.len() && steps([k * self.left.column, k * self.right.row]) {
            self.shape = [m, n, k * self.offsets.len()];
            self.terms = 1;
        } else {
            return;
        }
        self.offsets.truncate(1);
    }

    /// Lines and columns of a piece.
    fn grid(&self) -> [usize; 2] {
        let [m, n, k] = self.shape;
        let products = (self.offsets.len() / self.terms.max(1)).max(1);
        // Equal shares: a whole number of pieces for every thread, and more than one so that they end together.
        let share = |length: usize, pieces: usize, unit: usize| {
            length.div_ceil(pieces.max(1)).next_multiple_of(unit).max(unit)
        };
        // A single row is added up along memory, the longer the better.
        let widest = if m == 1 { n.max(1) } else { LARGEST[1] };
        let (rows, columns) = (m.div_ceil(LARGEST[0]).max(1), n.div_ceil(widest).max(1));
        let wanted = (2 * rayon::current_num_threads()).min(m * n * k * products / PIECE).max(1);
        let more = wanted.div_ceil(rows * columns * products).max(1);
        // The longer side is cut; cutting columns spares laying out the right factor again.
        let [rows, columns] = if n >= m / 2 { [rows, columns * more] } else { [rows * more, columns] };
        [share(m, rows, 8), share(n, columns, 48)]
    }

    fn pieces(&self, [lines, columns]: [usize; 2]) -> usize {
        let [m, n, _] = self.shape;
        self.offsets.len() / self.terms.max(1) * m.div_ceil(lines) * n.div_ceil(columns)
    }

    #[allow(unsafe_code)] // pieces of rows interleave
    fn piece(
        &self,
        [lines, columns]: [usize; 2],
        index: usize,
        packed: Option<&Packed<'_>>,
        output: SharedOutput<'_>,
        finish: Option<fn(&mut [f32])>,
    ) {
        let [m, n, k] = self.shape;
        let across = n.div_ceil(columns);
        let (product, place) = (index / (m.div_ceil(lines) * across), index % (m.div_ceil(lines) * across));
        let (row, column) = (place / across * lines, place % across * columns);
        let size = [lines.min(m - row), columns.min(n - column)];
        // SAFETY: every piece is visited once.
        let start = unsafe { output.block((product * m + row) * n + column, size, n) };
        // SAFETY: as above.
        let target = unsafe { Target::from_raw(start, size, n) };
        let way = Way::of(self.left, self.right, self.shape);
        for (term, [left, right]) in self.offsets[product * self.terms..][..self.terms].iter().enumerate() {
            let onto = match (term, self.bias) {
                (0, None) => Onto::Zero,
                (0, Some(bias)) => Onto::Bias(&bias[column..]),
                _ => Onto::Target,
            };
            let left = self.left.from(*left).at(row, 0);
            match packed {
                Some(packed) => packed.multiply_part(left, column, target, onto),
                None => multiply(way, left, self.right.from(*right).at(0, column), target, k, onto),
            }
        }
        if let Some(finish) = finish {
            for line in 0..size[0] {
                // SAFETY: all of the piece has been written by now.
                finish(unsafe { std::slice::from_raw_parts_mut(start.add(line * n), size[1]) });
            }
        }
    }
}

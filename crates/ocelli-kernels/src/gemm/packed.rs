//! A right factor laid out whole, for many left factors or many pieces of one.

use super::{Kernels, Lines, Onto, Panel, Right, Target, View, by_tiles, sweep};
use crate::jobs;
use crate::memory::with_scratch;

/// A matrix `[depth, columns]` in panels of as many columns as a tile has, each with its steps one after the other.
pub(crate) struct Packed<'a> {
    values: &'a [f32],
    depth: usize,
    columns: usize,
}

impl Packed<'_> {
    /// Lays a matrix out, the threads sharing the panels, and calls `work` with it.
    pub(crate) fn with<R>(
        matrix: View<'_>,
        [depth, columns]: [usize; 2],
        work: impl FnOnce(&Packed<'_>) -> R,
    ) -> R {
        matrix.check(depth, columns);
        let kernels = Kernels::get();
        let width = kernels.width();
        with_scratch(columns.next_multiple_of(kernels.lanes) * depth, |values| {
            let panels = values.chunks_mut((width * depth).max(1)).zip((0..columns).step_by(width));
            jobs::each(panels, |(panel, column)| {
                let columns = width.min(columns - column);
                Panel::packed(kernels, matrix.at(0, column), [depth, columns], panel);
            });
            work(&Packed { values, depth, columns })
        })
    }

    /// The panel that begins with a column, from step `first` on.
    pub(super) fn panel(&self, kernels: &Kernels, column: usize, first: usize) -> Panel<'_> {
        let columns = kernels.width().min(self.columns - column);
        let units = columns.div_ceil(kernels.lanes);
        let stride = units * kernels.lanes;
        Panel { values: &self.values[column * self.depth + first * stride..], stride, columns, units }
    }

    /// Writes rows of `left`, which lie without gaps along the inner dimension, times the matrix, plus what they are to be
    /// added to. The left factor is read where it lies.
    ///
    /// # Panics
    /// If the shapes do not fit together.
    pub(crate) fn multiply(&self, left: View<'_>, target: Target<'_>, onto: Onto<'_>) {
        assert!(left.column == 1 && target.columns == self.columns, "a product with another matrix");
        left.check(target.rows, self.depth);
        let kernels = Kernels::get();
        for column in (0..self.columns).step_by(kernels.width()) {
            let panel = self.panel(kernels, column, 0);
            let start = onto.start(column, panel.columns);
            // SAFETY: the left factor was checked, and a panel is as long as the tiles reach.
            unsafe { sweep(kernels, &Lines::of(left), &panel, target, [column, self.depth], start) };
        }
    }

    /// Writes `left` times the columns from `column` on, as many as the target has, plus what they are to be added to.
    ///
    /// # Panics
    /// If the shapes do not fit together, or no panel begins with the column.
    pub(super) fn multiply_part(&self, left: View<'_>, column: usize, target: Target<'_>, onto: Onto<'_>) {
        left.check(target.rows, self.depth);
        onto.check(target.columns);
        let (width, end) = (Kernels::get().width(), column + target.columns);
        assert!(
            column.is_multiple_of(width)
                && (end == self.columns || end < self.columns && end.is_multiple_of(width)),
            "columns {column} to {end} are no panels of {width} of a matrix with {}",
            self.columns
        );
        if target.rows * target.columns > 0 {
            by_tiles(left, Right::Packed(self, column), target, self.depth, onto);
        }
    }
}

//! The one-to-one assignment of least total cost between rows and columns.

/// The assignment of `min(rows, columns)` pairs with the least sum of `cost [rows, columns]` (row-major), as pairs
/// `(row, column)` by rising row.
///
/// Shortest augmenting paths (Crouse, IEEE Transactions on Aerospace and Electronic Systems 2016), as in SciPy's
/// `linear_sum_assignment`: columns are tried in the same order, so that equal costs are resolved alike. Costs must be
/// finite.
///
/// # Panics
/// When the costs do not fill the matrix.
pub fn least_cost(cost: &[f64], rows: usize, columns: usize) -> Vec<(usize, usize)> {
    assert_eq!(cost.len(), rows * columns, "costs of a {rows} x {columns} matrix");
    if rows == 0 || columns == 0 {
        return Vec::new();
    }
    if columns < rows {
        let mut turned = vec![0.0; rows * columns];
        for (row, costs) in cost.chunks_exact(columns).enumerate() {
            costs.iter().enumerate().for_each(|(column, &cost)| turned[column * rows + row] = cost);
        }
        let mut pairs: Vec<(usize, usize)> =
            least_cost(&turned, columns, rows).into_iter().map(|(column, row)| (row, column)).collect();
        pairs.sort_unstable();
        return pairs;
    }
    let mut solver = Solver::new(cost, rows, columns);
    (0..rows).for_each(|row| solver.augment(row));
    (0..rows).map(|row| (row, solver.column_of[row])).collect()
}

/// No partner yet.
const NONE: usize = usize::MAX;

struct Solver<'a> {
    cost: &'a [f64],
    columns: usize,
    /// Dual variables of rows and columns.
    u: Vec<f64>,
    v: Vec<f64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
    /// Length of the shortest path to each column, and the row before it.
    shortest: Vec<f64>,
    before: Vec<usize>,
    /// Columns not reached yet, and the rows and columns that are.
    remaining: Vec<usize>,
    seen_row: Vec<bool>,
    seen_column: Vec<bool>,
}

impl<'a> Solver<'a> {
    fn new(cost: &'a [f64], rows: usize, columns: usize) -> Self {
        Self {
            cost,
            columns,
            u: vec![0.0; rows],
            v: vec![0.0; columns],
            column_of: vec![NONE; rows],
            row_of: vec![NONE; columns],
            shortest: vec![0.0; columns],
            before: vec![NONE; columns],
            remaining: Vec::with_capacity(columns),
            seen_row: vec![false; rows],
            seen_column: vec![false; columns],
        }
    }

    /// Adds `start` to the assignment by way of the shortest augmenting path.
    fn augment(&mut self, start: usize) {
        let (sink, length) = self.path(start);
        self.u[start] += length;
        for row in 0..self.u.len() {
            if self.seen_row[row] && row != start {
                self.u[row] += length - self.shortest[self.column_of[row]];
            }
        }
        for column in 0..self.columns {
            if self.seen_column[column] {
                self.v[column] -= length - self.shortest[column];
            }
        }
        let mut column = sink;
        loop {
            let row = self.before[column];
            self.row_of[column] = row;
            std::mem::swap(&mut self.column_of[row], &mut column);
            if row == start {
                break;
            }
        }
    }

    /// Dijkstra's search from a row to the nearest column without a partner; gives that column and the path's length.
    fn path(&mut self, start: usize) -> (usize, f64) {
        self.remaining.clear();
        self.remaining.extend((0..self.columns).rev());
        self.shortest.fill(f64::INFINITY);
        self.seen_row.fill(false);
        self.seen_column.fill(false);
        let (mut row, mut length) = (start, 0.0);
        loop {
            self.seen_row[row] = true;
            let (mut lowest, mut nearest) = (f64::INFINITY, 0);
            let costs = &self.cost[row * self.columns..(row + 1) * self.columns];
            for (place, &column) in self.remaining.iter().enumerate() {
                let reached = length + costs[column] - self.u[row] - self.v[column];
                if reached < self.shortest[column] {
                    self.before[column] = row;
                    self.shortest[column] = reached;
                }
                // Of equally near columns one without a partner ends the search.
                let ends = self.shortest[column] == lowest && self.row_of[column] == NONE;
                if self.shortest[column] < lowest || ends {
                    lowest = self.shortest[column];
                    nearest = place;
                }
            }
            length = lowest;
            let column = self.remaining.swap_remove(nearest);
            self.seen_column[column] = true;
            match self.row_of[column] {
                NONE => return (column, length),
                next => row = next,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(cost: &[f64], columns: usize, pairs: &[(usize, usize)]) -> f64 {
        pairs.iter().map(|&(r, c)| cost[r * columns + c]).sum()
    }

    /// The least total over all assignments of `rows <= columns`.
    fn exhaustive(cost: &[f64], rows: usize, columns: usize, row: usize, used: &mut Vec<bool>) -> f64 {
        if row == rows {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in 0..columns {
            if !used[column] {
                used[column] = true;
                let rest = exhaustive(cost, rows, columns, row + 1, used);
                best = best.min(cost[row * columns + column] + rest);
                used[column] = false;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_assignment_costs_less(rows in 0usize..5, columns in 0usize..6, costs in prop::collection::vec(-5i8..5, 30)) {
            let cost: Vec<f64> = costs[..rows * columns].iter().map(|&c| f64::from(c)).collect();
            let pairs = least_cost(&cost, rows, columns);
            prop_assert_eq!(pairs.len(), rows.min(columns));
            let mut columns_used: Vec<usize> = pairs.iter().map(|p| p.1).collect();
            columns_used.sort_unstable();
            columns_used.dedup();
            prop_assert_eq!(columns_used.len(), pairs.len());
            prop_assert!(pairs.is_sorted());
            let wanted = if rows <= columns {
                exhaustive(&cost, rows, columns, 0, &mut vec![false; columns])
            } else {
                let turned: Vec<f64> = (0..rows * columns).map(|at| cost[(at % rows) * columns + at / rows]).collect();
                exhaustive(&turned, columns, rows, 0, &mut vec![false; rows])
            };
            prop_assert_eq!(total(&cost, columns, &pairs), wanted);
        }
    }

    #[test]
    fn of_equal_costs_the_last_column_is_tried_first() {
        // The order in which SciPy looks at columns: all zeros give the identity.
        assert_eq!(least_cost(&[0.0; 4], 2, 2), [(0, 0), (1, 1)]);
        assert_eq!(least_cost(&[], 0, 3), []);
    }
}

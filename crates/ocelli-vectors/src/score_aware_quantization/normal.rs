//! The normal equations of the score-aware loss, which centres and codewords are the solutions of (sections 3.2, 3.3).

use crate::linear::solve_positive;

/// `(sum_i B_i^T W_i B_i) c = sum_i B_i^T W_i x_i` with `W_i = h_orth I + (h_par - h_orth) u_i u_i^T`: the unknowns `c` with
/// the least loss, where `B_i` says which of them stands for each element of `x_i`. Unknowns of no vector drop out.
pub(crate) struct NormalEquations {
    /// Where each unknown stands among those in use.
    places: Vec<Option<usize>>,
    used: usize,
    /// `[used, used]`, of which the lower triangle is set.
    matrix: Vec<f64>,
    right: Vec<f64>,
    /// The unknowns of a vector, among those in use.
    at: Vec<usize>,
}

impl NormalEquations {
    /// For `unknowns`, of which those that `used` lists occur.
    pub(crate) fn new(unknowns: usize, used: impl IntoIterator<Item = usize>) -> Self {
        let mut places = vec![None; unknowns];
        used.into_iter().for_each(|unknown| places[unknown] = Some(0));
        let mut count = 0;
        for place in places.iter_mut().flatten() {
            *place = count;
            count += 1;
        }
        Self {
            places,
            used: count,
            matrix: vec![0.0; count * count],
            right: vec![0.0; count],
            at: Vec::new(),
        }
    }

    /// Adds a vector `x` whose direction of weight `parallel` is `unit` (of length 1, or zeros where there is none), and
    /// whose elements the unknowns `at` stand for, which rise.
    pub(crate) fn add<T: Copy + Into<f64>>(
        &mut self,
        at: impl IntoIterator<Item = usize>,
        x: &[T],
        unit: &[T],
        (parallel, orthogonal): (f64, f64),
    ) {
        self.at.clear();
        self.at.extend(at.into_iter().filter_map(|unknown| self.places[unknown]));
        debug_assert!(self.at.len() == x.len() && self.at.is_sorted());
        let more = parallel - orthogonal;
        let along: f64 = x.iter().zip(unit).map(|(&x, &u)| x.into() * u.into()).sum();
        for (d, &row) in self.at.iter().enumerate() {
            let scaled = more * unit[d].into();
            self.right[row] += orthogonal * x[d].into() + scaled * along;
            let line = &mut self.matrix[row * self.used..(row + 1) * self.used];
            line[row] += orthogonal;
            for (&column, &u) in self.at[..=d].iter().zip(unit) {
                line[column] += scaled * u.into();
            }
        }
    }

    /// Adds to the diagonal: where a weight below 1 leaves unknowns of few vectors without a minimum of their own.
    pub(crate) fn steady(&mut self, by: f64) {
        self.matrix.iter_mut().step_by(self.used + 1).for_each(|value| *value += by);
    }

    /// Writes the solution to the unknowns in use; false when there is not exactly one.
    pub(crate) fn solve(self, unknowns: &mut [f64]) -> bool {
        let Some(solved) = solve_positive(self.matrix, &self.right) else { return false };
        for (value, place) in unknowns.iter_mut().zip(self.places) {
            if let Some(place) = place {
                *value = solved[place];
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_has_the_least_loss_and_unused_unknowns_stay() {
        let vectors = [[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]];
        // The first element stands for unknown 0 or 1, the second for unknown 3.
        let first = [0usize, 1, 0];
        let weights = [(4.0, 1.0), (2.0, 0.5), (1.0, 3.0)];
        let units = vectors.map(|x| x.map(|v: f64| v / (x[0] * x[0] + x[1] * x[1]).sqrt()));
        let mut equations = NormalEquations::new(4, [0, 1, 3]);
        for i in 0..3 {
            equations.add([first[i], 3], &vectors[i], &units[i], weights[i]);
        }
        let mut found = [9.0; 4];
        assert!(equations.solve(&mut found));
        assert_eq!(found[2], 9.0);
        let loss = |c: &[f64; 4]| -> f64 {
            let of = |i: usize| {
                let r = [vectors[i][0] - c[first[i]], vectors[i][1] - c[3]];
                let along = r[0] * units[i][0] + r[1] * units[i][1];
                weights[i].1 * (r[0] * r[0] + r[1] * r[1]) + (weights[i].0 - weights[i].1) * along * along
            };
            (0..3).map(of).sum()
        };
        for unknown in [0, 1, 3] {
            for step in [-1e-3, 1e-3] {
                let mut other = found;
                other[unknown] += step;
                assert!(loss(&other) > loss(&found), "unknown {unknown}");
            }
        }
        let mut none = NormalEquations::new(1, [0]);
        none.add([0], &[1.0], &[1.0], (0.0, 0.0));
        assert!(!none.solve(&mut [0.0]));
    }
}

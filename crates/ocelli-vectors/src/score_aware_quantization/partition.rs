//! Centres of partitions under the score-aware loss (section 3.2).

use super::loss::{PointLoss, Weights};
use super::normal::NormalEquations;
use super::{QuantizationError, Result, rows, same, smallest};
use crate::linear::{norm, unit};

/// Partitions by their centres, found by Lloyd's iterations under the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorQuantizer {
    /// `[K, dim]`, row-major.
    pub centers: Vec<f64>,
    /// Length of a vector.
    pub dim: usize,
}

impl VectorQuantizer {
    /// With these centres `[K, dim]`.
    ///
    /// # Errors
    /// [`QuantizationError`] when they fill no row or are no numbers.
    pub fn new(centers: Vec<f64>, dim: usize) -> Result<Self> {
        let count = rows("centers", &centers, dim)?;
        if count == 0 {
            return Err(QuantizationError::setting("centers", 0, "at least one"));
        }
        Ok(Self { centers, dim })
    }

    /// The centre of smallest loss for each vector `x [N, dim]`, and that loss.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn assign(&self, x: &[f64], weights: Weights<'_>) -> Result<(Vec<usize>, Vec<f64>)> {
        let count = rows("x", x, self.dim)?;
        weights.check(count)?;
        let mut residual = vec![0.0; self.dim];
        let each = x.chunks_exact(self.dim).enumerate().map(|(i, x)| {
            let direction = unit(x);
            let mut loss = |center: &[f64]| {
                residual.iter_mut().zip(x.iter().zip(center)).for_each(|(r, (a, b))| *r = a - b);
                let (h_par, h_orth) = (weights.parallel[i], weights.orthogonal[i]);
                PointLoss::new(&residual, direction.as_deref(), h_par, h_orth).loss
            };
            let losses: Vec<f64> = self.centers.chunks_exact(self.dim).map(&mut loss).collect();
            let best = smallest(losses.iter().copied());
            (best, losses[best])
        });
        Ok(each.unzip())
    }

    /// Moves each centre to the minimum for the vectors assigned to it:
    /// `(sum [h_orth I + (h_par - h_orth) u u^T])^-1 sum h_par x`. A centre without vectors stays.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn update(&mut self, x: &[f64], weights: Weights<'_>, assigned: &[usize]) -> Result<()> {
        let count = rows("x", x, self.dim)?;
        weights.check(count)?;
        same("the assignment", assigned.len(), count)?;
        let d = self.dim;
        let mut members = vec![Vec::new(); self.centers.len() / d];
        for (index, &center) in assigned.iter().enumerate() {
            let centers = members.len();
            let list = members.get_mut(center).ok_or(QuantizationError::OutOfRange {
                name: "the assignment",
                index,
                value: center as i64,
                count: centers,
            })?;
            list.push(index);
        }
        for (center, members) in members.iter().enumerate().filter(|(_, m)| !m.is_empty()) {
            let mut equations = NormalEquations::new(d, 0..d);
            for &i in members {
                let x = &x[i * d..(i + 1) * d];
                let direction = unit(x).unwrap_or_else(|| vec![0.0; d]);
                equations.add(0..d, x, &direction, (weights.parallel[i], weights.orthogonal[i]));
            }
            if !equations.solve(&mut self.centers[center * d..(center + 1) * d]) {
                return Err(QuantizationError::Singular("a centre"));
            }
        }
        Ok(())
    }

    /// Assigns and updates `iterations` times and assigns once more; gives the last assignment and the mean loss at each.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn train(
        &mut self,
        x: &[f64],
        weights: Weights<'_>,
        iterations: usize,
    ) -> Result<(Vec<usize>, Vec<f64>)> {
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len().max(1) as f64;
        let (mut assigned, losses) = self.assign(x, weights)?;
        let mut history = vec![mean(&losses)];
        for _ in 0..iterations {
            self.update(x, weights, &assigned)?;
            let (next, losses) = self.assign(x, weights)?;
            assigned = next;
            history.push(mean(&losses));
        }
        Ok((assigned, history))
    }
}

/// The centre of one partition `x [N, dim]` under the package's option `avq = eta` (`h_orth = |x|^(eta-1)`,
/// `h_par = eta |x|^(eta-1)`); the mean for eta = 1. Zero vectors have no direction and count for eta = 1 alone.
///
/// # Errors
/// [`QuantizationError`] naming the input; [`QuantizationError::Singular`] when only zero vectors are there.
pub fn partition_center(x: &[f64], dim: usize, eta: f64) -> Result<Vec<f64>> {
    let count = rows("x", x, dim)?;
    if count == 0 {
        return Err(QuantizationError::setting("x", 0, "at least one vector"));
    }
    if !(eta > 0.0 && eta.is_finite()) {
        return Err(QuantizationError::setting("eta", eta, "a number above 0"));
    }
    let mut equations = NormalEquations::new(dim, 0..dim);
    for x in x.chunks_exact(dim) {
        let weight = if eta == 1.0 { 1.0 } else { norm(x).powf(eta - 1.0) };
        match unit(x) {
            Some(unit) => equations.add(0..dim, x, &unit, (eta * weight, weight)),
            None if eta == 1.0 => equations.add(0..dim, x, &vec![0.0; dim], (1.0, 1.0)),
            None => (),
        }
    }
    let mut center = vec![0.0; dim];
    match equations.solve(&mut center) {
        true => Ok(center),
        false => Err(QuantizationError::Singular("the centre")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_give_means_and_empty_centres_stay() {
        let x = [0.0, 1.0, 0.0, 3.0, 5.0, 0.0];
        let ones = [1.0; 3];
        let weights = Weights { parallel: &ones, orthogonal: &ones };
        let mut quantizer = VectorQuantizer::new(vec![0.0, 2.0, 4.0, 0.0, -9.0, -9.0], 2).unwrap();
        let (assigned, history) = quantizer.train(&x, weights, 2).unwrap();
        assert_eq!(assigned, [0, 0, 1]);
        assert!(history.is_sorted_by(|a, b| a >= b));
        let wanted = [0.0, 2.0, 5.0, 0.0, -9.0, -9.0];
        assert!(quantizer.centers.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn zero_vectors_have_no_direction() {
        let x = [0.0, 0.0, 2.0, 0.0];
        let mean = partition_center(&x, 2, 1.0).unwrap();
        assert!((mean[0] - 1.0).abs() < 1e-12 && mean[1] == 0.0, "{mean:?}");
        let center = partition_center(&x, 2, 3.0).unwrap();
        assert!((center[0] - 2.0).abs() < 1e-12, "{center:?}");
        assert!(partition_center(&[0.0, 0.0], 2, 3.0).is_err());
        assert!(partition_center(&x, 2, 0.0).is_err());
        assert!(partition_center(&[], 2, 2.0).is_err());
    }

    #[test]
    fn impossible_inputs_are_named() {
        let ones = [1.0; 2];
        let weights = Weights { parallel: &ones, orthogonal: &ones };
        let mut quantizer = VectorQuantizer::new(vec![0.0; 4], 2).unwrap();
        assert!(quantizer.assign(&[1.0, 2.0], weights).unwrap_err().to_string().contains("h_par"));
        let x = [1.0, 2.0, f64::NAN, 0.0];
        assert!(quantizer.assign(&x, weights).unwrap_err().to_string().contains("x[2]"));
        let far = quantizer.update(&[1.0; 4], weights, &[0, 7]);
        assert!(far.unwrap_err().to_string().contains("is 7, but there are 2"));
    }
}

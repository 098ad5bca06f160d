//! The truncated power method: multiply, cut back to the feasible set, repeat.

use super::truncate::{LowRank, Truncate};
use super::{EigenError, Symmetric, check};
use crate::linear::{dot, norm};

/// When iterations end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Iterations at most.
    pub iterations: usize,
    /// They end earlier when a step moves the vector by less than this; 0 makes all of them.
    pub tolerance: f64,
}

impl Default for Stop {
    /// 200 iterations, 1e-6.
    fn default() -> Self {
        Self { iterations: 200, tolerance: 1e-6 }
    }
}

/// What a power method came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Power {
    /// The unit vector, in the feasible set.
    pub x: Vec<f64>,
    /// `x^T A x` of the truncated start and after each iteration. It never falls when A is positive semidefinite.
    pub objective: Vec<f64>,
}

/// Runs `x <- T(A x)` from the truncated `start`.
///
/// # Errors
/// [`EigenError::Zero`] when start or product have no direction; [`EigenError::Length`] and [`EigenError::NotFinite`].
pub fn truncated_power(
    a: &dyn Symmetric,
    start: &[f64],
    rule: &dyn Truncate,
    stop: Stop,
) -> Result<Power, EigenError> {
    check("the start", start, a.dim())?;
    let mut x = rule.truncate(start)?;
    let mut product = a.apply(&x);
    let mut objective = vec![dot(&x, &product)];
    for _ in 0..stop.iterations {
        let next = rule.truncate(&product)?;
        let moved: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        x = next;
        product = a.apply(&x);
        objective.push(dot(&x, &product));
        if norm(&moved) < stop.tolerance {
            break;
        }
    }
    Ok(Power { x, objective })
}

/// Runs a stage for each of the falling ranks of `schedule`, each from the result of the one before; the objective is
/// that of the last stage.
///
/// # Errors
/// As [`truncated_power`]; [`EigenError::Setting`] for an impossible rank or an empty schedule.
pub fn warm_power(
    a: &dyn Symmetric,
    start: &[f64],
    [p, q]: [usize; 2],
    schedule: &[usize],
    stop: Stop,
) -> Result<Power, EigenError> {
    let mut stage: Option<Power> = None;
    for &rank in schedule {
        let from = stage.as_ref().map_or(start, |s| &s.x);
        stage = Some(truncated_power(a, from, &LowRank::new(p, q, rank)?, stop)?);
    }
    stage.ok_or_else(|| EigenError::setting("schedule", "empty", "at least one rank is wanted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::low_rank_eigenmatrix::{Covariance, Sparse, spiked};

    #[test]
    fn the_objective_never_falls() {
        let spike = spiked(6, 5, 2, 2.0, 25, 3);
        let a = Covariance::new(&spike.samples, 30, true).unwrap();
        let stop = Stop { iterations: 30, tolerance: 0.0 };
        let rules: [&dyn Truncate; 2] = [&LowRank::new(6, 5, 2).unwrap(), &Sparse { cardinality: 8 }];
        for rule in rules {
            let power = truncated_power(&a, &[1.0; 30], rule, stop).unwrap();
            assert_eq!(power.objective.len(), 31);
            assert!(power.objective.windows(2).all(|w| w[1] >= w[0] - 1e-12), "{rule:?}");
        }
    }

    #[test]
    fn a_tolerance_ends_early() {
        let spike = spiked(4, 4, 1, 8.0, 200, 1);
        let a = Covariance::new(&spike.samples, 16, true).unwrap();
        let power = truncated_power(&a, &spike.truth, &LowRank::new(4, 4, 1).unwrap(), Stop::default());
        assert!(power.unwrap().objective.len() < 100);
    }

    #[test]
    fn impossible_inputs_are_named() {
        let a = Covariance::new(&[1.0, 2.0, 3.0, 5.0], 2, true).unwrap();
        let rule = LowRank::new(1, 2, 1).unwrap();
        assert!(truncated_power(&a, &[1.0], &rule, Stop::default()).is_err());
        assert!(truncated_power(&a, &[0.0, 0.0], &rule, Stop::default()).is_err());
        assert!(warm_power(&a, &[1.0, 0.0], [1, 2], &[], Stop::default()).is_err());
        assert!(warm_power(&a, &[1.0, 0.0], [1, 2], &[2], Stop::default()).is_err());
    }
}

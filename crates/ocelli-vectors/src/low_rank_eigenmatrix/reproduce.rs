//! The claim at small scale: a planted direction of low rank, recovered by PCA, sparse PCA and the low-rank method.

use std::collections::BTreeMap;

use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_metrics::direction::compare;

use super::{
    Covariance, EigenError, LowRank, Sparse, Spike, Stop, Symmetric, Truncate, spiked, truncated_power,
};

const PCA: &str = "PCA";
const SPARSE: &str = "sparse PCA";
const OURS: &str = "low-rank";
const METRIC: &str = "cosine, rank 1, n=100";

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "With fewer samples than dimensions, the low-rank eigenmatrix finds a planted direction of low rank better than PCA and sparse PCA do.",
    metric: METRIC,
    direction: Direction::Up,
    seeds: 3,
    run,
    checks,
};

/// Sides of an eigenmatrix.
const SIDE: usize = 20;
/// Variance along the planted direction; that of the noise is 1.
const STRENGTH: f64 = 3.0;
/// Samples.
const SAMPLES: [usize; 5] = [50, 100, 150, 300, 600];
/// Below this number of samples nothing finds the direction.
const DETECTABLE: usize = 100;
/// Data sets whose median is taken.
const SETS: u64 = 10;
const STOP: Stop = Stop { iterations: 50, tolerance: 0.0 };

fn name(rank: usize, n: usize) -> String {
    format!("cosine, rank {rank}, n={n}")
}

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let mut values: [BTreeMap<String, f64>; 3] = Default::default();
    for rank in [1, 2] {
        for n in SAMPLES {
            (experiment.progress)(&name(rank, n));
            let sets: Result<Vec<[f64; 3]>, EigenError> = (0..SETS)
                .map(|set| {
                    recover(&spiked(SIDE, SIDE, rank, STRENGTH, n, experiment.seed * SETS + set), rank)
                })
                .collect();
            let sets = sets.map_err(|e| ReproduceError(format!("{}: {e}", name(rank, n))))?;
            for (arm, values) in values.iter_mut().enumerate() {
                values.insert(name(rank, n), median(sets.iter().map(|s| s[arm]).collect()));
            }
        }
    }
    let arms = [(PCA, Role::Baseline), (SPARSE, Role::Control), (OURS, Role::Ours)];
    let arm = |((name, role), values): ((&str, Role), _)| Arm {
        name: name.to_owned(),
        role,
        values,
        traces: BTreeMap::new(),
    };
    Ok(arms.into_iter().zip(values).map(arm).collect())
}

/// Cosines of PCA, sparse PCA and the low-rank method with the truth, the latter two started from PCA.
fn recover(spike: &Spike, rank: usize) -> Result<[f64; 3], EigenError> {
    let a = Covariance::new(&spike.samples, SIDE * SIDE, true)?;
    let full = LowRank::new(SIDE, SIDE, SIDE)?;
    let start = vec![1.0; a.dim()];
    let pca = truncated_power(&a, &start, &full, Stop { iterations: 1000, tolerance: 1e-8 })?.x;
    let cosine = |x: &[f64]| compare(x, &spike.truth).map_or(f64::NAN, |found| found.cosine);
    let from_pca = |rule: &dyn Truncate| -> Result<f64, EigenError> {
        Ok(cosine(&truncated_power(&a, &pca, rule, STOP)?.x))
    };
    let sparse = from_pca(&Sparse { cardinality: a.dim() / 4 })?;
    Ok([cosine(&pca), sparse, from_pca(&LowRank::new(SIDE, SIDE, rank)?)?])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

fn checks(tally: &Tally) -> Vec<Check> {
    let mut checks = Vec::new();
    for rank in [1, 2] {
        for n in SAMPLES.into_iter().filter(|&n| n >= DETECTABLE) {
            checks.extend([PCA, SPARSE].map(|other| tally.above(&name(rank, n), OURS, other)));
        }
        let lost = tally.mean(OURS, &name(rank, SAMPLES[0]));
        checks.push(Check {
            statement: format!("rank {rank}: below the detection limit (n={}) it fails too", SAMPLES[0]),
            holds: lost < 0.7,
            detail: format!("cosine {lost:.2}"),
        });
    }
    checks
}

//! The claim at small scale: codes under the score-aware loss against plain reconstruction codes of equal size.

use std::collections::BTreeMap;

use ocelli_method::random::{Generator, stream};
use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_metrics::nearest_neighbours::{
    NeighbourResult, Ranking, by_inner_product, recall, recall_of_best, relative_error,
};
use ocelli_metrics::{Matrix, MetricError};

use super::{Codebook, Encoder, Eta, JointTraining, KMeans, QuantizationError, Weights, eta_exact};
use crate::linear::{norm, normal, unit};

const PLAIN: &str = "reconstruction";
const ENCODED: &str = "score-aware codes, plain codebook";
const OURS: &str = "score-aware";
const STRICTER: &str = "score-aware, threshold 0.3";
const ERROR: &str = "relative error of the top score";
const SQUARED: &str = "squared error";
const BEST: &str = "R1@1";
const BEST_OF_TEN: &str = "R1@10";
const TEN: &str = "R10@10";

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "At equal bits, codes trained under the score-aware loss keep the largest inner products better than codes of least squared error, which reconstruct better.",
    metric: ERROR,
    direction: Direction::Down,
    seeds: 4,
    run,
    checks,
};

const DIM: usize = 16;
const CLUSTERS: u64 = 40;
const POINTS: usize = 1500;
const QUERIES: usize = 400;
const BLOCKS: usize = 8;
const CODEWORDS: usize = 8;
const KMEANS_ITERATIONS: usize = 8;
const JOINT: JointTraining = JointTraining { iterations: 4, max_rounds: 10 };
const THRESHOLD: f64 = 0.2;
/// Neighbours looked at.
const LISTED: usize = 10;

/// Unit vectors in clusters, and queries near some of them.
struct World {
    points: Vec<f64>,
    queries: Vec<f64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let drawn = |generator: &mut Generator, scale: f64| -> Vec<f64> {
            (0..DIM).map(|_| scale * normal(generator)).collect()
        };
        let near = |center: &[f64], noise: Vec<f64>| {
            let moved: Vec<f64> = center.iter().zip(noise).map(|(c, n)| c + n).collect();
            unit(&moved).unwrap_or(moved)
        };
        let center = |cluster: u64| drawn(&mut stream(seed, "cluster", cluster), 1.0);
        let centers: Vec<Vec<f64>> = (0..CLUSTERS).map(center).collect();
        let mut noise = stream(seed, "points", 0);
        let points: Vec<Vec<f64>> =
            (0..POINTS).map(|i| near(&centers[i % centers.len()], drawn(&mut noise, 0.7))).collect();
        let mut noise = stream(seed, "queries", 0);
        let query = |i: usize| near(&points[(i * 7) % POINTS], drawn(&mut noise, 0.15));
        let queries = (0..QUERIES).map(query).collect::<Vec<_>>().concat();
        Self { points: points.concat(), queries }
    }
}

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let told = |e: &dyn std::fmt::Display| ReproduceError(e.to_string());
    let world = World::new(experiment.seed);
    let kmeans = KMeans {
        block_dims: vec![DIM / BLOCKS; BLOCKS],
        codewords: CODEWORDS,
        iterations: KMEANS_ITERATIONS,
        seed: experiment.seed,
    };
    (experiment.progress)("k-means");
    let plain = kmeans.train(&world.points).map_err(|e| told(&e))?;
    let mut arms = Vec::new();
    let mut add = |name: &str, role, codebook: &Codebook, codes: &[usize]| {
        let values = measure(&world, codebook, codes).map_err(|e| told(&e))?;
        arms.push(Arm { name: name.to_owned(), role, values, traces: BTreeMap::new() });
        Ok::<(), ReproduceError>(())
    };
    let nearest = plain.nearest(&world.points).map_err(|e| told(&e))?;
    add(PLAIN, Role::Baseline, &plain, &nearest)?;
    let joint = |threshold: f64| trained(&plain, &world.points, threshold);
    (experiment.progress)("joint training");
    let (codebook, codes) = joint(THRESHOLD).map_err(|e| told(&e))?;
    add(OURS, Role::Ours, &codebook, &codes)?;
    let encoder = Encoder { codebook: &plain, max_rounds: JOINT.max_rounds };
    let encoded = encoder.encode(&world.points, None, Eta::Exact(THRESHOLD)).map_err(|e| told(&e))?;
    add(ENCODED, Role::Control, &plain, &encoded)?;
    let (codebook, codes) = joint(0.3).map_err(|e| told(&e))?;
    add(STRICTER, Role::Control, &codebook, &codes)?;
    Ok(arms)
}

/// Joint training from the plain codebook, and codes under what it came to.
fn trained(
    plain: &Codebook,
    points: &[f64],
    threshold: f64,
) -> Result<(Codebook, Vec<usize>), QuantizationError> {
    let eta = |x: &[f64]| eta_exact(norm(x), threshold, DIM);
    let parallel: Vec<f64> = points.chunks_exact(DIM).map(eta).collect::<Result<_, _>>()?;
    let orthogonal = vec![1.0; parallel.len()];
    let mut codebook = plain.clone();
    let weights = Weights { parallel: &parallel, orthogonal: &orthogonal };
    let (codes, _) = JOINT.train(&mut codebook, points, weights)?;
    let encoder = Encoder { codebook: &codebook, max_rounds: JOINT.max_rounds };
    let codes = encoder.improve(points, &parallel, &codes)?;
    Ok((codebook, codes))
}

fn measure(
    world: &World,
    codebook: &Codebook,
    codes: &[usize],
) -> Result<BTreeMap<String, f64>, MetricError> {
    let decoded = codebook.decode(codes).unwrap_or_default();
    let queries = Matrix::new("queries", &world.queries, [QUERIES, DIM])?;
    let ranked =
        |items: &[f64]| by_inner_product(queries, Matrix::new("items", items, [POINTS, DIM])?, LISTED);
    let (truth, found): (Vec<Ranking>, Vec<Ranking>) = (ranked(&world.points)?, ranked(&decoded)?);
    let signed = |ids: &[usize]| ids.iter().map(|&id| id as i64).collect::<Vec<_>>();
    let pairs = || found.iter().zip(&truth);
    let results: Vec<NeighbourResult> = pairs()
        .map(|(found, truth)| NeighbourResult::new(&signed(&found.ids), &signed(&truth.ids)))
        .collect::<Result<_, _>>()?;
    let errors: Vec<f64> =
        pairs().map(|(found, truth)| relative_error(truth, found)).collect::<Result<_, _>>()?;
    let squared: f64 = world.points.iter().zip(&decoded).map(|(a, b)| (a - b).powi(2)).sum();
    let named = [
        (ERROR, errors.iter().sum::<f64>() / errors.len() as f64),
        (SQUARED, squared / POINTS as f64),
        (BEST, recall_of_best(&results, 1)?),
        (BEST_OF_TEN, recall_of_best(&results, 10)?),
        (TEN, recall(&results, 10)?),
    ];
    Ok(named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn checks(tally: &Tally) -> Vec<Check> {
    let share = tally.mean(OURS, ERROR) / tally.mean(PLAIN, ERROR);
    let falls = Check {
        statement: format!("{ERROR}: {OURS} at most 0.7 of {PLAIN}"),
        holds: share <= 0.7,
        detail: format!(
            "{:.4} against {:.4}, a share of {share:.2}",
            tally.mean(OURS, ERROR),
            tally.mean(PLAIN, ERROR)
        ),
    };
    vec![
        falls,
        tally.above(BEST, OURS, PLAIN),
        tally.above(BEST_OF_TEN, OURS, PLAIN),
        tally.above(TEN, OURS, PLAIN),
        tally.above(BEST, ENCODED, PLAIN),
        // A codebook for large scores gives up some reconstruction.
        tally.above(SQUARED, OURS, PLAIN),
        tally.above(ERROR, OURS, STRICTER),
    ]
}

//! The claim at small scale: the adaptive curriculum against ArcFace, plain softmax and fixed hardness, on look-alikes.

use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_nn::Store;
use ocelli_nn::tensor::from_values;

use super::{CurricularConfig, CurricularHead};
use crate::recognition::arcface::{ArcConfig, ArcHead};
use crate::recognition::margin::Head;
use crate::recognition::trial::{BuildHead, EMBEDDING, Populations, TrialConfig, name};

const METHOD: &str = "CurricularFace";
const ARCFACE: &str = "ArcFace";
const SOFTMAX: &str = "normalised softmax";
const FIXED_0: &str = "t fixed at 0";
const FIXED_1: &str = "t fixed at 1";
const METRIC: &str = "TAR@FAR=1e-3";

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "An adaptive curriculum over hard negatives verifies unseen look-alikes better than ArcFace at the published s = 64, m = 0.5.",
    metric: METRIC,
    direction: Direction::Up,
    seeds: 5,
    run,
    checks,
};

/// Populations that a seed averages over: the expected gap is half the spread of one training.
const POPULATIONS: u64 = 4;

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let config = TrialConfig::new(experiment.seed, experiment.device);
    let populations = Populations { experiment, count: POPULATIONS, config };
    let arm = |arm: &str, role: Role, head: BuildHead<'_>, state: Option<f32>| {
        populations.arm(arm, role, head, &|store| hold(store, state))
    };
    let arc = |m: f64| {
        move |path: &ocelli_nn::Path, classes: usize| -> Box<dyn Head> {
            Box::new(ArcHead::new(path, EMBEDDING, classes, ArcConfig { m, ..ArcConfig::default() }))
        }
    };
    let curricular = |path: &ocelli_nn::Path, classes: usize| -> Box<dyn Head> {
        Box::new(CurricularHead::new(path, EMBEDDING, classes, CurricularConfig::default()))
    };
    Ok(vec![
        arm(ARCFACE, Role::Baseline, &arc(ArcConfig::default().m), None)?,
        arm(METHOD, Role::Ours, &curricular, None)?,
        arm(SOFTMAX, Role::Control, &arc(0.0), None)?,
        arm(FIXED_0, Role::Control, &curricular, Some(0.0))?,
        arm(FIXED_1, Role::Control, &curricular, Some(1.0))?,
    ])
}

/// Puts the head's state back to a fixed value before a step; the step itself moves it by one part in a hundred.
fn hold(store: &Store, state: Option<f32>) {
    if let (Some(value), Some(t)) = (state, store.find("t")) {
        t.set(from_values(vec![value], [1], store.device()));
    }
}

fn checks(tally: &Tally) -> Vec<Check> {
    let mut checks: Vec<Check> =
        [1e-3, 1e-4].iter().map(|&far| tally.above(&name(far), METHOD, ARCFACE)).collect();
    checks.push(tally.above(METRIC, METHOD, FIXED_1));
    for arm in [ARCFACE, METHOD, FIXED_0] {
        checks.push(tally.above(METRIC, arm, SOFTMAX));
    }
    checks.push(rising_state(tally));
    checks
}

/// The state must rise from epoch to epoch in every seed.
fn rising_state(tally: &Tally) -> Check {
    let courses: Vec<&Vec<f64>> = tally
        .seeds
        .iter()
        .flatten()
        .filter(|arm| arm.name == METHOD)
        .filter_map(|arm| arm.traces.get("t"))
        .collect();
    let mean = |epoch: usize| courses.iter().map(|c| c[epoch]).sum::<f64>() / courses.len().max(1) as f64;
    let epochs = courses.iter().map(|c| c.len()).min().unwrap_or(0);
    let text: Vec<String> = (0..epochs).map(|e| format!("{:.2}", mean(e))).collect();
    Check {
        statement: "the state t rises from epoch to epoch".to_owned(),
        holds: epochs > 1 && courses.iter().all(|c| c.is_sorted()),
        detail: format!("mean t by epoch: {}", text.join(" ")),
    }
}

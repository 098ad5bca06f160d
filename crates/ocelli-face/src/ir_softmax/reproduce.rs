//! The claim at small scale: centres against learned weights, on many classes with a long tail.

use std::collections::BTreeMap;

use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_train::trainer::Numbers;

use super::Variant;
use super::trial::{HEAD_ACCURACY, HEAD_DEVIATION, TAIL_ACCURACY, TAIL_DEVIATION, TailTrial, Targets, train};
use crate::recognition::trial::name;

const SOFTMAX: &str = "softmax";
const IR_SOFTMAX: &str = "IR-Softmax";
const AM_SOFTMAX: &str = "AM-Softmax";
const IR_AM_SOFTMAX: &str = "IR-AM-Softmax";
const AM_FEW: &str = "AM-Softmax, 60 classes";
const IR_AM_FEW: &str = "IR-AM-Softmax, 60 classes";

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "Centres in place of weights serve the classes of few samples better, and unseen classes too, at no cost to the classes of many.",
    metric: TAIL_ACCURACY,
    direction: Direction::Up,
    seeds: 3,
    run,
    checks,
};

/// Worlds that a seed averages over.
const WORLDS: u64 = 8;

/// Many classes with a long tail, as claimed; and few, where separation has few negatives to come from.
const MANY: (u64, usize) = (300, 500);
const FEW: (u64, usize) = (60, 1000);

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let arm = |name: &str, role: Role, variant: Variant, targets: Targets, (classes, steps): (u64, usize)| {
        // Logits of plain softmax have no bounds, and diverge at the rate of the others.
        let lr = if variant == Variant::Softmax { 0.02 } else { 0.05 };
        let trial = TailTrial { variant, targets, lr, classes, steps };
        let mut runs = Vec::new();
        for world in 0..WORLDS {
            (experiment.progress)(&format!("{name}, world {}/{WORLDS}", world + 1));
            let numbers = train(&trial, experiment.seed * WORLDS + world, experiment.device);
            runs.push(numbers.map_err(|e| ReproduceError(format!("{name}: {e}")))?);
        }
        Ok(Arm { name: name.to_owned(), role, values: mean(&runs), traces: BTreeMap::new() })
    };
    let am = Variant::AmSoftmax { margin: 0.35, scale: 30.0 };
    let (weights, centers) = (Targets::Weights, Targets::Centers { alpha: 0.5 });
    Ok(vec![
        arm(SOFTMAX, Role::Baseline, Variant::Softmax, weights, MANY)?,
        arm(IR_SOFTMAX, Role::Ours, Variant::Softmax, centers, MANY)?,
        arm(AM_SOFTMAX, Role::Control, am, weights, MANY)?,
        arm(IR_AM_SOFTMAX, Role::Control, am, centers, MANY)?,
        arm(AM_FEW, Role::Control, am, weights, FEW)?,
        arm(IR_AM_FEW, Role::Control, am, centers, FEW)?,
    ])
}

fn mean(runs: &[Numbers]) -> Numbers {
    let mut sums = Numbers::new();
    for (name, value) in runs.iter().flatten() {
        *sums.entry(name.clone()).or_default() += value / runs.len() as f64;
    }
    sums
}

fn checks(tally: &Tally) -> Vec<Check> {
    let pairs = [(IR_SOFTMAX, SOFTMAX), (IR_AM_SOFTMAX, AM_SOFTMAX)];
    let mut checks = Vec::new();
    for (centers, weights) in pairs {
        checks.push(tally.above(TAIL_ACCURACY, centers, weights));
        checks.push(tally.above(&name(1e-2), centers, weights));
        checks.push(tally.above(TAIL_DEVIATION, weights, centers));
        checks.push(head_stays(tally, centers, weights));
    }
    // With few classes targets are set right all the same; what it brings there is told, not claimed.
    checks.push(tally.above(TAIL_DEVIATION, AM_FEW, IR_AM_FEW));
    checks.push(tally.above(HEAD_DEVIATION, AM_FEW, IR_AM_FEW));
    checks
}

/// What the head may lose before it counts as a cost, in accuracy.
const COST: f64 = 0.02;

fn head_stays(tally: &Tally, centers: &str, weights: &str) -> Check {
    let (ours, theirs) = (tally.mean(centers, HEAD_ACCURACY), tally.mean(weights, HEAD_ACCURACY));
    Check {
        statement: format!("{HEAD_ACCURACY}: {centers} not below {weights} by more than {COST}"),
        holds: ours > theirs - COST,
        detail: format!("{ours:.4} against {theirs:.4}"),
    }
}

//! The claim at small scale: cooperation against margins and emphasis alone, on look-alikes.

use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_nn::Path;

use super::{NpcConfig, NpcHead};
use crate::recognition::baselines::MvConfig;
use crate::recognition::margin::{AngularMargin, Head, Margin, MarginHead, MarginRule, unit_prototypes};
use crate::recognition::trial::{BuildHead, EMBEDDING, Populations, TrialConfig, name};

const METHOD: &str = "NPCFace";
const ARCFACE: &str = "ArcFace";
const MV_SOFTMAX: &str = "MV-Softmax";
const SOFTMAX: &str = "normalised softmax";
const LARGER: &str = "ArcFace with m = 0.5";
const METRIC: &str = "TAR@FAR=1e-3";

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "At s = 32, m = 0.35 a margin tied to hard negatives verifies unseen look-alikes better than ArcFace and MV-Softmax.",
    metric: METRIC,
    direction: Direction::Up,
    seeds: 3,
    run,
    checks,
};

/// Populations that a seed averages over: the expected gap is about the spread of one training.
const POPULATIONS: u64 = 4;

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let config = TrialConfig {
        train: (400, 20),
        test: (300, 6),
        epochs: 12,
        ..TrialConfig::new(experiment.seed, experiment.device)
    };
    let populations = Populations { experiment, count: POPULATIONS, config };
    let arm = |name: &str, role: Role, head: BuildHead<'_>| populations.arm(name, role, head, &|_| ());
    let NpcConfig { s, m, .. } = NpcConfig::default();
    let ruled = |rule: MarginRule| {
        move |path: &Path, classes: usize| -> Box<dyn Head> {
            Box::new(MarginHead::new(unit_prototypes(path, "kernel", EMBEDDING, classes), rule))
        }
    };
    let arcface = |m: f64| ruled(MarginRule::new(Margin::Angular(AngularMargin::new(m)), s));
    let mv_softmax = MvConfig { s, m, ..MvConfig::default() }.rule();
    let npcface = |path: &Path, classes: usize| -> Box<dyn Head> {
        Box::new(NpcHead::new(path, EMBEDDING, classes, NpcConfig::default()))
    };
    Ok(vec![
        arm(ARCFACE, Role::Baseline, &arcface(m))?,
        arm(METHOD, Role::Ours, &npcface)?,
        arm(MV_SOFTMAX, Role::Control, &ruled(mv_softmax))?,
        arm(SOFTMAX, Role::Control, &ruled(MarginRule::new(Margin::None, s)))?,
        arm(LARGER, Role::Control, &arcface(0.5))?,
    ])
}

/// A margin's advantage over none that counts as large, in true-accept rate.
const LARGE: f64 = 0.03;

fn checks(tally: &Tally) -> Vec<Check> {
    let mut checks = vec![tally.above(METRIC, METHOD, MV_SOFTMAX), tally.above(METRIC, METHOD, ARCFACE)];
    for arm in [METHOD, ARCFACE, MV_SOFTMAX] {
        let gap = tally.mean(arm, METRIC) - tally.mean(SOFTMAX, METRIC);
        checks.push(Check {
            statement: format!("{METRIC}: {arm} far above {SOFTMAX}, by more than {LARGE}"),
            holds: gap > LARGE,
            detail: format!("{gap:+.4}"),
        });
    }
    checks.push(similar_at_high_rate(tally));
    checks.push(falling_share(tally));
    checks.push(margin_comes_and_goes(tally));
    checks
}

/// What low false-accept rates tell apart, higher ones do not.
fn similar_at_high_rate(tally: &Tally) -> Check {
    let gap = |metric: &str| tally.mean(METHOD, metric) - tally.mean(MV_SOFTMAX, metric);
    let (high, low) = (gap(&name(1e-2)), gap(METRIC));
    Check {
        statement: format!("the gap to {MV_SOFTMAX} is smaller at FAR 1e-2 than at 1e-3"),
        holds: high.abs() < low.abs(),
        detail: format!("{high:+.4} against {low:+.4}"),
    }
}

/// A trace of the method, averaged over seeds; empty where there is none.
fn course(tally: &Tally, trace: &str) -> Vec<f64> {
    let arms = tally.seeds.iter().flatten().filter(|arm| arm.name == METHOD);
    let courses: Vec<&Vec<f64>> = arms.filter_map(|arm| arm.traces.get(trace)).collect();
    let epochs = courses.iter().map(|c| c.len()).min().unwrap_or(0);
    (0..epochs).map(|e| courses.iter().map(|c| c[e]).sum::<f64>() / courses.len() as f64).collect()
}

fn text(course: &[f64]) -> String {
    course.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(" ")
}

fn falling_share(tally: &Tally) -> Check {
    let share = course(tally, "hard_share");
    Check {
        statement: "nearly every sample has a hard negative at first, less than one in five at the end"
            .to_owned(),
        holds: share.first().is_some_and(|v| *v > 0.9) && share.last().is_some_and(|v| *v < 0.2),
        detail: format!("share of samples with any, by epoch: {}", text(&share)),
    }
}

/// Hard negatives of early training are barely alike, later ones very, and in the end there are none.
fn margin_comes_and_goes(tally: &Tally) -> Check {
    let margin = course(tally, "margin");
    let peak = margin.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let ends = [margin.first(), margin.last()];
    Check {
        statement: "the mean margin rises above m0 and returns to it".to_owned(),
        holds: ends.into_iter().all(|end| end.is_some_and(|end| peak > end + 0.005)),
        detail: format!("mean margin by epoch: {}", text(&margin)),
    }
}

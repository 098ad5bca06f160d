//! The claim at small scale: BSN++ against BMN on actions whose boundaries need context, with and without balanced lengths.

use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_train::trainer::TaskError;
use ocelli_world::clips::progress::ProgressWorld;

use super::generator::Kind;
use super::trial::{self, AR_10, AUC, SHORT_10};

const BMN: &str = "BMN";
const METHOD: &str = "BSN++";
const UNBALANCED: &str = "BSN++ without scale balance";

/// The least gains that are expected.
const GAIN: f64 = 0.03;
const SHORT_GAIN: f64 = 0.05;

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "Proposals of BSN++ find more actions than those of BMN of the same sizes: the area under average recall is larger, recall at 10 proposals by 0.03 at least, and by 0.05 for short actions.",
    metric: AR_10,
    direction: Direction::Up,
    seeds: 3,
    run,
    checks,
};

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let world = ProgressWorld { seed: experiment.seed, ..ProgressWorld::default() };
    let device = ocelli_nn::device(experiment.device).map_err(|e| ReproduceError(e.to_string()))?;
    let [train, test] = trial::videos(&world);
    let arm = |name: &str, role: Role, which: (Kind, bool)| {
        (experiment.progress)(name);
        let told = |e: TaskError| ReproduceError(format!("{name}: {e}"));
        let generator = trial::trained(which, &world, &train, &device).map_err(told)?;
        let proposed = trial::proposed(&generator, &test).map_err(told)?;
        let values = trial::measured(&proposed).map_err(|e| told(e.into()))?;
        Ok(Arm { name: name.to_owned(), role, values, traces: Default::default() })
    };
    Ok(vec![
        arm(BMN, Role::Baseline, (Kind::Bmn, false))?,
        arm(METHOD, Role::Ours, (Kind::BsnPlusPlus, true))?,
        arm(UNBALANCED, Role::Control, (Kind::BsnPlusPlus, false))?,
    ])
}

fn checks(tally: &Tally) -> Vec<Check> {
    vec![
        tally.above(AUC, METHOD, BMN),
        gain(tally, AR_10, GAIN),
        gain(tally, SHORT_10, SHORT_GAIN),
        tally.above(AR_10, UNBALANCED, BMN),
        tally.above(SHORT_10, METHOD, UNBALANCED),
    ]
}

/// That the mean gain over BMN is at least so large.
fn gain(tally: &Tally, metric: &str, least: f64) -> Check {
    let check = tally.above(metric, METHOD, BMN);
    let holds = tally.mean(METHOD, metric) - tally.mean(BMN, metric) >= least;
    Check { statement: format!("{metric}: {METHOD} above {BMN} by {least} at least"), holds, ..check }
}

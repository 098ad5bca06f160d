//! Re-runs a paper's claim at a size that takes minutes: baseline and method on data made here, several seeds.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use thiserror::Error;

/// The claim of a paper, at small scale.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// What is claimed, in a sentence.
    pub statement: &'static str,
    /// The metric that `baseline` and `ours` are compared by, as named in [`Arm::values`].
    pub metric: &'static str,
    /// Whether larger is better.
    pub direction: Direction,
    /// How many seeds are run unless the user says otherwise.
    pub seeds: usize,
    /// Runs every arm once.
    pub run: fn(&Experiment<'_>) -> Result<Vec<Arm>, ReproduceError>,
    /// What must hold over all seeds.
    pub checks: fn(&Tally) -> Vec<Check>,
}

/// Whether a larger value of the metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Larger is better.
    Up,
    /// Smaller is better.
    Down,
}

/// One run of all arms.
#[derive(Clone, Copy)]
pub struct Experiment<'a> {
    /// Fixes everything random.
    pub seed: u64,
    /// Where to compute.
    pub device: &'a str,
    /// Says what is going on; for a progress line.
    pub progress: &'a dyn Fn(&str),
}

impl std::fmt::Debug for Experiment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Experiment").field("seed", &self.seed).field("device", &self.device).finish()
    }
}

/// What an arm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What the paper compares with.
    Baseline,
    /// The paper's method.
    Ours,
    /// Rules out another explanation.
    Control,
}

/// The result of one training in one seed.
#[derive(Clone, Debug, Serialize)]
pub struct Arm {
    /// Its name, such as `ArcFace`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Metrics by name.
    pub values: BTreeMap<String, f64>,
    /// Courses over training by name, such as a state after every epoch.
    pub traces: BTreeMap<String, Vec<f64>>,
}

/// Why a claim cannot be run.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct ReproduceError(pub String);

/// All seeds of all arms.
#[derive(Clone, Debug, Serialize)]
pub struct Tally {
    /// The arms of each seed, in the order the claim gives them.
    pub seeds: Vec<Vec<Arm>>,
}

/// Something that must hold.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// In words.
    pub statement: String,
    /// Whether it does.
    pub holds: bool,
    /// The numbers it rests on.
    pub detail: String,
}

/// Mean and spread over seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Name of the arm.
    pub name: String,
    /// Mean over seeds; no number when the arm does not measure it.
    pub mean: f64,
    /// Sample standard deviation over seeds; 0 for one seed, no number when the arm does not measure it.
    pub sd: f64,
    /// The value of each seed.
    pub runs: Vec<f64>,
    /// Mean of every metric of the arm.
    pub metrics: BTreeMap<String, f64>,
}

/// The outcome of a claim. The field names are those of the JSON document.
#[derive(Clone, Debug, Serialize)]
pub struct Reproduction {
    /// Slug of the method.
    pub method: String,
    /// What is claimed.
    pub claim: String,
    /// The metric compared.
    pub metric: String,
    /// Whether larger is better.
    pub direction: Direction,
    /// What the paper compares with.
    pub baseline: Summary,
    /// The paper's method.
    pub ours: Summary,
    /// Other explanations.
    pub controls: Vec<Summary>,
    /// What must hold, one by one.
    pub checks: Vec<Check>,
    /// Whether all of it holds.
    pub holds: bool,
    /// Wall time.
    pub seconds: f64,
    /// Everything, seed by seed.
    pub seeds: Vec<Vec<Arm>>,
}

impl Tally {
    /// The values of a metric of an arm, seed by seed; empty for an unknown name.
    pub fn values(&self, arm: &str, metric: &str) -> Vec<f64> {
        let arms = self.seeds.iter().flatten().filter(|a| a.name == arm);
        arms.filter_map(|a| a.values.get(metric).copied()).collect()
    }

    /// Mean of a metric of an arm over seeds.
    pub fn mean(&self, arm: &str, metric: &str) -> f64 {
        mean(&self.values(arm, metric))
    }

    /// A check that the mean of one arm is above that of another, paired by seed.
    pub fn above(&self, metric: &str, better: &str, worse: &str) -> Check {
        let (a, b) = (self.values(better, metric), self.values(worse, metric));
        let gaps: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        Check {
            statement: format!("{metric}: {better} above {worse}"),
            holds: !gaps.is_empty() && mean(&gaps) > 0.0,
            detail: format!(
                "{:.4} against {:.4}, difference {:+.4} ± {:.4} over {} seeds",
                mean(&a),
                mean(&b),
                mean(&gaps),
                deviation(&gaps),
                gaps.len()
            ),
        }
    }

    fn summary(&self, name: &str, metric: &str) -> Summary {
        let runs = self.values(name, metric);
        let first = self.seeds.iter().flatten().find(|a| a.name == name);
        let names = first.map(|a| a.values.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        Summary {
            name: name.to_owned(),
            // An arm that does not measure it has no mean, rather than one of 0.
            mean: if runs.is_empty() { f64::NAN } else { mean(&runs) },
            sd: if runs.is_empty() { f64::NAN } else { deviation(&runs) },
            metrics: names.into_iter().map(|m| (m.clone(), self.mean(name, &m))).collect(),
            runs,
        }
    }
}

/// Arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Sample standard deviation; 0 of fewer than two values.
pub fn deviation(values: &[f64]) -> f64 {
    let m = mean(values);
    let n = values.len().saturating_sub(1).max(1) as f64;
    (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / n).sqrt()
}

/// Runs a claim over seeds 0, 1, ….
///
/// # Errors
/// [`ReproduceError`] when an arm cannot be trained, or the arms lack a baseline or the method itself.
pub fn reproduce(
    slug: &str,
    claim: &Claim,
    seeds: usize,
    device: &str,
    progress: &dyn Fn(&str),
) -> Result<Reproduction, ReproduceError> {
    let start = Instant::now();
    let mut tally = Tally { seeds: Vec::new() };
    for seed in 0..seeds.max(1) as u64 {
        let tell = |text: &str| progress(&format!("seed {}/{seeds}: {text}", seed + 1));
        tally.seeds.push((claim.run)(&Experiment { seed, device, progress: &tell })?);
    }
    let named = |role: Role| {
        let arms = tally.seeds[0].iter().filter(move |a| a.role == role);
        arms.map(|a| tally.summary(&a.name, claim.metric)).collect::<Vec<_>>()
    };
    let only = |role: Role| {
        let found = named(role).into_iter().next();
        found.ok_or_else(|| ReproduceError(format!("the claim of {slug} has no {role:?} arm")))
    };
    let checks = (claim.checks)(&tally);
    Ok(Reproduction {
        method: slug.to_owned(),
        claim: claim.statement.to_owned(),
        metric: claim.metric.to_owned(),
        direction: claim.direction,
        baseline: only(Role::Baseline)?,
        ours: only(Role::Ours)?,
        controls: named(Role::Control),
        holds: !checks.is_empty() && checks.iter().all(|c| c.holds),
        checks,
        seconds: start.elapsed().as_secs_f64(),
        seeds: tally.seeds,
    })
}

/// Writes a reproduction as JSON into `folder/<slug>.json`, whole or not at all.
///
/// # Errors
/// The system's error when the folder or file cannot be written.
pub fn save(reproduction: &Reproduction, folder: &Path) -> std::io::Result<std::path::PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.json", reproduction.method));
    crate::files::write_atomically(&path, |w| Ok(serde_json::to_writer_pretty(w, reproduction)?))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(name: &str, role: Role, value: f64) -> Arm {
        Arm { name: name.into(), role, values: [("m".into(), value)].into(), traces: BTreeMap::new() }
    }

    fn run(e: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
        let s = e.seed as f64;
        Ok(vec![arm("old", Role::Baseline, s), arm("new", Role::Ours, s + 1.0)])
    }

    const CLAIM: Claim = Claim {
        statement: "new beats old",
        metric: "m",
        direction: Direction::Up,
        seeds: 3,
        run,
        checks: |t| vec![t.above("m", "new", "old")],
    };

    #[test]
    fn summaries_and_checks_over_seeds() {
        let r = reproduce("m", &CLAIM, 3, "cpu", &|_| ()).unwrap();
        assert_eq!((r.baseline.mean, r.ours.mean, r.ours.sd), (1.0, 2.0, 1.0));
        assert!(r.holds);
        let against = Claim { checks: |t| vec![t.above("m", "old", "new")], ..CLAIM };
        assert!(!reproduce("m", &against, 3, "cpu", &|_| ()).unwrap().holds);
    }
}

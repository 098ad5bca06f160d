//! The components of the reference cases.

use ocelli_method::array::Array;
use ocelli_method::method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::direction::compare;
use serde::Deserialize;

use super::{
    Covariance, Deflated, Deflation, EigenError, LowRank, Power, Sparse, Stop, Symmetric, SymmetricMatrix,
    Truncate, circulant as circulant_matrix, circulant_eigenvalues, energy, synthetic, truncated_power,
    warm_power as warm,
};

pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "truncate", run: truncate },
    Component { name: "power", run: power },
    Component { name: "warm_power", run: warm_power },
    Component { name: "power_data", run: power_data },
    Component { name: "sparse_power", run: sparse_power },
    Component { name: "components", run: components },
    Component { name: "circulant", run: circulant },
    Component { name: "metric", run: metric },
];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    p: usize,
    #[serde(default)]
    q: usize,
    #[serde(default)]
    rank: usize,
    #[serde(default)]
    iters: usize,
    #[serde(default)]
    schedule: Vec<usize>,
    #[serde(default)]
    center: bool,
    #[serde(default)]
    cardinality: usize,
    #[serde(default)]
    deflation: Deflation,
    #[serde(default)]
    frequency: usize,
}

impl Config {
    fn rule(&self) -> Result<LowRank, ReplayError> {
        LowRank::new(self.p, self.q, self.rank).map_err(ReplayError::refused)
    }

    /// Exactly as many iterations as the case says.
    fn stop(&self) -> Stop {
        Stop { iterations: self.iters, tolerance: 0.0 }
    }
}

fn matrix(replay: &Replay<'_>) -> Result<SymmetricMatrix, ReplayError> {
    let [d, _] = replay.dims("a")?;
    SymmetricMatrix::new(replay.doubles("a")?, d).map_err(ReplayError::refused)
}

fn outputs(power: Power) -> Outputs {
    Outputs::new().with("x", Array::vector_f64(power.x)).with("objective", Array::vector_f64(power.objective))
}

fn truncate(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let rule = replay.config::<Config>()?.rule()?;
    let y = replay.doubles("y")?;
    let x = rule.truncate(&y).map_err(ReplayError::refused)?;
    let svd = rule.svd(&y).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("x", Array::vector_f64(x)).with("singular_values", Array::vector_f64(svd.s)))
}

fn run(
    replay: &Replay<'_>,
    a: &dyn Symmetric,
    rule: &dyn Truncate,
    config: &Config,
) -> Result<Power, ReplayError> {
    truncated_power(a, &replay.doubles("x0")?, rule, config.stop()).map_err(ReplayError::refused)
}

fn power(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = replay.config()?;
    let found = run(replay, &matrix(replay)?, &config.rule()?, &config)?;
    let mut agreement = None;
    if replay.case.inputs.contains_key("truth") {
        let cosine = compare(&found.x, &replay.doubles("truth")?).map_err(ReplayError::refused)?.cosine;
        agreement = Some(cosine);
    }
    let mut outputs = outputs(found);
    if let Some(cosine) = agreement {
        outputs.set("cosine", cosine);
    }
    Ok(outputs)
}

fn warm_power(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = replay.config()?;
    let (a, start) = (matrix(replay)?, replay.doubles("x0")?);
    let found = warm(&a, &start, [config.p, config.q], &config.schedule, config.stop());
    found.map(outputs).map_err(ReplayError::refused)
}

fn power_data(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = replay.config()?;
    let [_, d] = replay.dims("data")?;
    let covariance = Covariance::new(&replay.doubles("data")?, d, config.center);
    let covariance = covariance.map_err(ReplayError::refused)?;
    run(replay, &covariance, &config.rule()?, &config).map(outputs)
}

fn sparse_power(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = replay.config()?;
    let rule = Sparse { cardinality: config.cardinality };
    run(replay, &matrix(replay)?, &rule, &config).map(outputs)
}

fn components(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = replay.config()?;
    let (a, rule) = (matrix(replay)?, config.rule()?);
    let [count, d] = replay.dims("x0")?;
    let starts = replay.doubles("x0")?;
    let mut deflated = Deflated::new(&a, config.deflation);
    let (mut found, mut variance) = (Vec::new(), Vec::new());
    for start in starts.chunks_exact(d.max(1)) {
        let component: Result<Power, EigenError> = truncated_power(&deflated, start, &rule, config.stop());
        let x = component.map_err(ReplayError::refused)?.x;
        deflated.take(&x);
        variance.push(a.quadratic(&x));
        found.extend(x);
    }
    let found = Array::vector_f64(found).reshaped([count, d]).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("x", found).with("variance", Array::vector_f64(variance)))
}

fn circulant(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = replay.config()?;
    let c = replay.doubles("c")?;
    let a = circulant_matrix(&c).map_err(ReplayError::refused)?;
    let mut outputs = outputs(run(replay, &a, &config.rule()?, &config)?);
    let wave = synthetic::wave(c.len(), config.frequency);
    let shares = energy(&wave, config.p, config.q).map_err(ReplayError::refused)?;
    let full = Array::vector_f64(a.values().iter().copied());
    outputs.set("a", full.reshaped([c.len(), c.len()]).map_err(ReplayError::refused)?);
    outputs.set("eigenvalues", Array::vector_f64(circulant_eigenvalues(&c)));
    outputs.set("mode_energy", Array::vector_f64(shares));
    Ok(outputs)
}

fn metric(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let found = compare(&replay.doubles("x")?, &replay.doubles("truth")?).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("cosine", found.cosine)
        .with("sin", found.sin)
        .with("one_minus", found.one_minus)
        .with("l2", found.l2))
}

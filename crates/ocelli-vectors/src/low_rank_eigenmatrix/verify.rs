//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::direction::compare;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric", run: metric }];

fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let found = compare(&case.doubles("x")?, &case.doubles("truth")?).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("cosine", found.cosine)
        .with("sin", found.sin)
        .with("one_minus", found.one_minus)
        .with("l2", found.l2))
}

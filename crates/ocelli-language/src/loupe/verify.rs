//! Reference-case components.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::retrieval::RetrievalVariant;
use serde::Deserialize;

use crate::ranks::{KS, ranked, set_recalls};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.retrieval", run: retrieval }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    images: usize,
    /// What `owner` says for each caption.
    #[serde(rename = "captions_per_image")]
    _captions_per_image: usize,
}

fn retrieval(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Config { images, .. } = case.config()?;
    let [rows, _] = case.dims("sim")?;
    if rows != images {
        return Err(ReplayError::refused(format!(
            "`sim` has {rows} rows, not one for each of {images} images"
        )));
    }
    let owner = case.integers("owner")?.iter().map(|&o| usize::try_from(o).unwrap_or(usize::MAX));
    let records = ranked(case, RetrievalVariant::AnyOf, &owner.collect::<Vec<_>>(), true)?;
    let summary = records.summary(&KS).map_err(ReplayError::refused)?;
    let mut outputs = Outputs::new();
    set_recalls(&mut outputs, "i2t", &summary.item_to_text);
    set_recalls(&mut outputs, "t2i", &summary.text_to_item);
    Ok(outputs)
}

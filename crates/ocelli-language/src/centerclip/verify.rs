//! Reference-case components.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::retrieval::{Direction, ItemRanks, RetrievalVariant};
use serde::Deserialize;

use crate::ranks::{KS, ranked, set_recalls};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "metric.retrieval", run: one_to_one },
    Component { name: "metric.multi_sentence", run: several_sentences },
];

/// Recall, and median and mean rank under the name `median` and `MeanR`.
fn set(outputs: &mut Outputs, prefix: &str, median: &str, direction: &Direction) {
    set_recalls(outputs, prefix, direction);
    outputs.set(format!("{prefix}.{median}"), direction.median_rank);
    outputs.set(format!("{prefix}.MeanR"), direction.mean_rank);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    n: usize,
}

fn one_to_one(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Config { n } = case.config()?;
    let owner: Vec<usize> = (0..n).collect();
    let records = ranked(case, RetrievalVariant::Clip, &owner, false)?;
    let summary = records.summary(&KS).map_err(ReplayError::refused)?;
    let ranks = |of: fn(&ItemRanks) -> &[u32]| {
        Array::integers(records.items.iter().flat_map(of).map(|&rank| i64::from(rank)))
    };
    let mut outputs = Outputs::new()
        .with("t2v.ranks", ranks(|item| &item.of_item))
        .with("v2t.ranks", ranks(|item| &item.of_text));
    set(&mut outputs, "t2v", "MR", &summary.text_to_item);
    set(&mut outputs, "v2t", "MR", &summary.item_to_text);
    Ok(outputs)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MultiConfig {
    videos: usize,
}

/// Consecutive sentences belong to one video; `counts` says how many.
fn several_sentences(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let MultiConfig { videos } = case.config()?;
    let counts = case.integers("counts")?;
    if counts.len() != videos || counts.iter().any(|n| !(0..=1 << 32).contains(n)) {
        return Err(ReplayError::refused(format!("`counts` is no list of {videos} numbers of sentences")));
    }
    let [sentences, _] = case.dims("sim")?;
    let owner = counts.iter().enumerate().flat_map(|(video, &n)| std::iter::repeat_n(video, n as usize));
    // One more than there are is enough to see that they are too many.
    let owner: Vec<usize> = owner.take(sentences + 1).collect();
    let records = ranked(case, RetrievalVariant::Multi, &owner, false)?;
    let summary = records.summary(&KS).map_err(ReplayError::refused)?;
    let mut outputs = Outputs::new();
    set(&mut outputs, "t2v", "MedianR", &summary.text_to_item);
    set(&mut outputs, "v2t", "MedianR", &summary.item_to_text);
    Ok(outputs)
}

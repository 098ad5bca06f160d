//! What reference cases of caption evaluators have in common: their config, tables, outputs.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use ocelli_data::annotations::meteor_tables::read_meteor_tables;
use ocelli_method::{Array, Replay, ReplayError};
use ocelli_metrics::MetricError;
use ocelli_metrics::caption::meteor::{Meteor, MeteorMode, MeteorOptions, MeteorTables, vocabulary};

/// The resource that METEOR's synonyms and paraphrases come under.
const TABLES: &str = "meteor_tables";

/// Candidate and references of each unit, tokenised.
pub(crate) type Units = Vec<(String, Vec<String>)>;

pub(crate) fn refused(error: MetricError) -> ReplayError {
    ReplayError::refused(error)
}

pub(crate) fn floats(values: impl IntoIterator<Item = f64>) -> Array {
    Array::vector_f64(values)
}

/// METEOR's function words: cases list those that occur in their sentences, but METEOR cuts words again, and what it
/// makes of them (the `'` of `man 's`) is looked up in its own list.
pub(crate) fn function_words(listed: BTreeSet<String>) -> BTreeSet<String> {
    let mut words = MeteorOptions::english(MeteorMode::Exact).function_words;
    words.extend(listed);
    words
}

/// METEOR over these units, with the user's tables if a stage needs them.
pub(crate) fn meteor(
    case: &Replay<'_>,
    options: MeteorOptions,
    units: &Units,
) -> Result<Meteor, ReplayError> {
    let needs_tables = options.stages.iter().any(|(stage, _)| MeteorTables::are_needed_by(*stage));
    let folder = case.resources.get(TABLES).filter(|_| needs_tables);
    let tables = folder.map(|folder| tables(folder, units)).transpose()?;
    let mut meteor = Meteor::new(options, tables).map_err(refused)?;
    meteor.push_all(units).map_err(refused)?;
    Ok(meteor)
}

/// Whether the user gave METEOR's tables.
pub(crate) fn has_tables(case: &Replay<'_>) -> bool {
    case.resources.contains_key(TABLES)
}

fn tables(folder: &Path, units: &Units) -> Result<Arc<MeteorTables>, ReplayError> {
    let sentences: Vec<&String> = units.iter().flat_map(|(c, r)| std::iter::once(c).chain(r)).collect();
    let wanted: HashSet<String> = vocabulary(&sentences);
    let files = read_meteor_tables(folder, &wanted).map_err(ReplayError::refused)?;
    Ok(Arc::new(MeteorTables::from_parts(files.irregular, files.synonyms, files.paraphrases)))
}

//! What was found, in the formats that programs read.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use ocelli_data::annotations::{npy, vecs};
use ocelli_data::vectors::{self, Column, Values, VectorSet};
use ocelli_method::files::write_atomically;
use ocelli_method::{Array, Data};
use ocelli_vectors::index::Hits;
use serde::Serialize;
use serde_json::json;

use super::files::{At, ending};
use crate::cli::output;

/// A vector or code that was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Found {
    pub(super) id: u64,
    /// Inner product, cosine, squared distance, or differing bits.
    pub(super) score: f32,
}

/// The results of each query, places without any left out.
pub(super) fn found(hits: &Hits) -> Vec<Vec<Found>> {
    let of = |(ids, scores): (&[u64], &[f32])| {
        let pairs = ids.iter().zip(scores).filter(|(id, _)| **id != Hits::NONE);
        pairs.map(|(&id, &score)| Found { id, score }).collect()
    };
    hits.ids.chunks_exact(hits.k).zip(hits.scores.chunks_exact(hits.k)).map(of).collect()
}

/// Fails unless results can be written there: before the work is done.
pub(super) fn check(out: Option<&Path>, metadata: bool) -> anyhow::Result<()> {
    let Some(out) = out else { return Ok(()) };
    match ending(out).as_str() {
        "ivecs" | "npy" if metadata => {
            bail!("--out {}: metadata is written as .csv, .json or .parquet", out.display())
        }
        "ivecs" | "npy" | "csv" | "json" | "parquet" => Ok(()),
        other => bail!(
            "--out {}: results are written as .ivecs, .npy, .csv, .json or .parquet, not as `.{other}`",
            out.display()
        ),
    }
}

/// Writes results to a file, wholly or not at all; without one prints a table. `beside` are columns of what else is known
/// of all results, one after another.
pub(super) fn write(found: &[Vec<Found>], beside: &[Column], out: Option<&Path>) -> anyhow::Result<()> {
    let names = || ["query", "rank", "id", "score"].into_iter().chain(beside.iter().map(|c| c.name.as_str()));
    let row = |(place, (query, rank, hit)): (usize, (usize, usize, &Found))| -> Vec<String> {
        let own = [query.to_string(), (rank + 1).to_string(), hit.id.to_string(), hit.score.to_string()]
            .into_iter();
        own.chain(beside.iter().map(|column| column.values.text(place))).collect()
    };
    let Some(out) = out else {
        let rows: Vec<Vec<String>> = flat(found).enumerate().map(row).collect();
        let header: Vec<&str> = names().collect();
        return Ok(output::line(output::table(&header, &rows, &[0, 1, 2, 3]))?);
    };
    match ending(out).as_str() {
        "ivecs" | "npy" => arrays(found, out),
        "csv" => write_atomically(out, |file| {
            let mut writer = |fields: &mut dyn Iterator<Item = &str>| {
                let line = fields.map(quoted).collect::<Vec<String>>().join(",");
                writeln!(file, "{line}")
            };
            writer(&mut names())?;
            flat(found).enumerate().try_for_each(|at| writer(&mut row(at).iter().map(String::as_str)))
        })
        .at(out),
        "json" => write_atomically(out, |file| {
            serde_json::to_writer(&mut *file, &json!({ "queries": document(found, beside) }))?;
            file.write_all(b"\n")
        })
        .at(out),
        _ => table(found, beside, out),
    }
}

/// A field of a table in text, in quotes where it needs them.
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

fn document(found: &[Vec<Found>], beside: &[Column]) -> Vec<Vec<serde_json::Value>> {
    let mut place = 0;
    let mut hit = |hit: &Found| {
        let mut object = json!(hit);
        for Column { name, values } in beside {
            object[name] = match values {
                Values::Integers(values) => json!(values[place]),
                Values::Numbers(values) => json!(values[place]),
                Values::Texts(values) => json!(values[place]),
            };
        }
        place += 1;
        object
    };
    found.iter().map(|hits| hits.iter().map(&mut hit).collect()).collect()
}

fn flat(found: &[Vec<Found>]) -> impl Iterator<Item = (usize, usize, &Found)> {
    found
        .iter()
        .enumerate()
        .flat_map(|(query, hits)| hits.iter().enumerate().map(move |(rank, hit)| (query, rank, hit)))
}

/// Ids `[Q, K]`, -1 where fewer were found; as `.npy` with the scores in a file beside it.
fn arrays(found: &[Vec<Found>], out: &Path) -> anyhow::Result<()> {
    let width = found.iter().map(Vec::len).max().unwrap_or(0);
    ensure!(width > 0, "{}: nothing was found, and an array of nothing cannot be written", out.display());
    let large = |id: u64| format!("{}: the id {id} does not fit; write .csv or .json", out.display());
    let mut ids = Vec::with_capacity(found.len() * width);
    let mut scores = Vec::with_capacity(found.len() * width);
    for hits in found {
        for place in 0..width {
            let hit = hits.get(place);
            ids.push(match hit {
                Some(hit) => i64::try_from(hit.id).ok().with_context(|| large(hit.id))?,
                None => -1,
            });
            scores.push(hit.map_or(f32::NAN, |hit| hit.score));
        }
    }
    let shape = [found.len(), width];
    if ending(out) == "ivecs" {
        if let Some(id) = ids.iter().find(|id| i32::try_from(**id).is_err()) {
            bail!(large(*id as u64));
        }
        return Ok(vecs::write(out, &Array::new(shape, Data::I64(ids))?)?);
    }
    npy::write(out.with_extension("scores.npy"), &Array::new(shape, Data::F32(scores))?)?;
    Ok(npy::write(out, &Array::new(shape, Data::I64(ids))?)?)
}

/// A row a result, with the score as a vector of one element.
fn table(found: &[Vec<Found>], beside: &[Column], out: &Path) -> anyhow::Result<()> {
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    let mut scores = Vec::new();
    for (query, rank, hit) in flat(found) {
        let id = i64::try_from(hit.id)
            .with_context(|| format!("{}: the id {} does not fit", out.display(), hit.id))?;
        let values = [query as i64, rank as i64 + 1, id];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(Some(value)));
        scores.push(hit.score);
    }
    let named = ["query", "rank", "found"].into_iter().zip(columns);
    let metadata =
        named.map(|(name, values)| Column { name: name.to_owned(), values: Values::Integers(values) });
    let metadata = metadata.chain(beside.iter().cloned()).collect();
    Ok(vectors::write(out, &VectorSet { metadata, ..VectorSet::new(1, scores) })?)
}

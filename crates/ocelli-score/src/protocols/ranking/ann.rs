//! `ann`: approximate nearest-neighbour search.

use std::path::{Path, PathBuf};

use ocelli_metrics::nearest_neighbours::{NeighbourResult, recall, recall_of_best};

use crate::protocols::arrays::{self, Table};
use crate::protocols::labels::same_count;
use crate::{
    Choice, Curve, Detail, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "ann",
    summary: "approximate nearest-neighbour search: recall 1@N and k@k",
    pred: "ids returned, best first: .ivecs or .npy [queries, returned]; variant distances: and their true distances",
    truth: "true ids, best first: .ivecs or .npy [queries, known]; variant distances: and their distances",
    variants: &[
        Choice { name: "ids", summary: "an item counts when it is among the true ones" },
        Choice {
            name: "distances",
            summary: "an item counts when it is as near as the k-th true one, to within eps; ann-benchmarks",
        },
    ],
    settings: &[
        Setting { name: "k", default: "1,10", summary: "numbers of neighbours from 1" },
        Setting { name: "n", default: "1,10,100", summary: "ranks from 1 for the true best item" },
        Setting { name: "eps", default: "1e-3", summary: "a distance: the tolerance of variant distances" },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("recall_1@1", 1.0)] },
};

#[derive(Debug)]
struct Queries {
    ks: Vec<usize>,
    ns: Vec<usize>,
    names: Vec<String>,
    results: Vec<NeighbourResult>,
    /// For each k the share of the first k that are near enough, for each query.
    near: Option<Vec<Vec<f64>>>,
}

/// Ids and, for the variant that wants them, distances.
fn lists(inputs: &Inputs, files: &[PathBuf], option: &str) -> Result<(Table, Option<Table>)> {
    match (files, inputs.variant()) {
        ([ids], "ids") => Ok((Table::read(ids)?, None)),
        (_, "ids") => {
            Err(ScoreError::Files(format!("`ann` takes one {option} file of ids, found {}", files.len())))
        }
        _ => {
            let [ids, distances] = arrays::pair(files, option, "the ids and their distances")?;
            let (ids, distances) = (Table::read(ids)?, Table::read(distances)?);
            if ids.shape != distances.shape {
                let reason = format!("shape {:?}, but the ids have {:?}", distances.shape, ids.shape);
                return Err(ScoreError::content(&distances.path, reason));
            }
            if let Some(i) = distances.values.iter().position(|d| d.is_nan()) {
                return Err(ScoreError::content(&distances.path, format!("distance {i} is NaN")));
            }
            Ok((ids, Some(distances)))
        }
    }
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (truth, true_distances) = lists(inputs, &inputs.truth, "--truth")?;
    let (pred, distances) = lists(inputs, &inputs.pred, "--pred")?;
    let [queries, known] = truth.dims("ids [queries, known]")?;
    let [found, returned] = pred.dims("ids [queries, returned]")?;
    same_count(&pred.path, found, queries, "queries")?;
    if known == 0 || returned == 0 || queries == 0 {
        return Err(ScoreError::content(&pred.path, "there are no ids in it or in the truth"));
    }
    let (true_ids, ids) = (truth.integers()?, pred.integers()?);
    let rows = ids.chunks_exact(returned).zip(true_ids.chunks_exact(known));
    let results = rows.map(|(ids, truth)| NeighbourResult::new(ids, truth)).collect::<Result<_, _>>()?;
    let ks: Vec<usize> = inputs.list("k")?;
    let near = match (true_distances, distances) {
        (Some(truth), Some(found)) => {
            let eps: f64 = inputs.setting("eps")?;
            let rows = found.values.chunks_exact(returned).zip(truth.values.chunks_exact(known));
            let rows: Vec<(&[f64], &[f64])> = rows.collect();
            let of_k = |&k: &usize| {
                let limit = |truth: &[f64]| k.checked_sub(1).and_then(|i| truth.get(i)).map(|d| d + eps);
                let share = |(found, truth): &(&[f64], &[f64])| {
                    let limit = limit(truth).ok_or_else(|| unknown_k(k, known))?;
                    Ok(found.iter().take(k).filter(|d| **d <= limit).count() as f64 / k as f64)
                };
                rows.iter().map(share).collect::<Result<Vec<f64>>>()
            };
            Some(ks.iter().map(of_k).collect::<Result<_>>()?)
        }
        _ => None,
    };
    let names = (0..queries).map(|i| format!("query {i}")).collect();
    Ok(Box::new(Queries { ks, ns: inputs.list("n")?, names, results, near }))
}

fn unknown_k(k: usize, known: usize) -> ScoreError {
    let reason = format!("1 to {known} is wanted, the number of true neighbours known");
    ScoreError::Setting { key: "k".to_owned(), value: k.to_string(), reason }
}

impl Queries {
    /// Recall k@k of each k.
    fn recalls(&self, sample: &[usize]) -> Result<Vec<f64>> {
        let chosen = || sample.iter().map(|&i| &self.results[i]);
        match &self.near {
            Some(near) => {
                let mean =
                    |of_k: &Vec<f64>| sample.iter().map(|&i| of_k[i]).sum::<f64>() / sample.len() as f64;
                Ok(near.iter().map(mean).collect())
            }
            None => Ok(self.ks.iter().map(|&k| recall(chosen(), k)).collect::<Result<_, _>>()?),
        }
    }
}

impl Evaluation for Queries {
    fn unit(&self) -> &'static str {
        "query"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let recalls = self.recalls(sample)?;
        let mut metrics: Metrics =
            self.ks.iter().zip(recalls).map(|(k, r)| (format!("recall_{k}@{k}"), r)).collect();
        for &n in self.ns.iter().filter(|n| !(**n == 1 && self.ks.contains(&1))) {
            metrics
                .set(format!("recall_1@{n}"), recall_of_best(sample.iter().map(|&i| &self.results[i]), n)?);
        }
        Ok(metrics)
    }

    fn detail(&self) -> Result<Detail> {
        let known = self.results.first().map_or(0, |r| r.common.len());
        let points = (1..=known).map(|k| Ok((k as f64, recall(&self.results, k)?)));
        let points = points.collect::<Result<_>>()?;
        let lines = vec![("recall k@k".to_owned(), points)];
        let (title, x, y) =
            ("Recall over the number of neighbours".to_owned(), "k".to_owned(), "recall".to_owned());
        let missed = |i: usize| known - self.results[i].common.last().copied().unwrap_or(0);
        let mut order: Vec<usize> = (0..self.names.len()).filter(|&i| missed(i) > 0).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(missed(i)), i));
        let worst = order.into_iter().take(20);
        let what = |i: usize| format!("{} of {known} true neighbours missed", missed(i));
        let worst = worst.map(|i| Worst { unit: self.names[i].clone(), what: what(i) }).collect();
        Ok(Detail { groups: Vec::new(), curves: vec![Curve { title, x, y, lines }], worst })
    }
}

fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let (ids, distances) = lists(inputs, &inputs.truth, "--truth")?;
    let mut files = Vec::new();
    for (table, name) in [(Some(ids), "ids.npy"), (distances, "distances.npy")] {
        if let Some(table) = table {
            let file = folder.join(name);
            arrays::write(&file, &table.shape, table.values)?;
            files.push(file);
        }
    }
    Ok(files)
}

//! Recall and speed.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{bail, ensure};
use clap::ValueEnum;
use ocelli_data::annotations::{npy, vecs};
use ocelli_data::vectors::ann_benchmark::AnnBenchmark;
use ocelli_method::Data;
use ocelli_vectors::index::{
    Goal, Hits, Index, IndexError, Rows, SearchParams, Similarity, Tuned, TuningSet, exact,
};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::files::{At, ending, exists};
use super::open::Together;
use super::truth::merged;
use crate::cli::process::{self, Took};

/// By how much a distance may exceed that of the last true neighbour and count as one.
const TIES: f32 = 1e-3;

/// Whether queries come together or one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// All queries in one call.
    Batch,
    /// A call a query.
    Single,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Single => "single",
        }
    }
}

/// A pool of so many threads, or of all the machine has.
pub(super) fn pool(threads: Option<usize>) -> anyhow::Result<ThreadPool> {
    ensure!(threads != Some(0), "--threads 0: at least 1");
    Ok(ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build()?)
}

/// Rounds in which settings are timed in turns, and how much slower than the fastest one may be to stay in.
const ROUNDS: [(usize, f64); 2] = [(2, 1.15), (4, 1.0)];
/// Queries that one timing takes at most.
const TIMED: usize = 2000;

/// The setting that reaches a goal with the least processor time a query, measured here: of the index's own estimates
/// the best few are timed in turns on the queries of the set, on one thread.
pub(super) fn tune_measured(
    index: &Index,
    set: &TuningSet,
    goal: &Goal,
    mode: Mode,
) -> anyhow::Result<Tuned> {
    let pool = pool(Some(1))?;
    let mut costs = |settings: &[SearchParams]| {
        let rivals: Vec<(&Index, SearchParams)> = settings.iter().map(|&params| (index, params)).collect();
        costs(&rivals, set, mode, &pool)
    };
    Ok(index.tune_by(set, goal, &mut costs)?)
}

/// Processor time a query in microseconds of several settings of one index or several of the same vectors, measured in
/// turns.
pub(super) fn costs(
    rivals: &[(&Index, SearchParams)],
    set: &TuningSet,
    mode: Mode,
    pool: &ThreadPool,
) -> Result<Vec<f64>, IndexError> {
    let Some((first, _)) = rivals.first() else { return Ok(Vec::new()) };
    let queries = set.queries(first.dim())?.first(TIMED);
    let mut least = vec![f64::INFINITY; rivals.len()];
    let mut limit = f64::INFINITY;
    for (rounds, factor) in ROUNDS {
        for _ in 0..rounds {
            for (least, (index, params)) in
                least.iter_mut().zip(rivals).filter(|(least, _)| **least <= limit || **least == f64::INFINITY)
            {
                let (_, took) =
                    timed_by(queries, params.k, mode, pool, |queries| index.search(queries, params))?;
                *least = least.min(took.processor.unwrap_or(took.seconds) * 1e6 / queries.count() as f64);
            }
        }
        limit = factor * least.iter().copied().fold(f64::INFINITY, f64::min);
    }
    Ok(least)
}

/// Searches and takes the time.
pub(super) fn timed(
    indexes: &Together,
    queries: Rows<'_>,
    params: &[SearchParams],
    mode: Mode,
    pool: &ThreadPool,
) -> anyhow::Result<(Hits, Took)> {
    let k = params.iter().map(|params| params.k).max().unwrap_or(0);
    timed_by(queries, k, mode, pool, |queries| indexes.search(queries, params, None))
}

fn timed_by<E: From<IndexError> + Send>(
    queries: Rows<'_>,
    k: usize,
    mode: Mode,
    pool: &ThreadPool,
    search: impl Fn(Rows<'_>) -> Result<Hits, E> + Sync,
) -> Result<(Hits, Took), E> {
    let all = || match mode {
        Mode::Batch => search(queries),
        Mode::Single => {
            let mut all = Hits { k, ids: Vec::new(), scores: Vec::new() };
            for row in 0..queries.count() {
                let hits = search(Rows::new("the queries", queries.row(row), queries.dim())?)?;
                all.ids.extend(hits.ids);
                all.scores.extend(hits.scores);
            }
            Ok(all)
        }
    };
    pool.install(|| {
        let (hits, took) = process::timed(all);
        Ok((hits?, took))
    })
}

/// True neighbours, the best first.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) k: usize,
    /// `[Q, k]`
    pub(super) ids: Vec<u64>,
    /// The score of the last true neighbour of each query; none where the index keeps no vectors.
    last: Option<Vec<f32>>,
}

impl Truth {
    /// Reads the first `k` of each query.
    pub(super) fn read(path: &Path, queries: usize, k: usize) -> anyhow::Result<Self> {
        exists(path)?;
        let (width, ids): (usize, Vec<i64>) = match ending(path).as_str() {
            "h5" | "hdf5" => {
                let file = AnnBenchmark::read(path)?;
                (file.k, file.neighbors.into_iter().map(i64::from).collect())
            }
            "npy" | "ivecs" => {
                let array = if ending(path) == "npy" { npy::read(path)? } else { vecs::read(path)? };
                let [_, width] = array.dims::<2>().at(path)?;
                match array.into_parts().1 {
                    Data::I64(ids) => (width, ids),
                    other => bail!("{}: whole numbers are expected, found {}", path.display(), other.kind()),
                }
            }
            other => bail!("{}: truth is read from .ivecs, .npy and .hdf5, not `.{other}`", path.display()),
        };
        ensure!(width >= k, "{}: {width} true neighbours a query, -k {k} are wanted", path.display());
        let found = ids.len() / width;
        ensure!(found == queries, "{}: the truth of {found} queries, there are {queries}", path.display());
        let narrow = |(at, id): (usize, &i64)| match u64::try_from(*id) {
            Ok(id) => Ok(id),
            Err(_) => bail!("{}: query {}: {id} is no id", path.display(), at / width),
        };
        let first = ids.iter().enumerate().filter(|(at, _)| at % width < k);
        let ids = first.map(narrow).collect::<anyhow::Result<Vec<u64>>>()?;
        Ok(Self { k, ids, last: None })
    }

    /// Compares all vectors that the indexes keep.
    pub(super) fn exact(indexes: &Together, queries: Rows<'_>, k: usize) -> anyhow::Result<Self> {
        let mut parts = Vec::new();
        for part in &indexes.parts {
            let Some((vectors, ids)) = part.vectors() else {
                bail!("--exact: the index keeps no vectors (--store none); give the truth as a file")
            };
            if ids.is_empty() {
                continue;
            }
            let rows = Rows::new("the vectors", &vectors, part.dim())?;
            let mut hits = exact(rows, queries, part.similarity(), k)?;
            hits.ids.iter_mut().filter(|id| **id != Hits::NONE).for_each(|id| *id = ids[*id as usize]);
            parts.push(hits);
        }
        let best = merged(&parts, indexes.similarity());
        let last = best.scores.chunks_exact(k).map(|scores| scores[k - 1]).collect();
        Ok(Self { k, ids: best.ids, last: Some(last) })
    }

    /// Finds the scores of the last true neighbours, where the indexes keep their vectors; fails for ids they do not have.
    pub(super) fn complete(
        &mut self,
        path: &Path,
        indexes: &Together,
        queries: Rows<'_>,
    ) -> anyhow::Result<()> {
        let known: HashSet<u64> = indexes.parts.iter().flat_map(|part| part.ids()).collect();
        if let Some(at) = self.ids.iter().position(|id| !known.contains(id)) {
            bail!("{}: query {}: id {} is not in the index", path.display(), at / self.k, self.ids[at]);
        }
        let wanted: Vec<u64> = self.ids.chunks_exact(self.k).map(|ids| ids[self.k - 1]).collect();
        let mut vectors: HashMap<u64, Vec<f32>> = HashMap::new();
        let set: HashSet<u64> = wanted.iter().copied().collect();
        for part in &indexes.parts {
            let Some((rows, ids)) = part.vectors() else { return Ok(()) };
            let dim = part.dim();
            let taken = ids.iter().enumerate().filter(|(_, id)| set.contains(*id));
            vectors.extend(taken.map(|(row, id)| (*id, rows[row * dim..(row + 1) * dim].to_vec())));
        }
        let score = |(query, id): (usize, &u64)| {
            vectors.get(id).map(|x| score(queries.row(query), x, indexes.similarity()))
        };
        self.last = wanted.iter().enumerate().map(score).collect();
        Ok(())
    }
}

fn score(query: &[f32], x: &[f32], similarity: Similarity) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let value = match similarity {
        Similarity::InnerProduct => dot(query, x),
        Similarity::Cosine => dot(query, x) / (dot(query, query) * dot(x, x)).sqrt().max(f64::MIN_POSITIVE),
        Similarity::SquaredL2 => query.iter().zip(x).map(|(a, b)| f64::from(a - b).powi(2)).sum(),
    };
    value as f32
}

/// How much of the truth was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recall {
    /// The share of the k true neighbours among the k found.
    pub(super) at_k: f64,
    /// The share of found vectors as near as the last true neighbour, as the public benchmark counts, ties included.
    pub(super) threshold: Option<f64>,
    /// The share of queries whose best neighbour is among the k found.
    pub(super) best: f64,
}

/// Holds results against the truth.
pub(super) fn recall(hits: &Hits, truth: &Truth, similarity: Similarity) -> Recall {
    let k = truth.k;
    let queries = (truth.ids.len() / k).max(1);
    let (mut all, mut first) = (0, 0);
    for (found, truth) in hits.ids.chunks_exact(hits.k).zip(truth.ids.chunks_exact(k)) {
        let found = &found[..k.min(hits.k)];
        all += truth.iter().filter(|id| found.contains(id)).count();
        first += usize::from(found.contains(&truth[0]));
    }
    let near = |last: &Vec<f32>| {
        let count = |(scores, last): (&[f32], &f32)| {
            let near = |score: &&f32| match similarity {
                Similarity::SquaredL2 => score.sqrt() <= last.sqrt() + TIES,
                _ => **score >= last - TIES,
            };
            scores.iter().take(k).filter(near).count()
        };
        let near: usize = hits.scores.chunks_exact(hits.k).zip(last).map(count).sum();
        near as f64 / (queries * k) as f64
    };
    Recall {
        at_k: all as f64 / (queries * k) as f64,
        threshold: truth.last.as_ref().map(near),
        best: first as f64 / queries as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_counts_ids_and_near_scores() {
        let hits = Hits { k: 2, ids: vec![4, 7, 1, 2], scores: vec![0.9, 0.8, 0.7, 0.6] };
        let truth = Truth { k: 2, ids: vec![4, 5, 3, 1], last: Some(vec![0.8005, 0.65]) };
        let found = recall(&hits, &truth, Similarity::InnerProduct);
        assert_eq!((found.at_k, found.threshold, found.best), (0.5, Some(0.75), 0.5));
        let near = recall(&hits, &truth, Similarity::SquaredL2);
        assert_eq!(near.threshold, Some(0.5));
    }

    #[test]
    fn scores_follow_the_similarity() {
        let (q, x) = ([3.0, 4.0], [4.0, 3.0]);
        assert_eq!(score(&q, &x, Similarity::InnerProduct), 24.0);
        assert!((score(&q, &x, Similarity::Cosine) - 0.96).abs() < 1e-6);
        assert_eq!(score(&q, &x, Similarity::SquaredL2), 2.0);
    }
}

//! Partitions, second assignment and search setting for a wanted recall.

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use ocelli_method::random::stream;
use ocelli_vectors::index::{
    BuildConfig, Codes, Goal, Hits, Index, Rows, SearchParams, Spill, Trained, Tuned, TuningSet, exact,
};
use rand::seq::index::sample;
use serde_json::json;

use super::files::{At, Data, check_directions, read_queries};
use super::measure::{Mode, costs, pool, tune_measured};
use super::options::size;
use super::truth::truth;
use crate::cli::output;

/// Vectors that candidates are built on, at most.
const VECTORS: usize = 100_000;
/// Queries that recall is estimated with; what a batch shares among its queries shows only in large ones.
const QUERIES: usize = 4000;
/// Up to so many vectors one partition is worth a try, and several indexes are kept until all were tried.
const FEW: usize = 20_000;
/// Indexes of few vectors that are measured against each other in the end.
const FINALISTS: usize = 3;
/// Codes that take so much longer than others with as many partitions are not tried with other numbers.
const PROMISING: f64 = 1.25;
/// By how much finding a setting to the last candidate may lower its cost.
const LEFT: f64 = 1.2;
/// Partitions as multiples of the root of the number of vectors: tried first, and then fewer and more.
const MIDDLE: f64 = 2.0;
const FEWER: f64 = 1.0;
const MORE: f64 = 3.2;

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) recall: f64,
    pub(super) k: usize,
    /// How queries will come.
    pub(super) mode: Mode,
    pub(super) config: BuildConfig,
    /// The kinds of codes to choose among.
    pub(super) codes: Vec<Codes>,
    /// Vectors that candidates may be built on for want of memory.
    pub(super) most: usize,
}

impl Wanted {
    /// The fastest setting here that reaches the recall on queries like those of the set; only about that where it costs
    /// more than `limit`.
    pub(super) fn tune(&self, index: &Index, set: &TuningSet, limit: f64) -> anyhow::Result<Tuned> {
        let goal = Goal { k: self.k, recall: self.recall, margin: 1.0, limit };
        tune_measured(index, set, &goal, self.mode)
    }
}

/// Queries to tune with.
#[derive(Debug)]
pub(super) struct Queries {
    values: Vec<f32>,
    /// Rows of the data that they are, where there are no others.
    rows: Option<Vec<usize>>,
}

impl Queries {
    /// Some of a file, or some of the vectors themselves.
    pub(super) fn new(data: &mut Data, file: Option<&Path>, wanted: &Wanted) -> anyhow::Result<Self> {
        let (dim, similarity) = (data.dim(), wanted.config.similarity);
        let mut generator = stream(wanted.config.seed, "tuning queries", 0);
        match file {
            Some(file) => {
                let all = read_queries(file, dim)?;
                check_directions(file, &all, dim, 0, similarity)?;
                let count = all.len() / dim;
                let chosen = sample(&mut generator, count, QUERIES.min(count));
                let values =
                    chosen.iter().flat_map(|row| all[row * dim..(row + 1) * dim].iter().copied()).collect();
                Ok(Self { values, rows: None })
            }
            None => {
                let count = data.count();
                let rows = sample(&mut generator, count, QUERIES.min(count)).into_vec();
                Ok(Self { values: data.some(&rows)?, rows: Some(rows) })
            }
        }
    }

    fn view(&self, dim: usize) -> anyhow::Result<Rows<'_>> {
        Ok(Rows::new("the queries to tune with", &self.values, dim)?)
    }

    /// Neighbours that truth must name for `k` to be left: a vector does not count as its own.
    fn depth(&self, k: usize, count: usize) -> usize {
        (k + usize::from(self.rows.is_some())).min(count)
    }

    fn own(&self, id: impl Fn(usize) -> u64) -> Option<Vec<u64>> {
        self.rows.as_ref().map(|rows| rows.iter().map(|row| id(*row)).collect())
    }

    /// With the true neighbours among some rows of the data.
    pub(super) fn among(
        &self,
        data: &mut Data,
        rows: Range<usize>,
        wanted: &Wanted,
    ) -> anyhow::Result<TuningSet> {
        let queries = self.view(data.dim())?;
        let depth = self.depth(wanted.k, rows.len());
        let truth = truth(data, rows, queries, wanted.config.similarity, depth)?;
        Ok(TuningSet::of_truth(queries, truth, self.own(|row| data.id(row)))?)
    }
}

/// An index that was tried.
#[derive(Debug)]
struct Tried {
    codes: Codes,
    coding: &'static str,
    factor: Option<f64>,
    partitions: usize,
    spill: Option<Spill>,
    tuned: Tuned,
    /// What building it alone takes.
    seconds: f64,
    bytes: usize,
}

/// What came out best.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Partitions as a multiple of the root of the number of vectors; none where they were given.
    factor: Option<f64>,
    pub(super) config: BuildConfig,
    /// The index itself where it holds all vectors, and its setting.
    pub(super) built: Option<(Index, Tuned)>,
    tried: Vec<Tried>,
    best: usize,
    recall: f64,
    vectors: usize,
}

impl Chosen {
    /// How an index of `count` vectors is built.
    pub(super) fn config_for(&self, count: usize) -> BuildConfig {
        match self.factor {
            Some(factor) => {
                BuildConfig { partitions: Some(partitions(factor, count)), ..self.config.clone() }
            }
            None => self.config.clone(),
        }
    }

    /// Seconds that building the chosen candidate took.
    pub(super) fn seconds(&self) -> f64 {
        self.tried[self.best].seconds
    }

    /// What was tried, for scripts.
    pub(super) fn document(&self) -> serde_json::Value {
        let tried = |tried: &Tried| {
            json!({
                "codes": tried.coding,
                "partitions": tried.partitions,
                "spill": tried.spill.map(|spill| spill.lambda),
                "leaves": tried.tuned.params.leaves,
                "reorder": tried.tuned.params.reorder,
                "recall": tried.tuned.recall,
                "cost_us": tried.tuned.cost,
                "build_s": tried.seconds,
                "bytes": tried.bytes,
            })
        };
        json!({
            "vectors": self.vectors,
            "tried": self.tried.iter().map(tried).collect::<Vec<_>>(),
            "chosen": self.best,
        })
    }

    /// Prints what was tried, what was chosen, and why.
    pub(super) fn print(&self) -> std::io::Result<()> {
        let row = |(number, tried): (usize, &Tried)| {
            vec![
                tried.coding.to_owned(),
                tried.partitions.to_string(),
                tried.spill.map_or_else(|| "no".to_owned(), |spill| format!("lambda {}", spill.lambda)),
                tried.tuned.params.leaves.to_string(),
                tried.tuned.params.reorder.to_string(),
                format!("{:.4}", tried.tuned.recall),
                format!("{:.1}", tried.tuned.cost),
                format!("{:.2}", tried.seconds),
                size(tried.bytes as u64),
                if number == self.best { "chosen".to_owned() } else { String::new() },
            ]
        };
        let header = [
            "codes",
            "partitions",
            "second",
            "leaves",
            "reorder",
            "recall",
            "us a query",
            "build, s",
            "memory",
            "",
        ];
        let rows: Vec<Vec<String>> = self.tried.iter().enumerate().map(row).collect();
        output::line(output::table(&header, &rows, &[1, 3, 4, 5, 6, 7, 8]))?;
        let reach = self.tried.iter().filter(|tried| tried.tuned.recall >= self.recall).count();
        let best = &self.tried[self.best];
        let why = match reach {
            0 => format!("none reaches recall {}; the nearest is taken", self.recall),
            1 => format!("the only one that reaches recall {}", self.recall),
            _ => format!("the fastest of the {reach} that reach recall {}", self.recall),
        };
        let second = if best.spill.is_some() { "with" } else { "without" };
        output::line(format!(
            "tried on {} vectors; chosen: codes {}, {} partitions there, {second} a second assignment: {why}",
            self.vectors, best.coding, best.partitions
        ))
    }
}

fn partitions(factor: f64, count: usize) -> usize {
    ((factor * (count as f64).sqrt()).round() as usize).clamp(1, count)
}

/// The kinds of codes worth a try for so many vectors. A byte an element is where candidates hold them all: how fast large
/// codes are is a matter of caches, of which a sample says nothing.
pub(super) fn kinds(count: usize) -> Vec<Codes> {
    match count <= VECTORS {
        // With the one that takes no training first, what centres take is known.
        true => vec![Codes::Sq8, Codes::Pq4],
        false => vec![Codes::Pq4],
    }
}

/// Builds candidates on a sample and finds for each the fastest setting that reaches the recall.
pub(super) fn choose(data: &mut Data, queries: &Queries, wanted: &Wanted) -> anyhow::Result<Chosen> {
    let (path, dim, count) = (data.path.clone(), data.dim(), data.count());
    let Wanted { k, ref config, most, .. } = *wanted;
    let number = count.min(VECTORS).min(most.max(1));
    let all = number == count;
    let mut rows: Vec<usize> = match all {
        true => (0..count).collect(),
        false => sample(&mut stream(config.seed, "candidates", 0), count, number).into_vec(),
    };
    rows.sort_unstable();
    let values = if all { data.rows(0..count)?.into_owned() } else { data.some(&rows)? };
    check_directions(&path, &values, dim, 0, config.similarity)?;
    let vectors = Rows::new("the vectors", &values, dim).at(&path)?;
    let ids: Vec<u64> = rows.iter().map(|row| data.id(*row)).collect();
    let view = queries.view(dim)?;
    let mut truth = exact(vectors, view, config.similarity, queries.depth(k, number))?;
    truth.ids.iter_mut().filter(|id| **id != Hits::NONE).for_each(|id| *id = ids[*id as usize]);
    let set = TuningSet::of_truth(view, truth, queries.own(|row| data.id(row)))?;
    let mut choosing = Choosing {
        path: &path,
        vectors,
        ids: &ids,
        set,
        wanted,
        keep: all,
        tried: Vec::new(),
        best: Vec::new(),
    };
    choosing.all()?;
    choosing.compare()?;
    choosing.end()
}

/// How candidates with the same partitions differ.
type Kind = (Codes, Option<Spill>);

/// What candidates are made of and measured with, and what came out so far.
struct Choosing<'a> {
    path: &'a Path,
    vectors: Rows<'a>,
    ids: &'a [u64],
    set: TuningSet,
    wanted: &'a Wanted,
    /// Whether the best is kept because it holds all vectors.
    keep: bool,
    tried: Vec<Tried>,
    /// The best one, and of few vectors those that come next.
    best: Vec<Finalist>,
}

/// A candidate's number, how it is built, and itself if it is kept.
struct Finalist {
    at: usize,
    config: BuildConfig,
    index: Option<Index>,
}

impl Choosing<'_> {
    /// Tries numbers of partitions. With which codes a second assignment pays, and which codes do at all, is found out
    /// once; more partitions are tried only where fewer did not turn out better: speed has one peak over their number. Of
    /// a sample too few of the vectors lie together to tell by: there the most are taken.
    fn all(&mut self) -> anyhow::Result<()> {
        let config = &self.wanted.config;
        let spills = match config.spill {
            Some(spill) => vec![Some(spill)],
            None => vec![None, Some(Spill::default())],
        };
        let kinds = |spills: &[Option<Spill>]| -> Vec<Kind> {
            self.wanted
                .codes
                .iter()
                .flat_map(|&codes| spills.iter().map(move |&spill| (codes, spill)))
                .collect()
        };
        // With one partition there is no second.
        let (all, single) = (kinds(&spills), kinds(&spills[..1]));
        if let Some(partitions) = config.partitions {
            return self.with(None, if partitions == 1 { &single } else { &all }).map(|_| ());
        }
        if !self.keep {
            return self.with(Some(MORE), &all).map(|_| ());
        }
        let count = self.vectors.count();
        if count < FEW {
            self.with(Some(1.0 / (count as f64).sqrt()), &single)?;
        }
        let tried = self.with(Some(MIDDLE), &all)?;
        let middle = self.best_of(tried.clone());
        let limit = PROMISING * self.tried[middle].tuned.cost;
        let best_of = |codes: &Codes| {
            let own = tried.clone().filter(|at| self.tried[*at].codes == *codes);
            own.reduce(|best, next| if self.better(next, best) { next } else { best })
        };
        let best: Vec<usize> = self.wanted.codes.iter().filter_map(best_of).collect();
        let promising = best.into_iter().filter(|at| *at == middle || self.tried[*at].tuned.cost <= limit);
        let kinds: Vec<Kind> = promising.map(|at| (self.tried[at].codes, self.tried[at].spill)).collect();
        let fewer = self.with(Some(FEWER), &kinds)?;
        if !self.better(self.best_of(fewer), middle) {
            self.with(Some(MORE), &kinds)?;
        }
        Ok(())
    }

    fn better(&self, a: usize, b: usize) -> bool {
        better(&self.tried[a].tuned, &self.tried[b].tuned, self.wanted.recall)
    }

    fn best_of(&self, tried: Range<usize>) -> usize {
        let start = tried.start;
        tried.fold(start, |best, next| if self.better(next, best) { next } else { best })
    }

    /// Trains centres once, builds and tunes with each kind; gives their numbers among all that were tried.
    fn with(&mut self, factor: Option<f64>, kinds: &[Kind]) -> anyhow::Result<Range<usize>> {
        let partitions = match factor {
            Some(factor) => Some(partitions(factor, self.vectors.count())),
            None => self.wanted.config.partitions,
        };
        let first = self.tried.len();
        // The codes trained last, and what training them took with their centres and without.
        let mut last: Option<(Codes, Trained, [f64; 2])> = None;
        for &(codes, spill) in kinds {
            let config = BuildConfig { codes, partitions, spill, ..self.wanted.config.clone() };
            let started = Instant::now();
            let (trained, training) = match last.take() {
                Some((before, trained, took)) if before == codes => (trained, took),
                Some((_, trained, [whole, own])) => {
                    let trained = trained.with_codes(self.vectors, codes).at(self.path)?;
                    let took = started.elapsed().as_secs_f64();
                    (trained, [whole - own + took, took])
                }
                None => {
                    let trained = Trained::new(self.vectors, &config).at(self.path)?;
                    (trained, [started.elapsed().as_secs_f64(), 0.0])
                }
            };
            let started = Instant::now();
            let index = trained.index(self.vectors, self.ids, spill).at(self.path)?;
            let seconds = training[0] + started.elapsed().as_secs_f64();
            last = Some((codes, trained, training));
            self.tune((factor, config), index, seconds)?;
        }
        Ok(first..self.tried.len())
    }

    /// Finds the setting of an index, and keeps the index if it is the best so far.
    fn tune(
        &mut self,
        (factor, config): (Option<f64>, BuildConfig),
        index: Index,
        seconds: f64,
    ) -> anyhow::Result<()> {
        // What reaches the recall need only be beaten; rough settings err by less than what is left to it.
        let best = self.best.first().map(|best| &self.tried[best.at].tuned);
        let to_beat = best.filter(|best| best.recall >= self.wanted.recall);
        let limit = to_beat.map_or(f64::INFINITY, |best| LEFT * best.cost);
        let tuned = self.wanted.tune(&index, &self.set, limit)?;
        let number = self.tried.len();
        self.tried.push(Tried {
            codes: config.codes,
            coding: index.coding(),
            factor,
            partitions: index.partitions(),
            spill: config.spill,
            tuned,
            seconds,
            bytes: index.bytes().iter().sum(),
        });
        let few = self.keep && self.vectors.count() < FEW;
        let place = self.best.iter().take_while(|other| !self.better(number, other.at)).count();
        self.best.insert(place, Finalist { at: number, config, index: self.keep.then_some(index) });
        self.best.truncate(if few { FINALISTS } else { 1 });
        Ok(())
    }

    /// Measures those in turns that seemed about as fast as the best, each at its time. What seemed slower than that was
    /// not sought to the last candidate.
    fn compare(&mut self) -> anyhow::Result<()> {
        let Some(first) = self.best.first() else { return Ok(()) };
        let recall = self.wanted.recall.min(self.tried[first.at].tuned.recall);
        let limit = LEFT * self.tried[first.at].tuned.cost;
        let tried = &self.tried;
        self.best.retain(|finalist| {
            let tuned = &tried[finalist.at].tuned;
            tuned.recall >= recall && tuned.cost <= limit
        });
        let rivals: Vec<(&Index, SearchParams)> = self
            .best
            .iter()
            .filter_map(|finalist| Some((finalist.index.as_ref()?, self.tried[finalist.at].tuned.params)))
            .collect();
        if rivals.len() < 2 {
            return Ok(());
        }
        let costs = costs(&rivals, &self.set, self.wanted.mode, &pool(Some(1))?)?;
        for (finalist, cost) in self.best.iter().zip(costs) {
            self.tried[finalist.at].tuned.cost = cost;
        }
        self.best.sort_by(|a, b| self.tried[a.at].tuned.cost.total_cmp(&self.tried[b.at].tuned.cost));
        Ok(())
    }

    fn end(self) -> anyhow::Result<Chosen> {
        let Finalist { at: best, config, index: kept } =
            self.best.into_iter().next().context("no candidate was tried")?;
        let Tried { factor, tuned, .. } = self.tried[best];
        Ok(Chosen {
            factor,
            config,
            built: kept.map(|index| (index, tuned)),
            tried: self.tried,
            best,
            recall: self.wanted.recall,
            vectors: self.vectors.count(),
        })
    }
}

/// Reaching the recall counts first, then the cost; among those that miss it the recall.
fn better(a: &Tuned, b: &Tuned, recall: f64) -> bool {
    match (a.recall >= recall, b.recall >= recall) {
        (true, true) => a.cost < b.cost,
        (false, false) => a.recall > b.recall,
        (reaches, _) => reaches,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_comes_before_cost() {
        let params = SearchParams { k: 10, leaves: 1, reorder: 10 };
        let tuned = |recall, cost| Tuned { params, recall, error: 0.0, queries: 1, cost };
        assert!(better(&tuned(0.96, 9.0), &tuned(0.94, 1.0), 0.95));
        assert!(better(&tuned(0.95, 3.0), &tuned(0.99, 4.0), 0.95));
        assert!(better(&tuned(0.94, 9.0), &tuned(0.90, 1.0), 0.95));
        assert!(!better(&tuned(0.94, 1.0), &tuned(0.95, 9.0), 0.95));
    }

    #[test]
    fn candidates_scale_with_the_root() {
        assert_eq!([partitions(1.0, 10_000), partitions(2.0, 10_000), partitions(2.0, 1)], [100, 200, 1]);
    }
}

//! `ocelli index eval`

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use ocelli_report::{Axis, Chart, Report, Series};
use ocelli_vectors::index::{Goal, Hits, Index, Rows, SearchParams, TuningSet};
use serde_json::{Value, json};

use super::build::{How, Shape, build_missing};
use super::files::{At, check_directions, ending, read_queries};
use super::measure::{Mode, Recall, Truth, pool, recall, timed, tune_measured};
use super::open::{Together, files};
use super::options::{check_recall, size, store_of};
use crate::cli::Ended;
use crate::cli::output;
use crate::cli::process::{Took, resident_memory};

/// Queries that a setting is tuned with.
const TUNED_ON: usize = 10_000;
/// Times that a setting is sought again because on all queries it missed the recall by a little.
const AGAIN: usize = 6;

/// Measure recall and speed of an index.
///
/// Each of --leaves with each of --reorder is measured, or what reaches each --recall, in each --mode with each number of
/// --threads. Printed are recall k at k, the public benchmark's (found vectors as near as the k-th true one, with 0.001 for
/// ties), recall 1 at k, and queries a second by the clock and by processor time.
#[derive(Debug, Args)]
pub(super) struct Eval {
    /// The index, or the folder of shards.
    file: PathBuf,
    /// The queries.
    queries: PathBuf,
    /// Their true neighbours: .ivecs, .npy, or a benchmark's .hdf5.
    #[arg(required_unless_present = "exact", conflicts_with = "exact")]
    truth: Option<PathBuf>,
    /// Find the true neighbours by comparing all vectors.
    #[arg(long)]
    exact: bool,
    /// Neighbours.
    #[arg(short, long, value_name = "K", default_value_t = 10)]
    k: usize,
    /// Partitions to look into.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    leaves: Vec<usize>,
    /// Candidates to score exactly.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    reorder: Vec<usize>,
    /// Seek the setting that reaches this recall on the queries in the least time, measured here.
    #[arg(long, value_name = "R,…", value_delimiter = ',', conflicts_with_all = ["leaves", "reorder"])]
    recall: Vec<f64>,
    /// Threads.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1")]
    threads: Vec<usize>,
    /// Queries together or one by one.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "batch")]
    mode: Vec<Mode>,
    /// Time with so many of the queries only.
    #[arg(long, value_name = "N")]
    timed: Option<usize>,
    /// Build the index of these vectors first if there is none; the next options say how.
    #[arg(long, value_name = "DATA")]
    base: Option<PathBuf>,
    #[command(flatten)]
    shape: Shape,
    /// Then print `ready`, and answer each line `run` on standard input with the time of one more search.
    #[arg(long)]
    serve: bool,
    /// Print a line of JSON for each setting.
    #[arg(long)]
    json: bool,
    /// Draw recall against queries a second: as a page with the table (.html), or the picture alone (.svg).
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Do not compare checksums.
    #[arg(long)]
    trust: bool,
}

/// Seconds that an index took which was not there before.
#[derive(Clone, Copy, Debug)]
struct Building {
    /// What was built.
    built: f64,
    /// All candidates, with their measurements.
    choosing: Option<f64>,
}

/// One line of the result.
#[derive(Debug)]
struct Measured {
    /// Of each part.
    params: Vec<SearchParams>,
    recall: Recall,
    threads: usize,
    mode: Mode,
    queries: usize,
    took: Took,
}

impl Measured {
    fn leaves(&self) -> usize {
        self.params.iter().map(|params| params.leaves).sum()
    }

    fn reorder(&self) -> usize {
        self.params.iter().map(|params| params.reorder).sum()
    }

    fn speed(&self) -> f64 {
        self.queries as f64 / self.took.seconds.max(1e-9)
    }

    fn processor_speed(&self) -> Option<f64> {
        self.took.processor.filter(|seconds| *seconds > 0.0).map(|seconds| self.queries as f64 / seconds)
    }
}

impl Eval {
    pub(super) fn run(self) -> Ended {
        self.check()?;
        let mut took = None;
        if let (Some(base), false) = (&self.base, self.file.exists()) {
            let how = How {
                shape: self.shape.clone(),
                recall: self.recall.first().copied(),
                k: self.k,
                queries: Some(self.queries.clone()),
                mode: self.mode.first().copied().unwrap_or(Mode::Batch),
            };
            // With as many threads as the search, so that what it took can be compared.
            let pool = pool(self.threads.first().copied())?;
            let (built, choosing) = pool.install(|| build_missing(base, &self.file, &how))?;
            took = Some(Building { built: built.seconds, choosing });
        }
        let indexes = Together::open(&files(std::slice::from_ref(&self.file))?, self.trust)?;
        indexes.check_k(self.k)?;
        let dim = indexes.dim();
        let values = read_queries(&self.queries, dim)?;
        check_directions(&self.queries, &values, dim, 0, indexes.similarity())?;
        let queries = Rows::new("the queries", &values, dim).at(&self.queries)?;
        let truth = self.truth(&indexes, queries)?;
        let mut measured = Vec::new();
        for &mode in &self.mode {
            for (params, &threads) in self
                .settings(&indexes, queries, &truth, mode)?
                .iter()
                .flat_map(|params| self.threads.iter().map(move |n| (params, n)))
            {
                measured.push(self.measure(&indexes, queries, &truth, params, (mode, threads))?);
                if let Some(last) = measured.last().filter(|_| self.json || self.serve) {
                    output::line(document(&indexes, last, took))?;
                }
            }
        }
        if !self.json && !self.serve {
            self.print(&indexes, &measured, took)?;
        }
        if let Some(picture) = &self.picture {
            self.draw(&measured, picture)?;
        }
        if self.serve {
            let last = measured.last().context("there is no setting to serve")?;
            self.serve(&indexes, queries, last)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Refuses what can be refused before any work.
    fn check(&self) -> anyhow::Result<()> {
        self.recall.iter().try_for_each(|recall| check_recall(*recall))?;
        for (name, values) in
            [("leaves", &self.leaves), ("reorder", &self.reorder), ("threads", &self.threads)]
        {
            ensure!(!values.contains(&0), "--{name} 0: at least 1");
        }
        ensure!(self.timed != Some(0), "--timed 0: at least 1");
        if let Some(picture) = &self.picture {
            let known = ["html", "svg"].contains(&ending(picture).as_str());
            ensure!(known, "--picture {}: the ending must be .html or .svg", picture.display());
        }
        let settings =
            [self.leaves.len().max(1) * self.reorder.len().max(1), self.mode.len(), self.threads.len()];
        ensure!(
            !self.serve || (self.recall.len() <= 1 && settings == [1; 3]),
            "--serve: one setting, one mode, one number of threads"
        );
        Ok(())
    }

    fn truth(&self, indexes: &Together, queries: Rows<'_>) -> anyhow::Result<Truth> {
        match &self.truth {
            None => Truth::exact(indexes, queries, self.k),
            Some(path) => {
                let mut truth = Truth::read(path, queries.count(), self.k)?;
                truth.complete(path, indexes, queries)?;
                Ok(truth)
            }
        }
    }

    /// The settings to measure, each a setting for every part.
    fn settings(
        &self,
        indexes: &Together,
        queries: Rows<'_>,
        truth: &Truth,
        mode: Mode,
    ) -> anyhow::Result<Vec<Vec<SearchParams>>> {
        if !self.recall.is_empty() {
            let tuned = |wanted: &f64| self.tuned(indexes, queries, truth, (*wanted, mode));
            return self.recall.iter().map(tuned).collect();
        }
        let all = |values: &[usize]| match values {
            [] => vec![None],
            values => values.iter().copied().map(Some).collect(),
        };
        let (leaves, reorders) = (all(&self.leaves), all(&self.reorder));
        let pairs = leaves.iter().flat_map(|leaves| reorders.iter().map(move |reorder| (*leaves, *reorder)));
        Ok(pairs.map(|(leaves, reorder)| indexes.params(self.k, leaves, reorder)).collect())
    }

    /// Tunes on some queries until the recall is reached on all.
    fn tuned(
        &self,
        indexes: &Together,
        queries: Rows<'_>,
        truth: &Truth,
        (wanted, mode): (f64, Mode),
    ) -> anyhow::Result<Vec<SearchParams>> {
        let step = queries.count().div_ceil(TUNED_ON);
        let rows: Vec<usize> = (0..queries.count()).step_by(step).collect();
        let some: Vec<f32> = rows.iter().flat_map(|row| queries.row(*row).iter().copied()).collect();
        let view = Rows::new("the queries", &some, queries.dim())?;
        let sets = match indexes.parts.as_slice() {
            // A part's own neighbours: those of all would be few in each.
            [] | [_, _, ..] => {
                let set = |part| Ok(TuningSet::of_queries(part, view, self.k, 0)?);
                indexes.parts.iter().map(set).collect::<anyhow::Result<Vec<_>>>()?
            }
            [_] => {
                let ids =
                    rows.iter().flat_map(|row| truth.ids[row * truth.k..(row + 1) * truth.k].iter().copied());
                let (ids, count) = (ids.collect(), rows.len());
                let hits = Hits { k: truth.k, ids, scores: vec![0.0; count * truth.k] };
                vec![TuningSet::of_truth(view, hits, None)?]
            }
        };
        let mut target = wanted;
        let mut best: Option<(f64, Vec<SearchParams>)> = None;
        for _ in 0..AGAIN {
            // The queries given are those that count.
            let goal = Goal { k: self.k, recall: target.min(1.0), margin: 0.0, limit: f64::INFINITY };
            let tune = |(part, set): (&Index, &TuningSet)| Ok(tune_measured(part, set, &goal, mode)?.params);
            let params = indexes.parts.iter().zip(&sets).map(tune).collect::<anyhow::Result<Vec<_>>>()?;
            let hits = indexes.search(queries, &params, None)?;
            let found = recall(&hits, truth, indexes.similarity()).at_k;
            if best.as_ref().is_none_or(|(recall, _)| found > *recall) {
                best = Some((found, params));
            }
            if found >= wanted || target >= 1.0 {
                break;
            }
            target += (wanted - found).max(5e-4);
        }
        let Some((found, params)) = best else { bail!("no setting was tried") };
        if found < wanted {
            output::note(format!("recall {wanted} is not reached; the nearest setting has {found:.4}"));
        }
        Ok(params)
    }

    fn measure(
        &self,
        indexes: &Together,
        queries: Rows<'_>,
        truth: &Truth,
        params: &[SearchParams],
        (mode, threads): (Mode, usize),
    ) -> anyhow::Result<Measured> {
        let pool = pool(Some(threads))?;
        // Recall counts all queries, also where only some are timed.
        let some = queries.first(self.timed.unwrap_or(queries.count()));
        let (hits, mut took) = timed(indexes, queries, params, Mode::Batch, &pool)?;
        if some.count() != queries.count() || mode != Mode::Batch {
            took = timed(indexes, some, params, mode, &pool)?.1;
        }
        let recall = recall(&hits, truth, indexes.similarity());
        Ok(Measured { params: params.to_vec(), recall, threads, mode, queries: some.count(), took })
    }

    fn serve(&self, indexes: &Together, queries: Rows<'_>, last: &Measured) -> anyhow::Result<()> {
        let pool = pool(Some(last.threads))?;
        let queries = queries.first(last.queries);
        let mut out = std::io::stdout().lock();
        writeln!(out, "ready")?;
        out.flush()?;
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            ensure!(line.trim() == "run", "standard input: `{}` is no order; `run` is", line.trim());
            let (_, took) = timed(indexes, queries, &last.params, last.mode, &pool)?;
            let mut answer = json!({"seconds": took.seconds, "queries": queries.count()});
            if let Some(processor) = took.processor {
                answer["processor"] = json!(processor);
            }
            writeln!(out, "{answer}")?;
            out.flush()?;
        }
        Ok(())
    }

    fn print(&self, indexes: &Together, measured: &[Measured], took: Option<Building>) -> anyhow::Result<()> {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
        };
        let row = |m: &Measured| {
            vec![
                m.leaves().to_string(),
                m.reorder().to_string(),
                m.mode.name().to_owned(),
                m.threads.to_string(),
                number(Some(m.recall.at_k), 4),
                number(m.recall.threshold, 4),
                number(Some(m.recall.best), 4),
                number(Some(m.speed()), 0),
                number(m.processor_speed(), 0),
            ]
        };
        let k = self.k;
        let (at_k, best) = (format!("recall {k}@{k}"), format!("1@{k}"));
        let header =
            ["leaves", "reorder", "mode", "threads", &at_k, "with ties", &best, "queries/s", "by processor"];
        let rows: Vec<Vec<String>> = measured.iter().map(row).collect();
        output::line(output::table(&header, &rows, &[0, 1, 3, 4, 5, 6, 7, 8]))?;
        let [codes, vectors, other] = indexes.bytes().map(|bytes| size(bytes as u64));
        let built = took.map_or_else(String::new, |took| {
            let choosing =
                took.choosing.map_or_else(String::new, |seconds| format!(", chosen in {seconds:.2} s"));
            format!("; built in {:.2} s{choosing}", took.built)
        });
        Ok(output::line(format!("memory: codes {codes}, vectors {vectors}, other {other}{built}"))?)
    }

    fn draw(&self, measured: &[Measured], file: &Path) -> anyhow::Result<()> {
        let k = self.k;
        let speed = Axis::log("queries a second");
        let mut chart = Chart::new("Speed at recall", Axis::linear(&format!("recall {k} at {k}")), speed);
        for &mode in &self.mode {
            for &threads in &self.threads {
                let of = measured.iter().filter(|m| m.mode == mode && m.threads == threads);
                let mut points: Vec<(f64, f64)> = of.map(|m| (m.recall.at_k, m.speed())).collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
                let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
                chart = chart.series(Series::line(&format!("{}, {threads}", mode.name()), points));
            }
        }
        if ending(file) == "svg" {
            return Ok(chart.save_svg(file)?);
        }
        let row = |m: &Measured| {
            let cells = [m.leaves().to_string(), m.reorder().to_string(), m.mode.name().to_owned()];
            let more = [m.threads.to_string(), format!("{:.4}", m.recall.at_k), format!("{:.0}", m.speed())];
            cells.into_iter().chain(more).collect::<Vec<String>>()
        };
        let rows: Vec<Vec<String>> = measured.iter().map(row).collect();
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let header = ["leaves", "reorder", "mode", "threads", "recall", "queries a second"];
        let report = Report::new(&format!("Search in {name}"), "").chart(chart).table(&header, &rows);
        Ok(report.save(file)?)
    }
}

/// A setting as one line of JSON.
fn document(indexes: &Together, measured: &Measured, took: Option<Building>) -> Value {
    let first = &indexes.parts[0];
    let mut document = json!({
        "recall": measured.recall.at_k,
        "recall_with_ties": measured.recall.threshold,
        "recall_best": measured.recall.best,
        "qps": measured.speed(),
        "qps_processor": measured.processor_speed(),
        "mode": measured.mode.name(),
        "threads": measured.threads,
        "queries": measured.queries,
        "memory_bytes": indexes.bytes().iter().sum::<usize>(),
        "resident_bytes": resident_memory(),
        "chosen": {
            "partitions": indexes.parts.iter().map(|part| part.partitions()).sum::<usize>(),
            "leaves": measured.leaves(),
            "reorder": measured.reorder(),
            "codes": first.coding(),
            "store": store_of(first.storage()),
        },
    });
    // Known only where it was built just now.
    if let Some(took) = took {
        document["build_s"] = json!(took.built);
        if let Some(choosing) = took.choosing {
            document["choosing_s"] = json!(choosing);
        }
    }
    document
}

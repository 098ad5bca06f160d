//! `ocelli index search`

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, ensure};
use clap::Args;
use ocelli_vectors::index::Rows;

use super::files::{At, check_directions, read_ids, read_queries};
use super::hamming::{self, Near};
use super::hits;
use super::known::{Condition, condition};
use super::measure::pool;
use super::open::{Opened, Together, files, open};
use crate::cli::Ended;
use crate::cli::output;

/// Find the nearest vectors of each query.
///
/// Several indexes, or the folder of shards, are searched as one. Results are printed, or written in the format of the
/// ending of --out: .ivecs and .npy hold ids (the latter with .scores.npy beside), .csv, .json and .parquet ids and scores.
#[derive(Debug, Args)]
pub(super) struct Search {
    /// Indexes or folders of shards, and the queries last.
    #[arg(required = true, num_args = 2.., value_name = "FILE… QUERIES")]
    files: Vec<PathBuf>,
    /// Results a query.
    #[arg(short, long, value_name = "K", default_value_t = 10)]
    k: usize,
    /// Partitions to look into; what --recall chose when the index was built, else a tenth.
    #[arg(long, value_name = "N")]
    leaves: Option<usize>,
    /// Candidates to score exactly; what --recall chose when the index was built, else ten times K.
    #[arg(long, value_name = "N")]
    reorder: Option<usize>,
    /// Find these ids only: .npy, or text with one a line.
    #[arg(long, value_name = "IDS", conflicts_with = "without")]
    only: Option<PathBuf>,
    /// Find all but these ids.
    #[arg(long, value_name = "IDS")]
    without: Option<PathBuf>,
    /// Find only what has this value in this column of the index's metadata; of several conditions all must be met.
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition)]
    conditions: Vec<Condition>,
    /// Tell what the index knows of what was found: a column for each of its metadata.
    #[arg(long)]
    metadata: bool,
    /// Of binary codes, find all that differ in at most so many bits.
    #[arg(long, value_name = "BITS", conflicts_with_all = ["leaves", "reorder"])]
    radius: Option<u32>,
    /// Threads; all of the machine's without.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Do not compare checksums: opens at once, whatever the size.
    #[arg(long)]
    trust: bool,
}

impl Search {
    pub(super) fn run(mut self) -> Ended {
        hits::check(self.out.as_deref(), self.metadata)?;
        let Some(queries) = self.files.pop() else { bail!("name an index and the queries") };
        let paths = files(&self.files)?;
        let (mut vectors, mut codes) = (Vec::new(), Vec::new());
        for path in &paths {
            match open(path, self.trust)? {
                Opened::Vectors(index) => vectors.push(*index),
                Opened::Codes(index) => codes.push((path.clone(), index)),
            }
        }
        let pool = pool(self.threads)?;
        let mut beside = Vec::new();
        let started = Instant::now();
        let found = match (vectors.is_empty(), codes.is_empty()) {
            (false, false) => bail!("indexes of vectors and of binary codes cannot be searched as one"),
            (true, _) => {
                let given = [
                    self.leaves.is_some(),
                    self.reorder.is_some(),
                    !self.conditions.is_empty(),
                    self.metadata,
                ];
                ensure!(
                    given == [false; 4],
                    "binary codes are all compared and have no metadata: no --leaves, --reorder, --where, --metadata"
                );
                let [only, without] = self.listed()?.map(|ids| ids.map(HashSet::<u64>::from_iter));
                let may = |id| {
                    only.as_ref().is_none_or(|only| only.contains(&id))
                        && without.as_ref().is_none_or(|without| !without.contains(&id))
                };
                let near = self.radius.map_or(Near::Nearest(self.k), Near::Within);
                pool.install(|| hamming::search(&codes, &queries, near, &may))?
            }
            (false, true) => {
                ensure!(
                    self.radius.is_none(),
                    "--radius is for binary codes, {} holds vectors",
                    paths[0].display()
                );
                let indexes = Together::of(vectors, paths)?;
                let found = pool.install(|| self.among(&indexes, &queries))?;
                if self.metadata {
                    let ids: Vec<u64> = found.iter().flatten().map(|hit| hit.id).collect();
                    beside = indexes.metadata(&ids)?;
                }
                found
            }
        };
        hits::write(&found, &beside, self.out.as_deref())?;
        if let Some(out) = &self.out {
            let (seconds, count) = (started.elapsed().as_secs_f64(), found.len());
            output::note(format!("{count} queries in {seconds:.3} s into {}", out.display()));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The ids of --only and --without.
    fn listed(&self) -> anyhow::Result<[Option<Vec<u64>>; 2]> {
        let ids = |file: &Option<PathBuf>| file.as_deref().map(read_ids).transpose();
        Ok([ids(&self.only)?, ids(&self.without)?])
    }

    fn among(&self, indexes: &Together, path: &std::path::Path) -> anyhow::Result<Vec<Vec<hits::Found>>> {
        indexes.check_k(self.k)?;
        let dim = indexes.dim();
        let values = read_queries(path, dim)?;
        check_directions(path, &values, dim, 0, indexes.similarity())?;
        let [only, without] = self.listed()?;
        let filters = match self.conditions.is_empty() {
            true => indexes.filters(only.as_deref(), without.as_deref())?,
            false => Some(indexes.filters_where(&self.conditions, only.as_deref(), without.as_deref())?),
        };
        let params = indexes.params(self.k, self.leaves, self.reorder);
        let queries = Rows::new("the queries", &values, dim).at(path)?;
        Ok(hits::found(&indexes.search(queries, &params, filters.as_deref())?))
    }
}

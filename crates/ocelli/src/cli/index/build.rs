//! `ocelli index build`

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, ensure};
use clap::Args;
use ocelli_vectors::index::{BuildConfig, Codes, Index, Similarity, Spill, Storage};
use ocelli_vectors::score_aware_quantization::Eta;
use serde_json::{Value, json};

use super::choose::{Chosen, Queries, Wanted, choose, kinds};
use super::files::{At, Data, Role};
use super::hamming::{self, Bits};
use super::known::Known;
use super::making::make;
use super::measure::Mode;
use super::memory::{Plan, Task, Way};
use super::open::Shards;
use super::options::{Coding, Measure, Store, Train, bytes, check_recall, name_of, size, store_of};
use crate::cli::Ended;
use crate::cli::output;
use crate::cli::process::peak_memory;

/// Build an index of a file of vectors.
///
/// With --recall, codes, partitions, second assignment, leaves and reordering are chosen: candidates are built and tuned on up to
/// 100,000 of the vectors, the one that reaches the recall in the least measured time a query is built on all, and its
/// setting is kept in the index.
#[derive(Debug, Args)]
pub(super) struct Build {
    /// The vectors.
    data: PathBuf,
    /// The index to write; with --shards a folder.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    bits: Bits,
    /// Write so many indexes of consecutive parts, with ids of the whole, into the folder --out.
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: usize,
    /// The ids: a column of the data, or a file (.npy, or text with one a line); `none` for row numbers.
    #[arg(long, value_name = "COLUMN|FILE")]
    ids: Option<String>,
    /// Keep what this file says about the vectors: .csv, .tsv, .jsonl or .parquet, which may be the data itself. Its rows
    /// go with the ids in its column `id`, or without one with the vectors in order.
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// What an index is like.
#[derive(Clone, Debug, Args)]
pub(super) struct Shape {
    /// What scores mean; inner-product unless a benchmark file says otherwise.
    #[arg(long, value_enum)]
    similarity: Option<Measure>,
    /// Partitions; about the root of the number of vectors.
    #[arg(long, value_name = "N")]
    partitions: Option<usize>,
    /// What is kept of a vector to choose candidates by: pq4, or with --recall whichever is faster. The next options say
    /// how pq4 is made.
    #[arg(long, value_enum)]
    codes: Option<Coding>,
    /// Elements of a vector that share a codeword.
    #[arg(long, value_name = "N", default_value_t = 2)]
    block_dims: usize,
    /// Scores from this share of a vector's own on count when codes are made.
    #[arg(long, value_name = "T", default_value_t = 0.2, conflicts_with_all = ["eta", "plain"])]
    threshold: f64,
    /// How much more the error along a vector counts than the one across it, instead of --threshold.
    #[arg(long, value_name = "R", conflicts_with = "plain")]
    eta: Option<f64>,
    /// Codes of the least squared error.
    #[arg(long)]
    plain: bool,
    /// The weight of --threshold in the limit of many dimensions, as the published package has it.
    #[arg(long, conflicts_with_all = ["eta", "plain"])]
    limit_eta: bool,
    /// How codewords are trained.
    #[arg(long, value_enum, default_value = "kmeans")]
    train: Train,
    /// A second partition for each vector; more LAMBDA, more different from the first.
    #[arg(long, value_name = "LAMBDA", num_args = 0..=1, require_equals = true, default_missing_value = "1.0")]
    spill: Option<f32>,
    /// How vectors are kept for exact scores; f32, or what fits into --memory.
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// Stay below this much memory, such as 2G: read in pieces, keep vectors smaller, or refuse.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
    /// Fixes all random choices.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// How an index is built.
#[derive(Clone, Debug, Args)]
pub(super) struct How {
    #[command(flatten)]
    pub(super) shape: Shape,
    /// Choose codes, partitions, second assignment, leaves and reordering for this recall.
    #[arg(long, value_name = "R")]
    pub(super) recall: Option<f64>,
    /// Neighbours that --recall counts.
    #[arg(short, long, value_name = "K", default_value_t = 10)]
    pub(super) k: usize,
    /// How queries will come, which --recall chooses the fastest setting for.
    #[arg(long, value_enum, default_value = "batch")]
    pub(super) mode: Mode,
    /// Real queries that --recall is measured with; without, vectors of the data.
    #[arg(long, value_name = "FILE")]
    pub(super) queries: Option<PathBuf>,
}

impl Shape {
    fn config(&self, similarity: Similarity) -> anyhow::Result<BuildConfig> {
        let eta = match (self.plain, self.eta) {
            (true, _) => Eta::Nearest,
            (_, Some(eta)) => {
                ensure!(eta > 0.0 && eta.is_finite(), "--eta {eta}: a weight is above 0");
                Eta::Fixed(eta)
            }
            _ => {
                let threshold = self.threshold;
                ensure!((0.0..1.0).contains(&threshold), "--threshold {threshold}: from 0 to below 1");
                if self.limit_eta { Eta::Limit(threshold) } else { Eta::Exact(threshold) }
            }
        };
        Ok(BuildConfig {
            similarity,
            partitions: self.partitions,
            codes: self.codes.map_or(Codes::Pq4, Codes::from),
            block_dims: self.block_dims,
            eta,
            training: self.train.into(),
            spill: self.spill.map(|lambda| Spill { lambda }),
            storage: self.store.map_or(Storage::F32, Storage::from),
            seed: self.seed,
            ..BuildConfig::default()
        })
    }

    fn task(&self, data: &Data, config: &BuildConfig, count: usize, tuned: bool) -> anyhow::Result<Task> {
        let dim = data.dim();
        let block = config.block_dims;
        ensure!((1..=dim).contains(&block), "--block-dims {block}: from 1 to the {dim} elements of a vector");
        if let Some(partitions) = config.partitions {
            ensure!(
                (1..=count).contains(&partitions),
                "--partitions {partitions}: from 1 to the {count} vectors of an index"
            );
        }
        let partitions = match tuned && config.partitions.is_none() {
            // Twice the root may be chosen, and a second assignment.
            true => 2 * (count as f64).sqrt().ceil() as usize,
            false => config.partitions_for(count),
        };
        Ok(Task {
            count,
            dim,
            partitions: partitions.max(1),
            code_bytes: match config.codes {
                Codes::Pq4 => dim.div_ceil(block).div_ceil(2),
                // Whole steps of four elements, and half the squared length of what they stand for.
                Codes::Sq8 if config.similarity == Similarity::SquaredL2 => dim.next_multiple_of(4) + 4,
                Codes::Sq8 => dim.next_multiple_of(4),
            },
            spilled: config.spill.is_some() || tuned,
            copied: config.similarity == Similarity::Cosine,
            lengths: config.similarity == Similarity::SquaredL2,
            file: match data.in_pieces() {
                true => None,
                false => {
                    let all = 4 * (data.count() * dim) as u64;
                    Some(all + std::fs::metadata(&data.path)?.len())
                }
            },
        })
    }
}

impl How {
    /// How so many vectors are built, and the kinds of codes to choose among. Codes that take more room than others are
    /// none of them where they would cost vectors their precision.
    fn plan(&self, data: &Data, config: &BuildConfig, count: usize) -> anyhow::Result<(Vec<Codes>, Plan)> {
        let plan = |codes: Codes| {
            let config = BuildConfig { codes, ..config.clone() };
            let task = self.shape.task(data, &config, count, self.recall.is_some())?;
            task.plan(self.shape.store.map(Storage::from), self.shape.memory)
        };
        let least = plan(config.codes)?;
        if self.recall.is_some() && self.shape.codes.is_none() {
            let kinds = kinds(count);
            let most = plan(Codes::Sq8).ok().filter(|most| most.storage == least.storage);
            let admitted = kinds.contains(&Codes::Sq8) && config.admits(Codes::Sq8, data.dim());
            if let Some(most) = most.filter(|_| admitted) {
                return Ok((kinds, most));
            }
        }
        Ok((vec![config.codes], least))
    }

    /// All that is decided before the first index is built.
    pub(super) fn prepare(&self, data: &mut Data, shards: usize) -> anyhow::Result<Prepared> {
        let similarity = match self.shape.similarity {
            Some(measure) => measure.into(),
            None => data.similarity()?.unwrap_or(Similarity::InnerProduct),
        };
        let count = data.count();
        ensure!(
            (1..=count).contains(&shards),
            "--shards {shards}: from 1 to the {count} vectors of {}",
            data.path.display()
        );
        let ranges: Vec<Range<usize>> =
            (0..shards).map(|i| i * count / shards..(i + 1) * count / shards).collect();
        let largest = ranges.iter().map(Range::len).max().unwrap_or(count);
        let config = self.shape.config(similarity)?;
        let (codes, plan) = self.plan(data, &config, largest)?;
        let config = BuildConfig { storage: plan.storage, codes: codes[0], ..config };
        let started = Instant::now();
        let tuning = match self.recall {
            None => None,
            Some(recall) => {
                check_recall(recall)?;
                let least = ranges.iter().map(Range::len).min().unwrap_or(count);
                ensure!(
                    (1..=least).contains(&self.k),
                    "-k {}: from 1 to the {least} vectors of an index",
                    self.k
                );
                // A candidate, the best so far, the vectors as read, and a copy.
                let room = self.shape.memory.map_or(usize::MAX, |limit| {
                    let bytes = limit.saturating_sub(48 << 20) / (20 * data.dim() as u64);
                    usize::try_from(bytes).unwrap_or(usize::MAX)
                });
                let wanted =
                    Wanted { recall, k: self.k, mode: self.mode, config: config.clone(), codes, most: room };
                let queries = Queries::new(data, self.queries.as_deref(), &wanted)?;
                let chosen = choose(data, &queries, &wanted)?;
                Some(Tuning { wanted, queries, chosen })
            }
        };
        Ok(Prepared { config, plan, ranges, tuning, tuning_s: started.elapsed().as_secs_f64() })
    }
}

/// How a recall is reached.
#[derive(Debug)]
struct Tuning {
    wanted: Wanted,
    queries: Queries,
    chosen: Chosen,
}

/// Ready to build.
#[derive(Debug)]
pub(super) struct Prepared {
    config: BuildConfig,
    plan: Plan,
    ranges: Vec<Range<usize>>,
    tuning: Option<Tuning>,
    /// Seconds that choosing took.
    tuning_s: f64,
}

/// A built index and what is to be told of it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) index: Index,
    /// Seconds that building took.
    pub(super) seconds: f64,
    /// Recall on the sample, where one was wanted.
    pub(super) recall: Option<f64>,
}

impl Prepared {
    /// Builds the index of one part.
    pub(super) fn build(&mut self, data: &mut Data, number: usize) -> anyhow::Result<Built> {
        let range = self.ranges[number].clone();
        if let Some((mut index, tuned)) = self.tuning.as_mut().and_then(|tuning| tuning.chosen.built.take())
            && self.ranges.len() == 1
        {
            index.set_defaults(tuned.params);
            let seconds = self.tuning.as_ref().map_or(0.0, |tuning| tuning.chosen.seconds());
            return Ok(Built { index, seconds, recall: Some(tuned.recall) });
        }
        let config = match &self.tuning {
            Some(tuning) => tuning.chosen.config_for(range.len()),
            None => self.config.clone(),
        };
        let started = Instant::now();
        let mut index = make(data, range.clone(), &config, self.plan.way)?;
        let seconds = started.elapsed().as_secs_f64();
        let Some(Tuning { wanted, queries, .. }) = &self.tuning else {
            return Ok(Built { index, seconds, recall: None });
        };
        let set = queries.among(data, range, wanted)?;
        let tuned = wanted.tune(&index, &set, f64::INFINITY)?;
        index.set_defaults(tuned.params);
        Ok(Built { index, seconds, recall: Some(tuned.recall) })
    }
}

impl Build {
    pub(super) fn run(self) -> Ended {
        if self.bits.wanted() {
            return hamming::build(&self.data, &self.out, self.ids.as_deref(), &self.bits, self.json);
        }
        if self.out.exists() && self.out.canonicalize().ok() == self.data.canonicalize().ok() {
            bail!("--out {}: is the data itself; give another name", self.out.display());
        }
        let mut data = Data::open(&self.data, self.ids.as_deref(), Role::Base)?;
        let known = self.metadata.as_deref().map(|file| Known::read(file, &data)).transpose()?;
        let mut prepared = self.how.prepare(&mut data, self.shards)?;
        if let Some(limit) = self.how.shape.memory {
            output::note(self.told(&prepared.plan, limit));
        }
        if let (false, Some(tuning)) = (self.json, &prepared.tuning) {
            tuning.chosen.print()?;
            output::line(format!("choosing took {:.2} s", prepared.tuning_s))?;
        }
        let mut shards = Shards::default();
        let mut documents = Vec::new();
        let mut missed = false;
        for number in 0..prepared.ranges.len() {
            let mut built = prepared.build(&mut data, number)?;
            if let Some(known) = &known {
                known.keep_in(&mut built.index)?;
            }
            let path = match self.shards {
                1 => self.out.clone(),
                _ => shards.next(&self.out, number, self.shards)?,
            };
            built.index.save(&path)?;
            shards.add(built.index.count());
            missed |= built.recall.zip(self.how.recall).is_some_and(|(found, wanted)| found < wanted);
            let document = self.document(&path, &built)?;
            if !self.json {
                told_built(&path, &built)?;
            }
            documents.push(document);
        }
        if self.shards > 1 {
            shards.write(&self.out)?;
            if !self.json {
                output::line(format!(
                    "{}: {} vectors in {} shards",
                    self.out.display(),
                    data.count(),
                    self.shards
                ))?;
            }
        }
        if let Some(wanted) = self.how.recall.filter(|_| missed) {
            output::note(format!("recall {wanted} is not reached on the sample, whatever the setting"));
        }
        let peak = peak_memory();
        if let (Some(limit), Some(peak)) = (self.how.shape.memory, peak) {
            output::note(format!("measured peak {} of {}", size(peak), size(limit)));
        }
        if self.json {
            let choice = prepared.tuning.as_ref().map(|tuning| tuning.chosen.document());
            output::json(&json!({
                "indexes": documents,
                "choice": choice,
                "choosing_s": prepared.tuning_s,
                "planned_peak_bytes": prepared.plan.peak,
                "peak_bytes": peak,
            }))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn told(&self, plan: &Plan, limit: u64) -> String {
        let way = match plan.way {
            Way::Whole => "all at once".to_owned(),
            Way::Pieces { piece, compact: true, .. } => format!("in pieces of {piece}"),
            Way::Pieces { piece, compact: false, .. } => {
                format!(
                    "in pieces of {piece} that stay apart (`ocelli index compact` where there is more memory)"
                )
            }
        };
        let smaller = match self.how.shape.store {
            None if plan.storage != Storage::F32 => {
                format!("; vectors are kept as {}, f32 would not fit", store_of(plan.storage))
            }
            _ => String::new(),
        };
        format!("memory: {} of {}, {way}: {}{smaller}", size(plan.peak), size(limit), plan.sum)
    }

    fn document(&self, path: &Path, built: &Built) -> anyhow::Result<Value> {
        let index = &built.index;
        let [codes, rows, other] = index.bytes();
        Ok(json!({
            "file": path,
            "file_bytes": std::fs::metadata(path).at(path)?.len(),
            "vectors": index.count(),
            "dim": index.dim(),
            "similarity": name_of(index.similarity()),
            "partitions": index.partitions(),
            "codes": index.coding(),
            "store": store_of(index.storage()),
            "build_s": built.seconds,
            "recall": built.recall,
            "defaults": index.defaults(),
            "bytes": {"codes": codes, "vectors": rows, "other": other},
        }))
    }
}

fn told_built(path: &Path, built: &Built) -> std::io::Result<()> {
    let index = &built.index;
    output::line(format!(
        "{}: {} vectors of {}, {}, {} partitions, codes {}, vectors kept as {}, built in {:.2} s",
        path.display(),
        index.count(),
        index.dim(),
        name_of(index.similarity()),
        index.partitions(),
        index.coding(),
        store_of(index.storage()),
        built.seconds,
    ))?;
    let Some((params, recall)) = index.defaults().zip(built.recall) else { return Ok(()) };
    output::line(format!(
        "kept setting: {} leaves, reorder {}: recall@{} {recall:.4} on the sample",
        params.leaves, params.reorder, params.k
    ))
}

/// Builds an index file where there is none; what it took, and the seconds that choosing took, for who measures.
pub(super) fn build_missing(data: &Path, out: &Path, how: &How) -> anyhow::Result<(Built, Option<f64>)> {
    let mut data = Data::open(data, None, Role::Base)?;
    let mut prepared = how.prepare(&mut data, 1)?;
    let built = prepared.build(&mut data, 0)?;
    built.index.save(out)?;
    Ok((built, how.recall.map(|_| prepared.tuning_s)))
}

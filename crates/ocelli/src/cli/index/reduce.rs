//! `ocelli index reduce`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use ocelli_data::vectors::{self, Ids, VectorSet};
use ocelli_method::random::stream;
use ocelli_vectors::low_rank_eigenmatrix::{Reduction, Restriction, Start};
use rand::seq::index::sample;
use serde_json::json;

use super::files::{At, Data, Role, ending};
use crate::cli::Ended;
use crate::cli::output;

/// Reduce vectors to fewer dimensions: principal components, of low matrix rank or with few loadings.
///
/// Components are fitted to a sample and kept in a file; `--apply` reduces other vectors, such as queries, by them.
#[derive(Debug, Args)]
pub(super) struct Reduce {
    /// The vectors.
    data: PathBuf,
    /// The reduced vectors: .fvecs, .npy, .npz, .csv, .tsv, .hdf5, .parquet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Components: dimensions of the reduced vectors.
    #[arg(long, value_name = "M", required_unless_present = "apply")]
    components: Option<usize>,
    /// How components are restricted.
    #[arg(long, value_enum, default_value = "low-rank")]
    method: Kind,
    /// Matrix rank of a component.
    #[arg(long, value_name = "K", default_value_t = 1)]
    rank: usize,
    /// Sides of the matrix that a vector is, row by row; without, the nearest to a square.
    #[arg(long, value_name = "P,Q", value_parser = sides)]
    shape: Option<(usize, usize)>,
    /// Loadings of a sparse component that are not zero; without, a tenth.
    #[arg(long, value_name = "N")]
    cardinality: Option<usize>,
    /// Where the power method starts.
    #[arg(long, value_enum, default_value = "pca")]
    start: From,
    /// Vectors that components are fitted to, at most.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    sample: usize,
    /// Fixes all random choices.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the components are kept; without, beside --out with the ending .components.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Reduce by these components, fitted before.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["components", "method", "rank", "shape", "cardinality", "start", "save"])]
    apply: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Principal components of low matrix rank.
    LowRank,
    /// Principal components.
    Pca,
    /// Principal components with few loadings.
    Sparse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// The principal component without a restriction.
    Pca,
    /// The best of several random directions.
    Random,
    /// The coordinate with the largest variance.
    Coordinate,
    /// Through falling ranks.
    Warm,
}

impl Reduce {
    pub(super) fn run(self) -> Ended {
        let mut data = Data::open(&self.data, None, Role::Base)?;
        let (reduction, saved) = match &self.apply {
            Some(file) => (Reduction::open(file)?, None),
            None => {
                let reduction = self.fit(&mut data)?;
                let path = self.save.clone().unwrap_or_else(|| self.out.with_extension("components"));
                reduction.save(&path)?;
                (reduction, Some(path))
            }
        };
        let (count, dim) = (data.count(), data.dim());
        ensure!(
            dim == reduction.dim(),
            "{}: vectors of {dim}, the components are for {}",
            self.data.display(),
            reduction.dim()
        );
        let ids = data.has_ids().then(|| data.ids(0..count));
        let rows = reduction.transform(&data.into_rows()?).at(&self.data)?;
        let mut set = VectorSet::new(reduction.components.len(), rows);
        match ending(&self.out).as_str() {
            "npy" | "fvecs" if ids.is_some() => {
                output::note(format!("{}: the format has no room for the ids", self.out.display()));
            }
            _ => set.ids = ids.map(Ids::Numbers),
        }
        vectors::write(&self.out, &set)?;
        self.tell(&reduction, count, saved.as_deref())?;
        Ok(ExitCode::SUCCESS)
    }

    fn fit(&self, data: &mut Data) -> anyhow::Result<Reduction> {
        let (dim, count) = (data.dim(), data.count());
        let components = self.components.context("name the number of --components")?;
        ensure!(self.sample > 1, "--sample {}: at least 2 vectors", self.sample);
        let restriction = match self.method {
            Kind::Pca => Restriction::Free,
            Kind::Sparse => Restriction::Sparse { cardinality: self.cardinality.unwrap_or(dim.div_ceil(10)) },
            Kind::LowRank => {
                let (p, q) = self.shape.unwrap_or_else(|| nearest_square(dim));
                Restriction::LowRank { p, q, rank: self.rank }
            }
        };
        let start = match self.start {
            From::Pca => Start::Pca,
            From::Random => Start::Random,
            From::Coordinate => Start::Coordinate,
            From::Warm => Start::Warm,
        };
        let mut rows =
            sample(&mut stream(self.seed, "reduction", 0), count, self.sample.min(count)).into_vec();
        rows.sort_unstable();
        let values: Vec<f64> = data.some(&rows)?.into_iter().map(f64::from).collect();
        Reduction::fit(&values, dim, components, restriction, start, self.seed).at(&self.data)
    }

    fn tell(&self, reduction: &Reduction, count: usize, saved: Option<&Path>) -> anyhow::Result<()> {
        let total = reduction.total_variance;
        let shares: Vec<f64> = reduction.variances.iter().map(|variance| variance / total).collect();
        if self.json {
            return Ok(output::json(&json!({
                "vectors": count,
                "dim": reduction.dim(),
                "components": reduction.components.len(),
                "restriction": reduction.restriction,
                "variance_shares": shares,
                "variance_share": shares.iter().sum::<f64>(),
                "out": self.out,
                "saved": saved,
            }))?);
        }
        if let Some(saved) = saved {
            let mut sum = 0.0;
            let row = |(number, share): (usize, &f64)| {
                sum += share;
                vec![
                    (number + 1).to_string(),
                    format!("{:.2} %", 100.0 * share),
                    format!("{:.2} %", 100.0 * sum),
                ]
            };
            let rows: Vec<Vec<String>> = shares.iter().enumerate().map(row).collect();
            output::line(output::table(&["component", "variance", "so far"], &rows, &[0, 1, 2]))?;
            let held = match reduction.restriction {
                Restriction::Free => "no restriction".to_owned(),
                Restriction::LowRank { p, q, rank } => format!("{p} x {q} matrices of rank {rank}"),
                Restriction::Sparse { cardinality } => format!("{cardinality} loadings"),
            };
            output::line(format!("components ({held}) in {}", saved.display()))?;
        }
        let (from, to) = (reduction.dim(), reduction.components.len());
        Ok(output::line(format!("{}: {count} vectors, {to} of {from} dimensions", self.out.display()))?)
    }
}

/// Two numbers such as 8,16.
fn sides(text: &str) -> Result<(usize, usize), String> {
    let numbers =
        text.split_once(',').and_then(|(p, q)| Some((p.trim().parse().ok()?, q.trim().parse().ok()?)));
    numbers.ok_or_else(|| format!("`{text}` is no pair of sides such as 8,16"))
}

/// The two factors that differ least.
fn nearest_square(dim: usize) -> (usize, usize) {
    let root = (dim as f64).sqrt() as usize;
    let p = (1..=root.max(1)).rev().find(|p| dim.is_multiple_of(*p)).unwrap_or(1);
    (p, dim / p)
}

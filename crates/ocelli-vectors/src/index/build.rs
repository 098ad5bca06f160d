//! Building an index.

use std::borrow::Cow;
use std::collections::HashMap;

use ocelli_method::random::stream;
use rand::seq::index::sample;

use super::books::Books;
use super::error::IndexError;
use super::grid::Grid;
use super::joint::Sample;
use super::partition::Centers;
use super::rows::{Rows, Storage, normalize};
use super::segment::{Scoring, Shared};
use super::{Index, Similarity};
use crate::kernels::lut::MOST_ELEMENTS;
use crate::kernels::rows::row_f32;
use crate::score_aware_quantization::Eta;

/// Vectors a partition that its centre is trained on.
const TRAINED_ON: usize = 100;
/// The same of more vectors than this: there, partitions that split what lies together cost most, and training is a smaller
/// part of building.
const MANY: usize = 100_000;
const OF_MANY_TRAINED_ON: usize = 256;
/// Vectors that codewords are trained on.
const WORDS_TRAINED_ON: usize = 20_000;
/// The first of them, that all codewords together are trained on.
const JOINTLY_TRAINED_ON: usize = 8_000;
/// Below this many vectors a partition would hold too few to be worth its centre.
const LEAST_PARTITIONED: usize = 5_000;

/// How an index is built.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildConfig {
    /// What scores mean.
    pub similarity: Similarity,
    /// Partitions; by default about twice the root of the number of vectors.
    pub partitions: Option<usize>,
    /// What is kept of a vector to choose candidates by.
    pub codes: Codes,
    /// Elements a block of four bits.
    pub block_dims: usize,
    /// How much more the error along a vector counts than the error across it.
    pub eta: Eta,
    /// How codewords are trained.
    pub training: Training,
    /// A second partition for each vector.
    pub spill: Option<Spill>,
    /// How vectors are kept for exact scores.
    pub storage: Storage,
    /// Lloyd iterations of partitions and codewords.
    pub iterations: usize,
    /// Fixes all random choices.
    pub seed: u64,
}

impl Default for BuildConfig {
    fn default() -> Self {
        Self {
            similarity: Similarity::InnerProduct,
            partitions: None,
            codes: Codes::Pq4,
            block_dims: 2,
            eta: Eta::Exact(0.2),
            training: Training::KMeans,
            spill: None,
            storage: Storage::F32,
            iterations: 10,
            seed: 0,
        }
    }
}

/// What is kept of a vector, or of what is left of it after its partition's centre, to choose candidates by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codes {
    /// Product quantization: 4 bits a block of [`BuildConfig::block_dims`] elements, chosen by [`BuildConfig::eta`].
    #[default]
    Pq4,
    /// Scalar quantization: 8 bits an element, the nearest of 256 evenly spaced values. Four times the bytes of blocks of
    /// two elements, but so exact that few candidates need be scored again; nothing but ranges is trained. For sets that
    /// caches hold. [`BuildConfig::block_dims`] and [`BuildConfig::eta`] then mean nothing.
    Sq8,
}

/// How codewords are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Training {
    /// k-means of each block by itself, as the published package does.
    KMeans,
    /// All codewords together under the score-aware loss, as the paper says: better codes, slower.
    Joint,
}

/// A second partition for each vector, chosen so that a query that misses it in the first finds it there.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spill {
    /// How much more a second residual along the first counts.
    pub lambda: f32,
}

impl Default for Spill {
    fn default() -> Self {
        Self { lambda: 1.0 }
    }
}

impl BuildConfig {
    fn check(&self, rows: Rows<'_>) -> Result<(), IndexError> {
        let (count, dim) = (rows.count(), rows.dim());
        if count == 0 {
            return Err(IndexError::Empty("the vectors to index"));
        }
        // Positions have 32 bits, and spilling takes two.
        if count > (u32::MAX / 4) as usize {
            return Err(IndexError::TooMany(count));
        }
        if self.block_dims == 0 || self.block_dims > dim {
            return Err(IndexError::setting("block_dims", self.block_dims, format!("from 1 to {dim}")));
        }
        if self.codes == Codes::Sq8 {
            if dim > MOST_ELEMENTS {
                let wanted = format!("pq4 for vectors of more than {MOST_ELEMENTS} elements");
                return Err(IndexError::setting("codes", "sq8", wanted));
            }
            if self.training == Training::Joint {
                return Err(IndexError::setting(
                    "training",
                    "joint",
                    "k-means with codes sq8, which have no codewords",
                ));
            }
        }
        if let Some(partitions) = self.partitions
            && (partitions == 0 || partitions > count)
        {
            let wanted = format!("from 1 to the {count} vectors");
            return Err(IndexError::setting("partitions", partitions, wanted));
        }
        check_spill(self.spill)
    }

    /// Whether codes of this kind can be made of vectors of `dim` elements with all else as it is set.
    pub fn admits(&self, codes: Codes, dim: usize) -> bool {
        codes == Codes::Pq4 || (dim <= MOST_ELEMENTS && self.training == Training::KMeans)
    }

    /// The number of partitions for `count` vectors.
    pub fn partitions_for(&self, count: usize) -> usize {
        let automatic = || match count < LEAST_PARTITIONED {
            true => 1,
            false => (2.0 * (count as f64).sqrt()).round() as usize,
        };
        self.partitions.unwrap_or_else(automatic)
    }

    /// A threshold means a share of a vector's own score, so that vectors of any length can reach it.
    fn eta_of(&self, rows: Rows<'_>) -> Eta {
        // A single element has no part across itself.
        if self.codes == Codes::Sq8 || self.similarity == Similarity::SquaredL2 || rows.dim() == 1 {
            return Eta::Nearest;
        }
        if self.similarity == Similarity::Cosine {
            return self.eta;
        }
        let mean =
            rows.data().chunks_exact(rows.dim()).map(|row| f64::from(row_f32(row, row)).sqrt()).sum::<f64>()
                / rows.count() as f64;
        match self.eta {
            Eta::Exact(threshold) => Eta::Exact(threshold * mean),
            Eta::Limit(threshold) => Eta::Limit(threshold * mean),
            other => other,
        }
    }
}

/// Centres and codewords, for indexes that share what is trained: their second partitions may differ, and of centres
/// alone their codes.
#[derive(Clone, Debug)]
pub struct Trained {
    shared: Shared,
    config: BuildConfig,
}

impl Trained {
    /// Trains with vectors as [`Index::build`] does.
    ///
    /// # Errors
    /// As there.
    pub fn new(rows: Rows<'_>, config: &BuildConfig) -> Result<Self, IndexError> {
        config.check(rows)?;
        let values = directed(rows, config.similarity)?;
        let rows = Rows::new("the vectors", &values, rows.dim())?;
        Ok(Self { shared: train(rows, config)?, config: config.clone() })
    }

    /// What [`Trained::new`] gives with the same configuration but for its codes: centres need not be trained again.
    ///
    /// # Errors
    /// As there, and for vectors of another length.
    pub fn with_codes(&self, rows: Rows<'_>, codes: Codes) -> Result<Self, IndexError> {
        self.check(rows)?;
        let config = BuildConfig { codes, ..self.config.clone() };
        config.check(rows)?;
        let values = directed(rows, config.similarity)?;
        let rows = Rows::new("the vectors", &values, rows.dim())?;
        Ok(Self { shared: train_codes(rows, &config, self.shared.centers.clone())?, config })
    }

    fn check(&self, rows: Rows<'_>) -> Result<(), IndexError> {
        let (what, found, wanted) = ("the vectors to index", rows.dim(), self.shared.centers.dim);
        if found == wanted { Ok(()) } else { Err(IndexError::Dimension { what, found, wanted }) }
    }

    /// What [`Index::build`] makes of these vectors with a second partition of this kind.
    ///
    /// # Errors
    /// [`IndexError`] for ids given twice, or vectors of another length than those it was trained with.
    pub fn index(&self, rows: Rows<'_>, ids: &[u64], spill: Option<Spill>) -> Result<Index, IndexError> {
        self.check(rows)?;
        let ids = check_ids(ids, rows.count())?;
        check_spill(spill)?;
        let shared = Shared { spill, ..self.shared.clone() };
        let values = directed(rows, shared.similarity)?;
        Index::of(shared, Rows::new("the vectors", &values, rows.dim())?, ids)
    }
}

impl Index {
    fn of(shared: Shared, rows: Rows<'_>, ids: &[u64]) -> Result<Self, IndexError> {
        let segment = shared.segment(rows, ids, 0)?;
        Ok(Self { shared, segments: vec![segment], defaults: None, metadata: None })
    }

    /// An index of `rows`; without `ids`, a vector's id is its row number.
    ///
    /// # Errors
    /// [`IndexError`] for an empty set, ids given twice, settings that do not fit.
    pub fn build(rows: Rows<'_>, ids: Option<&[u64]>, config: &BuildConfig) -> Result<Self, IndexError> {
        config.check(rows)?;
        let numbers: Vec<u64>;
        let ids = match ids {
            Some(ids) => check_ids(ids, rows.count())?,
            None => {
                numbers = (0..rows.count() as u64).collect();
                &numbers
            }
        };
        let values = directed(rows, config.similarity)?;
        let rows = Rows::new("the vectors", &values, rows.dim())?;
        Self::of(train(rows, config)?, rows, ids)
    }
}

/// The vectors themselves, or copies of unit length where only directions count.
fn directed(rows: Rows<'_>, similarity: Similarity) -> Result<Cow<'_, [f32]>, IndexError> {
    match similarity {
        Similarity::Cosine => Ok(Cow::Owned(normalized(rows))),
        _ => Ok(Cow::Borrowed(rows.of_moderate_length("the vectors")?.data())),
    }
}

fn check_spill(spill: Option<Spill>) -> Result<(), IndexError> {
    match spill.filter(|spill| !(spill.lambda >= 0.0 && spill.lambda.is_finite())) {
        Some(spill) => Err(IndexError::setting("spill.lambda", spill.lambda, "a number from 0")),
        None => Ok(()),
    }
}

/// Copies of unit length.
pub(super) fn normalized(rows: Rows<'_>) -> Vec<f32> {
    let mut unit = rows.data().to_vec();
    unit.chunks_exact_mut(rows.dim()).for_each(normalize);
    unit
}

pub(super) fn check_ids(ids: &[u64], count: usize) -> Result<&[u64], IndexError> {
    if ids.len() != count {
        return Err(IndexError::setting("ids", ids.len(), format!("one for each of the {count} vectors")));
    }
    let mut first = HashMap::with_capacity(count);
    for (second, &id) in ids.iter().enumerate() {
        if let Some(first) = first.insert(id, second) {
            return Err(IndexError::DuplicateId { id, first, second });
        }
    }
    Ok(ids)
}

fn train(rows: Rows<'_>, config: &BuildConfig) -> Result<Shared, IndexError> {
    let dim = rows.dim();
    let partitions = config.partitions_for(rows.count());
    let many = rows.count() > MANY;
    let each = if many { OF_MANY_TRAINED_ON } else { TRAINED_ON };
    let drawn = draw(rows, each * partitions, config.seed, "partition sample");
    let centers = if partitions == 1 {
        // A single centre would only move all scores alike.
        Centers::new(vec![0.0; dim], dim)
    } else {
        let sample = Rows::new("the sample", &drawn, dim)?;
        let directions = config.similarity != Similarity::SquaredL2 && common_length(rows).is_some();
        match many {
            true => Centers::train_in_two(sample, partitions, config.iterations, directions),
            false => Centers::train(sample, partitions, config.iterations),
        }
    };
    train_codes(rows, config, centers)
}

/// What codes are made with, of what is left of vectors after these centres.
fn train_codes(rows: Rows<'_>, config: &BuildConfig, centers: Centers) -> Result<Shared, IndexError> {
    let dim = rows.dim();
    let drawn = draw(rows, WORDS_TRAINED_ON, config.seed, "codeword sample");
    let sample = Rows::new("the sample", &drawn, dim)?;
    let mut residuals = drawn.clone();
    for (residual, &center) in residuals.chunks_exact_mut(dim).zip(&centers.nearest(sample)) {
        residual.iter_mut().zip(centers.center(center as usize)).for_each(|(x, c)| *x -= c);
    }
    let books = match config.codes {
        Codes::Sq8 => Books::of_grid(Grid::train(&residuals, dim)),
        Codes::Pq4 => Books::train(
            &columns(&residuals, dim),
            sample.count(),
            Books::ends(dim, config.block_dims),
            config.iterations,
        ),
    };
    let mut shared = Shared {
        similarity: config.similarity,
        scoring: Scoring::Residual,
        length: common_length(rows),
        centers,
        books,
        eta: config.eta_of(rows),
        spill: config.spill,
        storage: config.storage,
        rough: true,
        package: None,
    };
    if config.training == Training::Joint {
        let count = sample.count().min(JOINTLY_TRAINED_ON);
        let units = normalized(sample.first(count));
        let eta = |row: &[f32]| Ok(shared.eta_for(row_f32(row, row).sqrt(), dim)?.unwrap_or(1.0));
        let etas: Vec<f32> =
            drawn.chunks_exact(dim).take(count).map(eta).collect::<Result<_, IndexError>>()?;
        shared.books.train_jointly(&Sample {
            residuals: &residuals[..count * dim],
            units: &units,
            etas: &etas,
        })?;
    }
    Ok(shared)
}

/// The mean length of vectors whose lengths differ by less than a hundredth of it.
fn common_length(rows: Rows<'_>) -> Option<f32> {
    let lengths = || rows.data().chunks_exact(rows.dim()).map(|row| row_f32(row, row).sqrt());
    let mean = (lengths().map(f64::from).sum::<f64>() / rows.count() as f64) as f32;
    let alike = mean > 0.0 && lengths().all(|length| (length - mean).abs() < 0.01 * mean);
    alike.then_some(mean)
}

/// `[N, dim]` as `[dim, N]`.
fn columns(rows: &[f32], dim: usize) -> Vec<f32> {
    let count = rows.len() / dim;
    let mut columns = vec![0.0; rows.len()];
    for (i, row) in rows.chunks_exact(dim).enumerate() {
        row.iter().enumerate().for_each(|(d, value)| columns[d * count + i] = *value);
    }
    columns
}

/// At most `most` vectors, in random order.
fn draw(rows: Rows<'_>, most: usize, seed: u64, what: &str) -> Vec<f32> {
    let chosen = sample(&mut stream(seed, what, 0), rows.count(), most.min(rows.count()));
    chosen.iter().flat_map(|row| rows.row(row).iter().copied()).collect()
}

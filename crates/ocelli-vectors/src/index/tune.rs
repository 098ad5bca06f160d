//! Choosing how thoroughly to search, so that a wanted share of the true neighbours is found with the least work.

use ocelli_method::random::stream;
use rand::seq::index::sample;

use super::error::IndexError;
use super::exact::exact;
use super::rows::Rows;
use super::search::{Hits, SearchParams};
use super::segment::Segment;
use super::{Index, Similarity};

/// Queries that recall is estimated on.
const QUERIES: usize = 1000;

/// What was chosen, and what it promises.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// The setting.
    pub params: SearchParams,
    /// Recall k at k on the sample.
    pub recall: f64,
    /// The standard error of it.
    pub error: f64,
    /// Queries of the sample.
    pub queries: usize,
    /// Estimated work a query, in microseconds of one core of the machine the estimate was made on.
    pub cost: f64,
}

/// Queries with their true neighbours.
#[derive(Clone, Debug)]
pub struct TuningSet {
    queries: Vec<f32>,
    truth: Hits,
    /// The id that each query has itself, which does not count as found.
    own: Option<Vec<u64>>,
}

impl TuningSet {
    /// Of real queries; more than a few hundred are sampled.
    ///
    /// # Errors
    /// [`IndexError`] for queries of another length, or an index that keeps no vectors.
    pub fn of_queries(index: &Index, queries: Rows<'_>, k: usize, seed: u64) -> Result<Self, IndexError> {
        if queries.count() == 0 {
            return Err(IndexError::Empty("the queries to tune with"));
        }
        let drawn = draw(queries, seed);
        let (vectors, ids) = kept(index)?;
        let truth = truth(index, &vectors, &ids, &drawn, k)?;
        Ok(Self { queries: drawn, truth, own: None })
    }

    /// Of the index's own vectors, each searched as if it were not there. Real queries often lie elsewhere: take them when
    /// there are some.
    ///
    /// # Errors
    /// [`IndexError`] for an index that keeps no vectors.
    pub fn of_index(index: &Index, k: usize, seed: u64) -> Result<Self, IndexError> {
        let (vectors, ids) = kept(index)?;
        let rows = Rows::new("the vectors", &vectors, index.dim())?;
        let chosen = sample(&mut stream(seed, "tuning", 0), rows.count(), QUERIES.min(rows.count()));
        let mut queries = Vec::new();
        let mut own = Vec::new();
        for row in chosen {
            queries.extend_from_slice(rows.row(row));
            own.push(ids[row]);
        }
        let truth = truth(index, &vectors, &ids, &queries, k + 1)?;
        Ok(Self { queries, truth, own: Some(own) })
    }

    /// Of queries `[Q, dim]` whose true neighbours are known already, the best first. Where the queries are vectors of the
    /// index themselves, `own` are their ids: these do not count, and the truth should have one neighbour more than will
    /// be searched for.
    ///
    /// # Errors
    /// [`IndexError::Setting`] when there is no query, or another number of truths or ids than of queries.
    pub fn of_truth(queries: Rows<'_>, truth: Hits, own: Option<Vec<u64>>) -> Result<Self, IndexError> {
        let count = queries.count();
        if count == 0 {
            return Err(IndexError::Empty("the queries to tune with"));
        }
        if truth.k == 0 || truth.ids.len() != count * truth.k {
            let wanted = format!("{} for each of the {count} queries", truth.k);
            return Err(IndexError::setting("true neighbours", truth.ids.len(), wanted));
        }
        if let Some(own) = own.as_ref().filter(|own| own.len() != count) {
            let wanted = format!("one for each of the {count} queries");
            return Err(IndexError::setting("own ids", own.len(), wanted));
        }
        Ok(Self { queries: queries.data().to_vec(), truth, own })
    }

    /// The share of the true neighbours among the first k found, and its standard error over the queries.
    fn recall(&self, index: &Index, params: &SearchParams) -> Result<(f64, f64), IndexError> {
        let queries = Rows::new("the queries", &self.queries, index.dim())?;
        // A query that is found itself takes a place.
        let k = params.k + usize::from(self.own.is_some());
        let found = index.search(queries, &SearchParams { k, ..*params })?;
        let mut shares = Vec::with_capacity(queries.count());
        let truths = self.truth.ids.chunks_exact(self.truth.k);
        for (i, (found, truth)) in found.ids.chunks_exact(k).zip(truths).enumerate() {
            let own = self.own.as_ref().map(|own| own[i]);
            let counts = |id: &u64| *id != Hits::NONE && Some(*id) != own;
            let found: Vec<u64> = found.iter().copied().filter(counts).take(params.k).collect();
            let wanted: Vec<u64> = truth.iter().copied().filter(counts).take(params.k).collect();
            let hits = wanted.iter().filter(|id| found.contains(id)).count();
            shares.extend((!wanted.is_empty()).then(|| hits as f64 / wanted.len() as f64));
        }
        let count = shares.len().max(1) as f64;
        let mean = shares.iter().sum::<f64>() / count;
        let squares: f64 = shares.iter().map(|share| (share - mean) * (share - mean)).sum();
        Ok((mean, squares.sqrt() / count))
    }
}

fn draw(queries: Rows<'_>, seed: u64) -> Vec<f32> {
    let chosen = sample(&mut stream(seed, "tuning", 0), queries.count(), QUERIES.min(queries.count()));
    chosen.iter().flat_map(|row| queries.row(row).iter().copied()).collect()
}

fn kept(index: &Index) -> Result<(Vec<f32>, Vec<u64>), IndexError> {
    let kept = index.vectors().ok_or_else(|| {
        IndexError::setting(
            "recall",
            "a target",
            "an index that keeps its vectors, to know the true neighbours",
        )
    })?;
    if kept.1.is_empty() { Err(IndexError::Empty("the index")) } else { Ok(kept) }
}

fn truth(index: &Index, vectors: &[f32], ids: &[u64], queries: &[f32], k: usize) -> Result<Hits, IndexError> {
    let dim = index.dim();
    let (rows, queries) = (Rows::new("the vectors", vectors, dim)?, Rows::new("the queries", queries, dim)?);
    let mut truth = exact(rows, queries, index.similarity(), k.min(rows.count()))?;
    truth.ids.iter_mut().filter(|id| **id != Hits::NONE).for_each(|id| *id = ids[*id as usize]);
    Ok(truth)
}

/// 1, 2, 3, 4, 6, 8, 11, ...: each about 1.41 times the one before.
fn ladder(most: usize) -> Vec<usize> {
    let steps = (0..).map(|i| 2f64.powf(f64::from(i) / 2.0).round() as usize);
    let mut ladder: Vec<usize> = steps.take_while(|step| *step < most).collect();
    ladder.push(most);
    ladder.dedup();
    ladder
}

impl Index {
    /// The cheapest setting whose recall on `set` is a standard error above `recall`; the most thorough one where none does.
    ///
    /// # Errors
    /// [`IndexError`] for a recall that is none.
    pub fn tune(&self, set: &TuningSet, k: usize, recall: f64) -> Result<Tuned, IndexError> {
        if !(recall > 0.0 && recall <= 1.0) {
            return Err(IndexError::setting("recall", recall, "above 0, at most 1"));
        }
        let leaves = ladder(self.partitions());
        let most = self.count().max(k);
        let mut best: Option<Tuned> = None;
        let queries = set.queries.len() / self.dim();
        let tuned = |leaves: usize, reorder: usize| -> Result<Tuned, IndexError> {
            let params = SearchParams { k, leaves, reorder };
            let (recall, error) = set.recall(self, &params)?;
            Ok(Tuned { params, recall, error, queries, cost: self.cost(&params) })
        };
        for factor in [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0] {
            let reorder = ((k as f64 * factor) as usize).min(most);
            // Recall rises with the partitions: the fewest that suffice are found by halving.
            let (mut low, mut high) = (0, leaves.len());
            while low < high {
                let middle = (low + high) / 2;
                let here = tuned(leaves[middle], reorder)?;
                // A sample that just reaches it would miss it on half of all other queries.
                if here.recall - here.error >= recall || here.recall >= 1.0 {
                    high = middle;
                    if best.is_none_or(|best| here.cost < best.cost) {
                        best = Some(here);
                    }
                } else {
                    low = middle + 1;
                    // What costs more than the best already cannot become the best.
                    if best.is_some_and(|best| here.cost >= best.cost) {
                        break;
                    }
                }
            }
            if reorder == most {
                break;
            }
        }
        best.map_or_else(|| tuned(self.partitions(), (48 * k).min(most)), Ok)
    }

    /// Estimated work of a query in microseconds. The constants are those of one core of a server of 2023 with AVX-512;
    /// others are slower, but in like proportion.
    pub fn cost(&self, params: &SearchParams) -> f64 {
        let (partitions, dim) = (self.partitions() as f64, self.dim() as f64);
        let positions: usize = self.segments.iter().map(Segment::positions).sum();
        let leaves = params.leaves.min(self.partitions()) as f64;
        // Queries look into large partitions more often than into small ones.
        let points = (1.3 * positions as f64 * leaves / partitions).min(positions as f64);
        let spilled = self.segments.iter().any(|segment| segment.members.is_some());
        let reorder = params.reorder.max(params.k) as f64 * if spilled { 1.6 } else { 1.0 };
        let blocks = self.shared.books.blocks() as f64;
        let centers = partitions * (3.0 + 0.012 * dim);
        let scan = points * (0.1 + 0.009 * blocks) + leaves * 25.0;
        let exact = reorder * (45.0 + 0.012 * self.shared.storage.bytes(self.dim()) as f64 * 4.0);
        (1500.0 + centers + scan + exact) / 1000.0
    }

    /// The setting that searches use when none is given.
    pub fn defaults(&self) -> Option<SearchParams> {
        self.defaults
    }

    /// Sets what [`Index::defaults`] gives; it is saved with the index.
    pub fn set_defaults(&mut self, params: SearchParams) {
        self.defaults = Some(params);
    }

    /// Whether high scores are good ones.
    pub fn rising(&self) -> bool {
        self.similarity() != Similarity::SquaredL2
    }
}

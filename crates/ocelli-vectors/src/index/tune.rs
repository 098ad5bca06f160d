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
/// Candidates a result that are scored exactly at most.
const MOST_REORDERED: usize = 48;
/// By what factor the estimate of a cost may be wrong against another.
const BELIEVED: f64 = 1.7;
/// Settings whose costs are measured, and those of them that are sought to the last candidate.
const TIMED: usize = 10;
const REFINED: usize = 3;

/// Says what each of some settings costs a query.
pub type Costs<'a> = dyn FnMut(&[SearchParams]) -> Result<Vec<f64>, IndexError> + 'a;

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
    /// Work a query in microseconds: as estimated by [`Index::cost`], or as measured.
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

    /// The queries, `[Q, dim]` for an index of vectors of `dim` numbers.
    ///
    /// # Errors
    /// [`IndexError::Ragged`] for another `dim` than that of the queries.
    pub fn queries(&self, dim: usize) -> Result<Rows<'_>, IndexError> {
        Rows::new("the queries to tune with", &self.queries, dim)
    }

    fn count(&self, dim: usize) -> usize {
        self.queries.len() / dim
    }

    /// At most `most` of the queries, spread evenly.
    fn some(&self, most: usize, dim: usize) -> Self {
        let count = self.count(dim);
        let rows = || (0..count).step_by(count.div_ceil(most).max(1));
        let k = self.truth.k;
        let truth = Hits {
            k,
            ids: rows().flat_map(|row| self.truth.ids[row * k..(row + 1) * k].iter().copied()).collect(),
            scores: Vec::new(),
        };
        Self {
            queries: rows()
                .flat_map(|row| self.queries[row * dim..(row + 1) * dim].iter().copied())
                .collect(),
            truth,
            own: self.own.as_ref().map(|own| rows().map(|row| own[row]).collect()),
        }
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

/// 1, 2, 3, …, then each about 1.19 times the one before, up to `most`.
fn ladder(first: usize, most: usize) -> Vec<usize> {
    let mut ladder = vec![first.min(most)];
    while let Some(&last) = ladder.last().filter(|last| **last < most) {
        ladder.push(((last as f64 * 2f64.powf(0.25)).round() as usize).max(last + 1).min(most));
    }
    ladder
}

/// What a setting is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Neighbours that count.
    pub k: usize,
    /// The share of them that is to be found.
    pub recall: f64,
    /// By how many standard errors the recall on the set must lie above: 0 where the set is all the queries that count,
    /// 1 where it stands for others, half of whose samples would miss a recall that is just reached on one.
    pub margin: f64,
    /// A cost that is not worth reaching: where the best setting turns out to cost more, it is not sought to the last
    /// candidate. Infinity where there is nothing to beat.
    pub limit: f64,
}

impl Goal {
    fn reached(&self, tuned: &Tuned, margin: f64) -> bool {
        tuned.recall - margin * tuned.error >= self.recall || tuned.recall >= 1.0
    }
}

/// A search among settings.
struct Tuning<'a> {
    index: &'a Index,
    /// All queries, and some that suffice to see about where to look.
    set: &'a TuningSet,
    some: TuningSet,
    goal: Goal,
    leaves: Vec<usize>,
    reorders: Vec<usize>,
}

impl Tuning<'_> {
    fn tried(&self, set: &TuningSet, leaves: usize, reorder: usize) -> Result<Tuned, IndexError> {
        let params = SearchParams { k: self.goal.k, leaves, reorder };
        let (recall, error) = set.recall(self.index, &params)?;
        Ok(Tuned {
            params,
            recall,
            error,
            queries: set.count(self.index.dim()),
            cost: self.index.cost(&params),
        })
    }

    /// Of numbers of partitions the least reordering that about reaches the recall. Both rise along a stair: with more
    /// partitions, less reordering may do. Partitions that cost much more than the best so far are not looked into.
    fn stair(&self) -> Result<Vec<Tuned>, IndexError> {
        let mut found: Vec<Tuned> = Vec::new();
        let mut height = self.reorders.len();
        let mut least = f64::INFINITY;
        for &leaves in &self.leaves {
            if self.index.cost(&SearchParams { k: self.goal.k, leaves, reorder: self.goal.k })
                > BELIEVED * least
            {
                break;
            }
            let mut best = None;
            while height > 0 {
                let here = self.tried(&self.some, leaves, self.reorders[height - 1])?;
                if !self.goal.reached(&here, if self.narrowed() { -1.0 } else { self.goal.margin }) {
                    break;
                }
                best = Some(here);
                height -= 1;
            }
            if let Some(best) = best {
                least = least.min(best.cost);
                found.push(best);
                // The next number is tried with this reordering first, which it reaches as well.
                height += 1;
            }
            if found.last().is_some_and(|last| last.params.reorder == self.reorders[0]) {
                break;
            }
        }
        found.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        found.retain(|tuned| tuned.cost <= BELIEVED * least);
        found.truncate(TIMED);
        Ok(found)
    }

    fn narrowed(&self) -> bool {
        self.some.queries.len() < self.set.queries.len()
    }

    /// The least reordering, to a single candidate, with which these partitions reach the recall on all queries; none
    /// where a little more than on some does not suffice.
    fn refined(&self, rough: &Tuned) -> Result<Option<Tuned>, IndexError> {
        let leaves = rough.params.leaves;
        let at = self.reorders.partition_point(|reorder| *reorder < rough.params.reorder);
        for (rung, &reorder) in self.reorders.iter().enumerate().skip(at).take(4) {
            let mut best = self.tried(self.set, leaves, reorder)?;
            if !self.goal.reached(&best, self.goal.margin) {
                continue;
            }
            // On some queries by themselves the recall may have been lower than on all.
            let below = if rung == at { 2 } else { 1 };
            let mut low = rung.checked_sub(below).map_or(self.goal.k - 1, |rung| self.reorders[rung]);
            while low + 1 < best.params.reorder {
                let middle = self.tried(self.set, leaves, (low + best.params.reorder) / 2)?;
                match self.goal.reached(&middle, self.goal.margin) {
                    true => best = middle,
                    false => low = middle.params.reorder,
                }
            }
            return Ok(Some(best));
        }
        Ok(None)
    }
}

impl Index {
    /// The setting with which this index reaches `recall` on `set` with a standard error to spare at the least cost by
    /// [`Index::cost`], the same on every machine; the most thorough one where none does.
    ///
    /// # Errors
    /// [`IndexError`] for a recall that is none.
    pub fn tune(&self, set: &TuningSet, k: usize, recall: f64) -> Result<Tuned, IndexError> {
        self.tune_by(set, &Goal { k, recall, margin: 1.0, limit: f64::INFINITY }, &mut |settings| {
            Ok(settings.iter().map(|params| self.cost(params)).collect())
        })
    }

    /// The setting that reaches the goal at the least cost. Of the few best by [`Index::cost`], `costs` says what each
    /// costs: the time of a query measured on the machine at hand, say, in microseconds. What is chosen is then no longer
    /// the same each time.
    ///
    /// # Errors
    /// [`IndexError`] for a recall that is none, or from `costs`.
    pub fn tune_by(&self, set: &TuningSet, goal: &Goal, costs: &mut Costs<'_>) -> Result<Tuned, IndexError> {
        if !(goal.recall > 0.0 && goal.recall <= 1.0) {
            return Err(IndexError::setting("recall", goal.recall, "above 0, at most 1"));
        }
        let most = self.count().max(goal.k);
        let tuning = Tuning {
            index: self,
            set,
            some: set.some(QUERIES, self.dim()),
            goal: *goal,
            leaves: ladder(1, self.partitions()),
            reorders: ladder(goal.k, most.min(goal.k.saturating_mul(MOST_REORDERED))),
        };
        let mut priced = |mut settings: Vec<Tuned>| -> Result<Vec<Tuned>, IndexError> {
            let params: Vec<SearchParams> = settings.iter().map(|tuned| tuned.params).collect();
            for (tuned, cost) in settings.iter_mut().zip(costs(&params)?) {
                tuned.cost = cost;
            }
            settings.sort_by(|a, b| a.cost.total_cmp(&b.cost));
            Ok(settings)
        };
        let mut refined = Vec::new();
        let roughly = priced(tuning.stair()?)?;
        if let Some(best) = roughly.first().filter(|best| best.cost > goal.limit) {
            return Ok(*best);
        }
        for rough in roughly {
            refined.extend(tuning.refined(&rough)?);
            if refined.len() == REFINED {
                break;
            }
        }
        match priced(refined)?.first() {
            Some(best) => Ok(*best),
            None => {
                let thorough = tuning.reorders.last().copied().unwrap_or(goal.k);
                let thorough = tuning.tried(set, self.partitions(), thorough)?;
                Ok(priced(vec![thorough])?[0])
            }
        }
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
        let point =
            if self.shared.books.grid.is_some() { 0.1 + 0.006 * blocks } else { 0.1 + 0.009 * blocks };
        let centers = partitions * (3.0 + 0.012 * dim);
        let scan = points * point + leaves * 25.0;
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

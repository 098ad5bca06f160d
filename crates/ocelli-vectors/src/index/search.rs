//! Searching an index.

use std::ops::Range;

use rayon::prelude::*;

use super::books::Table;
use super::candidates::{Candidates, best_ranks, keep_best, key, unkey};
use super::data::RowSet;
use super::error::IndexError;
use super::filter::Filter;
use super::import_choice::{Choice, whole_limit};
use super::rows::{Rows, Storage, normalize};
use super::segment::{Scoring, Segment};
use super::{Index, Similarity};
use crate::kernels::lut::{Kernel, Lookup, Points, UNIT};
use crate::kernels::rows::row_f32;

/// Queries that go through the partitions together.
const TOGETHER: usize = 64;

/// Up to so many vectors that a filter allows are all scored: that costs less than looking for them.
const FEW: usize = 1000;

/// From so many partitions on, the good ones are first looked for by rough scores.
const ROUGH: usize = 64;

/// How thoroughly is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SearchParams {
    /// Results a query.
    pub k: usize,
    /// Partitions that are looked into.
    pub leaves: usize,
    /// Candidates whose scores are computed exactly, at least `k`.
    pub reorder: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hits {
    /// Results a query.
    pub k: usize,
    /// `[Q, k]`, the best first, equal scores by id; [`Hits::NONE`] where there are fewer.
    pub ids: Vec<u64>,
    /// `[Q, k]`: inner products or cosines, falling, or squared distances, rising.
    pub scores: Vec<f32>,
}

impl Hits {
    /// Stands for no vector.
    pub const NONE: u64 = u64::MAX;
}

impl Index {
    /// The best vectors for each query.
    ///
    /// # Errors
    /// [`IndexError`] for queries of another length, NaN, or settings out of range.
    pub fn search(&self, queries: Rows<'_>, params: &SearchParams) -> Result<Hits, IndexError> {
        self.search_among(queries, params, None)
    }

    /// The best of the vectors that a filter allows. The fewer these are, the more partitions are looked into; where fewer
    /// than k are found though more are allowed, all allowed are looked at.
    ///
    /// # Errors
    /// As [`Index::search`]; [`IndexError::Setting`] for a filter made before vectors were added.
    pub fn search_filtered(
        &self,
        queries: Rows<'_>,
        params: &SearchParams,
        filter: &Filter,
    ) -> Result<Hits, IndexError> {
        if filter.allowed.len() != self.segments.len() {
            let wanted = "one made after the last vectors were added";
            return Err(IndexError::setting("filter", "outdated", wanted));
        }
        self.search_among(queries, params, Some(filter))
    }

    fn search_among(
        &self,
        queries: Rows<'_>,
        params: &SearchParams,
        filter: Option<&Filter>,
    ) -> Result<Hits, IndexError> {
        self.check(queries, params)?;
        let (dim, k) = (self.dim(), params.k);
        let mut hits =
            Hits { k, ids: vec![Hits::NONE; queries.count() * k], scores: vec![0.0; queries.count() * k] };
        let parts = hits.ids.par_chunks_mut(TOGETHER * k).zip(hits.scores.par_chunks_mut(TOGETHER * k));
        queries.data().par_chunks(TOGETHER * dim).zip(parts).for_each_init(
            || Searcher::new(self, *params, filter),
            |searcher, (queries, (ids, scores))| searcher.search(queries, ids, scores),
        );
        Ok(hits)
    }

    fn check(&self, queries: Rows<'_>, params: &SearchParams) -> Result<(), IndexError> {
        if queries.dim() != self.dim() {
            return Err(IndexError::Dimension {
                what: "the queries",
                found: queries.dim(),
                wanted: self.dim(),
            });
        }
        if params.k == 0 {
            return Err(IndexError::setting("k", 0, "at least 1"));
        }
        if params.leaves == 0 {
            return Err(IndexError::setting("leaves", 0, "at least 1"));
        }
        Ok(())
    }
}

/// Scratch space of one thread for queries of one setting.
pub(super) struct Searcher<'a> {
    index: &'a Index,
    params: SearchParams,
    filter: Option<&'a Filter>,
    /// Vectors that may be found.
    allowed: usize,
    kernel: Kernel,
    /// Candidates that codes choose.
    keep: usize,
    queries: Vec<f32>,
    leaf_scores: Vec<f32>,
    ranks: Vec<f32>,
    keys: Vec<u64>,
    tables: Vec<Table>,
    candidates: Vec<Candidates>,
    /// Partition, query, and the score of the partition's centre.
    visits: Vec<(u32, u32, f32)>,
    rows: Vec<u32>,
    scores: Vec<f32>,
    best: Vec<(f32, u64)>,
    /// Where the published package searches each partition by itself: lists of the queries, and one of a partition.
    choices: Option<(Vec<Choice>, Choice)>,
}

impl<'a> Searcher<'a> {
    pub(super) fn new(index: &'a Index, params: SearchParams, filter: Option<&'a Filter>) -> Self {
        let (alive, partitions) = (index.count(), index.partitions());
        let allowed = filter.map_or(alive, Filter::count);
        // What is allowed is as near as before, but what is found among it lies farther away.
        let wider = match index.shared.storage {
            Storage::None if filter.is_some() => partitions as f64,
            _ => (alive as f64 / allowed.max(1) as f64).sqrt(),
        };
        let params = SearchParams {
            leaves: ((params.leaves as f64 * wider).ceil() as usize).min(partitions),
            reorder: params.reorder.max(params.k),
            ..params
        };
        // A vector in two partitions may be there twice.
        let spilled = index.segments.iter().any(|segment| segment.members.is_some());
        let most: usize = index.segments.iter().map(Segment::positions).sum();
        let taken = match index.shared.package {
            _ if !spilled => params.reorder,
            Some(package) => package.taken(params.reorder),
            None => 2 * params.reorder,
        };
        let keep = taken.min(most.max(1));
        Self {
            index,
            params,
            filter,
            allowed,
            kernel: Kernel::best(),
            keep,
            queries: Vec::new(),
            leaf_scores: Vec::new(),
            ranks: Vec::new(),
            keys: Vec::new(),
            tables: Vec::new(),
            candidates: Vec::new(),
            visits: Vec::new(),
            rows: Vec::new(),
            scores: Vec::new(),
            best: Vec::new(),
            choices: (filter.is_none() && index.searched_one_by_one()).then(Default::default),
        }
    }

    /// Searches for up to [`TOGETHER`] queries, `[Q, dim]`.
    pub(super) fn search(&mut self, queries: &[f32], ids: &mut [u64], scores: &mut [f32]) {
        let (dim, k) = (self.index.dim(), self.params.k);
        self.queries.clear();
        self.queries.extend_from_slice(queries);
        if self.index.shared.similarity == Similarity::Cosine {
            self.queries.chunks_exact_mut(dim).for_each(normalize);
        }
        let count = queries.len() / dim;
        let stored = self.index.shared.storage != Storage::None;
        let few = if self.filter.is_some() { FEW.max(self.params.reorder) } else { self.params.reorder };
        let all = stored && self.allowed <= few;
        if !all {
            self.prepare(count);
            self.choose_leaves(count);
            self.visit();
        }
        for (query, (ids, scores)) in ids.chunks_exact_mut(k).zip(scores.chunks_exact_mut(k)).enumerate() {
            if all {
                self.score_all(query);
            } else {
                self.score_candidates(query);
                if self.filter.is_some() && stored && self.best.len() < self.params.k.min(self.allowed) {
                    self.score_all(query);
                }
            }
            self.finish(query, ids, scores);
        }
    }

    /// Exact scores of all vectors that may be found.
    fn score_all(&mut self, query: usize) {
        self.best.clear();
        for number in 0..self.index.segments.len() {
            let segment = &self.index.segments[number];
            let allowed = self.filter.map(|filter| &filter.allowed[number]);
            self.rows.clear();
            match allowed {
                Some(allowed) => {
                    self.rows.extend(allowed.rows().filter(|row| !segment.deleted.contains(*row)));
                }
                None => {
                    let rows = 0..segment.ids.count() as u32;
                    self.rows.extend(rows.filter(|row| !segment.deleted.contains(*row)));
                }
            }
            self.score_rows(segment, query);
        }
    }

    /// Exact scores of `rows`; false where vectors are not kept.
    fn score_rows(&mut self, segment: &Segment, query: usize) -> bool {
        let dim = self.index.dim();
        self.scores.resize(self.rows.len(), 0.0);
        let query = &self.queries[query * dim..(query + 1) * dim];
        if !segment.rows.dots(query, &self.rows, &mut self.scores) {
            return false;
        }
        if let Some(halves) = &segment.halves {
            let add = |(score, row): (&mut f32, &u32)| *score += halves[*row as usize];
            self.scores.iter_mut().zip(&self.rows).for_each(add);
        }
        let scored = self.rows.iter().zip(&self.scores);
        self.best.extend(scored.map(|(&row, &score)| (score, segment.ids.get(row as usize))));
        true
    }

    fn prepare(&mut self, count: usize) {
        let dim = self.index.dim();
        self.tables.resize_with(count.max(self.tables.len()), Table::default);
        let keep = self.keep;
        self.candidates.resize_with(count.max(self.candidates.len()), || Candidates::new(keep));
        for (query, table) in self.queries.chunks_exact(dim).zip(&mut self.tables) {
            let distances = self.index.shared.scoring == Scoring::Distances;
            self.index.shared.books.table(query, distances, table);
        }
        self.candidates.iter_mut().for_each(Candidates::clear);
    }

    /// Lists the visits of all queries: first each query's best partition, then the others by partition.
    fn choose_leaves(&mut self, count: usize) {
        let centers = &self.index.shared.centers;
        let number = centers.count();
        let rough = self.index.shared.rough && number >= ROUGH;
        match rough {
            true => centers.rough_products(&self.queries, &mut self.leaf_scores),
            false => centers.products(&self.queries, &mut self.leaf_scores),
        }
        let leaves = self.params.leaves;
        let looked_at = if rough { leaves + leaves / 8 + 3 } else { leaves };
        let centered = self.index.shared.scoring == Scoring::Residual;
        let dim = centers.dim;
        self.visits.clear();
        for (query, scores) in self.leaf_scores.chunks_exact_mut(number).take(count).enumerate() {
            let vector = &self.queries[query * dim..(query + 1) * dim];
            let factor = self.index.shared.nearness(vector);
            self.ranks.clear();
            match factor {
                Some(factor) => self.ranks.extend(
                    scores.iter().zip(&centers.offsets).map(|(score, offset)| score + factor * offset),
                ),
                None => self.ranks.extend_from_slice(scores),
            }
            best_ranks(&self.ranks, looked_at, &mut self.keys);
            if rough {
                for known in &mut self.keys {
                    let leaf = unkey(*known).1;
                    let at = leaf as usize;
                    scores[at] = row_f32(vector, centers.center(at));
                    let rank = factor.map_or(scores[at], |factor| scores[at] + factor * centers.offsets[at]);
                    *known = key(rank, leaf);
                }
                keep_best(&mut self.keys, leaves);
            }
            let chosen = &self.keys;
            let first = if self.choices.is_none() { chosen.iter().copied().min() } else { None };
            for &key in chosen.iter() {
                let leaf = unkey(key).1;
                // Sorts before all partitions.
                let order = if Some(key) == first { leaf } else { leaf | 1 << 31 };
                let base = if centered { scores[leaf as usize] } else { 0.0 };
                self.visits.push((order, query as u32, base));
            }
        }
        self.visits.sort_unstable_by_key(|&(leaf, query, _)| (leaf, query));
    }

    fn visit(&mut self) {
        if let Some((all, own)) = self.choices.take() {
            self.choices = Some(self.visit_one_by_one(all, own));
            return;
        }
        let mut start = 0;
        while start < self.visits.len() {
            let leaf = self.visits[start].0;
            let same = self.visits[start..].iter().take_while(|visit| visit.0 == leaf).count();
            for (number, segment) in self.index.segments.iter().enumerate() {
                let points = segment.points(&self.index.shared, (leaf & !(1 << 31)) as usize);
                if points.count > 0 {
                    self.visit_leaf(number, points, start..start + same);
                }
            }
            start += same;
        }
    }

    /// Candidates as the published package chooses them partition by partition.
    fn visit_one_by_one(&mut self, mut all: Vec<Choice>, mut own: Choice) -> (Vec<Choice>, Choice) {
        let Some(segment) = self.index.segments.first() else { return (all, own) };
        all.resize_with(self.candidates.len(), Choice::default);
        all.iter_mut().for_each(|all| all.start(self.keep, f32::INFINITY, false));
        for &(leaf, query, _) in &self.visits {
            let points = segment.points(&self.index.shared, (leaf & !(1 << 31)) as usize);
            let (table, all) = (&self.tables[query as usize], &mut all[query as usize]);
            let hits = &mut self.candidates[query as usize].hits;
            own.start(self.keep, whole_limit(all.limit(), table.multiplier), true);
            let (mut unit, units) = (0, points.count.div_ceil(UNIT));
            while unit < units {
                // A step more than counts, as products are rounded.
                let lookup = lookup(table, 0.0, -table.scale * (own.limit() + 1.0));
                unit = self.kernel.scan(points, unit..units, lookup, hits);
                for (&score, &position) in hits.scores[..hits.len].iter().zip(&hits.positions) {
                    let sum = (-score * table.multiplier).round();
                    if sum < own.limit() {
                        own.push(sum, u64::from(position));
                    }
                }
                hits.len = 0;
            }
            for (sum, position) in own.finish() {
                let value = sum * table.scale;
                if value <= all.limit() {
                    // Ids of what is taken over are row numbers.
                    let row = segment.row_at(position as u32 - segment.base);
                    all.push(value, segment.ids.get(row as usize) << 32 | position);
                }
            }
        }
        for (all, candidates) in all.iter_mut().zip(&mut self.candidates) {
            for (i, (value, number)) in all.finish().enumerate() {
                (candidates.hits.scores[i], candidates.hits.positions[i]) = (-value, number as u32);
                candidates.hits.len = i + 1;
            }
        }
        (all, own)
    }

    /// Scores a partition for the queries that visit it, four at a time.
    fn visit_leaf(&mut self, number: usize, points: Points<'_>, visits: Range<usize>) {
        let segment = &self.index.segments[number];
        let allowed = self.filter.map(|filter| &filter.allowed[number]);
        let units = points.count.div_ceil(UNIT);
        let (fours, rest) = self.visits[visits].as_chunks::<4>();
        for four in fours {
            let queries = four.map(|(_, query, _)| query as usize);
            let mut unit = 0;
            while unit < units {
                let lookups: [Lookup<'_>; 4] = std::array::from_fn(|i| {
                    lookup(&self.tables[queries[i]], four[i].2, self.candidates[queries[i]].threshold)
                });
                let Ok(candidates) = self.candidates.get_disjoint_mut(queries) else { break };
                let before = [0, 1, 2, 3].map(|i: usize| candidates[i].hits.len);
                let [a, b, c, d] = candidates;
                unit = self.kernel.scan_four(
                    points,
                    unit..units,
                    &lookups,
                    [&mut a.hits, &mut b.hits, &mut c.hits, &mut d.hits],
                );
                for (candidates, before) in [a, b, c, d].into_iter().zip(before) {
                    settle(self.index, segment, allowed, candidates, before, unit < units);
                }
            }
        }
        for &(_, query, base) in rest {
            let candidates = &mut self.candidates[query as usize];
            let mut unit = 0;
            while unit < units {
                let lookup = lookup(&self.tables[query as usize], base, candidates.threshold);
                let before = candidates.hits.len;
                unit = self.kernel.scan(points, unit..units, lookup, &mut candidates.hits);
                settle(self.index, segment, allowed, candidates, before, unit < units);
            }
        }
    }

    /// Exact scores of a query's candidates, or those of their codes where vectors are not kept.
    fn score_candidates(&mut self, query: usize) {
        cut(self.index, &mut self.candidates[query]);
        self.best.clear();
        for segment in &self.index.segments {
            let hits = &self.candidates[query].hits;
            let end = segment.base + segment.positions() as u32;
            let found = hits.positions[..hits.len].iter().zip(&hits.scores[..hits.len]);
            let own = found.filter(|(position, _)| (segment.base..end).contains(position));
            self.keys.clear();
            self.keys.extend(own.map(|(&position, &score)| {
                u64::from(segment.row_at(position - segment.base)) << 32 | u64::from(score.to_bits())
            }));
            if segment.members.is_some() {
                self.once(segment);
            }
            // In the order they lie in memory.
            self.keys.sort_unstable();
            self.rows.clear();
            self.rows.extend(self.keys.iter().map(|key| (key >> 32) as u32));
            if !self.score_rows(segment, query) {
                let scored = self.keys.iter().map(|key| (f32::from_bits(*key as u32), (key >> 32) as usize));
                self.best.extend(scored.map(|(score, row)| (score, segment.ids.get(row))));
            }
        }
    }

    /// Leaves of each row the better score, or in the package's way their mean, and of the rows the best: those that stand
    /// twice took others' places.
    fn once(&mut self, segment: &Segment) {
        let score = |key: u64| f32::from_bits(key as u32);
        let mean = self.index.shared.package.is_some();
        self.keys.sort_unstable_by(|a, b| (a >> 32).cmp(&(b >> 32)).then(score(*b).total_cmp(&score(*a))));
        self.keys.dedup_by(|other, first| {
            let same = *other >> 32 == *first >> 32;
            if same && mean {
                let score = 0.5 * score(*first) + 0.5 * score(*other);
                *first = *first >> 32 << 32 | u64::from(score.to_bits());
            }
            same
        });
        if self.keys.len() > self.params.reorder {
            let id = |key: u64| if mean { segment.ids.get((key >> 32) as usize) } else { key };
            let best = |a: &u64, b: &u64| score(*b).total_cmp(&score(*a)).then_with(|| id(*a).cmp(&id(*b)));
            self.keys.select_nth_unstable_by(self.params.reorder, best);
            self.keys.truncate(self.params.reorder);
        }
    }

    /// Puts the best in order.
    fn finish(&mut self, query: usize, ids: &mut [u64], scores: &mut [f32]) {
        let order = |a: &(f32, u64), b: &(f32, u64)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if self.best.len() > self.params.k {
            self.best.select_nth_unstable_by(self.params.k, order);
            self.best.truncate(self.params.k);
        }
        self.best.sort_unstable_by(order);
        let dim = self.index.dim();
        let query = &self.queries[query * dim..(query + 1) * dim];
        // |q - x|^2 = |q|^2 - 2 (<q, x> - |x|^2 / 2)
        let squared = (self.index.shared.similarity == Similarity::SquaredL2).then(|| row_f32(query, query));
        for (i, (id, score)) in ids.iter_mut().zip(scores).enumerate() {
            (*score, *id) = self.best.get(i).copied().unwrap_or((f32::NEG_INFINITY, Hits::NONE));
            if let Some(squared) = squared {
                *score = (squared - 2.0 * *score).max(0.0);
            }
        }
    }
}

fn lookup(table: &Table, base: f32, threshold: f32) -> Lookup<'_> {
    Lookup { table: &table.entries, scale: table.scale, base: base + table.base, threshold }
}

/// Takes out what may not be found and makes room where the scan stopped for want of it.
fn settle(
    index: &Index,
    segment: &Segment,
    allowed: Option<&RowSet>,
    candidates: &mut Candidates,
    before: usize,
    stopped: bool,
) {
    if allowed.is_some() || segment.deleted.count() > 0 {
        candidates.retain(before, |position| {
            let row = segment.row_at(position - segment.base);
            allowed.is_none_or(|allowed| allowed.contains(row)) && !segment.deleted.contains(row)
        });
    }
    if stopped {
        cut(index, candidates);
    }
}

/// Leaves the best candidates, equal ones in the index's order.
fn cut(index: &Index, candidates: &mut Candidates) {
    match index.shared.package {
        Some(package) if package.by_id => candidates.cut_by(|position| index.place_at(position).1),
        // Of those that stand in a partition a second time, positions go by their first.
        Some(_) if index.segments.iter().any(|segment| segment.members.is_some()) => {
            candidates.cut_by(|position| index.place_at(position));
        }
        _ => candidates.cut(),
    }
}

//! Approximate nearest-neighbour search: how many of the true neighbours were returned.
//!
//! The record of a query is a [`NeighbourResult`]; merging parts of a test set is listing their records.
//!
//! | metric | definition |
//! |---|---|
//! | recall 1@N | share of queries whose true best item is among the first N returned |
//! | recall k@k | share of the true first k that are among the first k returned, mean over queries |
//! | recall with tolerance | share of the first k returned whose true score is at least that of the k-th true neighbour less eps |
//! | relative error | \|⟨q, x⟩ - ⟨q, x̃⟩\| / \|⟨q, x⟩\| at the true best item x, x̃ being its quantised form |
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | ANN-1 | of equal scores the smaller index ranks first | strict | `the_smaller_index_wins_ties` |
//! | ANN-2 | with tolerance, returned items count that are as good as the true ones without being among them, so it may exceed the plain recall | strict | `tolerance_forgives_equals` |
//! | ANN-3 | a query that returned fewer than k items is divided by k all the same | strict | `short_answers_lose` |
//! | ANN-4 | an item returned twice would count twice | corrected: it counts once | `an_item_counts_once` |

use crate::{Matrix, Result, check};
use rayon::prelude::*;
use serde::Serialize;

/// What a query returned against what it should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeighbourResult {
    /// Position of the true best item among those returned, from 0; `None` when it was not.
    pub best_at: Option<usize>,
    /// For k = 1, 2, …: how many of the true first k are among the first k returned.
    pub common: Vec<usize>,
}

impl NeighbourResult {
    /// From the ids returned and the true ids, both best first. Negative ids stand for no answer.
    pub fn new(returned: &[i64], truth: &[i64]) -> Result<Self> {
        check::at_least("true neighbours", truth.len(), 1)?;
        let place: std::collections::HashMap<i64, usize> =
            truth.iter().enumerate().rev().map(|(i, id)| (*id, i)).collect();
        let mut seen = std::collections::HashSet::new();
        // An item is common from that k on which reaches it in both lists.
        let mut enters = vec![0usize; truth.len() + 1];
        for (at, id) in returned.iter().enumerate().filter(|(_, id)| **id >= 0) {
            if let (Some(&true_at), true) = (place.get(id), seen.insert(*id)) {
                enters[at.max(true_at).min(truth.len())] += 1;
            }
        }
        let mut so_far = 0;
        let count = |n: &usize| {
            so_far += n;
            so_far
        };
        let common = enters[..truth.len()].iter().map(count).collect();
        Ok(Self { best_at: returned.iter().position(|id| *id == truth[0] && *id >= 0), common })
    }
}

/// Share of queries whose true best item is among the first `n` returned.
pub fn recall_of_best<'a>(queries: impl IntoIterator<Item = &'a NeighbourResult>, n: usize) -> Result<f64> {
    mean(queries.into_iter().map(|q| f64::from(u8::from(q.best_at.is_some_and(|at| at < n)))))
}

/// Share of the true first `k` among the first `k` returned, mean over queries. Fails when fewer true neighbours are
/// known.
pub fn recall<'a>(queries: impl IntoIterator<Item = &'a NeighbourResult>, k: usize) -> Result<f64> {
    let share = |query: &NeighbourResult| match k.checked_sub(1).and_then(|i| query.common.get(i)) {
        Some(common) => Ok(*common as f64 / k as f64),
        None => {
            Err(check::setting("k", k, &format!("1 to {}, the true neighbours known", query.common.len())))
        }
    };
    let shares: Vec<f64> = queries.into_iter().map(share).collect::<Result<_>>()?;
    mean(shares.into_iter())
}

/// The first `k` rows of `items` `[N, D]` by inner product with each row of `queries` `[Q, D]`, and all inner products.
/// Fewer than `k` where there are fewer items.
pub fn by_inner_product(queries: Matrix<'_>, items: Matrix<'_>, k: usize) -> Result<Vec<Ranking>> {
    items.same_width(&queries)?;
    let rank = |q: usize| {
        let row = queries.row(q);
        let scores: Vec<f64> = items.iter().map(|item| crate::similarity::dot(row, item)).collect();
        Ranking { ids: first(&scores, k), scores }
    };
    Ok((0..queries.rows()).into_par_iter().map(rank).collect())
}

/// Items ranked for one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// The best items, best first.
    pub ids: Vec<usize>,
    /// The score of every item.
    pub scores: Vec<f64>,
}

/// Indices of the `k` largest scores, largest first; of equal ones the smaller index first.
fn first(scores: &[f64], k: usize) -> Vec<usize> {
    let mut ids: Vec<usize> = (0..scores.len()).collect();
    // Adding 0 makes the two zeros one.
    let better = |a: &usize, b: &usize| (scores[*b] + 0.0).total_cmp(&(scores[*a] + 0.0)).then(a.cmp(b));
    if k < ids.len() {
        ids.select_nth_unstable_by(k, better);
        ids.truncate(k);
    }
    ids.sort_unstable_by(better);
    ids
}

/// Share of the first `k` returned `ids` whose true score is at least the k-th best true score less `eps`.
pub fn recall_with_tolerance(ids: &[usize], truth: &Ranking, k: usize, eps: f64) -> Result<f64> {
    let last = k.checked_sub(1).and_then(|i| truth.ids.get(i));
    let last = last.ok_or_else(|| check::setting("k", k, "no more than the true neighbours known"))?;
    let least = truth.scores[*last] - eps;
    let good = |id: &&usize| truth.scores.get(**id).is_some_and(|s| *s >= least);
    Ok(ids.iter().take(k).filter(good).count() as f64 / k as f64)
}

/// Relative error of the score of the true best item, from all true and all approximate scores.
pub fn relative_error(truth: &Ranking, approximate: &Ranking) -> Result<f64> {
    check::same_length("approximate scores", approximate.scores.len(), "true scores", truth.scores.len())?;
    check::at_least("true neighbours", truth.ids.len(), 1)?;
    let exact = truth.scores[truth.ids[0]];
    Ok((exact - approximate.scores[truth.ids[0]]).abs() / exact.abs())
}

fn mean(values: impl Iterator<Item = f64>) -> Result<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
    check::at_least("queries", count, 1)?;
    Ok(sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_with_k() {
        let found = NeighbourResult::new(&[3, 9, 1, 2], &[1, 2, 3]).unwrap();
        assert_eq!((found.best_at, &found.common), (Some(2), &vec![0, 0, 2]));
        assert_eq!(recall([&found], 3).unwrap(), 2.0 / 3.0);
        assert_eq!(recall_of_best([&found], 2).unwrap(), 0.0);
        assert_eq!(recall_of_best([&found], 3).unwrap(), 1.0);
        assert!(recall([&found], 4).is_err() && recall([&found], 0).is_err());
        assert!(recall([], 1).is_err());
    }

    #[test]
    fn the_smaller_index_wins_ties() {
        let items = Matrix::new("items", &[1.0, 2.0, 2.0, 0.0, 2.0], [5, 1]).unwrap();
        let query = Matrix::new("queries", &[1.0], [1, 1]).unwrap();
        assert_eq!(by_inner_product(query, items, 2).unwrap()[0].ids, [1, 2]);
        assert_eq!(by_inner_product(query, items, 9).unwrap()[0].ids, [1, 2, 4, 0, 3]);
    }

    #[test]
    fn tolerance_forgives_equals() {
        let truth = Ranking { ids: vec![0, 1], scores: vec![1.0, 0.5, 0.4995] };
        assert_eq!(recall_with_tolerance(&[0, 2], &truth, 2, 1e-3).unwrap(), 1.0);
        assert_eq!(recall_with_tolerance(&[0, 2], &truth, 2, 1e-4).unwrap(), 0.5);
        assert!(recall_with_tolerance(&[0], &truth, 3, 1e-3).is_err());
    }

    #[test]
    fn short_answers_lose() {
        let found = NeighbourResult::new(&[1, -1, -1], &[1, 2, 3]).unwrap();
        assert_eq!(recall([&found], 3).unwrap(), 1.0 / 3.0);
        let truth = Ranking { ids: vec![0, 1], scores: vec![1.0, 0.5] };
        assert_eq!(recall_with_tolerance(&[0], &truth, 2, 0.0).unwrap(), 0.5);
    }

    #[test]
    fn an_item_counts_once() {
        let found = NeighbourResult::new(&[1, 1, 1], &[1, 2, 3]).unwrap();
        assert_eq!(found.common, [1, 1, 1]);
    }

    #[test]
    fn errors_are_relative_to_the_best() {
        let truth = Ranking { ids: vec![1], scores: vec![0.1, -2.0] };
        let approximate = Ranking { ids: vec![0], scores: vec![9.0, -1.5] };
        assert_eq!(relative_error(&truth, &approximate).unwrap(), 0.25);
        let short = Ranking { ids: vec![0], scores: vec![9.0] };
        assert!(relative_error(&truth, &short).is_err());
    }

    #[test]
    fn shards_listed_one_after_the_other_are_the_single_pass() {
        let queries: Vec<NeighbourResult> =
            (0..30).map(|i| NeighbourResult::new(&[i % 3, 5, i % 7], &[i % 5, 5]).unwrap()).collect();
        let (a, b) = queries.split_at(11);
        assert_eq!(recall(a.iter().chain(b), 2).unwrap(), recall(&queries, 2).unwrap());
    }
}

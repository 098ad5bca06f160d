//! Identification: a probe is looked up in a gallery. *Closed set*: its mate is there. *Open set*: it may be a stranger,
//! who should be turned away.
//!
//! | function | a probe is identified when | used by |
//! |---|---|---|
//! | [`rank_one`] | the most similar gallery item has its label | SCface, CASIA NIR-VIS, M2FPA |
//! | [`cmc`] | an item of its label is among the k most similar | the curve of the same |
//! | [`rank_k`] | its one mate is among the k most similar and above the threshold of a false-accept rate | IJB-style 1:N, CurricularFace's evaluator |
//! | [`mate_strict`] | its mate is more similar than every distractor | MegaFace, IR-Softmax |
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | IDN-1 | rank-k: of equal scores the later column ranks first, to the mate's loss or gain | strict | `later_columns_win_ties` |
//! | IDN-2 | rank-1 by label and CMC: of equal scores the earlier item ranks first | strict | `the_first_of_equals_is_rank_one` |
//! | IDN-3 | closed set: the threshold is the smallest score of the whole table less 1e-10, also rows without a mate | strict | `closed_set_turns_nobody_away` |
//! | IDN-4 | open set: false-accept rates count probes without a mate by their best score, with the rule `rank-round` | strict | `open_set_thresholds_come_from_strangers` |
//! | IDN-5 | the closed set is chosen by giving the rates exactly \[1.0\], which in the open set would be the lowest threshold | strict in [`IdentificationTask::from_fars`]; an enum elsewhere | `closed_set_turns_nobody_away` |
//! | IDN-6 | mate-strict: a distractor that ties with the mate wins | strict | `a_tie_with_a_distractor_is_lost` |
//! | IDN-7 | rank-1 by label: a probe without a mate counts as missed; CMC leaves it out | strict | `probes_without_a_mate` |

use crate::roc::rank_round;
use crate::similarity::{dot, unit_rows};
use crate::{Matrix, MetricError, Result, check};
use rayon::prelude::*;
use serde::Serialize;

/// Whether strangers are among the probes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum IdentificationTask {
    /// Every probe has a mate; nobody is turned away.
    ClosedSet,
    /// Probes below the threshold are turned away.
    OpenSet {
        /// Shares of strangers that may pass.
        fars: Vec<f64>,
    },
}

impl IdentificationTask {
    /// The tool's way to choose: exactly `[1.0]` means the closed set.
    pub fn from_fars(fars: &[f64]) -> Self {
        if fars == [1.0] { Self::ClosedSet } else { Self::OpenSet { fars: fars.to_vec() } }
    }
}

/// Detection and identification rates at one threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IdentificationPoint {
    /// Mates with scores ≥ it are detected.
    pub threshold: f64,
    /// Share of probes without a mate whose best score is ≥ the threshold; 0 if there are none.
    pub far: f64,
    /// For each of the ranks asked for, the share of probes with a mate that are detected within that rank.
    pub dir: Vec<f64>,
}

/// Position of each probe's one mate, from a table of the scores' shape, `true` where a gallery item is the mate.
///
/// Fails when a probe has several.
pub fn mates_from_labels(labels: &[bool], [probes, gallery]: [usize; 2]) -> Result<Vec<Option<usize>>> {
    if probes.checked_mul(gallery) != Some(labels.len()) || gallery == 0 {
        let found = labels.len();
        return Err(MetricError::Shape { name: "labels", found, rows: probes, columns: gallery });
    }
    let mate = |(probe, row): (usize, &[bool])| match row.iter().filter(|m| **m).count() {
        0 | 1 => Ok(row.iter().position(|m| *m)),
        found => Err(MetricError::SeveralMates { probe, found }),
    };
    labels.chunks_exact(gallery).enumerate().map(mate).collect()
}

/// Detection and identification rate within each of `ranks`, at each threshold of the task.
///
/// `scores` is `[probes, gallery]`; `mates[p]` is the column of probe p's mate, if it has one. Fails without probes
/// that have a mate, and in the open set without probes that have none.
pub fn rank_k(
    scores: Matrix<'_>,
    mates: &[Option<usize>],
    task: &IdentificationTask,
    ranks: &[usize],
) -> Result<Vec<IdentificationPoint>> {
    check::same_length("mates", mates.len(), scores.name(), scores.rows())?;
    check::ranks("ranks", ranks)?;
    if let Some(column) = mates.iter().flatten().find(|c| **c >= scores.columns()) {
        return Err(check::setting("mate", column, "a column of the scores"));
    }
    let mated: Vec<Mate> = (0..scores.rows())
        .into_par_iter()
        .filter_map(|p| mates[p].map(|column| Mate::of(scores.row(p), column)))
        .collect();
    check_class("probes with a mate", mated.len())?;
    let mut strangers: Vec<f64> =
        scores.iter().zip(mates).filter(|(_, m)| m.is_none()).map(|(row, _)| largest(row)).collect();
    strangers.sort_unstable_by(|a, b| b.total_cmp(a));

    let thresholds: Vec<f64> = match task {
        IdentificationTask::ClosedSet => {
            vec![scores.values().iter().copied().fold(f64::INFINITY, f64::min) - 1e-10]
        }
        IdentificationTask::OpenSet { fars } => {
            check::rates("fars", fars)?;
            check_class("probes without a mate", strangers.len())?;
            fars.iter().map(|&far| rank_round(&strangers, far).value).collect()
        }
    };
    let share = |t: f64, k: usize| mated.iter().filter(|m| m.score >= t && m.rank <= k).count();
    let point = |&threshold: &f64| IdentificationPoint {
        threshold,
        far: strangers.partition_point(|&s| s >= threshold) as f64 / strangers.len().max(1) as f64,
        dir: ranks.iter().map(|&k| share(threshold, k) as f64 / mated.len() as f64).collect(),
    };
    Ok(thresholds.iter().map(point).collect())
}

/// A probe's mate in its row of scores.
struct Mate {
    score: f64,
    /// From 1; of equal scores the later column comes first.
    rank: usize,
}

impl Mate {
    fn of(row: &[f64], column: usize) -> Self {
        let score = row[column];
        let ahead = |(i, &s): (usize, &f64)| s > score || (s == score && i > column);
        Self { score, rank: 1 + row.iter().enumerate().filter(|e| ahead(*e)).count() }
    }
}

/// Which probes find their label at rank 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankOne {
    /// Share of probes that do.
    pub accuracy: f64,
    /// For each probe whether it does.
    pub hits: Vec<bool>,
}

impl RankOne {
    /// Accuracy of each group of probes (pose, distance, race …), `None` for a group without probes.
    ///
    /// `group[p]` is the group of probe p, below `groups`.
    pub fn by_group(&self, group: &[usize], groups: usize) -> Result<Vec<Option<f64>>> {
        check::same_length("group", group.len(), "probes", self.hits.len())?;
        let mut counts = vec![(0usize, 0usize); groups];
        for (&hit, &g) in self.hits.iter().zip(group) {
            let (hits, total) = counts
                .get_mut(g)
                .ok_or_else(|| check::setting("group", g, &format!("an index below {groups}")))?;
            *hits += usize::from(hit);
            *total += 1;
        }
        let share = |(hits, total): (usize, usize)| (total > 0).then(|| hits as f64 / total as f64);
        Ok(counts.into_iter().map(share).collect())
    }
}

/// Share of probes whose most similar gallery item, the first of equals, has their label.
///
/// `similarity` is `[probes, gallery]`, for instance from [`crate::similarity::pairwise`].
pub fn rank_one(similarity: Matrix<'_>, probe_labels: &[i64], gallery_labels: &[i64]) -> Result<RankOne> {
    check_labels(similarity, probe_labels, gallery_labels)?;
    let best = |row: &[f64]| gallery_labels[crate::evenly_spaced::first_maximum(row.iter())];
    let hits: Vec<bool> =
        similarity.iter().zip(probe_labels).map(|(row, label)| best(row) == *label).collect();
    let accuracy = hits.iter().filter(|h| **h).count() as f64 / hits.len() as f64;
    Ok(RankOne { accuracy, hits })
}

/// Mean similarity of the pairs of equal label less that of all other pairs: DDL's expectation margin.
pub fn expectation_margin(
    similarity: Matrix<'_>,
    probe_labels: &[i64],
    gallery_labels: &[i64],
) -> Result<f64> {
    let (genuine, impostor) = crate::similarity::split_by_label(similarity, probe_labels, gallery_labels)?;
    check::both_classes(genuine.len(), impostor.len(), "the pairs of a probe and a gallery item")?;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    Ok(mean(&genuine) - mean(&impostor))
}

/// A cumulative match characteristic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cmc {
    /// Share of probes with a match within rank 1, 2, ….
    pub rates: Vec<f64>,
    /// Number of probes that have a match in the gallery; only they count.
    pub probes: usize,
}

impl Cmc {
    /// From each probe's rank of its first match (from 1), for ranks 1 to `max_rank`.
    pub fn from_first_matches(first_match: &[usize], max_rank: usize) -> Result<Self> {
        check_class("probes with a match", first_match.len())?;
        check::ranks("rank of the first match", first_match)?;
        if max_rank == 0 {
            return Err(check::setting("max_rank", 0, "at least 1"));
        }
        let mut found = vec![0usize; max_rank];
        for &rank in first_match.iter().filter(|r| **r <= max_rank) {
            found[rank - 1] += 1;
        }
        let mut so_far = 0;
        let rate = |count: usize| {
            so_far += count;
            so_far as f64 / first_match.len() as f64
        };
        Ok(Self { rates: found.into_iter().map(rate).collect(), probes: first_match.len() })
    }
}

/// Share of probes with an item of their label among the k most similar, k from 1 to `max_rank`; of equal scores the
/// earlier gallery item comes first; probes without a match are left out.
pub fn cmc(
    similarity: Matrix<'_>,
    probe_labels: &[i64],
    gallery_labels: &[i64],
    max_rank: usize,
) -> Result<Cmc> {
    check_labels(similarity, probe_labels, gallery_labels)?;
    let first_match = |(row, label): (&[f64], &i64)| {
        let matching = || (0..row.len()).filter(|&i| gallery_labels[i] == *label);
        let best = matching().nth(crate::evenly_spaced::first_maximum(matching().map(|i| row[i])))?;
        let ahead = |i: usize| row[i] > row[best] || (row[i] == row[best] && i < best);
        Some(1 + (0..row.len()).filter(|&i| ahead(i)).count())
    };
    let ranks: Vec<usize> = similarity.iter().zip(probe_labels).filter_map(first_match).collect();
    Cmc::from_first_matches(&ranks, max_rank)
}

/// Share of probes whose mate is more similar, by cosine, than every distractor: MegaFace's rank-1.
///
/// `probe` and `mate` are `[Q, D]`, row q of one belonging to row q of the other; `distractors` is `[G, D]`. No table
/// of Q × G is made.
pub fn mate_strict(probe: Matrix<'_>, mate: Matrix<'_>, distractors: Matrix<'_>) -> Result<RankOne> {
    check::same_length(mate.name(), mate.rows(), probe.name(), probe.rows())?;
    mate.same_width(&probe)?;
    distractors.same_width(&probe)?;
    let width = probe.columns();
    let [probes, mates, others] = [unit_rows(probe)?, unit_rows(mate)?, unit_rows(distractors)?];
    let wins = |(p, m): (&[f64], &[f64])| {
        let own = dot(p, m);
        others.chunks_exact(width).all(|other| own > dot(p, other))
    };
    let hits: Vec<bool> =
        probes.par_chunks_exact(width).zip(mates.par_chunks_exact(width)).map(wins).collect();
    let accuracy = hits.iter().filter(|h| **h).count() as f64 / hits.len() as f64;
    Ok(RankOne { accuracy, hits })
}

fn largest(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn check_labels(similarity: Matrix<'_>, probe_labels: &[i64], gallery_labels: &[i64]) -> Result<()> {
    check::same_length("probe_labels", probe_labels.len(), similarity.name(), similarity.rows())?;
    check::same_length("gallery_labels", gallery_labels.len(), similarity.name(), similarity.columns())
}

fn check_class(class: &'static str, count: usize) -> Result<()> {
    if count > 0 { Ok(()) } else { Err(MetricError::MissingClass { class, within: "the probes".to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(values: &[f64], columns: usize) -> Matrix<'_> {
        Matrix::new("scores", values, [values.len() / columns, columns]).unwrap()
    }

    fn open(fars: &[f64]) -> IdentificationTask {
        IdentificationTask::OpenSet { fars: fars.to_vec() }
    }

    #[test]
    fn later_columns_win_ties() {
        let scores = table(&[0.5, 0.5, 0.5, 0.1], 4);
        let rank = |column| {
            let points =
                rank_k(scores, &[Some(column)], &IdentificationTask::ClosedSet, &[1, 2, 3, 4]).unwrap();
            points[0].dir.iter().position(|d| *d == 1.0).unwrap() + 1
        };
        assert_eq!([rank(0), rank(1), rank(2), rank(3)], [3, 2, 1, 4]);
    }

    #[test]
    fn the_first_of_equals_is_rank_one() {
        let scores = table(&[0.5, 0.7, 0.7], 3);
        let hit = |gallery: &[i64]| rank_one(scores, &[1], gallery).unwrap().hits[0];
        assert!(hit(&[0, 1, 2]));
        assert!(!hit(&[0, 2, 1]));
        assert_eq!(cmc(scores, &[1], &[0, 2, 1], 3).unwrap().rates, [0.0, 1.0, 1.0]);
        assert_eq!(cmc(scores, &[1], &[1, 2, 1], 3).unwrap().rates, [0.0, 1.0, 1.0]);
        assert_eq!(cmc(scores, &[1], &[1, 1, 2], 3).unwrap().rates, [1.0, 1.0, 1.0]);
    }

    #[test]
    fn closed_set_turns_nobody_away() {
        assert_eq!(IdentificationTask::from_fars(&[1.0]), IdentificationTask::ClosedSet);
        assert_eq!(IdentificationTask::from_fars(&[1.0, 0.1]), open(&[1.0, 0.1]));
        let scores = table(&[0.9, 0.2, 0.4, 0.6, -0.3, 0.0], 2);
        let mates = [Some(1), Some(1), None];
        let points = rank_k(scores, &mates, &IdentificationTask::ClosedSet, &[1, 2]).unwrap();
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].threshold, -0.3 - 1e-10);
        assert_eq!(points[0].far, 1.0);
        assert_eq!(points[0].dir, [0.5, 1.0]);
        // Without strangers the rate is 0.
        let all_mated = [Some(1), Some(1), Some(0)];
        assert_eq!(rank_k(scores, &all_mated, &IdentificationTask::ClosedSet, &[1]).unwrap()[0].far, 0.0);
    }

    #[test]
    fn open_set_thresholds_come_from_strangers() {
        // Strangers' best scores: 0.8 and 0.3. Mates: 0.9 (rank 1), 0.3 (rank 2), 0.5 (rank 1).
        let scores = table(&[0.9, 0.2, 0.8, 0.1, 0.4, 0.3, 0.2, 0.3, 0.5, 0.0], 2);
        let mates = [Some(0), None, Some(1), None, Some(0)];
        let points = rank_k(scores, &mates, &open(&[0.0, 0.5, 1.0]), &[1, 2]).unwrap();
        let third = 1.0 / 3.0;
        assert_eq!((points[0].threshold, points[0].far), (0.8 + 1e-8, 0.0));
        assert_eq!(points[0].dir, [third, third]);
        assert_eq!((points[1].threshold, points[1].far), (0.8, 0.5));
        assert_eq!((points[2].threshold, points[2].far), (0.3, 1.0));
        assert_eq!(points[2].dir, [2.0 * third, 1.0]);
    }

    #[test]
    fn a_tie_with_a_distractor_is_lost() {
        let probe = table(&[1.0, 0.0, 0.0, 1.0], 2);
        let mate = table(&[1.0, 1.0, 0.0, 2.0], 2);
        // The first probe's mate ties with (2, 2) in direction, the second's is beaten by none.
        let distractors = table(&[2.0, 2.0, -1.0, 0.0], 2);
        let found = mate_strict(probe, mate, distractors).unwrap();
        assert_eq!((found.accuracy, found.hits), (0.5, vec![false, true]));
    }

    #[test]
    fn probes_without_a_mate() {
        let scores = table(&[0.9, 0.1, 0.2, 0.8], 2);
        assert_eq!(rank_one(scores, &[1, 9], &[1, 2]).unwrap().accuracy, 0.5);
        let curve = cmc(scores, &[1, 9], &[1, 2], 1).unwrap();
        assert_eq!((curve.rates, curve.probes), (vec![1.0], 1));
        assert!(matches!(cmc(scores, &[8, 9], &[1, 2], 1), Err(MetricError::MissingClass { .. })));
    }

    #[test]
    fn groups_share_the_probes() {
        let found = RankOne { accuracy: 0.5, hits: vec![true, false, true, false] };
        assert_eq!(found.by_group(&[0, 0, 2, 0], 3).unwrap(), [Some(1.0 / 3.0), None, Some(1.0)]);
        assert!(found.by_group(&[0, 0, 3, 0], 3).is_err());
        assert!(found.by_group(&[0], 3).is_err());
    }

    #[test]
    fn margin_of_expectations() {
        let scores = table(&[0.8, 0.1, 0.3, 0.6], 2);
        let margin = expectation_margin(scores, &[1, 2], &[1, 2]).unwrap();
        assert!((margin - 0.5).abs() < 1e-15);
        assert!(expectation_margin(scores, &[1, 2], &[3, 3]).is_err());
    }

    #[test]
    fn refuses_bad_input() {
        assert_eq!(mates_from_labels(&[false, true, false, false], [2, 2]).unwrap(), [Some(1), None]);
        assert!(matches!(
            mates_from_labels(&[true, false, true, true], [2, 2]),
            Err(MetricError::SeveralMates { probe: 1, found: 2 })
        ));
        assert!(mates_from_labels(&[true], [2, 2]).is_err());
        assert!(mates_from_labels(&[], [2, 0]).is_err());
        let scores = table(&[0.9, 0.1, 0.2, 0.8], 2);
        let closed = IdentificationTask::ClosedSet;
        assert!(rank_k(scores, &[Some(0)], &closed, &[1]).is_err());
        assert!(rank_k(scores, &[Some(0), Some(2)], &closed, &[1]).is_err());
        assert!(rank_k(scores, &[Some(0), Some(1)], &closed, &[0]).is_err());
        assert!(rank_k(scores, &[None, None], &closed, &[1]).is_err());
        assert!(rank_k(scores, &[Some(0), Some(1)], &open(&[0.1]), &[1]).is_err());
        assert!(rank_k(scores, &[Some(0), None], &open(&[1.5]), &[1]).is_err());
        assert!(rank_one(scores, &[1], &[1, 2]).is_err());
        assert!(cmc(scores, &[1, 2], &[1, 2], 0).is_err());
        assert!(Cmc::from_first_matches(&[0], 3).is_err());
        assert!(mate_strict(scores, table(&[1.0, 1.0], 2), scores).is_err());
        assert!(mate_strict(scores, table(&[0.0; 4], 2), scores).is_err());
    }
}

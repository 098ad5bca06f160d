//! Re-identification: each query ranks the gallery; mean average precision and CMC.
//!
//! Two conventions are in use. [`ReidOptions::market`] is that of Market-1501: cosine, gallery items of the query's own
//! identity *and* camera left out, junk (identity -1) left out. [`ReidOptions::plain`] is that of COCAS and of most
//! libraries: Euclidean distance on the features as they are, the camera rule optional, no junk. Both areas are
//! reported, for the Market protocol prints the trapezoid and nearly everyone else the plain one.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | REID-1 | queries without a match are left out of both averages | strict, their number is reported | `junk_and_queries_without_a_match` |
//! | REID-2 | junk -1 is dropped by the Market protocol only; elsewhere -1 is an identity | strict, [`ReidOptions::drop_junk`] | `junk_and_queries_without_a_match` |
//! | REID-3 | equal distances keep the order of the gallery | strict | `equal_distances_keep_the_gallery_order` |
//! | REID-4 | ranks beyond the end of a filtered gallery count as found | strict | `short_galleries_are_padded` |
//! | REID-5 | the camera rule shortens the list: a same-camera picture neither helps nor hurts | strict | `the_camera_rule_shortens_the_list` |

use crate::average_precision::{ApRule, average_precision};
use crate::identification::Cmc;
use crate::similarity::{Comparer, Measure};
use crate::{Matrix, MetricError, Result, check};
use rayon::prelude::*;
use serde::Serialize;

/// The identity that marks junk pictures in the Market protocol.
pub const JUNK: i64 = -1;

/// Who and where the pictures of a set are.
#[derive(Clone, Copy, Debug)]
pub struct Pictures<'a> {
    /// Identity of each.
    pub ids: &'a [i64],
    /// Camera of each.
    pub cameras: &'a [i64],
}

/// How the gallery is ranked and filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ReidOptions {
    /// How features are compared; plays no part in [`evaluate_distances`].
    pub measure: Measure,
    /// Leave out gallery items that share identity and camera with the query.
    pub camera_filter: bool,
    /// Leave out gallery items of identity [`JUNK`].
    pub drop_junk: bool,
    /// Length of the CMC curve.
    pub max_rank: usize,
}

impl ReidOptions {
    /// The Market-1501 protocol.
    pub fn market(max_rank: usize) -> Self {
        Self { measure: Measure::Cosine, camera_filter: true, drop_junk: true, max_rank }
    }

    /// Euclidean ranking without junk, with or without the camera rule (COCAS).
    pub fn plain(camera_filter: bool, max_rank: usize) -> Self {
        Self { measure: Measure::Euclidean, camera_filter, drop_junk: false, max_rank }
    }
}

/// Re-identification results over the queries that have a match.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReidReport {
    /// Mean average precision, plain area.
    pub map: f64,
    /// Mean average precision, trapezoid area.
    pub map_trapezoid: f64,
    /// Share of queries with a match within rank 1, 2, … `max_rank`.
    pub cmc: Vec<f64>,
    /// Number of queries that have a match.
    pub valid_queries: usize,
    /// Plain average precision of each query, `None` without a match.
    pub average_precision: Vec<Option<f64>>,
}

/// A rule of the user's own: whether a gallery item (second index) may stand in the list of a query (first index). It
/// comes on top of the camera rule and the junk rule; that of clothes-changing protocols is one.
pub type Listed<'a> = &'a (dyn Fn(usize, usize) -> bool + Sync);

/// Ranks the gallery for each query by its features and averages over queries.
///
/// `query` is `[Q, D]`, `gallery` `[G, D]`. No table of Q × G is kept.
pub fn evaluate(
    query: Matrix<'_>,
    query_pictures: Pictures<'_>,
    gallery: Matrix<'_>,
    gallery_pictures: Pictures<'_>,
    options: &ReidOptions,
) -> Result<ReidReport> {
    let sets = (query_pictures, gallery_pictures);
    report(match_ranks((query, gallery), sets, options, &|_, _| true)?, options)
}

/// The same from distances `[Q, G]`, smaller being more alike (negate similarities).
pub fn evaluate_distances(
    distances: Matrix<'_>,
    query_pictures: Pictures<'_>,
    gallery_pictures: Pictures<'_>,
    options: &ReidOptions,
) -> Result<ReidReport> {
    let sets = (query_pictures, gallery_pictures);
    report(match_ranks_by_distance(distances, sets, options, &|_, _| true)?, options)
}

/// Ranks of the matches of each query in its filtered list, from 1: the records that [`report`] averages. Records of
/// parts of the query set may be listed one after the other.
pub fn match_ranks(
    (query, gallery): (Matrix<'_>, Matrix<'_>),
    (query_pictures, gallery_pictures): (Pictures<'_>, Pictures<'_>),
    options: &ReidOptions,
    listed: Listed<'_>,
) -> Result<Vec<Vec<usize>>> {
    let comparer = Comparer::new(query, gallery, options.measure)?;
    let shape = [query.rows(), gallery.rows()];
    let sets = Sets::new(query_pictures, gallery_pictures, shape, *options, listed)?;
    let distances = |q: usize| {
        let mut row = comparer.row(q);
        if options.measure == Measure::Cosine {
            row.iter_mut().for_each(|v| *v = -*v);
        }
        row
    };
    Ok((0..query.rows()).into_par_iter().map(|q| sets.matches(q, &distances(q))).collect())
}

/// The same from distances `[Q, G]`, smaller being more alike.
pub fn match_ranks_by_distance(
    distances: Matrix<'_>,
    (query_pictures, gallery_pictures): (Pictures<'_>, Pictures<'_>),
    options: &ReidOptions,
    listed: Listed<'_>,
) -> Result<Vec<Vec<usize>>> {
    let shape = [distances.rows(), distances.columns()];
    let sets = Sets::new(query_pictures, gallery_pictures, shape, *options, listed)?;
    Ok((0..shape[0]).into_par_iter().map(|q| sets.matches(q, distances.row(q))).collect())
}

/// Averages over the queries that have a match, from the ranks of the matches of each.
pub fn report(matches: Vec<Vec<usize>>, options: &ReidOptions) -> Result<ReidReport> {
    let valid: Vec<&Vec<usize>> = matches.iter().filter(|m| !m.is_empty()).collect();
    let Some(valid_queries) = (!valid.is_empty()).then_some(valid.len()) else {
        let within = "the filtered gallery lists of all queries".to_owned();
        return Err(MetricError::MissingClass { class: "matches", within });
    };
    let mean = |rule| -> Result<f64> {
        let each = valid.iter().map(|ranks| average_precision(ranks, ranks.len(), rule));
        Ok(each.sum::<Result<f64>>()? / valid_queries as f64)
    };
    let of_query = |ranks: &Vec<usize>| average_precision(ranks, ranks.len(), ApRule::Plain).ok();
    let first: Vec<usize> = valid.iter().map(|ranks| ranks[0]).collect();
    Ok(ReidReport {
        map: mean(ApRule::Plain)?,
        map_trapezoid: mean(ApRule::Trapezoid)?,
        cmc: Cmc::from_first_matches(&first, options.max_rank)?.rates,
        valid_queries,
        average_precision: matches.iter().map(of_query).collect(),
    })
}

/// Both sets, checked.
struct Sets<'a> {
    query: Pictures<'a>,
    gallery: Pictures<'a>,
    options: ReidOptions,
    listed: Listed<'a>,
}

impl<'a> Sets<'a> {
    fn new(
        query: Pictures<'a>,
        gallery: Pictures<'a>,
        [queries, items]: [usize; 2],
        options: ReidOptions,
        listed: Listed<'a>,
    ) -> Result<Self> {
        check::same_length("query ids", query.ids.len(), "the query set", queries)?;
        check::same_length("query cameras", query.cameras.len(), "the query set", queries)?;
        check::same_length("gallery ids", gallery.ids.len(), "the gallery", items)?;
        check::same_length("gallery cameras", gallery.cameras.len(), "the gallery", items)?;
        Ok(Self { query, gallery, options, listed })
    }

    /// Whether gallery item `g` takes part in the list of query `q`.
    fn is_listed(&self, q: usize, g: usize) -> bool {
        let own_view =
            self.gallery.ids[g] == self.query.ids[q] && self.gallery.cameras[g] == self.query.cameras[q];
        let junk = self.gallery.ids[g] == JUNK;
        let left_out = self.options.camera_filter && own_view || self.options.drop_junk && junk;
        !left_out && (self.listed)(q, g)
    }

    /// Ranks of the matches of query `q` in its filtered list, from 1.
    fn matches(&self, q: usize, distances: &[f64]) -> Vec<usize> {
        let mut listed: Vec<usize> = (0..distances.len()).filter(|&g| self.is_listed(q, g)).collect();
        // Adding 0 makes the two zeros one.
        listed.sort_by(|&a, &b| (distances[a] + 0.0).total_cmp(&(distances[b] + 0.0)));
        let matches = |(rank, g): (usize, usize)| (self.gallery.ids[g] == self.query.ids[q]).then_some(rank);
        (1..).zip(listed).filter_map(matches).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures<'a>(ids: &'a [i64], cameras: &'a [i64]) -> Pictures<'a> {
        Pictures { ids, cameras }
    }

    fn one_query(
        distances: &[f64],
        ids: &[i64],
        cameras: &[i64],
        options: ReidOptions,
    ) -> Result<ReidReport> {
        let table = Matrix::new("distances", distances, [1, distances.len()]).unwrap();
        evaluate_distances(table, pictures(&[1], &[1]), pictures(ids, cameras), &options)
    }

    #[test]
    fn junk_and_queries_without_a_match() {
        let distances =
            Matrix::new("distances", &[0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4, 0.4, 0.3, 0.2, 0.1], [3, 4])
                .unwrap();
        // Query 0 is person 1, query 1 a person nobody has seen, query 2 person -1.
        let query = pictures(&[1, 7, -1], &[1, 1, 1]);
        let gallery = pictures(&[-1, 2, 1, 2], &[2, 2, 2, 2]);
        let market = evaluate_distances(distances, query, gallery, &ReidOptions::market(3)).unwrap();
        assert_eq!((market.map, market.valid_queries), (0.5, 1));
        assert_eq!(market.cmc, [0.0, 1.0, 1.0]);
        assert_eq!(market.average_precision, [Some(0.5), None, None]);
        let plain = evaluate_distances(distances, query, gallery, &ReidOptions::plain(true, 4)).unwrap();
        assert_eq!(plain.average_precision, [Some(1.0 / 3.0), None, Some(0.25)]);
        assert_eq!(plain.cmc, [0.0, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn equal_distances_keep_the_gallery_order() {
        let ap = |ids: &[i64]| {
            one_query(&[0.5, 0.0, 0.5, -0.0], ids, &[2; 4], ReidOptions::plain(false, 1)).unwrap().map
        };
        assert_eq!(ap(&[3, 1, 3, 3]), 1.0);
        assert_eq!(ap(&[3, 3, 3, 1]), 0.5);
        assert_eq!(ap(&[1, 3, 3, 3]), 1.0 / 3.0);
        assert_eq!(ap(&[3, 3, 1, 3]), 0.25);
        // A list long enough for a sort that does not keep the order: 34, 33 and 33 items at three distances.
        let distances: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 3)).collect();
        let mut ids = [3; 100];
        ids[70] = 1;
        let long = one_query(&distances, &ids, &[2; 100], ReidOptions::plain(false, 1)).unwrap();
        let ahead = |i: &usize| distances[*i] < distances[70] || (distances[*i] == distances[70] && *i < 70);
        assert_eq!(long.map, 1.0 / (1 + (0..100).filter(ahead).count()) as f64);
    }

    #[test]
    fn short_galleries_are_padded() {
        let report = one_query(&[0.5, 0.1], &[1, 2], &[2, 2], ReidOptions::plain(true, 5)).unwrap();
        assert_eq!(report.cmc, [0.0, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn the_camera_rule_shortens_the_list() {
        // Nearest: the query's own picture from its camera; then a stranger; then the match of another camera.
        let (distances, ids, cameras) = ([0.1, 0.2, 0.3], [1, 2, 1], [1, 1, 2]);
        let with = one_query(&distances, &ids, &cameras, ReidOptions::plain(true, 1)).unwrap();
        assert_eq!((with.map, with.map_trapezoid, with.cmc[0]), (0.5, 0.25, 0.0));
        let without = one_query(&distances, &ids, &cameras, ReidOptions::plain(false, 1)).unwrap();
        assert_eq!((without.map, without.cmc[0]), ((1.0 + 2.0 / 3.0) / 2.0, 1.0));
    }

    #[test]
    fn a_rule_of_ones_own_shortens_the_list_too() {
        let table = Matrix::new("distances", &[0.1, 0.2, 0.3], [1, 3]).unwrap();
        let sets = (pictures(&[1], &[1]), pictures(&[2, 1, 1], &[2, 2, 2]));
        let ranks = |listed: Listed<'_>| {
            match_ranks_by_distance(table, sets, &ReidOptions::plain(true, 1), listed).unwrap()
        };
        assert_eq!(ranks(&|_, _| true), [[2, 3]]);
        assert_eq!(ranks(&|_, g| g != 1), [[2]]);
    }

    #[test]
    fn features_rank_by_either_measure() {
        // By angle the long vector is nearest, by distance the short one.
        let query = Matrix::new("query", &[1.0, 0.0], [1, 2]).unwrap();
        let gallery = Matrix::new("gallery", &[9.0, 0.0, 0.5, 0.5], [2, 2]).unwrap();
        let first = |options: ReidOptions| {
            let sets = (pictures(&[1], &[1]), pictures(&[1, 2], &[2, 2]));
            evaluate(query, sets.0, gallery, sets.1, &options).unwrap().cmc[0]
        };
        assert_eq!(first(ReidOptions::market(1)), 1.0);
        assert_eq!(first(ReidOptions::plain(true, 1)), 0.0);
    }

    #[test]
    fn refuses_bad_input() {
        let options = ReidOptions::plain(true, 1);
        assert_eq!(
            one_query(&[0.1], &[2], &[2], options).unwrap_err().to_string(),
            "no matches among the filtered gallery lists of all queries; the protocol needs some"
        );
        assert!(matches!(one_query(&[0.1], &[1, 1], &[2], options), Err(MetricError::Length { .. })));
        assert!(matches!(one_query(&[0.1], &[1], &[], options), Err(MetricError::Length { .. })));
        assert!(one_query(&[0.1], &[1], &[2], ReidOptions::plain(true, 0)).is_err());
    }
}

//! Retrieval by binary codes: each query ranks the database by Hamming distance.
//!
//! The record of a query is a [`QueryResult`]; merging parts of a test set is listing their records.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | HASH-1 | average precision counts the first R items only, and divides by the hits found among them, not by all there are | strict | `precision_is_divided_by_the_hits_found` |
//! | HASH-2 | a query without hits has average precision 0 and counts in the mean | strict | `queries_without_hits_count` |
//! | HASH-3 | of equal distances the earlier item of the database ranks first | strict | `equal_distances_keep_the_order` |
//! | HASH-4 | nothing within the radius is precision 0 | strict | `an_empty_radius_is_zero` |
//! | HASH-5 | the sign of 0 is +1, and bit i of a code lies in byte i / 8 at position i mod 8 | strict | `codes_are_packed_from_the_lowest_bit` |

use crate::{Matrix, MetricError, Result, check};
use rayon::prelude::*;
use serde::Serialize;

/// Packed binary codes, all of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    bits: usize,
    /// `[N, ceil(bits / 64)]`.
    words: Vec<u64>,
}

/// What a query found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryResult {
    /// Precision averaged over the hits among the first R.
    pub average_precision: f64,
    /// Share of relevant items among the first k, for each k asked for.
    pub precision_at: Vec<f64>,
    /// Share of relevant items among those within the radius.
    pub precision_in_radius: f64,
    /// Number of relevant items in the whole database.
    pub relevant: usize,
}

/// Means over queries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HashingReport {
    /// Mean average precision.
    pub map: f64,
    /// Mean precision among the first k, for each k asked for.
    pub precision_at: Vec<f64>,
    /// Mean precision within the radius.
    pub precision_in_radius: f64,
}

/// What is asked of a ranking.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HashingOptions {
    /// R: how many items of the ranking count in the average precision; `None` for all.
    pub top: Option<usize>,
    /// The ks of the precisions.
    pub at: Vec<usize>,
    /// The Hamming radius.
    pub radius: usize,
}

impl Default for HashingOptions {
    /// The whole ranking; precision at 1 and 10; radius 2.
    fn default() -> Self {
        Self { top: None, at: vec![1, 10], radius: 2 }
    }
}

impl Codes {
    /// The signs of real outputs `[N, bits]`; 0 counts as +1.
    pub fn from_signs(outputs: Matrix<'_>) -> Self {
        let bits = outputs.columns();
        let words = outputs
            .iter()
            .flat_map(|row| row.chunks(64).map(|c| word(c.iter().map(|v| *v >= 0.0))))
            .collect();
        Self { bits, words }
    }

    /// Codes packed into bytes `[N, ceil(bits / 8)]`, the least significant bit first.
    pub fn from_bytes(bytes: &[u8], bits: usize) -> Result<Self> {
        let width = bits.div_ceil(8);
        if bits == 0 || bytes.is_empty() || !bytes.len().is_multiple_of(width) {
            let (found, rows) = (bytes.len(), bytes.len().checked_div(width).unwrap_or(0));
            return Err(MetricError::Shape { name: "packed codes", found, rows, columns: width });
        }
        let bit = |row: &[u8], i: usize| row[i / 8] >> (i % 8) & 1 == 1;
        let of_row = |row: &[u8]| -> Vec<u64> {
            (0..bits.div_ceil(64))
                .map(|w| word((64 * w..bits.min(64 * w + 64)).map(|i| bit(row, i))))
                .collect()
        };
        Ok(Self { bits, words: bytes.chunks_exact(width).flat_map(of_row).collect() })
    }

    /// The codes packed into bytes `[N, ceil(bits / 8)]`, the least significant bit first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let width = self.bits.div_ceil(8);
        self.rows().flat_map(|row| row.iter().flat_map(|w| w.to_le_bytes()).take(width)).collect()
    }

    /// Length of a code.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Number of codes.
    pub fn len(&self) -> usize {
        self.words.len() / self.width()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The codes as +1 and -1, `[N, bits]`.
    pub fn signs(&self) -> Vec<i64> {
        let sign = |row: &[u64], i: usize| if row[i / 64] >> (i % 64) & 1 == 1 { 1 } else { -1 };
        self.rows().flat_map(|row| (0..self.bits).map(move |i| sign(row, i))).collect()
    }

    /// Hamming distances from code `index` to all of `others`.
    ///
    /// # Panics
    /// When there is no such code or the lengths differ.
    pub fn distances(&self, index: usize, others: &Codes) -> Vec<usize> {
        assert_eq!(self.bits, others.bits, "codes of different lengths");
        let own = &self.words[index * self.width()..(index + 1) * self.width()];
        let distance = |row: &[u64]| own.iter().zip(row).map(|(a, b)| (a ^ b).count_ones() as usize).sum();
        others.rows().map(distance).collect()
    }

    fn width(&self) -> usize {
        self.bits.div_ceil(64).max(1)
    }

    fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.words.chunks_exact(self.width())
    }
}

fn word(bits: impl Iterator<Item = bool>) -> u64 {
    bits.enumerate().fold(0, |word, (i, bit)| word | u64::from(bit) << i)
}

/// Labels of items: items are relevant to one another when they share one.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// One class an item.
    Single(&'a [i64]),
    /// `[N, classes]`, 1 for each of an item's classes, else 0.
    MultiHot(Matrix<'a>),
}

impl Labels<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Single(labels) => labels.len(),
            Self::MultiHot(table) => table.rows(),
        }
    }

    fn share(&self, index: usize, others: &Self, other: usize) -> bool {
        match (self, others) {
            (Self::Single(a), Self::Single(b)) => a[index] == b[other],
            (Self::MultiHot(a), Self::MultiHot(b)) => {
                a.row(index).iter().zip(b.row(other)).any(|(x, y)| *x != 0.0 && *y != 0.0)
            }
            _ => false,
        }
    }
}

/// Ranks the database for each query.
pub fn evaluate(
    (query, query_labels): (&Codes, Labels<'_>),
    (database, database_labels): (&Codes, Labels<'_>),
    options: &HashingOptions,
) -> Result<Vec<QueryResult>> {
    check::at_least("queries", query.len(), 1)?;
    check::at_least("database", database.len(), 1)?;
    check::same_length("query labels", query_labels.len(), "queries", query.len())?;
    check::same_length("database labels", database_labels.len(), "database", database.len())?;
    check::ranks("at", &options.at)?;
    if query.bits != database.bits {
        let wanted = format!("{} bits, as the database has", database.bits);
        return Err(MetricError::Columns { name: "query codes", found: query.bits, wanted });
    }
    match (query_labels, database_labels) {
        (Labels::MultiHot(a), Labels::MultiHot(b)) => a.same_width(&b)?,
        (Labels::Single(_), Labels::Single(_)) => {}
        _ => {
            return Err(check::setting(
                "labels",
                "of two kinds",
                "single labels or multi-hot rows in both sets",
            ));
        }
    }
    let one = |q: usize| {
        let distances = query.distances(q, database);
        let relevant: Vec<bool> =
            (0..database.len()).map(|d| query_labels.share(q, &database_labels, d)).collect();
        QueryResult::new(&distances, &relevant, query.bits, options)
    };
    Ok((0..query.len()).into_par_iter().map(one).collect())
}

impl QueryResult {
    fn new(distances: &[usize], relevant: &[bool], bits: usize, options: &HashingOptions) -> Self {
        let ranked = relevance_in_order(distances, relevant, bits);
        let top = options.top.unwrap_or(ranked.len()).min(ranked.len());
        let (mut hits, mut sum) = (0usize, 0.0);
        for (rank, _) in (1..).zip(&ranked[..top]).filter(|(_, r)| **r) {
            hits += 1;
            sum += hits as f64 / rank as f64;
        }
        let share = |part: &[bool]| match part.len() {
            0 => 0.0,
            all => part.iter().filter(|r| **r).count() as f64 / all as f64,
        };
        let within = distances.iter().filter(|d| **d <= options.radius).count();
        Self {
            average_precision: if hits == 0 { 0.0 } else { sum / hits as f64 },
            precision_at: options.at.iter().map(|k| share(&ranked[..(*k).min(ranked.len())])).collect(),
            precision_in_radius: share(&ranked[..within]),
            relevant: relevant.iter().filter(|r| **r).count(),
        }
    }
}

/// Relevance by rising distance, in the order of the database where equal: a counting sort.
fn relevance_in_order(distances: &[usize], relevant: &[bool], bits: usize) -> Vec<bool> {
    let mut next = vec![0usize; bits + 2];
    distances.iter().for_each(|d| next[d + 1] += 1);
    for d in 0..=bits {
        next[d + 1] += next[d];
    }
    let mut ranked = vec![false; distances.len()];
    for (&d, &r) in distances.iter().zip(relevant) {
        ranked[next[d]] = r;
        next[d] += 1;
    }
    ranked
}

/// Means over queries, at least one.
pub fn report<'a>(queries: impl IntoIterator<Item = &'a QueryResult>) -> Result<HashingReport> {
    let queries: Vec<&QueryResult> = queries.into_iter().collect();
    check::at_least("queries", queries.len(), 1)?;
    let mean = |value: &dyn Fn(&QueryResult) -> f64| {
        queries.iter().map(|q| value(q)).sum::<f64>() / queries.len() as f64
    };
    Ok(HashingReport {
        map: mean(&|q| q.average_precision),
        precision_at: (0..queries[0].precision_at.len()).map(|i| mean(&|q| q.precision_at[i])).collect(),
        precision_in_radius: mean(&|q| q.precision_in_radius),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of 4 bits, given as texts.
    fn codes(list: &[&str]) -> Codes {
        let values: Vec<f64> =
            list.iter().flat_map(|c| c.chars().map(|c| if c == '1' { 1.0 } else { -1.0 })).collect();
        Codes::from_signs(Matrix::new("codes", &values, [list.len(), 4]).unwrap())
    }

    fn one(database: &[&str], labels: &[i64], options: &HashingOptions) -> QueryResult {
        let query = (&codes(&["0000"]), Labels::Single(&[1]));
        evaluate(query, (&codes(database), Labels::Single(labels)), options).unwrap().remove(0)
    }

    #[test]
    fn precision_is_divided_by_the_hits_found() {
        let options = HashingOptions { top: Some(3), ..HashingOptions::default() };
        let found = one(&["0000", "0001", "0011", "0111"], &[1, 0, 1, 1], &options);
        assert_eq!(found.average_precision, (1.0 + 2.0 / 3.0) / 2.0);
        assert_eq!(found.relevant, 3);
        let whole = one(&["0000", "0001", "0011", "0111"], &[1, 0, 1, 1], &HashingOptions::default());
        assert_eq!(whole.average_precision, (1.0 + 2.0 / 3.0 + 0.75) / 3.0);
    }

    #[test]
    fn queries_without_hits_count() {
        let found = one(&["0000"], &[2], &HashingOptions::default());
        let hit = one(&["0000"], &[1], &HashingOptions::default());
        assert_eq!(report([&found, &hit]).unwrap().map, 0.5);
        assert!(report([]).is_err());
    }

    #[test]
    fn equal_distances_keep_the_order() {
        let options = HashingOptions::default();
        assert_eq!(one(&["0001", "0010", "0000"], &[1, 0, 0], &options).average_precision, 0.5);
        assert_eq!(one(&["0001", "0010", "0000"], &[0, 1, 0], &options).average_precision, 1.0 / 3.0);
    }

    #[test]
    fn an_empty_radius_is_zero() {
        let options = HashingOptions::default();
        assert_eq!(one(&["0111"], &[1], &options).precision_in_radius, 0.0);
        assert_eq!(one(&["0111", "0011", "0001"], &[1, 0, 1], &options).precision_in_radius, 0.5);
        assert_eq!(one(&["0111", "0011", "0001"], &[1, 0, 1], &options).precision_at, [1.0, 2.0 / 3.0]);
    }

    #[test]
    fn codes_are_packed_from_the_lowest_bit() {
        let values: Vec<f64> = (0..70).map(|i| if i % 3 == 0 { 0.0 } else { -0.5 }).collect();
        let codes = Codes::from_signs(Matrix::new("codes", &values, [1, 70]).unwrap());
        let bytes = codes.to_bytes();
        assert_eq!((bytes.len(), bytes[0], bytes[8]), (9, 0b0100_1001, 0b0010_0100));
        assert_eq!(Codes::from_bytes(&bytes, 70).unwrap(), codes);
        assert_eq!((codes.len(), codes.signs()[..4].to_vec()), (1, vec![1, -1, -1, 1]));
        assert_eq!(codes.distances(0, &codes), [0]);
    }

    #[test]
    fn shared_labels_are_relevant() {
        let [q, d] = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]];
        let query = Matrix::new("labels", &q, [1, 3]).unwrap();
        let database = Matrix::new("labels", &d, [1, 3]).unwrap();
        let code = codes(&["0000"]);
        let found = evaluate(
            (&code, Labels::MultiHot(query)),
            (&code, Labels::MultiHot(database)),
            &HashingOptions::default(),
        );
        assert_eq!(found.unwrap()[0].average_precision, 1.0);
        let mixed = evaluate(
            (&code, Labels::MultiHot(query)),
            (&code, Labels::Single(&[1])),
            &HashingOptions::default(),
        );
        assert!(mixed.is_err());
    }

    #[test]
    fn refuses_bad_input() {
        let options = HashingOptions::default();
        let code = codes(&["0000"]);
        let long = Codes::from_bytes(&[0, 0], 9).unwrap();
        let labels = Labels::Single(&[1]);
        assert!(evaluate((&code, labels), (&long, labels), &options).is_err());
        assert!(evaluate((&code, Labels::Single(&[])), (&code, labels), &options).is_err());
        let zero = HashingOptions { at: vec![0], ..options };
        assert!(evaluate((&code, labels), (&code, labels), &zero).is_err());
        assert!(Codes::from_bytes(&[1, 2, 3], 9).is_err());
        assert!(Codes::from_bytes(&[], 9).is_err());
        assert!(Codes::from_bytes(&[1], 0).is_err());
    }
}

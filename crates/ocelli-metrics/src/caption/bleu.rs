//! BLEU (Papineni et al. 2002): how many n-grams of the candidate a reference has.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | BLEU-1 | 1e-15 is added to what is right and 1e-9 to what was said, so that nothing is ever 0 / 0 | strict | `tiny_amounts_stand_in_for_nothing` |
//! | BLEU-2 | the length compared with is the closest of the references', the shorter of two equally close | strict | `the_closest_reference_counts` |
//! | BLEU-3 | corpus values come from summed counts and lengths, not from the values of sentences | strict | `the_corpus_is_no_mean` |
//! | BLEU-4 | the length ratio has the same additions: a perfect sentence is not penalised, though its ratio is just below 1 | strict | `tiny_amounts_stand_in_for_nothing` |

use super::ngrams::NgramTable;
use super::{everything, has_references, is_sample};
use crate::Result;
use serde::Serialize;
use std::collections::HashMap;

/// Longest n-gram.
pub const ORDERS: usize = 4;

/// Added to the number of correct n-grams.
const TINY: f64 = 1e-15;
/// Added to the number of n-grams.
const SMALL: f64 = 1e-9;

/// What BLEU needs to know of one unit; the sum of two is what it needs to know of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BleuRecord {
    /// Words of the candidate.
    pub candidate_words: u64,
    /// Words of the reference closest in length.
    pub reference_words: u64,
    /// n-grams of the candidate, by length.
    pub said: [u64; ORDERS],
    /// Those that a reference has as often.
    pub correct: [u64; ORDERS],
}

impl BleuRecord {
    fn add(&mut self, other: &Self) {
        self.candidate_words += other.candidate_words;
        self.reference_words += other.reference_words;
        for order in 0..ORDERS {
            self.said[order] += other.said[order];
            self.correct[order] += other.correct[order];
        }
    }

    /// BLEU-1 … BLEU-4 of these counts.
    pub fn values(&self) -> [f64; ORDERS] {
        let ratio = (self.candidate_words as f64 + TINY) / (self.reference_words as f64 + SMALL);
        let mut product = 1.0;
        std::array::from_fn(|order| {
            product *= (self.correct[order] as f64 + TINY) / (self.said[order] as f64 + SMALL);
            let precision = f64::powf(product, 1.0 / (order as f64 + 1.0));
            if ratio < 1.0 { precision * (1.0 - 1.0 / ratio).exp() } else { precision }
        })
    }
}

/// BLEU-1 … BLEU-4 of a set of captions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BleuScores {
    /// Of the whole set.
    pub corpus: [f64; ORDERS],
    /// Of each unit, in the order of the sample.
    pub sentences: Vec<[f64; ORDERS]>,
}

/// Collects units.
#[derive(Clone, Debug, Default)]
pub struct Bleu {
    records: Vec<BleuRecord>,
}

impl Bleu {
    /// Without units yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a unit; sentences are tokenised.
    ///
    /// # Errors
    /// When there is no reference.
    pub fn push<R: AsRef<str>>(&mut self, candidate: &str, references: &[R]) -> Result<()> {
        has_references(references.len())?;
        let mut table = NgramTable::default();
        let said = table.count(candidate, ORDERS);
        let mut allowed: HashMap<u32, u32> = HashMap::new();
        let mut lengths = Vec::with_capacity(references.len());
        for reference in references {
            let counts = table.count(reference.as_ref(), ORDERS);
            lengths.push(counts.words);
            for &(gram, times) in counts.all() {
                let most = allowed.entry(gram).or_default();
                *most = (*most).max(times);
            }
        }
        let closest = lengths.into_iter().min_by_key(|&l| (l.abs_diff(said.words), l)).unwrap_or_default();
        let mut record = BleuRecord {
            candidate_words: said.words as u64,
            reference_words: closest as u64,
            ..BleuRecord::default()
        };
        for (order, grams) in said.by_length().enumerate() {
            record.said[order] = (said.words as u64).saturating_sub(order as u64);
            let right = |&(gram, times): &(u32, u32)| times.min(allowed.get(&gram).copied().unwrap_or(0));
            record.correct[order] = grams.iter().map(|gram| u64::from(right(gram))).sum();
        }
        self.records.push(record);
        Ok(())
    }

    /// Appends the units of another.
    pub fn merge(&mut self, other: Self) {
        self.records.extend(other.records);
    }

    /// The records of the units.
    pub fn records(&self) -> &[BleuRecord] {
        &self.records
    }

    /// The scores of all units.
    ///
    /// # Errors
    /// When there is none.
    pub fn scores(&self) -> Result<BleuScores> {
        self.scores_of(&everything(self.records.len()))
    }

    /// The scores of the units with these indices, each as often as it is named.
    ///
    /// # Errors
    /// When there is none, or an index is too large.
    pub fn scores_of(&self, sample: &[usize]) -> Result<BleuScores> {
        is_sample(sample, self.records.len())?;
        let mut sum = BleuRecord::default();
        sample.iter().for_each(|&unit| sum.add(&self.records[unit]));
        let sentences = sample.iter().map(|&unit| self.records[unit].values()).collect();
        Ok(BleuScores { corpus: sum.values(), sentences })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(candidate: &str, references: &[&str]) -> BleuRecord {
        let mut bleu = Bleu::new();
        bleu.push(candidate, references).unwrap();
        bleu.records()[0]
    }

    #[test]
    fn counts_are_clipped_by_the_richest_reference() {
        // The example of the paper: seven times "the", of which a reference has two at most.
        let record =
            one("the the the the the the the", &["the cat is on the mat", "there is a cat on the mat"]);
        assert_eq!((record.correct, record.said), ([2, 0, 0, 0], [7, 6, 5, 4]));
    }

    #[test]
    fn tiny_amounts_stand_in_for_nothing() {
        assert_eq!(one("", &["a man"]).values(), [0.0; 4]);
        let empty = one("", &[""]).values();
        assert!((empty[0] - 1e-6 * (1.0 - 1e6_f64).exp()).abs() < 1e-12);
        let perfect = one("a b c d", &["a b c d"]).values();
        assert!(perfect.iter().all(|v| (v - 1.0).abs() < 1e-8 && *v < 1.0), "{perfect:?}");
    }

    #[test]
    fn the_closest_reference_counts() {
        assert_eq!(one("a b c", &["a", "a b c d e", "a b"]).reference_words, 2);
        assert_eq!(one("a b c", &["a b c d", "a b"]).reference_words, 2);
    }

    #[test]
    fn the_corpus_is_no_mean() {
        let mut bleu = Bleu::new();
        bleu.push("a b", &["a b"]).unwrap();
        bleu.push("c d e f", &["x y z w"]).unwrap();
        let scores = bleu.scores().unwrap();
        assert!((scores.corpus[0] - 2.0 / 6.0).abs() < 1e-9);
        assert!((scores.sentences[0][0] + scores.sentences[1][0] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(Bleu::new().push::<&str>("a", &[]).is_err());
        assert!(Bleu::new().scores().is_err());
        let mut bleu = Bleu::new();
        bleu.push("a", &["a"]).unwrap();
        assert!(bleu.scores_of(&[1]).unwrap_err().to_string().contains("an index below 1"));
    }
}

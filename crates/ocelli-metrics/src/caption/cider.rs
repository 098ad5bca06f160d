//! CIDEr (Vedantam et al. 2015, arXiv 1411.5726): n-grams weighted by how much they tell, compared by their cosine.
//!
//! An n-gram's weight is its count times `ln N - ln df`, `df` being the number of units whose references have it and
//! `N` the number of units. The value of a unit thus depends on the whole set it is scored with: a sample is scored
//! as the tool would score it alone.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | CIDER-1 | what pycocoevalcap calls CIDEr is CIDEr-D: weights are clipped and lengths compared | strict, [`CiderVariant`] | `clipping_and_lengths_tell_the_variants_apart` |
//! | CIDER-2 | lengths are compared in bigrams, not words | strict | `lengths_count_bigrams` |
//! | CIDER-3 | a single unit scores 0, since its n-grams tell nothing | strict | `a_single_unit_scores_nothing` |
//! | CIDER-4 | the weight is no share of the sentence: counts are raw | strict | `the_definition_by_hand` |

use super::ngrams::{Counts, NgramTable};
use super::{CaptionScores, everything, has_references, is_sample};
use crate::named::named_variants;
use crate::{Result, check};
use rayon::prelude::*;
use serde::Serialize;

/// How two weighted sentences are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CiderVariant {
    /// Weights clipped to the reference's, and a Gaussian of the difference in length: CIDEr-D, which coco-caption
    /// and pycocoevalcap print as CIDEr.
    #[default]
    CiderD,
    /// The plain cosine of the paper's first form.
    Cider,
}

named_variants!(CiderVariant, "form of CIDEr", {
    CiderD => "cider-d",
    Cider => "cider",
});

/// Settings; the default is that of pycocoevalcap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CiderOptions {
    /// The form of the comparison.
    pub variant: CiderVariant,
    /// Longest n-gram, at least 1.
    pub longest: usize,
    /// Standard deviation of the length penalty, in bigrams; above 0.
    pub sigma: f64,
}

impl Default for CiderOptions {
    fn default() -> Self {
        Self { variant: CiderVariant::CiderD, longest: 4, sigma: 6.0 }
    }
}

/// How often each n-gram occurs in a corpus that is not the one scored: what the reward of self-critical training uses.
#[derive(Clone, Debug)]
pub struct DocumentFrequencies {
    table: NgramTable,
    longest: usize,
    frequencies: Vec<u32>,
    documents: usize,
}

impl DocumentFrequencies {
    /// Of an empty corpus, for n-grams up to length `longest`.
    pub fn new(longest: usize) -> Self {
        Self { table: NgramTable::default(), longest, frequencies: Vec::new(), documents: 0 }
    }

    /// Adds a unit: its references, tokenised.
    pub fn push<R: AsRef<str>>(&mut self, references: &[R]) {
        let counts: Vec<Counts> =
            references.iter().map(|r| self.table.count(r.as_ref(), self.longest)).collect();
        self.frequencies.resize(self.table.len(), 0);
        document(&counts).into_iter().for_each(|gram| self.frequencies[gram as usize] += 1);
        self.documents += 1;
    }
}

/// The n-grams of a unit's references, each once.
fn document(references: &[Counts]) -> Vec<u32> {
    let mut grams: Vec<u32> = references.iter().flat_map(|r| r.all().iter().map(|(gram, _)| *gram)).collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// A unit's n-grams.
#[derive(Clone, Debug)]
struct Unit {
    candidate: Counts,
    references: Vec<Counts>,
    document: Vec<u32>,
}

/// What an n-gram tells in a given set.
struct Weights<'a> {
    ln_documents: f64,
    frequencies: &'a [u32],
    /// The logarithm of each frequency that there is; frequencies repeat more than n-grams do.
    ln: Vec<f64>,
}

impl<'a> Weights<'a> {
    fn new(documents: usize, frequencies: &'a [u32]) -> Self {
        let most = frequencies.iter().copied().max().unwrap_or(0);
        let ln = (0..=most).map(|frequency| f64::from(frequency.max(1)).ln()).collect();
        Self { ln_documents: (documents as f64).ln(), frequencies, ln }
    }

    fn of(&self, gram: u32, times: u32) -> f64 {
        // An n-gram that the corpus lacks counts as one that occurs once.
        let frequency = self.frequencies.get(gram as usize).copied().unwrap_or(0);
        f64::from(times) * (self.ln_documents - self.ln[frequency as usize])
    }
}

/// A candidate's weights, found by n-gram.
struct Weighted {
    /// Where each n-gram's weight is, counted from `base`; what candidates before it left lies below.
    places: Vec<u32>,
    base: u32,
    weights: Vec<f64>,
    /// The norm of each length of n-grams.
    norms: Vec<f64>,
}

impl Weighted {
    /// For n-grams with numbers below `numbers`.
    fn new(numbers: usize) -> Self {
        Self { places: vec![0; numbers], base: 1, weights: Vec::new(), norms: Vec::new() }
    }

    fn fill(&mut self, candidate: &Counts, weights: &Weights<'_>) {
        let grams = candidate.all().len() as u32;
        self.base = self.base.saturating_add(self.weights.len() as u32);
        if self.base.checked_add(grams).is_none() {
            self.places.fill(0);
            self.base = 1;
        }
        self.weights.clear();
        self.norms.clear();
        for grams in candidate.by_length() {
            let mut squares = 0.0;
            for &(gram, times) in grams {
                let weight = weights.of(gram, times);
                squares += weight * weight;
                self.places[gram as usize] = self.base + self.weights.len() as u32;
                self.weights.push(weight);
            }
            self.norms.push(squares.sqrt());
        }
    }

    fn get(&self, gram: u32) -> Option<f64> {
        let place = self.places[gram as usize].checked_sub(self.base)?;
        self.weights.get(place as usize).copied()
    }
}

/// Below this number of units another thread is not worth its table of places.
const UNITS_A_THREAD: usize = 512;

/// Number of bigrams.
fn bigrams(counts: &Counts) -> f64 {
    counts.by_length().nth(1).map_or(0, |grams| grams.iter().map(|(_, times)| times).sum::<u32>()).into()
}

/// Collects units.
#[derive(Clone, Debug)]
pub struct Cider {
    options: CiderOptions,
    table: NgramTable,
    units: Vec<Unit>,
    frozen: Option<(Vec<u32>, usize)>,
}

impl Cider {
    /// Without units yet; the units themselves are the corpus.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(options: CiderOptions) -> Result<Self> {
        if options.longest == 0 {
            return Err(check::setting("longest", 0, "at least 1"));
        }
        if !(options.sigma.is_finite() && options.sigma > 0.0) {
            return Err(check::setting("sigma", options.sigma, "a number above 0"));
        }
        Ok(Self { options, table: NgramTable::default(), units: Vec::new(), frozen: None })
    }

    /// Without units yet; another corpus says what n-grams tell.
    ///
    /// # Errors
    /// When a setting is out of range, or the corpus is empty or knows other lengths of n-grams.
    pub fn with_corpus(options: CiderOptions, corpus: DocumentFrequencies) -> Result<Self> {
        check::at_least("the corpus", corpus.documents, 1)?;
        if corpus.longest != options.longest {
            return Err(check::setting(
                "longest",
                options.longest,
                "the length that the corpus was counted with",
            ));
        }
        let frozen = Some((corpus.frequencies, corpus.documents));
        Ok(Self { table: corpus.table, frozen, ..Self::new(options)? })
    }

    /// Adds a unit; sentences are tokenised.
    ///
    /// # Errors
    /// When there is no reference.
    pub fn push<R: AsRef<str>>(&mut self, candidate: &str, references: &[R]) -> Result<()> {
        has_references(references.len())?;
        let mut count = |sentence: &str| self.table.count(sentence, self.options.longest);
        let candidate = count(candidate);
        let references: Vec<Counts> = references.iter().map(|r| count(r.as_ref())).collect();
        let document = document(&references);
        self.units.push(Unit { candidate, references, document });
        Ok(())
    }

    /// Appends the units of another, which must have the same settings and no corpus of its own.
    ///
    /// # Errors
    /// When settings differ, or the other has a corpus of its own.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.options != other.options || self.frozen != other.frozen {
            return Err(check::setting(
                "merge",
                "other settings",
                "two sets of captions under the same settings",
            ));
        }
        let renumbered = self.table.absorb(&other.table);
        for mut unit in other.units {
            unit.candidate.renumber(&renumbered);
            unit.references.iter_mut().for_each(|r| r.renumber(&renumbered));
            unit.document = document(&unit.references);
            self.units.push(unit);
        }
        Ok(())
    }

    /// The scores of all units.
    ///
    /// # Errors
    /// When there is none.
    pub fn scores(&self) -> Result<CaptionScores> {
        self.scores_of(&everything(self.units.len()))
    }

    /// The scores of the units with these indices, each as often as it is named; the corpus value is their mean.
    ///
    /// # Errors
    /// When there is none, or an index is too large.
    pub fn scores_of(&self, sample: &[usize]) -> Result<CaptionScores> {
        is_sample(sample, self.units.len())?;
        let mut counted = Vec::new();
        let weights = match &self.frozen {
            Some((frequencies, documents)) => Weights::new(*documents, frequencies),
            None => {
                counted.resize(self.table.len(), 0);
                for &unit in sample {
                    self.units[unit].document.iter().for_each(|&gram| counted[gram as usize] += 1);
                }
                Weights::new(sample.len(), &counted)
            }
        };
        let scores = sample.par_iter().with_min_len(UNITS_A_THREAD).map_init(
            || Weighted::new(self.table.len()),
            |candidate, &unit| self.score(&self.units[unit], &weights, candidate),
        );
        Ok(CaptionScores::mean_of(scores.collect()))
    }

    /// The value of one unit.
    fn score(&self, unit: &Unit, weights: &Weights<'_>, candidate: &mut Weighted) -> f64 {
        candidate.fill(&unit.candidate, weights);
        let mut sums = vec![0.0; self.options.longest];
        for reference in &unit.references {
            let penalty = self.length_penalty(bigrams(&unit.candidate) - bigrams(reference));
            for ((sum, grams), candidate_norm) in
                sums.iter_mut().zip(reference.by_length()).zip(&candidate.norms)
            {
                let (mut dot, mut squares) = (0.0, 0.0);
                for &(gram, times) in grams {
                    let value = weights.of(gram, times);
                    squares += value * value;
                    if let Some(weight) = candidate.get(gram) {
                        dot += self.clipped(weight, value) * value;
                    }
                }
                let norm = squares.sqrt();
                if norm != 0.0 && *candidate_norm != 0.0 {
                    dot /= candidate_norm * norm;
                }
                *sum += dot * penalty;
            }
        }
        let mean = sums.iter().sum::<f64>() / sums.len() as f64;
        mean / unit.references.len() as f64 * 10.0
    }

    fn clipped(&self, candidate: f64, reference: f64) -> f64 {
        match self.options.variant {
            CiderVariant::CiderD => candidate.min(reference),
            CiderVariant::Cider => candidate,
        }
    }

    fn length_penalty(&self, difference: f64) -> f64 {
        match self.options.variant {
            CiderVariant::CiderD => (-(difference * difference) / (2.0 * self.options.sigma.powi(2))).exp(),
            CiderVariant::Cider => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cider(variant: CiderVariant, units: &[(&str, &[&str])]) -> Cider {
        let mut cider = Cider::new(CiderOptions { variant, ..CiderOptions::default() }).unwrap();
        units.iter().for_each(|(candidate, references)| cider.push(candidate, references).unwrap());
        cider
    }

    const UNITS: &[(&str, &[&str])] =
        &[("a b", &["a b", "a c"]), ("c d e", &["c d f", "d"]), ("g g g", &["g h"]), ("", &["i"])];

    #[test]
    fn the_definition_by_hand() {
        // Two units, one-word n-grams only: "a" is in both and tells nothing, "b" and "c" weigh ln 2 each.
        let options = CiderOptions { longest: 1, ..CiderOptions::default() };
        let mut cider = Cider::new(options).unwrap();
        cider.push("a b b", &["a b c"]).unwrap();
        cider.push("a", &["a"]).unwrap();
        let scores = cider.scores().unwrap();
        // Candidate (0, 2w), reference (0, w, w): clipped dot w², norms 2w and w√2.
        assert!((scores.sentences[0] - 10.0 / 8.0_f64.sqrt()).abs() < 1e-12, "{scores:?}");
        assert_eq!(scores.sentences[1], 0.0);
    }

    #[test]
    fn clipping_and_lengths_tell_the_variants_apart() {
        let of = |variant| cider(variant, UNITS).scores().unwrap().sentences;
        let (d, plain) = (of(CiderVariant::CiderD), of(CiderVariant::Cider));
        assert!((d[0] - plain[0]).abs() < 1e-12, "the same length, nothing to clip");
        assert!(d[2] < plain[2], "a repeated word is clipped");
        assert_eq!((d[3], plain[3]), (0.0, 0.0));
    }

    #[test]
    fn lengths_count_bigrams() {
        // One word has no bigram, and neither has none: no difference in length.
        let cider = cider(CiderVariant::CiderD, UNITS);
        let count = |sentence: &str| bigrams(&cider.table.clone().count(sentence, 4));
        assert_eq!((count(""), count("a"), count("a b a b")), (0.0, 0.0, 3.0));
        assert_eq!(cider.length_penalty(6.0), (-0.5_f64).exp());
    }

    #[test]
    fn a_single_unit_scores_nothing() {
        assert_eq!(cider(CiderVariant::CiderD, &[("a b c", &["a b c"])]).scores().unwrap().corpus, 0.0);
    }

    #[test]
    fn merging_gives_exactly_the_single_pass() {
        let whole = cider(CiderVariant::CiderD, UNITS);
        for cut in 0..=UNITS.len() {
            let mut left = cider(CiderVariant::CiderD, &UNITS[..cut]);
            left.merge(cider(CiderVariant::CiderD, &UNITS[cut..])).unwrap();
            assert_eq!(left.scores().unwrap(), whole.scores().unwrap());
        }
        assert!(cider(CiderVariant::Cider, UNITS).merge(whole).is_err());
    }

    #[test]
    fn a_sample_is_scored_as_if_it_were_all() {
        let whole = cider(CiderVariant::CiderD, UNITS);
        let alone = cider(CiderVariant::CiderD, &[UNITS[2], UNITS[0], UNITS[0]]);
        assert_eq!(whole.scores_of(&[2, 0, 0]).unwrap(), alone.scores().unwrap());
    }

    #[test]
    fn a_frozen_corpus_says_what_n_grams_tell() {
        let mut corpus = DocumentFrequencies::new(4);
        UNITS.iter().for_each(|(_, references)| corpus.push(references));
        let mut frozen = Cider::with_corpus(CiderOptions::default(), corpus).unwrap();
        frozen.push(UNITS[1].0, UNITS[1].1).unwrap();
        let whole = cider(CiderVariant::CiderD, UNITS).scores().unwrap();
        assert_eq!(frozen.scores().unwrap().sentences, [whole.sentences[1]]);
        assert!(Cider::with_corpus(CiderOptions::default(), DocumentFrequencies::new(4)).is_err());
    }
}

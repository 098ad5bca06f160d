//! METEOR 1.5 for English (Denkowski and Lavie 2014), as pycocoevalcap drives it (`-l en -norm`).
//!
//! Words of candidate and reference are aligned in stages: equal, of equal stem, synonyms, paraphrases. Precision and
//! recall weigh content words above function words and early stages above late ones; their harmonic mean is reduced by
//! fragmentation, the number of chunks in which the matches lie.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | METEOR-1 | sentences are normalised again after the tokeniser: hyphened words are cut, `'s` becomes two words | strict | `hyphened_words_are_cut_again` |
//! | METEOR-2 | the corpus value comes from summed statistics of the best references, it is no mean | strict | `the_corpus_sums_statistics` |
//! | METEOR-3 | a sentence that is one chunk over both whole sentences is not fragmented, and adds no chunk to the corpus | strict | `a_perfect_sentence_adds_no_chunk` |
//! | METEOR-4 | of equal sentences only the first stage is asked | strict | `equal_sentences_score_one` |
//! | METEOR-5 | while alignments are compared, a match that is not exact counts half, rounded down: a single stemmed word counts nothing | strict | `a_single_stemmed_word_may_be_passed_over` |
//! | METEOR-6 | the distance of a match is added to the paths considered after it, not to its own | strict | `alignments_equal_those_of_the_tool` |
//! | METEOR-7 | words are compared by a 32-bit hash of theirs | corrected: by their letters | `equal_hashes_are_not_equal_words` |
//! | METEOR-8 | where nothing matches the formula is 0 / 0, printed as 0 | strict | `nothing_in_common_scores_zero` |

mod align;
mod normalise;
mod stem;
mod tables;
#[cfg(test)]
mod tests;

pub use normalise::normalise;
pub use stem::stem;
pub use tables::{MeteorTables, Paraphrases, Synonyms};

use super::{CaptionScores, everything, has_references, is_sample};
use crate::named::named_variants;
use crate::{Result, check};
use align::{Alignment, Sentence, align};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Most stages that there can be.
pub const MAX_STAGES: usize = 4;

/// A way of taking two words, or phrases, for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Equal words.
    Exact,
    /// Words of equal stem.
    Stem,
    /// Words with a set of synonyms in common; needs tables.
    Synonym,
    /// Phrases that the table of paraphrases pairs; needs tables.
    Paraphrase,
}

named_variants!(Stage, "stage of METEOR", {
    Exact => "exact",
    Stem => "stem",
    Synonym => "synonym",
    Paraphrase => "paraphrase",
});

impl Stage {
    /// The weight that METEOR's English ranking task gives it.
    pub fn weight(self) -> f64 {
        match self {
            Self::Exact => 1.0,
            Self::Synonym => 0.8,
            Self::Stem | Self::Paraphrase => 0.6,
        }
    }
}

/// How far words are matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeteorMode {
    /// Equal words and equal stems.
    #[default]
    ExactStem,
    /// Equal words alone.
    Exact,
    /// All four stages, METEOR's own default; needs tables.
    Full,
}

named_variants!(MeteorMode, "mode of METEOR", {
    ExactStem => "exact-stem",
    Exact => "exact",
    Full => "full",
});

impl MeteorMode {
    /// The stages, in their order.
    pub fn stages(self) -> &'static [Stage] {
        match self {
            Self::Exact => &[Stage::Exact],
            Self::ExactStem => &[Stage::Exact, Stage::Stem],
            Self::Full => &[Stage::Exact, Stage::Stem, Stage::Synonym, Stage::Paraphrase],
        }
    }
}

/// English words, and signs, with a relative frequency above one in a thousand: METEOR's function words.
const FUNCTION_WORDS: &str = ", the . to of and a in that for \" is on 's it with was as said at he by be from have has \
    are his but an this not i will ’ they ) -rrb- ( -lrb- who their had we which were been more or s its would about new \
    one after you : also up when there than $ all out her people she year two - can if last first “ over other ” into \
    some what so -- no time years could ? 't — '";

/// Settings; [`MeteorOptions::english`] has the published ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeteorOptions {
    /// The stages in their order, with the weight of a match of each.
    pub stages: Vec<(Stage, f64)>,
    /// Weight of recall in the harmonic mean.
    pub alpha: f64,
    /// Exponent of fragmentation.
    pub beta: f64,
    /// What full fragmentation takes off.
    pub gamma: f64,
    /// Weight of a content word; a function word has the rest to 1.
    pub delta: f64,
    /// Words that carry little content.
    pub function_words: BTreeSet<String>,
}

impl MeteorOptions {
    /// The parameters of the ranking task for English.
    pub fn english(mode: MeteorMode) -> Self {
        Self {
            stages: mode.stages().iter().map(|&stage| (stage, stage.weight())).collect(),
            alpha: 0.85,
            beta: 0.2,
            gamma: 0.6,
            delta: 0.75,
            function_words: FUNCTION_WORDS.split_whitespace().map(str::to_owned).collect(),
        }
    }

    fn check(&self, has_tables: bool) -> Result<()> {
        check::at_least("the stages of METEOR", self.stages.len(), 1)?;
        if self.stages.len() > MAX_STAGES {
            return Err(check::setting("stages", self.stages.len(), "four stages at most"));
        }
        let numbers = [self.alpha, self.beta, self.gamma, self.delta];
        let weights = self.stages.iter().map(|(_, weight)| *weight);
        if let Some(number) = numbers.into_iter().chain(weights).find(|n| !(n.is_finite() && *n >= 0.0)) {
            return Err(check::setting("METEOR's parameters and weights", number, "numbers not below 0"));
        }
        match self.stages.iter().find(|(stage, _)| MeteorTables::are_needed_by(*stage)) {
            Some((stage, _)) if !has_tables => {
                Err(check::setting("stage", stage, "`exact` or `stem`, or METEOR's tables along with it"))
            }
            _ => Ok(()),
        }
    }
}

/// Matched words of one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StageMatches {
    /// Content words of the candidate.
    pub candidate_content: u64,
    /// Content words of the reference.
    pub reference_content: u64,
    /// Function words of the candidate.
    pub candidate_function: u64,
    /// Function words of the reference.
    pub reference_function: u64,
}

/// What METEOR needs to know of one unit, from its best reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MeteorStats {
    /// Words of the candidate.
    pub candidate_words: u64,
    /// Words of the reference.
    pub reference_words: u64,
    /// Function words of the candidate.
    pub candidate_function_words: u64,
    /// Function words of the reference.
    pub reference_function_words: u64,
    /// Matches by stage.
    pub stages: [StageMatches; MAX_STAGES],
    /// Runs of matches contiguous in both.
    pub chunks: u64,
    /// Matched words of the candidate.
    pub candidate_matched: u64,
    /// Matched words of the reference.
    pub reference_matched: u64,
}

impl MeteorStats {
    fn new(candidate: &Sentence, reference: &Sentence, alignment: &Alignment) -> Self {
        let function_words = |s: &Sentence| s.is_function_word.iter().filter(|&&f| f).count() as u64;
        let mut stats = Self {
            candidate_words: candidate.words.len() as u64,
            reference_words: reference.words.len() as u64,
            candidate_function_words: function_words(candidate),
            reference_function_words: function_words(reference),
            chunks: alignment.chunks as u64,
            ..Self::default()
        };
        for found in &alignment.matches {
            let stage = &mut stats.stages[found.stage];
            for &is_function in &candidate.is_function_word[found.candidate_start..][..found.candidate_length]
            {
                *if is_function { &mut stage.candidate_function } else { &mut stage.candidate_content } += 1;
            }
            for &is_function in &reference.is_function_word[found.start..][..found.length] {
                *if is_function { &mut stage.reference_function } else { &mut stage.reference_content } += 1;
            }
            stats.candidate_matched += found.candidate_length as u64;
            stats.reference_matched += found.length as u64;
        }
        stats
    }

    /// Whether all words of both sentences form one chunk.
    fn is_perfect(&self) -> bool {
        self.candidate_matched == self.candidate_words
            && self.reference_matched == self.reference_words
            && self.chunks == 1
    }

    fn add(&mut self, other: &Self) {
        self.candidate_words += other.candidate_words;
        self.reference_words += other.reference_words;
        self.candidate_function_words += other.candidate_function_words;
        self.reference_function_words += other.reference_function_words;
        for (sum, stage) in self.stages.iter_mut().zip(&other.stages) {
            sum.candidate_content += stage.candidate_content;
            sum.reference_content += stage.reference_content;
            sum.candidate_function += stage.candidate_function;
            sum.reference_function += stage.reference_function;
        }
        self.chunks += if other.is_perfect() { 0 } else { other.chunks };
        self.candidate_matched += other.candidate_matched;
        self.reference_matched += other.reference_matched;
    }

    /// The 23 numbers that the tool prints: lengths, function words, four for each stage, chunks, matched words.
    pub fn to_row(&self) -> [f64; 23] {
        let mut row = vec![
            self.candidate_words,
            self.reference_words,
            self.candidate_function_words,
            self.reference_function_words,
        ];
        for s in &self.stages {
            row.extend([
                s.candidate_content,
                s.reference_content,
                s.candidate_function,
                s.reference_function,
            ]);
        }
        row.extend([self.chunks, self.candidate_matched, self.reference_matched]);
        std::array::from_fn(|i| row[i] as f64)
    }

    /// The score of these statistics, in [0, 1].
    pub fn score(&self, options: &MeteorOptions) -> f64 {
        let MeteorOptions { alpha, beta, gamma, delta, .. } = *options;
        let length =
            |words: u64, function: u64| delta * (words - function) as f64 + (1.0 - delta) * function as f64;
        // All content words first, then all function words: the tool's order of additions.
        let matched = |pick: fn(&StageMatches) -> [u64; 2]| {
            let weighted = |kind: usize, share: f64| {
                let stages = self.stages.iter().zip(&options.stages);
                stages.map(move |(s, (_, weight))| pick(s)[kind] as f64 * weight * share)
            };
            weighted(0, delta).chain(weighted(1, 1.0 - delta)).sum::<f64>()
        };
        let precision = matched(|s| [s.candidate_content, s.candidate_function])
            / length(self.candidate_words, self.candidate_function_words);
        let recall = matched(|s| [s.reference_content, s.reference_function])
            / length(self.reference_words, self.reference_function_words);
        let mean = 1.0 / ((1.0 - alpha) / precision + alpha / recall);
        let matched_words = (self.candidate_matched + self.reference_matched) as f64 / 2.0;
        let fragmentation = if self.is_perfect() { 0.0 } else { self.chunks as f64 / matched_words };
        let score = mean * (1.0 - gamma * fragmentation.powf(beta));
        if score.is_nan() { 0.0 } else { score.max(0.0) }
    }
}

/// The words of tokenised sentences as METEOR sees them: all that a table need know.
pub fn vocabulary<S: AsRef<str> + Sync>(sentences: &[S]) -> HashSet<String> {
    sentences.par_iter().flat_map_iter(|sentence| normalise(sentence.as_ref())).collect()
}

/// What the stages look words up in.
struct Lexicon<'a> {
    stages: Vec<Stage>,
    paraphrases: Option<&'a Paraphrases>,
}

/// Collects units.
#[derive(Clone, Debug)]
pub struct Meteor {
    options: MeteorOptions,
    tables: Option<Arc<MeteorTables>>,
    records: Vec<MeteorStats>,
}

impl Meteor {
    /// Without units yet.
    ///
    /// # Errors
    /// When a setting is out of range, or a stage needs tables and there are none.
    pub fn new(options: MeteorOptions, tables: Option<Arc<MeteorTables>>) -> Result<Self> {
        options.check(tables.is_some())?;
        Ok(Self { options, tables, records: Vec::new() })
    }

    fn sentence(&self, text: &str) -> Sentence {
        let words = normalise(text);
        let has = |wanted: Stage| self.options.stages.iter().any(|(stage, _)| *stage == wanted);
        let synonyms = self.tables.as_deref().map(|t| &t.synonyms).filter(|_| has(Stage::Synonym));
        Sentence {
            stems: if has(Stage::Stem) { words.iter().map(|w| stem(w)).collect() } else { Vec::new() },
            synonyms: synonyms.map_or_else(Vec::new, |s| words.iter().map(|w| s.of(w)).collect()),
            is_function_word: words.iter().map(|w| self.options.function_words.contains(w)).collect(),
            words,
        }
    }

    /// The statistics of a unit's best reference, the first of equals. Sentences are tokenised.
    ///
    /// # Errors
    /// When there is no reference.
    pub fn record<R: AsRef<str>>(&self, candidate: &str, references: &[R]) -> Result<MeteorStats> {
        has_references(references.len())?;
        let lexicon = Lexicon {
            stages: self.options.stages.iter().map(|(stage, _)| *stage).collect(),
            paraphrases: self.tables.as_deref().map(|t| &t.paraphrases),
        };
        let candidate = self.sentence(candidate);
        let mut best = (-1.0, MeteorStats::default());
        for reference in references {
            let reference = self.sentence(reference.as_ref());
            let stats = MeteorStats::new(&candidate, &reference, &align(&candidate, &reference, &lexicon));
            let score = stats.score(&self.options);
            if score > best.0 {
                best = (score, stats);
            }
        }
        Ok(best.1)
    }

    /// Adds a unit; sentences are tokenised.
    ///
    /// # Errors
    /// When there is no reference.
    pub fn push<R: AsRef<str>>(&mut self, candidate: &str, references: &[R]) -> Result<()> {
        let record = self.record(candidate, references)?;
        self.records.push(record);
        Ok(())
    }

    /// Adds many units, on all threads.
    ///
    /// # Errors
    /// When one has no reference.
    pub fn push_all<C: AsRef<str> + Sync, R: AsRef<str> + Sync>(
        &mut self,
        units: &[(C, Vec<R>)],
    ) -> Result<()> {
        let records: Result<Vec<_>> = units.par_iter().map(|(c, r)| self.record(c.as_ref(), r)).collect();
        self.records.extend(records?);
        Ok(())
    }

    /// Appends the units of another, which must have the same settings.
    ///
    /// # Errors
    /// When settings differ.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.options != other.options {
            return Err(check::setting(
                "merge",
                "other settings",
                "two sets of captions under the same settings",
            ));
        }
        self.records.extend(other.records);
        Ok(())
    }

    /// The records of the units.
    pub fn records(&self) -> &[MeteorStats] {
        &self.records
    }

    /// The scores of all units.
    ///
    /// # Errors
    /// When there is none.
    pub fn scores(&self) -> Result<CaptionScores> {
        self.scores_of(&everything(self.records.len()))
    }

    /// The scores of the units with these indices, each as often as it is named.
    ///
    /// # Errors
    /// When there is none, or an index is too large.
    pub fn scores_of(&self, sample: &[usize]) -> Result<CaptionScores> {
        is_sample(sample, self.records.len())?;
        let mut sum = MeteorStats::default();
        sample.iter().for_each(|&unit| sum.add(&self.records[unit]));
        let sentences = sample.iter().map(|&unit| self.records[unit].score(&self.options)).collect();
        Ok(CaptionScores { corpus: sum.score(&self.options), sentences })
    }
}

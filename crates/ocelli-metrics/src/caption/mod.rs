//! Captions: does a sentence say of a picture or clip what people say of it?
//!
//! The evaluators of the COCO captioning server, as the package pycocoevalcap carries them. Each takes sentences that
//! are *tokenised*, words separated by single blanks; [`tokenizer`] makes them from raw text.
//!
//! | module | metric | corpus value |
//! |---|---|---|
//! | [`bleu`] | BLEU-1 … BLEU-4: clipped n-gram precision with a penalty for brevity | from summed counts |
//! | [`rouge`] | ROUGE-L: longest common subsequence | mean over units |
//! | [`cider`] | CIDEr and CIDEr-D: tf-idf weighted n-gram similarity | mean over units |
//! | [`meteor`] | METEOR 1.5: words aligned by form, stem, synonym, paraphrase | from summed statistics |
//! | [`spice`] | SPICE on given scene-graph tuples | – |
//!
//! All work alike: `push` a unit (one candidate and its references), `merge` what was pushed elsewhere, ask for the
//! scores of all units or of any multiset of them. Merging only ever joins records, so that shards give exactly what
//! one pass gives.
//!
//! ```
//! use ocelli_metrics::caption::cider::{Cider, CiderOptions};
//! use ocelli_metrics::caption::tokenizer::tokenize;
//!
//! let mut cider = Cider::new(CiderOptions::default())?;
//! for (candidate, reference) in [("A dog runs.", "The dog is running."), ("Two men cook.", "Two men are cooking!")] {
//!     cider.push(&tokenize(candidate), &[tokenize(reference)])?;
//! }
//! assert!(cider.scores()?.corpus > 0.0);
//! # Ok::<(), ocelli_metrics::MetricError>(())
//! ```

pub mod bleu;
pub mod cider;
pub mod meteor;
mod ngrams;
pub mod rouge;
pub mod spice;
pub mod tokenizer;

use crate::{MetricError, Result, check};
use serde::Serialize;

/// What a metric says of a set of captions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaptionScores {
    /// The value of the whole set; whether it is the mean of the others is for the metric to say.
    pub corpus: f64,
    /// The value of each unit, in the order of the sample.
    pub sentences: Vec<f64>,
}

impl CaptionScores {
    /// Scores whose corpus value is the mean.
    fn mean_of(sentences: Vec<f64>) -> Self {
        Self { corpus: sentences.iter().sum::<f64>() / sentences.len() as f64, sentences }
    }
}

/// A unit has references.
fn has_references(references: usize) -> Result<()> {
    check::at_least("the references of a unit", references, 1)
}

/// A sample names units that are there, and at least one.
fn is_sample(sample: &[usize], units: usize) -> Result<()> {
    check::at_least("the captions to score", sample.len(), 1)?;
    match sample.iter().find(|&&unit| unit >= units) {
        None => Ok(()),
        Some(unit) => Err(MetricError::Setting {
            name: "unit",
            value: unit.to_string(),
            wanted: format!("an index below {units}, the number of units"),
        }),
    }
}

/// All units in order.
fn everything(units: usize) -> Vec<usize> {
    (0..units).collect()
}

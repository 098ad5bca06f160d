//! ROUGE-L (Lin 2004): the longest common subsequence of candidate and reference.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | ROUGE-1 | sentences are cut at single blanks, so an empty one has one word, which is empty: two empty sentences agree | strict | `an_empty_sentence_has_one_word` |
//! | ROUGE-2 | precision and recall are the best over the references, perhaps of different ones | strict | `precision_and_recall_may_come_from_different_references` |
//! | ROUGE-3 | the weight of recall is 1.2, not the 8 of other implementations | strict | `precision_and_recall_may_come_from_different_references` |

use super::{CaptionScores, everything, has_references, is_sample};
use crate::Result;

/// The weight of recall.
const BETA: f64 = 1.2;

/// Collects units.
#[derive(Clone, Debug, Default)]
pub struct Rouge {
    records: Vec<f64>,
}

impl Rouge {
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
        self.records.push(rouge_l(candidate, references));
        Ok(())
    }

    /// Appends the units of another.
    pub fn merge(&mut self, other: Self) {
        self.records.extend(other.records);
    }

    /// The scores of all units.
    ///
    /// # Errors
    /// When there is none.
    pub fn scores(&self) -> Result<CaptionScores> {
        self.scores_of(&everything(self.records.len()))
    }

    /// The scores of the units with these indices, each as often as it is named; the corpus value is their mean.
    ///
    /// # Errors
    /// When there is none, or an index is too large.
    pub fn scores_of(&self, sample: &[usize]) -> Result<CaptionScores> {
        is_sample(sample, self.records.len())?;
        Ok(CaptionScores::mean_of(sample.iter().map(|&unit| self.records[unit]).collect()))
    }
}

fn rouge_l<R: AsRef<str>>(candidate: &str, references: &[R]) -> f64 {
    let candidate: Vec<&str> = candidate.split(' ').collect();
    let (mut precision, mut recall) = (0.0_f64, 0.0_f64);
    for reference in references {
        let reference: Vec<&str> = reference.as_ref().split(' ').collect();
        let common = longest_common_subsequence(&candidate, &reference) as f64;
        precision = precision.max(common / candidate.len() as f64);
        recall = recall.max(common / reference.len() as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

/// Its length; one row of the table is kept.
fn longest_common_subsequence(left: &[&str], right: &[&str]) -> usize {
    let mut row = vec![0; right.len() + 1];
    for word in left {
        let mut diagonal = 0;
        for (at, other) in right.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if word == other { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsequences_need_not_be_contiguous() {
        let length = |a: &str, b: &str| {
            longest_common_subsequence(&a.split(' ').collect::<Vec<_>>(), &b.split(' ').collect::<Vec<_>>())
        };
        assert_eq!(length("police killed the gunman", "police kill the gunman"), 3);
        assert_eq!(length("a b c d", "d c b a"), 1);
        assert_eq!(length("a x b y", "a b"), 2);
    }

    #[test]
    fn an_empty_sentence_has_one_word() {
        assert_eq!(rouge_l("", &[""]), 1.0);
        assert_eq!(rouge_l("", &["a"]), 0.0);
    }

    #[test]
    fn precision_and_recall_may_come_from_different_references() {
        // Precision 1 from the long reference, recall 1 from the short one.
        assert_eq!(rouge_l("a b", &["a", "a b c d"]), 1.0);
        let expected = 2.44 * 0.5 / (1.0 + 1.44 * 0.5);
        assert!((rouge_l("a b", &["a", "x a y z"]) - expected).abs() < 1e-12);
    }
}

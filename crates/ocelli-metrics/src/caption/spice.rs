//! SPICE (Anderson et al. 2016, arXiv 1607.08822) on scene graphs that are given: F1 of their tuples.
//!
//! A tuple is an object, an object with an attribute, or two objects with their relation. The parser that makes tuples
//! of sentences, and WordNet's synonyms, are not part of it: tuples are equal when their words are.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | SPICE-1 | tuples form sets: said twice counts once | strict | `tuples_form_sets` |
//! | SPICE-2 | an empty side scores 0 | strict | `tuples_form_sets` |

use serde::Serialize;
use std::collections::BTreeSet;

/// Agreement of two scene graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SpiceScore {
    /// Share of the candidate's tuples that the reference has.
    pub precision: f64,
    /// Share of the reference's tuples that the candidate has.
    pub recall: f64,
    /// Their harmonic mean.
    pub f: f64,
}

/// Compares the tuples of a candidate with those of its references, which are one set.
pub fn spice_of_tuples(candidate: &[Vec<String>], reference: &[Vec<String>]) -> SpiceScore {
    let candidate: BTreeSet<&Vec<String>> = candidate.iter().collect();
    let reference: BTreeSet<&Vec<String>> = reference.iter().collect();
    let common = candidate.intersection(&reference).count() as f64;
    if common == 0.0 {
        return SpiceScore::default();
    }
    let (precision, recall) = (common / candidate.len() as f64, common / reference.len() as f64);
    SpiceScore { precision, recall, f: 2.0 * precision * recall / (precision + recall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuples(text: &[&str]) -> Vec<Vec<String>> {
        text.iter().map(|t| t.split(' ').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn tuples_form_sets() {
        let score =
            spice_of_tuples(&tuples(&["dog", "dog", "dog brown"]), &tuples(&["dog", "cat", "dog on mat"]));
        assert_eq!((score.precision, score.recall), (0.5, 1.0 / 3.0));
        assert!((score.f - 0.4).abs() < 1e-12);
        assert_eq!(spice_of_tuples(&[], &tuples(&["a"])), SpiceScore::default());
        assert_eq!(spice_of_tuples(&[], &[]), SpiceScore::default());
    }
}

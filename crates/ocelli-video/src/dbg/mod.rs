//! DBG, the dense boundary generator (Lin et al., AAAI 2020, arXiv 1911.04127): boundary and completeness scores for
//! every pair of start and end at once.
//!
//! Here is its evaluator: the average recall of proposals by the ActivityNet toolkit.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "dbg",
        title: "Fast Learning of Temporal Action Proposal via Dense Boundary Generator",
        task: "temporal action proposals",
        basis: Basis::Official,
        authors: "Lin, Li, Wang, Tai, Luo, Cui, Wang, Li, Huang, Ji",
        venue: "AAAI 2020",
        arxiv: "1911.04127",
        summary: "Scores boundaries and completeness of all segments of a video densely, from two streams of features.",
        notes: &["Only its evaluator is here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

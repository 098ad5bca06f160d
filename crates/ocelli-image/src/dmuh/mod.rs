//! DMUH (Fu et al., Pattern Recognition 2022, arXiv 2009.08012): binary codes that know which bits are undecided.
//!
//! The distance between a network's outputs and those of its momentum average says how uncertain each bit and each picture
//! is; uncertain ones weigh more in training.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "dmuh",
        title: "Deep Momentum Uncertainty Hashing",
        task: "image retrieval",
        basis: Basis::Reconstruction,
        authors: "Fu, Wang, Wu, Zhang, He",
        venue: "Pattern Recognition 2022",
        arxiv: "2009.08012",
        summary: "Hashing for image retrieval in which the disagreement of a network with its momentum average weighs bits and pictures.",
        notes: &[
            "Only its evaluator is here so far.",
            "The weighting functions and their constants are not published in what could be read.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

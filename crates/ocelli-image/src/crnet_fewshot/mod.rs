//! CRNet (Chen et al., 2019, arXiv 1912.08395): class descriptors that move less from task to task.
//!
//! A class described by a few pictures has another descriptor in every episode ("meta shift"). Here features pass through a
//! class encoder into a domain spanned by a class basis learned over the whole training set, and a decoder makes the descriptor.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "crnet-fewshot",
        title: "Class Regularization: Improve Few-shot Image Classification by Reducing Meta Shift",
        task: "few-shot classification",
        basis: Basis::Reconstruction,
        authors: "Chen, Yang, Feng, Wu, Song, Li, He, Xue, Mao",
        venue: "arXiv 2019",
        arxiv: "1912.08395",
        summary: "Few-shot classification with class descriptors drawn towards a basis learned over all training classes.",
        notes: &[
            "Only its evaluator is here so far.",
            "The inner form of encoder, basis and decoder is not published in what could be read.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

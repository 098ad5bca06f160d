//! LOUPE (Li et al., NeurIPS 2022, arXiv 2208.02515): vision-language pre-training that aligns regions and phrases by the
//! Shapley interaction of games among patches and words.
//!
//! Here is its evaluator: retrieval between pictures and their captions, several a picture.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "loupe",
        title: "Fine-Grained Semantically Aligned Vision-Language Pre-Training",
        task: "vision-language pre-training",
        basis: Basis::Reconstruction,
        authors: "Li, He, Wei, Qian, Zhu, Xie, Zhuang, Tian, Tang",
        venue: "NeurIPS 2022",
        arxiv: "2208.02515",
        summary: "Learns from pictures with captions which regions and phrases belong together, guided by Shapley interactions of tokens and of semantics.",
        notes: &["Only its evaluator is here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

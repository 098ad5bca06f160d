//! Concurrent softmax (Peng et al., CVPR 2020, arXiv 2005.08455): detection from labels that several categories share.
//!
//! In Open Images a woman is a person too, and is labelled as either; the softmax spares categories that occur together
//! with the object's own, and rare categories are sampled more often. Here is its evaluator: Open Images average precision
//! with groups, verified labels and the hierarchy of categories.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "concurrent-softmax",
        title: "Large-Scale Object Detection in the Wild from Imbalanced Multi-Labels",
        task: "object detection with several labels an object",
        basis: Basis::Mixed,
        authors: "Peng, Bu, Sun, Zhang, Tan, Yan",
        venue: "CVPR 2020",
        arxiv: "2005.08455",
        summary: "A softmax that does not set categories against each other that objects have in common, with soft-balanced sampling.",
        notes: &[
            "Only its evaluator is here so far.",
            "No code was released; the evaluator is that of the TensorFlow Object Detection API.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! VISA (Li et al., CVPR 2022, arXiv 2203.13049): compositional temporal grounding; the graphs of a sentence and of a
//! video are matched level by level, so that known words in new combinations are still found.
//!
//! Here is its evaluator: R@n,IoU=m and mIoU.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "visa",
        title: "Compositional Temporal Grounding with Structured Variational Cross-Graph Correspondence Learning",
        task: "temporal grounding",
        basis: Basis::Reconstruction,
        authors: "Li, Xie, Qian, Zhu, Tang, Wu, Yang, Zhuang, Wang",
        venue: "CVPR 2022",
        arxiv: "2203.13049",
        summary: "Grounds a sentence in a video by variational matching of hierarchical graphs of events, actions and objects.",
        notes: &["Only its evaluator is here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

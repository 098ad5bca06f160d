//! The ActivityNet Challenge 2020 pipeline for temporal action localisation (Su et al., arXiv 2007.09883): proposals of
//! several complementary generators, named by a video classifier, ensembled and suppressed.
//!
//! Here are its evaluators, those of the ActivityNet toolkit: average recall of proposals and mean average precision of
//! detections.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "anet2020-tal",
        title: "Complementary Boundary Generator with Scale-Invariant Relation Modeling for Temporal Action Localization: Submission to ActivityNet Challenge 2020",
        task: "temporal action detection",
        basis: Basis::Mixed,
        authors: "Su, Feng, Shao, Jiang, Zhang, Wu, Liu, Li, Yan",
        venue: "ActivityNet Challenge at CVPR 2020",
        arxiv: "2007.09883",
        summary: "Class-agnostic proposals from complementary generators and features, named by a video classifier; ensembled by maps and by lists.",
        notes: &[
            "Only its evaluator is here so far.",
            "The report has no code; its evaluators are the official toolkit's.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! The ActivityNet Challenge 2020 pipeline for temporal action localisation (Su et al., arXiv 2007.09883): proposals of
//! several complementary generators, named by a video classifier, ensembled and suppressed.
//!
//! | file | what |
//! |---|---|
//! | `ensemble.rs` | several models as one, by maps or by lists |
//! | `label.rs` | class scores of a video, proposals with classes |
//! | `submission.rs` | both over files of results |
//! | `classifier.rs` | a video classifier on the proposals' features |
//! | `videos.rs` | videos with their classes, class scores of videos |
//! | `recipe.rs`, `task.rs` | its training |
//!
//! Its generators are those of [`crate::bsn_plus_plus`]; rescaling, suppression and recall by length those of
//! [`crate::temporal`]. The evaluators are the ActivityNet toolkit's: average recall of proposals and mean average precision
//! of detections.

pub mod classifier;
pub mod ensemble;
pub mod label;
pub mod recipe;
mod reproduce;
pub mod submission;
pub mod task;
mod verify;
pub mod videos;

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
            "The report has no code; its evaluators are the official toolkit's. The generators are those of bsn-plus-plus.",
            "Scores of lists are brought to a maximum of 1 before they are put together; the report does not say how.",
            "The claim averages simulated maps with independent errors: it is about the ensemble, not about training.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

//! UTT (Ma et al., CVPR 2022, arXiv 2203.15175): one transformer that tracks one given object or all of known classes.
//!
//! A target's feature vector is correlated with the tracking frame, and its box refined six times from features pooled
//! at the box; single objects and detected ones take the same way.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "utt",
        title: "Unified Transformer Tracker for Object Tracking",
        task: "object tracking",
        basis: Basis::Official,
        authors: "Ma, Shou, Zhu, Fan, Xu, Yang, Yan",
        venue: "CVPR 2022",
        arxiv: "2203.15175",
        summary: "Tracking of one object and of many by one transformer that correlates targets with the frame and refines their boxes.",
        notes: &["Only its evaluators are here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

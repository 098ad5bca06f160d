//! BC-Net (Yu et al., CVPR 2020, arXiv 2005.07862): re-identification of people who changed their clothes.
//!
//! The query is a person in other clothes and a template of the clothes worn in the gallery. One branch extracts what does
//! not depend on clothes, the other the clothes, and both are fused.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "bc-net",
        title: "COCAS: A Large-Scale Clothes Changing Person Dataset for Re-identification",
        task: "person re-identification",
        basis: Basis::Reconstruction,
        authors: "Yu, Li, Chen, Zhao, Yan, Qiao",
        venue: "CVPR 2020",
        arxiv: "2005.07862",
        summary: "Clothes-changing re-identification: a biometric branch and a clothes branch with a template, fused.",
        notes: &[
            "Only its evaluator is here so far.",
            "Average precision is the plain one and distances are Euclidean on the features as they are.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

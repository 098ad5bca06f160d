//! PoseGU (Guan et al., CVIU 2023, arXiv 2207.03618): a generator of poses, and learning that undoes its bias.
//!
//! Lifting 2D joints to 3D needs many poses. They are generated from a few seed poses by turning bones, and counterfactual
//! risk minimisation weighs them towards the poses one wants to be right on.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "posegu",
        title: "PoseGU: 3D Human Pose Estimation with Novel Human Pose Generator and Unbiased Learning",
        task: "3D human pose estimation",
        basis: Basis::Mixed,
        authors: "Guan, Lu, Zhu, Fang",
        venue: "CVIU 2023",
        arxiv: "2207.03618",
        summary: "Lifting of 2D joints to 3D trained on generated poses, with importance weights and a variance penalty.",
        notes: &[
            "Only its evaluator is here so far.",
            "The evaluator is that of PoseAug; Procrustes alignment knows no reflection.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

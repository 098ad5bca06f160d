//! M2FPA (Li et al., ICCV 2019, arXiv 1904.00168): a benchmark of faces in many poses, and frontalisation for it.
//!
//! A generator turns a face to the front; beside the global discriminator a second one, guided by the parts of the frontal
//! face, judges hair, skin and features each for itself.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "m2fpa",
        title: "M2FPA: A Multi-Yaw Multi-Pitch High-Quality Dataset and Benchmark for Facial Pose Analysis",
        task: "face frontalisation",
        basis: Basis::Reconstruction,
        authors: "Li, Wu, Hu, He, Sun",
        venue: "ICCV 2019",
        arxiv: "1904.00168",
        summary: "Face frontalisation with a parsing-guided local discriminator, and the benchmark's identification by pose.",
        notes: &[
            "Only its evaluator is here so far.",
            "The mean is over probes, not over poses; a probe without a mate counts as missed.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! Score-aware quantization (Guo et al., ICML 2020, arXiv 1908.10396): codes for maximum inner product search.
//!
//! What matters in search are the large inner products. They suffer from the part of the quantisation error that is parallel
//! to the vector more than from the orthogonal part, so the parallel part weighs more in the loss.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "score-aware-quantization",
        title: "Accelerating Large-Scale Inference with Anisotropic Vector Quantization",
        task: "nearest-neighbour search",
        basis: Basis::Mixed,
        authors: "Guo, Sun, Lindgren, Geng, Simcha, Chern, Kumar",
        venue: "ICML 2020",
        arxiv: "1908.10396",
        summary: "Vector quantisation that preserves large inner products by weighing the parallel error more.",
        notes: &[
            "Only its evaluator is here so far.",
            "Of equal scores the item of the smaller index ranks first.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! Low-rank principal eigenmatrix analysis (Balasubramanian et al., 2019, arXiv 1904.12369).
//!
//! With fewer samples than dimensions the leading eigenvector is estimated badly. If it has low rank as a matrix, cutting the
//! rank in every step of the power method helps, where sparsity would not.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "low-rank-eigenmatrix",
        title: "Low-Rank Principal Eigenmatrix Analysis",
        task: "principal components",
        basis: Basis::Reconstruction,
        authors: "Balasubramanian, Chen, Fan, Wu",
        venue: "arXiv 2019",
        arxiv: "1904.12369",
        summary: "Leading eigenvectors that are of low rank as matrices, by a power method with rank truncation.",
        notes: &["Only its evaluator is here so far.", "Components are compared up to length and sign."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

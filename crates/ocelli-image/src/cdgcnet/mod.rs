//! CDGCNet (Hu et al., ECCV 2020, arXiv 2007.09690): context from pixels of the same class only.
//!
//! Pyramids and attention mix features of wrong classes into a pixel. Here a coarse prediction sorts the pixels, and a graph
//! convolution with learned edges runs inside each class, trained on the pixels that the coarse prediction gets wrong.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "cdgcnet",
        title: "Class-wise Dynamic Graph Convolution for Semantic Segmentation",
        task: "semantic segmentation",
        basis: Basis::Reconstruction,
        authors: "Hu, Ji, Gan, Bai, Wu, Yan",
        venue: "ECCV 2020",
        arxiv: "2007.09690",
        summary: "Segmentation, coarse to fine: a graph convolution for each class of a coarse prediction, on dynamically chosen pixels.",
        notes: &[
            "Only its evaluator is here so far.",
            "No released code exists; the evaluator leaves classes that occur in neither map out of the mean.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! ASFD, an automatic and scalable face detector (Zhang et al., 2020, arXiv 2003.11228): a face detector whose feature
//! module is found by differentiable search and whose size follows from one index.
//!
//! Here is its evaluator: average precision on a subset of the faces of WIDER FACE.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "asfd",
        title: "ASFD: Automatic and Scalable Face Detector",
        task: "face detection",
        basis: Basis::Reconstruction,
        authors: "Zhang, Li, Wang, Tai, Wang, Li, Huang, Xia, Pei, Ji",
        venue: "arXiv 2020",
        arxiv: "2003.11228",
        summary: "Face detector with a searched feature module, a distance-based box loss with margins, and presets D0 to D6.",
        notes: &["Only its evaluator is here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

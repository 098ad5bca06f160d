//! ARFlow (Liu et al., CVPR 2020, arXiv 2003.13045): optical flow learned from unlabelled frames.
//!
//! Beside the photometric loss, a second pass on transformed frames is supervised by the transformed flow of the first:
//! what is easy to match teaches what is hard.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "arflow",
        title: "Learning by Analogy: Reliable Supervision from Transformations for Unsupervised Optical Flow Estimation",
        task: "optical flow",
        basis: Basis::Official,
        authors: "Liu, Zhang, He, Liu, Wang, Tai, Luo, Wang, Li, Huang",
        venue: "CVPR 2020",
        arxiv: "2003.13045",
        summary: "Unsupervised optical flow by a light pyramid network that is also taught by its own flow on transformed frames.",
        notes: &["Only its evaluator and its reader of KITTI's pictures are here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

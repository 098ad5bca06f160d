//! CurricularFace (Huang et al., CVPR 2020, arXiv 2004.00288): a margin head with a curriculum over hard negatives.
//!
//! ArcFace treats every negative alike; mining losses stress hard ones from the first step, which can prevent
//! convergence. Here a hard negative, one whose cosine exceeds the margined positive, is weighed by its cosine plus
//! a state `t` that follows the average positive cosine: little while the network knows nothing, more as it learns.
//!
//! [`CurricularHead`] is the method; [`ArcHead`](crate::recognition::arcface::ArcHead) is the baseline it is compared with.

mod head;
mod reproduce;
mod verify;

pub use head::{CurricularConfig, CurricularHead, CurricularOutput};

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "curricularface",
        title: "CurricularFace: Adaptive Curriculum Learning Loss for Deep Face Recognition",
        task: "face recognition",
        basis: Basis::Official,
        authors: "Huang, Wang, Tai, Liu, Shen, Li, Li, Huang",
        venue: "CVPR 2020",
        arxiv: "2004.00288",
        summary: "Margin softmax whose hard negatives weigh more the further training has come: easy samples first, hard ones later.",
        notes: &[
            "The state t is updated before it is used, from the raw positive cosines of the batch, and only in training.",
            "alpha = 0.01 as in the first release; TFace's later one uses 0.1.",
            "MobileFaceNet with the GNAP tail mixes the pictures of a batch, also at test time.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

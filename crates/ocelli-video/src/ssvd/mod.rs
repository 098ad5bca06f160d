//! SSVD, the single shot video object detector (Deng et al., IEEE Transactions on Multimedia 2021, arXiv 2007.03560):
//! one-stage detection in video with features of neighbouring frames, warped by optical flow and sampled by offsets.
//!
//! Here is its evaluator: ImageNet VID average precision, where small objects may be found by a smaller overlap.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "ssvd",
        title: "Single Shot Video Object Detector",
        task: "object detection in video",
        basis: Basis::Mixed,
        authors: "Deng, Pan, Yao, Zhou, Li, Mei",
        venue: "IEEE Transactions on Multimedia 2021",
        arxiv: "2007.03560",
        summary: "One-stage video detection with a motion stream of warped and a sampling stream of sampled neighbour features.",
        notes: &["Only its evaluator is here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! AHGN (Li et al., ICCV 2021, arXiv 2107.12270): does a video with subtitles entail a statement?
//!
//! Frames and subtitle words are joined in graphs at three levels, whose edges adapt to what the statement is about;
//! coherence losses tie the levels together.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "ahgn",
        title: "Adaptive Hierarchical Graph Reasoning with Semantic Coherence for Video-and-Language Inference",
        task: "video-and-language inference",
        basis: Basis::Mixed,
        authors: "Li, Tang, Zhu, Shi, Huang, Wu, Yang, Zhuang",
        venue: "ICCV 2021",
        arxiv: "2107.12270",
        summary: "Video-and-language inference by statement-dependent graphs at three levels.",
        notes: &[
            "Only its evaluator is here so far.",
            "A statement is taken for true at a probability of exactly the threshold.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! TEL, temporal emotion localization (Li et al., ACM Multimedia 2022, arXiv 2208.01954): which emotions a clip shows,
//! and when, learned from labels of whole clips and the consensus of pictures and subtitles.
//!
//! Here is its evaluator: mean average precision over thresholds of temporal overlap.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "tel",
        title: "Dilated Context Integrated Network with Cross-Modal Consensus for Temporal Emotion Localization in Videos",
        task: "temporal emotion localization",
        basis: Basis::Reconstruction,
        authors: "Li, Xie, Zhu, Qian, Tang, Zhang, Shi, Zhang, Wei, Tian, Zhuang",
        venue: "ACM Multimedia 2022",
        arxiv: "2208.01954",
        summary: "Localises emotions in movie clips from clip-level labels, by contexts of several dilations and the agreement of video and subtitles.",
        notes: &["Only its evaluator is here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

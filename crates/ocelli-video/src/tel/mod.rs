//! TEL, temporal emotion localization (Li et al., ACM Multimedia 2022, arXiv 2208.01954): which emotions a clip shows,
//! and when, learned from labels of whole clips and the consensus of pictures and subtitles.
//!
//! A clip is a sequence of segments, one for each line of its subtitles, with a feature of what is seen and one of what
//! is said. A [`Branch`] for each looks at every segment closely and in contexts of growing reach ([`CoarseStream`]),
//! reasons about those and mixes them in as the segment needs ([`FineStream`]). What both branches are sure of teaches
//! each of them when an emotion is shown ([`agreement`], [`mutual`]); [`localize`] makes segments of it.

mod clips;
mod coarse;
pub mod data;
mod fine;
mod localize;
mod localizer;
mod losses;
mod mask;
mod network;
pub mod recipe;
mod reproduce;
pub mod task;
mod training;
mod verify;

pub use clips::{Clip, ClipBatch};
pub use coarse::CoarseStream;
pub use fine::FineStream;
pub use localize::{ClipProbabilities, LocalizeConfig, Localized, localize};
pub use localizer::{Localizer, Passport, THRESHOLDS, mean_average_precision_of};
pub use losses::{Agreement, LossConfig, Losses, agreement, mil, mutual, pool};
pub use mask::Mask;
pub use network::{Branch, BranchOutput, Tel, TelOutput, TelShape};
pub use training::step;

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
        notes: &[
            "No code was released: streams, consensus and weak supervision are the paper's, layers, formulas and thresholds a reconstruction.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

//! The Pre-training for Video Captioning Challenge 2020 (summary: arXiv 2008.00947): pre-train on Auto-captions on GIF,
//! fine-tune on MSR-VTT, caption hidden videos, be ranked by four metrics.
//!
//! Submissions are scored by BLEU@4, METEOR, CIDEr-D and SPICE after Penn Treebank tokenisation, each times 100. The
//! reward of self-critical training is CIDEr-D with frequencies frozen from the training corpus, the end token kept.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "captioning-challenge",
        title: "Pre-training for Video Captioning Challenge 2020 Summary",
        task: "video captioning",
        basis: Basis::Mixed,
        authors: "Pan, Xu, Li, Yao, Mei",
        venue: "ACM MM 2020 Grand Challenge",
        arxiv: "2008.00947",
        summary: "The protocol of a captioning challenge, and the techniques its participants won it with.",
        notes: &[
            "Only its evaluator is here so far.",
            "METEOR's corpus value is no mean of sentence values, and CIDEr-D depends on the whole set that is scored.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

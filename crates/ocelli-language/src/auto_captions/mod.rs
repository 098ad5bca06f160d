//! Auto-captions on GIF (Pan et al., ACM MM 2022, arXiv 2007.02375): a corpus of videos with sentences harvested from web
//! pages, to pre-train captioners on.
//!
//! Pairs of a GIF and its alternative text are filtered by rules; an encoder-decoder is pre-trained on them with four
//! proxy tasks and fine-tuned on a clean corpus. What such captions are worth is said by BLEU, METEOR, ROUGE-L, CIDEr-D
//! and SPICE.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "auto-captions",
        title: "Auto-captions on GIF: A Large-scale Video-sentence Dataset for Vision-language Pre-training",
        task: "video captioning",
        basis: Basis::Mixed,
        authors: "Pan, Li, Luo, Xu, Yao, Mei",
        venue: "ACM MM 2022",
        arxiv: "2007.02375",
        summary: "Pre-trains a captioner on GIFs and their alternative texts, harvested from web pages and filtered by rules.",
        notes: &[
            "Only its evaluator is here so far.",
            "What papers print as CIDEr is CIDEr-D, times 100.",
            "METEOR's synonyms and paraphrases are files that the user gives; without them it aligns words and stems.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! CWAN (Atoum et al., CVPR Workshops 2020, arXiv 1911.08681): dark pictures made bright, lightness and colour apart.
//!
//! One small network brightens the lightness; another restores the colours in Lab, with an attention map learned from the
//! colour cues that survive in the dark.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "cwan",
        title: "Color-wise Attention Network for Low-light Image Enhancement",
        task: "low-light enhancement",
        basis: Basis::Mixed,
        authors: "Atoum, Ye, Ren, Tai, Liu",
        venue: "CVPR Workshops 2020",
        arxiv: "1911.08681",
        summary: "Low-light enhancement of lightness and colour apart, with attention to surviving colour cues.",
        notes: &[
            "Only its evaluator is here so far.",
            "SSIM has three modes that differ a lot; MATLAB's takes colour as a third dimension.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

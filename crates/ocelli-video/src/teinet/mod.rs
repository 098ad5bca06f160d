//! TEINet (Liu et al., AAAI 2020, arXiv 1911.09435): a plug-in for time in image networks.
//!
//! In front of each residual block channels are gated by the difference of neighbouring frames, then mixed over time by a
//! depth-wise convolution that starts out as a shift.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "teinet",
        title: "TEINet: Towards an Efficient Architecture for Video Recognition",
        task: "action recognition",
        basis: Basis::Reconstruction,
        authors: "Liu, Luo, Wang, Wang, Tai, Wang, Li, Huang, Lu",
        venue: "AAAI 2020",
        arxiv: "1911.09435",
        summary: "Action recognition by an image network with motion-gated channels and depth-wise temporal convolution.",
        notes: &["Only its evaluator is here so far.", "No released code exists."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

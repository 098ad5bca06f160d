//! HAMBox (Liu et al., CVPR 2020, arXiv 1912.09231): face detection that gives badly matched faces further anchors
//! while it trains, those whose regressed boxes fit.
//!
//! Here is its evaluator: average precision on the easy, medium and hard faces of WIDER FACE.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "hambox",
        title: "HAMBox: Delving into Online High-quality Anchors Mining for Detecting Outer Faces",
        task: "face detection",
        basis: Basis::Mixed,
        authors: "Liu, Tang, Han, Liu, Ding, Wu",
        venue: "CVPR 2020",
        arxiv: "1912.09231",
        summary: "Compensates faces that few anchors match with unmatched anchors whose regressed boxes overlap them well.",
        notes: &["Only its evaluator is here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

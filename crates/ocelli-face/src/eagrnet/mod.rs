//! EAGRNet (Te et al., ECCV 2020, arXiv 2007.11240): parts of a face related to one another by a graph.
//!
//! Features of scattered regions, such as both eyes, are pooled into a few vertices under the guidance of a predicted edge
//! map, related by graph convolution, and projected back.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "eagrnet",
        title: "Edge-aware Graph Representation Learning and Reasoning for Face Parsing",
        task: "face parsing",
        basis: Basis::Official,
        authors: "Te, Liu, Hu, Shi, Mei",
        venue: "ECCV 2020",
        arxiv: "2007.11240",
        summary: "Face parsing with a graph over regions, pooled under the guidance of predicted edges.",
        notes: &[
            "Only its evaluator is here so far.",
            "F1 is pooled over the pixels of the set; confusing the members of a group is right for the group.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

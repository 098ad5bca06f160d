//! Vector-decomposed disentanglement (Wu et al., ICCV 2021, arXiv 2108.06685): an object detector for an unlabelled domain.
//!
//! A network splits each feature map into a part that all domains share and the difference, which belongs to one of them,
//! and makes the two orthogonal. Here is its evaluator: PASCAL VOC average precision, by 11 points and by area.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "vdd",
        title: "Vector-Decomposed Disentanglement for Domain-Invariant Object Detection",
        task: "domain-adaptive object detection",
        basis: Basis::Official,
        authors: "Wu, Liu, Han, Zhu, Yang",
        venue: "ICCV 2021",
        arxiv: "2108.06685",
        summary: "Splits a detector's features into a domain-invariant and an orthogonal domain-specific part.",
        notes: &[
            "Only its evaluator is here so far.",
            "The released evaluator divides recall by one object too many; `ocelli score voc --variant official` does so too.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

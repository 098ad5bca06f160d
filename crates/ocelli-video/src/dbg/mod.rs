//! DBG, the dense boundary generator (Lin et al., AAAI 2020, arXiv 1911.04127): boundary and completeness scores for
//! every pair of start and end at once.
//!
//! Two streams of features of a video's cells (`network.rs`) give how much action each cell holds and what each is like.
//! From these, features of every proposal are sampled around its start, inside it, and around its end (`sampling.rs`). One
//! head says of each proposal how complete an action it is, the other whether it begins and ends where an action does;
//! means over all proposals that share a boundary are the scores of boundaries, and the product of the three ranks
//! proposals (`propose.rs`). Targets are in `labels.rs`, losses in `loss.rs`.

pub mod generator;
pub mod labels;
pub mod loss;
pub mod network;
pub mod propose;
mod reproduce;
pub mod sampling;
pub mod step;
mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "dbg",
        title: "Fast Learning of Temporal Action Proposal via Dense Boundary Generator",
        task: "temporal action proposals",
        basis: Basis::Official,
        authors: "Lin, Li, Wang, Tai, Luo, Cui, Wang, Li, Huang, Ji",
        venue: "AAAI 2020",
        arxiv: "1911.04127",
        summary: "Scores boundaries and completeness of all segments of a video densely, from two streams of features.",
        notes: &[
            "As the released PyTorch code: no rectifier after the proposal features; rectify_proposals gives the TensorFlow code's.",
            "The released log loss is NaN where every cell is positive; here it is finite.",
            "Invalid proposals (end before start) are neither computed nor ranked.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

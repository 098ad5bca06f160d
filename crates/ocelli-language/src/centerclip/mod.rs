//! CenterCLIP (Zhao et al., SIGIR 2022, arXiv 2205.00823): text-video retrieval with CLIP, whose tokens are clustered in
//! the middle of the network so that only the centres go on.
//!
//! Here are its evaluators: retrieval with one and with several sentences a video.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "centerclip",
        title: "CenterCLIP: Token Clustering for Efficient Text-Video Retrieval",
        task: "text-video retrieval",
        basis: Basis::Official,
        authors: "Zhao, Zhu, Wang, Yang",
        venue: "SIGIR 2022",
        arxiv: "2205.00823",
        summary: "Clusters the tokens of each temporal segment inside CLIP's picture encoder and keeps the medoids: less to compute, better recall.",
        notes: &["Only its evaluator is here so far."],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

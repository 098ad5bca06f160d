//! DCGN (Mao et al., ECCV Workshops 2018, arXiv 1906.00377): a video as a graph of frames, shots and events.
//!
//! Frames are nodes with edges by similarity; graph convolution alternates with pooling of neighbours in time, which gives
//! representations at the level of frames, shots, events and the video.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "dcgn",
        title: "Hierarchical Video Frame Sequence Representation with Deep Convolutional Graph Network",
        task: "video classification",
        basis: Basis::Mixed,
        authors: "Mao, Wu, Xue, Zhang",
        venue: "ECCV Workshops 2018",
        arxiv: "1906.00377",
        summary: "Multi-label video classification by graph convolution and pooling over a hierarchy of frames, shots and events.",
        notes: &[
            "Only its evaluator is here so far.",
            "The evaluator is that of YouTube-8M; tied scores keep their order instead of being shuffled.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! Aurora Guard (Liu et al., 2019, arXiv 1902.10311): liveness from the screen's light on the face.
//!
//! The screen shines a random sequence of colours. Frames under two lights differ by the reflected light alone, which
//! carries surface normals: a face is curved, paper and screens are flat, and a replay answers the wrong sequence.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "aurora-guard",
        title: "Aurora Guard: Real-Time Face Anti-Spoofing via Light Reflection",
        task: "face anti-spoofing",
        basis: Basis::Reconstruction,
        authors: "Liu, Tai, Li, Ding, Wang, Huang, Li, Qi, Ji",
        venue: "arXiv 2019",
        arxiv: "1902.10311",
        summary: "Face anti-spoofing by light reflection: normal cues to depth and liveness, and a light sequence as a secret to be answered.",
        notes: &[
            "Only its evaluator is here so far.",
            "No released code exists. Scores are of a live person; a score equal to the threshold is accepted.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

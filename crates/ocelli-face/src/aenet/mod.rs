//! AENet (Zhang et al., ECCV 2020, arXiv 2007.12342): the network of the CelebA-Spoof benchmark.
//!
//! One small network learns whether a face is live together with the attack's type, the light, face attributes, depth and
//! reflection; the annotations make it generalise better than the binary label does.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "aenet",
        title: "CelebA-Spoof: Large-Scale Face Anti-Spoofing Dataset with Rich Annotations",
        task: "face anti-spoofing",
        basis: Basis::Mixed,
        authors: "Zhang, Yin, Li, Yin, Yan, Shao, Liu",
        venue: "ECCV 2020",
        arxiv: "2007.12342",
        summary: "Face anti-spoofing with auxiliary labels: attack type, illumination, attributes, depth, reflection.",
        notes: &[
            "Only its evaluator is here so far.",
            "Scores are probabilities of an attack; recall at a false-positive rate compares strictly.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

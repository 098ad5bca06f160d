//! RANet (Cao et al., 2019, arXiv 1905.00996): poses that are not confused by nearby people and mirrored limbs.
//!
//! Body parts cut out by a parser are pasted into training pictures, the network learns which region is the person's, and
//! predictions over scales and stages vote in a cascade.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "ranet",
        title: "Anti-Confusing: Region-Aware Network for Human Pose Estimation",
        task: "human pose estimation",
        basis: Basis::Mixed,
        authors: "Cao, Ge, Tai, Zhang, Li, Wang, Li, Huang",
        venue: "arXiv 2019",
        arxiv: "1905.00996",
        summary: "Single-person pose estimation with pasted body parts, a supervised region of the person, and cascade voting.",
        notes: &[
            "Only its evaluator is here so far.",
            "The evaluators are those of the group's follow-up release: pelvis and thorax are left out of the mean.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

//! DVG-Face (Fu et al., TPAMI 2021, arXiv 2009.09399): paired faces of new people for recognition across domains.
//!
//! Pairs of one person in two domains, such as near infrared and visible light, are few. A generator of pairs of people who
//! do not exist makes more, and a contrastive loss on them trains the recogniser.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "dvg-face",
        title: "DVG-Face: Dual Variational Generation for Heterogeneous Face Recognition",
        task: "face recognition across domains",
        basis: Basis::Official,
        authors: "Fu, Wu, Hu, Huang, He",
        venue: "IEEE TPAMI 2021",
        arxiv: "2009.09399",
        summary: "Heterogeneous face recognition trained with generated cross-domain pairs of new identities.",
        notes: &[
            "Only its evaluator is here so far.",
            "Cosines of all probes and gallery pictures; the threshold at a false-accept rate is strict.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};

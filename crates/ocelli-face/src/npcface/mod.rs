//! NPCFace (Zeng et al. 2020, arXiv 2007.10172): negatives and positives cooperate in one margin softmax.
//!
//! Earlier heads either enlarge the margin of the true class or stress hard negatives. Here both happen and are tied: a
//! hard negative's cosine becomes `t c + a`, and the harder a sample's negatives are on average, the larger is the angular
//! margin of that sample.
//!
//! [`NpcHead`] is the method; the heads it is compared with are those of [`crate::recognition::margin`].

mod head;
mod reproduce;
mod verify;

pub use head::{NpcConfig, NpcHead, NpcOutput};

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "npcface",
        title: "NPCFace: Negative-Positive Collaborative Training for Large-scale Face Recognition",
        task: "face recognition",
        basis: Basis::Official,
        authors: "Zeng, Shi, Du, Wang, Lei, Mei",
        venue: "arXiv 2020",
        arxiv: "2007.10172",
        summary: "Margin softmax in which a sample's margin grows with how hard its negatives are, and hard negatives are raised as well.",
        notes: &[
            "Which negatives are hard is decided with the margin m; the true class gets the sample's own, m0 + m1 h.",
            "m0 = 0.4, m1 = 0.2, t = 1.1 and a = 0.2 are fixed in the released code and settings here.",
            "s = 32 and m = 0.35 as in the released configuration; the released class has 64 and 0.5.",
            "A raised negative may pass 1 and is not held back.",
            "At the size of minutes the gap to ArcFace and MV-Softmax is no larger than its spread over seeds, and a larger margin of ArcFace does as well; the claim reports it beside the rest.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

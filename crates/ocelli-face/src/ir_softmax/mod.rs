//! IR-Softmax (Zhu et al., ACCV 2020, arXiv 2011.11155): class centres in place of classifier weights.
//!
//! With very unequal numbers of pictures a class, the weight of a class ends far from the centre of its features, and
//! features are pulled towards a wrong target. So the weights *are* set to the centres, for softmax and any of its
//! variants: [`Variant`]. No gradient flows into them; [`centers`] keeps them where their classes are.

pub mod centers;
mod deviation;
mod losses;
mod objective;
mod reproduce;
mod trial;
mod verify;

pub use deviation::{SizeBin, by_size, deviation};
pub use losses::Variant;
pub use objective::{CenterRule, IrConfig, IrObjective, VariantName, class_centers, diagnose};

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "ir-softmax",
        title: "Imbalance Robust Softmax for Deep Embedding Learning",
        task: "face recognition",
        basis: Basis::Reconstruction,
        authors: "Zhu, Yuan, Hu, Wu, Robertson",
        venue: "ACCV 2020",
        arxiv: "2011.11155",
        summary: "Softmax and its margins on class centres in place of learned weights: a wrong target for small classes is none.",
        notes: &[
            "No code was released; losses, rules and order of a step follow the paper's description, with SphereFace and AM-Softmax as published.",
            "How centres are kept current is a reading: by the rule of centre loss after every batch, or as means of all training pictures every few epochs.",
            "Centres start as means of the untrained network's features; there is no classifier parameter.",
            "The gain is one of many classes with a long tail; with few the angle to the centres falls as well, but there is little to gain.",
            "sphereface-20 stands under the names of its common PyTorch port; recognisers here take square pictures, the library call any.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

//! Distribution Distillation Loss (Huang et al., ECCV 2020, arXiv 2002.03662): hard faces learn from easy ones.
//!
//! A classifier separates easy faces well and hard ones (small, turned away, …) less so: their similarities to the same
//! person are lower, those to strangers higher, and one threshold cannot serve both. Beside the classifier's loss, this
//! one takes the distributions of both kinds of similarity on easy faces as teacher for those on hard faces, from the
//! same network in the same step, and pushes all positives above all negatives.
//!
//! [`ddl_loss`] takes the [`Branch`]es; their [`Distributions`] are soft [`Histogram`]s of [`positive_similarities`] and
//! [`hard_negatives`]. [`BranchOrder`] composes the batches, [`DdlObjective`] trains by recipe.

mod histogram;
mod loss;
mod objective;
mod order;
mod reproduce;
mod similarity;
mod verify;

pub use histogram::{Histogram, divergence};
pub use loss::{Branch, DdlConfig, DdlOutput, Distributions, ddl_loss};
pub use objective::{Classifier, DdlObjective, DdlRecipe};
pub use order::{BranchError, BranchOrder};
pub use similarity::{hard_negatives, positive_similarities};

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "ddl",
        title: "Improving Face Recognition from Hard Samples via Distribution Distillation Loss",
        task: "face recognition",
        basis: Basis::Official,
        authors: "Huang, Shen, Tai, Li, Liu, Li, Huang, Ji",
        venue: "ECCV 2020",
        arxiv: "2002.03662",
        summary: "A loss for fine-tuning that draws the similarity distributions of hard faces to those of easy ones and pushes positives above negatives.",
        notes: &[
            "Everything follows TFace's code: positives are kept above 0 whatever its positive threshold says, each pair of strangers counts once, and a negative similarity is never below 0.",
            "Gradients flow into the teacher's distributions too.",
            "A branch without a positive pair, where the released code gives NaN, leaves out the terms that need one.",
            "By recipe, pictures as they are teach degraded ones, and both share a classifier; where the training starts from weights, which hold no classifier, its prototypes start at the mean embeddings of their people.",
            "The evaluation by distance of SCface is a reconstruction from the protocol.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

//! BSN++ (Su et al., AAAI 2021, arXiv 2009.07641): temporal action proposals with boundaries from a nested
//! encoder-decoder that sees the video in both directions of time, and scores from attention between proposals, trained
//! with lengths in balance.
//!
//! | file | what |
//! |---|---|
//! | `cbg.rs` | the complementary boundary generator |
//! | `matching.rs` | the boundary-matching layer: features of all proposals |
//! | `relation.rs` | the proposal relation block |
//! | `network.rs`, `bmn.rs` | the whole network; BMN, what it is compared with |
//! | `targets.rs`, `sampling.rs`, `loss.rs` | what is trained |
//! | `inference.rs` | from maps to proposals |
//! | `generator.rs` | either network in recipes, trained and run alike |
//! | `trial.rs` | the small trainings that claims are made of |

pub mod bmn;
pub mod cbg;
pub mod generator;
pub mod inference;
pub mod loss;
pub mod matching;
pub mod network;
pub mod relation;
mod reproduce;
pub mod sampling;
pub mod targets;
pub mod training;
pub(crate) mod trial;
mod units;
pub(crate) mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "bsn-plus-plus",
        title: "BSN++: Complementary Boundary Regressor with Scale-Balanced Relation Modeling for Temporal Action Proposal Generation",
        task: "temporal action proposals",
        basis: Basis::Reconstruction,
        authors: "Su, Gan, Wu, Qiao, Yan",
        venue: "AAAI 2021",
        arxiv: "2009.07641",
        summary: "Boundaries from a nested encoder-decoder in both directions of time, proposals scored by position and channel attention, lengths balanced in training.",
        notes: &[
            "There is no official code. Widths and names are those of the public re-implementation, whose checkpoints need layout = \"transposed\".",
            "Scale balance is a weight on positive proposals: the expected multiplicity of the paper's re-sampling. The re-implementation leaves it out.",
            "A class without cells counts as one cell in the balanced losses; the re-implementation's loss is NaN there.",
            "The claim's gain over BMN does not come out at its size: both are level over three seeds. Scale balance does find more short actions.",
            "Only cells of a band are sampled from it; in BMN's code all cells are, once a band is smaller than the high one.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

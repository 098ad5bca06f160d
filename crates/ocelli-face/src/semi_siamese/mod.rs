//! Semi-Siamese Training (Du et al., ECCV 2020, arXiv 2007.08398): faces of whom there are only two pictures each.
//!
//! A classifier on such *shallow* data pulls each prototype onto its only samples; the prototypes collapse and the
//! network overfits. Here prototypes are features: a *gallery network*, which slowly follows the trained *probe
//! network*, encodes one picture of a pair, and a queue supplies the other identities. That the two networks differ a
//! little keeps a pair from becoming identical.
//!
//! A step: [`pair_features`] runs both networks, [`prototype_loss`] makes the loss for the probe network's update, and
//! then [`Store::average_parameters_from`](ocelli_nn::Store::average_parameters_from) moves the gallery network and
//! [`Queue::write`] the queue. [`ShallowOrder`] orders the identities so that none meets itself in the queue.

mod head;
mod objective;
mod order;
mod queue;
mod reproduce;
mod step;
mod verify;

pub use head::{Enqueue, MarginType, PairFeatures, PrototypeConfig, PrototypeOutput, prototype_loss};
pub use objective::{SemiSiamese, SemiSiameseConfig};
pub use order::{EpochOrder, OrderError, ShallowOrder};
pub use queue::{NEVER_WRITTEN, Queue, QueueError};
pub use step::{Encoder, pair_features};

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "semi-siamese",
        title: "Semi-Siamese Training for Shallow Face Learning",
        task: "face recognition",
        basis: Basis::Official,
        authors: "Du, Shi, Liu, Wang, Lei, Zeng, Mei",
        venue: "ECCV 2020",
        arxiv: "2007.08398",
        summary: "Trains on two pictures a person: features of a slowly following gallery network, kept in a queue, take the place of learned prototypes.",
        notes: &[
            "Settings of the full release (FaceX-Zoo) by default; the first release sums the two branches instead of averaging them and expects a network that normalises its output.",
            "The gallery network's parameters are averaged, its running statistics are its own, as in both releases.",
            "The permutation of the gallery's batch is left out: on one device it changes nothing.",
            "In a recipe train.batch_size counts pictures: a step has half as many identities, two pictures of each.",
            "An epoch's identities are ordered so that none meets itself in the queue, by the rule of either release.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

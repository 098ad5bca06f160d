//! FAN (Yin et al., ACCV 2020, arXiv 1911.11680): recognising and normalising faces that a surveillance camera saw from
//! afar.
//!
//! Super-resolution learns from pairs of the same picture in two resolutions, which real surveillance does not give. FAN
//! adapts features instead. Its first stage takes faces in high resolution apart into an identity map and a
//! non-identity map, from which a [`Decoder`] restores them ([`Disentangle`]); its second trains encoders of low
//! resolution whose maps are indistinguishable from those, from pairs, labels and an adversary that needs neither
//! ([`Adapt`]). What comes out recognises small faces and renders them large. Training pictures lose resolution at random
//! ([`ocelli_data::augment::RandomScale`]).

mod discriminator;
mod losses;
mod network;
mod normalize;
mod objective;
mod recipe;
mod reproduce;
mod stages;
mod verify;

pub use discriminator::{FeatureDiscriminator, ImageDiscriminator};
pub use losses::{PixelLoss, confusion, discriminator, generator, identity, pair};
pub use network::{Decoder, ENCODERS, Fan, FanShape};
pub use normalize::Normalizer;
pub(crate) use objective::FanObjective;
pub use recipe::FanConfig;
pub use stages::{
    Adapt, AdaptBatch, AdaptWeights, Adapted, Classifier, Disentangle, DisentangleWeights, Disentangled,
    Terms, judge_faces,
};

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "fan",
        title: "FAN: Feature Adaptation Network for Surveillance Face Recognition and Normalization",
        task: "face recognition",
        basis: Basis::Reconstruction,
        authors: "Yin, Tai, Huang, Liu",
        venue: "ACCV 2020",
        arxiv: "1911.11680",
        summary: "Adapts features of faces seen from afar to those of faces seen from near, to recognise them and to render them large.",
        notes: &[
            "No official code is public. Components and stages are the paper's; layers, widths and loss weights are a reconstruction.",
            "One training: shares of its epochs go to the recogniser of high resolution, to disentangling, and to adaptation (loss.recognizer, loss.disentangle).",
            "Faces in low resolution are made from those in high resolution (loss.scale); unpaired ones are those that data.regime.degraded marks.",
            "The adversaries take a step of Adam at loss.judge_lr before each step of the networks; encoders and decoder share the recipe's optimiser.",
            "The adversary alone does not adapt anything when the gap is wide; it is a regulariser next to pairs and labels.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};

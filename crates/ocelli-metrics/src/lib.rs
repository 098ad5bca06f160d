//! Evaluators: one file a protocol, in double precision, equal to the official tools.
//!
//! A number such as "TAR at FAR 1e-4" has several definitions in circulation that differ on the same scores. Here every
//! definition has a name, follows its official tool step by step, and says so: each protocol's module opens with a
//! table of *quirks* (what the tool does that one would not expect), whether we keep it (**strict**) or mend it
//! (**corrected**), and the test that pins it.
//!
//! | module | the question it answers |
//! |---|---|
//! | [`lfw`] | are these two pictures the same person? accuracy by k-fold cross-validation |
//! | [`roc`] | the same, as true accepts at a given rate of false accepts; ROC, EER, AUC |
//! | [`ijb`] | the same, between templates of several pictures each |
//! | [`identification`] | who is this? ranks in a gallery, with and without strangers |
//! | [`reid`] | find this person again in other cameras: mAP and CMC |
//! | [`detection`] | where are the objects? average precision of boxes, masks and keypoints (COCO, LVIS, VOC, ImageNet VID, Open Images, WIDER FACE) |
//! | [`proposals`] | do these segments cover the actions of a video? AR@AN and its area |
//! | [`temporal_detection`] | which actions happen when? mAP at thresholds of temporal overlap |
//! | [`grounding`] | when does what a sentence says happen? R@n,IoU=m |
//! | [`retrieval`] | which video or picture does a text describe, and the reverse? R@K, median and mean rank |
//! | [`confidence`] | how sure is such a number? seeded bootstrap |
//!
//! [`similarity`], [`average_precision`], [`segment`], [`mask`] and [`matrix`] are the shared parts. The crate reads no
//! files and knows no tensor framework: slices in, structs out, every struct serialisable.
//!
//! ```
//! use ocelli_metrics::roc::{FarRule, PairScores};
//!
//! let scores = PairScores::new(&[0.9, 0.7, 0.6, 0.2, 0.1], &[true, true, false, true, false])?;
//! let at = scores.tar_at_far(&[0.0], FarRule::RankRound)?;
//! assert_eq!(at[0].tar, 2.0 / 3.0);
//! assert_eq!(scores.auc(), 5.0 / 6.0);
//! # Ok::<(), ocelli_metrics::MetricError>(())
//! ```

pub mod average_precision;
mod check;
pub mod confidence;
pub mod detection;
mod error;
mod evenly_spaced;
pub mod grounding;
pub mod identification;
pub mod ijb;
pub mod lfw;
pub mod mask;
pub mod matrix;
mod named;
pub mod proposals;
pub mod reid;
pub mod retrieval;
pub mod roc;
pub mod segment;
pub mod similarity;
pub mod temporal_detection;

pub use error::MetricError;
pub use matrix::Matrix;

/// Shorthand for results of this crate.
pub type Result<T, E = MetricError> = std::result::Result<T, E>;

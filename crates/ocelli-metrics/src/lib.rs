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
//! | [`liveness`] | is a live person before the camera? APCER, BPCER, EER, HTER, recall at a false-positive rate |
//! | [`segmentation`] | which class is each pixel of? intersection over union |
//! | [`face_parsing`] | the same for the parts of a face: F1 of parts and groups of parts |
//! | [`class_center`] | how compact are the classes of pixel features? class center distance |
//! | [`pose2d`] | where are the joints in the picture? PCK, PCKh |
//! | [`pose3d`] | where are the joints in space? MPJPE and its aligned forms, PCK, AUC |
//! | [`classification`] | which class is shown? top-k accuracy, per class, over several views |
//! | [`few_shot`] | the same from a few examples: mean over episodes with its interval |
//! | [`multi_label`] | which classes are shown? GAP, mAP, PERR, Hit@1 |
//! | [`hashing`] | retrieval by binary codes: mAP, precision |
//! | [`nearest_neighbours`] | retrieval by inner products: recall of approximate search |
//! | [`direction`] | is this the same direction? |
//! | [`enhance`] | how close does this picture come to its reference? PSNR, SSIM |
//! | [`detection`] | where are the objects? average precision of boxes, masks and keypoints (COCO, LVIS) |
//! | [`caption`] | does a sentence say of a picture what people say? BLEU, ROUGE-L, CIDEr, METEOR, SPICE |
//! | [`tracking`] | does the box follow the object? success, precision, AO; CLEAR, identity, HOTA |
//! | [`flow`] | how far are motion vectors from the truth? EPE, Fl |
//! | [`confidence`] | how sure is such a number? seeded bootstrap |
//!
//! [`similarity`], [`average_precision`], [`mask`] and [`matrix`] are the shared parts. The crate reads no files and knows no
//! | [`detection`] | where are the objects? average precision of boxes, masks and keypoints (COCO, LVIS, VOC, ImageNet VID, Open Images, WIDER FACE) |
//! | [`proposals`] | do these segments cover the actions of a video? AR@AN and its area |
//! | [`temporal_detection`] | which actions happen when? mAP at thresholds of temporal overlap |
//! | [`grounding`] | when does what a sentence says happen? R@n,IoU=m |
//! | [`retrieval`] | which video or picture does a text describe, and the reverse? R@K, median and mean rank |
//! [`similarity`], [`average_precision`], [`segment`] and [`matrix`] are the shared parts. The crate reads no files and knows no
//! tensor framework: slices in, structs out, every struct serialisable.
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
pub mod caption;
mod check;
pub mod class_center;
pub mod classification;
pub mod confidence;
pub mod detection;
pub mod direction;
pub mod enhance;
mod error;
mod evenly_spaced;
pub mod face_parsing;
pub mod few_shot;
pub mod flow;
pub mod grounding;
pub mod hashing;
pub mod identification;
pub mod ijb;
pub mod lfw;
pub mod liveness;
pub mod mask;
pub mod matrix;
pub mod multi_label;
mod named;
pub mod nearest_neighbours;
pub mod pose2d;
pub mod pose3d;
pub mod proposals;
pub mod reid;
pub mod retrieval;
pub mod roc;
pub mod segment;
pub mod segmentation;
pub mod similarity;
pub mod temporal_detection;
pub mod tracking;

pub use error::MetricError;
pub use matrix::Matrix;

/// Shorthand for results of this crate.
pub type Result<T, E = MetricError> = std::result::Result<T, E>;

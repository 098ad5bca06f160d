//! Scores of prediction files: `ocelli score PROTOCOL --pred FILE --truth FILE` as a library.
//!
//! A [`Protocol`] is a name, its variants and settings, and a function that opens prediction and truth files as an
//! [`Evaluation`]. An evaluation is a row of *units* (pictures, videos, queries) together with the metrics of any
//! multiset of them. Everything else is made of that one ability and is written once: confidence intervals
//! ([`interval`]), the comparison of two prediction files ([`compare`]), the HTML page ([`page`]).
//!
//! The numbers come from `ocelli-metrics`, the file formats from `ocelli-data`; this crate joins them and computes
//! nothing of its own.
//!
//! ```
//! use ocelli_score::{Inputs, protocol};
//!
//! let folder = tempfile::tempdir()?;
//! let truth = folder.path().join("pairs.txt");
//! std::fs::write(&truth, "1\n0\n1\n0\n1\n0\n1\n0\n")?;
//! let scores = folder.path().join("scores.txt");
//! std::fs::write(&scores, "0.9\n0.2\n0.9\n0.3\n0.9\n0.1\n0.9\n0.4\n")?;
//!
//! let lfw = protocol("lfw")?;
//! let inputs = Inputs::new(lfw, [scores], [truth]).variant_named("ir-softmax")?.with("folds", "2")?;
//! let metrics = (lfw.open)(&inputs)?.overall()?;
//! assert_eq!(metrics.get("accuracy"), Some(1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod compare;
pub mod convert;
mod error;
mod evaluation;
mod in_order;
pub mod interval;
pub mod page;
mod protocol;
mod protocols;

pub use error::ScoreError;
pub use evaluation::{Curve, Detail, Evaluation, Group, Metrics, Worst};
pub use protocol::{Choice, Inputs, Perfect, Protocol, Setting};
pub use protocols::{protocol, protocols};

/// Shorthand for results of this crate.
pub type Result<T, E = ScoreError> = std::result::Result<T, E>;

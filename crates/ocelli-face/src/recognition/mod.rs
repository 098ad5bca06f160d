//! Face recognition: what the methods of this task share.
//!
//! A training is a [`recipe::FaceRecipe`]: a [`backbone`], a [`loss`], [`data`] in a [`regime`]. The loss becomes an
//! [`objective`]: for most a [`margin`] head, for others queues, centres or searches. It runs as a [`task`]; its outcome is a [`recognizer::Recognizer`], measured by [`verification`] and told of in a [`report`].
//! Official checkpoints become recognisers by [`import`](mod@import).

pub mod arcface;
pub mod backbone;
pub mod baselines;
pub mod compare;
pub(crate) mod components;
pub mod data;
pub mod import;
pub mod loss;
pub mod margin;
pub mod objective;
pub mod predict;
pub(crate) mod protocols;
pub mod recipe;
pub mod recognizer;
pub mod regime;
pub mod report;
pub mod run;
pub mod task;
#[cfg(test)]
pub(crate) mod testing;
pub mod trial;
pub mod verification;

//! What margin heads share: cosines to class prototypes, margins on the true class, emphasis on hard negatives.
//!
//! Margins are functions of cosines, so it is all the same whether the prototypes are learned, centres of classes or a
//! queue of features:
//!
//! 1. [`CosineRule`] says how cosines are formed and gives [`Cosines`];
//! 2. a margin lowers those of the true classes: [`AdditiveMargin`], [`AngularMargin`], [`MultiplicativeMargin`];
//! 3. [`Emphasis`] may raise those of hard negatives;
//! 4. [`Cosines::compose`] puts both together and scales them to logits.
//!
//! [`MarginHead`] does all four with learned prototypes: the heads that methods are compared with.

mod additive;
mod angular;
mod cosines;
mod emphasis;
mod head;
mod multiplicative;
mod reach;

pub use additive::AdditiveMargin;
pub use angular::{AngularMargin, shift_angle};
pub use cosines::{CosineRule, Cosines, Normalization};
pub use emphasis::Emphasis;
pub use head::{Head, HeadOutput, Margin, MarginHead, MarginRule, Scale, unit_prototypes};
pub use multiplicative::{LambdaSchedule, MultiplicativeMargin};
pub use reach::Reach;

use burn::tensor::Tensor;

/// The true class under a margin.
#[derive(Clone, Debug)]
pub struct Margined {
    /// The cosine with the margin, whatever the cosine: `[B, 1]`. Hard negatives are those above it.
    pub shifted: Tensor<2>,
    /// What the logit is made of: `shifted` within the margin's reach, else what [`Reach`] says. `[B, 1]`.
    pub logit: Tensor<2>,
}

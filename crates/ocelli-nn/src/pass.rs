//! How a network is run: with which statistics, with or without dropout.

use std::cell::RefCell;

use ocelli_kernels::{KeptBits, Precision};
use ocelli_method::random::Generator;
use rand::RngExt;

/// One run through a network. Layers that behave differently in training ask it.
#[derive(Debug)]
pub struct Pass {
    batch_statistics: bool,
    moves_running_statistics: bool,
    dropout: Option<RefCell<Generator>>,
    fused: Option<Precision>,
    seals: bool,
}

impl Pass {
    /// Inference: running statistics, no dropout.
    pub fn eval() -> Self {
        Self {
            batch_statistics: false,
            moves_running_statistics: false,
            dropout: None,
            fused: None,
            seals: false,
        }
    }

    /// Training: statistics of the batch, dropout drawn from `generator`.
    pub fn train(generator: Generator) -> Self {
        Self {
            batch_statistics: true,
            moves_running_statistics: true,
            dropout: Some(RefCell::new(generator)),
            fused: None,
            seals: false,
        }
    }

    /// Statistics of the batch but no dropout, as reference cases of training steps want it.
    pub fn without_dropout() -> Self {
        Self {
            batch_statistics: true,
            moves_running_statistics: true,
            dropout: None,
            fused: None,
            seals: false,
        }
    }

    /// Inference as [`Pass::eval`], with convolutions, linear layers and what stands around them run as one where nothing is recorded.
    ///
    /// Layers keep what they fold and pack until a parameter changes. Results equal those of [`Pass::eval`] up to
    /// rounding.
    pub fn fused() -> Self {
        Self::fused_in(Precision::Single)
    }

    /// [`Pass::fused`] with the numbers that convolutions and linear layers multiply.
    pub fn fused_in(precision: Precision) -> Self {
        Self { fused: Some(precision), ..Self::eval() }
    }

    /// [`Pass::fused`] of a network that will only be run from now on, and only so: see [`Pass::sealed_in`].
    pub fn sealed() -> Self {
        Self::sealed_in(Precision::Single)
    }

    /// [`Pass::fused_in`] that holds weights once: as a layer packs its weights, the parameter's own values are released,
    /// one layer after the other.
    ///
    /// Released parameters cannot be read any more: to train, save or run the network in another way or precision, load its
    /// weights again. Parameters that somebody else holds too, such as a clone of the network, are not released while he
    /// does.
    pub fn sealed_in(precision: Precision) -> Self {
        Self { seals: true, ..Self::fused_in(precision) }
    }

    /// Whether layers release what they have packed.
    pub fn seals(&self) -> bool {
        self.seals
    }

    /// The precision of fused layers, in a pass that fuses.
    pub fn fusion(&self) -> Option<Precision> {
        self.fused
    }

    /// The same batch once more, for gradients of what was not recorded: statistics of the batch, which the running ones have
    /// taken in already. Without dropout.
    pub fn again() -> Self {
        Self {
            batch_statistics: true,
            moves_running_statistics: false,
            dropout: None,
            fused: None,
            seals: false,
        }
    }

    /// Whether normalisations use the batch's statistics.
    pub fn uses_batch_statistics(&self) -> bool {
        self.batch_statistics
    }

    /// Whether the batch's statistics move the running ones.
    pub fn moves_running_statistics(&self) -> bool {
        self.moves_running_statistics
    }

    /// Which of `n` elements are kept, each with probability `1 - p`; `None` when nothing is dropped.
    pub fn kept_by_dropout(&self, n: usize, p: f64) -> Option<KeptBits> {
        let mut generator = self.dropout.as_ref().filter(|_| p > 0.0)?.borrow_mut();
        Some(KeptBits::draw(n, || generator.random::<f64>() >= p))
    }

    /// A mask that keeps each of `n` elements with probability `1 - p`, scaled by `1 / (1 - p)`; `None` when
    /// nothing is dropped.
    pub fn dropout_mask(&self, n: usize, p: f64) -> Option<Vec<f32>> {
        let kept = self.kept_by_dropout(n, p)?;
        let keep = (1.0 / (1.0 - p)) as f32;
        Some((0..n).map(|at| if kept.is_kept(at) { keep } else { 0.0 }).collect())
    }
}

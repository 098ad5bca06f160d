//! How a network is run: with which statistics, with or without dropout.

use std::cell::RefCell;

use ocelli_kernels::KeptBits;
use ocelli_method::random::Generator;
use rand::RngExt;

/// One run through a network. Layers that behave differently in training ask it.
#[derive(Debug)]
pub struct Pass {
    batch_statistics: bool,
    moves_running_statistics: bool,
    dropout: Option<RefCell<Generator>>,
}

impl Pass {
    /// Inference: running statistics, no dropout.
    pub fn eval() -> Self {
        Self { batch_statistics: false, moves_running_statistics: false, dropout: None }
    }

    /// Training: statistics of the batch, dropout drawn from `generator`.
    pub fn train(generator: Generator) -> Self {
        Self {
            batch_statistics: true,
            moves_running_statistics: true,
            dropout: Some(RefCell::new(generator)),
        }
    }

    /// Statistics of the batch but no dropout, as reference cases of training steps want it.
    pub fn without_dropout() -> Self {
        Self { batch_statistics: true, moves_running_statistics: true, dropout: None }
    }

    /// The same batch once more, for gradients of what was not recorded: statistics of the batch, which the running ones have
    /// taken in already. Without dropout.
    pub fn again() -> Self {
        Self { batch_statistics: true, moves_running_statistics: false, dropout: None }
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

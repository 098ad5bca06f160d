//! Gated recurrent units.

use burn::tensor::Tensor;
use ocelli_kernels::gru;

use super::recurrent::{Layers, RecurrentConfig, part};
use crate::pass::Pass;
use crate::store::Path;

/// Gated recurrent units (`torch.nn.GRU`): for every layer `weight_ih_l0 [3 H, I]`, `weight_hh_l0 [3 H, H]`, `bias_ih_l0
/// [3 H]`, `bias_hh_l0 [3 H]`, and the same ending in `_reverse` for the other direction; gates in the order reset, update,
/// new.
#[derive(Clone, Debug)]
pub struct Gru {
    layers: Layers,
}

impl Gru {
    /// From `input` to `hidden` values at `path`.
    pub fn new(path: &Path, input: usize, hidden: usize, config: RecurrentConfig) -> Self {
        Self { layers: Layers::new(path, [input, hidden, 3], config) }
    }

    /// `[T, B, I]` to the outputs of all steps, `[T, B, H]` or `[T, B, 2 H]`, and the state after them, `[layers directions,
    /// B, H]`; samples first if the layer was built so. The first state is zero unless given.
    ///
    /// # Panics
    /// If there are no steps, or shapes do not fit.
    pub fn forward(&self, x: Tensor<3>, state: Option<Tensor<3>>, pass: &Pass) -> (Tensor<3>, Tensor<3>) {
        let state = state.unwrap_or_else(|| self.layers.zeros(&x));
        let mut last = Vec::new();
        let output = self.layers.run(x, pass, |direction, number, x| {
            let (gates, recurrence) = direction.gates(x);
            let output = gru(gates, recurrence, part(&state, number));
            last.push(direction.last(&output));
            output
        });
        (output, Tensor::stack(last, 0))
    }
}

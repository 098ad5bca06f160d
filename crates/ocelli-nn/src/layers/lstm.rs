//! Long short-term memory.

use burn::tensor::Tensor;
use ocelli_kernels::lstm;

use super::recurrent::{Layers, RecurrentConfig, part};
use crate::pass::Pass;
use crate::store::Path;

/// Long short-term memory (`torch.nn.LSTM`): for every layer `weight_ih_l0 [4 H, I]`, `weight_hh_l0 [4 H, H]`, `bias_ih_l0
/// [4 H]`, `bias_hh_l0 [4 H]`, and the same ending in `_reverse` for the other direction; gates in the order input, forget,
/// cell, output.
#[derive(Clone, Debug)]
pub struct Lstm {
    layers: Layers,
}

/// The state of an [`Lstm`].
#[derive(Clone, Debug)]
pub struct LstmState {
    /// Outputs, `[layers directions, B, H]`.
    pub hidden: Tensor<3>,
    /// Cells, `[layers directions, B, H]`.
    pub cell: Tensor<3>,
}

impl Lstm {
    /// From `input` to `hidden` values at `path`.
    pub fn new(path: &Path, input: usize, hidden: usize, config: RecurrentConfig) -> Self {
        Self { layers: Layers::new(path, [input, hidden, 4], config) }
    }

    /// `[T, B, I]` to the outputs of all steps, `[T, B, H]` or `[T, B, 2 H]`, and the state after them; samples first if the
    /// layer was built so. The first state is zero unless given.
    ///
    /// # Panics
    /// If there are no steps, or shapes do not fit.
    pub fn forward(&self, x: Tensor<3>, state: Option<LstmState>, pass: &Pass) -> (Tensor<3>, LstmState) {
        let LstmState { hidden, cell } = state.unwrap_or_else(|| {
            let zeros = self.layers.zeros(&x);
            LstmState { hidden: zeros.clone(), cell: zeros }
        });
        let (mut last, mut cells) = (Vec::new(), Vec::new());
        let output = self.layers.run(x, pass, |direction, number, x| {
            let (gates, recurrence) = direction.gates_with_all_biases(x);
            let (output, cell) = lstm(gates, recurrence, [part(&hidden, number), part(&cell, number)]);
            last.push(direction.last(&output));
            cells.push(cell);
            output
        });
        (output, LstmState { hidden: Tensor::stack(last, 0), cell: Tensor::stack(cells, 0) })
    }
}

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

#[cfg(test)]
mod tests {
    use super::super::recurrent::tests::{assert_close, fill, input};
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::values;

    // `torch.nn.LSTM(3, 2, num_layers=2, bidirectional=True, batch_first=True)` of PyTorch on the same numbers.
    const OUTPUT: [f32; 32] = [
        -0.0604956, -0.0638744, -0.0348969, -0.0787249, -0.087398, -0.0912329, -0.0309383, -0.0887908,
        -0.0762895, -0.1014974, -0.0469176, -0.0655109, -0.0673772, -0.0984317, -0.043266, -0.0492124,
        -0.0213771, -0.0623992, -0.073296, -0.0290887, -0.055196, -0.0872369, -0.0382603, -0.0766785,
        -0.0948862, -0.0942446, -0.0162987, -0.1121751, -0.1102283, -0.092273, -0.014536, -0.0886742,
    ];
    const HIDDEN: [f32; 16] = [
        -0.0463872, -0.0828353, -0.2718419, -0.2315511, 0.3520761, 0.37745, 0.5481107, 0.444892, -0.0673772,
        -0.0984317, -0.1102283, -0.092273, -0.0348969, -0.0787249, -0.073296, -0.0290887,
    ];
    const CELL: [f32; 16] = [
        -0.2036282, -0.4424787, -0.8431985, -0.6368647, 0.8879617, 1.1360688, 0.9423678, 1.05969, -0.144286,
        -0.159851, -0.2073893, -0.1500032, -0.1114369, -0.3221128, -0.2116293, -0.1354542,
    ];

    #[test]
    fn two_layers_in_both_directions_match_pytorch() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let config = RecurrentConfig {
            layers: 2,
            bidirectional: true,
            batch_first: true,
            ..RecurrentConfig::default()
        };
        let layer = Lstm::new(&store.root(), 3, 2, config);
        assert_eq!(store.names()[..2], ["weight_ih_l0", "weight_hh_l0"]);
        assert_eq!(store.names()[14..], ["bias_ih_l1_reverse", "bias_hh_l1_reverse"]);
        fill(&store, &device);
        let (output, state) = layer.forward(input([2, 4, 3], &device), None, &Pass::eval());
        assert_eq!(output.dims(), [2, 4, 4]);
        assert_close(&values(output), &OUTPUT);
        assert_close(&values(state.hidden), &HIDDEN);
        assert_close(&values(state.cell), &CELL);
    }

    #[test]
    fn a_sequence_can_be_run_in_pieces() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let layer =
            Lstm::new(&store.root(), 3, 5, RecurrentConfig { layers: 2, ..RecurrentConfig::default() });
        let x = input([6, 2, 3], &device);
        let (whole, _) = layer.forward(x.clone(), None, &Pass::eval());
        let (first, state) = layer.forward(x.clone().narrow(0, 0, 4), None, &Pass::eval());
        let (second, _) = layer.forward(x.narrow(0, 4, 2), Some(state), &Pass::eval());
        assert_close(&values(Tensor::cat(vec![first, second], 0)), &values(whole));
    }
}

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

#[cfg(test)]
mod tests {
    use super::super::recurrent::tests::{assert_close, fill, input};
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::values;

    // `torch.nn.GRU(3, 2, num_layers=2, bidirectional=True, batch_first=True)` of PyTorch on the same numbers.
    const OUTPUT: [f32; 32] = [
        -0.3103333, -0.321913, 0.1360808, -0.1807947, -0.4469849, -0.4462052, 0.1392163, -0.2048334,
        -0.4698796, -0.4871365, 0.0572394, -0.1711475, -0.3853388, -0.4565291, -0.0302095, -0.1225026,
        -0.1203005, -0.2952716, 0.0230418, -0.0725488, -0.3185395, -0.3985972, 0.107996, -0.2314874,
        -0.4761654, -0.4352949, 0.1371092, -0.2757774, -0.5704126, -0.4379808, 0.0886854, -0.200987,
    ];
    const HIDDEN: [f32; 16] = [
        0.0827679, -0.3126782, -0.534677, -0.5066349, 0.528041, 0.4133547, 0.469949, 0.4294633, -0.3853388,
        -0.4565291, -0.5704126, -0.4379808, 0.1360808, -0.1807947, 0.0230418, -0.0725488,
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
        let layer = Gru::new(&store.root(), 3, 2, config);
        fill(&store, &device);
        let (output, state) = layer.forward(input([2, 4, 3], &device), None, &Pass::eval());
        assert_close(&values(output), &OUTPUT);
        assert_close(&values(state), &HIDDEN);
    }

    #[test]
    #[should_panic(expected = "at least one step")]
    fn a_sequence_needs_a_step() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let layer = Gru::new(&store.root(), 3, 2, RecurrentConfig::default());
        layer.forward(input([0, 2, 3], &device), None, &Pass::eval());
    }
}

//! What recurrent layers have in common: layers above each other, each in one direction or both.

use burn::tensor::Tensor;
use ocelli_kernels::{Recurrence, linear, row_major};

use super::Dropout;
use crate::init::Init;
use crate::pass::Pass;
use crate::store::{Param, Path, Role};

/// How a recurrent layer is built.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentConfig {
    /// Layers above each other.
    pub layers: usize,
    /// Whether every layer also runs from the last step to the first.
    pub bidirectional: bool,
    /// Whether samples come before steps, `[B, T, I]` instead of `[T, B, I]`.
    pub batch_first: bool,
    /// Whether gates have biases.
    pub bias: bool,
    /// Probability with which elements of all layers' outputs but the last's are dropped in training.
    pub dropout: f64,
}

impl Default for RecurrentConfig {
    fn default() -> Self {
        Self { layers: 1, bidirectional: false, batch_first: false, bias: true, dropout: 0.0 }
    }
}

/// Layers above each other.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    /// By layer and direction.
    directions: Vec<Vec<Direction>>,
    config: RecurrentConfig,
    dropout: Dropout,
    hidden: usize,
}

/// The parameters of a layer in one direction.
#[derive(Clone, Debug)]
pub(super) struct Direction {
    weight_ih: Param,
    weight_hh: Param,
    biases: Option<[Param; 2]>,
    reverse: bool,
}

impl Direction {
    fn new(
        path: &Path,
        [input, hidden, width]: [usize; 3],
        layer: usize,
        config: RecurrentConfig,
        reverse: bool,
    ) -> Self {
        let ending = format!("l{layer}{}", if reverse { "_reverse" } else { "" });
        let init = Init::Uniform { bound: (hidden as f64).sqrt().recip() };
        let param =
            |name: &str, shape: &[usize], role| path.param(&format!("{name}_{ending}"), shape, init, role);
        let weight_ih = param("weight_ih", &[width, input], Role::Kernel);
        let weight_hh = param("weight_hh", &[width, hidden], Role::Kernel);
        let biases =
            config.bias.then(|| ["bias_ih", "bias_hh"].map(|name| param(name, &[width], Role::Bias)));
        Self { weight_ih, weight_hh, biases, reverse }
    }

    /// What comes from the input `[T, B, I]`, and what the state adds, whose bias stands apart.
    pub(super) fn gates(&self, x: Tensor<3>) -> (Tensor<3>, Recurrence) {
        let [input, state] = match &self.biases {
            Some(biases) => biases.each_ref().map(|bias| Some(bias.value::<1>())),
            None => [None, None],
        };
        let recurrence = Recurrence { weight: self.weight_hh.value(), bias: state, reverse: self.reverse };
        (linear(x, self.weight_ih.value(), input), recurrence)
    }

    /// As [`Direction::gates`], both biases added to what comes from the input.
    pub(super) fn gates_with_all_biases(&self, x: Tensor<3>) -> (Tensor<3>, Recurrence) {
        let bias = self.biases.as_ref().map(|[input, state]| input.value::<1>() + state.value::<1>());
        let recurrence = Recurrence { weight: self.weight_hh.value(), bias: None, reverse: self.reverse };
        (linear(x, self.weight_ih.value(), bias), recurrence)
    }

    /// The output `[B, H]` of the last step in this direction, of outputs `[T, B, H]`.
    pub(super) fn last(&self, output: &Tensor<3>) -> Tensor<2> {
        let [steps, batch, hidden] = output.dims();
        let step = if self.reverse { 0 } else { steps - 1 };
        output.clone().narrow(0, step, 1).reshape([batch, hidden])
    }
}

impl Layers {
    /// From `input` to `hidden` values and as many gates of that size as given, at `path`.
    pub(super) fn new(path: &Path, [input, hidden, gates]: [usize; 3], config: RecurrentConfig) -> Self {
        let count = 1 + usize::from(config.bidirectional);
        let layer = |layer: usize| {
            let input = if layer == 0 { input } else { count * hidden };
            let sizes = [input, hidden, gates * hidden];
            (0..count).map(|index| Direction::new(path, sizes, layer, config, index == 1)).collect()
        };
        let directions = (0..config.layers).map(layer).collect();
        Self { directions, config, dropout: Dropout { p: config.dropout }, hidden }
    }

    /// Samples of an input.
    fn batch(&self, x: &Tensor<3>) -> usize {
        x.dims()[usize::from(!self.config.batch_first)]
    }

    /// A first state of zeros for an input, `[layers directions, B, H]`.
    pub(super) fn zeros(&self, x: &Tensor<3>) -> Tensor<3> {
        let all = self.directions.iter().map(Vec::len).sum();
        Tensor::zeros([all, self.batch(x), self.hidden], &x.device())
    }

    /// Runs all layers; `run` gets a direction, its number among all, and its input `[T, B, I]`, and gives `[T, B, H]`.
    ///
    /// # Panics
    /// If there are no steps.
    pub(super) fn run(
        &self,
        x: Tensor<3>,
        pass: &Pass,
        mut run: impl FnMut(&Direction, usize, Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let turn = |x: Tensor<3>| if self.config.batch_first { x.swap_dims(0, 1) } else { x };
        let mut x = row_major(turn(x));
        assert!(x.dims()[0] > 0, "a recurrent layer needs at least one step");
        let mut number = 0;
        for (layer, directions) in self.directions.iter().enumerate() {
            if layer > 0 {
                x = self.dropout.forward(x, pass);
            }
            let mut outputs = Vec::with_capacity(directions.len());
            for direction in directions {
                outputs.push(run(direction, number, x.clone()));
                number += 1;
            }
            x = if outputs.len() == 1 { outputs.remove(0) } else { Tensor::cat(outputs, 2) };
        }
        turn(x)
    }
}

/// A state of one direction, `[B, H]` of `[layers directions, B, H]`.
pub(super) fn part(state: &Tensor<3>, number: usize) -> Tensor<2> {
    let [_, batch, hidden] = state.dims();
    state.clone().narrow(0, number, 1).reshape([batch, hidden])
}

#[cfg(test)]
pub(super) mod tests {
    use crate::store::Store;
    use crate::tensor::from_values;
    use burn::tensor::{Device, Tensor};

    /// Waves, the same for every parameter of a store, and an input.
    pub(crate) fn fill(store: &Store, device: &Device) {
        for (index, entry) in store.entries().iter().enumerate() {
            entry.set(from_values(wave(entry.len(), index as f64), [entry.len()], device));
        }
    }

    pub(crate) fn input(shape: [usize; 3], device: &Device) -> Tensor<3> {
        from_values(wave(shape.iter().product(), 0.5), shape, device)
    }

    fn wave(count: usize, phase: f64) -> Vec<f32> {
        (0..count).map(|i| (0.5 * (0.37 * i as f64 + phase).sin()) as f32).collect()
    }

    pub(crate) fn assert_close(got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 2e-6, "{got}, not {want}");
        }
    }
}

//! Normalisation layers.

use burn::tensor::Tensor;
use ocelli_kernels::activation::relu;
use ocelli_kernels::{Affine, NormTail, Normalized, add_relu, batch_norm_by, batch_norm_with, prelu};

use super::activation::Prelu;
use crate::init::Init;
use crate::pass::Pass;
use crate::store::{Param, Path, Role};

/// Batch normalisation over all dimensions but the second (`torch.nn.BatchNorm1d`, `2d`, `3d`).
///
/// In training it normalises by the biased variance of the batch and keeps a running average of the unbiased one,
/// as PyTorch does.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    affine: Option<(Param, Param)>,
    running_mean: Param,
    running_var: Param,
    batches: Param,
    epsilon: f64,
    momentum: f64,
    channels: usize,
}

/// How a batch normalisation is built.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormConfig {
    channels: usize,
    epsilon: f64,
    momentum: f64,
    affine: bool,
    scale: Init,
}

impl BatchNormConfig {
    /// Over `channels` channels: epsilon 1e-5, momentum 0.1, scale 1 and shift 0 to be learned.
    pub fn new(channels: usize) -> Self {
        Self { channels, epsilon: 1e-5, momentum: 0.1, affine: true, scale: Init::Ones }
    }

    /// Added to the variance under the root.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Weight of the batch in the running averages.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Without scale and shift.
    #[must_use]
    pub fn without_affine(mut self) -> Self {
        self.affine = false;
        self
    }

    /// With the scale starting from `init`; zero turns a residual unit into the identity at first.
    #[must_use]
    pub fn scale(mut self, init: Init) -> Self {
        self.scale = init;
        self
    }

    /// Builds the layer at `path`.
    pub fn build(self, path: &Path) -> BatchNorm {
        let shape = [self.channels];
        let affine = self.affine.then(|| {
            let weight = path.param("weight", &shape, self.scale, Role::Norm);
            (weight, path.param("bias", &shape, Init::Zeros, Role::Norm))
        });
        BatchNorm {
            affine,
            running_mean: path.buffer("running_mean", &shape, Init::Zeros),
            running_var: path.buffer("running_var", &shape, Init::Ones),
            batches: path.counter("num_batches_tracked"),
            epsilon: self.epsilon,
            momentum: self.momentum,
            channels: self.channels,
        }
    }
}

impl BatchNorm {
    /// What it comes to with the running statistics.
    pub(super) fn affine(&self) -> Affine {
        let read = |param: &Param| param.entry().to_array().to_f64();
        let (mean, variance) = (read(&self.running_mean), read(&self.running_var));
        let (weight, bias) = match &self.affine {
            Some((weight, bias)) => (read(weight), read(bias)),
            None => (vec![1.0; self.channels], vec![0.0; self.channels]),
        };
        let scale: Vec<f64> = weight
            .iter()
            .zip(&variance)
            .map(|(weight, variance)| weight / (variance + self.epsilon).sqrt())
            .collect();
        let shift = bias.iter().zip(mean.iter().zip(&scale)).map(|(bias, (mean, scale))| bias - mean * scale);
        let shift = shift.map(|shift| shift as f32).collect();
        Affine { scale: scale.into_iter().map(|scale| scale as f32).collect(), shift }
    }

    /// All that [`BatchNorm::affine`] depends on.
    pub(super) fn params(&self) -> impl Iterator<Item = &Param> {
        let affine = self.affine.iter().flat_map(|(weight, bias)| [weight, bias]);
        affine.chain([&self.running_mean, &self.running_var])
    }

    /// `[B, C, ...]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, pass: &Pass) -> Tensor<D> {
        self.forward_with(x, NormTail::Plain, pass)
    }

    /// The positive part of the normalised input, in one visit: `[B, C, ...]` to the same shape.
    pub fn forward_relu<const D: usize>(&self, x: Tensor<D>, pass: &Pass) -> Tensor<D> {
        self.forward_with(x, NormTail::Relu, pass)
    }

    /// PReLU of the normalised input, in one visit: `[B, C, ...]` to the same shape.
    pub fn forward_prelu<const D: usize>(&self, x: Tensor<D>, prelu: &Prelu, pass: &Pass) -> Tensor<D> {
        self.forward_with(x, NormTail::Prelu(prelu.weight.value()), pass)
    }

    /// The positive part of the normalised input and a shortcut of its shape, in one visit: the end of a residual unit.
    pub fn forward_add_relu<const D: usize>(
        &self,
        x: Tensor<D>,
        shortcut: Tensor<D>,
        pass: &Pass,
    ) -> Tensor<D> {
        self.forward_with(x, NormTail::AddRelu(shortcut), pass)
    }

    fn forward_with<const D: usize>(&self, x: Tensor<D>, tail: NormTail<D>, pass: &Pass) -> Tensor<D> {
        let device = x.device().without_autodiff();
        let (scale, shift) = match &self.affine {
            Some((weight, bias)) => (weight.value::<1>(), bias.value::<1>()),
            None => (Tensor::ones([self.channels], &device), Tensor::zeros([self.channels], &device)),
        };
        if !pass.uses_batch_statistics() {
            let statistics = [self.running_mean.value(), self.running_var.value()];
            let output = batch_norm_by(x, scale, shift, statistics, self.epsilon);
            return match tail {
                NormTail::Plain => output,
                NormTail::Relu => relu(output),
                NormTail::Prelu(slopes) => prelu(output, slopes),
                NormTail::AddRelu(shortcut) => add_relu(output, shortcut),
            };
        }
        let elements = x.shape().num_elements() / self.channels.max(1);
        let Normalized { output, mean, variance } = batch_norm_with(x, scale, shift, self.epsilon, tail);
        if !pass.moves_running_statistics() {
            return output;
        }
        // The batch variance is biased; the running one must not be.
        let unbiased = elements as f64 / elements.saturating_sub(1).max(1) as f64;
        let blend = |running: &Param, batch: Tensor<1>, factor: f64| {
            let kept = running.value::<1>().mul_scalar(1.0 - self.momentum);
            running.set(kept.add(batch.without_autodiff().mul_scalar(self.momentum * factor)));
        };
        blend(&self.running_mean, mean, 1.0);
        blend(&self.running_var, variance, unbiased);
        self.batches.increment();
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};

    #[test]
    fn a_batch_that_comes_again_moves_nothing() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let norm = BatchNormConfig::new(1).build(&store.root());
        let x = || from_values::<3>(vec![1.0, 2.0, 3.0, 6.0], [2, 1, 2], &device);
        let first = values(norm.forward(x(), &Pass::without_dropout()));
        let kept = store.state().into_iter().map(|(_, array)| array.to_f32()).collect::<Vec<_>>();
        assert_eq!(values(norm.forward(x(), &Pass::again())), first);
        assert_eq!(store.state().into_iter().map(|(_, array)| array.to_f32()).collect::<Vec<_>>(), kept);
    }

    #[test]
    fn running_variance_is_unbiased() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let norm = BatchNormConfig::new(1).build(&store.root());
        let x = from_values(vec![0.0, 2.0, 4.0, 6.0], [4, 1], &device);
        let y = values(norm.forward(x, &Pass::without_dropout()));
        // Biased variance 5, unbiased 20 / 3.
        assert!((y[3] - 3.0 / 5f32.sqrt()).abs() < 1e-4);
        let state = |n: &str| store.find(n).unwrap().to_array().to_f32()[0];
        assert!((state("running_mean") - 0.3).abs() < 1e-6);
        assert!((state("running_var") - (0.9 + 0.1 * 20.0 / 3.0)).abs() < 1e-6);
        assert_eq!(state("num_batches_tracked"), 1.0);
    }
}

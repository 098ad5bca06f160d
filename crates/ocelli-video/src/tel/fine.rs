//! The fine stream: which of the contexts each segment needs.

use burn::tensor::Tensor;
use ocelli_nn::layers::{Conv1d, Conv1dConfig, LayerNorm, Linear, MultiHeadAttention};
use ocelli_nn::ops::activation::{relu, sigmoid};
use ocelli_nn::ops::softmax;
use ocelli_nn::{Init, Path};

use super::mask::Mask;

/// Looks at a segment closely, lets its contexts reason about each other, and mixes them in as far as a gate lets them.
#[derive(Clone, Debug)]
pub struct FineStream {
    local: Conv1d,
    attn: MultiHeadAttention,
    norm1: LayerNorm,
    norm2: LayerNorm,
    ffn: [Linear; 2],
    q: Linear,
    k: Linear,
    v: Linear,
    gate: Linear,
    norm3: LayerNorm,
}

impl FineStream {
    /// On features of `dim` elements, with `heads` heads of attention, at `path`.
    ///
    /// # Panics
    /// When `heads` does not divide `dim`.
    pub fn new(path: &Path, dim: usize, heads: usize) -> Self {
        let linear =
            |name: &str, input, output| Linear::new(&path.at(name), input, output, true, Init::FanInUniform);
        Self {
            local: Conv1dConfig::new(dim, dim, 3).padding(1).build(&path.at("local")),
            attn: MultiHeadAttention::new(&path.at("attn"), dim, heads),
            norm1: LayerNorm::new(&path.at("norm1"), dim),
            norm2: LayerNorm::new(&path.at("norm2"), dim),
            ffn: [linear("ffn.0", dim, 2 * dim), linear("ffn.2", 2 * dim, dim)],
            q: linear("q", dim, dim),
            k: linear("k", dim, dim),
            v: linear("v", dim, dim),
            gate: linear("gate", 2 * dim, dim),
            norm3: LayerNorm::new(&path.at("norm3"), dim),
        }
    }

    /// Features `[B, T, D]` and their contexts `[B, T, L, D]` to integrated features `[B, T, D]`, zero where padded, and
    /// the weight of every level `[B, T, L]`.
    pub fn forward(&self, x: Tensor<3>, contexts: Tensor<4>, mask: &Mask) -> (Tensor<3>, Tensor<3>) {
        let [_, _, _, dim] = contexts.dims();
        let real = x.swap_dims(1, 2) * mask.over_time();
        let local = relu(self.local.forward(real)).swap_dims(1, 2);
        let contexts = self.reason(contexts);
        // Adaptive integration: a_l = softmax_l(<W_q f, W_k c_l> / sqrt(D)), g = sum_l a_l W_v c_l.
        let query = self.q.forward(local.clone()).unsqueeze_dim::<4>(2);
        let scores = (query * self.k.forward(contexts.clone())).sum_dim(3);
        let alpha = softmax(scores.mul_scalar((dim as f64).sqrt().recip()), 2);
        let global = (alpha.clone() * self.v.forward(contexts)).sum_dim(2).squeeze_dim::<3>(2);
        let gate = sigmoid(self.gate.forward(Tensor::cat(vec![local.clone(), global.clone()], 2)));
        let mixed = self.norm3.forward(local + gate * global) * mask.beside();
        (mixed, alpha.squeeze_dim(3))
    }

    /// Dependency reasoning: for each segment its contexts are tokens of one layer of a transformer, normalised after
    /// each part. Any `[B, T, L, D]` to the same shape.
    fn reason(&self, contexts: Tensor<4>) -> Tensor<4> {
        let shape @ [b, t, levels, dim] = contexts.dims();
        let tokens = contexts.reshape([b * t, levels, dim]);
        let c = self.norm1.forward(tokens.clone() + self.attn.self_attention(tokens, None));
        let [up, down] = &self.ffn;
        let c = self.norm2.forward(c.clone() + down.forward(relu(up.forward(c))));
        c.reshape(shape)
    }
}

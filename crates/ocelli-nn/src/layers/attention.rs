//! Attention.

use burn::tensor::{Bool, Tensor};
use ocelli_kernels::{AttentionOptions, linear, scaled_attention, self_attention};

use super::block::BlockActivation;
use super::linear::Linear;
use super::prepared::Prepared;
use super::row_block::{RowBlock, Rows};
use crate::init::Init;
use crate::pass::Pass;
use crate::store::{Param, Path, Role};

/// Added to the scores of masked keys: finite, so that a row without any key left stays a number, and small enough that
/// `exp` makes an exact zero of it beside any other score.
const MASKED: f32 = -1e9;

/// Scaled dot-product attention in several heads (`torch.nn.MultiheadAttention` with `batch_first`; Vaswani et al. 2017,
/// section 3.2): `in_proj_weight [3 D, D]` and `in_proj_bias [3 D]` hold the projections of queries, keys and values in
/// that order, `out_proj` is a linear layer.
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    in_proj_weight: Param,
    in_proj_bias: Param,
    out_proj: Linear,
    dim: usize,
    heads: usize,
    /// What fused passes run in place of all three projections.
    prepared: Prepared,
}

impl MultiHeadAttention {
    /// Attention among vectors of `dim` elements in `heads` heads, at `path`.
    ///
    /// # Panics
    /// When `heads` does not divide `dim`.
    pub fn new(path: &Path, dim: usize, heads: usize) -> Self {
        assert!(heads > 0 && dim.is_multiple_of(heads), "{heads} heads do not divide {dim} elements");
        Self {
            in_proj_weight: path.param("in_proj_weight", &[3 * dim, dim], Init::XavierUniform, Role::Kernel),
            in_proj_bias: path.param("in_proj_bias", &[3 * dim], Init::Zeros, Role::Bias),
            out_proj: Linear::new(&path.at("out_proj"), dim, dim, true, Init::FanInUniform),
            dim,
            heads,
            prepared: Prepared::default(),
        }
    }

    /// Queries `[B, Q, D]` attend to keys and values `[B, K, D]`; the result is `[B, Q, D]`.
    ///
    /// `padding [B, K]` is true at keys that are to be ignored (`key_padding_mask`). A query whose keys are all ignored
    /// gets the plain mean of the values.
    pub fn forward(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        value: Tensor<3>,
        padding: Option<Tensor<2, Bool>>,
    ) -> Tensor<3> {
        let part = |x, index| self.project(x, index, 1);
        self.attend(part(query, 0), part(key, 1), part(value, 2), padding)
    }

    /// Tokens `[B, T, D]` attend to each other; as [`MultiHeadAttention::forward`] with the same tokens thrice, in one
    /// product for all three projections.
    pub fn self_attention(&self, x: Tensor<3>, padding: Option<Tensor<2, Bool>>) -> Tensor<3> {
        let options = options(padding);
        self.out_proj.forward(self_attention(self.project(x, 0, 3), self.heads, options))
    }

    /// [`MultiHeadAttention::self_attention`] of `x` without padding, plus `shortcut` `[B, T, D]`: the projections are run as
    /// the pass says.
    pub fn residual(&self, x: Tensor<3>, shortcut: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let activation = BlockActivation::Identity;
        let rows = Rows { weight: &self.in_proj_weight, bias: Some(&self.in_proj_bias), activation };
        let projected = match rows.fused(&self.prepared, [Some(&x), Some(&shortcut)], pass) {
            Some(packed) => packed.forward_rows(x, None),
            None => self.project(x, 0, 3),
        };
        let mixed = self_attention(projected, self.heads, AttentionOptions::default());
        RowBlock::new(&self.out_proj).shortcut(shortcut).forward(mixed, pass)
    }

    /// `[B, T, D]` through `parts` of the three projections from number `first` on, `[B, T, parts D]`.
    fn project(&self, x: Tensor<3>, first: usize, parts: usize) -> Tensor<3> {
        let (start, length) = (first * self.dim, parts * self.dim);
        let weight = self.in_proj_weight.value::<2>().narrow(0, start, length);
        linear(x, weight, Some(self.in_proj_bias.value::<1>().narrow(0, start, length)))
    }

    /// Attention of projected queries, keys and values, and the projection of what comes out.
    fn attend(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        value: Tensor<3>,
        padding: Option<Tensor<2, Bool>>,
    ) -> Tensor<3> {
        let [batch, queries, dim] = query.dims();
        let (keys, each) = (key.dims()[1], dim / self.heads);
        let split = |x: Tensor<3>, length| x.reshape([batch, length, self.heads, each]).swap_dims(1, 2);
        let mixed =
            scaled_attention(split(query, queries), split(key, keys), split(value, keys), options(padding));
        self.out_proj.forward(mixed.swap_dims(1, 2).reshape([batch, queries, dim]))
    }
}

/// Hides the keys `[B, K]` that are to be ignored.
fn options(padding: Option<Tensor<2, Bool>>) -> AttentionOptions {
    let added = padding.map(|padding| {
        let [batch, keys] = padding.dims();
        let zeros = Tensor::<4>::zeros([batch, 1, 1, keys], &padding.device());
        zeros.mask_fill(padding.reshape([batch, 1, 1, keys]), MASKED)
    });
    AttentionOptions { added, ..AttentionOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};
    use burn::tensor::Device;
    use ocelli_method::random::{hash_uniform, stream};

    const DIM: usize = 6;

    fn attention(device: &Device) -> (Store, MultiHeadAttention) {
        let store = Store::new(device, 3);
        let attention = MultiHeadAttention::new(&store.root(), DIM, 2);
        for entry in store.entries() {
            let bias = Init::Uniform { bound: 0.5 }.draw(&[entry.len()], &mut stream(1, entry.name(), 0));
            entry.set(from_values(bias, [entry.len()], device));
        }
        (store, attention)
    }

    fn input(name: &str, shape: [usize; 3], device: &Device) -> Tensor<3> {
        from_values(hash_uniform(name, shape.iter().product::<usize>()), shape, device)
    }

    /// The definition, in double precision: one sample, one loop a sum.
    fn by_definition(store: &Store, query: &[f32], key: &[f32], ignored: &[bool]) -> Vec<f64> {
        let array = |name: &str| store.find(name).unwrap().to_array().to_f64();
        let (weight, bias) = (array("in_proj_weight"), array("in_proj_bias"));
        let (out, out_bias) = (array("out_proj.weight"), array("out_proj.bias"));
        let dot = |row: &[f64], x: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        let project = |x: &[f32], part: usize| -> Vec<Vec<f64>> {
            let rows = x.chunks(DIM).map(|x| x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
            let one = |x: Vec<f64>| {
                (part * DIM..(part + 1) * DIM).map(|o| bias[o] + dot(&weight[o * DIM..][..DIM], &x)).collect()
            };
            rows.map(one).collect()
        };
        let (q, k, v) = (project(query, 0), project(key, 1), project(key, 2));
        let mut result = Vec::new();
        for q in &q {
            let mut mixed = vec![0.0; DIM];
            for head in [0..3, 3..6] {
                let score = |k: &Vec<f64>| (dot(&q[head.clone()], &k[head.clone()]) / 3f64.sqrt()).exp();
                let kept = |i: &usize| !ignored[*i];
                let sum: f64 = (0..k.len()).filter(kept).map(|i| score(&k[i])).sum();
                for i in (0..k.len()).filter(kept) {
                    head.clone().for_each(|d| mixed[d] += score(&k[i]) / sum * v[i][d]);
                }
            }
            result.extend((0..DIM).map(|o| out_bias[o] + dot(&out[o * DIM..][..DIM], &mixed)));
        }
        result
    }

    #[test]
    fn ignored_keys_do_not_count() {
        let device = device("cpu").unwrap();
        let (store, attention) = attention(&device);
        let (query, key) = (input("q", [2, 3, DIM], &device), input("k", [2, 4, DIM], &device));
        let ignored = [[false, true, false, false], [false, false, true, true]];
        let padding =
            from_values(ignored.concat().iter().map(|&i| f32::from(u8::from(i))).collect(), [2, 4], &device);
        let padding = Some(padding.greater_elem(0.5));
        let got = values(attention.forward(query.clone(), key.clone(), key.clone(), padding));
        let (query, key) = (values(query), values(key));
        for (sample, ignored) in ignored.iter().enumerate() {
            let (q, k) = (&query[sample * 3 * DIM..][..3 * DIM], &key[sample * 4 * DIM..][..4 * DIM]);
            let want = by_definition(&store, q, k, ignored);
            for (got, want) in got[sample * 3 * DIM..].iter().zip(want) {
                assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
            }
        }
    }

    #[test]
    fn self_attention_is_attention_of_one_sequence() {
        let device = device("cpu").unwrap();
        let (_, attention) = attention(&device);
        let x = input("x", [2, 5, DIM], &device);
        let apart = values(attention.forward(x.clone(), x.clone(), x.clone(), None));
        let together = values(attention.self_attention(x, None));
        assert!(apart.iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn a_query_without_keys_gives_numbers() {
        let device = device("cpu").unwrap();
        let (_, attention) = attention(&device);
        let x = input("x", [1, 2, DIM], &device);
        let all = Tensor::<2>::ones([1, 2], &device).greater_elem(0.5);
        assert!(values(attention.self_attention(x, Some(all))).iter().all(|v| v.is_finite()));
    }
}

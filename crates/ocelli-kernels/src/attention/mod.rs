//! Attention whose matrix is never whole in memory.

mod heads;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor, activation};
use burn_flex::{FlexTensor, Layout};

use crate::backend::is_served;
use crate::memory::{SharedOutput, filled, tensor};
use heads::{Attention, Operand, Rows};

/// What is done to the products of queries and keys before their softmax.
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    /// They are multiplied by this positive number; one over the root of the number of channels unless given.
    pub scale: Option<f64>,
    /// Whether a query sees no key after its own position.
    pub causal: bool,
    /// Added to them after that, `[1 or B, 1 or H, 1 or N, M]`; no gradient flows to it. A key is hidden by minus infinity, or by
    /// a large negative number where some queries may be left without any key.
    pub added: Option<Tensor<4>>,
}

/// For every query the mean of the values, weighted by the softmax over keys of their products with it, without scaling:
/// `query [B, D, N]`, `key [B, D, M]` and `value [B, E, M]` to `[B, E, N]` (Wang et al., *Non-local Neural Networks*,
/// 2018, equation 1, embedded Gaussian).
///
/// Otherwise as [`scaled_attention`].
///
/// # Panics
/// If the shapes do not fit together, or there are no keys or no channels.
pub fn attention(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Tensor<3> {
    let ([b, d, n], [keys_b, keys_d, m], [values_b, e, values_m]) = (query.dims(), key.dims(), value.dims());
    let fits = [keys_b, values_b] == [b, b] && keys_d == d && values_m == m && m * d * e > 0;
    assert!(
        fits,
        "attention: a query [{b}, {d}, {n}] with keys {:?} and values {:?}",
        key.dims(),
        value.dims()
    );
    let [query, key, value] = [query, key, value].map(|x| x.swap_dims(1, 2).unsqueeze_dim::<4>(1));
    let options = AttentionOptions { scale: Some(1.0), ..AttentionOptions::default() };
    scaled_attention(query, key, value, options).squeeze_dim::<3>(1).swap_dims(1, 2)
}

/// Scaled dot-product attention in heads (Vaswani et al., *Attention Is All You Need*, 2017, section 3.2): `query
/// [B, H, N, D]`, `key [B, H, M, D]` and `value [B, H, M, E]` to `[B, H, N, E]`.
///
/// On the CPU, 32-bit tensors take this crate's kernel, which needs memory for `N + M` positions and reads its arguments
/// where they lie; every other device or number type takes Burn's own operations, which need memory for `N M` pairs.
/// Gradients flow to query, key and value. The result is the same for any number of threads.
///
/// # Panics
/// If the shapes do not fit together, there are no keys or no channels, or the scale is not positive.
pub fn scaled_attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    options: AttentionOptions,
) -> Tensor<4> {
    let ([b, h, n, d], [_, _, m, e]) = (query.dims(), value.dims());
    let fits = key.dims() == [b, h, m, d] && value.dims() == [b, h, m, e] && m * d * e > 0;
    assert!(
        fits,
        "attention: a query {:?} with keys {:?} and values {:?}",
        query.dims(),
        key.dims(),
        value.dims()
    );
    let AttentionOptions { causal, added, .. } = &options;
    let (scale, causal, added) = (options.checked([b, h, n, m], d), *causal, added.clone());
    let served = is_served(&query) && is_served(&key) && is_served(&value);
    if !served || !added.as_ref().is_none_or(is_served) {
        return plain(query, key, value, scale, causal, added);
    }
    let added = added.unwrap_or_else(|| nothing(&query.device())).into_dispatch();
    let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::attend(query, key, value, added, scale, causal))
}

/// [`scaled_attention`] of positions to each other: `projected [B, N, 3 H D]` holds the queries of all heads, then their keys,
/// then their values, as one linear map makes them; the result is `[B, N, H D]`.
///
/// # Panics
/// If `heads` heads do not fit, there are no channels, or as for [`scaled_attention`].
pub fn self_attention(projected: Tensor<3>, heads: usize, options: AttentionOptions) -> Tensor<3> {
    let [b, n, channels] = projected.dims();
    let fits = heads > 0 && channels > 0 && channels.is_multiple_of(3 * heads);
    assert!(fits, "attention: {channels} channels for queries, keys and values of {heads} heads");
    let each = channels / (3 * heads);
    if n == 0 || !is_served(&projected) || !options.added.as_ref().is_none_or(is_served) {
        let all = projected.reshape([b, n, 3 * heads, each]).swap_dims(1, 2);
        let part = |index: usize| all.clone().narrow(1, index * heads, heads);
        if n == 0 {
            return part(0).swap_dims(1, 2).reshape([b, n, heads * each]);
        }
        let output = scaled_attention(part(0), part(1), part(2), options);
        return output.swap_dims(1, 2).reshape([b, n, heads * each]);
    }
    let scale = options.checked([b, heads, n, n], each);
    let added = options.added.unwrap_or_else(|| nothing(&projected.device())).into_dispatch();
    Tensor::from_dispatch(Dispatch::attend_self(
        projected.into_dispatch(),
        added,
        heads,
        scale,
        options.causal,
    ))
}

impl AttentionOptions {
    /// The scale.
    fn checked(&self, logits: [usize; 4], channels: usize) -> f32 {
        let scale = self.scale.unwrap_or_else(|| (channels as f64).sqrt().recip());
        assert!(scale > 0.0, "attention: a scale of {scale}");
        if let Some(added) = &self.added {
            let shape = added.dims();
            let fits =
                (0..3).all(|dim| shape[dim] == 1 || shape[dim] == logits[dim]) && shape[3] == logits[3];
            assert!(fits, "attention: {shape:?} cannot be added to logits {logits:?}");
        }
        scale as f32
    }
}

/// What stands for no addition to the logits: a tensor without numbers.
fn nothing(device: &Device) -> Tensor<4> {
    Tensor::zeros([0; 4], &device.clone().without_autodiff())
}

/// The framework's own operations.
fn plain(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    scale: f32,
    causal: bool,
    added: Option<Tensor<4>>,
) -> Tensor<4> {
    let mut logits = query.matmul(key.swap_dims(2, 3)).mul_scalar(scale);
    let [_, _, n, m] = logits.dims();
    if let Some(added) = added {
        logits = logits + added.detach();
    }
    if causal {
        let hidden = Tensor::<2, burn::tensor::Bool>::tril_mask([n, m], 0, &logits.device());
        logits = logits.mask_fill(hidden.unsqueeze::<4>(), f32::NEG_INFINITY);
    }
    activation::softmax(logits, 3).matmul(value)
}

/// A backend with fused attention.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait AttentionBackend: Backend {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        added: FloatTensor<Self>,
        scale: f32,
        causal: bool,
    ) -> FloatTensor<Self>;

    fn attend_self(
        projected: FloatTensor<Self>,
        added: FloatTensor<Self>,
        heads: usize,
        scale: f32,
        causal: bool,
    ) -> FloatTensor<Self>;
}

/// What is done to the logits.
#[derive(Clone, Debug)]
pub(crate) struct Logits<T> {
    /// [`nothing`], or what is added.
    added: T,
    scale: f32,
    causal: bool,
}

/// [`AttentionBackend`] with its gradients, on a backend that does not record.
pub(crate) trait AttentionKernels: AttentionBackend {
    /// Gradients of query, key and value.
    fn gradients(
        operands: [FloatTensor<Self>; 3],
        logits: Logits<FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];

    /// Gradient of the projected positions.
    fn projected_gradient(
        projected: FloatTensor<Self>,
        heads: usize,
        logits: Logits<FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Attention {
    fn new([query, key, value]: [Operand; 3], logits: Logits<FlexTensor>) -> Self {
        let Logits { added, scale, causal } = logits;
        let added = (added.layout().num_elements() > 0).then(|| Operand::of(added));
        Self { query, key, value, added, scale, causal }
    }

    /// Of projected positions `[B, N, 3 H D]`.
    fn of_projected(projected: FlexTensor, heads: usize, logits: Logits<FlexTensor>) -> Self {
        let all = split(projected, 3 * heads);
        Self::new([0, 1, 2].map(|part| all.heads(part * heads, heads)), logits)
    }
}

/// `[B, N, H D]` as `[B, H, N, D]`.
fn split(tensor: FlexTensor, heads: usize) -> Operand {
    let [batch, length, channels] = tensor.layout().shape().dims();
    let strides = tensor.layout().strides().to_vec();
    let each = channels / heads;
    let shape = Shape::new([batch, heads, length, each]);
    let strides = vec![strides[0], strides[2] * each as isize, strides[1], strides[2]];
    let layout = Layout::new(shape, strides, tensor.layout().start_offset());
    Operand::of(tensor.with_layout(layout))
}

/// `[B, H, L, C]` that lies in memory as `[B, L, H, C]`, so that heads are joined without a copy.
fn by_position(values: Vec<f32>, [batch, heads, length, channels]: [usize; 4]) -> FlexTensor {
    let strides = [length * heads * channels, channels, heads * channels, 1].map(|stride| stride as isize);
    let layout = Layout::new(Shape::new([batch, heads, length, channels]), strides.to_vec(), 0);
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

/// The rows of an output that [`by_position`] makes a tensor of.
fn rows(output: SharedOutput<'_>, [_, heads, length, channels]: [usize; 4]) -> Rows<'_> {
    Rows::new(output, 0, length, channels, heads * channels)
}

impl AttentionBackend for Flex {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        added: FloatTensor<Self>,
        scale: f32,
        causal: bool,
    ) -> FloatTensor<Self> {
        let operands = [query, key, value].map(Operand::of);
        let attention = Attention::new(operands, Logits { added, scale, causal });
        let [batch, heads, queries, _] = attention.query.shape();
        by_position(attention.forward(), [batch, heads, queries, attention.value.shape()[3]])
    }

    fn attend_self(
        projected: FloatTensor<Self>,
        added: FloatTensor<Self>,
        heads: usize,
        scale: f32,
        causal: bool,
    ) -> FloatTensor<Self> {
        let attention = Attention::of_projected(projected, heads, Logits { added, scale, causal });
        let [batch, heads, queries, each] = attention.query.shape();
        tensor(attention.forward(), [batch, queries, heads * each])
    }
}

impl AttentionKernels for Flex {
    #[allow(unsafe_code)] // the outputs are not zeroed first
    fn gradients(
        operands: [FloatTensor<Self>; 3],
        logits: Logits<FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let attention = Attention::new(operands.map(Operand::of), logits);
        let shapes = [&attention.query, &attention.key, &attention.value].map(Operand::shape);
        let gradient = Operand::of(output_gradient);
        let [query, key, value] = shapes.map(|shape| shape.iter().product::<usize>());
        let mut others = [Vec::new(), Vec::new()];
        // SAFETY: the backward step writes all rows of all heads of all three.
        let first = unsafe {
            filled(query, |query| {
                let [keys, values] = &mut others;
                *keys = filled(key, |key| {
                    *values = filled(value, |value| {
                        let [of_query, of_key, of_value] = shapes;
                        let targets = [rows(query, of_query), rows(key, of_key), rows(value, of_value)];
                        attention.backward(&gradient, targets);
                    });
                });
            })
        };
        let [second, third] = others;
        let all = [(first, shapes[0]), (second, shapes[1]), (third, shapes[2])];
        all.map(|(values, shape)| by_position(values, shape))
    }

    #[allow(unsafe_code)] // the output is not zeroed first
    fn projected_gradient(
        projected: FloatTensor<Self>,
        heads: usize,
        logits: Logits<FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let attention = Attention::of_projected(projected, heads, logits);
        let gradient = split(output_gradient, heads);
        let [batch, _, length, each] = attention.query.shape();
        let (len, width) = (batch * length * 3 * heads * each, heads * each);
        // SAFETY: queries, keys and values of all heads are all of the output.
        let values = unsafe {
            filled(len, |output| {
                let targets = [0, 1, 2].map(|part| Rows::new(output, part * width, length, each, 3 * width));
                attention.backward(&gradient, targets);
            })
        };
        tensor(values, [batch, length, 3 * width])
    }
}

impl<B: AttentionKernels, C: CheckpointStrategy> AttentionBackend for Autodiff<B, C> {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        added: FloatTensor<Self>,
        scale: f32,
        causal: bool,
    ) -> FloatTensor<Self> {
        let prepared = AttentionStep.prepare::<C>([query.node(), key.node(), value.node()]);
        let [q, k, v] = [&query, &key, &value].map(|tensor| tensor.primitive().clone());
        let added = added.into_primitive();
        let output = B::attend(q, k, v, added.clone(), scale, causal);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [&query, &key, &value].map(|tensor| prep.checkpoint(tensor));
                prep.finish((nodes, Logits { added, scale, causal }), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn attend_self(
        projected: FloatTensor<Self>,
        added: FloatTensor<Self>,
        heads: usize,
        scale: f32,
        causal: bool,
    ) -> FloatTensor<Self> {
        let prepared = SelfAttentionStep.prepare::<C>([projected.node()]);
        let added = added.into_primitive();
        let output = B::attend_self(projected.primitive().clone(), added.clone(), heads, scale, causal);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let node = prep.checkpoint(&projected);
                prep.finish((node, heads, Logits { added, scale, causal }), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are query, key and value.
#[derive(Debug)]
struct AttentionStep;

impl<B: AttentionKernels> Backward<B, 3> for AttentionStep {
    /// Nodes of query, key and value, and what is done to the logits.
    type State = ([NodeId; 3], Logits<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let (nodes, logits) = ops.state;
        let operands = nodes.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let gradients = B::gradients(operands, logits, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// The backward step of attention among projected positions, its parent.
#[derive(Debug)]
struct SelfAttentionStep;

impl<B: AttentionKernels> Backward<B, 1> for SelfAttentionStep {
    /// The node of the positions, heads, and what is done to the logits.
    type State = (NodeId, usize, Logits<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let (node, heads, logits) = ops.state;
        let projected = checkpointer.retrieve_node_output::<FloatTensor<B>>(node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::projected_gradient(projected, heads, logits, output_gradient));
        }
    }
}

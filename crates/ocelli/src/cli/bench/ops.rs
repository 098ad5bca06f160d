//! Single operations.

use anyhow::bail;
use burn::tensor::Tensor;
use ocelli_kernels::{
    AttentionOptions, Chain, ConvOptions, NormTail, PoolOptions, ResizeMode, ResizeTo, TransposeOptions,
    activation, avg_pool, batch_norm_with, conv_transpose2d, conv1d, conv2d, conv3d, log_softmax, max_pool,
    resize, scaled_attention, softmax,
};
use ocelli_nn::layers::{Gru, Lstm, RecurrentConfig};
use ocelli_nn::ops::{SampleOptions, cross_entropy, grid_sample as sampled};
use ocelli_nn::tensor::integers;
use ocelli_nn::{Pass, Store};

use super::case::{Case, Ready, device, input};

/// Letters: `b` samples, `c` channels or classes that come in, `o` that go out, `h` height and width, `k` kernel,
/// `s` stride, `p` padding (half the kernel by default), `g` groups, `d` depth or length of a vector, `t` length of a
/// sequence, `n` `m` sizes of matrices, `r` rows, `u` size after a resize, `a` attention heads.
pub(super) const CASES: &[&str] = &[
    "conv2d b8 c3 o64 h224 k7 s2",
    "conv2d b8 c64 o64 h56 k3",
    "conv2d b8 c256 o256 h14 k3",
    "conv2d b1 c512 o512 h7 k3",
    "conv2d b8 c256 o64 h56 k1",
    "conv2d b8 c144 o144 h56 k3 g144",
    "conv2d+grad b8 c3 o64 h224 k7 s2",
    "conv2d+grad b8 c64 o64 h56 k3",
    "conv2d+grad b64 c128 o128 h8 k3",
    "conv2d+grad b8 c128 o256 h28 k3 s2",
    "conv2d+grad b8 c256 o64 h56 k1",
    "conv2d+grad b8 c144 o144 h56 k3 g144",
    "conv2d+grad b8 c144 o144 h56 k3 s2 g144",
    "conv1d+grad b16 c400 o512 t100 k3",
    "conv3d+grad b2 c32 o32 d16 h28 k3",
    "conv_transpose2d+grad b8 c128 o64 h28 k4 s2 p1",
    "matmul m1024 k1024 n1024",
    "matmul+grad m1024 k1024 n1024",
    "matmul b96 m64 k64 n64",
    "matmul+grad b96 m64 k64 n64",
    "matmul b512 m50 k64 n50",
    "linear r1 d4096 o4096",
    "linear r2048 d512 o2048",
    "linear+grad r2048 d512 o2048",
    "linear+grad r64 d512 o10000",
    "softmax r512 c10000",
    "softmax+grad r512 c10000",
    "log_softmax+grad r512 c10000",
    "cross_entropy+grad r512 c10000",
    "multiply_add_sigmoid n10000000",
    "multiply_add_sigmoid+grad n10000000",
    "gelu r2048 d2048",
    "gelu+grad r2048 d2048",
    "layer_norm r4096 d512",
    "layer_norm+grad r4096 d512",
    "group_norm+grad b8 c64 g32 h56",
    "batch_norm_relu+grad b16 c64 h56",
    "batch_norm_relu+grad b64 c512 h4",
    "bilinear b8 c64 h56 u112",
    "bilinear+grad b8 c64 h56 u112",
    "nearest+grad b8 c64 h56 u112",
    "max_pool b8 c64 h112 k3 s2",
    "max_pool+grad b8 c64 h112 k3 s2",
    "avg_pool+grad b8 c64 h112 k3 s2",
    "grid_sample b8 c64 h56",
    "grid_sample+grad b8 c64 h56",
    "lstm b32 t50 d256 h256",
    "lstm+grad b32 t50 d256 h256",
    "gru+grad b32 t50 d256 h256",
    "attention b8 a12 t197 d64",
    "attention+grad b8 a12 t197 d64",
    "attention+grad b32 a4 t64 d64",
];

/// # Errors
/// When there is no such operation.
pub(super) fn ready(case: &Case) -> anyhow::Result<Ready> {
    match case.kind() {
        "conv1d" => convolution(case, [case.number('t')?], |x, w, options| conv1d(x, w, None, options)),
        "conv2d" => convolution(case, [case.number('h')?; 2], |x, w, options| conv2d(x, w, None, options)),
        "conv3d" => {
            let sizes = [case.number('d')?, case.number('h')?, case.number('h')?];
            convolution(case, sizes, |x, w, options| conv3d(x, w, None, options))
        }
        "conv_transpose2d" => transposed(case),
        "matmul" => matmul(case),
        "linear" => linear(case),
        "softmax" => rows(case, |x| softmax(x, 1)),
        "log_softmax" => rows(case, |x| log_softmax(x, 1)),
        "cross_entropy" => classes(case),
        "multiply_add_sigmoid" => multiply_add_sigmoid(case),
        "gelu" => vectors(case, activation::gelu),
        "layer_norm" => layer_norm(case),
        "group_norm" => group_norm(case),
        "batch_norm_relu" => batch_norm_relu(case),
        "bilinear" => resized(case, ResizeMode::Linear { align_corners: false }),
        "nearest" => resized(case, ResizeMode::Nearest),
        "max_pool" => pooled(case, max_pool::<4, 2>),
        "avg_pool" => pooled(case, avg_pool::<4, 2>),
        "grid_sample" => grid_sample(case),
        "lstm" => lstm(case),
        "gru" => gru(case),
        "attention" => attention(case),
        other => bail!("no operation `{other}`; `ocelli bench ops --list` has them"),
    }
}

/// A tensor that gradients are wanted of, or just a tensor.
fn leaf<const D: usize>(x: &Tensor<D>, gradients: bool) -> Tensor<D> {
    if gradients { x.clone().autodiff().require_grad() } else { x.clone() }
}

/// Walks back from a gradient of ones.
fn finish<const D: usize>(y: Tensor<D>, gradients: bool) {
    if gradients {
        std::hint::black_box(y.backward());
    } else {
        std::hint::black_box(y);
    }
}

fn of_one<const A: usize, const E: usize>(
    case: &Case,
    shape: [usize; A],
    f: impl Fn(Tensor<A>) -> Tensor<E> + 'static,
) -> Ready {
    let (x, gradients) = (input("x", shape), case.gradients);
    Ready::new(move || finish(f(leaf(&x, gradients)), gradients))
}

fn of_two<const A: usize, const B: usize, const E: usize>(
    case: &Case,
    shapes: ([usize; A], [usize; B]),
    f: impl Fn(Tensor<A>, Tensor<B>) -> Tensor<E> + 'static,
) -> Ready {
    let (x, y, gradients) = (input("x", shapes.0), input("y", shapes.1), case.gradients);
    Ready::new(move || finish(f(leaf(&x, gradients), leaf(&y, gradients)), gradients))
}

fn of_three<const A: usize, const B: usize, const C: usize, const E: usize>(
    case: &Case,
    shapes: ([usize; A], [usize; B], [usize; C]),
    f: impl Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<E> + 'static,
) -> Ready {
    let (x, y, z) = (input("x", shapes.0), input("y", shapes.1), input("z", shapes.2));
    let gradients = case.gradients;
    Ready::new(move || {
        finish(f(leaf(&x, gradients), leaf(&y, gradients), leaf(&z, gradients)), gradients);
    })
}

/// The numbers of a convolution.
struct Conv {
    batch: usize,
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    groups: usize,
}

impl Conv {
    fn of(case: &Case) -> anyhow::Result<Self> {
        let kernel = case.number('k')?;
        Ok(Self {
            batch: case.number('b')?,
            input: case.number('c')?,
            output: case.number('o')?,
            kernel,
            stride: case.number_or('s', 1),
            padding: case.number_or('p', kernel / 2),
            groups: case.number_or('g', 1),
        })
    }

    /// Positions along a side of `size`.
    fn positions(&self, size: usize) -> usize {
        (size + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Multiplications and additions forward, at so many positions of filters with so many elements.
    fn operations(&self, positions: usize, elements: usize) -> usize {
        2 * self.batch * self.output * positions * self.input / self.groups * elements
    }
}

/// A convolution of `N` axes with so many pixels each: `f` on an input and filters of `D` axes.
fn convolution<const N: usize, const D: usize>(
    case: &Case,
    sizes: [usize; N],
    f: impl Fn(Tensor<D>, Tensor<D>, ConvOptions<N>) -> Tensor<D> + 'static,
) -> anyhow::Result<Ready> {
    let conv = Conv::of(case)?;
    let options = ConvOptions {
        stride: [conv.stride; N],
        padding: [conv.padding; N],
        groups: conv.groups,
        ..ConvOptions::default()
    };
    let mut input = [conv.batch; D];
    input[1] = conv.input;
    input[2..].copy_from_slice(&sizes);
    let mut filters = [conv.kernel; D];
    filters[..2].copy_from_slice(&[conv.output, conv.input / conv.groups]);
    let run = of_two(case, (input, filters), move |x, w| f(x, w, options));
    let positions = sizes.iter().map(|&size| conv.positions(size)).product();
    Ok(run.operations(case, conv.operations(positions, conv.kernel.pow(N as u32))))
}

fn transposed(case: &Case) -> anyhow::Result<Ready> {
    let (conv, side) = (Conv::of(case)?, case.number('h')?);
    let options = TransposeOptions {
        stride: [conv.stride; 2],
        padding: [conv.padding; 2],
        groups: conv.groups,
        ..TransposeOptions::default()
    };
    let filters = [conv.input, conv.output / conv.groups, conv.kernel, conv.kernel];
    let shapes = ([conv.batch, conv.input, side, side], filters);
    let run = of_two(case, shapes, move |x, w| conv_transpose2d(x, w, None, options));
    // Every pixel that comes in meets every element of the filters.
    Ok(run.operations(case, conv.operations(side.pow(2), conv.kernel.pow(2))))
}

fn matmul(case: &Case) -> anyhow::Result<Ready> {
    let (b, m, k, n) = (case.number_or('b', 1), case.number('m')?, case.number('k')?, case.number('n')?);
    Ok(of_two(case, ([b, m, k], [b, k, n]), ocelli_kernels::matmul).operations(case, 2 * b * m * k * n))
}

fn linear(case: &Case) -> anyhow::Result<Ready> {
    let (rows, input, output) = (case.number('r')?, case.number('d')?, case.number('o')?);
    let shapes = ([rows, input], [output, input], [output]);
    let run = of_three(case, shapes, |x, w, b| ocelli_kernels::linear(x, w, Some(b)));
    Ok(run.operations(case, 2 * rows * input * output))
}

/// An operation on rows of logits.
fn rows(case: &Case, f: impl Fn(Tensor<2>) -> Tensor<2> + 'static) -> anyhow::Result<Ready> {
    Ok(of_one(case, [case.number('r')?, case.number('c')?], f))
}

/// An operation on vectors.
fn vectors(case: &Case, f: impl Fn(Tensor<2>) -> Tensor<2> + 'static) -> anyhow::Result<Ready> {
    Ok(of_one(case, [case.number('r')?, case.number('d')?], f))
}

fn classes(case: &Case) -> anyhow::Result<Ready> {
    let (rows, classes) = (case.number('r')?, case.number('c')?);
    let labels: Vec<i64> = (0..rows).map(|row| (row * 7919 % classes) as i64).collect();
    let labels = integers(&labels, &device());
    self::rows(case, move |x| cross_entropy(x, labels.clone()).unsqueeze())
}

fn multiply_add_sigmoid(case: &Case) -> anyhow::Result<Ready> {
    let n = case.number('n')?;
    Ok(of_three(case, ([n], [n], [n]), |x, y, z| Chain::of(x).mul(y).add(z).sigmoid().run()))
}

fn layer_norm(case: &Case) -> anyhow::Result<Ready> {
    let (rows, length) = (case.number('r')?, case.number('d')?);
    Ok(of_three(case, ([rows, length], [length], [length]), |x, w, b| {
        ocelli_kernels::layer_norm(x, 1, Some([w, b]), 1e-5)
    }))
}

/// Pictures `[B, C, H, H]`.
fn pictures(case: &Case) -> anyhow::Result<[usize; 4]> {
    let side = case.number('h')?;
    Ok([case.number('b')?, case.number('c')?, side, side])
}

fn group_norm(case: &Case) -> anyhow::Result<Ready> {
    let (shape, groups) = (pictures(case)?, case.number('g')?);
    Ok(of_three(case, (shape, [shape[1]], [shape[1]]), move |x, w, b| {
        ocelli_kernels::group_norm(x, groups, Some([w, b]), 1e-5)
    }))
}

fn batch_norm_relu(case: &Case) -> anyhow::Result<Ready> {
    let shape = pictures(case)?;
    Ok(of_three(case, (shape, [shape[1]], [shape[1]]), |x, w, b| {
        batch_norm_with(x, w, b, 1e-5, NormTail::Relu).output
    }))
}

fn resized(case: &Case, mode: ResizeMode) -> anyhow::Result<Ready> {
    let to = ResizeTo::Size([case.number('u')?; 2]);
    Ok(of_one(case, pictures(case)?, move |x| resize(x, to, mode)))
}

fn pooled(case: &Case, pool: fn(Tensor<4>, PoolOptions<2>) -> Tensor<4>) -> anyhow::Result<Ready> {
    let kernel = case.number('k')?;
    let options = PoolOptions::new([kernel; 2]).stride([case.number('s')?; 2]).padding([kernel / 2; 2]);
    Ok(of_one(case, pictures(case)?, move |x| pool(x, options)))
}

fn grid_sample(case: &Case) -> anyhow::Result<Ready> {
    let shape = pictures(case)?;
    let grid = [shape[0], shape[2], shape[3], 2];
    Ok(of_two(case, (shape, grid), |x, grid| sampled(x, grid, SampleOptions::default())))
}

/// A layer on sequences `[B, T, D]` with the parameters of `store`.
fn of_layer(
    case: &Case,
    store: Store,
    forward: impl Fn(Tensor<3>) -> Tensor<3> + 'static,
) -> anyhow::Result<Ready> {
    let shape = [case.number('b')?, case.number('t')?, case.number('d')?];
    let (x, gradients) = (input("x", shape), case.gradients);
    Ok(Ready::new(move || {
        if gradients {
            store.track();
        }
        finish(forward(leaf(&x, gradients)), gradients);
    }))
}

fn lstm(case: &Case) -> anyhow::Result<Ready> {
    let (store, config) = (Store::new(&device(), 0), RecurrentConfig::default());
    let config = RecurrentConfig { batch_first: true, ..config };
    let layer = Lstm::new(&store.root(), case.number('d')?, case.number('h')?, config);
    of_layer(case, store, move |x| layer.forward(x, None, &Pass::eval()).0)
}

fn gru(case: &Case) -> anyhow::Result<Ready> {
    let (store, config) = (Store::new(&device(), 0), RecurrentConfig::default());
    let config = RecurrentConfig { batch_first: true, ..config };
    let layer = Gru::new(&store.root(), case.number('d')?, case.number('h')?, config);
    of_layer(case, store, move |x| layer.forward(x, None, &Pass::eval()).0)
}

fn attention(case: &Case) -> anyhow::Result<Ready> {
    let (heads, tokens, width) = (case.number('a')?, case.number('t')?, case.number('d')?);
    let shape = [case.number('b')?, heads, tokens, width];
    let run = of_three(case, (shape, shape, shape), |q, k, v| {
        scaled_attention(q, k, v, AttentionOptions::default())
    });
    Ok(run.operations(case, 4 * shape[0] * heads * tokens * tokens * width))
}

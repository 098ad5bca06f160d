//! Fused attention against the framework's own operations: forward and every gradient, over random shapes and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{Bool, Device, Tensor, TensorData, activation};
use ocelli_kernels::{AttentionOptions, attention, scaled_attention, self_attention};
use proptest::prelude::*;

fn numbers(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0) * 0.7).collect()
}

fn tensor(seed: usize, shape: [usize; 3], device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(numbers(seed, shape.iter().product()), shape), device)
}

fn plain(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Tensor<3> {
    let weights = activation::softmax(query.swap_dims(1, 2).matmul(key), 2);
    value.matmul(weights.swap_dims(1, 2))
}

/// Output and gradients of query, key and value.
fn run(
    attend: impl Fn(Tensor<3>, Tensor<3>, Tensor<3>) -> Tensor<3>,
    [b, d, e, n, m]: [usize; 5],
    turned: bool,
) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let leaf = |seed, shape: [usize; 3]| match turned {
        true => tensor(seed, [shape[0], shape[2], shape[1]], &device).require_grad(),
        false => tensor(seed, shape, &device).require_grad(),
    };
    let leaves = [leaf(1, [b, d, n]), leaf(2, [b, d, m]), leaf(3, [b, e, m])];
    let [query, key, value] = leaves.clone().map(|leaf| if turned { leaf.swap_dims(1, 2) } else { leaf });
    let output = attend(query, key, value);
    let weight = tensor(4, [b, e, n], &device);
    let gradients = (output.clone() * weight).sum().backward();
    let mut all = vec![output.into_data().try_into_vec::<f32>().unwrap()];
    all.extend(leaves.map(|leaf| leaf.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap()));
    all
}

fn compare(shape: [usize; 5], turned: bool) {
    let (got, expected) = (run(attention, shape, turned), run(plain, shape, turned));
    for (name, (got, expected)) in ["output", "query", "key", "value"].iter().zip(got.iter().zip(&expected)) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 2e-5 + 1e-4 * expected.abs(), "{name}: {got}, not {expected}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn shapes_and_layouts_match_plain_operations(
        b in 1..4_usize,
        d in 1..20_usize,
        e in 1..20_usize,
        n in 1..150_usize,
        m in 1..70_usize,
        turned: bool,
    ) {
        compare([b, d, e, n, m], turned);
    }
}

/// Attention in heads, by the framework's operations.
fn plain_heads(
    [query, key, value]: [Tensor<4>; 3],
    scale: f64,
    causal: bool,
    added: Option<Tensor<4>>,
) -> Tensor<4> {
    let mut logits = query.matmul(key.swap_dims(2, 3)).mul_scalar(scale);
    let [_, _, n, m] = logits.dims();
    if let Some(added) = added {
        logits = logits + added;
    }
    if causal {
        let hidden = Tensor::<2, Bool>::tril_mask([n, m], 0, &logits.device());
        logits = logits.mask_fill(hidden.unsqueeze::<4>(), f32::NEG_INFINITY);
    }
    activation::softmax(logits, 3).matmul(value)
}

fn heads_tensor(seed: usize, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(numbers(seed, shape.iter().product()), shape), device)
}

/// Output and gradients of `leaves` of a function of them.
fn walk<const D: usize, const E: usize>(
    leaves: &[Tensor<D>],
    apply: impl Fn(&[Tensor<D>]) -> Tensor<E>,
) -> Vec<Vec<f32>> {
    let leaves: Vec<Tensor<D>> = leaves.iter().map(|leaf| leaf.clone().detach().require_grad()).collect();
    let output = apply(&leaves);
    let factor = numbers(4, output.dims().iter().product());
    let factor = Tensor::<E>::from_data(TensorData::new(factor, output.dims()), &output.device());
    let gradients = (output.clone() * factor).sum().backward();
    let mut all = vec![output.into_data().try_into_vec::<f32>().unwrap()];
    let grads = leaves.iter().map(|leaf| leaf.grad(&gradients).unwrap());
    all.extend(grads.map(|gradient| gradient.into_data().try_into_vec::<f32>().unwrap()));
    all
}

fn assert_close(got: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(got.len(), expected.len());
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 2e-5 + 1e-4 * expected.abs(), "{index}: {got}, not {expected}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn heads_match_plain_operations(
        [b, h, n, m] in [1..=3_usize, 1..=3_usize, 0..=80_usize, 1..=80_usize],
        [d, e] in [1..=20_usize, 1..=70_usize],
        causal: bool,
        turned: bool,
        added in 0..4_usize,
    ) {
        let device = Device::flex().autodiff();
        let shape = match added {
            0 => None,
            1 => Some([1, 1, 1, m]),
            2 => Some([b, 1, 1, m]),
            _ => Some([b, h, n, m]),
        };
        let n = if added == 3 { n.max(1) } else { n };
        let added = shape.map(|[b, h, r, m]| heads_tensor(5, [b, h, if r == 1 { 1 } else { n }, m], &device));
        let leaves = [[b, h, n, d], [b, h, m, d], [b, h, m, e]];
        let leaves: Vec<Tensor<4>> = leaves
            .into_iter()
            .enumerate()
            .map(|(seed, [b, h, l, c])| match turned {
                true => heads_tensor(seed, [b, l, h, c], &device).swap_dims(1, 2),
                false => heads_tensor(seed, [b, h, l, c], &device),
            })
            .collect();
        if n == 0 {
            let parts: [Tensor<4>; 3] = leaves.try_into().unwrap();
            let [q, k, v] = parts;
            let output = scaled_attention(q, k, v, AttentionOptions { causal, ..Default::default() });
            prop_assert_eq!(output.dims(), [b, h, 0, e]);
            return Ok(());
        }
        let options = AttentionOptions { scale: Some(0.3), causal, added: added.clone() };
        let ours = walk(&leaves, |leaves| {
            scaled_attention(leaves[0].clone(), leaves[1].clone(), leaves[2].clone(), options.clone())
        });
        let theirs = walk(&leaves, |leaves| {
            plain_heads([0, 1, 2].map(|i| leaves[i].clone()), 0.3, causal, added.clone())
        });
        assert_close(&ours, &theirs);
    }

    #[test]
    fn projected_positions_match_plain_operations(
        [b, n, heads, each] in [1..=3_usize, 1..=70_usize, 1..=4_usize, 1..=20_usize],
        hidden: bool,
    ) {
        let device = Device::flex().autodiff();
        let leaf = tensor(1, [b, n, 3 * heads * each], &device);
        let added = hidden.then(|| heads_tensor(2, [b, 1, 1, n], &device).mul_scalar(5.0));
        let options = AttentionOptions { added: added.clone(), ..AttentionOptions::default() };
        let ours = walk(std::slice::from_ref(&leaf), |leaf| self_attention(leaf[0].clone(), heads, options.clone()));
        let theirs = walk(&[leaf], |leaf| {
            let all = leaf[0].clone().reshape([b, n, 3, heads, each]).permute([2, 0, 3, 1, 4]);
            let part = |index: usize| all.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
            let scale = (each as f64).sqrt().recip();
            let output = plain_heads([part(0), part(1), part(2)], scale, false, added.clone());
            output.swap_dims(1, 2).reshape([b, n, heads * each])
        });
        assert_close(&ours, &theirs);
    }
}

#[test]
fn many_queries_are_summed_over_all_segments() {
    compare([2, 5, 3, 2700, 40], false);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(attention, [3, 8, 8, 3000, 100], false))
    };
    assert_eq!(on(1), on(3));
}

#[test]
#[should_panic(expected = "attention: a query [1, 2, 3]")]
fn shapes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let of = |shape| tensor(0, shape, &device);
    attention(of([1, 2, 3]), of([1, 3, 3]), of([1, 2, 3]));
}

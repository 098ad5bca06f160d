//! Fused attention against the framework's own operations: forward and every gradient, over random shapes and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{Device, Tensor, TensorData, activation};
use ocelli_kernels::attention;
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

//! Products of matrices against plain nested loops: forward and both gradients, over random shapes and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{Device, Tensor, TensorData};
use ocelli_kernels::{linear, matmul};
use proptest::prelude::*;

/// How a factor lies in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Contiguous,
    Turned,
    Sliced,
    Flipped,
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Contiguous), Just(Layout::Turned), Just(Layout::Sliced), Just(Layout::Flipped)]
}

fn numbers(seed: usize, count: usize) -> Vec<f32> {
    let mut state = (seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

fn tensor(values: Vec<f32>, shape: [usize; 3], device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn laid_out(seed: usize, shape: [usize; 3], layout: Layout, device: &Device) -> Tensor<3> {
    let [b, r, c] = shape;
    let plain = tensor(numbers(seed, b * r * c), shape, device);
    match layout {
        Layout::Contiguous => plain,
        Layout::Turned => {
            let turned = plain.swap_dims(1, 2).into_data().try_to_vec::<f32>().unwrap();
            tensor(turned, [b, c, r], device).swap_dims(1, 2)
        }
        Layout::Sliced => {
            let wide = tensor(numbers(9, (b + 1) * (r + 2) * (c + 3)), [b + 1, r + 2, c + 3], device);
            let region = [1..b + 1, 2..r + 2, 1..c + 1];
            wide.slice_assign(region.clone(), plain).slice(region)
        }
        Layout::Flipped => plain
            .flip([1])
            .into_data()
            .try_to_vec::<f32>()
            .map(|values| tensor(values, shape, device).flip([1]))
            .unwrap(),
    }
}

/// Product and gradients by their definition, of batches of `left` and `right` matrices.
fn twin([left, right]: [usize; 2], [m, n, k]: [usize; 3], values: [&[f32]; 3]) -> [Vec<f64>; 3] {
    let mut all = [vec![0.0; left.max(right) * m * n], vec![0.0; left * m * k], vec![0.0; right * k * n]];
    let batch = if left == 1 { right } else { left };
    all[0].truncate(batch * m * n);
    for b in 0..batch {
        let (a, c) = (if left == 1 { 0 } else { b }, if right == 1 { 0 } else { b });
        for i in 0..m {
            for j in 0..n {
                for l in 0..k {
                    let at = [(b * m + i) * n + j, (a * m + i) * k + l, (c * k + l) * n + j];
                    let [x, y, g] = [values[0][at[1]], values[1][at[2]], values[2][at[0]]].map(f64::from);
                    all[0][at[0]] += x * y;
                    all[1][at[1]] += y * g;
                    all[2][at[2]] += x * g;
                }
            }
        }
    }
    all
}

fn run([left, right]: [usize; 2], [m, n, k]: [usize; 3], layouts: [Layout; 3]) -> [Vec<f32>; 3] {
    let device = Device::flex().autodiff();
    let batch = if left == 1 { right } else { left };
    let a = laid_out(1, [left, m, k], layouts[0], &device).require_grad();
    let b = laid_out(2, [right, k, n], layouts[1], &device).require_grad();
    let output = matmul(a.clone(), b.clone());
    assert_eq!(output.dims(), [batch, m, n]);
    // The framework's own product cannot read an empty tensor that is laid out otherwise.
    let layout = if batch * m * n == 0 { Layout::Contiguous } else { layouts[2] };
    let weight = laid_out(3, [batch, m, n], layout, &device);
    let gradients = (output.clone() * weight).sum().backward();
    [output, a.grad(&gradients).unwrap(), b.grad(&gradients).unwrap()]
        .map(|tensor| tensor.into_data().try_to_vec::<f32>().unwrap())
}

fn check(batch: [usize; 2], shape: [usize; 3], layouts: [Layout; 3]) {
    let [m, n, k] = shape;
    let full = if batch[0] == 1 { batch[1] } else { batch[0] };
    let values = [numbers(1, batch[0] * m * k), numbers(2, batch[1] * k * n), numbers(3, full * m * n)];
    let expected = twin(batch, shape, [&values[0], &values[1], &values[2]]);
    let got = run(batch, shape, layouts);
    let terms = [k, n * full, m * full];
    for (((what, got), expected), terms) in
        ["product", "left gradient", "right gradient"].iter().zip(&got).zip(&expected).zip(terms)
    {
        assert_eq!(got.len(), expected.len(), "{what}");
        let tolerance = 3e-6 * (terms as f64).sqrt() + 1e-6;
        for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
            let error = (f64::from(*got) - expected).abs();
            assert!(error <= tolerance, "{what}[{index}]: {got}, not {expected} (within {tolerance})");
        }
    }
}

fn batches() -> impl Strategy<Value = [usize; 2]> {
    prop_oneof![
        (0..=4_usize).prop_map(|b| [b, b]),
        (0..=4_usize).prop_map(|b| [1, b]),
        (0..=4_usize).prop_map(|b| [b, 1]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn small_shapes_match_the_definition(
        batch in batches(),
        shape in [0..=20_usize, 0..=70_usize, 0..=40_usize],
        layouts in [layouts(), layouts(), layouts()],
    ) {
        check(batch, shape, layouts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn large_shapes_match_the_definition(
        batch in batches(),
        shape in [1..=200_usize, 1..=300_usize, 1..=500_usize],
        layouts in [layouts(), layouts(), layouts()],
    ) {
        check(batch, shape, layouts);
    }
}

#[test]
fn products_of_many_pieces_match_the_definition() {
    // The last is cut along all three: pieces, chunks, and a last panel that is not full.
    let shapes = [[800, 40, 5], [40, 1700, 30], [1, 900, 1000], [900, 1, 1000], [2, 3, 4000], [401, 70, 900]];
    for shape in shapes {
        check([1, 1], shape, [Layout::Contiguous; 3]);
        check([1, 1], shape, [Layout::Turned; 3]);
    }
}

#[test]
fn dimensions_of_a_batch_are_matched_one_by_one() {
    let device = Device::flex().autodiff();
    let leaf = |seed, shape: [usize; 4]| -> Tensor<4> {
        Tensor::from_data(TensorData::new(numbers(seed, shape.iter().product()), shape), &device)
            .require_grad()
    };
    let (a, b) = (leaf(1, [3, 1, 4, 5]), leaf(2, [1, 2, 5, 6]));
    let run = |product: fn(Tensor<4>, Tensor<4>) -> Tensor<4>| {
        let output = product(a.clone(), b.clone());
        let gradients = output.clone().powi_scalar(2).sum().backward();
        [output, a.grad(&gradients).unwrap(), b.grad(&gradients).unwrap()].map(Tensor::into_data)
    };
    for (got, expected) in run(matmul).into_iter().zip(run(Tensor::matmul)) {
        got.assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::absolute(1e-4));
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for (batch, shape) in [
        (3, [300, 700, 400]),
        (3, [6, 2000, 300]),
        (3, [64, 64, 64]),
        (1, [300, 70, 400]),
        (1, [900, 100, 40]),
    ] {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run([batch; 2], shape, [Layout::Contiguous; 3]))
        };
        assert_eq!(on(1), on(3));
    }
}

#[test]
#[should_panic(expected = "matmul: a product of [1, 2, 3] and [1, 4, 5]")]
fn shapes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let of = |shape: [usize; 3]| tensor(numbers(0, shape.iter().product()), shape, &device);
    matmul(of([1, 2, 3]), of([1, 4, 5]));
}

/// Output and gradients of a linear layer of `x [2, R, I]`, and of the same by the framework's operations.
fn run_linear([rows, inputs, outputs]: [usize; 3], biased: bool, ours: bool) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let x = laid_out(1, [2, rows, inputs], Layout::Turned, &device).require_grad();
    let weight: Tensor<2> = laid_out(2, [1, outputs, inputs], Layout::Turned, &device).squeeze_dim(0);
    let weight = weight.detach().require_grad();
    let bias =
        Tensor::<1>::from_data(TensorData::new(numbers(3, outputs), [outputs]), &device).require_grad();
    let given = biased.then(|| bias.clone());
    let output = match (ours, given) {
        (true, given) => linear(x.clone(), weight.clone(), given),
        (false, Some(given)) => x.clone().matmul(weight.clone().transpose().unsqueeze()) + given.unsqueeze(),
        (false, None) => x.clone().matmul(weight.clone().transpose().unsqueeze()),
    };
    let factor = laid_out(4, [2, rows, outputs], Layout::Turned, &device);
    let gradients = (output.clone() * factor).sum().backward();
    let mut all = vec![output.into_data(), x.grad(&gradients).unwrap().into_data()];
    all.push(weight.grad(&gradients).unwrap().into_data());
    all.extend(bias.grad(&gradients).map(Tensor::into_data));
    all.into_iter().map(|data| data.try_to_vec::<f32>().unwrap()).collect()
}

fn check_linear(shape: [usize; 3], biased: bool, tolerance: f32) {
    let (got, expected) = (run_linear(shape, biased, true), run_linear(shape, biased, false));
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < tolerance, "{got}, not {expected}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn linear_layers_match_plain_operations(
        shape in [1..=60_usize, 1..=70_usize, 1..=90_usize],
        biased: bool,
    ) {
        check_linear(shape, biased, 5e-5);
    }
}

#[test]
fn linear_layers_of_many_pieces_match_plain_operations() {
    // Sums of so many numbers are rounded otherwise by the framework's operations.
    check_linear([230, 800, 100], true, 2e-4);
    check_linear([230, 390, 130], false, 2e-4);
}

#[test]
fn many_rows_add_up_to_the_gradient_of_the_bias() {
    let device = Device::flex().autodiff();
    let (rows, columns) = (30_001, 21);
    let values = numbers(5, rows * columns);
    let x = Tensor::<2>::zeros([rows, 1], &device);
    let weight = Tensor::<2>::zeros([columns, 1], &device);
    let bias = Tensor::<1>::zeros([columns], &device).require_grad();
    let factor = Tensor::<2>::from_data(TensorData::new(values.clone(), [rows, columns]), &device);
    let gradients = (linear(x, weight, Some(bias.clone())) * factor).sum().backward();
    let got = bias.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
    for (column, got) in got.iter().enumerate() {
        let want: f64 = values.iter().skip(column).step_by(columns).map(|&value| f64::from(value)).sum();
        assert!((f64::from(*got) - want).abs() < 1e-3, "{got}, not {want}");
    }
}

//! Softmax, cross entropy and normalised lines against their definitions in `f64`: values and every gradient, over shapes,
//! dimensions and layouts; and against Burn's own operations.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Int, Tensor, TensorData, Tolerance};
use ocelli_kernels::{
    CrossEntropy, Reduction, cross_entropy, l2_normalize, log_softmax, replace_in_rows, softmax,
};
use proptest::prelude::*;

/// Values that repeat with no short period, none of them 0.
fn values(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64).map(|i| ((i * 2_654_435_761 + seed * 97) % 1009) as f32 / 72.0 - 7.0031).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed), shape), device)
}

/// The values of [`tensor`], in memory with the first and last dimension swapped if asked.
fn laid_out(shape: [usize; 3], seed: u64, swapped: bool, device: &Device) -> Tensor<3> {
    let plain = tensor(shape, seed, device);
    if !swapped {
        return plain;
    }
    let turned = plain.swap_dims(0, 2).into_data().try_into_vec::<f32>().unwrap();
    let [a, b, c] = shape;
    Tensor::<3>::from_data(TensorData::new(turned, [c, b, a]), device).swap_dims(0, 2)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

fn close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = tolerance * expected.abs().max(1.0);
        assert!((got - expected).abs() <= allowed, "{what}[{i}]: {got}, expected {expected}");
    }
}

/// The lines of a tensor along a dimension: the places of their numbers.
fn lines(shape: [usize; 3], dim: usize) -> Vec<Vec<usize>> {
    let inner: usize = shape[dim + 1..].iter().product();
    let outer: usize = shape[..dim].iter().product();
    let line = |start: usize| (0..shape[dim]).map(|at| start + at * inner).collect();
    (0..outer * inner).map(|l| line(l / inner * inner * shape[dim] + l % inner)).collect()
}

type Operation = (&'static str, fn(Tensor<3>, usize) -> Tensor<3>, fn(&[f64]) -> Vec<f64>);

const OPERATIONS: [Operation; 4] = [
    ("softmax", softmax, |x| {
        let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    }),
    ("log_softmax", log_softmax, |x| {
        let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = x.iter().map(|x| (x - largest).exp()).sum();
        x.iter().map(|x| x - largest - sum.ln()).collect()
    }),
    (
        "l2_normalize",
        |x, dim| l2_normalize(x, dim, 0.0),
        |x| {
            let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            x.iter().map(|x| x / norm).collect()
        },
    ),
    (
        "floored l2_normalize",
        |x, dim| l2_normalize(x, dim, 20.0),
        |x| {
            let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt().max(20.0);
            x.iter().map(|x| x / norm).collect()
        },
    ),
];

/// The gradient of `Σ weights definition(x)` by central differences.
fn gradient(definition: fn(&[f64]) -> Vec<f64>, x: &[f64], weights: &[f64]) -> Vec<f64> {
    let objective = |x: &[f64]| definition(x).iter().zip(weights).map(|(y, w)| y * w).sum::<f64>();
    let slope = |at: usize| {
        let mut moved = x.to_vec();
        moved[at] += 1e-5;
        let above = objective(&moved);
        moved[at] -= 2e-5;
        (above - objective(&moved)) / 2e-5
    };
    (0..x.len()).map(slope).collect()
}

fn check(operation: Operation, shape: [usize; 3], dim: usize, swapped: bool) {
    let (name, run, definition) = operation;
    let device = Device::flex().autodiff();
    let x = laid_out(shape, 1, swapped, &device).require_grad();
    let weights = laid_out(shape, 9, swapped, &device);
    let output = run(x.clone(), dim);
    let tape = (output.clone() * weights.clone()).sum().backward();
    let alone = run(laid_out(shape, 1, swapped, &Device::flex()), dim);
    let (x_values, weights) = (numbers(x.clone()), numbers(weights));
    let (output, got) = (numbers(output), numbers(x.grad(&tape).unwrap()));
    close(name, &numbers(alone), &output, 0.0);
    for places in lines(shape, dim) {
        let pick = |values: &[f64]| places.iter().map(|&place| values[place]).collect::<Vec<_>>();
        let (x, weights) = (pick(&x_values), pick(&weights));
        close(name, &pick(&output), &definition(&x), 2e-6);
        close(&format!("{name} gradient"), &pick(&got), &gradient(definition, &x, &weights), 1e-4);
    }
}

/// Losses of all rows as PyTorch documents them.
fn losses(logits: &[f64], labels: &[i64], classes: usize, how: &CrossEntropy) -> Vec<f64> {
    let weight = |class: usize| how.weights.as_ref().map_or(1.0, |weights| f64::from(weights[class]));
    let rows = logits.chunks_exact(classes).zip(labels);
    let counted = |label: i64| how.ignore_index != Some(label);
    let total: f64 = match how.reduction {
        Reduction::Mean => {
            labels.iter().filter(|&&label| counted(label)).map(|&label| weight(label as usize)).sum()
        }
        _ => 1.0,
    };
    rows.map(|(row, &label)| {
        if !counted(label) {
            return 0.0;
        }
        let logarithms = OPERATIONS[1].2(row);
        let own = -logarithms[label as usize] * weight(label as usize);
        let even: f64 = logarithms.iter().enumerate().map(|(class, l)| -l * weight(class)).sum();
        let smoothing = how.label_smoothing;
        ((1.0 - smoothing) * own + smoothing / classes as f64 * even) / total
    })
    .collect()
}

fn check_cross_entropy([rows, classes]: [usize; 2], how: &CrossEntropy, scale: f64) {
    let device = Device::flex().autodiff();
    let logits = tensor([rows, classes], 1, &device).require_grad();
    let mut labels: Vec<i64> = (0..rows).map(|row| (row * 7 % classes) as i64).collect();
    if let Some(ignored) = how.ignore_index {
        labels.iter_mut().step_by(3).skip(1).for_each(|label| *label = ignored);
    }
    let label_tensor = || Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [rows]), &device);
    let loss = cross_entropy(logits.clone(), label_tensor(), how);
    let each = how.reduction == Reduction::None;
    let weights: Vec<f64> = if each { (0..rows).map(|row| 0.5 + row as f64).collect() } else { vec![scale] };
    let single = weights.iter().map(|&weight| weight as f32).collect();
    let factors = Tensor::<1>::from_data(TensorData::new(single, [weights.len()]), &device);
    let got = numbers(loss.clone());
    let tape = (loss * factors).sum().backward();
    let numbers_of_logits = numbers(logits.clone());
    let expected = losses(&numbers_of_logits, &labels, classes, how);
    let reduced = |losses: &[f64]| if each { losses.to_vec() } else { vec![losses.iter().sum()] };
    close("loss", &got, &reduced(&expected), 3e-6);
    let untracked = cross_entropy(tensor([rows, classes], 1, &Device::flex()), label_tensor(), how);
    close("untracked loss", &numbers(untracked), &got, 1e-6);
    let double = cross_entropy(logits.clone().without_autodiff().cast(DType::F64), label_tensor(), how);
    close("framework's loss", &double.into_data().iter::<f64>().collect::<Vec<_>>(), &got, 1e-5);

    let objective = |logits: &[f64]| {
        let losses = reduced(&losses(logits, &labels, classes, how));
        losses.iter().zip(&weights).map(|(loss, weight)| loss * weight).sum::<f64>()
    };
    let slope = |at: usize| {
        let mut moved = numbers_of_logits.clone();
        moved[at] += 1e-4;
        let above = objective(&moved);
        moved[at] -= 2e-4;
        (above - objective(&moved)) / 2e-4
    };
    let expected: Vec<f64> = (0..rows * classes).map(slope).collect();
    close("gradient", &numbers(logits.grad(&tape).unwrap()), &expected, 1e-5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn lines_match_their_definitions(
        operation in 0..OPERATIONS.len(),
        shape in [1..5_usize, 1..70_usize, 1..40_usize],
        dim in 0..3_usize,
        swapped in any::<bool>(),
    ) {
        check(OPERATIONS[operation], shape, dim, swapped);
    }

    #[test]
    fn cross_entropy_matches_its_definition(
        rows in 1..8_usize,
        classes in 1..80_usize,
        smoothed in any::<bool>(),
        weighted in any::<bool>(),
        ignored in any::<bool>(),
        reduction in prop_oneof![Just(Reduction::Mean), Just(Reduction::Sum), Just(Reduction::None)],
        scale in prop_oneof![Just(1.0), Just(0.5)],
    ) {
        let weights = (0..classes).map(|class| 0.5 + (class * 5 % 7) as f32).collect();
        let how = CrossEntropy {
            label_smoothing: if smoothed { 0.1 } else { 0.0 },
            reduction,
            ignore_index: ignored.then_some(-100),
            weights: weighted.then_some(weights),
        };
        check_cross_entropy([rows, classes], &how, scale);
    }
}

#[test]
fn one_number_a_row_is_replaced() {
    let device = Device::flex().autodiff();
    let columns = Tensor::<1, Int>::from_ints([2, 0, 1], &device);
    let weights = tensor([3, 4], 9, &device);
    let run = |x: Tensor<2>, values: Tensor<2>| {
        let output = replace_in_rows(x.clone(), columns.clone(), values.clone());
        let weights = weights.clone().cast(x.dtype());
        let tape = (output.clone() * weights).sum().backward();
        [output, x.grad(&tape).unwrap(), values.grad(&tape).unwrap()].map(|tensor| tensor.cast(DType::F32))
    };
    let leaf = |shape, seed, dtype| tensor(shape, seed, &device).cast(dtype).detach().require_grad();
    let [output, x, values] = run(leaf([3, 4], 1, DType::F32), leaf([3, 1], 2, DType::F32)).map(numbers);
    let (plain, put) = (numbers(tensor([3, 4], 1, &device)), numbers(tensor([3, 1], 2, &device)));
    for (at, (got, plain)) in output.iter().zip(plain).enumerate() {
        let row = at / 4;
        assert_eq!(*got, if at % 4 == [2, 0, 1][row] { put[row] } else { plain });
    }
    let double = run(leaf([3, 4], 1, DType::F64), leaf([3, 1], 2, DType::F64)).map(numbers);
    assert_eq!([output, x, values], double);
}

#[test]
fn many_pieces_match_too() {
    for operation in OPERATIONS {
        check(operation, [3, 200, 7], 1, false);
        check(operation, [300, 40, 3], 0, false);
        check(operation, [700, 1, 65], 2, true);
    }
}

#[test]
fn empty_tensors_stay_empty() {
    let device = Device::flex().autodiff();
    for (_, run, _) in OPERATIONS {
        for shape in [[0, 3, 4], [2, 0, 4], [2, 3, 0]] {
            for dim in 0..3 {
                assert_eq!(run(Tensor::zeros(shape, &device), dim).dims(), shape);
            }
        }
    }
}

#[test]
fn masked_numbers_have_no_share() {
    let device = Device::flex();
    let x = Tensor::<1>::from_floats([1.0, f32::NEG_INFINITY, 1.0], &device);
    assert_eq!(numbers(softmax(x, 0)), [0.5, 0.0, 0.5]);
    let nan = Tensor::<1>::from_floats([1.0, f32::NAN, 1.0], &device);
    assert!(numbers(softmax(nan, 0)).iter().all(|share| share.is_nan()));
}

#[test]
fn large_logits_do_not_overflow() {
    let device = Device::flex().autodiff();
    let logits = Tensor::<2>::from_floats([[1e4, -1e4, 0.0]], &device).require_grad();
    let labels = Tensor::<1, Int>::from_ints([1], &device);
    let loss = cross_entropy(logits.clone(), labels, &CrossEntropy::default());
    assert_eq!(numbers(loss.clone()), [2e4]);
    assert_eq!(numbers(logits.grad(&loss.backward()).unwrap()), [1.0, -1.0, 0.0]);
}

#[test]
fn the_mean_over_nothing_is_no_number() {
    let device = Device::flex();
    let how = CrossEntropy { ignore_index: Some(2), ..CrossEntropy::default() };
    let labels = Tensor::<1, Int>::from_ints([2, 2], &device);
    assert!(numbers(cross_entropy(Tensor::ones([2, 3], &device), labels, &how))[0].is_nan());
}

#[test]
fn floored_zeros_stay_zero() {
    let device = Device::flex().autodiff();
    let x = Tensor::<2>::zeros([2, 3], &device).require_grad();
    let output = l2_normalize(x.clone(), 1, 1e-3);
    assert_eq!(numbers(output.clone()), [0.0; 6]);
    close("gradient", &numbers(x.grad(&output.sum().backward()).unwrap()), &[1e3; 6], 1e-6);
    assert!(numbers(l2_normalize(x, 1, 0.0)).iter().all(|value| value.is_nan()));
}

#[test]
fn tensors_that_others_hold_are_left_alone() {
    let device = Device::flex().autodiff();
    let x = tensor([4, 700], 1, &device).require_grad();
    // The product keeps both of its operands, and so must the softmax.
    let y = x.clone().mul_scalar(0.5);
    let kept = y.clone() * y.clone();
    let shares = softmax(y, 1);
    let output = (shares.clone() * kept).sum() + shares.square().sum();
    let got = numbers(x.grad(&output.backward()).unwrap());
    let reference = x.clone().without_autodiff().autodiff().require_grad();
    let y = reference.clone().mul_scalar(0.5);
    let shares = burn::tensor::activation::softmax(y.clone(), 1);
    let output = (shares.clone() * y.square()).sum() + shares.square().sum();
    close("gradient", &got, &numbers(reference.grad(&output.backward()).unwrap()), 1e-5);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let device = Device::flex().autodiff();
            let x = tensor([90, 1500], 1, &device).require_grad();
            let labels = Tensor::<1, Int>::from_data(TensorData::new(vec![3i64; 90], [90]), &device);
            let columns = l2_normalize(x.clone(), 0, 0.0);
            let loss = cross_entropy(softmax(columns, 1), labels, &CrossEntropy::default());
            (loss.clone().into_data(), x.grad(&loss.backward()).unwrap().into_data())
        })
    };
    let (loss, x) = run(1);
    for threads in [2, 5] {
        let (other_loss, other_x) = run(threads);
        assert!(loss.as_bytes() == other_loss.as_bytes() && x.as_bytes() == other_x.as_bytes());
    }
}

#[test]
fn other_number_types_take_the_frameworks_path() {
    let device = Device::flex();
    let x = tensor([5, 6, 7], 1, &device);
    for (name, run, _) in OPERATIONS {
        let double = run(x.clone().cast(DType::F64), 1).into_data();
        assert_eq!(double.dtype(), DType::F64, "{name}");
        let single = run(x.clone(), 1).into_data();
        double.convert::<f32>().assert_approx_eq::<f32>(&single, Tolerance::absolute(1e-5));
    }
}

#[test]
#[should_panic(expected = "label 3 of row 1 is none of 3 classes")]
fn labels_must_name_classes() {
    let device = Device::flex();
    let labels = Tensor::<1, Int>::from_ints([0, 3], &device);
    cross_entropy(Tensor::zeros([2, 3], &device), labels, &CrossEntropy::default());
}

#[test]
#[should_panic(expected = "3 labels for 2 rows of logits")]
fn a_label_a_row_is_demanded() {
    let device = Device::flex();
    let labels = Tensor::<1, Int>::from_ints([0, 1, 2], &device);
    cross_entropy(Tensor::zeros([2, 3], &device), labels, &CrossEntropy::default());
}

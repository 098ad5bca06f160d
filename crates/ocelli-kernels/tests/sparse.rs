//! The sparse product against its definition in `f64`: forward and gradient, over shapes and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData, Tolerance};
use ocelli_kernels::{SparseMatrix, sparse_product};
use proptest::prelude::*;

fn values(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64).map(|i| ((i * 2_654_435_761 + seed * 97) % 1009) as f32 / 250.0 - 2.0).collect()
}

fn tensor(shape: [usize; 3], seed: u64, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed), shape), device)
}

fn numbers(tensor: Tensor<3>) -> Vec<f64> {
    tensor.into_data().convert::<f32>().try_into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// Rows of up to `fill` entries.
fn matrix(rows: usize, columns: usize, fill: usize) -> SparseMatrix {
    let row = |r: usize| {
        (0..(r * 7 + 3) % (fill + 1)).map(move |e| ((r * 31 + e * 17) % columns, (e as f32 - 1.5) * 0.5))
    };
    SparseMatrix::from_rows(columns, (0..rows).map(row)).unwrap()
}

fn check(matrix: &SparseMatrix, [batch, width]: [usize; 2], swapped: bool) {
    let device = Device::flex().autodiff();
    let [rows, columns] = matrix.dims();
    let x = match swapped {
        false => tensor([batch, columns, width], 1, &device),
        true => tensor([batch, width, columns], 1, &device).swap_dims(1, 2),
    };
    let x = x.require_grad();
    let weights = tensor([batch, rows, width], 5, &device);
    let output = sparse_product(matrix, x.clone());
    let tape = (output.clone() * weights.clone()).sum().backward();
    let (x_values, weights) = (numbers(x.clone()), numbers(weights));
    let (mut want, mut gradient) = (vec![0.0; batch * rows * width], vec![0.0; batch * columns * width]);
    for b in 0..batch {
        for r in 0..rows {
            for (k, v) in matrix.row(r) {
                for o in 0..width {
                    want[(b * rows + r) * width + o] +=
                        f64::from(v) * x_values[(b * columns + k) * width + o];
                    gradient[(b * columns + k) * width + o] +=
                        f64::from(v) * weights[(b * rows + r) * width + o];
                }
            }
        }
    }
    let close = |got: Vec<f64>, want: &[f64]| {
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() <= 1e-4 * w.abs().max(1.0)));
    };
    close(numbers(output), &want);
    close(numbers(x.grad(&tape).unwrap()), &gradient);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_product_matches_its_definition(
        batch in 0..3_usize,
        rows in 0..40_usize,
        columns in 1..30_usize,
        width in 1..150_usize,
        fill in 0..20_usize,
        swapped in any::<bool>(),
    ) {
        check(&matrix(rows, columns, fill), [batch, width], swapped);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let device = Device::flex().autodiff();
            let x = tensor([2, 300, 130], 1, &device).require_grad();
            let output = sparse_product(&matrix(700, 300, 30), x.clone());
            let tape = output.clone().square().sum().backward();
            (output.into_data(), x.grad(&tape).unwrap().into_data())
        })
    };
    let (output, gradient) = run(1);
    for threads in [2, 5] {
        let (other, other_gradient) = run(threads);
        assert!(output.as_bytes() == other.as_bytes() && gradient.as_bytes() == other_gradient.as_bytes());
    }
}

#[test]
fn constants_need_no_recording_and_other_number_types_take_a_dense_product() {
    let device = Device::flex();
    let (matrix, x) = (matrix(20, 9, 5), tensor([2, 9, 70], 1, &device));
    let output = sparse_product(&matrix, x.clone());
    assert!(!output.is_autodiff());
    let double = sparse_product(&matrix, x.cast(DType::F64)).into_data();
    assert_eq!(double.dtype(), DType::F64);
    double.convert::<f32>().assert_approx_eq::<f32>(&output.into_data(), Tolerance::absolute(1e-4));
}

#[test]
#[should_panic(expected = "5 rows for a matrix of 9 columns")]
fn rows_and_columns_must_fit() {
    sparse_product(&matrix(3, 9, 2), tensor([1, 5, 4], 1, &Device::flex()));
}

//! PReLU and batch normalisation against Burn's own operations: forward and every gradient, over shapes and layouts.

use burn::tensor::{Device, Tensor, TensorData};
use ocelli_kernels::{batch_norm, prelu};
use proptest::prelude::*;

/// Values that repeat with no short period, some of them exactly 0.
fn values(n: usize, seed: u64) -> Vec<f32> {
    let value = |i: u64| ((i * 2654435761 + seed * 97) % 1009) as f32 / 250.0 - 2.0;
    (0..n as u64).map(|i| if i % 13 == 5 { 0.0 } else { value(i) }).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let n = shape.iter().product();
    Tensor::from_data(TensorData::new(values(n, seed), shape), &Device::flex())
}

/// A leaf `[B, C, H, W]`, seen as it is or with height and width swapped in memory.
fn input(shape: [usize; 4], swapped: bool) -> (Tensor<4>, Tensor<4>) {
    let [b, c, h, w] = shape;
    let leaf = if swapped { tensor([b, c, w, h], 1) } else { tensor(shape, 1) }.autodiff().require_grad();
    let seen = if swapped { leaf.clone().swap_dims(2, 3) } else { leaf.clone() };
    (leaf, seen)
}

fn close<const D: usize>(got: Tensor<D>, want: Tensor<D>, what: &str) {
    let numbers = |t: Tensor<D>| t.into_data().try_into_vec::<f32>().unwrap();
    for (i, (g, w)) in numbers(got).iter().zip(numbers(want)).enumerate() {
        assert!((g - w).abs() <= 2e-4 * (1.0 + w.abs()), "{what}[{i}]: {g} against {w}");
    }
}

/// Gradients of `sum(weights · y)` with respect to the leaves.
fn gradients(y: Tensor<4>, x: &Tensor<4>, parameters: &[&Tensor<1>]) -> (Tensor<4>, Vec<Tensor<1>>) {
    let weights = tensor(y.dims(), 9);
    let tape = (y * weights).sum().backward();
    let parameters = parameters.iter().map(|p| p.grad(&tape).unwrap()).collect();
    (x.grad(&tape).unwrap(), parameters)
}

fn check_prelu(shape: [usize; 4], swapped: bool) {
    let run = |ours: bool| {
        let (leaf, x) = input(shape, swapped);
        let slope = tensor([shape[1]], 3).autodiff().require_grad();
        let y = match ours {
            true => prelu(x, slope.clone()),
            false => burn::tensor::activation::prelu(x, slope.clone()),
        };
        let (dx, rest) = gradients(y.clone(), &leaf, &[&slope]);
        (y.inner(), dx, rest)
    };
    let ((y, dx, da), (y0, dx0, da0)) = (run(true), run(false));
    close(y, y0, "output");
    close(dx, dx0, "input gradient");
    close(da[0].clone(), da0[0].clone(), "slope gradient");
}

fn check_norm(shape: [usize; 4], swapped: bool) {
    let run = |ours: bool| {
        let (leaf, x) = input(shape, swapped);
        let [gamma, beta] = [4, 5].map(|seed| tensor([shape[1]], seed).autodiff().require_grad());
        let (y, mean, variance) = match ours {
            true => {
                let r = batch_norm(x, gamma.clone(), beta.clone(), 1e-5);
                (r.output, r.mean, r.variance)
            }
            false => {
                let r = burn::tensor::module::batch_norm_train(x, gamma.clone(), beta.clone(), 1e-5);
                (r.output, r.mean, r.variance)
            }
        };
        let (dx, rest) = gradients(y.clone(), &leaf, &[&gamma, &beta]);
        (y.inner(), [mean.inner(), variance.inner()], dx, rest)
    };
    let ((y, moments, dx, rest), (y0, moments0, dx0, rest0)) = (run(true), run(false));
    close(y, y0, "output");
    for (m, m0) in moments.into_iter().zip(moments0) {
        close(m, m0, "moments");
    }
    close(dx, dx0, "input gradient");
    for (r, r0) in rest.into_iter().zip(rest0) {
        close(r, r0, "affine gradient");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn prelu_equals_the_plain_one(
        b in 1usize..5, c in 1usize..9, h in 1usize..12, w in 1usize..12, swapped in any::<bool>()
    ) {
        check_prelu([b, c, h, w], swapped);
    }

    #[test]
    fn normalisation_equals_the_plain_one(
        b in 2usize..6, c in 1usize..9, h in 1usize..12, w in 1usize..12, swapped in any::<bool>()
    ) {
        check_norm([b, c, h, w], swapped);
    }
}

#[test]
fn constants_need_no_recording() {
    let x = tensor([2, 3, 4, 4], 1);
    let y = prelu(x.clone(), tensor([3], 2));
    assert!(!y.is_autodiff());
    let r = batch_norm(x, tensor([3], 2), tensor([3], 3), 1e-5);
    assert!(!r.output.is_autodiff() && !r.mean.is_autodiff());
}

#[test]
fn large_means_cost_no_precision() {
    let x = tensor([4, 1, 8, 8], 1).mul_scalar(0.01).add_scalar(1000.0);
    let r = batch_norm(
        x.clone(),
        tensor([1], 2).mul_scalar(0.0).add_scalar(1.0),
        tensor([1], 3).mul_scalar(0.0),
        0.0,
    );
    let spread = x.clone().sub_scalar(1000.0).flatten::<1>(0, 3).var_bias(0).into_scalar::<f32>();
    let got = r.variance.into_scalar::<f32>();
    assert!((got / spread - 1.0).abs() < 2e-2, "{got} against {spread}");
}

//! Convolutions by their definition, and how the crate's are compared with them.

use burn::tensor::{Device, Tensor, TensorData};
use ocelli_kernels::{
    ConvOptions, TransposeOptions, conv_transpose1d, conv_transpose2d, conv_transpose3d, conv1d, conv2d,
    conv3d,
};

/// The convolution by its definition, in `f64`: output, and the gradients of input, weight and bias.
pub(crate) struct Twin {
    pub(crate) output: Vec<f64>,
    pub(crate) input_gradient: Vec<f64>,
    pub(crate) weight_gradient: Vec<f64>,
    pub(crate) bias_gradient: Vec<f64>,
}

/// A convolution, or a transposed one, with up to three spatial axes; those that a tensor lacks have one pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) rank: usize,
    pub(crate) transposed: bool,
    pub(crate) batch: usize,
    /// Channels of a group on the side of the many pixels: the input of a convolution.
    pub(crate) group_in: usize,
    /// Channels of a group on the side of the filters.
    pub(crate) group_out: usize,
    /// Of the argument.
    pub(crate) size: [usize; 3],
    pub(crate) kernel: [usize; 3],
    pub(crate) options: ConvOptions<3>,
    pub(crate) output_padding: [usize; 3],
    pub(crate) layout: Layout,
    pub(crate) seed: u64,
}

/// How the input tensor lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    Contiguous,
    Swapped,
    Sliced,
}

impl Case {
    /// Sides of the many pixels and of the few: input and output of a convolution, the other way round if transposed.
    pub(crate) fn sides(&self) -> [Vec<usize>; 2] {
        let ConvOptions { stride, padding, dilation, groups } = self.options;
        let reach = |axis: usize| dilation[axis] * (self.kernel[axis] - 1) + 1;
        let other = std::array::from_fn(|axis| match self.transposed {
            false => (self.size[axis] + 2 * padding[axis] - reach(axis)) / stride[axis] + 1,
            true => {
                (self.size[axis] - 1) * stride[axis] + reach(axis) + self.output_padding[axis]
                    - 2 * padding[axis]
            }
        });
        let [many, few] = if self.transposed { [other, self.size] } else { [self.size, other] };
        let shape =
            |channels: usize, size: [usize; 3]| [&[self.batch, channels * groups], &size[..]].concat();
        [shape(self.group_in, many), shape(self.group_out, few)]
    }

    /// Shapes of argument, weight and result, over three axes.
    pub(crate) fn shapes(&self) -> [Vec<usize>; 3] {
        let [many, few] = self.sides();
        let weight = [&[few[1], self.group_in], &self.kernel[..]].concat();
        if self.transposed { [few, weight, many] } else { [many, weight, few] }
    }

    /// [`Case::shapes`] of a case of pictures.
    pub(crate) fn shapes_of_pictures(&self) -> [[usize; 4]; 3] {
        self.shapes().map(|shape| self.lowered(&shape).try_into().unwrap())
    }

    /// A shape without the axes that the tensors lack.
    pub(crate) fn lowered(&self, shape: &[usize]) -> Vec<usize> {
        [&shape[..2], &shape[5 - self.rank..]].concat()
    }

    /// Values of x, weight, bias and the output's gradient.
    pub(crate) fn numbers(&self) -> [Vec<f32>; 4] {
        let [x, weight, out] = self.shapes();
        [
            numbers(self.seed, &x),
            numbers(self.seed + 1, &weight),
            numbers(self.seed + 2, &out[1..2]),
            numbers(self.seed + 3, &out),
        ]
    }

    pub(crate) fn products(&self) -> usize {
        let [_, few] = self.sides();
        few.iter().product::<usize>() * self.group_in * self.kernel.iter().product::<usize>()
    }

    pub(crate) fn fits(&self) -> bool {
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        (0..3).all(|axis| {
            let reach = dilation[axis] * (self.kernel[axis] - 1) + 1;
            match self.transposed {
                false => reach <= self.size[axis] + 2 * padding[axis],
                true => {
                    let (len, extra) = (self.size[axis], self.output_padding[axis]);
                    len > 0
                        && extra < stride[axis].max(dilation[axis])
                        && (len - 1) * stride[axis] + reach + extra > 2 * padding[axis]
                }
            }
        })
    }

    /// Calls `visit` with the places of every product: among the many pixels, the weights and the few pixels.
    pub(crate) fn for_each_product(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let [many, few] = self.sides();
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        let area: usize = self.kernel.iter().product();
        let coordinates = |index: usize, size: &[usize]| {
            [index / size[2] / size[1], index / size[2] % size[1], index % size[2]]
        };
        let (many_plane, few_plane) =
            (many[2..].iter().product::<usize>(), few[2..].iter().product::<usize>());
        for position in 0..few_plane {
            for tap in 0..area {
                let (at, k) = (coordinates(position, &few[2..]), coordinates(tap, &self.kernel));
                let pixel: [usize; 3] = std::array::from_fn(|axis| {
                    (at[axis] * stride[axis] + k[axis] * dilation[axis]).wrapping_sub(padding[axis])
                });
                if pixel.iter().zip(&many[2..]).any(|(pixel, len)| pixel >= len) {
                    continue;
                }
                let pixel = (pixel[0] * many[3] + pixel[1]) * many[4] + pixel[2];
                for image in 0..self.batch {
                    for filter in 0..few[1] {
                        for c in 0..self.group_in {
                            let channel = filter / self.group_out * self.group_in + c;
                            visit(
                                (image * many[1] + channel) * many_plane + pixel,
                                (filter * self.group_in + c) * area + tap,
                                (image * few[1] + filter) * few_plane + position,
                            );
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn twin(&self, x: &[f32], weight: &[f32], bias: &[f32], gradient: &[f32]) -> Twin {
        let [.., out] = self.shapes();
        let plane: usize = out[2..].iter().product();
        let mut twin = Twin {
            output: (0..gradient.len()).map(|i| f64::from(bias[i / plane % bias.len()])).collect(),
            input_gradient: vec![0.0; x.len()],
            weight_gradient: vec![0.0; weight.len()],
            bias_gradient: vec![0.0; bias.len()],
        };
        for (i, &g) in gradient.iter().enumerate() {
            twin.bias_gradient[i / plane % bias.len()] += f64::from(g);
        }
        self.for_each_product(|many, w, few| {
            let (from, to) = if self.transposed { (few, many) } else { (many, few) };
            let g = f64::from(gradient[to]);
            twin.output[to] += f64::from(weight[w]) * f64::from(x[from]);
            twin.input_gradient[from] += f64::from(weight[w]) * g;
            twin.weight_gradient[w] += f64::from(x[from]) * g;
        });
        twin
    }

    /// The operation on tensors.
    pub(crate) fn apply<const D: usize>(
        &self,
        x: Tensor<D>,
        weight: Tensor<D>,
        bias: Option<Tensor<1>>,
    ) -> Tensor<D> {
        let [x, weight] = [x, weight].map(Tensor::into_dispatch);
        let y = match self.rank {
            1 => self.apply1(Tensor::from_dispatch(x), Tensor::from_dispatch(weight), bias).into_dispatch(),
            2 => self.apply2(Tensor::from_dispatch(x), Tensor::from_dispatch(weight), bias).into_dispatch(),
            _ => self.apply3(Tensor::from_dispatch(x), Tensor::from_dispatch(weight), bias).into_dispatch(),
        };
        Tensor::from_dispatch(y)
    }

    pub(crate) fn options<const N: usize>(&self) -> (ConvOptions<N>, TransposeOptions<N>) {
        let last = |values: [usize; 3]| values[3 - N..].try_into().unwrap();
        let ConvOptions { stride, padding, dilation, groups } = self.options;
        let [stride, padding, dilation] = [stride, padding, dilation].map(last);
        let output_padding = last(self.output_padding);
        (
            ConvOptions { stride, padding, dilation, groups },
            TransposeOptions { stride, padding, output_padding, dilation, groups },
        )
    }

    pub(crate) fn apply1(&self, x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>) -> Tensor<3> {
        let (plain, transposed) = self.options();
        match self.transposed {
            false => conv1d(x, weight, bias, plain),
            true => conv_transpose1d(x, weight, bias, transposed),
        }
    }

    pub(crate) fn apply2(&self, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let (plain, transposed) = self.options();
        match self.transposed {
            false => conv2d(x, weight, bias, plain),
            true => conv_transpose2d(x, weight, bias, transposed),
        }
    }

    pub(crate) fn apply3(&self, x: Tensor<5>, weight: Tensor<5>, bias: Option<Tensor<1>>) -> Tensor<5> {
        let (plain, transposed) = self.options();
        match self.transposed {
            false => conv3d(x, weight, bias, plain),
            true => conv_transpose3d(x, weight, bias, transposed),
        }
    }
}

pub(crate) fn numbers(seed: u64, shape: &[usize]) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..shape.iter().product::<usize>())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

pub(crate) fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// A tensor of these values whose memory is laid out as asked.
pub(crate) fn laid_out<const D: usize>(
    values: &[f32],
    shape: &[usize],
    layout: Layout,
    device: &Device,
) -> Tensor<D> {
    let shape: [usize; D] = shape.try_into().unwrap();
    let plain = tensor(values, shape, device);
    match layout {
        Layout::Contiguous => plain,
        Layout::Swapped => {
            let mut turned = shape;
            turned.swap(1, D - 1);
            let swapped = plain.swap_dims(1, D - 1).into_data().try_to_vec::<f32>().unwrap();
            tensor(&swapped, turned, device).swap_dims(1, D - 1)
        }
        Layout::Sliced => {
            let wide = std::array::from_fn(|axis| shape[axis] + axis.min(3));
            let region: [_; D] = std::array::from_fn(|axis| axis.min(2)..axis.min(2) + shape[axis]);
            let noise = tensor(&numbers(99, &wide), wide, device);
            noise.slice_assign(region.clone(), plain).slice(region)
        }
    }
}

pub(crate) fn assert_close(what: &str, got: TensorData, expected: &[f64], terms: usize) {
    let got = got.try_to_vec::<f32>().unwrap();
    assert_eq!(got.len(), expected.len(), "{what}");
    // Every term is at most one, so rounding errors grow with the square root of their number.
    let tolerance = 3e-6 * (terms as f64).sqrt() + 1e-6;
    for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(error <= tolerance, "{what}[{index}]: {got}, expected {expected}, tolerance {tolerance}");
    }
}

/// Output and gradients of input, weight and bias.
pub(crate) fn run(case: Case) -> [TensorData; 4] {
    match case.rank {
        1 => run_with::<3>(case),
        2 => run_with::<4>(case),
        _ => run_with::<5>(case),
    }
}

pub(crate) fn run_with<const D: usize>(case: Case) -> [TensorData; 4] {
    let device = Device::flex().autodiff();
    let [x, weight, bias, gradient] = case.numbers();
    let [x_shape, weight_shape, out_shape] = case.shapes().map(|shape| case.lowered(&shape));
    let x = laid_out::<D>(&x, &x_shape, case.layout, &device).require_grad();
    let weight = laid_out::<D>(&weight, &weight_shape, case.layout, &device).require_grad();
    let bias = tensor(&bias, [bias.len()], &device).require_grad();
    let output = case.apply(x.clone(), weight.clone(), Some(bias.clone()));
    assert_eq!(output.dims()[..], out_shape);
    // Addition hands its gradient on as it came, in whatever layout; the product makes that the given one.
    let gradient = laid_out(&gradient, &out_shape, case.layout, &device);
    let gradients = (output.clone() * gradient).sum().backward();
    [
        output.into_data(),
        x.grad(&gradients).unwrap().into_data(),
        weight.grad(&gradients).unwrap().into_data(),
        bias.grad(&gradients).unwrap().into_data(),
    ]
}

pub(crate) fn check(case: Case) {
    let [x, weight, bias, gradient] = case.numbers();
    let twin = case.twin(&x, &weight, &bias, &gradient);
    let [output, input_gradient, weight_gradient, bias_gradient] = run(case);
    let [.., out] = case.shapes();
    let area: usize = case.kernel.iter().product();
    let terms = [case.group_in * area + 1, case.group_out * area + 1];
    let [output_terms, input_terms] = if case.transposed { [terms[1], terms[0]] } else { terms };
    let [_, few] = case.sides();
    let positions = |shape: &[usize]| shape[0] * shape[2..].iter().product::<usize>();
    assert_close("output", output, &twin.output, output_terms);
    assert_close("input gradient", input_gradient, &twin.input_gradient, input_terms);
    assert_close("weight gradient", weight_gradient, &twin.weight_gradient, positions(&few));
    assert_close("bias gradient", bias_gradient, &twin.bias_gradient, positions(&out));
}

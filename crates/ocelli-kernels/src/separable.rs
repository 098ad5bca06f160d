//! Linear maps that work axis by axis on every plane, with their gradients: averaging and interpolation.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use crate::backend::{Numbers, is_served};
use crate::band::{Band, Regular};
use crate::memory::{tensor, uninit, with_scratch};
use crate::pieces::filled_in_runs;
use crate::planes::Planes;
use ocelli_simd::vectorized;

/// The maps of the axes of a plane, forth and back.
#[derive(Clone, Debug)]
pub(crate) struct Axes {
    maps: Arc<Maps>,
}

#[derive(Debug)]
struct Maps {
    /// Extents of a plane before and after.
    extents: [Vec<usize>; 2],
    forward: Vec<Band>,
    backward: Vec<Band>,
}

impl Axes {
    /// From the map of each axis, the outermost first.
    pub(crate) fn new(bands: Vec<Band>) -> Self {
        let extents = [Band::inputs, Band::outputs].map(|extent| bands.iter().map(extent).collect());
        let mut forward: Vec<Band> = Vec::new();
        for band in bands {
            let joined = forward.last().and_then(|outer| outer.joined(&band));
            if let Some(joined) = joined {
                forward.pop();
                forward.push(joined);
            } else {
                forward.push(band);
            }
        }
        let backward = forward.iter().map(Band::transposed).collect();
        Self { maps: Arc::new(Maps { extents, forward, backward }) }
    }
}

/// Maps every plane of `x` `[B, C, ...]`. On the CPU, 32-bit tensors take this module's kernel, every other device or
/// number type products with dense matrices.
pub(crate) fn map_planes<const D: usize>(x: Tensor<D>, axes: &Axes) -> Tensor<D> {
    debug_assert_eq!(x.dims()[2..], axes.maps.extents[0]);
    if is_served(&x) {
        return Tensor::from_dispatch(Dispatch::map_axes(x.into_dispatch(), axes.clone()));
    }
    dense(x, axes)
}

/// The same by matrices, one an axis.
fn dense<const D: usize>(x: Tensor<D>, axes: &Axes) -> Tensor<D> {
    let (mut dims, device) = (x.dims(), x.device().without_autodiff());
    let dtype = x.dtype();
    let [inputs, outputs] = &axes.maps.extents;
    // Joined axes are one here as well: planes are seen as the maps have them.
    let mut extents: Vec<usize> = axes.maps.forward.iter().map(Band::inputs).collect();
    let planes: usize = dims[..2].iter().product();
    debug_assert_eq!(inputs.iter().product::<usize>(), extents.iter().product::<usize>());
    let mut flat = x.reshape([planes * inputs.iter().product::<usize>()]);
    for (axis, band) in axes.maps.forward.iter().enumerate() {
        let outer = planes * extents[..axis].iter().product::<usize>();
        let inner = extents[axis + 1..].iter().product::<usize>();
        let matrix = burn::tensor::TensorData::new(band_matrix(band), [1, band.outputs(), band.inputs()]);
        let matrix: Tensor<3> = Tensor::from_data(matrix, (&device, dtype));
        let rows = flat.reshape([outer, band.inputs(), inner]);
        let mapped = matrix.expand([outer, band.outputs(), band.inputs()]).matmul(rows);
        flat = mapped.reshape([outer * band.outputs() * inner]);
        extents[axis] = band.outputs();
    }
    dims[2..].copy_from_slice(outputs);
    flat.reshape(dims)
}

/// All elements, a row an output.
fn band_matrix(band: &Band) -> Vec<f32> {
    let mut matrix = vec![0.0; band.outputs() * band.inputs()];
    for (output, row) in matrix.chunks_exact_mut(band.inputs().max(1)).enumerate() {
        let (first, weights) = band.row(output);
        row[first..first + weights.len()].copy_from_slice(weights);
    }
    matrix
}

/// A backend with [`map_planes`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait SeparableBackend: Backend {
    fn map_axes(x: FloatTensor<Self>, axes: Axes) -> FloatTensor<Self>;
}

/// [`SeparableBackend`] with its gradient, on a backend that does not record.
pub(crate) trait SeparableKernels: SeparableBackend {
    /// Gradient of the input.
    fn gradient(output_gradient: FloatTensor<Self>, axes: Axes) -> FloatTensor<Self>;
}

impl SeparableBackend for Flex {
    fn map_axes(x: FloatTensor<Self>, axes: Axes) -> FloatTensor<Self> {
        apply(x, &axes.maps.forward, &axes.maps.extents[1])
    }
}

impl SeparableKernels for Flex {
    fn gradient(output_gradient: FloatTensor<Self>, axes: Axes) -> FloatTensor<Self> {
        apply(output_gradient, &axes.maps.backward, &axes.maps.extents[0])
    }
}

impl<B: SeparableKernels, C: CheckpointStrategy> SeparableBackend for Autodiff<B, C> {
    fn map_axes(x: FloatTensor<Self>, axes: Axes) -> FloatTensor<Self> {
        let prepared = SeparableStep.prepare::<C>([x.node()]);
        let output = B::map_axes(x.primitive().clone(), axes.clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(axes, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step: the transposed maps.
#[derive(Debug)]
struct SeparableStep;

impl<B: SeparableKernels> Backward<B, 1> for SeparableStep {
    type State = Axes;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::gradient(output_gradient, ops.state));
        }
    }
}

/// Maps every plane of `x`; its planes then have the extents `after`.
#[allow(unsafe_code)] // the output is not zeroed first
fn apply(x: FlexTensor, bands: &[Band], after: &[usize]) -> FlexTensor {
    let mut shape: Vec<usize> = x.shape().iter().copied().collect();
    shape.truncate(2);
    shape.extend_from_slice(after);
    let steps = Steps::new(bands);
    if steps.passes.is_empty() {
        return x;
    }
    let (source, target) = (Planes::of(&x.shape()), Planes::of(&Shape::from(shape.clone())));
    let x = Numbers::of(x);
    if let Some((size, weight)) = steps.whole() {
        let fill = |range: Range<usize>, output: &mut [MaybeUninit<f32>]| {
            row_sums(&x[range.start * size..range.end * size], size, weight, output);
        };
        // SAFETY: `row_sums` writes every number.
        return tensor(
            unsafe { filled_in_runs(target.channels * target.per_channel(), [size, 1], fill) },
            shape,
        );
    }
    if let Some(weights) = steps.spread().filter(|_| source.size == 1) {
        let fill = |planes: Range<usize>, output: &mut [MaybeUninit<f32>]| outer(&x[planes], weights, output);
        // SAFETY: `outer` writes every number.
        return tensor(unsafe { filled_in_runs(x.len(), [1, target.size], fill) }, shape);
    }
    let fill = |index: usize, output: &mut [MaybeUninit<f32>]| steps.run(source.get(&x, index), output);
    // SAFETY: the last pass writes every number.
    let (output, _) = unsafe { target.filled_by_plane(fill) };
    tensor(output, shape)
}

/// One axis at a time, from one piece of memory to the next.
struct Steps<'a> {
    passes: Vec<Pass<'a>>,
    /// Numbers of the largest plane in between.
    between: usize,
}

/// Maps `[outer, inputs, inner]` to `[outer, outputs, inner]`.
struct Pass<'a> {
    band: &'a Band,
    inner: usize,
}

impl<'a> Steps<'a> {
    /// Shrinking axes come first and stretching ones last, so that little lies in between. Of axes alike, the innermost,
    /// whose numbers are picked one by one, comes where there are fewest.
    fn new(bands: &'a [Band]) -> Self {
        let mut extents: Vec<usize> = bands.iter().map(Band::inputs).collect();
        let mut order: Vec<usize> = (0..bands.len()).filter(|&axis| !bands[axis].is_identity()).collect();
        let growth = |axis: &usize| bands[*axis].outputs() as f64 / bands[*axis].inputs().max(1) as f64;
        order.sort_by(|a, b| {
            let by_place = if growth(a) < 1.0 { a.cmp(b) } else { b.cmp(a) };
            growth(a).total_cmp(&growth(b)).then(by_place)
        });
        let (mut passes, mut between) = (Vec::new(), 0);
        for (place, &axis) in order.iter().enumerate() {
            let inner = extents[axis + 1..].iter().product();
            extents[axis] = bands[axis].outputs();
            passes.push(Pass { band: &bands[axis], inner });
            if place + 1 < order.len() {
                between = between.max(extents.iter().product());
            }
        }
        Self { passes, between }
    }

    /// How many neighbouring numbers, and by which weight, become one where there is nothing else to do.
    fn whole(&self) -> Option<(usize, f32)> {
        match self.passes.as_slice() {
            [Pass { band, inner: 1 }] => band.whole().map(|weight| (band.inputs(), weight)),
            _ => None,
        }
    }

    /// The weights of a plane's numbers where all are made of one.
    fn spread(&self) -> Option<&'a [f32]> {
        match self.passes.as_slice() {
            [Pass { band, inner: 1 }] if band.inputs() == 1 => band.single_column(),
            _ => None,
        }
    }

    #[allow(unsafe_code)] // scratch memory passes for an output
    fn run(&self, plane: &[f32], output: &mut [MaybeUninit<f32>]) {
        with_scratch(2 * self.between, |scratch| {
            let (mut here, mut there) = scratch.split_at_mut(self.between);
            let Some((last, passes)) = self.passes.split_last() else { return };
            let mut length = plane.len();
            for (place, pass) in passes.iter().enumerate() {
                let source = if place == 0 { plane } else { &here[..length] };
                length = source.len() / pass.band.inputs().max(1) * pass.band.outputs();
                // SAFETY: a pass writes numbers and nothing else.
                pass.run(source, unsafe { uninit(&mut there[..length]) });
                std::mem::swap(&mut here, &mut there);
            }
            last.run(if passes.is_empty() { plane } else { &here[..length] }, output);
        });
    }
}

impl Pass<'_> {
    /// Writes every number of `output`.
    fn run(&self, source: &[f32], output: &mut [MaybeUninit<f32>]) {
        let Self { band, inner } = *self;
        if band.outputs() * inner == 0 {
            return;
        }
        if inner == 1 {
            within_rows(band, source, output);
        } else {
            across_rows(band, inner, source, output);
        }
    }
}

/// Numbers that are kept in registers while the inputs pass by.
const LANES: usize = 64;
/// The same where fewer are left.
const FEW: usize = 16;

vectorized! {
    /// `weight` times the sum of each row of `size` numbers.
    fn row_sums(rows: &[f32], size: usize, weight: f32, output: &mut [MaybeUninit<f32>]) {
        for (row, output) in rows.chunks_exact(size.max(1)).zip(output) {
            let (blocks, rest) = row.as_chunks::<FEW>();
            let mut sums = [0.0f32; FEW];
            for block in blocks {
                for (sum, value) in sums.iter_mut().zip(block) {
                    *sum += value;
                }
            }
            // The last numbers at once, without those that are in already.
            let known = FEW - rest.len();
            if let Some(last) = row.last_chunk::<FEW>() {
                for (lane, (sum, value)) in sums.iter_mut().zip(last).enumerate() {
                    *sum += if lane < known { 0.0 } else { *value };
                }
            } else {
                for (sum, value) in sums.iter_mut().zip(rest) {
                    *sum += value;
                }
            }
            let halves: [f32; 8] = std::array::from_fn(|lane| sums[lane] + sums[lane + 8]);
            let quarters: [f32; 4] = std::array::from_fn(|lane| halves[lane] + halves[lane + 4]);
            output.write(weight * ((quarters[0] + quarters[2]) + (quarters[1] + quarters[3])));
        }
    }
}

vectorized! {
    /// Every value times all weights, a row a value.
    fn outer(values: &[f32], weights: &[f32], output: &mut [MaybeUninit<f32>]) {
        for (row, value) in output.chunks_exact_mut(weights.len().max(1)).zip(values) {
            for (output, weight) in row.iter_mut().zip(weights) {
                output.write(weight * value);
            }
        }
    }
}

vectorized! {
    /// Output rows as weighted sums of whole rows of `inner` numbers, which lie one after the other.
    fn across_rows(band: &Band, inner: usize, source: &[f32], output: &mut [MaybeUninit<f32>]) {
        let images = source.chunks_exact(band.inputs().max(1) * inner);
        let outputs = output.chunks_exact_mut(band.outputs() * inner);
        if band.inputs() == 0 {
            return;
        }
        for (source, output) in images.zip(outputs) {
            for (place, output) in output.chunks_exact_mut(inner).enumerate() {
                let (first, weights) = band.row(place);
                mix(&source[first * inner..], inner, weights, output);
            }
        }
    }
}

/// The weighted sum of rows of `pitch` numbers, the first of which starts `rows`.
#[inline(always)]
fn mix(rows: &[f32], pitch: usize, weights: &[f32], output: &mut [MaybeUninit<f32>]) {
    let len = output.len();
    let mut at = 0;
    while at + LANES <= len {
        mix_lanes::<LANES>(&rows[at..], pitch, weights, &mut output[at..]);
        at += LANES;
    }
    while at + FEW <= len {
        mix_lanes::<FEW>(&rows[at..], pitch, weights, &mut output[at..]);
        at += FEW;
    }
    if at < len && len >= FEW {
        // Some numbers are written twice, with the same values.
        mix_lanes::<FEW>(&rows[len - FEW..], pitch, weights, &mut output[len - FEW..]);
        return;
    }
    while at + 4 <= len {
        mix_lanes::<4>(&rows[at..], pitch, weights, &mut output[at..]);
        at += 4;
    }
    for lane in at..len {
        mix_lanes::<1>(&rows[lane..], pitch, weights, &mut output[lane..]);
    }
}

#[inline(always)]
fn mix_lanes<const N: usize>(rows: &[f32], pitch: usize, weights: &[f32], output: &mut [MaybeUninit<f32>]) {
    let mut sums = [0.0f32; N];
    for (k, weight) in weights.iter().enumerate() {
        let row = &rows[k * pitch..][..N];
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += weight * value;
        }
    }
    for (output, sum) in output[..N].iter_mut().zip(sums) {
        output.write(sum);
    }
}

vectorized! {
    /// Every row of `[rows, inputs]` as a row of `[rows, outputs]`.
    fn within_rows(band: &Band, source: &[f32], output: &mut [MaybeUninit<f32>]) {
        let none = Regular { outputs: 0..0, stride: 1 };
        let regular = band.regular().unwrap_or(&none);
        let inputs = band.inputs();
        for (row, output) in output.chunks_exact_mut(band.outputs()).enumerate() {
            let row = &source[row * inputs..][..inputs];
            if let [value] = row {
                for (place, output) in output.iter_mut().enumerate() {
                    output.write(band.row(place).1.first().map_or(0.0, |weight| weight * value));
                }
                continue;
            }
            pick(band, 0..regular.outputs.start, row, output);
            let rest = match regular.stride {
                1 => strided::<1>(band, &regular.outputs, row, output),
                2 => strided::<2>(band, &regular.outputs, row, output),
                3 => strided::<3>(band, &regular.outputs, row, output),
                _ => strided::<4>(band, &regular.outputs, row, output),
            };
            pick(band, rest..output.len(), row, output);
        }
    }
}

/// Writes the regular outputs block by block, and returns the first that is left.
#[inline(always)]
fn strided<const STRIDE: usize>(
    band: &Band,
    outputs: &Range<usize>,
    row: &[f32],
    output: &mut [MaybeUninit<f32>],
) -> usize {
    if outputs.is_empty() {
        return outputs.start;
    }
    let (first, weights) = band.row(outputs.start);
    let mut at = outputs.start;
    while at + FEW <= outputs.end {
        let start = first + (at - outputs.start) * STRIDE;
        if start + weights.len() - 1 + FEW * STRIDE > row.len() {
            break;
        }
        let mut sums = [0.0f32; FEW];
        for (k, weight) in weights.iter().enumerate() {
            let (groups, _) = row[start + k..][..FEW * STRIDE].as_chunks::<STRIDE>();
            for (sum, group) in sums.iter_mut().zip(groups) {
                *sum += weight * group[0];
            }
        }
        for (output, sum) in output[at..at + FEW].iter_mut().zip(sums) {
            output.write(sum);
        }
        at += FEW;
    }
    at
}

/// Writes outputs one by one.
#[inline(always)]
fn pick(band: &Band, outputs: Range<usize>, row: &[f32], output: &mut [MaybeUninit<f32>]) {
    for place in outputs {
        let (first, weights) = band.row(place);
        let sum = match *weights {
            [a] => a * row[first],
            [a, b] => {
                let pair = &row[first..first + 2];
                a * pair[0] + b * pair[1]
            }
            _ => {
                let mut sum = 0.0;
                for (weight, value) in weights.iter().zip(&row[first..first + weights.len()]) {
                    sum += weight * value;
                }
                sum
            }
        };
        output[place].write(sum);
    }
}

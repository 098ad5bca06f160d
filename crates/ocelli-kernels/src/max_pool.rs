//! Largest values of windows; where they were found is kept in as few bits as a window needs.

use std::mem::MaybeUninit;
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
use crate::band::MAX_STRIDE;
use crate::jobs;
use crate::memory::{SharedOutput, filled, tensor, zeroed};
use crate::planes::Planes;
use crate::pool::{PoolOptions, Window, adaptive_windows, extents};
use ocelli_simd::vectorized;

/// Largest value of every window of `x` `[B, C, ...]`, over one, two or three axes (`torch.nn.functional.max_pool1d`, `2d`,
/// `3d`): `[B, C, ...]` with an extent an axis for its windows.
///
/// A window with a NaN gives NaN. Of several largest values the first has the gradient. On the CPU, 32-bit tensors take
/// this crate's kernel; every other device or number type takes slices.
///
/// # Panics
/// If an extent, stride or dilation of the window is zero, a padding more than half a window, or a window larger than
/// the padded input.
pub fn max_pool<const D: usize, const N: usize>(x: Tensor<D>, options: PoolOptions<N>) -> Tensor<D> {
    let windows = options.windows("max_pool", extents::<D, N>(&x));
    largest(x, windows, options.dilation)
}

/// Largest values of as many windows as `outputs` says for each axis, which cover the input evenly
/// (`torch.nn.functional.adaptive_max_pool1d`, `2d`, `3d`): `[B, C, ...]` to `[B, C]` and `outputs`.
///
/// # Panics
/// If an axis of the input has no place.
pub fn adaptive_max_pool<const D: usize, const N: usize>(x: Tensor<D>, outputs: [usize; N]) -> Tensor<D> {
    let extents = extents::<D, N>(&x);
    let windows =
        std::array::from_fn(|axis| adaptive_windows("adaptive_max_pool", extents[axis], outputs[axis]));
    largest(x, windows, [1; N])
}

fn largest<const D: usize, const N: usize>(
    x: Tensor<D>,
    windows: [Vec<Window>; N],
    steps: [usize; N],
) -> Tensor<D> {
    if !is_served(&x) {
        return (0..N).fold(x, |x, axis| largest_of_slices(x, axis + 2, &windows[axis], steps[axis]));
    }
    let extents = extents::<D, N>(&x);
    let mut axes = Vec::from_iter((N..3).map(|_| Axis::new(1, vec![Window::only()], 1)));
    axes.extend(windows.into_iter().enumerate().map(|(i, windows)| Axis::new(extents[i], windows, steps[i])));
    let Ok(axes) = <[Axis; 3]>::try_from(axes) else { panic!("max_pool: windows have one to three axes") };
    let mut shape = x.dims();
    shape[2..].copy_from_slice(&axes.each_ref().map(|axis| axis.windows.len())[3 - N..]);
    let output = Dispatch::pool_largest(x.into_dispatch(), Grid { axes: Arc::new(axes) });
    Tensor::<D>::from_dispatch(output).reshape(shape)
}

/// One axis, window by window.
fn largest_of_slices<const D: usize>(x: Tensor<D>, dim: usize, windows: &[Window], step: usize) -> Tensor<D> {
    let slice = |window: &Window| {
        if window.taps == 0 {
            return x.clone().narrow(dim, 0, 1).full_like(f32::NEG_INFINITY);
        }
        let places = (0..window.taps).map(|tap| x.clone().narrow(dim, window.first + tap * step, 1));
        Tensor::cat(places.collect(), dim).max_dim(dim)
    };
    Tensor::cat(windows.iter().map(slice).collect(), dim)
}

/// The windows of the three axes of a plane; what has fewer axes has windows of one place along the others.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    axes: Arc<[Axis; 3]>,
}

#[derive(Clone, Debug)]
struct Axis {
    inputs: usize,
    windows: Vec<Window>,
    /// From one place of a window to the next.
    step: usize,
    /// Places of the longest window.
    longest: usize,
    /// The outputs whose windows are of that length and `stride` apart.
    regular: std::ops::Range<usize>,
    stride: usize,
}

impl Axis {
    fn new(inputs: usize, windows: Vec<Window>, step: usize) -> Self {
        let longest = windows.iter().map(|window| window.taps).max().unwrap_or(0);
        let start = windows.iter().position(|window| window.taps == longest).unwrap_or(0);
        let stride = match windows.get(start..start + 2) {
            Some([a, b]) => b.first.saturating_sub(a.first),
            _ => 0,
        };
        let fits = |place: &usize| {
            let window = &windows[*place];
            window.taps == longest && window.first == windows[start].first + (place - start) * stride
        };
        let end = match stride {
            1..=MAX_STRIDE => start + (start..windows.len()).take_while(fits).count(),
            _ => start,
        };
        Self { inputs, step, longest, regular: start..end, stride, windows }
    }
}

impl Grid {
    fn outputs(&self) -> usize {
        self.axes.iter().map(|axis| axis.windows.len()).product()
    }

    /// Numbers from the first place of a window to each of its places, in the order of memory, for the longest window.
    fn offsets(&self) -> Vec<u32> {
        let [_, [_, height], [_, width]] = self.axes.each_ref().map(|axis| [axis.longest, axis.inputs]);
        let [d, h, w] = self.axes.each_ref().map(|axis| (0..axis.longest).map(|tap| tap * axis.step));
        let rows = d.flat_map(|d| h.clone().map(move |h| (d * height + h) * width));
        rows.flat_map(|row| w.clone().map(move |w| (row + w) as u32)).collect()
    }
}

/// For every output the place within its window, counted as in [`Grid::offsets`].
#[derive(Clone, Debug)]
pub(crate) enum Places {
    Bytes(Arc<Vec<u8>>),
    Shorts(Arc<Vec<u16>>),
    Words(Arc<Vec<u32>>),
}

/// Where the places of a plane go.
enum PlacesMut<'a> {
    Nowhere,
    Bytes(&'a mut [u8]),
    Shorts(&'a mut [u16]),
    Words(&'a mut [u32]),
}

impl PlacesMut<'_> {
    #[inline(always)]
    fn write<const N: usize>(&mut self, at: usize, places: [u32; N]) {
        match self {
            Self::Nowhere => {}
            Self::Bytes(all) => all[at..at + N].iter_mut().zip(places).for_each(|(to, p)| *to = p as u8),
            Self::Shorts(all) => all[at..at + N].iter_mut().zip(places).for_each(|(to, p)| *to = p as u16),
            Self::Words(all) => all[at..at + N].copy_from_slice(&places),
        }
    }
}

/// A backend with [`max_pool`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait MaxPoolBackend: Backend {
    /// `[B, C, ...]` to `[B, C, D', H', W']`.
    fn pool_largest(x: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self>;
}

/// [`MaxPoolBackend`] with its gradient, on a backend that does not record.
pub(crate) trait MaxPoolKernels: MaxPoolBackend {
    /// The output, and where it was found.
    fn pool_with_places(x: FloatTensor<Self>, grid: &Grid) -> (FloatTensor<Self>, Places);

    /// Gradient of an input of shape `shape`.
    fn gradient(
        output_gradient: FloatTensor<Self>,
        grid: &Grid,
        places: &Places,
        shape: Shape,
    ) -> FloatTensor<Self>;
}

impl MaxPoolBackend for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn pool_largest(x: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self> {
        let (source, target, shape) = extents_of(&x, &grid);
        let x = Numbers::of(x);
        let fill = |index: usize, output: &mut [MaybeUninit<f32>]| {
            pool_plane(&grid, source.get(&x, index), output, PlacesMut::Nowhere);
        };
        // SAFETY: `pool_plane` writes every number.
        let (output, _) = unsafe { target.filled_by_plane(fill) };
        tensor(output, shape)
    }
}

/// Planes before and after, and the shape after.
fn extents_of(x: &FlexTensor, grid: &Grid) -> (Planes, Planes, Shape) {
    let source = Planes::of(&x.shape());
    let [d, h, w] = grid.axes.each_ref().map(|axis| axis.windows.len());
    let shape = Shape::from([source.batch, source.channels, d, h, w]);
    (source, Planes::of(&shape), shape)
}

impl MaxPoolKernels for Flex {
    fn pool_with_places(x: FloatTensor<Self>, grid: &Grid) -> (FloatTensor<Self>, Places) {
        let (source, target, shape) = extents_of(&x, grid);
        let (x, count) = (Numbers::of(x), shape.num_elements());
        let run = |index: usize, output: &mut [MaybeUninit<f32>], places: PlacesMut<'_>| {
            pool_plane(grid, source.get(&x, index), output, places);
        };
        let (output, places) = match grid.axes.iter().map(|axis| axis.longest).product::<usize>() {
            0..=256 => {
                let mut places = vec![0; count];
                let output = with_places(target, &mut places, |i, out, p| run(i, out, PlacesMut::Bytes(p)));
                (output, Places::Bytes(Arc::new(places)))
            }
            257..=65_536 => {
                let mut places = vec![0; count];
                let output = with_places(target, &mut places, |i, out, p| run(i, out, PlacesMut::Shorts(p)));
                (output, Places::Shorts(Arc::new(places)))
            }
            _ => {
                let mut places = vec![0; count];
                let output = with_places(target, &mut places, |i, out, p| run(i, out, PlacesMut::Words(p)));
                (output, Places::Words(Arc::new(places)))
            }
        };
        (tensor(output, shape), places)
    }

    #[allow(unsafe_code)] // the output is not zeroed first
    fn gradient(
        output_gradient: FloatTensor<Self>,
        grid: &Grid,
        places: &Places,
        shape: Shape,
    ) -> FloatTensor<Self> {
        let (target, outputs) = (Planes::of(&shape), grid.outputs());
        let gradient = Numbers::of(output_gradient);
        let offsets = grid.offsets();
        let fill = |index: usize, output: &mut [MaybeUninit<f32>]| {
            let part = index * outputs..(index + 1) * outputs;
            let (output, gradient) = (zeroed(output), &gradient[part.clone()]);
            match places {
                Places::Bytes(places) => scatter(grid, &offsets, gradient, &places[part], output),
                Places::Shorts(places) => scatter(grid, &offsets, gradient, &places[part], output),
                Places::Words(places) => scatter(grid, &offsets, gradient, &places[part], output),
            }
        };
        // SAFETY: `zeroed` writes every number.
        let (gradient, _) = unsafe { target.filled_by_plane(fill) };
        tensor(gradient, shape)
    }
}

/// A tensor and its places, plane by plane; `fill` must write every number.
#[allow(unsafe_code)] // the output is not zeroed first
fn with_places<T: Send>(
    planes: Planes,
    places: &mut [T],
    fill: impl Fn(usize, &mut [MaybeUninit<f32>], &mut [T]) + Sync,
) -> Vec<f32> {
    let size = planes.size;
    if size == 0 {
        return Vec::new();
    }
    let work = |output: SharedOutput<'_>| {
        let run = |first: usize, places: &mut [T]| {
            for (index, places) in (first..).zip(places.chunks_exact_mut(size)) {
                // SAFETY: every plane is visited once.
                fill(index, unsafe { output.strided(index * size, size, 1) }.memory(), places);
            }
        };
        match planes.planes_a_job() {
            None => run(0, places),
            Some(few) => {
                let jobs = places.chunks_mut(few * size).enumerate();
                jobs::each(jobs, |(job, places)| run(job * few, places));
            }
        }
    };
    // SAFETY: the planes are all of the output, and `pool_plane` writes them.
    unsafe { filled(planes.channels * planes.per_channel(), work) }
}

impl<B: MaxPoolKernels, C: CheckpointStrategy> MaxPoolBackend for Autodiff<B, C> {
    fn pool_largest(x: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self> {
        let prepared = MaxPoolStep.prepare::<C>([x.node()]);
        let (shape, x) = (x.shape(), x.primitive().clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (output, places) = B::pool_with_places(x, &grid);
                prep.finish((grid, places, shape), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pool_largest(x, grid)),
        }
    }
}

/// The backward step.
#[derive(Debug)]
struct MaxPoolStep;

impl<B: MaxPoolKernels> Backward<B, 1> for MaxPoolStep {
    /// Windows, where their largest values were found, and the shape of the input.
    type State = (Grid, Places, Shape);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let (grid, places, shape) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::gradient(output_gradient, &grid, &places, shape));
        }
    }
}

/// One row of windows: those of the two outer axes, and where the row goes.
#[derive(Clone, Copy)]
struct Line<'a> {
    axes: &'a [Axis; 3],
    outer: [Window; 2],
    /// Of its first output.
    at: usize,
}

impl Line<'_> {
    /// The largest values of `N` neighbouring windows, whose first place in a row is `first`, and where they are. `None`
    /// where the plane ends too early for whole blocks.
    #[inline(always)]
    fn block<const N: usize, const STRIDE: usize>(
        &self,
        plane: &[f32],
        first: usize,
    ) -> Option<([f32; N], [u32; N])> {
        let [deep, high, wide] = self.axes;
        let (mut best, mut places) = ([f32::NEG_INFINITY; N], [0u32; N]);
        for d in 0..self.outer[0].taps {
            for h in 0..self.outer[1].taps {
                let (z, y) = (self.outer[0].first + d * deep.step, self.outer[1].first + h * high.step);
                let row = (z * high.inputs + y) * wide.inputs + first;
                let code = (d * high.longest + h) * wide.longest;
                for w in 0..wide.longest {
                    let start = row + w * wide.step;
                    let (groups, _) = plane.get(start..start + N * STRIDE)?.as_chunks::<STRIDE>();
                    let code = (code + w) as u32;
                    for ((best, place), group) in best.iter_mut().zip(&mut places).zip(groups) {
                        let value = group[0];
                        let better = value > *best || value.is_nan();
                        *best = if better { value } else { *best };
                        *place = if better { code } else { *place };
                    }
                }
            }
        }
        Some((best, places))
    }

    /// The largest value of a window, and where it is.
    #[inline(always)]
    fn single(&self, plane: &[f32], window: Window) -> (f32, u32) {
        let [deep, high, wide] = self.axes;
        let (mut best, mut place) = (f32::NEG_INFINITY, 0);
        for d in 0..self.outer[0].taps {
            for h in 0..self.outer[1].taps {
                let (z, y) = (self.outer[0].first + d * deep.step, self.outer[1].first + h * high.step);
                let row = (z * high.inputs + y) * wide.inputs + window.first;
                for w in 0..window.taps {
                    let value = plane[row + w * wide.step];
                    if value > best || value.is_nan() {
                        (best, place) = (value, (d * high.longest + h) * wide.longest + w);
                    }
                }
            }
        }
        (best, place as u32)
    }

    /// Writes the regular windows from `from` on, `N` at a time, and returns the first that is left.
    #[inline(always)]
    fn blocks<const N: usize, const STRIDE: usize>(
        &self,
        plane: &[f32],
        from: usize,
        output: &mut [MaybeUninit<f32>],
        places: &mut PlacesMut<'_>,
    ) -> usize {
        let (wide, mut place) = (&self.axes[2], from);
        while place + N <= wide.regular.end {
            let Some((best, found)) = self.block::<N, STRIDE>(plane, wide.windows[place].first) else {
                break;
            };
            let at = self.at + place;
            output[at..at + N].iter_mut().zip(best).for_each(|(output, best)| _ = output.write(best));
            places.write(at, found);
            place += N;
        }
        place
    }

    /// Writes all regular windows that fill blocks, and returns the first that is left.
    #[inline(always)]
    fn regular<const STRIDE: usize>(
        &self,
        plane: &[f32],
        output: &mut [MaybeUninit<f32>],
        places: &mut PlacesMut<'_>,
    ) -> usize {
        let start = self.axes[2].regular.start;
        let place = self.blocks::<16, STRIDE>(plane, start, output, places);
        self.blocks::<4, STRIDE>(plane, place, output, places)
    }
}

vectorized! {
    /// Writes the largest values of a plane's windows, all of them.
    fn pool_plane(grid: &Grid, plane: &[f32], output: &mut [MaybeUninit<f32>], places: PlacesMut<'_>) {
        let mut places = places;
        let axes = &*grid.axes;
        let [deep, high, wide] = axes;
        let width = wide.windows.len();
        for (z, d) in deep.windows.iter().enumerate() {
            for (y, h) in high.windows.iter().enumerate() {
                let line = Line { axes, outer: [*d, *h], at: (z * high.windows.len() + y) * width };
                let rest = match wide.stride {
                    1 => line.regular::<1>(plane, output, &mut places),
                    2 => line.regular::<2>(plane, output, &mut places),
                    3 => line.regular::<3>(plane, output, &mut places),
                    _ => line.regular::<4>(plane, output, &mut places),
                };
                for place in (0..wide.regular.start).chain(rest..width) {
                    let (best, found) = line.single(plane, wide.windows[place]);
                    output[line.at + place].write(best);
                    places.write(line.at + place, [found]);
                }
            }
        }
    }
}

/// Adds every output's gradient to the place it came from.
fn scatter<T: Copy + Into<u32>>(
    grid: &Grid,
    offsets: &[u32],
    gradient: &[f32],
    places: &[T],
    target: &mut [f32],
) {
    let [deep, high, wide] = &*grid.axes;
    let width = wide.windows.len();
    if width == 0 {
        return;
    }
    let mut rows = gradient.chunks_exact(width).zip(places.chunks_exact(width));
    for d in &deep.windows {
        for h in &high.windows {
            let start = (d.first * high.inputs + h.first) * wide.inputs;
            let Some((gradient, places)) = rows.next() else { return };
            for ((window, gradient), place) in wide.windows.iter().zip(gradient).zip(places) {
                if d.taps * h.taps * window.taps == 0 {
                    continue;
                }
                let place: u32 = (*place).into();
                target[start + window.first + offsets[place as usize] as usize] += gradient;
            }
        }
    }
}

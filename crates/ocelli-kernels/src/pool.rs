//! The windows of pooling, and averages over them.

use burn::tensor::Tensor;

use crate::band::Band;
use crate::separable::{Axes, map_planes};

/// The windows of a pooling over `N` axes, as PyTorch's layers have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions<const N: usize> {
    /// Extents of a window.
    pub kernel: [usize; N],
    /// From one window to the next.
    pub stride: [usize; N],
    /// Places added at both ends of each axis; at most half a window.
    pub padding: [usize; N],
    /// From one place of a window to the next; averages take 1.
    pub dilation: [usize; N],
    /// Whether a last window that reaches past the end counts.
    pub ceil_mode: bool,
    /// Whether an average divides by the padding's places too.
    pub count_include_pad: bool,
    /// What a sum is divided by instead of the number of places.
    pub divisor: Option<usize>,
}

impl<const N: usize> PoolOptions<N> {
    /// Windows of `kernel` side by side: no padding, no dilation; averages would count the padding.
    pub fn new(kernel: [usize; N]) -> Self {
        Self {
            kernel,
            stride: kernel,
            padding: [0; N],
            dilation: [1; N],
            ceil_mode: false,
            count_include_pad: true,
            divisor: None,
        }
    }

    /// Windows `stride` apart.
    #[must_use]
    pub fn stride(self, stride: [usize; N]) -> Self {
        Self { stride, ..self }
    }

    /// With `padding` places at both ends.
    #[must_use]
    pub fn padding(self, padding: [usize; N]) -> Self {
        Self { padding, ..self }
    }

    /// The windows of each axis, for an input of these extents.
    ///
    /// # Panics
    /// See [`max_pool`](crate::max_pool) and [`avg_pool`].
    pub(crate) fn windows(&self, name: &str, extents: [usize; N]) -> [Vec<Window>; N] {
        std::array::from_fn(|axis| self.axis_windows(name, axis, extents[axis]))
    }

    fn axis_windows(&self, name: &str, axis: usize, extent: usize) -> Vec<Window> {
        let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
        let (padding, dilation) = (self.padding[axis], self.dilation[axis]);
        assert!(kernel > 0 && stride > 0 && dilation > 0, "{name}: kernel, stride and dilation start at 1");
        let reach = dilation * (kernel - 1) + 1;
        assert!(2 * padding <= reach, "{name}: a padding of {padding} is more than half a window of {reach}");
        let room = (extent + 2 * padding).checked_sub(reach);
        let Some(room) = room else {
            panic!("{name}: a window of {reach} is larger than the input's {extent}")
        };
        let mut count = if self.ceil_mode { room.div_ceil(stride) } else { room / stride } + 1;
        // The last window must start within the input or the padding before it.
        if self.ceil_mode && (count - 1) * stride >= extent + padding {
            count -= 1;
        }
        let window = |place: usize| {
            let start = place * stride;
            let end = (start + reach).min(extent + 2 * padding);
            let skipped = padding.saturating_sub(start).div_ceil(dilation);
            let first = start + skipped * dilation - padding;
            let taps = (end - padding).min(extent).saturating_sub(first).div_ceil(dilation);
            Window { first, taps, padded: end - start }
        };
        (0..count).map(window).collect()
    }
}

/// One window along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its first place within the input.
    pub(crate) first: usize,
    /// Its places within the input.
    pub(crate) taps: usize,
    /// Its extent, padding included.
    padded: usize,
}

impl Window {
    /// The window of an axis of one place.
    pub(crate) fn only() -> Self {
        Self { first: 0, taps: 1, padded: 1 }
    }
}

/// The windows by which an axis of `inputs` becomes one of `outputs`, whatever the two.
pub(crate) fn adaptive_windows(name: &str, inputs: usize, outputs: usize) -> Vec<Window> {
    assert!(inputs > 0 || outputs == 0, "{name}: there is nothing to pool");
    let window = |place: usize| {
        let first = place * inputs / outputs;
        let taps = ((place + 1) * inputs).div_ceil(outputs) - first;
        Window { first, taps, padded: taps }
    };
    (0..outputs).map(window).collect()
}

/// The last `N` extents of a tensor of `N + 2`.
pub(crate) fn extents<const D: usize, const N: usize>(x: &Tensor<D>) -> [usize; N] {
    const { assert!(D == N + 2, "the input is [B, C] and one extent for each axis of the window") };
    let dims = x.dims();
    std::array::from_fn(|axis| dims[axis + 2])
}

/// Mean of every window of `x` `[B, C, ...]`, over one, two or three axes (`torch.nn.functional.avg_pool1d`, `2d`, `3d`):
/// `[B, C, ...]` with an extent an axis for its windows.
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes matrix products.
///
/// # Panics
/// If an extent, stride or dilation of the window is zero, a dilation above 1, a padding more than half a window, or a
/// window larger than the padded input.
pub fn avg_pool<const D: usize, const N: usize>(x: Tensor<D>, options: PoolOptions<N>) -> Tensor<D> {
    assert!(options.dilation == [1; N], "avg_pool: windows are not dilated, found {:?}", options.dilation);
    let extents = extents::<D, N>(&x);
    let windows = options.windows("avg_pool", extents);
    let divisor = |axis: usize, window: &Window| match options.divisor {
        // The whole of it goes to the first axis.
        Some(divisor) => {
            if axis == 0 {
                divisor
            } else {
                1
            }
        }
        None if options.count_include_pad => window.padded,
        None => window.taps,
    };
    let bands = windows.iter().enumerate().map(|(axis, windows)| {
        let mean = |window: &Window| mean_of(window, divisor(axis, window));
        Band::new(extents[axis], windows.iter().map(mean))
    });
    map_planes(x, &Axes::new(bands.collect()))
}

/// Means of as many windows as `outputs` says for each axis, which cover the input evenly
/// (`torch.nn.functional.adaptive_avg_pool1d`, `2d`, `3d`): `[B, C, ...]` to `[B, C]` and `outputs`.
///
/// # Panics
/// If an axis of the input has no place.
pub fn adaptive_avg_pool<const D: usize, const N: usize>(x: Tensor<D>, outputs: [usize; N]) -> Tensor<D> {
    let extents = extents::<D, N>(&x);
    let band = |axis: usize| {
        let windows = adaptive_windows("adaptive_avg_pool", extents[axis], outputs[axis]);
        Band::new(extents[axis], windows.iter().map(|window| mean_of(window, window.taps)))
    };
    map_planes(x, &Axes::new((0..N).map(band).collect()))
}

/// First place of a window and the weights of its places.
fn mean_of(window: &Window, divisor: usize) -> (usize, Vec<f32>) {
    (window.first, vec![(1.0 / divisor.max(1) as f64) as f32; window.taps])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(options: PoolOptions<1>, extent: usize) -> Vec<(usize, usize, usize)> {
        let [windows] = options.windows("pool", [extent]);
        windows.iter().map(|window| (window.first, window.taps, window.padded)).collect()
    }

    #[test]
    fn windows_end_with_the_padded_input() {
        let options = PoolOptions::new([3]).stride([2]).padding([1]);
        assert_eq!(windows(options, 5), [(0, 2, 3), (1, 3, 3), (3, 2, 3)]);
        let options = PoolOptions { ceil_mode: true, ..options };
        assert_eq!(windows(options, 6), [(0, 2, 3), (1, 3, 3), (3, 3, 3), (5, 1, 2)]);
        // A fourth window would start in the padding at the end.
        let options = PoolOptions { ceil_mode: true, ..PoolOptions::new([2]).stride([2]).padding([1]) };
        assert_eq!(windows(options, 4), [(0, 1, 2), (1, 2, 2), (3, 1, 2)]);
    }

    #[test]
    fn dilated_windows_skip_what_lies_before_the_input() {
        let options = PoolOptions { dilation: [2], ..PoolOptions::new([3]).stride([1]).padding([1]) };
        assert_eq!(windows(options, 4), [(1, 2, 5), (0, 2, 5)]);
    }

    #[test]
    fn adaptive_windows_cover_the_input() {
        let windows = adaptive_windows("pool", 5, 3);
        assert_eq!(windows.iter().map(|w| (w.first, w.taps)).collect::<Vec<_>>(), [(0, 2), (1, 3), (3, 2)]);
    }
}

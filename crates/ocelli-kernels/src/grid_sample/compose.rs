//! The same from Burn's operations, for devices and number types without a kernel.

use burn::tensor::{Bool, Tensor};

use super::{SampleMode, SampleOptions, SamplePadding};

/// See [`grid_sample`](super::grid_sample).
pub(super) fn grid_sample(x: Tensor<4>, grid: Tensor<4>, options: SampleOptions) -> Tensor<4> {
    let ([b, c, h, w], [_, rows, cols, _]) = (x.dims(), grid.dims());
    let places = rows * cols;
    if b * c * places == 0 {
        return Tensor::zeros([b, c, rows, cols], (&x.device(), x.dtype()));
    }
    let axis = |which: usize, extent: usize| {
        let numbers = grid.clone().narrow(3, which, 1).reshape([b, places]);
        coordinate(numbers, extent as f64, options)
    };
    let (right, down) = (axis(0, w), axis(1, h));
    let pixels = x.reshape([b, c, h * w]);
    let take = |x: Tensor<2>, y: Tensor<2>| {
        let outside = beyond(&x, w as f64 - 1.0).bool_or(beyond(&y, h as f64 - 1.0));
        let clamped = |at: Tensor<2>, extent: usize| at.detach().clamp(0.0, extent as f64 - 1.0);
        let index =
            clamped(y, h).mul_scalar(w as f64).add(clamped(x, w)).mask_fill(outside.clone(), 0.0).int();
        let spread = |t: Tensor<2, burn::tensor::Int>| t.reshape([b, 1, places]).expand([b, c, places]);
        let outside = outside.reshape([b, 1, places]).expand([b, c, places]);
        pixels.clone().gather(2, spread(index)).mask_fill(outside, 0.0)
    };
    let output = if options.mode == SampleMode::Nearest {
        take(right.round(), down.round())
    } else {
        let (left, top) = (right.clone().detach().floor(), down.clone().detach().floor());
        let (x, y) = (right - left.clone(), down - top.clone());
        let rest = |share: &Tensor<2>| share.clone().neg().add_scalar(1.0);
        let corners = [
            (0.0, 0.0, rest(&x) * rest(&y)),
            (1.0, 0.0, x.clone() * rest(&y)),
            (0.0, 1.0, rest(&x) * y.clone()),
            (1.0, 1.0, x * y),
        ];
        let terms = corners.map(|(right, down, weight)| {
            let numbers = take(left.clone().add_scalar(right), top.clone().add_scalar(down));
            numbers * weight.reshape([b, 1, places])
        });
        let [a, b, c, d] = terms;
        (a + b) + (c + d)
    };
    output.reshape([b, c, rows, cols])
}

/// Outside of 0 to `last`, or no number.
fn beyond(at: &Tensor<2>, last: f64) -> Tensor<2, Bool> {
    at.clone().greater_equal_elem(0.0).bool_and(at.clone().lower_equal_elem(last)).bool_not()
}

/// Places from -1 to 1 in pixels of an axis.
fn coordinate(places: Tensor<2>, extent: f64, options: SampleOptions) -> Tensor<2> {
    let at = match options.align_corners {
        true => places.add_scalar(1.0).mul_scalar((extent - 1.0) / 2.0),
        false => places.add_scalar(1.0).mul_scalar(extent).sub_scalar(1.0).div_scalar(2.0),
    };
    let (first, span) = if options.align_corners { (0.0, extent - 1.0) } else { (-0.5, extent) };
    let at = match options.padding {
        SamplePadding::Zeros => return at,
        SamplePadding::Border => at,
        // One pixel reflects into itself: always zero, and still followed, so that the grid's gradient is zero too.
        SamplePadding::Reflection if span <= 0.0 => at.mul_scalar(0.0),
        SamplePadding::Reflection => {
            let distance = at.sub_scalar(first).abs();
            // Whole turns are taken off, then what is past the far end comes back.
            let turns = distance.clone().detach().div_scalar(2.0 * span).floor().mul_scalar(2.0 * span);
            let over = distance - turns;
            over.sub_scalar(span).abs().neg().add_scalar(span + first)
        }
    };
    let lost = at.clone().is_nan();
    at.mask_fill(lost, 0.0).clamp(0.0, extent - 1.0)
}

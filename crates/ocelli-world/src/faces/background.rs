//! What is behind the head.

use super::shot::{Background, Pattern};
use crate::render::geometry::{Rgb, mix, scale, smoothstep};
use crate::render::noise::{hash, value};

/// The background's linear colour at a place of the picture; `u` and `v` are shares of its side.
pub(super) fn colour(background: &Background, u: f32, v: f32) -> Rgb {
    let b = background;
    let [first, second] = b.colours;
    let (x, y) = (u * b.frequency, v * b.frequency);
    match b.pattern {
        Pattern::Plain => scale(first, 1.0 + 0.05 * value(x * 0.5, y * 0.5, b.seed)),
        Pattern::Gradient => mix(first, second, v),
        Pattern::Clouds => {
            let cloud = value(x * 0.6, y * 0.6, b.seed) + 0.5 * value(x * 1.7, y * 1.7, b.seed ^ 3);
            mix(first, second, smoothstep(-0.8, 0.8, cloud))
        }
        Pattern::Stripes => {
            let slant = hash(0, 0, b.seed) * 6.3;
            let wave = ((x * slant.cos() + y * slant.sin()) * 6.3).sin();
            mix(first, second, smoothstep(-0.3, 0.3, wave))
        }
        Pattern::Blocks => {
            let (column, row) = (x.floor() as i32, (y * 0.7).floor() as i32);
            mix(first, second, hash(column, row, b.seed))
        }
    }
}

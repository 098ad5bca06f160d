//! Where the places of a grid lie in a picture.

use super::{SampleMode, SampleOptions, SamplePadding};
use crate::jobs;
use crate::pieces::PIECE;

/// No pixel.
pub(super) const NOWHERE: u32 = u32::MAX;

/// The pixels that a place takes its number from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// Left and right of the upper row, then of the lower; [`NOWHERE`] outside.
    pub(super) pixels: [u32; 4],
    /// Shares of the right and of the lower pixels.
    pub(super) shares: [f32; 2],
    /// By how many pixels the place moves with the grid, to the right and down.
    pub(super) speeds: [f32; 2],
}

impl Place {
    /// The places of all of a grid's numbers in pictures of these extents.
    pub(super) fn all(grid: &[f32], size: [usize; 2], options: SampleOptions) -> Vec<Self> {
        let (pairs, _) = grid.as_chunks::<2>();
        let runs: Vec<_> = pairs.chunks(PIECE / 4).collect();
        let place = |&pair: &[f32; 2]| Self::of(pair, size, options);
        jobs::map(runs.len(), |run| runs[run].iter().map(place).collect::<Vec<_>>()).concat()
    }

    fn of([x, y]: [f32; 2], [height, width]: [usize; 2], options: SampleOptions) -> Self {
        let (x, right) = coordinate(x, width, options);
        let (y, down) = coordinate(y, height, options);
        if options.mode == SampleMode::Nearest {
            // Halves go to the even pixel.
            let pixel = pixel(x.round_ties_even(), y.round_ties_even(), [height, width]);
            let pixels = [pixel, NOWHERE, NOWHERE, NOWHERE];
            return Self { pixels, shares: [0.0; 2], speeds: [0.0; 2] };
        }
        let (left, top) = (x.floor(), y.floor());
        let corner = |right: f32, down: f32| pixel(left + right, top + down, [height, width]);
        Self {
            pixels: [corner(0.0, 0.0), corner(1.0, 0.0), corner(0.0, 1.0), corner(1.0, 1.0)],
            shares: [x - left, y - top],
            speeds: [right, down],
        }
    }

    /// The weights of the four pixels.
    #[inline(always)]
    pub(super) fn weights(&self) -> [f32; 4] {
        let [x, y] = self.shares;
        [(1.0 - x) * (1.0 - y), x * (1.0 - y), (1.0 - x) * y, x * y]
    }

    /// How the weights change as the place moves to the right, and as it moves down.
    #[inline(always)]
    pub(super) fn slopes(&self) -> [[f32; 4]; 2] {
        let [x, y] = self.shares;
        [[y - 1.0, 1.0 - y, -y, y], [x - 1.0, -x, 1.0 - x, x]]
    }
}

fn pixel(x: f32, y: f32, [height, width]: [usize; 2]) -> u32 {
    // False for what is no number.
    let inside = x >= 0.0 && x < width as f32 && y >= 0.0 && y < height as f32;
    if inside { y as u32 * width as u32 + x as u32 } else { NOWHERE }
}

/// A place from -1 to 1 in pixels of an axis, and how fast it moves.
fn coordinate(place: f32, extent: usize, options: SampleOptions) -> (f32, f32) {
    let (last, extent) = (extent as f32 - 1.0, extent as f32);
    let (at, speed) = match options.align_corners {
        true => ((place + 1.0) / 2.0 * last, last / 2.0),
        false => (((place + 1.0) * extent - 1.0) / 2.0, extent / 2.0),
    };
    let (at, speed) = match options.padding {
        SamplePadding::Zeros => return (at, speed),
        SamplePadding::Border => (at, speed),
        SamplePadding::Reflection if options.align_corners => reflect(at, speed, 0.0, last),
        SamplePadding::Reflection => reflect(at, speed, -0.5, extent),
    };
    match at {
        at if at >= last && at > 0.0 => (last, 0.0),
        at if at > 0.0 => (at, speed),
        // Also what is no number.
        _ => (0.0, 0.0),
    }
}

/// A place mirrored into `span` numbers from `first` on.
fn reflect(at: f32, speed: f32, first: f32, span: f32) -> (f32, f32) {
    if span <= 0.0 {
        return (0.0, 0.0);
    }
    let (distance, speed) = if at < first { (first - at, -speed) } else { (at - first, speed) };
    let over = distance % span;
    let turns = (distance / span).floor();
    if turns % 2.0 == 0.0 { (over + first, speed) } else { (span - over + first, -speed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflected_places_turn_around() {
        let options = SampleOptions { padding: SamplePadding::Reflection, ..SampleOptions::default() };
        let aligned = SampleOptions { align_corners: true, ..options };
        assert_eq!(coordinate(1.5, 5, aligned), (3.0, -2.0));
        assert_eq!(coordinate(-1.2, 4, options), (0.0, 0.0));
        assert_eq!(coordinate(-1.5, 4, options), (0.5, -2.0));
        assert_eq!(coordinate(4.5, 5, aligned), (3.0, 2.0));
    }

    #[test]
    fn what_is_no_number_lies_outside() {
        let place = Place::of([f32::NAN, 0.0], [3, 3], SampleOptions::default());
        assert_eq!(place.pixels, [NOWHERE; 4]);
    }
}

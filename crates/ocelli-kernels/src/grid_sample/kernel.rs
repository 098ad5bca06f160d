//! The loops: some channels of a picture at a time, side by side for every pixel.

use super::place::{NOWHERE, Place};
use crate::jobs;
use crate::memory::{SharedOutput, filled, with_scratch};
use ocelli_simd::lanes::transpose;
use ocelli_simd::vectorized;

/// Most channels that are sampled at a time.
const CHANNELS: usize = 32;
/// Places that are sampled at a time.
const TILE: usize = 64;

/// One call.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) x: &'a [f32],
    /// Of all pictures, one after the other.
    pub(super) places: &'a [Place],
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
    /// Places of a picture.
    pub(super) outputs: usize,
}

/// Some channels of one picture.
#[derive(Clone, Copy)]
struct Share {
    image: usize,
    first: usize,
    channels: usize,
    /// Numbers that a pixel's channels take up.
    pitch: usize,
}

impl<'a> Job<'a> {
    fn pixels(&self) -> usize {
        self.size.iter().product()
    }

    fn shares(&self) -> Vec<Share> {
        let share = |image: usize, first: usize| {
            let channels = CHANNELS.min(self.channels - first);
            let pitch = [4, 8, 16].into_iter().find(|&pitch| channels <= pitch).unwrap_or(CHANNELS);
            Share { image, first, channels, pitch }
        };
        let firsts = (0..self.channels).step_by(CHANNELS);
        (0..self.batch).flat_map(|image| firsts.clone().map(move |first| share(image, first))).collect()
    }

    fn places_of(&self, share: Share) -> &'a [Place] {
        &self.places[share.image * self.outputs..][..self.outputs]
    }

    /// Where the planes of a share start in a tensor whose planes have `size` numbers.
    fn start(&self, share: Share, size: usize) -> usize {
        (share.image * self.channels + share.first) * size
    }

    /// The channels of a share, side by side; what no channel takes up is zero.
    fn lay_out(&self, share: Share, target: &mut [f32]) {
        if share.channels < share.pitch {
            target.fill(0.0);
        }
        let pixels = self.pixels();
        let planes = &self.x[self.start(share, pixels)..][..share.channels * pixels];
        transpose(planes, pixels, [share.channels, pixels], target, share.pitch);
    }

    /// The output.
    #[allow(unsafe_code)] // the output is not zeroed first, and places interleave
    pub(super) fn forward(&self) -> Vec<f32> {
        let run = |share: Share, output: SharedOutput<'_>| {
            let (input, tile) = (self.pixels() * share.pitch, TILE * share.pitch);
            with_scratch(input + 2 * tile, |scratch| {
                let (picture, rest) = scratch.split_at_mut(input);
                let (rows, turned) = rest.split_at_mut(tile);
                self.lay_out(share, picture);
                for (index, places) in self.places_of(share).chunks(TILE).enumerate() {
                    gather(places, picture, share.pitch, rows);
                    transpose(rows, share.pitch, [places.len(), share.channels], turned, TILE);
                    for (channel, row) in turned.chunks_exact(TILE).take(share.channels).enumerate() {
                        let start = self.start(share, self.outputs) + channel * self.outputs + index * TILE;
                        // SAFETY: every place of every channel belongs to one share and tile.
                        unsafe { output.strided(start, places.len(), 1) }.write(&row[..places.len()], 0.0);
                    }
                }
            });
        };
        // SAFETY: the shares are all of the output.
        unsafe {
            filled(self.batch * self.channels * self.outputs, |output| {
                let shares = self.shares();
                jobs::run(shares.len(), |index| run(shares[index], output));
            })
        }
    }

    /// Gradients of the pictures and of the grid, as far as they are wanted.
    #[allow(unsafe_code)] // the output is not zeroed first, and shares interleave
    pub(super) fn backward(&self, gradient: &[f32], wanted: [bool; 2]) -> [Option<Vec<f32>>; 2] {
        let (shares, pixels) = (self.shares(), self.pixels());
        let mut parts: Vec<Vec<f32>> = Vec::new();
        let mut run = |output: Option<SharedOutput<'_>>| {
            let part = |share: &Share| self.share_gradients(*share, gradient, output, wanted[1]);
            parts = jobs::map(shares.len(), |index| part(&shares[index]));
        };
        let pictures = match wanted[0] {
            // SAFETY: the shares are all of the output.
            true => Some(unsafe { filled(self.batch * self.channels * pixels, |output| run(Some(output))) }),
            false => {
                run(None);
                None
            }
        };
        let grid = wanted[1].then(|| {
            let mut sums = vec![0.0; self.places.len() * 2];
            for (share, part) in shares.iter().zip(&parts) {
                let own = &mut sums[share.image * self.outputs * 2..][..self.outputs * 2];
                own.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            sums
        });
        [pictures, grid]
    }

    /// Writes a share's part of the pictures' gradient, and returns its part of the grid's if that is wanted.
    #[allow(unsafe_code)] // shares interleave
    fn share_gradients(
        &self,
        share: Share,
        gradient: &[f32],
        output: Option<SharedOutput<'_>>,
        grid_wanted: bool,
    ) -> Vec<f32> {
        let (pixels, pitch) = (self.pixels(), share.pitch);
        let mut grid = vec![0.0; if grid_wanted { self.outputs * 2 } else { 0 }];
        let scattered = if output.is_some() { pixels * pitch } else { 0 };
        with_scratch(pixels * pitch + scattered + TILE * pitch, |scratch| {
            let (picture, rest) = scratch.split_at_mut(pixels * pitch);
            let (sums, rows) = rest.split_at_mut(scattered);
            if grid_wanted {
                self.lay_out(share, picture);
            }
            sums.fill(0.0);
            rows.fill(0.0);
            for (index, places) in self.places_of(share).chunks(TILE).enumerate() {
                let start = self.start(share, self.outputs) + index * TILE;
                let shape = [share.channels, places.len()];
                transpose(&gradient[start..], self.outputs, shape, rows, pitch);
                if output.is_some() {
                    scatter(places, rows, pitch, sums);
                }
                if let Some(grid) = grid.get_mut(index * TILE * 2..) {
                    follow(places, picture, rows, pitch, grid);
                }
            }
            let Some(output) = output else { return };
            // The picture is not needed any more.
            let turned = &mut picture[..share.channels * pixels];
            transpose(sums, pitch, [pixels, share.channels], turned, pixels);
            // SAFETY: the planes are the share's alone.
            let memory = unsafe { output.strided(self.start(share, pixels), turned.len(), 1) };
            memory.write(turned, 0.0);
        });
        grid
    }
}

/// The numbers of a pixel's channels.
#[inline(always)]
fn pixel_of<const N: usize>(pixels: &[[f32; N]], index: u32) -> Option<&[f32; N]> {
    if index == NOWHERE { None } else { pixels.get(index as usize) }
}

#[inline(always)]
fn gather_rows<const N: usize>(places: &[Place], picture: &[f32], rows: &mut [f32]) {
    let ((pixels, _), (rows, _)) = (picture.as_chunks::<N>(), rows.as_chunks_mut::<N>());
    for (place, row) in places.iter().zip(rows) {
        let mut sums = [0.0f32; N];
        for (pixel, weight) in place.pixels.into_iter().zip(place.weights()) {
            let Some(pixel) = pixel_of(pixels, pixel) else { continue };
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += weight * value;
            }
        }
        *row = sums;
    }
}

vectorized! {
    /// Samples every channel at some places, a row a place.
    fn gather(places: &[Place], picture: &[f32], pitch: usize, rows: &mut [f32]) {
        match pitch {
            4 => gather_rows::<4>(places, picture, rows),
            8 => gather_rows::<8>(places, picture, rows),
            16 => gather_rows::<16>(places, picture, rows),
            _ => gather_rows::<CHANNELS>(places, picture, rows),
        }
    }
}

#[inline(always)]
fn scatter_rows<const N: usize>(places: &[Place], rows: &[f32], sums: &mut [f32]) {
    let ((pixels, _), (rows, _)) = (sums.as_chunks_mut::<N>(), rows.as_chunks::<N>());
    for (place, row) in places.iter().zip(rows) {
        for (pixel, weight) in place.pixels.into_iter().zip(place.weights()) {
            if pixel == NOWHERE {
                continue;
            }
            for (sum, value) in pixels[pixel as usize].iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
    }
}

vectorized! {
    /// Adds the gradients of some places, a row a place, to the pixels they were taken from.
    fn scatter(places: &[Place], rows: &[f32], pitch: usize, sums: &mut [f32]) {
        match pitch {
            4 => scatter_rows::<4>(places, rows, sums),
            8 => scatter_rows::<8>(places, rows, sums),
            16 => scatter_rows::<16>(places, rows, sums),
            _ => scatter_rows::<CHANNELS>(places, rows, sums),
        }
    }
}

#[inline(always)]
fn follow_rows<const N: usize>(places: &[Place], picture: &[f32], rows: &[f32], grid: &mut [f32]) {
    let ((pixels, _), (rows, _)) = (picture.as_chunks::<N>(), rows.as_chunks::<N>());
    let (pairs, _) = grid.as_chunks_mut::<2>();
    for ((place, row), pair) in places.iter().zip(rows).zip(pairs) {
        let (mut products, [right, down]) = ([0.0f32; 2], place.slopes());
        for (pixel, slopes) in place.pixels.into_iter().zip(right.into_iter().zip(down)) {
            let Some(pixel) = pixel_of(pixels, pixel) else { continue };
            let mut lanes = [0.0f32; N];
            for ((lane, value), gradient) in lanes.iter_mut().zip(pixel).zip(row) {
                *lane = value * gradient;
            }
            let mut width = N / 2;
            while width > 0 {
                let (low, high) = lanes.split_at_mut(width);
                low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
                width /= 2;
            }
            products[0] += slopes.0 * lanes[0];
            products[1] += slopes.1 * lanes[0];
        }
        *pair = [products[0] * place.speeds[0], products[1] * place.speeds[1]];
    }
}

vectorized! {
    /// The grid's gradient at some places: how the sampled numbers change as a place moves.
    fn follow(places: &[Place], picture: &[f32], rows: &[f32], pitch: usize, grid: &mut [f32]) {
        match pitch {
            4 => follow_rows::<4>(places, picture, rows, grid),
            8 => follow_rows::<8>(places, picture, rows, grid),
            16 => follow_rows::<16>(places, picture, rows, grid),
            _ => follow_rows::<CHANNELS>(places, picture, rows, grid),
        }
    }
}

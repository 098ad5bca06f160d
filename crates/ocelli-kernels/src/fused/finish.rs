//! What follows a sum on its way to the output: shortcut, activation, store, all in registers.
#![allow(unsafe_code)] // vector loads and stores through pointers

use std::mem::MaybeUninit;

use super::tile::MOST_PIXELS;
use super::vector::{UNIT, Vector};

/// What is done to a sum on its way to the output.
#[derive(Clone, Copy)]
pub(super) enum Finish<'a> {
    /// Nothing.
    Keep,
    /// `max(0, x)`.
    Relu,
    /// `min(max(low, x), high)`.
    Clamp { low: f32, high: f32 },
    /// `x` above zero, else times the slope of its channel; a slope for each lane of the tile.
    Slopes(&'a [f32]),
    /// `x * min(max(0, x + 3), 6) / 6`.
    HardSwish,
}

/// A shortcut that is added: for every pixel the place of its first lane.
#[derive(Clone, Copy)]
pub(super) struct Shortcut<'a> {
    pub(super) values: &'a [f32],
    pub(super) starts: [usize; MOST_PIXELS],
    /// Whether it is added before the activation.
    pub(super) before: bool,
}

/// Outputs of the pixels of a tile, and what is done on the way there; the accesses were checked.
pub(super) struct Ending<'a> {
    finish: Finish<'a>,
    shortcut: Option<Shortcut<'a>>,
    outputs: [*mut f32; MOST_PIXELS],
    /// Lanes in use: numbers of every output.
    lanes: usize,
}

impl<'a> Ending<'a> {
    /// An ending for tiles of at most `lanes` lanes; `outputs` has a slice for each pixel, all of the same length.
    ///
    /// # Panics
    /// If an access would reach past its slice.
    pub(super) fn new(
        finish: Finish<'a>,
        shortcut: Option<Shortcut<'a>>,
        outputs: &mut [&mut [MaybeUninit<f32>]],
        lanes: usize,
    ) -> Self {
        let used = outputs.first().map_or(0, |output| output.len());
        assert!(used <= lanes && outputs.iter().all(|output| output.len() == used), "outputs differ");
        assert!(outputs.len() <= MOST_PIXELS, "too many outputs");
        if let Finish::Slopes(slopes) = finish {
            assert!(slopes.len() >= lanes, "no slope for every lane");
        }
        if let Some(Shortcut { values, starts, .. }) = &shortcut {
            let fits = |start: &usize| start + used <= values.len();
            assert!(starts[..outputs.len()].iter().all(fits), "shortcut too small");
        }
        let mut pointers = [std::ptr::null_mut(); MOST_PIXELS];
        for (pointer, output) in pointers.iter_mut().zip(outputs) {
            *pointer = output.as_mut_ptr().cast::<f32>();
        }
        Self { finish, shortcut, outputs: pointers, lanes: used }
    }
}

/// Finishes sums and writes them.
///
/// # Safety
/// The processor has the features of `V`; the ending was made for these pixels, and for at least these lanes.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over registers, which the compiler unrolls whole
pub(super) unsafe fn end<V: Vector, const U: usize, const P: usize>(
    ending: &Ending<'_>,
    mut sums: [[V; U]; P],
    unit: usize,
    pixel: usize,
) {
    // SAFETY: by contract.
    unsafe {
        let before = ending.shortcut.as_ref().filter(|shortcut| shortcut.before);
        if let Some(shortcut) = before {
            add_shortcut(&mut sums, shortcut, ending.lanes, unit, pixel);
        }
        activate(&mut sums, ending.finish, unit);
        if let Some(shortcut) = ending.shortcut.as_ref().filter(|shortcut| !shortcut.before) {
            add_shortcut(&mut sums, shortcut, ending.lanes, unit, pixel);
        }
        for p in 0..P {
            let output = ending.outputs[pixel + p];
            for u in 0..U {
                let lane = (unit + u) * UNIT;
                match ending.lanes.saturating_sub(lane) {
                    0 => {}
                    count @ 1..UNIT => sums[p][u].store_part(output.add(lane), count),
                    _ => sums[p][u].store(output.add(lane)),
                }
            }
        }
    }
}

/// # Safety
/// As [`end`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over registers, which the compiler unrolls whole
unsafe fn add_shortcut<V: Vector, const U: usize, const P: usize>(
    sums: &mut [[V; U]; P],
    shortcut: &Shortcut<'_>,
    lanes: usize,
    unit: usize,
    pixel: usize,
) {
    // SAFETY: by contract.
    unsafe {
        for p in 0..P {
            let values = shortcut.values.as_ptr().add(shortcut.starts[pixel + p]);
            for u in 0..U {
                let lane = (unit + u) * UNIT;
                sums[p][u] = sums[p][u].add(match lanes.saturating_sub(lane) {
                    0 => V::splat(0.0),
                    count @ 1..UNIT => V::load_part(values.add(lane), count),
                    _ => V::load(values.add(lane)),
                });
            }
        }
    }
}

/// # Safety
/// As [`end`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over registers, which the compiler unrolls whole
unsafe fn activate<V: Vector, const U: usize, const P: usize>(
    sums: &mut [[V; U]; P],
    finish: Finish<'_>,
    unit: usize,
) {
    // SAFETY: by contract.
    unsafe {
        match finish {
            Finish::Keep => {}
            Finish::Relu => {
                for p in 0..P {
                    for u in 0..U {
                        sums[p][u] = V::splat(0.0).max(sums[p][u]);
                    }
                }
            }
            Finish::Clamp { low, high } => {
                for p in 0..P {
                    for u in 0..U {
                        sums[p][u] = V::splat(high).min(V::splat(low).max(sums[p][u]));
                    }
                }
            }
            Finish::Slopes(slopes) => {
                for u in 0..U {
                    let slope = V::load(slopes.as_ptr().add((unit + u) * UNIT));
                    for p in 0..P {
                        sums[p][u] = sums[p][u].positive_or(sums[p][u].mul(slope));
                    }
                }
            }
            Finish::HardSwish => {
                for p in 0..P {
                    for u in 0..U {
                        let x = sums[p][u];
                        let gate = V::splat(6.0).min(V::splat(0.0).max(x.add(V::splat(3.0))));
                        sums[p][u] = x.mul(gate.mul(V::splat(1.0 / 6.0)));
                    }
                }
            }
        }
    }
}

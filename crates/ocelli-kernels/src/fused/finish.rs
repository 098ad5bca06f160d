//! What follows a sum on its way to the output: shortcut, activation, store, all in registers.
#![allow(unsafe_code)] // vector loads and stores through pointers

use super::vector::{UNIT, Vector};
use crate::memory::OutputRows;
use crate::prefetch;

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

/// A shortcut that is added.
#[derive(Clone, Copy)]
pub(super) struct Shortcut<'a> {
    /// From the number on that is added to the first of the output.
    pub(super) values: &'a [f32],
    /// Whether it is added before the activation.
    pub(super) before: bool,
}

/// What becomes of finished sums: the outputs of neighbouring pixels, and what is done on the way there. The accesses were
/// checked.
pub(super) struct Ending<'a, 'o> {
    finish: &'a Finish<'a>,
    /// Least and greatest number that `finish` leaves, if that is all it does.
    bounds: Option<[f32; 2]>,
    /// Where the shortcut starts, or null.
    shortcut: *const f32,
    /// Whether it is added before the activation.
    before: bool,
    output: &'a mut OutputRows<'o>,
}

impl<'a, 'o> Ending<'a, 'o> {
    /// An ending for tiles of at most `lanes` lanes; `output` has a row for each pixel, and the shortcut lies as it does.
    ///
    /// # Panics
    /// If an access would reach past its slice.
    #[inline]
    pub(super) fn new(
        finish: &'a Finish<'a>,
        shortcut: Option<Shortcut<'a>>,
        output: &'a mut OutputRows<'o>,
        lanes: usize,
    ) -> Self {
        assert!(output.len <= lanes, "outputs of more lanes than there are");
        if let Finish::Slopes(slopes) = finish {
            assert!(slopes.len() >= lanes, "no slope for every lane");
        }
        let (mut start, mut before) = (std::ptr::null(), false);
        if let Some(shortcut) = shortcut {
            let reach = output.rows.saturating_sub(1) * output.pitch + output.len;
            assert!(reach <= shortcut.values.len(), "shortcut too small");
            // With nothing in between the two are the same.
            let before_too = matches!(finish, Finish::Keep);
            (start, before) = (shortcut.values.as_ptr(), shortcut.before || before_too);
        }
        let bounds = match *finish {
            Finish::Keep => Some([f32::NEG_INFINITY, f32::INFINITY]),
            Finish::Relu => Some([0.0, f32::INFINITY]),
            Finish::Clamp { low, high } => Some([low, high]),
            Finish::Slopes(_) | Finish::HardSwish => None,
        };
        Self { finish, bounds, shortcut: start, before, output }
    }

    /// Pixels that it is made for.
    pub(super) fn pixels(&self) -> usize {
        self.output.rows
    }

    /// Asks for the memory of `U` vectors of `P` pixels: what is written, and the shortcut.
    #[inline(always)]
    pub(super) fn prefetch<const U: usize, const P: usize>(&self, unit: usize, pixel: usize) {
        for p in 0..P {
            for u in 0..U {
                let at = (pixel + p) * self.output.pitch + (unit + u) * UNIT;
                prefetch::write(self.output.start.wrapping_add(at));
                if !self.shortcut.is_null() {
                    prefetch::read(self.shortcut.wrapping_add(at));
                }
            }
        }
    }
}

/// Finishes sums and writes them.
///
/// # Safety
/// The processor has the features of `V`; the ending was made for these pixels, and for at least these lanes.
#[inline(always)]
pub(super) unsafe fn end<V: Vector, const U: usize, const P: usize>(
    ending: &Ending<'_, '_>,
    sums: [[V; U]; P],
    unit: usize,
    pixel: usize,
) {
    let at = pixel * ending.output.pitch + unit * UNIT;
    let lanes = ending.output.len.saturating_sub(unit * UNIT);
    // SAFETY: by contract; with more lanes than those of all vectors but the last, these vectors are whole.
    unsafe {
        match ending.bounds {
            Some(bounds) if lanes > (U - 1) * UNIT && (ending.shortcut.is_null() || ending.before) => {
                let last = (lanes - (U - 1) * UNIT).min(UNIT);
                end_bounded(ending, sums, bounds, (at, last));
            }
            _ => end_any(ending, sums, unit, (at, lanes)),
        }
    }
}

/// Adds the shortcut, if there is one, keeps sums within bounds, and writes them from number `at` of the output on: whole
/// vectors but for the last of a row, of which `last` lanes are used. All of it is laid out, without a detour by memory.
///
/// # Safety
/// As [`end`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over registers, which the compiler unrolls whole
unsafe fn end_bounded<V: Vector, const U: usize, const P: usize>(
    ending: &Ending<'_, '_>,
    mut sums: [[V; U]; P],
    [low, high]: [f32; 2],
    (at, last): (usize, usize),
) {
    // SAFETY: by contract.
    unsafe {
        if !ending.shortcut.is_null() {
            for p in 0..P {
                let from = ending.shortcut.wrapping_add(at + p * ending.output.pitch);
                for u in 0..U {
                    let whole = u + 1 < U || last == UNIT;
                    let from = from.wrapping_add(u * UNIT);
                    let added = if whole { V::load(from) } else { V::load_part(from, last) };
                    sums[p][u] = sums[p][u].add(added);
                }
            }
        }
        let (low, high) = (V::splat(low), V::splat(high));
        for p in 0..P {
            let to = ending.output.start.wrapping_add(at + p * ending.output.pitch);
            for u in 0..U {
                let bounded = high.min(low.max(sums[p][u]));
                let to = to.wrapping_add(u * UNIT);
                if u + 1 < U || last == UNIT { bounded.store(to) } else { bounded.store_part(to, last) }
            }
        }
    }
}

/// Finishes sums in any way.
///
/// Rows are finished one by one, from a copy in memory: were the code of all of them laid out, or the sums themselves asked
/// for by number, the compiler would not keep the sums in registers where they are summed.
///
/// # Safety
/// As [`end`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over registers, which the compiler unrolls whole
unsafe fn end_any<V: Vector, const U: usize, const P: usize>(
    ending: &Ending<'_, '_>,
    sums: [[V; U]; P],
    unit: usize,
    (at, lanes): (usize, usize),
) {
    let mut copy = sums;
    for p in 0..P {
        for u in 0..U {
            copy[p][u] = sums[p][u];
        }
    }
    for (p, row) in copy.iter().enumerate() {
        // SAFETY: by contract; a row starts inside the output if it has any lanes.
        unsafe { end_row(ending, *row, unit, (at + p * ending.output.pitch, lanes)) };
    }
}

/// Finishes a row of which `lanes` are used, and writes it from number `at` of the output on.
///
/// # Safety
/// As [`end`].
#[inline(always)]
unsafe fn end_row<V: Vector, const U: usize>(
    ending: &Ending<'_, '_>,
    mut row: [V; U],
    unit: usize,
    (at, lanes): (usize, usize),
) {
    // SAFETY: by contract.
    unsafe {
        if !ending.shortcut.is_null() && ending.before {
            add_shortcut(&mut row, ending.shortcut.wrapping_add(at), lanes);
        }
        activate(&mut row, *ending.finish, unit);
        if !ending.shortcut.is_null() && !ending.before {
            add_shortcut(&mut row, ending.shortcut.wrapping_add(at), lanes);
        }
        let output = ending.output.start.wrapping_add(at);
        for (u, vector) in row.into_iter().enumerate() {
            let lane = u * UNIT;
            match lanes.saturating_sub(lane) {
                0 => {}
                count @ 1..UNIT => vector.store_part(output.add(lane), count),
                _ => vector.store(output.add(lane)),
            }
        }
    }
}

/// Adds the `lanes` numbers at `values`.
///
/// # Safety
/// As [`end`]; they can be read.
#[inline(always)]
unsafe fn add_shortcut<V: Vector, const U: usize>(row: &mut [V; U], values: *const f32, lanes: usize) {
    for (u, vector) in row.iter_mut().enumerate() {
        let lane = u * UNIT;
        // SAFETY: by contract.
        unsafe {
            *vector = vector.add(match lanes.saturating_sub(lane) {
                0 => V::splat(0.0),
                count @ 1..UNIT => V::load_part(values.add(lane), count),
                _ => V::load(values.add(lane)),
            });
        }
    }
}

/// # Safety
/// As [`end`].
#[inline(always)]
unsafe fn activate<V: Vector, const U: usize>(row: &mut [V; U], finish: Finish<'_>, unit: usize) {
    // SAFETY: by contract.
    unsafe {
        match finish {
            Finish::Keep => {}
            Finish::Relu => {
                for vector in row {
                    *vector = V::splat(0.0).max(*vector);
                }
            }
            Finish::Clamp { low, high } => {
                for vector in row {
                    *vector = V::splat(high).min(V::splat(low).max(*vector));
                }
            }
            Finish::Slopes(slopes) => {
                for (u, vector) in row.iter_mut().enumerate() {
                    let slope = V::load(slopes.as_ptr().add((unit + u) * UNIT));
                    *vector = vector.positive_or(vector.mul(slope));
                }
            }
            Finish::HardSwish => {
                for vector in row {
                    let gate = V::splat(6.0).min(V::splat(0.0).max(vector.add(V::splat(3.0))));
                    *vector = vector.mul(gate.mul(V::splat(1.0 / 6.0)));
                }
            }
        }
    }
}

//! Fused convolution with one filter a channel: vectors lie along the channels, so every lane has a filter of its own.
#![allow(unsafe_code)] // vector loads and stores through pointers, and calls that need the processor's features

use std::ops::Range;

use burn_flex::FlexTensor;
use ocelli_simd::{Level, level};

use super::finish::{Ending, Shortcut, end};
use super::pack::{Depthwise, Packed};
use super::tile::MOST_PIXELS;
use super::vector::{Portable, UNIT, Vector};
#[cfg(target_arch = "x86_64")]
use super::vector_x86::{Avx2, Avx512};
use super::{Joint, late, lying};
use crate::conv::{Geometry, even_parts};
use crate::jobs;
use crate::memory::{SharedOutput, filled_aligned};
use crate::prefetch;

/// Products that make a job worth a thread's while.
const JOB: usize = 64 * 1024;
/// Numbers that a strip asks for ahead of what it reads: what comes by the time it takes to compute as many.
const AHEAD: usize = 2048;
/// Most jobs for each thread.
const JOBS_PER_THREAD: usize = 8;

/// Output `[B, H', W', C]` of `x` `[B, H, W, C]`; `shortcut` is of the output's shape.
pub(super) fn run(
    packed: &Packed,
    filters: &Depthwise,
    geometry: &Geometry<2>,
    x: &[f32],
    shortcut: Option<(&[f32], Joint)>,
) -> FlexTensor {
    let call = Call { packed, filters, geometry, x, shortcut, parts: parts(geometry) };
    let rows = geometry.batch * geometry.out_size[0];
    let products = geometry.out_shape().iter().product::<usize>() * geometry.kernel_area();
    let threads = rayon::current_num_threads();
    let count = products.div_ceil(JOB).clamp(1, JOBS_PER_THREAD * threads);
    let count = if count > 1 { count.next_multiple_of(threads) } else { 1 }.min(rows.max(1));
    // SAFETY: the jobs are all rows of the output, and a job writes every number of its rows.
    unsafe {
        filled_aligned(lying(geometry.out_shape()), |output| {
            jobs::run(count, |job| {
                (job * rows / count..(job + 1) * rows / count).for_each(|row| call.row(row, output));
            });
        })
    }
}

struct Call<'a> {
    packed: &'a Packed,
    filters: &'a Depthwise,
    geometry: &'a Geometry<2>,
    x: &'a [f32],
    shortcut: Option<(&'a [f32], Joint)>,
    /// How every row is cut.
    parts: Vec<Part>,
}

/// Neighbouring results of a row, and the taps of a row of the filters that all of them meet.
struct Part {
    cols: Range<usize>,
    taps: Range<usize>,
}

/// Neighbouring results of a row, all of which meet the same taps.
struct Strip<'a, 'o> {
    x: &'a [f32],
    /// What the first result's first tap reads.
    first: usize,
    /// Numbers between what neighbouring results, rows of taps and taps of a row read.
    steps: [usize; 3],
    filters: &'a Depthwise,
    taps: [Range<usize>; 2],
    kernel_width: usize,
    channels: usize,
    /// Pixels between what neighbouring results read.
    stride: usize,
    /// Numbers from what a strip reads to what is asked for meanwhile.
    ahead: usize,
    /// Rows of taps, from the last, that no strip above has read.
    fresh: usize,
    ending: Ending<'a, 'o>,
}

/// Cuts a row of results.
fn parts(geometry: &Geometry<2>) -> Vec<Part> {
    let (width, all) = (geometry.out_size[1], 0..geometry.kernel[1]);
    // The first and the last results may reach into the padding; those between do not.
    let inside = |&col: &usize| taps(geometry, 1, col) == all;
    let start = (0..width).find(inside).unwrap_or(width);
    let end = (start..width).rev().find(inside).map_or(start, |last| last + 1);
    let cut = |cols: Range<usize>, most: usize| {
        let (first, count) = (cols.start, cols.len());
        even_parts(count, count.div_ceil(most)).map(move |part| first + part.start..first + part.end)
    };
    let cols = cut(0..start, 1).chain(cut(start..end, most_pixels())).chain(cut(end..width, 1));
    cols.map(|cols| Part { taps: taps(geometry, 1, cols.start), cols }).collect()
}

/// The taps of an axis that result `index` meets outside the padding.
fn taps(geometry: &Geometry<2>, axis: usize, index: usize) -> Range<usize> {
    let options = geometry.options;
    let (dilation, at) = (options.dilation[axis], index * options.stride[axis]);
    let first = options.padding[axis].saturating_sub(at).div_ceil(dilation);
    let room = (geometry.in_size[axis] + options.padding[axis]).saturating_sub(at);
    let end = room.div_ceil(dilation).min(geometry.kernel[axis]);
    first.min(end)..end
}

impl Call<'_> {
    /// A row of results of all pictures.
    fn row(&self, row: usize, output: SharedOutput<'_>) {
        let height = self.geometry.out_size[0];
        let (image, row_in_image) = (row / height, row % height);
        let taps = taps(self.geometry, 0, row_in_image);
        let first = image * self.geometry.in_size[0] + self.pixel(0, row_in_image, &taps);
        for part in &self.parts {
            self.strip([row, first], part, taps.clone(), output);
        }
    }

    /// What the first of the `taps` of result `index` reads along an axis.
    fn pixel(&self, axis: usize, index: usize, taps: &Range<usize>) -> usize {
        let options = self.geometry.options;
        (index * options.stride[axis] + taps.start * options.dilation[axis])
            .saturating_sub(options.padding[axis])
    }

    /// Some results of a row, which reads rows from `first_row` of all pictures on.
    fn strip(&self, [row, first_row]: [usize; 2], part: &Part, rows: Range<usize>, output: SharedOutput<'_>) {
        let geometry = self.geometry;
        let (channels, options, cols) = (geometry.in_channels, geometry.options, &part.cols);
        let (width, width_out) = (geometry.in_size[1], geometry.out_size[1]);
        let first = first_row * width + self.pixel(1, cols.start, &part.taps);
        let place = (row * width_out + cols.start) * channels;
        // SAFETY: this row belongs to one job.
        let mut output = unsafe { output.rows(place, [cols.len(), channels], channels) };
        let late = self.packed.activation.late();
        let shortcut = self.shortcut.map(|(values, joint)| Shortcut {
            values: &values[place..],
            before: joint == Joint::BeforeActivation,
        });
        let finish = self.packed.activation.finish(&self.filters.slopes);
        let in_strip = shortcut.filter(|shortcut| shortcut.before || late.is_none());
        Strip {
            x: self.x,
            first: first * channels,
            steps: [
                options.stride[1] * channels,
                options.dilation[0] * width * channels,
                options.dilation[1] * channels,
            ],
            filters: self.filters,
            taps: [rows, part.taps.clone()],
            kernel_width: geometry.kernel[1],
            channels,
            stride: options.stride[1],
            ahead: AHEAD.next_multiple_of(channels),
            fresh: options.stride[0].div_ceil(options.dilation[0]),
            ending: Ending::new(&finish, in_strip, &mut output, self.filters.lanes),
        }
        .compute(cols.len());
        if let Some(apply) = late {
            // SAFETY: the strip wrote all rows.
            unsafe { late::apply(apply, &mut output, shortcut.filter(|shortcut| !shortcut.before)) };
        }
    }
}

/// Most results of a strip.
fn most_pixels() -> usize {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => MOST_PIXELS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => 4,
        Level::Base => 1,
    }
}

impl Strip<'_, '_> {
    /// Computes `pixels` results.
    fn compute(&self, pixels: usize) {
        let [rows, cols] = self.taps.each_ref();
        let (taps, lanes) = ([rows.len(), cols.len()], self.filters.lanes);
        if taps.iter().all(|&taps| taps > 0) {
            let last = [pixels.max(1), taps[0], taps[1]].map(|count| count - 1);
            let reach: usize = last.iter().zip(self.steps).map(|(last, step)| last * step).sum();
            assert!(self.first + reach + self.channels <= self.x.len(), "a strip reaches past the input");
        }
        let filters = rows.end.saturating_sub(1) * self.kernel_width + cols.end;
        assert!(filters * lanes <= self.filters.filters.len(), "filters are missing");
        assert!(self.filters.bias.len() >= lanes && self.channels <= lanes, "lanes are missing");
        // SAFETY: every access was checked, and the processor has the features of its level.
        unsafe {
            match level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => avx512(self, pixels),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => avx2(self, pixels),
                Level::Base => all_units::<Portable, 1>(self),
            }
        }
    }
}

impl Strip<'_, '_> {
    /// Asks for what a strip further on will read and no strip above has read: a share for every unit, in the order of
    /// memory, which lets the processor guess the rest.
    #[inline(always)]
    fn prefetch<const P: usize>(&self, unit: usize) {
        let [_, down, _] = self.steps;
        let (rows, share) = (self.taps[0].len(), P * self.stride * UNIT);
        for row in rows.saturating_sub(self.fresh)..rows {
            let first = self.first + row * down + self.ahead + unit * share;
            for at in (0..share).step_by(UNIT) {
                prefetch::read(self.x.as_ptr().wrapping_add(first + at));
            }
        }
        self.ending.prefetch::<1, P>(unit, 0);
    }
}

/// # Safety
/// The processor has AVX-512, the strip has `pixels` results, and its accesses were checked.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,fma")]
unsafe fn avx512(strip: &Strip<'_, '_>, pixels: usize) {
    // SAFETY: passed on.
    unsafe {
        match pixels {
            1 => all_units::<Avx512, 1>(strip),
            2 => all_units::<Avx512, 2>(strip),
            3 => all_units::<Avx512, 3>(strip),
            4 => all_units::<Avx512, 4>(strip),
            5 => all_units::<Avx512, 5>(strip),
            6 => all_units::<Avx512, 6>(strip),
            7 => all_units::<Avx512, 7>(strip),
            _ => all_units::<Avx512, MOST_PIXELS>(strip),
        }
    }
}

/// # Safety
/// The processor has AVX2 and FMA, the strip has `pixels` results, at most four, and its accesses were checked.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(strip: &Strip<'_, '_>, pixels: usize) {
    // SAFETY: passed on.
    unsafe {
        match pixels {
            1 => all_units::<Avx2, 1>(strip),
            2 => all_units::<Avx2, 2>(strip),
            3 => all_units::<Avx2, 3>(strip),
            _ => all_units::<Avx2, 4>(strip),
        }
    }
}

/// # Safety
/// The processor has the features of `V`, the strip has `P` results, and its accesses were checked.
#[inline(always)]
unsafe fn all_units<V: Vector, const P: usize>(strip: &Strip<'_, '_>) {
    /// Units at a time of a single result, whose sums would wait for each other.
    const UNITS: usize = 4;
    let (whole, rest) = (strip.channels / UNIT, strip.channels % UNIT);
    let together = if P == 1 { whole / UNITS * UNITS } else { 0 };
    // SAFETY: by contract; all sixteen channels of these units exist, and then come the last channels.
    unsafe {
        for unit in (0..together).step_by(UNITS) {
            units::<V, UNITS, P>(strip, unit, UNIT);
        }
        for unit in together..whole {
            units::<V, 1, P>(strip, unit, UNIT);
        }
        if rest > 0 {
            units::<V, 1, P>(strip, whole, rest);
        }
    }
}

/// `U` units, from number `unit` on, of `P` results; `count` channels of every unit exist.
///
/// # Safety
/// As [`all_units`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over registers, which the compiler unrolls whole
unsafe fn units<V: Vector, const U: usize, const P: usize>(strip: &Strip<'_, '_>, unit: usize, count: usize) {
    let lane = unit * UNIT;
    let [across, down, right] = strip.steps;
    let [rows, cols] = strip.taps.each_ref();
    if U == 1 {
        strip.prefetch::<P>(unit);
    }
    // SAFETY: by contract.
    unsafe {
        let mut sums = [[V::splat(0.0); U]; P];
        for p in 0..P {
            for u in 0..U {
                sums[p][u] = V::load(strip.filters.bias.as_ptr().add(lane + u * UNIT));
            }
        }
        for row in 0..rows.len() {
            let tap = (rows.start + row) * strip.kernel_width + cols.start;
            let mut filter = strip.filters.filters.as_ptr().add(tap * strip.filters.lanes + lane);
            let mut x = strip.x.as_ptr().add(strip.first + row * down + lane);
            for _ in 0..cols.len() {
                for u in 0..U {
                    let weights = V::load(filter.wrapping_add(u * UNIT));
                    for p in 0..P {
                        let x = x.wrapping_add(p * across + u * UNIT);
                        let numbers = if count == UNIT { V::load(x) } else { V::load_part(x, count) };
                        sums[p][u] = sums[p][u].add_product(weights, numbers);
                    }
                }
                (filter, x) = (filter.wrapping_add(strip.filters.lanes), x.wrapping_add(right));
            }
        }
        end::<V, U, P>(&strip.ending, sums, unit, 0);
    }
}

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
use super::{Joint, jobs, late, lying};
use crate::conv::{Geometry, even_parts};
use crate::memory::{SharedOutput, filled_aligned};

/// Products that make a job worth a thread's while.
const JOB: usize = 64 * 1024;
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
    let call = Call { packed, filters, geometry, x, shortcut };
    let rows = geometry.batch * geometry.out_size[0];
    let products = geometry.out_shape().iter().product::<usize>() * geometry.kernel_area();
    let most = JOBS_PER_THREAD * rayon::current_num_threads();
    let count = products.div_ceil(JOB).clamp(1, most).min(rows.max(1));
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
    ending: Ending<'a, 'o>,
}

impl Call<'_> {
    /// A row of results of all pictures.
    fn row(&self, row: usize, output: SharedOutput<'_>) {
        let [height, width] = self.geometry.out_size;
        let taps = self.taps(0, row % height);
        let [first, last] = [self.taps(1, 0), self.taps(1, width.saturating_sub(1))];
        let all = 0..self.geometry.kernel[1];
        // The first and the last results may reach into the padding; those between do not.
        let inside = |col: usize| self.taps(1, col) == all;
        let start = if first == all { 0 } else { (0..width).find(|&col| inside(col)).unwrap_or(width) };
        let end = match last == all {
            true => width,
            false => (start..width).find(|&col| !inside(col)).unwrap_or(width),
        };
        let cut = |cols: Range<usize>, most: usize| {
            let (first, count) = (cols.start, cols.len());
            even_parts(count, count.div_ceil(most)).map(move |part| first + part.start..first + part.end)
        };
        for cols in cut(0..start, 1).chain(cut(start..end, most_pixels())).chain(cut(end..width, 1)) {
            self.strip(row, cols, taps.clone(), output);
        }
    }

    /// The taps of an axis that result `index` meets outside the padding.
    fn taps(&self, axis: usize, index: usize) -> Range<usize> {
        let options = self.geometry.options;
        let (dilation, at) = (options.dilation[axis], index * options.stride[axis]);
        let first = options.padding[axis].saturating_sub(at).div_ceil(dilation);
        let room = (self.geometry.in_size[axis] + options.padding[axis]).saturating_sub(at);
        let end = room.div_ceil(dilation).min(self.geometry.kernel[axis]);
        first.min(end)..end
    }

    /// Some results of a row.
    fn strip(&self, row: usize, cols: Range<usize>, rows: Range<usize>, output: SharedOutput<'_>) {
        let geometry = self.geometry;
        let (channels, options) = (geometry.in_channels, geometry.options);
        let [height_out, width_out] = geometry.out_size;
        let (image, row_in_image) = (row / height_out, row % height_out);
        let taps = [rows, self.taps(1, cols.start)];
        let pixel = |axis: usize, index: usize| {
            (index * options.stride[axis] + taps[axis].start * options.dilation[axis])
                .saturating_sub(options.padding[axis])
        };
        let [height, width] = geometry.in_size;
        let first = (image * height + pixel(0, row_in_image)) * width + pixel(1, cols.start);
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
            taps,
            kernel_width: geometry.kernel[1],
            channels,
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
    for unit in 0..strip.channels / UNIT {
        // SAFETY: by contract; all sixteen channels exist.
        unsafe { one_unit::<V, P>(strip, unit, UNIT) };
    }
    let rest = strip.channels % UNIT;
    if rest > 0 {
        // SAFETY: by contract; these are the last channels.
        unsafe { one_unit::<V, P>(strip, strip.channels / UNIT, rest) };
    }
}

/// # Safety
/// As [`all_units`]; `count` channels of the unit exist.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over registers, which the compiler unrolls whole
unsafe fn one_unit<V: Vector, const P: usize>(strip: &Strip<'_, '_>, unit: usize, count: usize) {
    let lane = unit * UNIT;
    let [across, down, right] = strip.steps;
    let [rows, cols] = strip.taps.each_ref();
    // SAFETY: by contract.
    unsafe {
        let mut sums = [[V::load(strip.filters.bias.as_ptr().add(lane)); 1]; P];
        for row in 0..rows.len() {
            for col in 0..cols.len() {
                let tap = (rows.start + row) * strip.kernel_width + cols.start + col;
                let filter = V::load(strip.filters.filters.as_ptr().add(tap * strip.filters.lanes + lane));
                let x = strip.x.as_ptr().add(strip.first + row * down + col * right + lane);
                for p in 0..P {
                    let x = x.add(p * across);
                    let numbers = if count == UNIT { V::load(x) } else { V::load_part(x, count) };
                    sums[p][0] = sums[p][0].add_product(filter, numbers);
                }
            }
        }
        end::<V, 1, P>(&strip.ending, sums, unit, 0);
    }
}

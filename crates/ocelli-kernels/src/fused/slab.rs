//! The slab: the pixels that a band of results reads, by pixel, padding as zeros, mapped or rounded on the way in.

use super::Input;
use super::pack::{Affine, pair};
use super::plan::{Plan, Segment};
use crate::jobs;
use crate::memory::{SharedOutput, with_scratch};
use ocelli_simd::lanes::transpose;
use ocelli_simd::vectorized;

/// What is done to pixels on their way into a slab.
#[derive(Clone, Copy)]
pub(super) struct Treatment<'a> {
    /// Applied to every pixel, but not to padding.
    pub(super) map: Option<&'a Affine>,
    /// Whether they become pairs of numbers in bfloat16.
    pub(super) pairs: bool,
}

/// Numbers of the line that [`fill`] needs besides the slab.
pub(super) fn line_len(plan: &Plan<'_>, treatment: Treatment<'_>) -> usize {
    if treatment.pairs { plan.geometry.in_size[1] * plan.geometry.in_channels } else { 0 }
}

/// Words of the slab of some segments.
pub(super) fn len(plan: &Plan<'_>, segments: &[Segment]) -> usize {
    segments.iter().map(|segment| segment.pixel_rows * plan.pitch).sum()
}

/// Copies the pixels that `segments` read.
pub(super) fn fill(
    plan: &Plan<'_>,
    input: &Input,
    treatment: Treatment<'_>,
    segments: &[Segment],
    (slab, line): (&mut [f32], &mut [f32]),
) {
    for segment in segments {
        let rows = slab[segment.start..].chunks_exact_mut(plan.pitch.max(1)).take(segment.pixel_rows);
        for (row, target) in rows.enumerate() {
            let row = segment.rows.start * plan.geometry.options.stride[0] + row;
            fill_padded(plan, input, treatment, [segment.image, row], (target, line));
        }
    }
}

/// Copies all pixels of all pictures, on all threads, to a slab of so many rows.
#[allow(unsafe_code)] // threads fill rows of the same slab
pub(super) fn fill_shared(plan: &Plan<'_>, input: &Input, treatment: Treatment<'_>, slab: &mut [f32]) {
    /// Numbers that make a job worth a thread's while.
    const JOB: usize = 8 * 1024;
    let height = plan.picture_rows();
    let (rows, each) = (plan.geometry.batch * height, JOB.div_ceil(plan.pitch.max(1)));
    let slab = SharedOutput::of(slab);
    jobs::run(rows.div_ceil(each), |job| {
        with_scratch(line_len(plan, treatment), |line| {
            for row in job * each..((job + 1) * each).min(rows) {
                // SAFETY: every row belongs to one job, and slabs hold numbers from the start.
                let mut target = unsafe { slab.rows(row * plan.pitch, [1, plan.pitch], plan.pitch) };
                // SAFETY: as above.
                let target = unsafe { target.written(0) };
                fill_padded(plan, input, treatment, [row / height, row % height], (target, line));
            }
        });
    });
}

/// Copies one row of pixels, which may be padding.
fn fill_padded(
    plan: &Plan<'_>,
    input: &Input,
    treatment: Treatment<'_>,
    [image, row]: [usize; 2],
    (target, line): (&mut [f32], &mut [f32]),
) {
    let [height, width] = plan.geometry.in_size;
    let [above, before] = plan.geometry.options.padding;
    if row < above || row >= above + height || width == 0 {
        target.fill(0.0);
        return;
    }
    let pixels = before * plan.pixel..(before + width) * plan.pixel;
    target[..pixels.start].fill(0.0);
    target[pixels.end..].fill(0.0);
    fill_row(plan, input, treatment, [image, row - above], (&mut target[pixels], line));
}

/// Copies one row of pixels.
fn fill_row(
    plan: &Plan<'_>,
    input: &Input,
    treatment: Treatment<'_>,
    [image, row]: [usize; 2],
    (target, line): (&mut [f32], &mut [f32]),
) {
    let (channels, width) = (plan.geometry.in_channels, plan.geometry.in_size[1]);
    let first = input.first + image * input.strides[0] + row * input.strides[2];
    let [_, channel_step, _, pixel_step] = input.strides;
    let source = &input.values()[first..];
    let dense = channel_step == 1 && (pixel_step == channels || width == 1);
    if !treatment.pairs {
        match treatment.map {
            Some(map) if dense => return map_pixels(&source[..target.len()], &map.scale, &map.shift, target),
            _ => gather(source, [channel_step, pixel_step], [channels, width], target),
        }
        if let Some(map) = treatment.map {
            line_map(target, map);
        }
        return;
    }
    let mut rounded = source;
    if !dense || treatment.map.is_some() {
        gather(source, [channel_step, pixel_step], [channels, width], line);
        if let Some(map) = treatment.map {
            line_map(line, map);
        }
        rounded = line;
    }
    round(&rounded[..channels * width], channels, target);
}

/// Numbers of a row, by channel and pixel in steps of `steps`, by pixel.
fn gather(
    source: &[f32],
    [channel_step, pixel_step]: [usize; 2],
    [channels, width]: [usize; 2],
    target: &mut [f32],
) {
    if channel_step == 1 && (pixel_step == channels || width == 1) {
        target.copy_from_slice(&source[..channels * width]);
    } else if pixel_step == 1 && channels == 3 {
        let plane = |channel: usize| &source[channel * channel_step..][..width];
        interleave([plane(0), plane(1), plane(2)], target);
    } else if pixel_step == 1 {
        transpose(source, channel_step, [channels, width], target, channels);
    } else {
        for (col, pixel) in target.chunks_exact_mut(channels).enumerate() {
            for (channel, number) in pixel.iter_mut().enumerate() {
                *number = source[col * pixel_step + channel * channel_step];
            }
        }
    }
}

vectorized! {
    /// Three channels, as pictures have, side by side.
    fn interleave(planes: [&[f32]; 3], target: &mut [f32]) {
        let [red, green, blue] = planes;
        for (((pixel, red), green), blue) in target.as_chunks_mut::<3>().0.iter_mut().zip(red).zip(green).zip(blue) {
            *pixel = [*red, *green, *blue];
        }
    }
}

/// Maps pixels in place.
fn line_map(line: &mut [f32], map: &Affine) {
    map_in_place(line, &map.scale, &map.shift);
}

vectorized! {
    fn map_in_place(line: &mut [f32], scale: &[f32], shift: &[f32]) {
        for pixel in line.chunks_exact_mut(scale.len()) {
            for ((number, scale), shift) in pixel.iter_mut().zip(scale).zip(shift) {
                *number = *number * scale + shift;
            }
        }
    }
}

vectorized! {
    fn map_pixels(source: &[f32], scale: &[f32], shift: &[f32], target: &mut [f32]) {
        let channels = scale.len();
        for (target, source) in target.chunks_exact_mut(channels).zip(source.chunks_exact(channels)) {
            for (((number, from), scale), shift) in target.iter_mut().zip(source).zip(scale).zip(shift) {
                *number = *from * scale + shift;
            }
        }
    }
}

vectorized! {
    /// Rounds pixels to pairs; the last of an odd number of channels is paired with zero.
    pub(super) fn round(source: &[f32], channels: usize, target: &mut [f32]) {
        if channels.is_multiple_of(2) {
            for (word, numbers) in target.iter_mut().zip(source.as_chunks::<2>().0) {
                *word = pair(*numbers);
            }
            return;
        }
        let words = channels.div_ceil(2);
        for (target, pixel) in target.chunks_exact_mut(words).zip(source.chunks_exact(channels)) {
            for (word, numbers) in target.iter_mut().zip(pixel.chunks(2)) {
                *word = pair([numbers[0], numbers.get(1).copied().unwrap_or(0.0)]);
            }
        }
    }
}

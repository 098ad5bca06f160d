//! Depthwise convolution on AVX-512, straight from the source: sixteen results of a row at a time, whose pixels under a
//! tap are loaded under a mask that leaves out the padding. Under a stride of two every second pixel of two vectors is
//! taken.
#![allow(unsafe_code)] // masked loads and stores through pointers, and calls that need the processor's features

use std::arch::x86_64::{
    __m512, __m512i, _mm512_fmadd_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_permutex2var_ps,
    _mm512_set1_ps, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::mem::MaybeUninit;

use super::geometry::AXES;
use super::plan::{Axis, Plan};
use crate::tile::UNIT;
use ocelli_simd::{Level, level};

/// Widest rows that are laid end to end.
const NARROW: usize = 32;

/// A plan for one channel, its taps as ways through the source.
pub(super) struct Stencil {
    /// Results and source pixels along every axis.
    size: [usize; AXES],
    source: [usize; AXES],
    /// Source pixels between neighbouring results of a row.
    step: usize,
    /// Taps along every axis.
    taps: [usize; AXES],
    /// Source pixel of every tap of a row for the first result.
    ways: Vec<isize>,
    /// For every row of taps the rows of results that it reaches, each with the number in the source where the row that it
    /// reads begins; and the same for every row of results, with the rows of taps.
    by_taps: Vec<Vec<(usize, isize)>>,
    by_results: Vec<Vec<(usize, isize)>>,
    /// For every sixteen results of a row and every tap: which pixels of its two vectors are inside.
    masks: Vec<[u16; 2]>,
}

impl Stencil {
    /// `None` if this way does not serve the plan or the processor.
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        let horizontal = &plan.axes[2];
        if level() == Level::Avx512 && is_narrow(plan) {
            return Some(Self::end_to_end(plan));
        }
        let served = level() == Level::Avx512
            && plan.axes.iter().all(|axis| axis.target_step == 1)
            && horizontal.source_step <= 2
            && matches!(horizontal.taps.len(), 1 | 3 | 5 | 7);
        served.then(|| {
            let [deep, down, ways] = plan.axes.each_ref().map(ways);
            let taps = [deep.len(), down.len(), ways.len()];
            let (len, step) = (horizontal.source_len as isize, horizontal.source_step);
            let mut masks = Vec::new();
            for first in (0..horizontal.count).step_by(UNIT) {
                let results = (horizontal.count - first).min(UNIT);
                for way in &ways {
                    // Pixels of the results alone: lanes past them are left out as well.
                    let inside = |half: usize| {
                        let lanes = (0..UNIT).filter(|lane| {
                            let lane = half * UNIT + lane;
                            let pixel = way + (first * step + lane) as isize;
                            lane.is_multiple_of(step) && lane / step < results && (0..len).contains(&pixel)
                        });
                        lanes.fold(0, |mask, lane| mask | 1 << lane)
                    };
                    masks.push([inside(0), inside(1)]);
                }
            }
            let size = plan.axes.each_ref().map(|axis| axis.count);
            let mut by_taps = vec![Vec::new(); taps[0] * taps[1]];
            let mut by_results = vec![Vec::new(); size[0] * size[1]];
            for (tap, results) in by_taps.iter_mut().enumerate() {
                let ways = [deep[tap / taps[1]], down[tap % taps[1]]];
                for (row, taps) in by_results.iter_mut().enumerate() {
                    if let Some(line) = line(plan, ways, [row / size[1], row % size[1]]) {
                        results.push((row, line));
                        taps.push((tap, line));
                    }
                }
            }
            let source = plan.axes.each_ref().map(|axis| axis.source_len);
            Self { size, source, step, taps, ways, by_taps, by_results, masks }
        })
    }

    /// A plan that [`is_narrow`]: its planes are lines of one row.
    fn end_to_end(plan: &Plan) -> Self {
        let [_, down, right] = plan.axes.each_ref().map(ways);
        let [_, height, width] = plan.axes.each_ref().map(|axis| axis.count);
        let mut masks = Vec::new();
        for first in (0..height * width).step_by(UNIT) {
            for way in &down {
                for step in &right {
                    let inside = |lane: &usize| {
                        let (row, col) = ((first + lane) / width, (first + lane) % width);
                        row < height
                            && (0..height as isize).contains(&(row as isize + way))
                            && (0..width as isize).contains(&(col as isize + step))
                    };
                    masks.push([(0..UNIT).filter(inside).fold(0, |mask, lane| mask | 1 << lane), 0]);
                }
            }
        }
        let mut all = Vec::with_capacity(down.len() * right.len());
        for way in &down {
            all.extend(right.iter().map(|step| way * width as isize + step));
        }
        Self {
            size: [1, 1, height * width],
            source: [1, 1, height * width],
            step: 1,
            taps: [1, 1, down.len() * right.len()],
            ways: all,
            by_taps: vec![vec![(0, 0)]],
            by_results: vec![vec![(0, 0)]],
            masks,
        }
    }

    /// Convolves one source plane with a kernel, whose taps are in the plan's order, and adds `bias`.
    pub(super) fn convolve(
        &self,
        source: &[f32],
        kernel: &[f32],
        bias: f32,
        target: &mut [MaybeUninit<f32>],
    ) {
        assert_eq!(source.len(), self.source.iter().product::<usize>(), "source plane");
        assert_eq!(target.len(), self.size.iter().product::<usize>(), "target plane");
        assert_eq!(kernel.len(), self.taps.iter().product::<usize>(), "kernel");
        // SAFETY: the processor has AVX-512 by `new`; the lengths are what the masks were made for.
        unsafe {
            match (self.step, self.ways.len()) {
                (1, 1) => self.convolve_with::<1, 1>(source, kernel, bias, target),
                (1, 3) => self.convolve_with::<1, 3>(source, kernel, bias, target),
                (1, 5) => self.convolve_with::<1, 5>(source, kernel, bias, target),
                (1, 9) => self.convolve_with::<1, 9>(source, kernel, bias, target),
                (1, _) => self.convolve_with::<1, 7>(source, kernel, bias, target),
                (_, 1) => self.convolve_with::<2, 1>(source, kernel, bias, target),
                (_, 3) => self.convolve_with::<2, 3>(source, kernel, bias, target),
                (_, 5) => self.convolve_with::<2, 5>(source, kernel, bias, target),
                (_, _) => self.convolve_with::<2, 7>(source, kernel, bias, target),
            }
        }
    }

    /// # Safety
    /// The processor has AVX-512F, `STEP` is the horizontal one, `COLS` the taps of a row, and the lengths are those of the
    /// plan.
    #[target_feature(enable = "avx512f")]
    unsafe fn convolve_with<const STEP: usize, const COLS: usize>(
        &self,
        source: &[f32],
        kernel: &[f32],
        bias: f32,
        target: &mut [MaybeUninit<f32>],
    ) {
        let width = self.size[2];
        let bias = _mm512_set1_ps(bias);
        let (masks, ways) = (self.masks.as_chunks::<COLS>().0, self.ways.as_chunks::<COLS>().0);
        let (Some(ways), kernel) = (ways.first(), kernel.as_chunks::<COLS>().0) else { return };
        for (row, lines) in self.by_results.iter().enumerate() {
            for (block, masks) in masks.iter().enumerate() {
                let mut sum = bias;
                for &(tap, line) in lines {
                    let first = line + (block * UNIT * STEP) as isize;
                    for ((&way, &mask), &weight) in ways.iter().zip(masks).zip(&kernel[tap]) {
                        // SAFETY: the masks leave out what lies outside the line.
                        let pixels =
                            unsafe { load::<STEP>(source.as_ptr().wrapping_offset(first + way), mask) };
                        sum = _mm512_fmadd_ps(pixels, _mm512_set1_ps(weight), sum);
                    }
                }
                let first = row * width + block * UNIT;
                // SAFETY: the mask leaves out what lies after the row.
                unsafe {
                    let mask = lanes(width - block * UNIT);
                    _mm512_mask_storeu_ps(target.as_mut_ptr().wrapping_add(first).cast(), mask, sum);
                }
            }
        }
    }

    /// Adds a plane's share of the gradient of the kernel, from the source and the gradient of the target.
    pub(super) fn add_gradient(&self, source: &[f32], gradient: &[f32], sums: &mut [f32]) {
        assert_eq!(source.len(), self.source.iter().product::<usize>(), "source plane");
        assert_eq!(gradient.len(), self.size.iter().product::<usize>(), "target plane");
        assert_eq!(sums.len(), self.taps.iter().product::<usize>(), "kernel");
        // SAFETY: the processor has AVX-512 by `new`; the lengths are what the masks were made for.
        unsafe {
            match (self.step, self.ways.len()) {
                (1, 1) => self.add_gradient_with::<1, 1>(source, gradient, sums),
                (1, 3) => self.add_gradient_with::<1, 3>(source, gradient, sums),
                (1, 5) => self.add_gradient_with::<1, 5>(source, gradient, sums),
                (1, 9) => self.add_gradient_with::<1, 9>(source, gradient, sums),
                (1, _) => self.add_gradient_with::<1, 7>(source, gradient, sums),
                (_, 1) => self.add_gradient_with::<2, 1>(source, gradient, sums),
                (_, 3) => self.add_gradient_with::<2, 3>(source, gradient, sums),
                (_, 5) => self.add_gradient_with::<2, 5>(source, gradient, sums),
                (_, _) => self.add_gradient_with::<2, 7>(source, gradient, sums),
            }
        }
    }

    /// # Safety
    /// The processor has AVX-512F, `STEP` is the horizontal one, `COLS` the taps of a row, and the lengths are those of the
    /// plan.
    #[target_feature(enable = "avx512f")]
    unsafe fn add_gradient_with<const STEP: usize, const COLS: usize>(
        &self,
        source: &[f32],
        gradient: &[f32],
        sums: &mut [f32],
    ) {
        let width = self.size[2];
        let (masks, ways) = (self.masks.as_chunks::<COLS>().0, self.ways.as_chunks::<COLS>().0);
        let Some(ways) = ways.first() else { return };
        for (lines, sums) in self.by_taps.iter().zip(sums.as_chunks_mut::<COLS>().0) {
            let mut totals = [_mm512_setzero_ps(); COLS];
            for &(row, line) in lines {
                for (block, masks) in masks.iter().enumerate() {
                    // SAFETY: the mask leaves out what lies after the row.
                    let gradient = unsafe {
                        let first = gradient.as_ptr().wrapping_add(row * width + block * UNIT);
                        _mm512_maskz_loadu_ps(lanes(width - block * UNIT), first)
                    };
                    let first = line + (block * UNIT * STEP) as isize;
                    for ((total, &way), &mask) in totals.iter_mut().zip(ways).zip(masks) {
                        // SAFETY: the masks leave out what lies outside the line.
                        let pixels =
                            unsafe { load::<STEP>(source.as_ptr().wrapping_offset(first + way), mask) };
                        *total = _mm512_fmadd_ps(pixels, gradient, *total);
                    }
                }
            }
            for (sum, total) in sums.iter_mut().zip(totals) {
                let mut terms = [0.0_f32; UNIT];
                // SAFETY: sixteen numbers have room.
                unsafe { _mm512_storeu_ps(terms.as_mut_ptr(), total) };
                *sum += terms.iter().sum::<f32>();
            }
        }
    }
}

/// Whether short rows would leave many lanes unused, and can be laid end to end: there is one plane, results and source are
/// of the same size, and the kernel is 3x3.
fn is_narrow(plan: &Plan) -> bool {
    let same = |axis: &Axis| axis.target_step == 1 && axis.source_step == 1 && axis.count == axis.source_len;
    plan.axes.iter().all(same)
        && plan.axes[2].count <= NARROW
        && plan.axes.each_ref().map(|axis| axis.taps.len()) == [1, 3, 3]
        && plan.axes[0].count == 1
}

/// Where the source row begins that taps of these planes and rows read for a result's; `None` if that is padding.
fn line(plan: &Plan, ways: [isize; 2], result: [usize; 2]) -> Option<isize> {
    let mut line = 0;
    for ((axis, way), result) in plan.axes.iter().zip(ways).zip(result) {
        let pixel = way + (result * axis.source_step) as isize;
        if !(0..axis.source_len as isize).contains(&pixel) {
            return None;
        }
        line = line * axis.source_len as isize + pixel;
    }
    Some(line * plan.axes[2].source_len as isize)
}

/// The source pixel of every tap of an axis for its first result.
fn ways(axis: &Axis) -> Vec<isize> {
    let pixel = |tap: &super::plan::Tap| axis.origins[tap.phase] + (tap.shift * axis.source_step) as isize;
    axis.taps.iter().map(pixel).collect()
}

/// The first lanes of a vector, at most all.
fn lanes(count: usize) -> u16 {
    if count >= UNIT { u16::MAX } else { (1 << count) - 1 }
}

/// Sixteen numbers `STEP` apart, those outside the mask zero.
///
/// # Safety
/// The processor has AVX-512F, and the numbers inside the mask may be read.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load<const STEP: usize>(first: *const f32, [low, high]: [u16; 2]) -> __m512 {
    // SAFETY: by contract.
    unsafe {
        let vector = _mm512_maskz_loadu_ps(low, first);
        if STEP == 1 {
            return vector;
        }
        let next = _mm512_maskz_loadu_ps(high, first.wrapping_add(UNIT));
        _mm512_permutex2var_ps(vector, even(), next)
    }
}

/// The even lanes of two vectors.
#[target_feature(enable = "avx512f")]
#[inline]
fn even() -> __m512i {
    _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
}

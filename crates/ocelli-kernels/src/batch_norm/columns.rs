//! Normalisation of several channels side by side, where each has few numbers in a picture.

use std::ops::Range;

use super::backend::{Backwards, Forward, NormGradients, Statistics};
use super::{Channel, Gate, Slopes, Tail, backward_of, bent, factor, pass_gate, write_tail};
use crate::columns::{Block, COLUMNS, Columns, Sums};
use crate::memory::{SharedOutput, filled};
use ocelli_simd::vectorized;

/// The numbers by which the columns of a block are normalised.
struct Spread {
    mean: Columns,
    factor: Columns,
    beta: Columns,
    slope: Columns,
}

impl Spread {
    #[inline(always)]
    fn at(&self, column: usize) -> Channel {
        let Self { mean, factor, beta, slope } = self;
        Channel { mean: mean[column], factor: factor[column], beta: beta[column], slope: slope[column] }
    }
}

/// Output, mean and variance of every channel.
#[allow(unsafe_code)] // the output is not zeroed first
pub(super) fn normalize(job: &Forward<'_>) -> (Vec<f32>, Vec<(f32, f32)>) {
    let mut statistics = Vec::new();
    let work = |output: SharedOutput<'_>| {
        statistics = Block::map_all(job.planes, |block| normalize_block(job, block, output)).concat();
    };
    // SAFETY: every block of columns is written in all rows.
    let output = unsafe { filled(job.x.len(), work) };
    (output, statistics)
}

fn normalize_block(job: &Forward<'_>, block: Block, output: SharedOutput<'_>) -> Vec<(f32, f32)> {
    let all = block.first..block.first + block.channels;
    let statistics: Vec<(f32, f32)> = match job.given {
        Some([mean, variance]) => all.map(|channel| (mean[channel], variance[channel])).collect(),
        None => {
            let count = job.planes.per_channel() as f64;
            let average = |sum: f64| (sum / count) as f32;
            let sums = column_sums(block, job.x).by_channel(block);
            let means: Vec<f32> = sums.into_iter().map(average).collect();
            let centres = block.spread(|channel| means[channel - block.first]);
            let squares = column_squares(block, job.x, &centres).by_channel(block);
            means.into_iter().zip(squares.into_iter().map(average)).collect()
        }
    };
    let spread = Spread {
        mean: block.spread(|channel| statistics[channel - block.first].0),
        factor: block
            .spread(|channel| factor(job.gamma[channel], statistics[channel - block.first].1, job.epsilon)),
        beta: block.spread(|channel| job.beta[channel]),
        slope: block.spread(|channel| job.slope(channel)),
    };
    write_rows(block, job.x, &spread, job.tail, output);
    statistics
}

/// Gradients of the input, of scale, shift and slope, and of a shortcut.
#[allow(unsafe_code)] // the outputs are not zeroed first
pub(super) fn gradients(job: &Backwards<'_>) -> NormGradients {
    let len = job.x.len();
    let mut affine = Vec::new();
    let mut run = |x: SharedOutput<'_>, shortcut: Option<SharedOutput<'_>>| {
        affine = Block::map_all(job.planes, |block| block_gradient(job, block, x, shortcut)).concat();
    };
    let Gate::Output(_) = job.gate else {
        // SAFETY: every block of columns is written in all rows.
        let x = unsafe { filled(len, |x| run(x, None)) };
        return NormGradients { x, affine, shortcut: None };
    };
    let mut x = Vec::new();
    // SAFETY: as above, for both.
    let shortcut = unsafe { filled(len, |shortcut| x = filled(len, |x| run(x, Some(shortcut)))) };
    NormGradients { x, affine, shortcut: Some(shortcut) }
}

fn block_gradient(
    job: &Backwards<'_>,
    block: Block,
    x: SharedOutput<'_>,
    shortcut: Option<SharedOutput<'_>>,
) -> Vec<[f32; 3]> {
    let spread = Spread {
        mean: block.spread(|channel| job.mean[channel]),
        factor: block.spread(|channel| factor(job.gamma[channel], job.variance[channel], job.epsilon)),
        beta: block.spread(|channel| job.beta[channel]),
        slope: block.spread(|channel| job.slope(channel)),
    };
    let sums = gradient_sums(job, block, &spread, shortcut);
    let [plain, centred, bent] = sums.map(|sums| sums.by_channel(block));
    let of_channel = |index: usize| {
        let (channel, sums) = (block.first + index, [plain[index], centred[index]]);
        let (gamma, variance) = (job.gamma[channel], job.variance[channel]);
        let count = job.planes.per_channel() as f64;
        let ([gamma, beta], slopes) = backward_of(sums, gamma, variance, job.epsilon, job.statistics, count);
        ([gamma, beta, bent[index] as f32], slopes)
    };
    let (affine, slopes): (Vec<[f32; 3]>, Vec<Slopes>) = (0..block.channels).map(of_channel).unzip();
    let slope = |pick: fn(&Slopes) -> f32| block.spread(|channel| pick(&slopes[channel - block.first]));
    let slopes = [slope(|s| s.factor), slope(|s| s.slope), slope(|s| s.shift)];
    write_gradient(job, block, &spread, &slopes, x);
    affine
}

vectorized! {
    /// Sums every column of a block.
    fn column_sums(block: Block, x: &[f32]) -> Sums {
        let mut sums = Sums::new();
        for image in 0..block.planes.batch {
            for (sum, x) in sums.row().iter_mut().zip(&x[block.part(image)]) {
                *sum += x;
            }
        }
        sums
    }
}

vectorized! {
    /// Sums the squares of every column of a block, centred.
    fn column_squares(block: Block, x: &[f32], centres: &Columns) -> Sums {
        let mut sums = Sums::new();
        for image in 0..block.planes.batch {
            for ((sum, x), centre) in sums.row().iter_mut().zip(&x[block.part(image)]).zip(centres) {
                *sum += (x - centre) * (x - centre);
            }
        }
        sums
    }
}

vectorized! {
    /// Writes a block's columns in every row.
    #[allow(unsafe_code)] // blocks interleave
    fn write_rows(block: Block, x: &[f32], spread: &Spread, tail: Tail<'_>, output: SharedOutput<'_>) {
        for image in 0..block.planes.batch {
            let part = block.part(image);
            let tail = match tail {
                Tail::AddRelu(shortcut) => Tail::AddRelu(&shortcut[part.clone()]),
                other => other,
            };
            // SAFETY: nobody else has the block.
            let output = unsafe { output.strided(part.start, part.len(), 1) }.memory();
            write_tail(&x[part], |column| spread.at(column), tail, output);
        }
    }
}

/// The gate of a part of a row.
#[inline(always)]
fn gate_of<'a>(job: &Backwards<'a>, part: Range<usize>) -> Gate<'a> {
    match job.gate {
        Gate::Output(output) => Gate::Output(&output[part]),
        other => other,
    }
}

vectorized! {
    /// Sums, of every column, the gradients that pass the gate, their products with centred numbers, and the slope's
    /// gradient. What passes is written to the shortcut's gradient.
    #[allow(unsafe_code)] // blocks interleave
    fn gradient_sums(
        job: &Backwards<'_>,
        block: Block,
        spread: &Spread,
        shortcut: Option<SharedOutput<'_>>,
    ) -> [Sums; 3] {
        let [mut plain, mut centred, mut slope] = [Sums::new(), Sums::new(), Sums::new()];
        let mut scratch = [0.0; COLUMNS];
        for image in 0..block.planes.batch {
            let part = block.part(image);
            let (x, gradient) = (&job.x[part.clone()], &job.gradient[part.clone()]);
            let gate = gate_of(job, part.clone());
            let passed = pass_gate(gate, x, gradient, |column| spread.at(column), &mut scratch);
            for (sum, gradient) in plain.row().iter_mut().zip(passed) {
                *sum += gradient;
            }
            for (((sum, gradient), x), mean) in centred.row().iter_mut().zip(passed).zip(x).zip(&spread.mean) {
                *sum += gradient * (x - mean);
            }
            if let Gate::Bent = job.gate {
                for (column, ((sum, &x), &gradient)) in slope.row().iter_mut().zip(x).zip(gradient).enumerate() {
                    *sum += bent(spread.at(column), x, gradient);
                }
            }
            if let Some(shortcut) = shortcut {
                // SAFETY: nobody else has the block.
                let output = unsafe { shortcut.strided(part.start, part.len(), 1) }.memory();
                for (output, &passed) in output.iter_mut().zip(passed) {
                    output.write(passed);
                }
            }
        }
        [plain, centred, slope]
    }
}

vectorized! {
    /// Writes a block's input gradient in every row; `slopes` are the fields of [`Slopes`].
    #[allow(unsafe_code)] // blocks interleave
    fn write_gradient(
        job: &Backwards<'_>,
        block: Block,
        spread: &Spread,
        slopes: &[Columns; 3],
        output: SharedOutput<'_>,
    ) {
        let mut scratch = [0.0; COLUMNS];
        let [factors, slopes, shifts] = slopes;
        for image in 0..block.planes.batch {
            let part = block.part(image);
            let (x, gradient) = (&job.x[part.clone()], &job.gradient[part.clone()]);
            let gate = gate_of(job, part.clone());
            let passed = pass_gate(gate, x, gradient, |column| spread.at(column), &mut scratch);
            // SAFETY: nobody else has the block.
            let output = unsafe { output.strided(part.start, part.len(), 1) }.memory();
            if job.statistics == Statistics::Given {
                for ((output, passed), factor) in output.iter_mut().zip(passed).zip(factors) {
                    output.write(factor * passed);
                }
                continue;
            }
            let lines = slopes.iter().zip(shifts).zip(&spread.mean).zip(factors);
            for (((output, x), passed), (((slope, shift), mean), factor)) in
                output.iter_mut().zip(x).zip(passed).zip(lines)
            {
                output.write(factor * passed + slope * (x - mean) + shift);
            }
        }
    }
}

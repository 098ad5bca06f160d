//! Normalisation channel by channel, where each has whole planes.

use super::backend::{Backwards, Forward, NormGradients, Statistics};
use super::{Channel, Gate, Slopes, Tail, backward_of, bent, factor, pass_gate, write_tail};
use crate::memory::{SharedOutput, filled, with_scratch};
use crate::planes::{ChannelOutput, Planes};
use ocelli_simd::lanes::Lanes;
use ocelli_simd::vectorized;

/// Output, mean and variance of every channel.
#[allow(unsafe_code)] // the output is not zeroed first
pub(super) fn normalize(job: &Forward<'_>) -> (Vec<f32>, Vec<(f32, f32)>) {
    let planes = job.planes;
    let fill = |channel: usize, output: ChannelOutput<'_>| {
        let (mean, variance) = match job.given {
            Some([mean, variance]) => (mean[channel], variance[channel]),
            None => statistics(planes, job.x, channel),
        };
        let factor = factor(job.gamma[channel], variance, job.epsilon);
        let numbers = Channel { mean, factor, beta: job.beta[channel], slope: job.slope(channel) };
        write_channel(planes, job.x, channel, numbers, job.tail, output);
        (mean, variance)
    };
    // SAFETY: `write_channel` writes every plane.
    unsafe { planes.filled_by_channel(fill) }
}

/// Gradients of the input, of scale, shift and slope, and of a shortcut.
#[allow(unsafe_code)] // the outputs are not zeroed first
pub(super) fn gradients(job: &Backwards<'_>) -> NormGradients {
    let planes = job.planes;
    let run = |shortcut: Option<SharedOutput<'_>>| {
        let fill = |channel: usize, output: ChannelOutput<'_>| {
            let shortcut = shortcut.map(|memory| ChannelOutput::of(memory, planes, channel));
            with_scratch(planes.size, |scratch| channel_gradient(job, channel, output, shortcut, scratch))
        };
        // SAFETY: `channel_gradient` writes every plane.
        unsafe { planes.filled_by_channel(fill) }
    };
    let Gate::Output(output) = job.gate else {
        let (x, affine) = run(None);
        return NormGradients { x, affine, shortcut: None };
    };
    let mut results = (Vec::new(), Vec::new());
    // SAFETY: `channel_gradient` writes every plane of the shortcut as well.
    let shortcut = unsafe { filled(output.len(), |memory| results = run(Some(memory))) };
    let (x, affine) = results;
    NormGradients { x, affine, shortcut: Some(shortcut) }
}

fn channel_gradient(
    job: &Backwards<'_>,
    channel: usize,
    output: ChannelOutput<'_>,
    shortcut: Option<ChannelOutput<'_>>,
    scratch: &mut [f32],
) -> [f32; 3] {
    let (planes, variance) = (job.planes, job.variance[channel]);
    let factor = factor(job.gamma[channel], variance, job.epsilon);
    let (beta, slope) = (job.beta[channel], job.slope(channel));
    let numbers = Channel { mean: job.mean[channel], factor, beta, slope };
    let ([plain, centred], slope) = gradient_sums(job, channel, numbers, shortcut, scratch);
    let count = planes.per_channel() as f64;
    let ([gamma, beta], slopes) =
        backward_of([plain, centred], job.gamma[channel], variance, job.epsilon, job.statistics, count);
    write_gradient(job, channel, numbers, slopes, output, scratch);
    [gamma, beta, slope as f32]
}

/// Numbers that are summed and centred while they are in the nearest cache.
const GROUP: usize = 4096;

vectorized! {
    /// Mean and biased variance of a channel.
    ///
    /// The variance is summed from centred values: the difference of the mean square and the squared mean would lose
    /// its digits. Groups of planes have statistics of their own, which are united in double precision.
    fn statistics(planes: Planes, x: &[f32], channel: usize) -> (f32, f32) {
        let together = GROUP.div_ceil(planes.size.max(1));
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for first in (0..planes.batch).step_by(together) {
            let images = first..(first + together).min(planes.batch);
            let mut sum = Lanes::new();
            for image in images.clone() {
                sum.add([planes.get(x, image * planes.channels + channel)], |[x]| x);
            }
            let more = (images.len() * planes.size) as f64;
            let own_mean = sum.sum() / more;
            let centre = own_mean as f32;
            let mut centred = Lanes::new();
            for image in images {
                let plane = planes.get(x, image * planes.channels + channel);
                centred.add([plane], |[x]| (x - centre) * (x - centre));
            }
            let off = own_mean - f64::from(centre);
            let distance = own_mean - mean;
            squares += centred.sum() - more * off * off + distance * distance * count * more / (count + more);
            mean += distance * more / (count + more);
            count += more;
        }
        (mean as f32, (squares / count) as f32)
    }
}

vectorized! {
    /// Writes a normalised channel.
    fn write_channel(
        planes: Planes,
        x: &[f32],
        channel: usize,
        numbers: Channel,
        tail: Tail<'_>,
        output: ChannelOutput<'_>,
    ) {
        let mut output = output;
        for image in 0..planes.batch {
            let index = image * planes.channels + channel;
            let tail = match tail {
                Tail::AddRelu(shortcut) => Tail::AddRelu(planes.get(shortcut, index)),
                other => other,
            };
            write_tail(planes.get(x, index), |_| numbers, tail, output.plane(image));
        }
    }
}

/// The gate of a plane.
#[inline(always)]
fn gate_of<'a>(job: &Backwards<'a>, index: usize) -> Gate<'a> {
    match job.gate {
        Gate::Output(output) => Gate::Output(job.planes.get(output, index)),
        other => other,
    }
}

vectorized! {
    /// Sums the gradients that pass the gate, and their products with centred numbers; and the slope's gradient. What
    /// passes is written to the shortcut's gradient.
    fn gradient_sums(
        job: &Backwards<'_>,
        channel: usize,
        numbers: Channel,
        shortcut: Option<ChannelOutput<'_>>,
        scratch: &mut [f32],
    ) -> ([f64; 2], f64) {
        let (planes, mean) = (job.planes, numbers.mean);
        let (mut shortcut, mut plain, mut centred, mut slope) =
            (shortcut, Lanes::new(), Lanes::new(), Lanes::new());
        for image in 0..planes.batch {
            let index = image * planes.channels + channel;
            let (x, gradient) = (planes.get(job.x, index), planes.get(job.gradient, index));
            let passed = pass_gate(gate_of(job, index), x, gradient, |_| numbers, scratch);
            plain.add([passed], |[gradient]| gradient);
            centred.add([x, passed], |[x, gradient]| gradient * (x - mean));
            if let Gate::Bent = job.gate {
                slope.add([x, gradient], |[x, gradient]| bent(numbers, x, gradient));
            }
            if let Some(shortcut) = &mut shortcut {
                for (output, &passed) in shortcut.plane(image).iter_mut().zip(passed) {
                    output.write(passed);
                }
            }
        }
        ([plain.sum(), centred.sum()], slope.sum())
    }
}

vectorized! {
    /// Writes a channel's input gradient, `gamma / σ (g - mean(g) - x̂ mean(g x̂))`.
    fn write_gradient(
        job: &Backwards<'_>,
        channel: usize,
        numbers: Channel,
        slopes: Slopes,
        output: ChannelOutput<'_>,
        scratch: &mut [f32],
    ) {
        let (planes, mut output) = (job.planes, output);
        let Slopes { factor, slope, shift } = slopes;
        for image in 0..planes.batch {
            let index = image * planes.channels + channel;
            let (x, gradient) = (planes.get(job.x, index), planes.get(job.gradient, index));
            let passed = pass_gate(gate_of(job, index), x, gradient, |_| numbers, scratch);
            if job.statistics == Statistics::Given {
                for (output, &passed) in output.plane(image).iter_mut().zip(passed) {
                    output.write(factor * passed);
                }
                continue;
            }
            for ((output, &x), &passed) in output.plane(image).iter_mut().zip(x).zip(passed) {
                output.write(factor * passed + slope * (x - numbers.mean) + shift);
            }
        }
    }
}

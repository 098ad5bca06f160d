//! Tensors `[B, C, ...]` as planes, one a picture and channel.

use std::mem::MaybeUninit;

use burn::tensor::Shape;
use rayon::prelude::*;

use crate::memory::{SharedOutput, filled};

/// Numbers that make a job worth a thread's while.
const JOB: usize = 16 * 1024;

/// The extents of a tensor `[B, C, ...]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planes {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    /// Numbers of a plane.
    pub(crate) plane: usize,
}

impl Planes {
    pub(crate) fn of(shape: &Shape) -> Self {
        Self { batch: shape[0], channels: shape[1], plane: shape.iter().skip(2).product() }
    }

    fn len(&self) -> usize {
        self.batch * self.channels * self.plane
    }

    /// Plane of a channel in a tensor of these extents.
    pub(crate) fn of_channel<'a>(&self, values: &'a [f32], image: usize, channel: usize) -> &'a [f32] {
        self.get(values, image * self.channels + channel)
    }

    /// Plane `index` of a tensor of these extents.
    pub(crate) fn get<'a>(&self, values: &'a [f32], index: usize) -> &'a [f32] {
        &values[index * self.plane..(index + 1) * self.plane]
    }

    /// A tensor whose planes `fill` writes, and what it returns for each of them.
    ///
    /// # Safety
    /// `fill`, called with a plane's index and its memory, must write every number.
    #[allow(unsafe_code)] // the output is not zeroed first
    pub(crate) unsafe fn filled<R: Send>(
        self,
        fill: impl Fn(usize, &mut [MaybeUninit<f32>]) -> R + Sync,
    ) -> (Vec<f32>, Vec<R>) {
        let mut results = Vec::new();
        let work = |output: SharedOutput<'_>| {
            results = (0..self.batch * self.channels)
                .into_par_iter()
                .with_min_len(JOB.div_ceil(self.plane.max(1)))
                // SAFETY: every plane is visited once.
                .map(|index| {
                    fill(index, unsafe { output.strided(index * self.plane, self.plane, 1) }.memory())
                })
                .collect();
        };
        // SAFETY: the planes are all of the output, and `fill` writes them by contract.
        let values = unsafe { filled(self.len(), work) };
        (values, results)
    }

    /// A tensor whose channels `fill` writes, and what it returns for each of them.
    ///
    /// # Safety
    /// `fill`, called with a channel and its planes, must write every number.
    #[allow(unsafe_code)] // the output is not zeroed first
    pub(crate) unsafe fn filled_by_channel<R: Send>(
        self,
        fill: impl Fn(usize, ChannelOutput<'_>) -> R + Sync,
    ) -> (Vec<f32>, Vec<R>) {
        let mut results = Vec::new();
        let work = |output: SharedOutput<'_>| {
            results = (0..self.channels)
                .into_par_iter()
                .map(|channel| fill(channel, ChannelOutput { output, planes: self, channel }))
                .collect();
        };
        // SAFETY: the channels are all of the output, and `fill` writes them by contract.
        let values = unsafe { filled(self.len(), work) };
        (values, results)
    }

    /// Sums results of planes to one a channel, in order.
    pub(crate) fn sum_channels(&self, results: &[f32]) -> Vec<f32> {
        (0..self.channels)
            .map(|channel| {
                let images = results.iter().skip(channel).step_by(self.channels);
                images.map(|&sum| f64::from(sum)).sum::<f64>() as f32
            })
            .collect()
    }
}

/// The planes of one channel in an output; one of each channel exists.
pub(crate) struct ChannelOutput<'a> {
    output: SharedOutput<'a>,
    planes: Planes,
    channel: usize,
}

impl ChannelOutput<'_> {
    #[allow(unsafe_code)] // channels interleave
    pub(crate) fn plane(&mut self, image: usize) -> &mut [MaybeUninit<f32>] {
        let first = (image * self.planes.channels + self.channel) * self.planes.plane;
        // SAFETY: nobody else has the channel, and the plane is borrowed from it exclusively.
        unsafe { self.output.strided(first, self.planes.plane, 1) }.memory()
    }
}

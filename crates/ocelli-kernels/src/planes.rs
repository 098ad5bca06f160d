//! Tensors `[B, C, ...]` as planes, one a picture and channel.

use std::mem::MaybeUninit;

use burn::tensor::Shape;

use crate::jobs;
use crate::memory::{SharedOutput, filled};

/// Numbers that make a job worth a thread's while.
const JOB: usize = 16 * 1024;

/// The extents of a tensor `[B, C, ...]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planes {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    /// Numbers of a plane.
    pub(crate) size: usize,
}

impl Planes {
    pub(crate) fn of(shape: &Shape) -> Self {
        Self { batch: shape[0], channels: shape[1], size: shape.iter().skip(2).product() }
    }

    /// Numbers of a channel in all pictures.
    pub(crate) fn per_channel(&self) -> usize {
        self.batch * self.size
    }

    /// Plane `index` of a tensor of these extents.
    pub(crate) fn get<'a>(&self, values: &'a [f32], index: usize) -> &'a [f32] {
        &values[index * self.size..(index + 1) * self.size]
    }

    /// The planes of a channel of a tensor of these extents.
    pub(crate) fn channel<'a>(&self, values: &'a [f32], channel: usize) -> impl Iterator<Item = &'a [f32]> {
        let Self { channels, size, .. } = *self;
        (0..self.batch).map(move |image| &values[(image * channels + channel) * size..][..size])
    }

    /// Planes that make a job worth a thread's while; `None` if all together do not.
    pub(crate) fn planes_a_job(&self) -> Option<usize> {
        (self.channels * self.per_channel() > JOB).then(|| JOB.div_ceil(self.size.max(1)))
    }

    /// A tensor whose planes `fill` writes one by one, in the order of memory, and what it returns for each of them.
    ///
    /// # Safety
    /// `fill`, called with a plane's index and its memory, must write every number.
    #[allow(unsafe_code)] // the output is not zeroed first
    pub(crate) unsafe fn filled_by_plane<R: Send>(
        self,
        fill: impl Fn(usize, &mut [MaybeUninit<f32>]) -> R + Sync,
    ) -> (Vec<f32>, Vec<R>) {
        let mut results = Vec::new();
        let work = |output: SharedOutput<'_>| {
            // SAFETY: every plane is visited once.
            let plane = |index: usize| unsafe { output.strided(index * self.size, self.size, 1) }.memory();
            let run = |index: usize| fill(index, plane(index));
            let all = self.batch * self.channels;
            results = match self.planes_a_job() {
                None => (0..all).map(run).collect(),
                Some(few) => {
                    let job = |index: usize| (index * few..all.min((index + 1) * few)).map(run).collect();
                    let jobs: Vec<Vec<R>> = jobs::map(all.div_ceil(few), job);
                    jobs.into_iter().flatten().collect()
                }
            };
        };
        // SAFETY: the planes are all of the output, and `fill` writes them by contract.
        let values = unsafe { filled(self.channels * self.per_channel(), work) };
        (values, results)
    }

    /// Sums results of planes to one a channel, in the order of the pictures.
    pub(crate) fn sum_channels(&self, results: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0_f64; self.channels];
        for image in results.chunks_exact(self.channels.max(1)) {
            sums.iter_mut().zip(image).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// A tensor whose channels `fill` writes, and what it returns for each of them.
    ///
    /// # Safety
    /// `fill`, called with a channel and its planes, must write every number of every plane.
    #[allow(unsafe_code)] // the output is not zeroed first
    pub(crate) unsafe fn filled_by_channel<R: Send>(
        self,
        fill: impl Fn(usize, ChannelOutput<'_>) -> R + Sync,
    ) -> (Vec<f32>, Vec<R>) {
        let mut results = Vec::new();
        let work = |output: SharedOutput<'_>| {
            let one = |channel| fill(channel, ChannelOutput { output, planes: self, channel });
            results = jobs::map(self.channels, one);
        };
        // SAFETY: the channels are all of the output, and `fill` writes them by contract.
        let values = unsafe { filled(self.channels * self.per_channel(), work) };
        (values, results)
    }
}

/// The planes of one channel in an output; one of each channel exists.
pub(crate) struct ChannelOutput<'a> {
    output: SharedOutput<'a>,
    planes: Planes,
    channel: usize,
}

impl<'a> ChannelOutput<'a> {
    /// The planes of `channel` in the memory of a tensor. Each channel of an output must be asked for once.
    pub(crate) fn of(output: SharedOutput<'a>, planes: Planes, channel: usize) -> Self {
        Self { output, planes, channel }
    }

    /// The memory of the channel's plane in a picture.
    #[allow(unsafe_code)] // channels interleave
    pub(crate) fn plane(&mut self, image: usize) -> &mut [MaybeUninit<f32>] {
        let first = (image * self.planes.channels + self.channel) * self.planes.size;
        // SAFETY: nobody else has the channel, and the plane is borrowed from it exclusively.
        unsafe { self.output.strided(first, self.planes.size, 1) }.memory()
    }
}

//! How a fused convolution over many channels is walked: where pixels lie, what tiles read, how the work is cut.

use std::ops::Range;

use super::pack::{Dense, pieces};
use super::tile::Run;
use super::vector::UNIT;
use crate::conv::Geometry;

/// Words of a slab that stay in a core's second-level cache beside the filters.
const SLAB: usize = 64 * 1024;
/// Words of a slab that all threads share, and find in their caches.
const SHARED_SLAB: usize = 128 * 1024;
/// Words of filters that stay there.
const FILTERS: usize = 64 * 1024;
/// Words of filters that stay in its first-level cache beside pixels.
const FEW_FILTERS: usize = 4 * 1024;
/// Most words of filters that every thread reads all of.
const OWN_FILTERS: usize = 256 * 1024;
/// Jobs wanted for each thread, so that none waits long for the last.
const JOBS_PER_THREAD: usize = 4;
/// Most parts for each thread that filters are cut into.
const PARTS_PER_THREAD: usize = 8;

/// The walk of one call.
pub(super) struct Plan<'a> {
    pub(super) geometry: &'a Geometry<2>,
    /// Whether tiles read the input itself: it lies by pixel, and nothing has to be done to it first.
    pub(super) in_place: bool,
    /// Whether all jobs read one slab, which holds all pictures; else each has one for its band.
    pub(super) is_shared: bool,
    /// Words of a pixel.
    pub(super) pixel: usize,
    /// Words of a row of pixels, padding included.
    pub(super) pitch: usize,
    /// For every group what a tile reads at a time, with the words of filters before it.
    pub(super) pieces: Vec<Vec<(usize, Vec<Run>)>>,
    /// Whether all filters stay in the first-level cache.
    pub(super) few_filters: bool,
    /// Rows of results of all pictures, cut into bands.
    pub(super) bands: usize,
    /// Filters are cut too where there are few bands.
    pub(super) splits: usize,
    /// Whether neighbouring jobs share rows; else they share filters.
    own_rows: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(geometry: &'a Geometry<2>, dense: &Dense, in_place: bool) -> Self {
        let groups = geometry.options.groups;
        let pixel = dense.words * groups;
        let padding = if in_place { 0 } else { 2 * geometry.options.padding[1] };
        let pitch = (geometry.in_size[1] + padding) * pixel;
        let units = dense.blocks.iter().map(|block| block.units).max().unwrap_or(1);
        let most = FILTERS / (units * UNIT);
        let pieces = (0..groups).map(|group| pieces(&runs(geometry, dense.words, pitch, group), most));
        let filters: usize = dense.blocks.iter().map(|block| block.filters.len()).sum();
        let few_filters = filters <= FEW_FILTERS;
        let pieces = pieces.collect();
        let mut plan = Self {
            geometry,
            in_place,
            is_shared: false,
            pixel,
            pitch,
            pieces,
            few_filters,
            bands: 1,
            splits: 1,
            own_rows: true,
        };
        // Filling it takes all threads, and then the cut costs nothing.
        plan.is_shared = !in_place
            && rayon::current_num_threads() > 1
            && geometry.batch * plan.picture_rows() * pitch <= SHARED_SLAB;
        plan.cut(dense.blocks.len(), filters);
        plan
    }

    /// Rows of pixels of a picture in what tiles read, all of it being there.
    pub(super) fn picture_rows(&self) -> usize {
        let padding = if self.in_place { 0 } else { 2 * self.geometry.options.padding[0] };
        self.geometry.in_size[0] + padding
    }

    /// Whether results read one pixel each of the input itself, and neighbours read neighbours.
    pub(super) fn is_one_run(&self) -> bool {
        let Geometry { kernel, options, .. } = self.geometry;
        self.in_place && *kernel == [1, 1] && options.stride == [1, 1] && options.groups == 1
    }

    /// Results do not depend on how the work is cut, so the cut may follow the threads.
    fn cut(&mut self, blocks: usize, filters: usize) {
        let (rows, threads) = (self.rows(), rayon::current_num_threads());
        let [stride, _] = self.geometry.options.stride;
        let halo = self.reach(0).saturating_sub(stride) * self.pitch;
        let mut row = stride * self.pitch;
        let mut room = SLAB.saturating_sub(halo);
        // Where all filters fit the cache, short bands cost nothing and leave their results there too.
        if self.in_place && halo == 0 && filters <= FILTERS {
            row += self.geometry.out_size[1] * self.geometry.out_channels;
            room = SLAB / 2;
        }
        self.bands = if self.is_shared { 1 } else { rows.div_ceil((room / row.max(1)).max(1)).max(1) };
        if threads == 1 {
            return;
        }
        let jobs = JOBS_PER_THREAD * threads;
        // Each thread has rows of its own, as before and after this convolution, unless it would read too many filters.
        self.own_rows = filters <= OWN_FILTERS;
        if self.own_rows {
            self.bands = self.bands.next_multiple_of(threads);
        }
        if self.bands < jobs && (self.in_place || self.is_shared) {
            let part = blocks.div_ceil(PARTS_PER_THREAD * threads).max(1);
            self.splits = blocks.div_ceil(part).clamp(1, jobs.div_ceil(self.bands) * 2);
        }
        self.bands = jobs.div_ceil(self.splits).max(self.bands);
        if self.own_rows || !(self.bands * self.splits).is_multiple_of(threads) {
            self.bands = self.bands.next_multiple_of(threads);
        }
        self.bands = self.bands.min(rows.max(1));
    }

    /// The band and the part of the filters of a job.
    pub(super) fn place(&self, job: usize) -> [usize; 2] {
        match self.own_rows {
            true => [job / self.splits, job % self.splits],
            false => [job % self.bands, job / self.bands],
        }
    }

    /// Rows of results of all pictures.
    pub(super) fn rows(&self) -> usize {
        self.geometry.batch * self.geometry.out_size[0]
    }

    /// Rows of results of a band.
    pub(super) fn band(&self, band: usize) -> Range<usize> {
        let rows = self.rows();
        band * rows / self.bands..(band + 1) * rows / self.bands
    }

    /// Pixels that a result's taps span along an axis.
    pub(super) fn reach(&self, axis: usize) -> usize {
        self.geometry.options.dilation[axis] * (self.geometry.kernel[axis] - 1) + 1
    }

    /// The rows of `band`, picture by picture: the picture, its rows of results, and where their pixels start in the
    /// words that tiles read.
    pub(super) fn segments(&self, band: Range<usize>) -> Vec<Segment> {
        let height = self.geometry.out_size[0].max(1);
        let mut segments = Vec::new();
        let (mut row, mut start) = (band.start, 0);
        while row < band.end {
            let image = row / height;
            let end = (image * height + height).min(band.end);
            let rows = row - image * height..end - image * height;
            let pixel_rows = (rows.len() - 1) * self.geometry.options.stride[0] + self.reach(0);
            if self.in_place || self.is_shared {
                let first_row = rows.start * self.geometry.options.stride[0];
                start = (image * self.picture_rows() + first_row) * self.pitch;
            }
            segments.push(Segment { image, rows, start, pixel_rows });
            start += pixel_rows * self.pitch;
            row = end;
        }
        segments
    }

    /// Where the pixels of every result start, row by row.
    pub(super) fn starts(&self, segments: &[Segment]) -> Vec<usize> {
        let [down, right] = self.geometry.options.stride;
        let (row_step, col_step, cols) = (down * self.pitch, right * self.pixel, self.geometry.out_size[1]);
        let rows: usize = segments.iter().map(|segment| segment.rows.len()).sum();
        let mut starts = Vec::with_capacity(rows * cols);
        for segment in segments {
            for row in 0..segment.rows.len() {
                let start = segment.start + row * row_step;
                starts.extend((0..cols).map(|col| start + col * col_step));
            }
        }
        starts
    }
}

/// Rows of results of one picture in a band.
pub(super) struct Segment {
    pub(super) image: usize,
    pub(super) rows: Range<usize>,
    /// First word of their pixels.
    pub(super) start: usize,
    /// Rows of pixels that they read.
    pub(super) pixel_rows: usize,
}

/// What the results of one group read, in the order of the packed filters.
fn runs(geometry: &Geometry<2>, words: usize, pitch: usize, group: usize) -> Vec<Run> {
    let [kh, kw] = geometry.kernel;
    let [down, right] = geometry.options.dilation;
    let pixel = words * geometry.options.groups;
    let mut runs = Vec::new();
    for row in 0..kh {
        let offset = row * down * pitch + group * words;
        if geometry.options.groups == 1 && (right == 1 || kw == 1) {
            runs.push(Run { offset, len: kw * words });
        } else {
            runs.extend((0..kw).map(|col| Run { offset: offset + col * right * pixel, len: words }));
        }
    }
    // Runs that follow each other are one: filters as large as a picture read it from end to end.
    runs.dedup_by(|next, run| {
        let follows = run.offset + run.len == next.offset;
        if follows {
            run.len += next.len;
        }
        follows
    });
    runs
}

//! Channels that have few numbers in a picture, several side by side: the numbers of a picture are a row, of which a
//! block of channels takes some columns.

use std::ops::Range;

use crate::jobs;
use crate::planes::Planes;

/// Where planes have fewer numbers than this, channels are worked on side by side.
pub(crate) const SMALL: usize = 64;
/// Most columns of a block.
pub(crate) const COLUMNS: usize = 256;
/// Rows that are summed in single precision before the sums join others in double.
const ROWS: usize = 32;

/// A number for each column.
pub(crate) type Columns = [f32; COLUMNS];

/// Some neighbouring channels of planes smaller than [`SMALL`].
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub(crate) planes: Planes,
    pub(crate) first: usize,
    pub(crate) channels: usize,
}

impl Block {
    /// What `work` makes of all blocks of a tensor, in order.
    pub(crate) fn map_all<R: Send>(planes: Planes, work: impl Fn(Self) -> R + Sync) -> Vec<R> {
        let each = (COLUMNS / planes.size.max(1)).max(1);
        let block = |index: usize| {
            let first = index * each;
            work(Self { planes, first, channels: each.min(planes.channels - first) })
        };
        let all = planes.channels.div_ceil(each);
        match planes.planes_a_job() {
            None => (0..all).map(block).collect(),
            Some(_) => jobs::map(all, block),
        }
    }

    /// Its columns in the row of a picture, in a tensor's numbers.
    #[inline(always)]
    pub(crate) fn part(&self, image: usize) -> Range<usize> {
        let start = (image * self.planes.channels + self.first) * self.planes.size;
        // The bound is kept anyway; here it tells the loops over columns that they need not ask.
        start..start + (self.channels * self.planes.size).min(COLUMNS)
    }

    /// A value of each channel, in each of its columns.
    pub(crate) fn spread(&self, value: impl Fn(usize) -> f32) -> Columns {
        let mut columns = [0.0; COLUMNS];
        for channel in 0..self.channels {
            columns[channel * self.planes.size..][..self.planes.size].fill(value(self.first + channel));
        }
        columns
    }
}

/// A sum in the making for each column.
pub(crate) struct Sums {
    total: [f64; COLUMNS],
    partial: Columns,
    rows: usize,
}

impl Sums {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { total: [0.0; COLUMNS], partial: [0.0; COLUMNS], rows: 0 }
    }

    /// Where the next row is to be added.
    #[inline(always)]
    pub(crate) fn row(&mut self) -> &mut Columns {
        if self.rows == ROWS {
            self.flush();
        }
        self.rows += 1;
        &mut self.partial
    }

    #[inline(always)]
    fn flush(&mut self) {
        for (total, partial) in self.total.iter_mut().zip(&mut self.partial) {
            *total += f64::from(*partial);
            *partial = 0.0;
        }
        self.rows = 0;
    }

    /// The sum of each channel's columns.
    pub(crate) fn by_channel(mut self, block: Block) -> Vec<f64> {
        self.flush();
        let size = block.planes.size;
        (0..block.channels).map(|channel| self.total[channel * size..][..size].iter().sum()).collect()
    }
}

//! Operations on the rows of a tensor, or on the lines along any other dimension, each by itself.

mod cross_entropy;
mod norm;
mod normalize;
mod softmax;
mod values;

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

use burn::tensor::Shape;
use burn_flex::FlexTensor;

use crate::arrange::arranged;
use crate::backend::{Numbers, owned_memory};
use crate::jobs;
use crate::memory::{SharedOutput, as_uninit, assume_written, filled, tensor, with_scratch};
use ocelli_simd::lanes::transpose;

pub use cross_entropy::{CrossEntropy, Reduction, cross_entropy};
pub use norm::{group_norm, instance_norm, layer_norm, rms_norm};
pub use normalize::l2_normalize;
pub use softmax::{log_softmax, softmax};
pub(crate) use softmax::{softmax_gradients, softmax_rows};
use values::New;
pub(crate) use values::Values;

/// Numbers that are worked on together: they stay in the nearest caches.
const PIECE: usize = 8 * 1024;
/// The least numbers that make a job.
const JOB: usize = 32 * 1024;
/// The most jobs, each of which may hold sums of its own.
const JOBS: usize = 64;
/// The fewest lines that are turned into rows together.
const TURNED: usize = 16;

/// The lines of a tensor along one dimension, or along several neighbouring ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    outer: usize,
    /// Numbers of a line.
    pub(crate) len: usize,
    /// How far neighbours of a line are apart; 1 makes rows.
    inner: usize,
}

impl Lines {
    /// Those along a dimension.
    pub(crate) fn along(shape: &Shape, dim: usize) -> Self {
        Self {
            outer: shape.iter().take(dim).product(),
            len: shape[dim],
            inner: shape.iter().skip(dim + 1).product(),
        }
    }

    /// Rows of `len` numbers.
    pub(crate) fn rows(count: usize, len: usize) -> Self {
        Self { outer: count, len, inner: 1 }
    }

    pub(crate) fn count(&self) -> usize {
        self.outer * self.inner
    }

    fn numbers(&self) -> usize {
        self.count() * self.len
    }

    /// Lines of a piece.
    fn piece(&self) -> usize {
        let fitting = PIECE / self.len.max(1);
        if self.inner == 1 { fitting.max(1) } else { fitting.max(TURNED).min(self.inner) }
    }

    /// The pieces: none reaches over the end of what lies side by side.
    fn pieces(&self) -> Vec<Range<usize>> {
        if self.numbers() == 0 {
            return Vec::new();
        }
        let (piece, side) = (self.piece(), if self.inner == 1 { self.count() } else { self.inner });
        let starts = (0..self.count()).step_by(side.max(1));
        starts
            .flat_map(|start| {
                let end = start + side;
                (start..end).step_by(piece).map(move |first| first..end.min(first + piece))
            })
            .collect()
    }

    /// Where a line begins.
    fn start(&self, line: usize) -> usize {
        line / self.inner * self.len * self.inner + line % self.inner
    }

    /// Copies lines as rows.
    fn turn(&self, lines: &Range<usize>, source: &[f32], rows: &mut [f32]) {
        let start = self.start(lines.start);
        if self.inner == 1 {
            rows.copy_from_slice(&source[start..start + rows.len()]);
        } else {
            transpose(&source[start..], self.inner, [self.len, lines.len()], rows, self.len);
        }
    }
}

/// Some lines as rows, to be written.
pub(crate) struct Rows<'a, const N: usize> {
    /// The number of the first line.
    pub(crate) first: usize,
    /// The rows, one after the other.
    pub(crate) values: Values<'a>,
    /// The same rows of further tensors.
    pub(crate) others: [&'a [f32]; N],
}

/// Rewrites every line of `target`, in its own memory if nobody else holds it. The work, which must write all of them, sees a few
/// lines at a time, as rows, beside those of `others`, tensors of the same shape; and a state, of which each job has one:
/// the states are returned in the order of the lines. Pieces and jobs depend on the shape alone.
///
/// # Panics
/// If the work leaves a row unwritten.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) fn rewrite<S: Send, const N: usize>(
    target: FlexTensor,
    others: [&[f32]; N],
    lines: Lines,
    state: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, Rows<'_, N>) + Sync + Send,
) -> (FlexTensor, Vec<S>) {
    let job = |output: SharedOutput<'_>, source: Option<&[f32]>, pieces: &[Range<usize>]| {
        let mut state = state();
        for piece in pieces {
            let place = Place { lines, piece, output };
            place.rewrite(source, others, |rows| work(&mut state, rows));
        }
        state
    };
    let mut target = arranged(target);
    if let Some(memory) = owned_memory(&mut target) {
        let output = SharedOutput::new(as_uninit(memory));
        let states = in_jobs(lines, |pieces| job(output, None, pieces));
        return (target, states);
    }
    let shape = target.layout().shape().clone();
    let source = Numbers::of(target);
    let mut states = Vec::new();
    // SAFETY: the pieces are all of the lines, and each is written.
    let values = unsafe {
        filled(lines.numbers(), |output| {
            states = in_jobs(lines, |pieces| job(output, Some(&source), pieces));
        })
    };
    (tensor(values, shape), states)
}

/// Visits some lines at a time, as rows, with a state a job, as [`rewrite`] does.
pub(crate) fn visit<S: Send>(
    values: &[f32],
    lines: Lines,
    state: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, usize, &[f32]) + Sync + Send,
) -> Vec<S> {
    in_jobs(lines, |pieces| {
        let mut state = state();
        for piece in pieces {
            if lines.inner == 1 {
                let rows = &values[lines.start(piece.start)..][..piece.len() * lines.len];
                work(&mut state, piece.start, rows);
            } else {
                with_scratch(piece.len() * lines.len, |rows| {
                    lines.turn(piece, values, rows);
                    work(&mut state, piece.start, rows);
                });
            }
        }
        state
    })
}

/// Runs jobs of some pieces each, on several threads if there are several jobs.
fn in_jobs<S: Send>(lines: Lines, job: impl Fn(&[Range<usize>]) -> S + Sync + Send) -> Vec<S> {
    let pieces = lines.pieces();
    let job_len = lines.numbers().div_ceil(JOBS).max(JOB);
    let together = job_len.div_ceil((lines.piece() * lines.len).max(1));
    if pieces.len() <= together {
        return vec![job(&pieces)];
    }
    let jobs: Vec<_> = pieces.chunks(together).collect();
    jobs::map(jobs.len(), |index| job(jobs[index]))
}

/// A piece of an output.
struct Place<'a> {
    lines: Lines,
    piece: &'a Range<usize>,
    output: SharedOutput<'a>,
}

impl Place<'_> {
    /// Part of the output: `count` numbers.
    fn part(&mut self, first: usize, count: usize) -> &mut [MaybeUninit<f32>] {
        #[allow(unsafe_code)] // threads write different lines of one memory
        // SAFETY: every piece is visited once, and the part is borrowed from it exclusively.
        unsafe { self.output.strided(first, count, 1) }.memory()
    }

    /// Rewrites the piece from the source, or from what it holds.
    fn rewrite<const N: usize>(
        mut self,
        source: Option<&[f32]>,
        others: [&[f32]; N],
        work: impl FnOnce(Rows<'_, N>),
    ) {
        let Self { lines, piece, .. } = self;
        let (size, start) = (piece.len() * lines.len, lines.start(piece.start));
        if lines.inner == 1 {
            let (values, left) = (self.part(start, size), Cell::new(0));
            let values = match source {
                Some(source) => {
                    left.set(size);
                    Values::New(New::of(&source[start..start + size], values, &left))
                }
                #[allow(unsafe_code)] // the output holds the source
                // SAFETY: it is there from the beginning.
                None => Values::Held(unsafe { values.assume_init_mut() }),
            };
            let others = others.map(|other| &other[start..start + size]);
            work(Rows { first: piece.start, values, others });
            assert_eq!(left.get(), 0, "rows were left unwritten");
            return;
        }
        with_scratch((N + 2) * size, |scratch| {
            let (values, rest) = scratch.split_at_mut(size);
            let (turned, rest) = rest.split_at_mut(size);
            match source {
                Some(source) => lines.turn(piece, source, values),
                None => self.turn(turned, values),
            }
            for (rows, other) in rest.chunks_exact_mut(size.max(1)).zip(others) {
                lines.turn(piece, other, rows);
            }
            let mut rest = rest.chunks_exact(size.max(1));
            let others = std::array::from_fn(|_| rest.next().unwrap_or_default());
            work(Rows { first: piece.start, values: Values::Held(values), others });
            self.turn_back(values, turned);
        });
    }

    /// Copies the piece's lines, which the output holds, as rows.
    fn turn(&mut self, turned: &mut [f32], rows: &mut [f32]) {
        let (lines, count) = (self.lines, self.piece.len());
        let start = lines.start(self.piece.start);
        for (at, turned) in turned.chunks_exact_mut(count).enumerate() {
            #[allow(unsafe_code)] // the output holds the source
            // SAFETY: it is there from the beginning.
            turned.copy_from_slice(unsafe { assume_written(self.part(start + at * lines.inner, count)) });
        }
        transpose(turned, count, [lines.len, count], rows, lines.len);
    }

    /// Writes rows as lines.
    fn turn_back(&mut self, rows: &[f32], turned: &mut [f32]) {
        let (lines, count) = (self.lines, self.piece.len());
        let start = lines.start(self.piece.start);
        transpose(rows, lines.len, [count, lines.len], turned, count);
        for (at, line) in turned.chunks_exact(count).enumerate() {
            self.part(start + at * lines.inner, count).write_copy_of_slice(line);
        }
    }
}

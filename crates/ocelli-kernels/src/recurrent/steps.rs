//! Steps of a recurrent layer, one after the other; samples are independent, and the threads share them.
#![allow(unsafe_code)] // outputs are not zeroed first, and samples interleave in them

use std::ops::Range;

use super::cell::{Cell, gru, gru_back, lstm, lstm_back};
use crate::gemm::batch::Products;
use crate::gemm::{Onto, Packed, Target, View, Way, multiply};
use crate::jobs;
use crate::linear::sum_rows;
use crate::memory::{SharedOutput, filled, with_scratch};

/// Samples of a job are a multiple of this, the lines of a tile.
const LINES: usize = 8;
/// Multiplications that make a job worth a thread's while.
const JOB: usize = 512 * 1024;

/// The extents of a layer's run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) cell: Cell,
    pub(super) steps: usize,
    pub(super) batch: usize,
    /// Numbers of a state.
    pub(super) size: usize,
    /// Whether the last step comes first.
    pub(super) reverse: bool,
}

/// What the state does to the gates: `weight [G H, H]`, and `bias [G H]` or nothing.
#[derive(Clone, Copy)]
pub(super) struct Hidden<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
}

/// What a run leaves.
pub(super) struct Ran {
    /// Outputs `[T, B, H]`, followed for an LSTM by the last cell `[1, B, H]`.
    pub(super) output: Vec<f32>,
    /// `[T, B, H]`: cells of an LSTM; of a GRU what the state gave to the last gate.
    pub(super) kept: Vec<f32>,
}

/// Gradients of a layer's run.
pub(super) struct Slopes {
    /// `[G H, H]`.
    pub(super) weight: Vec<f32>,
    /// `[G H]`, or nothing.
    pub(super) bias: Vec<f32>,
    /// Of the first state, `[S, B, H]`.
    pub(super) state: Vec<f32>,
}

/// A step in its place: the step, and the one before it in the order of the run, if any.
type Place = (usize, Option<usize>);

impl Steps {
    fn width(&self) -> usize {
        self.cell.gates() * self.size
    }

    /// Numbers of a state of all samples.
    fn slab(&self) -> usize {
        self.batch * self.size
    }

    /// The steps in the order of the run.
    fn places(&self) -> impl DoubleEndedIterator<Item = Place> {
        let (steps, reverse) = (self.steps, self.reverse);
        let at = move |index: usize| if reverse { steps - 1 - index } else { index };
        (0..steps).map(move |index| (at(index), index.checked_sub(1).map(at)))
    }

    /// Calls `job` with the samples of every thread.
    fn share(&self, job: impl Fn(Range<usize>) + Sync) {
        let work = self.steps * self.batch * self.width() * self.size;
        let jobs = rayon::current_num_threads().min(work.div_ceil(JOB)).max(1);
        let each = self.batch.div_ceil(jobs).next_multiple_of(LINES);
        let range = |first: usize| first..self.batch.min(first + each);
        if each >= self.batch {
            job(0..self.batch);
        } else {
            jobs::run(self.batch.div_ceil(each), |index| job(range(index * each)));
        }
    }

    /// Runs the layer. `gates [T, B, G H]` hold what comes from the input and get the activated gates; `state [S, B, H]`
    /// is the first state.
    pub(super) fn forward(&self, gates: &mut [f32], hidden: Hidden<'_>, state: &[f32]) -> Ran {
        let (size, width) = (self.size, self.width());
        let weight = View::rows(hidden.weight, size).transposed();
        Packed::with(weight, [size, width], |packed| self.forward_with(packed, gates, hidden.bias, state))
    }

    fn forward_with(&self, packed: &Packed<'_>, gates: &mut [f32], bias: &[f32], state: &[f32]) -> Ran {
        let width = self.width();
        let gates = SharedOutput::of(gates);
        let slabs = self.steps + self.cell.states() - 1;
        let mut kept = Vec::new();
        let run = |output: SharedOutput<'_>| {
            let work = |kept: SharedOutput<'_>| {
                self.share(|samples| {
                    let memory = [gates, output, kept];
                    with_scratch(samples.len() * width, |scratch| {
                        for place in self.places() {
                            // SAFETY: every sample belongs to one job.
                            unsafe {
                                self.step(place, samples.clone(), packed, bias, memory, state, scratch);
                            }
                        }
                    });
                });
            };
            // SAFETY: every step writes what is kept of all samples.
            kept = unsafe { filled(self.steps * self.slab(), work) };
            if self.cell == Cell::Lstm {
                let last = self.places().next_back().map(|(step, _)| step * self.slab());
                let cell = last.map_or(&state[self.slab()..], |first| &kept[first..]);
                // SAFETY: nobody else has the output now.
                let target = unsafe { output.strided(self.steps * self.slab(), self.slab(), 1) };
                target.write(&cell[..self.slab()], 0.0);
            }
        };
        // SAFETY: every step writes the outputs of all samples, and the last cell is written after them.
        let output = unsafe { filled(slabs * self.slab(), run) };
        Ran { output, kept }
    }

    /// A step of some samples; `memory` holds gates, outputs and what is kept.
    ///
    /// # Safety
    /// Nobody else may touch these samples, and the steps before this one have been run.
    #[allow(clippy::too_many_arguments)] // a step has that many sides
    unsafe fn step(
        &self,
        (step, before): Place,
        samples: Range<usize>,
        packed: &Packed<'_>,
        bias: &[f32],
        [gates, output, kept]: [SharedOutput<'_>; 3],
        state: &[f32],
        hidden: &mut [f32],
    ) {
        let (size, width) = (self.size, self.width());
        let first = samples.start * size;
        let len = samples.len() * size;
        // SAFETY: by contract.
        unsafe {
            let previous = match before {
                Some(before) => read(output, before * self.slab() + first, len),
                None => &state[first..first + len],
            };
            let target = Target::new(hidden, [samples.len(), width], width);
            let onto = if bias.is_empty() { Onto::Zero } else { Onto::Bias(bias) };
            packed.multiply(View::rows(previous, size), target, onto);
            let cells = match (self.cell, before) {
                (Cell::Gru, _) => previous,
                (Cell::Lstm, Some(before)) => read(kept, before * self.slab() + first, len),
                (Cell::Lstm, None) => &state[self.slab() + first..][..len],
            };
            for (row, sample) in samples.enumerate() {
                let place = step * self.batch + sample;
                let gates = write(gates, place * width, width);
                let kept = write(kept, place * size, size);
                let output = write(output, place * size, size);
                let (hidden, cells) = (&hidden[row * width..][..width], &cells[row * size..][..size]);
                match self.cell {
                    Cell::Lstm => lstm(gates, hidden, cells, kept, output),
                    Cell::Gru => gru(gates, hidden, cells, kept, output),
                }
            }
        }
    }

    /// Walks back through a run: `gates`, activated, get the gradients of what came from the input; `kept` is what the run
    /// kept, `output` its outputs, `gradient` theirs.
    pub(super) fn backward(
        &self,
        gates: &mut [f32],
        kept: &mut [f32],
        hidden: Hidden<'_>,
        state: &[f32],
        [output, gradient]: [&[f32]; 2],
    ) -> Slopes {
        let (size, plain) = (self.size, self.plain());
        let weight = View::rows(hidden.weight, size);
        let last = weight.at(plain, 0);
        let state_slope = Packed::with(weight, [plain, size], |packed| {
            Packed::with(last, [self.width() - plain, size], |rest| {
                self.walk_back([&mut *gates, &mut *kept], [packed, rest], state, [output, gradient])
            })
        });
        let mut weight = self.weight_slope(View::rows(gates, self.width()), plain, state, output);
        let mut bias = if hidden.bias.is_empty() { Vec::new() } else { sum_rows(gates, self.width()) };
        if self.cell == Cell::Gru {
            weight.extend(self.weight_slope(View::rows(kept, size), size, state, output));
            bias.truncate(plain);
            if !hidden.bias.is_empty() {
                bias.extend(sum_rows(kept, size));
            }
        }
        Slopes { weight, bias, state: state_slope }
    }

    /// The walk through all steps; `packed` are the weights of the gates and of the one that stands apart. Gives the gradient
    /// of the first state.
    fn walk_back(
        &self,
        [gates, kept]: [&mut [f32]; 2],
        [packed, rest]: [&Packed<'_>; 2],
        state: &[f32],
        [output, gradient]: [&[f32]; 2],
    ) -> Vec<f32> {
        let size = self.size;
        let memory = [SharedOutput::of(gates), SharedOutput::of(kept)];
        let work = |slopes: SharedOutput<'_>| {
            self.share(|samples| {
                let (first, len) = (samples.start * size, samples.len() * size);
                with_scratch(2 * len, |carried| {
                    let (carried, cells) = carried.split_at_mut(len);
                    carried.fill(0.0);
                    if self.cell == Cell::Lstm {
                        cells.copy_from_slice(&gradient[self.steps * self.slab() + first..][..len]);
                    }
                    for place in self.places().rev() {
                        let at = place.0 * self.slab() + first;
                        carried.iter_mut().zip(&gradient[at..]).for_each(|(sum, value)| *sum += value);
                        let previous = match (self.cell, place.1) {
                            (Cell::Lstm, None) => &state[self.slab() + first..],
                            (Cell::Gru, None) => &state[first..],
                            (Cell::Gru, Some(before)) => &output[before * self.slab() + first..],
                            (Cell::Lstm, Some(before)) => {
                                // SAFETY: every sample belongs to one job.
                                unsafe { read(memory[1], before * self.slab() + first, len) }
                            }
                        };
                        // SAFETY: as above.
                        unsafe {
                            self.step_back(place.0, samples.clone(), memory, previous, [carried, cells])
                        };
                        // SAFETY: as above.
                        let [gates, kept] = unsafe { self.factors(place.0, &samples, memory) };
                        let target = Target::new(carried, [samples.len(), size], size);
                        if self.cell == Cell::Gru {
                            packed.multiply(gates, target, Onto::Target);
                            rest.multiply(kept, target, Onto::Target);
                        } else {
                            packed.multiply(gates, target, Onto::Zero);
                        }
                    }
                    // SAFETY: as above.
                    unsafe {
                        write(slopes, first, len).copy_from_slice(carried);
                        if self.cell == Cell::Lstm {
                            write(slopes, self.slab() + first, len).copy_from_slice(cells);
                        }
                    }
                });
            });
        };
        // SAFETY: the gradients of all samples' states are written.
        unsafe { filled(self.cell.states() * self.slab(), work) }
    }

    /// Numbers of the gates to which input and state are added alike: of a GRU, the last gate's part of the state's product
    /// has a gradient of its own, which lies in what was kept.
    fn plain(&self) -> usize {
        if self.cell == Cell::Gru { 2 * self.size } else { self.width() }
    }

    /// Walks some samples back through a step; `previous` are their cells (LSTM) or outputs (GRU) of the step before, and
    /// `carried` the gradients of output and cell.
    ///
    /// # Safety
    /// Nobody else may touch these samples.
    unsafe fn step_back(
        &self,
        step: usize,
        samples: Range<usize>,
        [gates, kept]: [SharedOutput<'_>; 2],
        previous: &[f32],
        [carried, cells]: [&mut [f32]; 2],
    ) {
        let (size, width) = (self.size, self.width());
        for (row, sample) in samples.enumerate() {
            let place = step * self.batch + sample;
            // SAFETY: by contract.
            let (gates, kept) =
                unsafe { (write(gates, place * width, width), write(kept, place * size, size)) };
            let part = row * size..(row + 1) * size;
            let previous = &previous[part.clone()];
            match self.cell {
                Cell::Lstm => lstm_back(gates, previous, kept, &carried[part.clone()], &mut cells[part]),
                Cell::Gru => gru_back(gates, previous, kept, &mut carried[part]),
            }
        }
    }

    /// What the state's weight was multiplied into, for some samples of a step: gates, and what was kept.
    ///
    /// # Safety
    /// Nobody may write these samples.
    unsafe fn factors<'a>(
        &self,
        step: usize,
        samples: &Range<usize>,
        [gates, kept]: [SharedOutput<'a>; 2],
    ) -> [View<'a>; 2] {
        let first = step * self.batch + samples.start;
        [(gates, self.width()), (kept, self.size)].map(|(memory, width)| {
            // SAFETY: by contract.
            View::rows(unsafe { read(memory, first * width, samples.len() * width) }, width)
        })
    }

    /// The gradient of some rows of the weight, `[rows, H]`, from those of what it made, `[T B, rows]`.
    fn weight_slope(&self, slopes: View<'_>, rows: usize, state: &[f32], output: &[f32]) -> Vec<f32> {
        if self.steps == 0 {
            return vec![0.0; rows * self.size];
        }
        // All steps but the first of the run met the output of a neighbour.
        let (later, earlier, first) = match self.reverse {
            true => (0, 1, self.steps - 1),
            false => (1, 0, 0),
        };
        let met = View::rows(output.get(earlier * self.slab()..).unwrap_or_default(), self.size);
        let left = slopes.at(later * self.batch, 0).transposed();
        let depth = (self.steps - 1) * self.batch;
        let mut sum = Products::one(left, met, [rows, self.size, depth], None).run(None);
        let left = slopes.at(first * self.batch, 0).transposed();
        let target = Target::new(&mut sum, [rows, self.size], self.size);
        multiply(Way::Tiles, left, View::rows(state, self.size), target, self.batch, Onto::Target);
        sum
    }
}

/// Numbers that were written before.
///
/// # Safety
/// They have been, and nobody writes them.
unsafe fn read(memory: SharedOutput<'_>, first: usize, len: usize) -> &[f32] {
    // SAFETY: by contract; `block` looks at the bounds.
    unsafe { std::slice::from_raw_parts(memory.block(first, [1, len], len), len) }
}

/// Numbers to be written, or read if they were before.
///
/// # Safety
/// Nobody else touches them.
#[allow(clippy::mut_from_ref)] // the memory is shared by contract
unsafe fn write(memory: SharedOutput<'_>, first: usize, len: usize) -> &mut [f32] {
    // SAFETY: by contract; `block` looks at the bounds.
    unsafe { std::slice::from_raw_parts_mut(memory.block(first, [1, len], len), len) }
}

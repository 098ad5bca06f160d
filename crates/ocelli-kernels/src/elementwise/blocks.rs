//! Expressions evaluated block by block, so that what lies between the leaves and the result never leaves the cache.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::function::{apply, combine, pull_back, pull_left, pull_right};
use super::program::{Node, Plan, Program, Spread};
use crate::jobs;
use crate::memory::{SharedOutput, as_uninit, assume_written, with_scratch};

/// Numbers of a block: those of a few nodes fit the nearest cache.
const BLOCK: usize = 2048;
/// The least numbers that make a job.
const JOB: usize = 8 * BLOCK;
/// The most jobs, each of which may hold sums for a spread leaf.
const JOBS: usize = 64;

/// The numbers of a leaf.
#[derive(Clone, Copy)]
pub(super) enum Leaf<'a> {
    /// Of the result's shape.
    Whole(&'a [f32]),
    /// To be spread over the result.
    Spread(&'a [f32], Spread),
    /// In the memory of the result, from which they are read before it is written.
    InPlace,
    /// Not there, since nothing uses them.
    Absent,
}

/// Ranges of the result that make a job each. They depend on its size alone.
fn jobs(len: usize) -> Vec<Range<usize>> {
    let job = len.div_ceil(JOBS).next_multiple_of(BLOCK).max(JOB);
    (0..len).step_by(job).map(|first| first..len.min(first + job)).collect()
}

/// Runs the jobs, on several threads if there are several, and gives what they give in their order.
fn run<R: Send>(len: usize, job: impl Fn(Range<usize>) -> R + Sync + Send) -> Vec<R> {
    let jobs = jobs(len);
    if jobs.len() == 1 {
        jobs.into_iter().map(job).collect()
    } else {
        jobs::map(jobs.len(), |index| job(jobs[index].clone()))
    }
}

fn blocks(job: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = job.end;
    job.step_by(BLOCK).map(move |first| first..end.min(first + BLOCK))
}

/// Writes the expression's value, all of it.
pub(super) fn forward(program: &Program, leaves: &[Leaf<'_>], output: SharedOutput<'_>) {
    run(program.len(), |job| {
        with_scratch(program.nodes.len() * BLOCK, |scratch| {
            for block in blocks(job) {
                let output = part(output, &block);
                forward_block(program, leaves, block, scratch, output);
            }
        });
    });
}

fn forward_block(
    program: &Program,
    leaves: &[Leaf<'_>],
    block: Range<usize>,
    scratch: &mut [f32],
    output: &mut [MaybeUninit<f32>],
) {
    let (values, root) = (Values { program, leaves, output: None, block }, program.nodes.len() - 1);
    for (index, node) in program.nodes.iter().enumerate() {
        let (lower, target) = values.split(scratch, index);
        match *node {
            Node::Leaf(leaf) if matches!(leaves[leaf], Leaf::InPlace) => {
                #[allow(unsafe_code)] // the output holds the leaf
                // SAFETY: the numbers of the leaf are there until the root is written, which is later.
                target.copy_from_slice(unsafe { assume_written(output) });
            }
            _ if index == root => values.step(*node, lower, output),
            _ => values.step(*node, lower, as_uninit(target)),
        }
    }
}

/// The values of an expression's nodes at a block.
struct Values<'a> {
    program: &'a Program,
    leaves: &'a [Leaf<'a>],
    /// The result, where it is kept.
    output: Option<&'a [f32]>,
    block: Range<usize>,
}

impl Values<'_> {
    /// The memory of the nodes before one, and its own.
    fn split<'b>(&self, scratch: &'b mut [f32], node: usize) -> (&'b [f32], &'b mut [f32]) {
        let (lower, upper) = scratch.split_at_mut(node * BLOCK);
        (lower, &mut upper[..self.block.len()])
    }

    /// A node's value, which lies in `scratch` unless it was there already.
    fn get<'b>(&'b self, node: usize, scratch: &'b [f32]) -> &'b [f32] {
        match (self.program.nodes[node], self.output) {
            (Node::Leaf(leaf), _) if let Leaf::Whole(values) = self.leaves[leaf] => {
                &values[self.block.clone()]
            }
            (_, Some(output)) if node + 1 == self.program.nodes.len() => &output[self.block.clone()],
            _ => &scratch[node * BLOCK..][..self.block.len()],
        }
    }

    /// Writes a node's value, given those below; a whole leaf's is there already.
    fn step(&self, node: Node, lower: &[f32], target: &mut [MaybeUninit<f32>]) {
        match node {
            Node::Leaf(leaf) => {
                if let Leaf::Spread(values, spread) = self.leaves[leaf] {
                    fill(values, spread, self.block.start, target);
                }
            }
            Node::Unary(function, source) => apply(function, self.get(source, lower), target),
            Node::Binary(operation, left, right) => {
                combine(operation, self.get(left, lower), self.get(right, lower), target);
            }
        }
    }
}

/// Sums of a job for a leaf that is spread: those from a first number on, in a circle.
pub(super) struct Partial {
    first: usize,
    sums: Vec<f32>,
}

impl Partial {
    fn new(spread: Spread, job: &Range<usize>) -> Self {
        let touched = job.len() / spread.inner.max(1) + 2;
        Self { first: job.start / spread.inner, sums: vec![0.0; touched.min(spread.count)] }
    }

    /// Adds the gradient of a block from `start` on.
    fn add(&mut self, spread: Spread, start: usize, gradient: &[f32]) {
        let len = self.sums.len();
        for (index, run) in runs(spread, start, gradient.len()) {
            let place = (index - self.first) % len;
            let values = &gradient[run];
            if spread.inner == 1 {
                // Neighbours belong to neighbours; a run may pass the end of the circle.
                let (head, tail) = values.split_at(values.len().min(len - place));
                for (place, values) in [(place, head), (0, tail)] {
                    let sums = self.sums[place..].iter_mut();
                    sums.zip(values).for_each(|(sum, value)| *sum += value);
                }
            } else {
                self.sums[place] += ocelli_simd::lanes::sum(&mut std::iter::once(values));
            }
        }
    }
}

/// The gradient of a spread leaf: the sums of all jobs, added in their order.
pub(super) fn collect(spread: Spread, partials: impl Iterator<Item = Partial>) -> Vec<f32> {
    let mut sums = vec![0.0_f64; spread.count];
    for partial in partials {
        for (offset, value) in partial.sums.into_iter().enumerate() {
            sums[(partial.first + offset) % spread.count] += f64::from(value);
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// The runs of a block of `len` numbers from `start` on: the number, not yet turned round the circle, that a run begins
/// with, and the run's place in the block. A run is all of one number, or, where each stands for one, goes as far
/// as the circle.
fn runs(spread: Spread, start: usize, len: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let stride = if spread.inner == 1 { spread.count } else { spread.inner };
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = at;
        let index = start + first;
        at = len.min(first + stride - index % stride);
        (first < len).then(|| (index / spread.inner, first..at))
    })
}

/// Writes a block from `start` on of numbers that are spread.
fn fill(values: &[f32], spread: Spread, start: usize, target: &mut [MaybeUninit<f32>]) {
    for (index, run) in runs(spread, start, target.len()) {
        let place = index % spread.count;
        let target = &mut target[run];
        if spread.inner == 1 {
            target.write_copy_of_slice(&values[place..][..target.len()]);
        } else {
            target.fill(MaybeUninit::new(values[place]));
        }
    }
}

/// A block of an output.
///
/// Blocks are visited once, by one thread, which lets go of a part before it takes it again.
fn part<'a>(output: SharedOutput<'a>, block: &Range<usize>) -> &'a mut [MaybeUninit<f32>] {
    #[allow(unsafe_code)] // threads write different blocks of one memory
    // SAFETY: no two parts of one block are alive, as said above.
    unsafe { output.strided(block.start, block.len(), 1) }.memory()
}

/// What the backward step works on.
pub(super) struct Backward<'a> {
    pub(super) program: &'a Program,
    pub(super) plan: &'a Plan,
    pub(super) leaves: &'a [Leaf<'a>],
    /// The result, where it is kept.
    pub(super) output: Option<&'a [f32]>,
    /// The gradient of the result; `None` if it lies in the memory of the first gradient that is written.
    pub(super) gradient: Option<&'a [f32]>,
}

impl Backward<'_> {
    /// Writes the gradients of the wanted leaves that are whole into `outputs`, all of them, and returns for each job the
    /// sums for those that are spread.
    pub(super) fn run(&self, outputs: &[Option<SharedOutput<'_>>]) -> Vec<Vec<Option<Partial>>> {
        let (nodes, operands) = (self.program.nodes.len(), &self.program.operands);
        let leftmost = self.program.leftmost();
        run(self.program.len(), |job| {
            let partial = |(operand, wanted): (&super::program::Operand, &bool)| {
                operand.spread.filter(|_| *wanted).map(|spread| Partial::new(spread, &job))
            };
            let mut partials: Vec<_> = operands.iter().zip(&self.plan.wanted).map(partial).collect();
            with_scratch((nodes + operands.len()) * BLOCK, |scratch| {
                let (values, gradients) = scratch.split_at_mut(nodes * BLOCK);
                for block in blocks(job.clone()) {
                    self.block(&leftmost, block, values, gradients, outputs, &mut partials);
                }
            });
            partials
        })
    }

    fn block(
        &self,
        leftmost: &[usize],
        block: Range<usize>,
        scratch: &mut [f32],
        gradients: &mut [f32],
        outputs: &[Option<SharedOutput<'_>>],
        partials: &mut [Option<Partial>],
    ) {
        let Self { program, plan, leaves, output, .. } = *self;
        let values = Values { program, leaves, output, block: block.clone() };
        for (index, node) in program.nodes.iter().enumerate() {
            let is_root = index + 1 == program.nodes.len();
            if plan.used[index] && !(is_root && plan.keeps_output) {
                let (lower, target) = values.split(scratch, index);
                values.step(*node, lower, as_uninit(target));
            }
        }
        let given = match (self.gradient, outputs.iter().flatten().next()) {
            (Some(gradient), _) => &gradient[block.clone()],
            (None, Some(first)) => {
                #[allow(unsafe_code)] // the first output holds the gradient
                // SAFETY: the gradient's numbers are there until the block is written, which is later.
                unsafe {
                    assume_written(part(*first, &block))
                }
            }
            (None, None) => unreachable!("a gradient in the memory of an output that is not there"),
        };
        gradients[..block.len()].copy_from_slice(given);
        self.walk_back(leftmost, &values, scratch, gradients);
        for (leaf, gradient) in gradients.chunks_exact(BLOCK).enumerate() {
            let gradient = &gradient[..block.len()];
            if let Some(output) = outputs[leaf] {
                part(output, &block).write_copy_of_slice(gradient);
            }
            if let (Some(partial), Some(spread)) = (&mut partials[leaf], program.operands[leaf].spread) {
                partial.add(spread, block.start, gradient);
            }
        }
    }

    /// Makes the gradients of the leaves of that of the result. A node's gradient lies at its leftmost leaf's place.
    fn walk_back(&self, leftmost: &[usize], values: &Values<'_>, scratch: &[f32], gradients: &mut [f32]) {
        let (plan, len) = (self.plan, values.block.len());
        let value = |node: usize, is_used: bool| if is_used { values.get(node, scratch) } else { &[] };
        for (index, node) in self.program.nodes.iter().enumerate().rev() {
            match *node {
                Node::Unary(function, source) if plan.leads[source] => {
                    let uses = function.uses();
                    let (x, y) = (value(source, uses.input), value(index, uses.output));
                    pull_back(function, x, y, &mut gradients[leftmost[index] * BLOCK..][..len]);
                }
                Node::Binary(operation, left, right) => {
                    let leads = [plan.leads[left], plan.leads[right]];
                    let uses = operation.uses(leads);
                    let (x, y, output) = (value(left, uses[0]), value(right, uses[1]), value(index, uses[2]));
                    let (lower, upper) = gradients.split_at_mut(leftmost[right] * BLOCK);
                    let gradient = &mut lower[leftmost[index] * BLOCK..][..len];
                    if leads[1] {
                        pull_right(operation, [x, y, output], gradient, as_uninit(&mut upper[..len]));
                    }
                    if leads[0] {
                        pull_left(operation, y, gradient);
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_a_block() {
        let spread = |count, inner| Spread { count, inner };
        let list = |spread, start, len| runs(spread, start, len).collect::<Vec<_>>();
        assert_eq!(list(spread(3, 1), 4, 5), [(4, 0..2), (6, 2..5)]);
        assert_eq!(list(spread(3, 4), 6, 7), [(1, 0..2), (2, 2..6), (3, 6..7)]);
        assert_eq!(list(spread(1, 100), 6, 7), [(0, 0..7)]);
        assert_eq!(list(spread(1, 1), 6, 2), [(6, 0..1), (7, 1..2)]);
    }
}

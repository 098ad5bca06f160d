//! How the words that every result reads are cut into rows of tiles.

use super::{Run, SIDE, WORD};

/// The words of pixels and the rows of filters of one multiplication of tiles, from the first of each on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Step {
    pub(super) pixel: usize,
    pub(super) filter: usize,
}

/// Steps of the same number of words.
#[derive(Debug)]
pub(super) struct Pass {
    /// Words of a step.
    pub(super) words: usize,
    pub(super) steps: Vec<Step>,
    /// Words from the start of a pixel to the end of what the steps read of it.
    pub(super) reach: usize,
    /// Rows of filters up to the last that is read.
    pub(super) depth: usize,
}

/// The passes over some pieces of runs, with filters of `lanes` lanes. A run is cut as evenly as it can be, so that most
/// convolutions have the same words in all their steps, and a single pass.
pub(super) fn passes(pieces: &[(usize, Vec<Run>)], lanes: usize) -> Vec<Pass> {
    let mut passes = Vec::new();
    for (before, runs) in pieces {
        let mut of_piece: Vec<Pass> = Vec::new();
        let mut depth = *before;
        for run in runs {
            let count = run.len.div_ceil(SIDE);
            let mut offset = run.offset;
            for index in 0..count {
                let words = run.len / count + usize::from(index < run.len % count);
                let step = Step { pixel: offset * WORD, filter: depth * lanes * WORD };
                (offset, depth) = (offset + words, depth + words);
                let pass = match of_piece.iter_mut().find(|pass| pass.words == words) {
                    Some(pass) => pass,
                    None => of_piece.push_mut(Pass { words, steps: Vec::new(), reach: 0, depth: 0 }),
                };
                pass.steps.push(step);
                pass.reach = pass.reach.max(offset);
                pass.depth = pass.depth.max(depth);
            }
        }
        passes.append(&mut of_piece);
    }
    passes
}

//! One query's way through the tables.

use super::MultiIndex;
use super::table::{Table, patterns};
use crate::hamming::select::Collect;
use crate::hamming::{Codes, number};
use crate::kernels::hamming::Instructions;

/// Nanoseconds to look a value up, to compare a code found so, and to compare a word of a code in the scan. Only their
/// ratios matter, and what they decide is which of two ways to the same answer is taken.
const LOOKUP: f64 = 2.0;
const CANDIDATE: f64 = 5.0;
const WORD: f64 = 0.12;

/// Values that are looked up before their codes are compared, so that reads from memory overlap.
const BATCH: usize = 128;

/// Room that queries use one after another.
#[derive(Default)]
pub(super) struct Room {
    ranges: Vec<(u32, u32)>,
    candidates: Vec<u32>,
    hits: Vec<u64>,
}

/// One query.
pub(super) struct Probe<'a> {
    index: &'a MultiIndex,
    instructions: Instructions,
    /// The query's words, and its values of the substrings.
    words: Vec<u64>,
    values: Vec<u32>,
    /// The cost after which it gives up.
    budget: f64,
}

impl<'a> Probe<'a> {
    /// Of query `number`, giving up after `patience` times the cost of a scan.
    pub(super) fn new(index: &'a MultiIndex, queries: &Codes, number: usize, patience: f64) -> Self {
        let words: Vec<u64> = queries.words_of(number).collect();
        let values = index.tables.iter().map(|table| table.substring.of(queries, number)).collect();
        let budget = patience * WORD * (words.len() * index.codes.len()) as f64;
        Self { index, instructions: Instructions::detect(), words, values, budget }
    }

    /// All that `collector` asks for, or, having given up, the distance from which on codes are of no use.
    pub(super) fn run<C: Collect>(&self, mut collector: C, room: &mut Room) -> Result<Vec<u64>, u32> {
        let (tables, count) = (&self.index.tables, self.index.codes.len() as f64);
        let mut spent = 0.0;
        // The longest substring is the first.
        for distance in 0..=tables[0].substring.len {
            for (t, table) in tables.iter().enumerate() {
                if collector.is_complete(tables.len() as u32 * distance + t as u32) {
                    return Ok(collector.finish());
                }
                let values = table.substring.values_at(distance);
                // Were values equally frequent; where they are not, what is found counts after all.
                let expected = values * count / f64::from(table.substring.len).exp2();
                if spent + values * LOOKUP + expected * CANDIDATE > self.budget {
                    return Err(collector.limit());
                }
                let candidates = self.look_up(table, (distance, t), &mut collector, room);
                spent += values * LOOKUP + candidates as f64 * CANDIDATE;
            }
        }
        Ok(collector.finish())
    }

    /// Takes all codes whose substring `t` differs from the query's in `distance` bits; says how many there were.
    fn look_up<C: Collect>(
        &self,
        table: &Table,
        (distance, t): (u32, usize),
        collector: &mut C,
        room: &mut Room,
    ) -> usize {
        let mut patterns = patterns(table.substring.len, distance).peekable();
        let mut candidates = 0;
        while patterns.peek().is_some() {
            room.ranges.clear();
            room.ranges.extend(patterns.by_ref().take(BATCH).map(|p| table.range(self.values[t] ^ p)));
            room.candidates.clear();
            for range in room.ranges.iter().filter(|(start, end)| start < end) {
                room.candidates.extend_from_slice(table.numbers(*range));
            }
            candidates += room.candidates.len();
            for part in room.candidates.chunks(BATCH) {
                room.hits.clear();
                let blocks = self.index.codes.blocks();
                self.instructions.nearer_of(&self.words, blocks, collector.limit(), part, &mut room.hits);
                room.hits.retain(|key| self.is_first_met(number(*key), (distance, t)));
                collector.take(&room.hits);
            }
        }
        candidates
    }

    /// Whether a code that is met at `distance` in substring `t` was not met before, in another substring.
    fn is_first_met(&self, number: u32, met: (u32, usize)) -> bool {
        let before = |(t, (table, value)): (usize, (&Table, &u32))| {
            let differing = table.substring.of(&self.index.codes, number as usize) ^ value;
            (differing.count_ones(), t) < met
        };
        !self.index.tables.iter().zip(&self.values).enumerate().any(before)
    }
}

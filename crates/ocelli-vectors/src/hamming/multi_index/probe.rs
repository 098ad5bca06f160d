//! One query's way through the tables.

use std::sync::{Mutex, PoisonError};

use super::MultiIndex;
use super::table::patterns;
use crate::hamming::Codes;
use crate::hamming::select::Collect;
use crate::kernels::hamming::Instructions;

/// Nanoseconds to look a value up, mostly spent waiting for memory.
const LOOKUP: f64 = 12.0;
/// Nanoseconds to fetch and compare a code found so, and for each of its words.
const CANDIDATE: f64 = 40.0;
const CANDIDATE_WORD: f64 = 4.0;
/// Nanoseconds to take a code that is near enough.
const HIT: f64 = 10.0;
/// Nanoseconds to compare a word of a code in the scan. Only the ratios of all these matter, and what they decide is which
/// of two ways to the same answer is taken.
const SCANNED_WORD: f64 = 0.11;

/// Values that are looked up before their codes are compared, so that reads from memory overlap.
const BATCH: usize = 128;

/// Room that queries use one after another.
#[derive(Default)]
pub(super) struct Room {
    ranges: Vec<(u32, u32)>,
    candidates: Vec<u32>,
    hits: Vec<u64>,
    /// The codes that the query has met: a bit each, and their numbers.
    met: Vec<u64>,
    numbers: Vec<u32>,
}

impl Room {
    /// As before the first query, of `count` codes.
    fn clear(&mut self, count: usize) {
        self.met.resize(count.div_ceil(64), 0);
        self.numbers.drain(..).for_each(|number| self.met[number as usize / 64] = 0);
    }

    /// Leaves of the candidates those that are met for the first time.
    fn only_new(&mut self) {
        self.candidates.retain(|number| {
            let (word, bit) = (&mut self.met[*number as usize / 64], 1 << (number % 64));
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        });
        self.numbers.extend_from_slice(&self.candidates);
    }
}

/// A room for each query that is under way.
#[derive(Default)]
pub(super) struct Rooms(Mutex<Vec<Room>>);

impl Rooms {
    /// Runs a query in one of the rooms.
    pub(super) fn with<T>(&self, query: impl FnOnce(&mut Room) -> T) -> T {
        let rooms = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = rooms().pop().unwrap_or_default();
        let found = query(&mut room);
        rooms().push(room);
        found
    }
}

/// One query.
pub(super) struct Probe<'a> {
    index: &'a MultiIndex,
    instructions: Instructions,
    /// The query's words, and its values of the substrings.
    words: Vec<u64>,
    values: Vec<u32>,
    /// The share of the cost of a scan after which it gives up.
    patience: f64,
}

impl<'a> Probe<'a> {
    /// Of query `number`, giving up after `patience` times the cost of a scan.
    pub(super) fn new(index: &'a MultiIndex, queries: &Codes, number: usize, patience: f64) -> Self {
        let words: Vec<u64> = queries.words_of(number).collect();
        let values = index.tables.iter().map(|table| table.substring.of(queries, number)).collect();
        Self { index, instructions: Instructions::detect(), words, values, patience }
    }

    /// All that `collector` asks for, or, having given up, the distance from which on codes are of no use.
    pub(super) fn run<C: Collect>(&self, mut collector: C, room: &mut Room) -> Result<Vec<u64>, u32> {
        let (tables, count) = (&self.index.tables, self.index.codes.len());
        let candidate = CANDIDATE + CANDIDATE_WORD * self.words.len() as f64;
        let (budget, mut spent) = (self.patience * self.scan_cost(collector.limit()), 0.0);
        room.clear(count);
        // The longest substring is the first.
        for distance in 0..=tables[0].substring.len {
            for (t, table) in tables.iter().enumerate() {
                if collector.is_complete(tables.len() as u32 * distance + t as u32) {
                    return Ok(collector.finish());
                }
                let values = table.substring.values_at(distance);
                // Were values equally frequent; where they are not, what is found counts after all.
                let expected = values * count as f64 / f64::from(table.substring.len).exp2();
                if spent + values * LOOKUP + expected * candidate > budget {
                    return Err(collector.limit());
                }
                let (candidates, hits) = self.look_up(t, distance, &mut collector, room);
                spent += values * LOOKUP + candidates as f64 * candidate + hits as f64 * HIT;
            }
        }
        Ok(collector.finish())
    }

    /// What a scan costs that looks for codes nearer than `limit`. It leaves a long code as soon as it differs in so many
    /// bits: half of them do, in codes that have nothing to do with one another.
    fn scan_cost(&self, limit: u32) -> f64 {
        let words = self.words.len().min(limit as usize / 32 + 4);
        SCANNED_WORD * (words * self.index.codes.len()) as f64
    }

    /// Takes all codes whose substring `t` differs from the query's in `distance` bits; says how many there were, and how
    /// many of them were near enough.
    fn look_up<C: Collect>(
        &self,
        t: usize,
        distance: u32,
        collector: &mut C,
        room: &mut Room,
    ) -> (usize, usize) {
        let (table, value) = (&self.index.tables[t], self.values[t]);
        let mut patterns = patterns(table.substring.len, distance).peekable();
        let (mut candidates, mut hits) = (0, 0);
        while patterns.peek().is_some() {
            room.ranges.clear();
            room.ranges.extend(patterns.by_ref().take(BATCH).map(|p| table.range(value ^ p)));
            room.candidates.clear();
            for range in room.ranges.iter().filter(|(start, end)| start < end) {
                room.candidates.extend_from_slice(table.numbers(*range));
            }
            candidates += room.candidates.len();
            room.only_new();
            for part in room.candidates.chunks(BATCH) {
                room.hits.clear();
                let codes = self.index.rows();
                self.instructions.nearer_of(&self.words, codes, collector.limit(), part, &mut room.hits);
                hits += room.hits.len();
                collector.take(&room.hits);
            }
        }
        (candidates, hits)
    }
}

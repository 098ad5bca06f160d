//! Multi-index hashing: exact search in tables of the code's parts.
//!
//! Norouzi, Punjani and Fleet: "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012. A code is divided into m
//! substrings. Two codes that differ in at most m a + s bits differ in at most a bits in one of the first s + 1 substrings
//! or in at most a - 1 bits in one of the others, for if not, they differ in (s + 1)(a + 1) + (m - s - 1) a = m a + s + 1
//! bits at least. So looking up all values within a and a - 1 bits of the query's substrings finds all codes within
//! m a + s bits, and a search takes the substrings in turns, with a growing, until what it has found cannot be bettered.

mod probe;
mod table;

use std::ops::{Range, RangeInclusive};

use rayon::prelude::*;

use super::scan::{check, scan};
use super::select::{Collect, Nearest, Within};
use super::{Codes, HammingError, Neighbours, Result};
use probe::{Probe, Rooms};
use table::{Substring, Table};

/// The longest substring.
pub const MAX_SUBSTRING: u32 = 26;

/// Queries of a batch after which it is known whether looking up pays.
const TRIAL: usize = 16;

/// Codes with tables of their substrings.
///
/// A search looks up and compares until that should have cost as much as comparing all codes, then compares all codes; so
/// a query takes at most two to three times as long as by [`Codes::nearest`], and one of a batch most of which end so takes
/// about as long. Looking up is faster where the neighbours asked for lie within about `bits / 7` bits in a million codes,
/// which is so for near duplicates and for learned codes with many equal ones, but not for the ten nearest of random codes.
#[derive(Clone, Debug)]
pub struct MultiIndex {
    codes: Codes,
    /// The codes one after another, `[N, words]`, so that a code lies in one place of the memory. Empty where a code is a
    /// word, for then blocks are the same.
    rows: Vec<u64>,
    tables: Vec<Table>,
}

/// What an index is made from, to be stored: the tables follow from it, and are made anew faster than they could be
/// checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The length of a code.
    pub bits: usize,
    /// The number of codes.
    pub count: usize,
    /// The number of substrings.
    pub substrings: usize,
    /// The codes, packed: [`Codes::to_bytes`].
    pub codes: Vec<u8>,
}

impl MultiIndex {
    /// With as many substrings as suit the number of codes N: `bits / log2 N`, so that a value has about one code.
    pub fn new(codes: Codes) -> Result<Self> {
        let substrings = suitable(codes.bits(), codes.len());
        Self::with_substrings(codes, substrings)
    }

    /// With a given number of substrings. Each has 4 bits at least, for each costs four bytes a code, and so few that its
    /// table of 2^(bits / substrings) entries has not many more of them than there are codes.
    pub fn with_substrings(codes: Codes, substrings: usize) -> Result<Self> {
        let possible = possible(codes.bits(), codes.len());
        if !possible.contains(&substrings) {
            let (least, most) = possible.into_inner();
            let wanted = format!("from {least} to {most} for {} codes of {} bits", codes.len(), codes.bits());
            return Err(HammingError::Setting { key: "substrings", value: substrings, wanted });
        }
        let parts = Substring::divide(codes.bits(), substrings);
        let tables = parts.into_par_iter().map(|part| Table::new(&codes, part)).collect();
        let rows = if codes.words() == 1 { Vec::new() } else { codes.to_rows() };
        Ok(Self { codes, rows, tables })
    }

    /// The codes.
    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    /// The codes alone, the tables given up.
    pub fn into_codes(self) -> Codes {
        self.codes
    }

    /// The number of substrings.
    pub fn substrings(&self) -> usize {
        self.tables.len()
    }

    /// Bytes in memory beside the codes: tables, and codes of more than 64 bits once more in another order.
    pub fn table_bytes(&self) -> usize {
        size_of_val(&self.rows[..]) + self.tables.iter().map(Table::bytes).sum::<usize>()
    }

    /// The codes one after another, `[N, words]`.
    fn rows(&self) -> &[u64] {
        if self.codes.words() == 1 { self.codes.blocks() } else { &self.rows }
    }

    /// What is to be stored.
    pub fn to_parts(&self) -> Parts {
        Parts {
            bits: self.codes.bits(),
            count: self.codes.len(),
            substrings: self.substrings(),
            codes: self.codes.to_bytes(),
        }
    }

    /// An index from what was stored, checked as any input is.
    pub fn from_parts(parts: &Parts) -> Result<Self> {
        let codes = Codes::from_bytes(&parts.codes, parts.bits)?;
        if codes.len() != parts.count {
            return Err(HammingError::Count { found: codes.len(), wanted: parts.count });
        }
        Self::with_substrings(codes, parts.substrings)
    }

    /// For each query the `k` nearest codes, or all where there are fewer: what [`Codes::nearest`] gives.
    pub fn nearest(&self, queries: &Codes, k: usize) -> Result<Neighbours> {
        check(&self.codes, queries, k)?;
        let (k, bits) = (k.min(self.codes.len()), self.codes.bits());
        let probing = || Nearest::in_any_order(k, bits);
        Ok(self.search(queries, &probing, &|limit| Nearest::by_number(k, bits).limited(limit), 1.0))
    }

    /// For each query all codes that differ from it in at most `radius` bits: what [`Codes::within`] gives.
    pub fn within(&self, queries: &Codes, radius: u32) -> Result<Neighbours> {
        self.codes.same_bits("queries", queries)?;
        let probing = || Within::in_any_order(radius);
        Ok(self.search(queries, &probing, &|_| Within::by_number(radius), 1.0))
    }

    /// Looks up with the collectors of `probing`, for up to `patience` times the cost of a scan, and scans for the queries
    /// that have not ended then, with those of `scanning`, which are told from which distance on codes are of no use.
    fn search<C: Collect>(
        &self,
        queries: &Codes,
        probing: &(impl Fn() -> C + Sync),
        scanning: &(impl Fn(u32) -> C + Sync),
        patience: f64,
    ) -> Neighbours {
        if self.codes.is_empty() {
            return Neighbours::from_keys(&vec![Vec::new(); queries.len()]);
        }
        let rooms = Rooms::default();
        let run = |q| rooms.with(|room| Probe::new(self, queries, q, patience).run(probing(), room));
        let probe = |range: Range<usize>| range.into_par_iter().map(run).collect::<Vec<_>>();
        let trial = queries.len().min(TRIAL);
        let mut found = probe(0..trial);
        // With half of them ending in vain, looking up and scanning for those costs as much as scanning for all.
        if found.iter().filter(|found| found.is_ok()).count() * 2 > trial {
            found.extend(probe(trial..queries.len()));
        }
        found.resize(queries.len(), Err(u32::MAX));
        let left: Vec<(usize, u32)> =
            (0..).zip(&found).filter_map(|(q, found)| Some((q, *found.as_ref().err()?))).collect();
        let numbers: Vec<usize> = left.iter().map(|(q, _)| *q).collect();
        let scanned = scan(&self.codes, queries, &numbers, &|i| scanning(left[i].1));
        for (q, keys) in numbers.into_iter().zip(scanned) {
            found[q] = Ok(keys);
        }
        let keys: Vec<Vec<u64>> = found.into_iter().map(Result::unwrap_or_default).collect();
        Neighbours::from_keys(&keys)
    }
}

/// The number of substrings for `count` codes of `bits` bits.
fn suitable(bits: usize, count: usize) -> usize {
    let len = (count.max(2) as f64).log2().max(8.0);
    let (least, most) = possible(bits, count).into_inner();
    ((bits as f64 / len).round() as usize).clamp(least, most)
}

/// The numbers of substrings that are possible.
fn possible(bits: usize, count: usize) -> RangeInclusive<usize> {
    let least = bits.div_ceil(longest(count) as usize);
    least..=least.max(bits / 4)
}

/// The longest substring whose table is worth its memory: four to eight entries a code.
fn longest(count: usize) -> u32 {
    (usize::BITS - count.leading_zeros() + 2).clamp(10, MAX_SUBSTRING)
}

#[cfg(test)]
mod tests;

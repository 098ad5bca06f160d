//! The best of many scores: a buffer that is cut down to what can still be among them whenever it is full.

use crate::kernels::lut::Hits;

/// Positions of one query's best scores so far.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    pub(super) hits: Hits,
    /// How many are wanted.
    keep: usize,
    /// The lowest score that can still be among them.
    pub(super) threshold: f32,
    keys: Vec<u64>,
}

impl Candidates {
    pub(super) fn new(keep: usize) -> Self {
        let capacity = 2 * keep + 2 * Hits::ROOM;
        let keys = Vec::with_capacity(capacity);
        Self { hits: Hits::with_capacity(capacity), keep, threshold: f32::NEG_INFINITY, keys }
    }

    /// Starts anew.
    pub(super) fn clear(&mut self) {
        self.hits.len = 0;
        self.threshold = f32::NEG_INFINITY;
    }

    /// Leaves the best `keep`, equal scores by position, and raises the threshold to the last of them.
    pub(super) fn cut(&mut self) {
        let hits = &mut self.hits;
        if hits.len <= self.keep {
            return;
        }
        self.keys.clear();
        let pairs = hits.scores[..hits.len].iter().zip(&hits.positions[..hits.len]);
        self.keys.extend(pairs.map(|(&score, &position)| key(score, position)));
        self.threshold = keep_best(&mut self.keys, self.keep);
        for (i, &key) in self.keys.iter().enumerate() {
            (hits.scores[i], hits.positions[i]) = unkey(key);
        }
        hits.len = self.keep;
    }

    /// The same with equal scores by what `rank` says of their positions.
    pub(super) fn cut_by<R: Ord>(&mut self, rank: impl Fn(u32) -> R) {
        let hits = &mut self.hits;
        if hits.len <= self.keep {
            return;
        }
        let pairs = hits.scores[..hits.len].iter().zip(&hits.positions[..hits.len]);
        let mut pairs: Vec<(f32, u32)> = pairs.map(|(&score, &position)| (score, position)).collect();
        let order =
            |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then_with(|| rank(a.1).cmp(&rank(b.1)));
        self.threshold = pairs.select_nth_unstable_by(self.keep - 1, order).1.0;
        for (i, (score, position)) in pairs.into_iter().take(self.keep).enumerate() {
            (hits.scores[i], hits.positions[i]) = (score, position);
        }
        hits.len = self.keep;
    }

    /// Forgets hits from the place `from` on whose position is not wanted.
    pub(super) fn retain(&mut self, from: usize, wanted: impl Fn(u32) -> bool) {
        let hits = &mut self.hits;
        let mut kept = from;
        for i in from..hits.len {
            if wanted(hits.positions[i]) {
                (hits.scores[kept], hits.positions[kept]) = (hits.scores[i], hits.positions[i]);
                kept += 1;
            }
        }
        hits.len = kept;
    }
}

/// Small for high scores, and for low positions among equal ones.
pub(super) fn key(score: f32, position: u32) -> u64 {
    let bits = score.to_bits();
    // Floating-point numbers in the order of unsigned integers.
    let rising = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(!rising) << 32 | u64::from(position)
}

pub(super) fn unkey(key: u64) -> (f32, u32) {
    let rising = !((key >> 32) as u32);
    let bits = if rising >> 31 == 1 { rising & !(1 << 31) } else { !rising };
    (f32::from_bits(bits), key as u32)
}

/// Leaves the `most` smallest keys, those of the best, in any order; gives the lowest score that can still be among them.
pub(super) fn keep_best(keys: &mut Vec<u64>, most: usize) -> f32 {
    if keys.len() <= most {
        return f32::NEG_INFINITY;
    }
    let (_, &mut last, _) = keys.select_nth_unstable(most - 1);
    keys.truncate(most);
    unkey(last).0
}

/// Keys of the `most` highest ranks, equal ones by number: those that reach the lowest kept so far are collected, and the
/// collection is cut down whenever it has grown to twice its size.
pub(super) fn best_ranks(ranks: &[f32], most: usize, keys: &mut Vec<u64>) {
    /// Ranks that are compared at once.
    const SIDE: usize = 32;
    keys.clear();
    if most >= ranks.len() {
        keys.extend(ranks.iter().enumerate().map(|(number, &rank)| key(rank, number as u32)));
        return;
    }
    let mut threshold = f32::NEG_INFINITY;
    // As many groups as ranks are wanted have one at least as high as their lowest maximum.
    if ranks.len() / SIDE > 2 * most {
        let maximum = |ranks: &[f32; SIDE]| {
            key(ranks.iter().fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a }), 0)
        };
        keys.extend(ranks.as_chunks::<SIDE>().0.iter().map(maximum));
        threshold = keep_best(keys, most);
        keys.clear();
    }
    for (group, ranks) in ranks.chunks(SIDE).enumerate() {
        if !ranks.iter().fold(false, |any, rank| any | (*rank >= threshold)) {
            continue;
        }
        let high = ranks.iter().enumerate().filter(|(_, rank)| **rank >= threshold);
        keys.extend(high.map(|(i, &rank)| key(rank, (group * SIDE + i) as u32)));
        if keys.len() >= 2 * most + SIDE / 2 {
            threshold = keep_best(keys, most);
        }
    }
    keep_best(keys, most);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_ranks_are_those_of_a_sort(
            ranks in prop::collection::vec(-9i8..10, 1..900), most in 1usize..40,
        ) {
            let ranks: Vec<f32> = ranks.into_iter().map(f32::from).collect();
            let mut all: Vec<u64> = ranks.iter().enumerate().map(|(i, rank)| key(*rank, i as u32)).collect();
            all.sort_unstable();
            all.truncate(most);
            let mut keys = Vec::new();
            best_ranks(&ranks, most, &mut keys);
            keys.sort_unstable();
            prop_assert_eq!(keys, all);
        }

        #[test]
        fn keys_order_as_scores_and_positions(a in -1e30f32..1e30, b in -1e30f32..1e30, p: u32, q: u32) {
            prop_assert_eq!(unkey(key(a, p)), (a, p));
            let expected = b.total_cmp(&a).then(p.cmp(&q));
            prop_assert_eq!(key(a, p).cmp(&key(b, q)), expected);
        }

        #[test]
        fn a_cut_leaves_the_best(scores in prop::collection::vec(-4i8..5, 0..200), keep in 1usize..40) {
            let mut candidates = Candidates::new(keep.max(60));
            candidates.keep = keep;
            let mut sorted: Vec<(u32, f32)> = Vec::new();
            for (i, &score) in scores.iter().enumerate().take(candidates.hits.scores.len()) {
                candidates.hits.scores[i] = f32::from(score);
                candidates.hits.positions[i] = i as u32;
                candidates.hits.len = i + 1;
                sorted.push((i as u32, f32::from(score)));
            }
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            sorted.truncate(keep);
            candidates.cut();
            let hits = &candidates.hits;
            let mut left: Vec<(u32, f32)> =
                hits.positions[..hits.len].iter().copied().zip(hits.scores[..hits.len].iter().copied()).collect();
            left.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            prop_assert_eq!(left, sorted);
        }
    }
}

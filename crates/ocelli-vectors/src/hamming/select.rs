//! The nearest among hits, by counting: distances are small integers.

use super::distance;

/// Collects the hits of one query.
pub(super) trait Collect: Send {
    /// Hits at this distance or beyond are of no use.
    fn limit(&self) -> u32;

    /// Whether nothing is missed if all codes nearer than `reach` were taken.
    fn is_complete(&self, reach: u32) -> bool;

    /// Takes hits.
    fn take(&mut self, keys: &[u64]);

    /// All hits that count, in order.
    fn finish(self) -> Vec<u64>;
}

/// The `k` smallest keys of those taken.
#[derive(Debug)]
pub(super) struct Nearest {
    k: usize,
    /// Fewer than `k` of the hits taken are nearer than this; once there are `k`, it is the distance of the k-th.
    limit: u32,
    /// How many hits are nearer than the limit.
    below: usize,
    /// How many hits have each distance.
    counts: Vec<u32>,
    kept: Vec<u64>,
    /// Whether hits of equal distance are taken by rising number.
    in_order: bool,
}

/// How many hits beyond the `2 k` are kept before those that have dropped out are forgotten.
const SLACK: usize = 256;

impl Nearest {
    /// Of codes of `bits` bits, hits being taken by rising number.
    pub(super) fn by_number(k: usize, bits: usize) -> Self {
        let counts = vec![0; bits + 2];
        Self { k, limit: bits as u32 + 1, below: 0, counts, kept: Vec::new(), in_order: true }
    }

    /// Of codes of `bits` bits, hits being taken in any order.
    pub(super) fn in_any_order(k: usize, bits: usize) -> Self {
        Self { in_order: false, ..Self::by_number(k, bits) }
    }

    /// As if k hits at distance `limit - 1` or nearer were known to come.
    pub(super) fn limited(mut self, limit: u32) -> Self {
        self.limit = self.limit.min(limit);
        self
    }

    /// The distance of the k-th, once there are k.
    fn worst(&self) -> Option<u32> {
        (self.below + self.counts[self.limit as usize] as usize >= self.k).then_some(self.limit)
    }

    /// Keeps the `k` smallest keys, in order where that matters for what follows.
    fn forget(&mut self) {
        if !self.in_order {
            self.kept.sort_unstable();
        }
        // Of those at the limit the first, which have the lowest numbers.
        let mut ties = self.k.saturating_sub(self.below);
        self.kept.retain(|key| {
            let at_limit = distance(*key) == self.limit;
            let stays = distance(*key) < self.limit || at_limit && ties > 0;
            ties -= usize::from(at_limit && stays);
            stays
        });
        self.counts[self.limit as usize] = (self.kept.len() - self.below) as u32;
    }
}

impl Collect for Nearest {
    fn limit(&self) -> u32 {
        // In any order, a hit at the limit may have a lower number than one that was taken.
        self.limit + u32::from(!self.in_order)
    }

    fn is_complete(&self, reach: u32) -> bool {
        self.worst().is_some_and(|worst| worst < reach)
    }

    fn take(&mut self, keys: &[u64]) {
        for &key in keys {
            let at = distance(key);
            if at >= self.limit() {
                continue;
            }
            self.kept.push(key);
            self.counts[at as usize] += 1;
            if at < self.limit {
                self.below += 1;
                while self.below >= self.k {
                    self.limit -= 1;
                    self.below -= self.counts[self.limit as usize] as usize;
                }
            }
            if self.kept.len() >= self.k.saturating_mul(2).saturating_add(SLACK) {
                self.forget();
            }
        }
    }

    fn finish(mut self) -> Vec<u64> {
        self.forget();
        if self.in_order { by_distance(&self.kept) } else { self.kept }
    }
}

/// All hits nearer than a limit.
#[derive(Debug)]
pub(super) struct Within {
    limit: u32,
    kept: Vec<u64>,
    /// Whether hits of equal distance are taken by rising number.
    in_order: bool,
}

impl Within {
    /// All at most `radius` away, taken by rising number.
    pub(super) fn by_number(radius: u32) -> Self {
        Self { limit: radius.saturating_add(1), kept: Vec::new(), in_order: true }
    }

    /// All at most `radius` away, taken in any order.
    pub(super) fn in_any_order(radius: u32) -> Self {
        Self { in_order: false, ..Self::by_number(radius) }
    }
}

impl Collect for Within {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn is_complete(&self, reach: u32) -> bool {
        self.limit <= reach
    }

    fn take(&mut self, keys: &[u64]) {
        self.kept.extend(keys.iter().filter(|key| distance(**key) < self.limit));
    }

    fn finish(mut self) -> Vec<u64> {
        if self.in_order {
            return by_distance(&self.kept);
        }
        self.kept.sort_unstable();
        self.kept
    }
}

/// Keys by rising distance, those of equal distance as they stand: a counting sort.
fn by_distance(keys: &[u64]) -> Vec<u64> {
    let farthest = keys.iter().map(|key| distance(*key)).max().unwrap_or(0) as usize;
    let mut next = vec![0usize; farthest + 2];
    keys.iter().for_each(|key| next[distance(*key) as usize + 1] += 1);
    for d in 0..=farthest {
        next[d + 1] += next[d];
    }
    let mut sorted = vec![0; keys.len()];
    for &key in keys {
        let place = &mut next[distance(key) as usize];
        sorted[*place] = key;
        *place += 1;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use ocelli_method::random::stream;
    use proptest::prelude::*;
    use rand::RngExt;
    use rand::seq::SliceRandom;

    use super::*;

    proptest! {
        #[test]
        fn the_k_smallest_keys_are_found(
            (count, k, bits) in (0usize..3000, 1usize..900, 0usize..40),
            parts in 1usize..50,
            seed in any::<u64>(),
        ) {
            let mut generator = stream(seed, "select", 0);
            let distances: Vec<u64> = (0..count).map(|_| generator.random_range(0..=bits as u64)).collect();
            let mut keys: Vec<u64> = (0..).zip(&distances).map(|(n, d)| d << 32 | n).collect();
            let mut wanted = keys.clone();
            wanted.sort_unstable();
            let kth = wanted.get(k - 1).map(|key| distance(*key));
            let found = |nearest: Nearest, keys: &[u64]| {
                let mut nearest = nearest;
                keys.chunks(parts).for_each(|part| nearest.take(part));
                (nearest.worst(), nearest.finish())
            };
            let within: Vec<u64> = wanted.iter().copied().filter(|key| distance(*key) <= 7).collect();
            let limited = kth.map_or(u32::MAX, |d| d + 1);
            wanted.truncate(k);
            let by_number = found(Nearest::by_number(k, bits), &keys);
            prop_assert_eq!(&by_number, &(kth, wanted.clone()));
            let (_, known) = found(Nearest::by_number(k, bits).limited(limited), &keys);
            prop_assert_eq!(&known, &wanted);
            let radius = |mut all: Within, keys: &[u64]| {
                all.take(keys);
                all.finish()
            };
            prop_assert_eq!(&radius(Within::by_number(7), &keys), &within);
            keys.shuffle(&mut generator);
            prop_assert_eq!(&radius(Within::in_any_order(7), &keys), &within);
            prop_assert_eq!(found(Nearest::in_any_order(k, bits), &keys), (kth, wanted));
        }
    }
}

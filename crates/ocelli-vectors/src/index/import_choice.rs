//! Which candidates the published package takes where it searches each partition by itself.
//!
//! A partition's search collects what is below a limit; when its list is full, or at the end, it keeps the best. What it
//! found goes the same way into the list of all partitions, whose limit then holds for the next one. Equal scores are kept
//! by number, so one would expect the best by score and number. But limits are computed from each other: that of a
//! partition is the product of the limit for all, a number in single precision, with the table's multiplier, and where that
//! lies just below the whole number which it stands for, all later partitions lose their vectors with that very score.
//! Which limits occur depends on the pivots of the selection, and these on the order that lists are left in; hence the
//! same selection here, step by step.

/// Numbers that are compared at once, and moved together.
const BLOCK: usize = 32;

/// A list of the best: the smallest values.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    values: Vec<f32>,
    /// Equal values are kept by number.
    numbers: Vec<u64>,
    len: usize,
    wanted: usize,
    /// Length at which it is cut down.
    full: usize,
    limit: f32,
    /// Whether values are whole numbers, which says what comes before one.
    whole: bool,
    /// Of each block, which values lie below the pivot, and which are equal to it.
    below: Vec<u32>,
    equal: Vec<u32>,
    /// Of those that are equal, the numbers that are kept.
    tied: Vec<u64>,
    moved: Vec<(f32, u64)>,
}

/// Places of the ones in a mask, from the lowest on.
fn ones(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros() as usize);
        mask &= mask.wrapping_sub(1);
        place
    })
}

fn median(a: f32, b: f32, c: f32) -> f32 {
    a.min(b).max(a.max(b).min(c))
}

impl Choice {
    /// Starts anew, for `wanted` values.
    pub(super) fn start(&mut self, wanted: usize, limit: f32, whole: bool) {
        self.full = (2 * wanted).next_multiple_of(BLOCK);
        // Copies of two blocks may lie behind the last. What a new list holds is not known in the package, which may look
        // at it (see `larger`); of what was tried nothing made a difference.
        self.values.clear();
        self.values.resize(self.full + 3 * BLOCK, 0.0);
        self.numbers.resize(self.values.len(), 0);
        (self.len, self.wanted, self.limit, self.whole) = (0, wanted, limit, whole);
    }

    pub(super) fn limit(&self) -> f32 {
        self.limit
    }

    /// Takes a value; whoever calls compares with the limit.
    pub(super) fn push(&mut self, value: f32, number: u64) {
        (self.values[self.len], self.numbers[self.len]) = (value, number);
        self.len += 1;
        if self.len == self.full {
            self.keep(self.wanted, (self.wanted + self.full) / 2 - 1);
        }
    }

    /// The wanted values, in the order in which they were left.
    pub(super) fn finish(&mut self) -> impl Iterator<Item = (f32, u64)> + '_ {
        self.keep(self.wanted, self.wanted);
        self.values[..self.len].iter().copied().zip(self.numbers[..self.len].iter().copied())
    }

    /// Leaves from `least` to `most` of the best.
    fn keep(&mut self, least: usize, most: usize) {
        if self.len > most {
            self.len = self.select(least, most);
            self.limit = self.values[self.len];
        }
    }

    /// Brings from `least` to `most` of the smallest to the front, the new limit behind them; gives how many.
    fn select(&mut self, mut least: usize, mut most: usize) -> usize {
        let (mut start, mut len) = (0, self.len);
        let mut next = None;
        loop {
            let pivot = match next.take() {
                Some(pivot) => pivot,
                None if len <= 3 => return self.sort_few(start, len, least),
                None => {
                    let values = &self.values[start..];
                    median(values[0], values[len / 2], values[len - 1])
                }
            };
            let kept = mark(&self.values[start..start + len], &mut self.below, |value| value < pivot);
            let missing = least.saturating_sub(kept);
            self.tied.clear();
            if missing > 0 {
                let same = mark(&self.values[start..start + len], &mut self.equal, |value| value == pivot);
                if same < missing {
                    if kept < len * 3 / 4 {
                        next = Some(self.larger(start));
                    } else {
                        self.partition(start);
                        (least, most) = (least - kept, most - kept);
                        (start, len) = (start + kept, len - kept);
                    }
                    continue;
                }
                for (block, &mask) in self.equal.iter().enumerate() {
                    let numbers = &self.numbers[start + BLOCK * block..];
                    self.tied.extend(ones(mask).map(|place| numbers[place]));
                }
                self.tied.sort_unstable();
                self.tied.truncate(missing);
            }
            self.compact(start);
            if kept > most {
                len = kept;
                continue;
            }
            let behind = start + kept;
            let end = behind + missing;
            self.values[behind..end].fill(pivot);
            self.numbers[behind..end].copy_from_slice(&self.tied);
            self.values[end] = match (missing > 0, self.whole) {
                (true, _) => pivot,
                (false, true) => pivot - 1.0,
                (false, false) => pivot.next_down(),
            };
            return end;
        }
    }

    fn sort_few(&mut self, start: usize, len: usize, least: usize) -> usize {
        let range = start..start + len;
        self.moved.clear();
        self.moved
            .extend(self.values[range.clone()].iter().copied().zip(self.numbers[range].iter().copied()));
        self.moved.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (i, &(value, number)) in self.moved.iter().enumerate() {
            (self.values[start + i], self.numbers[start + i]) = (value, number);
        }
        let end = start + least;
        self.values[end] = self.values[end - 1];
        end
    }

    /// The median of the first three values above the pivot. The package looks through whole blocks, so what lies behind
    /// the last value counts too.
    fn larger(&self, start: usize) -> f32 {
        let masks = self.below.iter().zip(&self.equal).enumerate();
        let mut places = masks.flat_map(|(block, (below, equal))| {
            ones(!(below | equal)).map(move |place| start + BLOCK * block + place)
        });
        let mut next = || places.next().map(|place| self.values[place]);
        match (next(), next(), next()) {
            (Some(a), Some(b), Some(c)) => median(a, b, c),
            (first, ..) => first.unwrap_or(f32::INFINITY),
        }
    }

    /// Brings what lies below the pivot to the front by exchanges between both ends.
    fn partition(&mut self, start: usize) {
        let (mut left, mut right) = (0, self.below.len() - 1);
        let (mut high, mut low) = (!self.below[left], self.below[right]);
        while left < right {
            while high != 0 && low != 0 {
                let a = start + BLOCK * left + high.trailing_zeros() as usize;
                let b = start + BLOCK * right + low.trailing_zeros() as usize;
                self.values.swap(a, b);
                self.numbers.swap(a, b);
                high &= high - 1;
                low &= low - 1;
            }
            if high == 0 {
                left += 1;
                if left == right {
                    break;
                }
                high = !self.below[left];
            }
            if low == 0 {
                right -= 1;
                low = if left == right { !high } else { self.below[right] };
            }
        }
        let first = start + BLOCK * right;
        for (to, from) in ones(low).enumerate() {
            self.values.swap(first + to, first + from);
            self.numbers.swap(first + to, first + from);
        }
    }

    /// Leaves what lies below the pivot, from two blocks in turn: the first two come last, from copies behind the others.
    fn compact(&mut self, start: usize) {
        let blocks = self.below.len();
        self.moved.clear();
        let value = |block: usize, place: usize| {
            let place = start + BLOCK * block + place;
            (self.values[place], self.numbers[place])
        };
        if blocks == 1 {
            self.moved.extend(ones(self.below[0]).map(|place| value(0, place)));
        } else {
            let mut rest = (2..blocks).chain(0..2).map(|block| (block, self.below[block]));
            let mut first = rest.next().unwrap_or_default();
            let mut second = rest.next().unwrap_or_default();
            'blocks: loop {
                while first.1 == 0 || second.1 == 0 {
                    if first.1 == 0 {
                        first = second;
                    }
                    match rest.next() {
                        Some(next) => second = next,
                        None => break 'blocks,
                    }
                }
                for (block, mask) in [&mut second, &mut first] {
                    self.moved.push(value(*block, mask.trailing_zeros() as usize));
                    *mask &= *mask - 1;
                }
            }
            self.moved.extend(ones(first.1).map(|place| value(first.0, place)));
            self.values.copy_within(start..start + 2 * BLOCK, start + BLOCK * blocks);
        }
        for (i, &(value, number)) in self.moved.iter().enumerate() {
            (self.values[start + i], self.numbers[start + i]) = (value, number);
        }
    }
}

/// Masks of the values that are meant; gives how many there are.
fn mark(values: &[f32], masks: &mut Vec<u32>, meant: impl Fn(f32) -> bool) -> usize {
    masks.clear();
    masks.extend(values.chunks(BLOCK).map(|block| {
        block.iter().enumerate().fold(0, |mask, (i, value)| mask | u32::from(meant(*value)) << i)
    }));
    masks.iter().map(|mask| mask.count_ones() as usize).sum()
}

/// The limit of a partition's whole sums for the limit of what they are multiplied to.
pub(super) fn whole_limit(limit: f32, multiplier: f32) -> f32 {
    (limit * multiplier).floor() + 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(choice: &mut Choice) -> Vec<(i32, u64)> {
        let mut chosen: Vec<(i32, u64)> =
            choice.finish().map(|(value, number)| (value as i32, number)).collect();
        chosen.sort_unstable();
        chosen
    }

    proptest! {
        /// In a partition, whose vectors come by number, as in all together, whose vectors come in any order.
        #[test]
        fn one_list_chooses_the_best_by_value_and_number(
            values in prop::collection::vec(0i32..40, 0..900), wanted in 1usize..70, spread in 1i32..41,
        ) {
            let values: Vec<i32> = values.iter().map(|value| value % spread).collect();
            for whole in [true, false] {
                let mut choice = Choice::default();
                choice.start(wanted, 40.0, whole);
                let count = values.len() as u64;
                let number = |i: usize| if whole { i as u64 } else { (i as u64 * 7919 + 13) % count.max(1) };
                for (i, &value) in values.iter().enumerate() {
                    let value = value as f32;
                    if if whole { value < choice.limit() } else { value <= choice.limit() } {
                        choice.push(value, number(i));
                    }
                }
                let mut best: Vec<(i32, u64)> = values.iter().enumerate().map(|(i, &value)| (value, number(i))).collect();
                best.sort_unstable();
                best.truncate(wanted);
                prop_assert_eq!(chosen(&mut choice), best);
            }
        }
    }

    #[test]
    fn a_limit_below_its_whole_number_excludes_it() {
        let multiplier = 27.81875f32;
        let scale = 1.0 / multiplier;
        let limits: Vec<f32> = (1..4).map(|sum| whole_limit(sum as f32 * scale, multiplier)).collect();
        // A sum has to be smaller: of 1, 2 and 3, none would be.
        assert_eq!(limits, [1.0, 2.0, 3.0]);
        assert_eq!(whole_limit(f32::INFINITY, multiplier), f32::INFINITY);
        assert_eq!(whole_limit(2.0 * 0.25, 4.0), 3.0);
    }
}

//! A part of the code, and the codes by what they have there.

use crate::hamming::Codes;

/// Consecutive bits of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Substring {
    pub(super) start: usize,
    pub(super) len: u32,
}

impl Substring {
    /// The `count` substrings of a code of `bits` bits, as equal as can be, the longer ones first; from 1 to 32 bits each.
    pub(super) fn divide(bits: usize, count: usize) -> Vec<Self> {
        let len = |i: usize| bits / count + usize::from(i < bits % count);
        let of = |start: &mut usize, i: usize| {
            let substring = Self { start: *start, len: len(i) as u32 };
            *start += len(i);
            Some(substring)
        };
        (0..count).scan(0, of).collect()
    }

    /// What a code has there.
    pub(super) fn of(self, codes: &Codes, number: usize) -> u32 {
        codes.substring(number, self.start, self.len)
    }

    /// How many values differ from a given one in `distance` bits.
    pub(super) fn values_at(self, distance: u32) -> f64 {
        let factor = |i: u32| f64::from(self.len.saturating_sub(i)) / f64::from(i + 1);
        (0..distance).map(factor).product()
    }
}

/// The codes by their value of a substring.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) substring: Substring,
    /// Where each value's codes start in `numbers`, and where the last value's end: `[2^len + 1]`.
    starts: Vec<u32>,
    /// The codes' numbers by rising value, then number.
    numbers: Vec<u32>,
}

impl Table {
    /// Sorts the codes by counting.
    pub(super) fn new(codes: &Codes, substring: Substring) -> Self {
        let values: Vec<u32> = (0..codes.len()).map(|number| substring.of(codes, number)).collect();
        let mut starts = vec![0u32; (1 << substring.len) + 1];
        values.iter().for_each(|value| starts[*value as usize] += 1);
        // Each value's end, which walking back from the last code turns into its start.
        let mut end = 0;
        for count in &mut starts {
            end += *count;
            *count = end;
        }
        let mut numbers = vec![0; codes.len()];
        for (number, value) in (0..codes.len() as u32).zip(&values).rev() {
            let place = &mut starts[*value as usize];
            *place -= 1;
            numbers[*place as usize] = number;
        }
        Self { substring, starts, numbers }
    }

    /// Where the codes of a value lie.
    pub(super) fn range(&self, value: u32) -> (u32, u32) {
        (self.starts[value as usize], self.starts[value as usize + 1])
    }

    /// The numbers of the codes in a range.
    pub(super) fn numbers(&self, (start, end): (u32, u32)) -> &[u32] {
        &self.numbers[start as usize..end as usize]
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.starts[..]) + size_of_val(&self.numbers[..])
    }
}

/// All numbers of `len` bits, `ones` of them set, by rising value.
pub(super) fn patterns(len: u32, ones: u32) -> impl Iterator<Item = u32> {
    let end = 1u64 << len;
    let first = (1u64 << ones) - 1;
    // The next number with as many ones (Gosper): the lowest run of ones moves its top one up, the rest to the bottom.
    let next = move |pattern: &u64| {
        let lowest = pattern & pattern.wrapping_neg();
        let ripple = pattern + lowest;
        let next = ((pattern ^ ripple) >> 2).unbounded_shr(lowest.trailing_zeros()) | ripple;
        (ones > 0 && next < end).then_some(next)
    };
    std::iter::successors((first < end).then_some(first), next).map(|pattern| pattern as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_all_numbers_with_as_many_ones() {
        for len in 1..=12u32 {
            for ones in 0..=len + 1 {
                let wanted: Vec<u32> = (0..1 << len).filter(|n: &u32| n.count_ones() == ones).collect();
                assert_eq!(patterns(len, ones).collect::<Vec<_>>(), wanted);
                let substring = Substring { start: 0, len };
                assert!((substring.values_at(ones) - wanted.len() as f64).abs() < 1e-6);
            }
        }
        assert_eq!(patterns(32, 32).collect::<Vec<_>>(), [u32::MAX]);
    }

    #[test]
    fn substrings_cover_the_code_once() {
        for (bits, count) in [(1, 1), (16, 1), (64, 3), (70, 4), (130, 7), (1024, 61)] {
            let parts = Substring::divide(bits, count);
            let mut at = 0;
            for part in &parts {
                assert_eq!(part.start, at);
                at += part.len as usize;
            }
            assert_eq!((parts.len(), at), (count, bits));
            assert!(parts[0].len - parts[count - 1].len <= 1);
        }
    }

    #[test]
    fn tables_hold_every_code_under_its_value() {
        let values: Vec<i8> = (0..200 * 70).map(|i| i8::from((i * i / 7) % 3 == 0)).collect();
        let codes = Codes::from_values(&values, 70).unwrap();
        for substring in [Substring { start: 60, len: 10 }, Substring { start: 3, len: 1 }] {
            let table = Table::new(&codes, substring);
            let value = |n: usize| {
                (0..substring.len as usize)
                    .fold(0, |sum, i| sum | (values[n * 70 + substring.start + i] as u32) << i)
            };
            for v in 0..1 << substring.len {
                let wanted: Vec<u32> = (0..200).filter(|n| value(*n as usize) == v).collect();
                assert_eq!(table.numbers(table.range(v)), wanted);
            }
        }
    }
}

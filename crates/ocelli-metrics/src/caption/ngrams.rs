//! n-grams as numbers, so that they are compared and counted without their words.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Numbers for n-grams: one is known by its beginning, itself an n-gram, and its last word.
///
/// Numbers are handed out in the order in which n-grams are met. No result depends on them.
#[derive(Clone, Debug, Default)]
pub(super) struct NgramTable {
    words: HashMap<String, u32>,
    numbers: HashMap<u64, u32, BuildHasherDefault<PairHasher>>,
    /// Beginning and last word of each n-gram; what a single word begins with is [`NOTHING`].
    parts: Vec<[u32; 2]>,
    /// Where each n-gram stood in the last sentence that had it.
    places: Vec<u32>,
}

/// The beginning of a single word.
const NOTHING: u32 = u32::MAX;

impl NgramTable {
    /// How many n-grams have a number.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    fn word(&mut self, word: &str) -> u32 {
        if let Some(&number) = self.words.get(word) {
            return number;
        }
        let number = self.words.len() as u32;
        self.words.insert(word.to_owned(), number);
        number
    }

    fn number(&mut self, beginning: u32, word: u32) -> u32 {
        let next = self.parts.len() as u32;
        let number = *self.numbers.entry(u64::from(beginning) << 32 | u64::from(word)).or_insert(next);
        if number == next {
            self.parts.push([beginning, word]);
            self.places.push(0);
        }
        number
    }

    /// The n-grams up to length `longest` of a tokenised sentence, counted.
    pub(super) fn count(&mut self, sentence: &str, longest: usize) -> Counts {
        let words: Vec<u32> = sentence.split_whitespace().map(|word| self.word(word)).collect();
        let mut counts = Counts { words: words.len(), ends: Vec::with_capacity(longest), grams: Vec::new() };
        let mut open = vec![NOTHING; words.len()];
        for length in 1..=longest {
            open.truncate((words.len() + 1).saturating_sub(length));
            for (at, gram) in open.iter_mut().enumerate() {
                *gram = self.number(*gram, words[at + length - 1]);
                let place = &mut self.places[*gram as usize];
                match counts.grams.get_mut(*place as usize) {
                    Some((known, times)) if known == gram => *times += 1,
                    _ => {
                        *place = counts.grams.len() as u32;
                        counts.grams.push((*gram, 1));
                    }
                }
            }
            counts.ends.push(counts.grams.len());
        }
        counts
    }

    /// Takes up another table's n-grams; what each of its numbers is here.
    pub(super) fn absorb(&mut self, other: &Self) -> Vec<u32> {
        // In the other's order, so that numbers do not depend on the order of a map.
        let mut listed: Vec<(&String, &u32)> = other.words.iter().collect();
        listed.sort_unstable_by_key(|(_, number)| **number);
        let words: Vec<u32> = listed.into_iter().map(|(word, _)| self.word(word)).collect();
        let mut renumbered: Vec<u32> = Vec::with_capacity(other.parts.len());
        for &[beginning, word] in &other.parts {
            let beginning = if beginning == NOTHING { NOTHING } else { renumbered[beginning as usize] };
            renumbered.push(self.number(beginning, words[word as usize]));
        }
        renumbered
    }
}

/// The n-grams of one sentence with their number of occurrences, in order of first occurrence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts {
    /// Length of the sentence in words.
    pub(super) words: usize,
    /// Where the n-grams of each length end.
    ends: Vec<usize>,
    grams: Vec<(u32, u32)>,
}

impl Counts {
    /// The n-grams of each length, from single words up.
    pub(super) fn by_length(&self) -> impl Iterator<Item = &[(u32, u32)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.grams[start..end])
    }

    /// All n-grams.
    pub(super) fn all(&self) -> &[(u32, u32)] {
        &self.grams
    }

    /// Replaces each number by the one it has elsewhere.
    pub(super) fn renumber(&mut self, renumbered: &[u32]) {
        self.grams.iter_mut().for_each(|(number, _)| *number = renumbered[*number as usize]);
    }
}

/// Mixes the one word it is given; the standard hasher takes most of the time on such keys.
#[derive(Clone, Copy, Debug, Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(self.0 << 8 | u64::from(byte)));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (value ^ value >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n_grams_are_counted_in_order_of_first_occurrence() {
        let mut table = NgramTable::default();
        let counts = table.count("a b a b c", 3);
        let sizes: Vec<Vec<u32>> =
            counts.by_length().map(|g| g.iter().map(|(_, times)| *times).collect()).collect();
        assert_eq!(sizes, [vec![2, 2, 1], vec![2, 1, 1], vec![1, 1, 1]]);
        assert_eq!(table.count("a", 3).by_length().map(<[_]>::len).sum::<usize>(), 1);
        assert_eq!(table.count("", 3).all(), []);
    }

    #[test]
    fn absorbed_tables_agree() {
        let (mut one, mut two) = (NgramTable::default(), NgramTable::default());
        one.count("x a b", 4);
        let mut there = two.count("a b c a b", 4);
        there.renumber(&one.absorb(&two));
        assert_eq!(there, one.count("a b c a b", 4));
    }
}

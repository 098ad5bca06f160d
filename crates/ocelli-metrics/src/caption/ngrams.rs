//! n-grams as numbers, so that they are compared and counted without their words.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;

/// Numbers for n-grams: one is known by its beginning, itself an n-gram, and its last word.
///
/// Numbers are handed out in the order in which n-grams are met. No result depends on them.
#[derive(Clone, Debug, Default)]
pub(super) struct NgramTable {
    words: HashMap<Box<str>, u32, BuildHasherDefault<WordHasher>>,
    slots: Slots,
    /// Beginning and last word of each n-gram; what a single word begins with is [`NOTHING`].
    parts: Vec<[u32; 2]>,
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
        self.words.insert(word.into(), number);
        number
    }

    /// The slot of an n-gram, which gets a number when it is new.
    fn slot(&mut self, beginning: u32, word: u32) -> &mut Slot {
        let next = self.parts.len() as u32;
        let slot = self.slots.find_or_insert([beginning, word], next);
        if slot.number == next {
            self.parts.push([beginning, word]);
        }
        slot
    }

    /// The n-grams up to length `longest` of a tokenised sentence, counted.
    pub(super) fn count(&mut self, sentence: &str, longest: usize) -> Counts {
        let words: Vec<u32> = sentence.split_whitespace().map(|word| self.word(word)).collect();
        let of_length = |length| (words.len() + 1).saturating_sub(length);
        let all = (1..=longest).map(of_length).sum();
        let mut counts =
            Counts { words: words.len(), ends: Vec::with_capacity(longest), grams: Vec::with_capacity(all) };
        let mut open = vec![NOTHING; words.len()];
        for length in 1..=longest {
            open.truncate(of_length(length));
            self.slots.fetch(open.iter().zip(&words[(length - 1).min(words.len())..]));
            for (gram, &word) in open.iter_mut().zip(&words[(length - 1).min(words.len())..]) {
                let slot = self.slot(*gram, word);
                *gram = slot.number;
                match counts.grams.get_mut(slot.place as usize) {
                    Some((known, times)) if known == gram => *times += 1,
                    _ => {
                        slot.place = counts.grams.len() as u32;
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
        let mut listed: Vec<(&str, u32)> =
            other.words.iter().map(|(word, &number)| (&**word, number)).collect();
        listed.sort_unstable_by_key(|(_, number)| *number);
        let words: Vec<u32> = listed.into_iter().map(|(word, _)| self.word(word)).collect();
        let mut renumbered: Vec<u32> = Vec::with_capacity(other.parts.len());
        for &[beginning, word] in &other.parts {
            let beginning = if beginning == NOTHING { NOTHING } else { renumbered[beginning as usize] };
            renumbered.push(self.slot(beginning, words[word as usize]).number);
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

/// An open hash table from n-grams to their slots, at most five eighths full.
///
/// A million n-grams do not fit the processor's caches; all that is asked of one lies in a single line of them.
#[derive(Clone, Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    filled: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Beginning and last word.
    parts: [u32; 2],
    number: u32,
    /// Where the n-gram stood in the last sentence that had it.
    place: u32,
}

/// A slot without an n-gram.
const EMPTY: Slot = Slot { parts: [NOTHING; 2], number: u32::MAX, place: 0 };

impl Slots {
    /// The slot of an n-gram; one that is not there yet is put in with the number `next`.
    fn find_or_insert(&mut self, parts: [u32; 2], next: u32) -> &mut Slot {
        if self.filled * 8 >= self.slots.len() * 5 {
            self.grow();
        }
        let at = self.find(parts);
        let slot = &mut self.slots[at];
        if slot.number == EMPTY.number {
            *slot = Slot { parts, number: next, place: 0 };
            self.filled += 1;
        }
        slot
    }

    /// Has the slots of n-grams brought from memory, all at the same time; to wait for each before the next is known to
    /// be wanted takes several times as long.
    fn fetch<'a>(&self, grams: impl Iterator<Item = (&'a u32, &'a u32)>) {
        if !self.slots.is_empty() {
            grams.for_each(|(&gram, &word)| {
                black_box(self.slots[self.home([gram, word])].number);
            });
        }
    }

    /// The slot from which on an n-gram is looked for. The table must not be empty.
    fn home(&self, parts: [u32; 2]) -> usize {
        mixed(u64::from(parts[0]) << 32 | u64::from(parts[1])) as usize & (self.slots.len() - 1)
    }

    /// Where an n-gram is, or the empty slot where it belongs. There must be one.
    fn find(&self, parts: [u32; 2]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.home(parts);
        while self.slots[at].number != EMPTY.number && self.slots[at].parts != parts {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let larger = vec![EMPTY; (self.slots.len() * 2).max(256)];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.number != EMPTY.number {
                let at = self.find(slot.parts);
                self.slots[at] = slot;
            }
        }
    }
}

/// Bits of which the lowest depend on all of `value`'s.
fn mixed(value: u64) -> u64 {
    let mixed = (value ^ value >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

/// Mixes a word's bytes, eight at a time; the standard hasher takes longer than all else that is done with a word.
#[derive(Clone, Copy, Debug, Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            self.0 = mixed(self.0.rotate_left(5) ^ u64::from_le_bytes(eight));
        }
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
    fn numbers_survive_growth() {
        let mut table = NgramTable::default();
        let sentences: Vec<String> = (0..3000).map(|k| format!("w{k} w{} long-word-{k} w0", k / 7)).collect();
        let first: Vec<Counts> = sentences.iter().map(|s| table.count(s, 4)).collect();
        let numbers = table.len();
        let again: Vec<Counts> = sentences.iter().map(|s| table.count(s, 4)).collect();
        assert_eq!((first, table.len()), (again, numbers));
        let mut listed: Vec<[u32; 2]> = table.parts.clone();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), numbers, "no n-gram has two numbers");
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

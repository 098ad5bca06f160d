//! Every kernel against the portable one.

use ocelli_method::random::{Generator, stream};
use proptest::prelude::*;
use rand::{Rng, RngExt};

use super::{Instructions, LANES};

/// Random words of which about a share `2^-sparse` of the bits is set, so that distances near 0 are met too.
fn words(generator: &mut Generator, count: usize, sparse: u32) -> Vec<u64> {
    (0..count).map(|_| (0..sparse).fold(u64::MAX, |word, _| word & generator.next_u64())).collect()
}

/// What the definition finds, computed code by code.
fn defined(query: &[u64], blocks: &[u64], limit: u32, first: u32) -> Vec<u64> {
    let words = query.len();
    let distance = |code: usize| -> u32 {
        let word = |w: usize| blocks[(code / LANES * words + w) * LANES + code % LANES];
        (0..words).map(|w| (word(w) ^ query[w]).count_ones()).sum()
    };
    let keys = (0..blocks.len() / words).map(|code| (distance(code), first + code as u32));
    keys.filter(|(d, _)| *d < limit).map(|(d, n)| u64::from(d) << 32 | u64::from(n)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_kernel_finds_what_the_definition_finds(
        (words_in_code, blocks) in (1usize..=70, 0usize..40),
        (seed, sparse, share) in (any::<u64>(), 0u32..6, 0.0f64..=1.1),
        first in 0u32..1000,
    ) {
        let mut generator = stream(seed, "kernel", 0);
        let query = words(&mut generator, words_in_code, sparse);
        let blocks = words(&mut generator, blocks * words_in_code * LANES, sparse);
        let limit = (share * 64.0 * words_in_code as f64) as u32;
        let wanted = defined(&query, &blocks, limit, first);
        for instructions in Instructions::available() {
            let mut hits = vec![7];
            instructions.nearer(&query, &blocks, limit, first, &mut hits);
            prop_assert_eq!(&hits[1..], &wanted[..], "{:?}", instructions);
        }
    }

    #[test]
    fn codes_by_number_are_those_of_the_definition(
        (words_in_code, count) in (1usize..=20, 1usize..80),
        (seed, sparse, share) in (any::<u64>(), 0u32..6, 0.0f64..=1.1),
    ) {
        let mut generator = stream(seed, "kernel", 1);
        let query = words(&mut generator, words_in_code, sparse);
        let codes = words(&mut generator, count * words_in_code, sparse);
        let limit = (share * 64.0 * words_in_code as f64) as u32;
        let numbers: Vec<u32> = (0..30).map(|_| generator.random_range(0..count as u32)).collect();
        let key = |n: &u32| {
            let code = &codes[*n as usize * words_in_code..];
            let distance: u32 = query.iter().zip(code).map(|(a, b)| (a ^ b).count_ones()).sum();
            (distance < limit).then_some(u64::from(distance) << 32 | u64::from(*n))
        };
        let wanted: Vec<u64> = numbers.iter().filter_map(key).collect();
        for instructions in Instructions::available() {
            let mut hits = Vec::new();
            instructions.nearer_of(&query, &codes, limit, &numbers, &mut hits);
            prop_assert_eq!(&hits, &wanted, "{:?}", instructions);
        }
    }
}

#[test]
fn full_distances_do_not_overflow() {
    // All bits differ, in codes longer than sums of bytes can hold.
    for words in [1, 2, 5, 31, 32, 63, 1024] {
        let (query, blocks) = (vec![u64::MAX; words], vec![0; words * LANES]);
        for instructions in Instructions::available() {
            let mut hits = Vec::new();
            instructions.nearer(&query, &blocks, u32::MAX, 0, &mut hits);
            let wanted: Vec<u64> = (0..LANES as u64).map(|n| (64 * words as u64) << 32 | n).collect();
            assert_eq!(hits, wanted, "{instructions:?}, {words} words");
        }
    }
}

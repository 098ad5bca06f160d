//! Looking up finds what comparing all codes finds.

use ocelli_method::random::{Generator, stream};
use proptest::prelude::*;
use rand::RngExt;

use super::*;

/// Codes around few centres, each bit turned over with probability `noise`.
fn codes(generator: &mut Generator, centres: &[Vec<bool>], count: usize, noise: f64) -> Codes {
    let bits = centres[0].len();
    let mut values = Vec::with_capacity(count * bits);
    for _ in 0..count {
        let centre = &centres[generator.random_range(0..centres.len())];
        values.extend(centre.iter().map(|bit| i8::from(*bit != generator.random_bool(noise))));
    }
    Codes::from_values(&values, bits).unwrap()
}

fn sets(seed: u64, bits: usize, [count, queries]: [usize; 2], noise: f64) -> (Codes, Codes) {
    let mut generator = stream(seed, "multi-index", 0);
    let centre = |generator: &mut Generator| (0..bits).map(|_| generator.random_bool(0.5)).collect();
    let centres: Vec<Vec<bool>> = (0..5).map(|_| centre(&mut generator)).collect();
    let database = codes(&mut generator, &centres, count, noise);
    (database, codes(&mut generator, &centres, queries, noise))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn looking_up_equals_comparing_all(
        (bits, substrings) in (1usize..150, 0usize..20),
        (count, k, radius) in (0usize..300, 1usize..40, 0u32..30),
        (seed, noise) in (any::<u64>(), 0.0f64..0.5),
    ) {
        let (database, queries) = sets(seed, bits, [count, 20], noise);
        let (least, most) = possible(bits, count).into_inner();
        // Short substrings, so that going through all of their values takes no time.
        let substrings = (least + substrings).max(bits.div_ceil(8)).min(most);
        let index = MultiIndex::with_substrings(database.clone(), substrings).unwrap();
        let nearest = database.nearest(&queries, k).unwrap();
        let within = database.within(&queries, radius).unwrap();
        let k = k.min(count);
        for patience in [0.0, 1.0, 50.0, f64::INFINITY] {
            let probing = || Nearest::in_any_order(k, bits);
            let scanning = |limit| Nearest::by_number(k, bits).limited(limit);
            prop_assert_eq!(&index.search(&queries, &probing, &scanning, patience), &nearest);
            let probing = || Within::in_any_order(radius);
            let scanning = |_| Within::by_number(radius);
            prop_assert_eq!(&index.search(&queries, &probing, &scanning, patience), &within);
        }
    }

    #[test]
    fn what_is_stored_gives_the_same_index(
        (bits, count) in (1usize..200, 0usize..100),
        seed in any::<u64>(),
    ) {
        let (database, queries) = sets(seed, bits, [count, 5], 0.2);
        let index = MultiIndex::new(database).unwrap();
        let parts = index.to_parts();
        let again = MultiIndex::from_parts(&parts).unwrap();
        prop_assert_eq!(again.to_parts(), parts);
        prop_assert_eq!(again.nearest(&queries, 7).unwrap(), index.nearest(&queries, 7).unwrap());
    }

    #[test]
    fn whatever_is_stored_is_an_index_or_an_error(
        (bits, count, substrings) in (0usize..70, 0usize..40, 0usize..20),
        codes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300),
    ) {
        let parts = Parts { bits, count, substrings, codes };
        // The count that fits is tried too, for one drawn at random seldom does.
        let count = parts.codes.len().checked_div(bits.div_ceil(8)).unwrap_or(0);
        for parts in [Parts { count, ..parts.clone() }, parts] {
            match MultiIndex::from_parts(&parts) {
                Ok(index) => prop_assert_eq!(index.to_parts(), parts),
                Err(error) => prop_assert!(!error.to_string().contains('\n')),
            }
        }
    }
}

#[test]
fn near_neighbours_are_found_without_comparing_all() {
    let (database, _) = sets(3, 64, [20_000, 1], 0.4);
    let index = MultiIndex::new(database.clone()).unwrap();
    assert_eq!(index.substrings(), 4);
    // Each code finds itself; a probe that gave up would be an error.
    for number in (0..20_000).step_by(997) {
        let probe = Probe::new(&index, &database, number, 1.0);
        let found = probe.run(Within::in_any_order(3), &mut probe::Room::default()).unwrap();
        assert!(found.contains(&(number as u64)));
    }
}

#[test]
fn the_number_of_substrings_suits_the_number_of_codes() {
    assert_eq!(suitable(64, 1_000_000), 3);
    assert_eq!(suitable(128, 1_000_000), 6);
    assert_eq!(suitable(1024, 100_000), 62);
    assert_eq!(suitable(16, 1_000_000), 1);
    assert_eq!(suitable(16, 0), 2);
    assert_eq!(suitable(1, 5), 1);
    assert_eq!(suitable(29, 1_000_000), 2);
}

#[test]
fn damaged_parts_are_refused() {
    let (database, _) = sets(1, 20, [30, 1], 0.3);
    let good = MultiIndex::new(database).unwrap().to_parts();
    let fails = |change: fn(&mut Parts)| {
        let mut parts = good.clone();
        change(&mut parts);
        MultiIndex::from_parts(&parts).unwrap_err().to_string()
    };
    assert!(fails(|p| p.bits = 0).contains("0 bits"));
    assert!(fails(|p| p.bits = 1 << 40).contains("bits in a code"));
    assert!(fails(|p| p.bits = 17).contains("set behind bit 17"));
    assert!(fails(|p| p.bits = 56).contains("90 bytes"));
    assert!(fails(|p| p.count = 31).contains("cut short"));
    assert!(fails(|p| p.codes.truncate(89)).contains("no multiple"));
    assert!(fails(|p| p.codes.truncate(87)).contains("29 codes"));
    // One table of 2^20 entries for 30 codes.
    assert!(fails(|p| p.substrings = 1).contains("substrings = 1: from 2 to 5"));
    assert!(fails(|p| p.substrings = 0).contains("substrings = 0"));
    assert!(fails(|p| p.substrings = usize::MAX).contains("from 2 to 5"));
}

#[test]
fn bad_questions_are_refused() {
    let (database, queries) = sets(1, 20, [30, 1], 0.3);
    let (_, other) = sets(1, 21, [30, 1], 0.3);
    let index = MultiIndex::new(database).unwrap();
    assert!(index.nearest(&queries, 0).unwrap_err().to_string().contains("k = 0"));
    assert!(index.nearest(&other, 1).unwrap_err().to_string().contains("queries have 21 bits"));
    assert!(index.within(&other, 1).is_err());
    assert_eq!(index.nearest(&queries, 1000).unwrap().of(0).len(), 30);
    assert_eq!(index.within(&queries, u32::MAX).unwrap().of(0).len(), 30);
    assert_eq!(index.codes().within(&queries, u32::MAX).unwrap().of(0).len(), 30);
}

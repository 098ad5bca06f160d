//! The search through all codes against its definition, which compares values one by one.

use ocelli_method::random::{Generator, stream};
use ocelli_vectors::hamming::{Codes, MultiIndex, Neighbour, Neighbours, Parts};
use proptest::prelude::*;
use rand::{Rng, RngExt};

/// Rows of ±1, drawn around `centres` rows, each value turned over with probability `noise`: distances have many ties.
fn rows(generator: &mut Generator, bits: usize, count: usize, noise: f64) -> Vec<f32> {
    let centres: Vec<bool> = (0..3 * bits).map(|_| generator.random_bool(0.5)).collect();
    let mut rows = Vec::with_capacity(count * bits);
    for _ in 0..count {
        let centre = generator.random_range(0..3) * bits;
        rows.extend(
            centres[centre..centre + bits]
                .iter()
                .map(|bit| if *bit != generator.random_bool(noise) { 1.0 } else { -1.0 }),
        );
    }
    rows
}

/// All codes by distance, then number.
fn ranking(database: &[f32], query: &[f32]) -> Vec<Neighbour> {
    let distance = |row: &[f32]| row.iter().zip(query).filter(|(a, b)| a != b).count() as u32;
    let rows = database.chunks_exact(query.len());
    let mut all: Vec<Neighbour> =
        (0..).zip(rows).map(|(number, row)| Neighbour { number, distance: distance(row) }).collect();
    all.sort_by_key(|n| (n.distance, n.number));
    all
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![Just(16usize), Just(64), Just(128), Just(1024), 16usize..=1024]
}

/// No codes, few, an uneven number, and enough for several tiles.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0usize), Just(1), 2usize..40, 1000usize..1100]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn searches_give_the_definition(
        (bits, count, queries) in (length(), size(), 0usize..40),
        (k, share) in (prop_oneof![Just(1usize), 1usize..60, Just(usize::MAX)], 0.0f64..0.6),
        (seed, noise) in (any::<u64>(), 0.0f64..0.5),
    ) {
        let mut generator = stream(seed, "hamming", 0);
        let database = rows(&mut generator, bits, count, noise);
        let queries = rows(&mut generator, bits, queries, noise);
        let radius = (share * bits as f64) as u32;
        let codes = Codes::from_signs(&database, bits).unwrap();
        let packed = Codes::from_signs(&queries, bits).unwrap();
        let index = MultiIndex::new(codes.clone()).unwrap();
        let (nearest, within) = (codes.nearest(&packed, k).unwrap(), codes.within(&packed, radius).unwrap());
        prop_assert_eq!((nearest.len(), within.len()), (packed.len(), packed.len()));
        prop_assert_eq!(&index.nearest(&packed, k).unwrap(), &nearest);
        prop_assert_eq!(&index.within(&packed, radius).unwrap(), &within);
        for (q, query) in queries.chunks_exact(bits).enumerate() {
            let all = ranking(&database, query);
            prop_assert_eq!(nearest.of(q), &all[..k.min(count)]);
            let near = all.iter().take_while(|n| n.distance <= radius).count();
            prop_assert_eq!(within.of(q), &all[..near]);
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    // So many codes that the threads divide them.
    let mut generator = stream(5, "hamming", 1);
    let mut random = |count: usize| -> Vec<u8> { (0..count).map(|_| generator.next_u32() as u8).collect() };
    let database = Codes::from_bytes(&random(300_001 * 8), 64).unwrap();
    let queries = Codes::from_bytes(&random(50 * 8), 64).unwrap();
    let index = MultiIndex::new(database.clone()).unwrap();
    let run = |threads: usize| -> Vec<Neighbours> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            vec![
                database.nearest(&queries, 10).unwrap(),
                database.nearest(&queries, 20_000).unwrap(),
                database.within(&queries, 18).unwrap(),
                index.nearest(&queries, 10).unwrap(),
                index.within(&queries, 12).unwrap(),
            ]
        })
    };
    let one = run(1);
    assert_eq!(one[0], one[3]);
    assert_eq!(one[0].of(7), &one[1].of(7)[..10]);
    for threads in [2, 3, 16] {
        assert!(run(threads) == one, "{threads} threads give something else");
    }
}

#[test]
fn the_best_are_kept_when_each_code_is_nearer_than_the_last() {
    // Distances 64, 63, …, 0 again and again: every code passes the limit that those before have set.
    let values: Vec<i8> = (0..5000).flat_map(|n| (0..64).map(move |i| i8::from(i >= n % 65))).collect();
    let database = Codes::from_values(&values, 64).unwrap();
    let query = Codes::from_values(&[0; 64], 64).unwrap();
    let found = database.nearest(&query, 100).unwrap();
    let expected = |(i, n): (usize, &Neighbour)| {
        let of_zero = 5000 / 65;
        let (distance, place) = if i < of_zero { (0, i) } else { (1, i - of_zero) };
        (n.distance, n.number as usize) == (distance, 65 * place + 64 - distance as usize)
    };
    assert!(found.of(0).iter().enumerate().all(expected), "{:?}", found.of(0));
}

#[test]
fn an_index_is_stored_and_opened() {
    let database = Codes::from_bytes(&[1, 2, 3, 255, 3, 2], 16).unwrap();
    let parts = MultiIndex::new(database.clone()).unwrap().to_parts();
    assert_eq!((parts.bits, parts.count, &parts.codes[..]), (16, 3, &[1, 2, 3, 255, 3, 2][..]));
    let opened = MultiIndex::from_parts(&Parts { ..parts }).unwrap();
    assert_eq!(opened.codes(), &database);
}

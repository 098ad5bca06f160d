use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ocelli_method::random::Generator;
use rand::RngExt;

use super::*;

/// Items are `(index, a random number)`; some are bad, some panic.
#[derive(Default)]
struct Numbers {
    len: usize,
    bad: Vec<usize>,
    panicking: Vec<usize>,
    slow: bool,
    fetched: AtomicUsize,
}

impl Dataset for Numbers {
    type Item = (usize, u64);

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize, rng: &mut Generator) -> Result<Self::Item, DataError> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        if self.slow {
            // Later items finish first.
            std::thread::sleep(Duration::from_micros(300 - 20 * (index % 10) as u64));
        }
        assert!(!self.panicking.contains(&index), "item {index} is cursed");
        if self.bad.contains(&index) {
            return Err(DataError::Decode { name: self.name(index), reason: "it is bad".into() });
        }
        Ok((index, rng.random()))
    }

    fn name(&self, index: usize) -> String {
        format!("number-{index}")
    }
}

type Collected = Vec<Result<Batch<(usize, u64)>, String>>;

fn collect(batches: Batches<Numbers>) -> Collected {
    batches.map(|batch| batch.map_err(|e| e.to_string())).collect()
}

fn loader(numbers: Numbers, options: LoaderOptions) -> Loader<Numbers> {
    Loader::new(Arc::new(numbers), options).unwrap()
}

fn order(len: usize) -> Vec<usize> {
    (0..len).map(|i| i * 7 % len).collect()
}

#[test]
fn batches_do_not_depend_on_workers() {
    let made = |workers, prefetch| {
        let options = LoaderOptions { batch_size: 4, workers, prefetch, seed: 9, ..LoaderOptions::default() };
        let numbers = Numbers { len: 50, slow: workers > 0, ..Numbers::default() };
        collect(loader(numbers, options).epoch(order(50), 3).unwrap())
    };
    let alone = made(0, 0);
    assert_eq!(alone.len(), 13);
    assert_eq!(alone[12].as_ref().unwrap().items.len(), 2);
    let indices: Vec<usize> = alone.iter().flat_map(|b| b.as_ref().unwrap().indices.clone()).collect();
    assert_eq!(indices, order(50));
    for (workers, prefetch) in [(1, 1), (2, 2), (5, 3), (16, 20)] {
        assert_eq!(made(workers, prefetch), alone, "{workers} workers, {prefetch} ahead");
    }
}

#[test]
fn randomness_follows_seed_epoch_and_position() {
    let items = |seed, epoch| {
        let options = LoaderOptions { seed, ..LoaderOptions::default() };
        let batches = loader(Numbers { len: 10, ..Numbers::default() }, options);
        let batches = batches.epoch(vec![3; 10], epoch).unwrap();
        batches.flat_map(|b| b.unwrap().items).map(|(_, random)| random).collect::<Vec<_>>()
    };
    let all = [items(1, 0), items(1, 1), items(2, 0)].concat();
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "the same item at other positions, epochs and seeds");
    assert_eq!(items(1, 1), all[10..20]);
}

#[test]
fn an_epoch_can_be_resumed_at_any_batch() {
    for workers in [0, 3] {
        let options = LoaderOptions { batch_size: 4, workers, drop_last: true, ..LoaderOptions::default() };
        let loader = loader(Numbers { len: 19, ..Numbers::default() }, options);
        let whole = collect(loader.epoch(order(19), 2).unwrap());
        assert_eq!(whole.len(), 4, "the last three items are dropped");
        for start in 0..=4 {
            assert_eq!(collect(loader.resume(order(19), 2, start).unwrap()), whole[start..]);
        }
        assert!(loader.resume(order(19), 2, 5).is_err());
    }
}

#[test]
fn workers_stay_within_the_prefetch_limit_and_stop_when_dropped() {
    let options = LoaderOptions { batch_size: 5, workers: 4, prefetch: 2, ..LoaderOptions::default() };
    let loader = loader(Numbers { len: 1000, ..Numbers::default() }, options);
    let mut batches = loader.epoch(order(1000), 0).unwrap();
    for _ in 0..3 {
        batches.next().unwrap().unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(loader.dataset().fetched.load(Ordering::SeqCst), 25, "three taken, two ahead");
    drop(batches);
    assert_eq!(Arc::strong_count(loader.dataset()), 1, "no worker is left");
}

#[test]
fn the_first_error_in_order_ends_the_epoch() {
    for workers in [0, 4] {
        let options = LoaderOptions { batch_size: 5, workers, ..LoaderOptions::default() };
        let numbers = Numbers { len: 20, bad: vec![8, 6], slow: true, ..Numbers::default() };
        let made = collect(loader(numbers, options).epoch((0..20).collect(), 0).unwrap());
        assert_eq!(made.len(), 2);
        assert_eq!(made[1], Err("cannot decode number-6: it is bad".into()));
    }
}

#[test]
fn a_panic_is_an_error() {
    for (workers, bad_items) in [(0, BadItems::Fail), (3, BadItems::Fail), (3, BadItems::Replace(1.0))] {
        let options = LoaderOptions { batch_size: 2, workers, bad_items, ..LoaderOptions::default() };
        let numbers = Numbers { len: 8, panicking: vec![5], ..Numbers::default() };
        let made = collect(loader(numbers, options).epoch((0..8).collect(), 0).unwrap());
        assert_eq!(made.len(), 3);
        assert_eq!(made[2], Err("number-5: the data set panicked: item 5 is cursed".into()));
    }
}

#[test]
fn bad_items_are_replaced_by_the_next_and_counted_once() {
    for workers in [0, 3] {
        let bad_items = BadItems::Replace(0.2);
        let options = LoaderOptions { batch_size: 4, workers, bad_items, ..LoaderOptions::default() };
        let loader = loader(Numbers { len: 10, bad: vec![4, 9], ..Numbers::default() }, options);
        for epoch in 0..2 {
            let made = collect(loader.epoch((0..10).collect(), epoch).unwrap());
            let got: Vec<usize> = made.iter().flat_map(|b| &b.as_ref().unwrap().items).map(|i| i.0).collect();
            assert_eq!(got, [0, 1, 2, 3, 5, 5, 6, 7, 8, 0]);
            assert_eq!(made[1].as_ref().unwrap().replaced[0].name, "number-4");
        }
        assert_eq!(loader.replaced().iter().map(|b| b.index).collect::<Vec<_>>(), [4, 9]);
    }
}

#[test]
fn too_many_bad_items_end_the_epoch() {
    for workers in [0, 3] {
        let bad_items = BadItems::Replace(0.1);
        let options = LoaderOptions { batch_size: 4, workers, bad_items, ..LoaderOptions::default() };
        let numbers = Numbers { len: 12, bad: vec![1, 6, 7], ..Numbers::default() };
        let made = collect(loader(numbers, options).epoch((0..12).collect(), 0).unwrap());
        assert_eq!(made.len(), 2, "one in twelve is allowed");
        let message = made[1].as_ref().unwrap_err();
        assert!(
            message.starts_with("3 of 12 items are unreadable") && message.contains("number-7"),
            "{message}"
        );
    }
}

#[test]
fn impossible_options_are_errors() {
    let numbers = || Arc::new(Numbers { len: 3, ..Numbers::default() });
    for options in [
        LoaderOptions { batch_size: 0, ..LoaderOptions::default() },
        LoaderOptions { prefetch: 0, ..LoaderOptions::default() },
        LoaderOptions { bad_items: BadItems::Replace(2.0), ..LoaderOptions::default() },
    ] {
        assert!(Loader::new(numbers(), options).is_err());
    }
    let loader = Loader::new(numbers(), LoaderOptions::default()).unwrap();
    assert!(loader.epoch(vec![0, 3], 0).is_err());
    assert_eq!(loader.epoch(vec![], 0).unwrap().count(), 0);
    assert!(serde_json::from_str::<LoaderOptions>(r#"{"batchsize": 3}"#).is_err());
}

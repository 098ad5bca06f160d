//! Indexes of vectors against exact search.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use ocelli_method::random::stream;
use ocelli_vectors::index::{
    BuildConfig, Codes, Hits, Index, IndexError, Rows, SearchParams, Similarity, Spill, Storage, Training,
    TuningSet, exact,
};
use ocelli_vectors::linear::normal;
use proptest::prelude::*;

const DIM: usize = 19;
const SIMILARITIES: [Similarity; 3] = [Similarity::InnerProduct, Similarity::Cosine, Similarity::SquaredL2];

/// Points around 40 centres.
fn clustered(count: usize, seed: u64) -> Vec<f32> {
    let mut centers = stream(1, "centres", 0);
    let centers: Vec<f64> = (0..40 * DIM).map(|_| normal(&mut centers)).collect();
    let mut noise = stream(seed, "noise", 0);
    (0..count * DIM)
        .map(|i| {
            let center = centers[i / DIM % 40 * DIM + i % DIM];
            (center + 0.5 * normal(&mut noise)) as f32
        })
        .collect()
}

fn rows(data: &[f32]) -> Rows<'_> {
    Rows::new("the test's vectors", data, DIM).unwrap()
}

fn config(similarity: Similarity) -> BuildConfig {
    BuildConfig { similarity, partitions: Some(30), ..BuildConfig::default() }
}

/// Codes of both kinds, without and with a second partition.
fn kinds() -> impl Iterator<Item = (Codes, Option<Spill>)> {
    let spills = [None, Some(Spill::default())];
    [Codes::Pq4, Codes::Sq8].into_iter().flat_map(move |codes| spills.map(|spill| (codes, spill)))
}

fn params(k: usize, leaves: usize, reorder: usize) -> SearchParams {
    SearchParams { k, leaves, reorder }
}

fn recall(found: &Hits, truth: &Hits) -> f64 {
    let pairs = found.ids.chunks(found.k).zip(truth.ids.chunks(truth.k));
    let hits: usize = pairs
        .map(|(found, truth)| truth.iter().take(found.len()).filter(|id| found.contains(id)).count())
        .sum();
    hits as f64 / found.ids.len() as f64
}

fn near(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b || (a - b).abs() <= tolerance * (1.0 + b.abs()))
}

#[test]
fn with_everything_looked_at_the_answers_are_exact() {
    let (data, queries) = (clustered(700, 2), clustered(23, 3));
    for similarity in SIMILARITIES {
        let truth = exact(rows(&data), rows(&queries), similarity, 9).unwrap();
        for (codes, spill) in kinds() {
            let config = BuildConfig { codes, spill, ..config(similarity) };
            let index = Index::build(rows(&data), None, &config).unwrap();
            // All rows are scored exactly, once without codes and once by way of them.
            for reorder in [700, 699] {
                let found = index.search(rows(&queries), &params(9, 30, reorder)).unwrap();
                assert_eq!(found.ids, truth.ids, "{similarity:?} {codes:?} {spill:?} {reorder}");
                assert!(near(&found.scores, &truth.scores, 1e-4));
            }
        }
    }
}

#[test]
fn codes_find_most_neighbours_with_little_work() {
    let (data, queries) = (clustered(6000, 2), clustered(100, 3));
    for similarity in SIMILARITIES {
        let truth = exact(rows(&data), rows(&queries), similarity, 10).unwrap();
        for (storage, spill, training) in [
            (Storage::F32, None, Training::KMeans),
            (Storage::F16, Some(Spill::default()), Training::KMeans),
            (Storage::Int8, None, Training::KMeans),
            (Storage::F32, None, Training::Joint),
        ] {
            let config = BuildConfig { storage, spill, training, ..config(similarity) };
            let index = Index::build(rows(&data), None, &config).unwrap();
            let found = index.search(rows(&queries), &params(10, 10, 80)).unwrap();
            let recall = recall(&found, &truth);
            let least = if storage == Storage::Int8 { 0.87 } else { 0.9 };
            assert!(recall > least, "{similarity:?} {storage:?} {spill:?} {training:?}: {recall}");
        }
        // Codes alone: coarse, but far from chance, which is 10 of 6000.
        let config = BuildConfig { storage: Storage::None, ..config(similarity) };
        let index = Index::build(rows(&data), None, &config).unwrap();
        let found = index.search(rows(&queries), &params(10, 10, 80)).unwrap();
        assert!(recall(&found, &truth) > 0.3, "{similarity:?} {}", recall(&found, &truth));
    }
}

#[test]
fn with_a_byte_an_element_few_candidates_suffice() {
    let (data, queries) = (clustered(6000, 2), clustered(100, 3));
    for similarity in SIMILARITIES {
        let truth = exact(rows(&data), rows(&queries), similarity, 10).unwrap();
        for (partitions, leaves, spill, storage, least) in [
            (1, 1, None, Storage::F32, 0.999),
            (1, 1, None, Storage::F16, 0.995),
            (30, 30, None, Storage::F32, 0.999),
            (30, 10, Some(Spill::default()), Storage::F32, 0.98),
            (1, 1, None, Storage::None, 0.95),
        ] {
            let config = BuildConfig {
                codes: Codes::Sq8,
                partitions: Some(partitions),
                storage,
                spill,
                ..config(similarity)
            };
            let index = Index::build(rows(&data), None, &config).unwrap();
            assert_eq!(index.coding(), "sq8");
            let found = index.search(rows(&queries), &params(10, leaves, 15)).unwrap();
            let recall = recall(&found, &truth);
            assert!(recall >= least, "{similarity:?} {partitions} {spill:?} {storage:?}: {recall}");
            let codes = index.codes();
            assert_eq!((codes.bits, codes.blocks, codes.packed().len()), (8, DIM, 6000 * DIM));
        }
    }
}

#[test]
fn vectors_that_lie_far_from_the_first_are_found_as_well() {
    // What is added lies beyond the grids that the first vectors made.
    let (data, queries) = (clustered(500, 2), clustered(20, 3));
    let far = |data: &[f32]| data.iter().map(|value| 3.0 * value + 1.0).collect::<Vec<f32>>();
    let (more, far_queries) = (far(&clustered(500, 4)), far(&queries));
    let config = BuildConfig { codes: Codes::Sq8, ..config(Similarity::SquaredL2) };
    let mut index = Index::build(rows(&data), None, &config).unwrap();
    index.add(rows(&more), &(500..1000).collect::<Vec<u64>>()).unwrap();
    let all = [data, more].concat();
    for queries in [&queries, &far_queries] {
        let truth = exact(rows(&all), rows(queries), Similarity::SquaredL2, 5).unwrap();
        let found = index.search(rows(queries), &params(5, 30, 200)).unwrap();
        assert!(recall(&found, &truth) > 0.95, "{}", recall(&found, &truth));
    }
}

#[test]
fn threads_and_company_change_nothing() {
    let (data, queries) = (clustered(3000, 2), clustered(150, 3));
    let build = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let config = BuildConfig { spill: Some(Spill::default()), ..config(Similarity::InnerProduct) };
            let index = Index::build(rows(&data), None, &config).unwrap();
            index.search(rows(&queries), &params(10, 5, 40)).unwrap()
        })
    };
    let together = build(1);
    assert_eq!(build(3), together);
    let index = Index::build(
        rows(&data),
        None,
        &BuildConfig { spill: Some(Spill::default()), ..config(Similarity::InnerProduct) },
    )
    .unwrap();
    let alone: Vec<u64> = queries
        .chunks(DIM)
        .flat_map(|query| index.search(rows(query), &params(10, 5, 40)).unwrap().ids)
        .collect();
    // Products with centres are summed in another order, so that a near tie may fall the other way.
    let same = alone.iter().zip(&together.ids).filter(|(a, b)| a == b).count();
    assert!(same * 1000 >= alone.len() * 998, "{same} of {}", alone.len());
}

#[test]
fn what_is_added_is_found_and_what_is_deleted_is_not() {
    let (data, more, queries) = (clustered(1500, 2), clustered(700, 4), clustered(60, 3));
    for similarity in SIMILARITIES {
        for (codes, spill) in kinds() {
            let config = BuildConfig { codes, spill, ..config(similarity) };
            let ids: Vec<u64> = (0..1500).map(|i| 10 * i).collect();
            let new: Vec<u64> = (0..700).map(|i| (1 << 40) + i).collect();
            let mut index = Index::build(rows(&data), Some(&ids), &config).unwrap();
            index.add(rows(&more), &new).unwrap();
            let gone: Vec<u64> = ids.iter().chain(&new).copied().filter(|id| id % 3 == 1).collect();
            index.delete(&gone).unwrap();
            assert_eq!(index.count(), 2200 - gone.len());
            assert_eq!(index.fragments(), (2, gone.len()));

            let kept: Vec<(u64, &[f32])> = ids
                .iter()
                .chain(&new)
                .copied()
                .zip(data.chunks(DIM).chain(more.chunks(DIM)))
                .filter(|(id, _)| id % 3 != 1)
                .collect();
            let flat: Vec<f32> = kept.iter().flat_map(|(_, row)| row.iter().copied()).collect();
            let mut truth = exact(rows(&flat), rows(&queries), similarity, 8).unwrap();
            truth.ids.iter_mut().for_each(|id| *id = kept[*id as usize].0);
            let all = params(8, 30, index.count() - 1);
            assert_eq!(index.search(rows(&queries), &all).unwrap().ids, truth.ids);

            let few = params(8, 8, 50);
            let before = index.search(rows(&queries), &few).unwrap();
            index.compact();
            assert_eq!(index.fragments(), (1, 0));
            assert_eq!(
                index.search(rows(&queries), &few).unwrap(),
                before,
                "{similarity:?} {codes:?} {spill:?}"
            );
            assert_eq!(index.search(rows(&queries), &all).unwrap().ids, truth.ids);

            // Deleted ids are free again.
            index.add(rows(&data[DIM..2 * DIM]), &[10]).unwrap();
            assert!(matches!(index.add(rows(&data[..DIM]), &[10]), Err(IndexError::KnownId(10))));
            assert!(matches!(index.delete(&[20, 7]), Err(IndexError::UnknownId(7))));
        }
    }
}

#[test]
fn a_filter_is_kept_and_complete() {
    let (data, queries) = (clustered(5000, 2), clustered(40, 3));
    for codes in [Codes::Pq4, Codes::Sq8] {
        let config = BuildConfig { codes, ..config(Similarity::InnerProduct) };
        filtered(&Index::build(rows(&data), None, &config).unwrap(), &data, &queries);
    }
}

fn filtered(index: &Index, data: &[f32], queries: &[f32]) {
    // A handful, one in ten, and all but one in ten.
    let sets: [Vec<u64>; 3] = [
        (0..5).map(|i| i * 977).collect(),
        (0..5000).filter(|i| i % 3 == 0).collect(),
        (0..5000).filter(|i| i % 10 != 0).collect(),
    ];
    for allowed in sets {
        let flat: Vec<f32> =
            allowed.iter().flat_map(|&id| data[id as usize * DIM..][..DIM].iter().copied()).collect();
        let mut truth = exact(rows(&flat), rows(queries), Similarity::InnerProduct, 10).unwrap();
        truth.ids.iter_mut().filter(|id| **id != Hits::NONE).for_each(|id| *id = allowed[*id as usize]);
        let known: HashSet<u64> = allowed.iter().copied().collect();
        let refused: Vec<u64> = (0..5000).filter(|id| !known.contains(id)).collect();
        for filter in [index.only(&allowed).unwrap(), index.without(&refused)] {
            assert_eq!(filter.count(), allowed.len());
            let found = index.search_filtered(rows(queries), &params(10, 10, 80), &filter).unwrap();
            assert!(found.ids.iter().all(|id| *id == Hits::NONE || known.contains(id)));
            if allowed.len() < 1000 {
                assert_eq!(found.ids, truth.ids);
            } else {
                assert!(recall(&found, &truth) > 0.9, "{}", recall(&found, &truth));
            }
            // Looking into one partition finds too few; then all are looked at.
            let found = index.search_filtered(rows(queries), &params(400, 1, 400), &filter).unwrap();
            let wanted = allowed.len().min(400);
            assert!(found.ids.chunks(400).all(|ids| ids[..wanted].iter().all(|id| *id != Hits::NONE)));
        }
    }
}

#[test]
fn tuning_reaches_what_it_promises() {
    let (data, queries) = (clustered(8000, 2), clustered(300, 3));
    let index = Index::build(rows(&data), None, &config(Similarity::InnerProduct)).unwrap();
    let truth = exact(rows(&data), rows(&queries), Similarity::InnerProduct, 10).unwrap();
    let set = TuningSet::of_queries(&index, rows(&queries), 10, 0).unwrap();
    let mut cost = 0.0;
    for wanted in [0.8, 0.95, 0.99] {
        let tuned = index.tune(&set, 10, wanted).unwrap();
        let found = index.search(rows(&queries), &tuned.params).unwrap();
        assert!(tuned.recall >= wanted && recall(&found, &truth) >= wanted, "{wanted}: {tuned:?}");
        assert!(tuned.cost >= cost);
        cost = tuned.cost;
    }
    let own = TuningSet::of_index(&index, 10, 0).unwrap();
    assert!(index.tune(&own, 10, 0.9).unwrap().recall >= 0.9);
    assert!(index.tune(&own, 10, 1.5).unwrap_err().to_string().contains("recall = 1.5"));
}

#[test]
fn a_file_gives_the_same_answers() {
    let (data, more, queries) = (clustered(900, 2), clustered(100, 4), clustered(30, 3));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.index");
    for similarity in SIMILARITIES {
        for storage in [Storage::F32, Storage::F16, Storage::Int8, Storage::None] {
            for (codes, spill) in kinds() {
                let config = BuildConfig { storage, codes, spill, ..config(similarity) };
                let mut index = Index::build(rows(&data), None, &config).unwrap();
                index.add(rows(&more), &(2000..2100).collect::<Vec<u64>>()).unwrap();
                index.delete(&[5, 2004]).unwrap();
                index.set_defaults(params(7, 6, 50));
                index.save(&path).unwrap();
                let opened = Index::open(&path).unwrap();
                let params = opened.defaults().unwrap();
                let wanted = index.search(rows(&queries), &params).unwrap();
                assert_eq!(opened.search(rows(&queries), &params).unwrap(), wanted);
                assert_eq!((opened.count(), opened.bytes()), (998, index.bytes()));
            }
        }
    }
    // A file that was opened can be added to and saved in its own place.
    let mut opened = Index::open_verified(&path).unwrap();
    opened.add(rows(&data[..DIM]), &[7777]).unwrap();
    opened.save(&path).unwrap();
    assert_eq!(Index::open_verified(&path).unwrap().count(), 999);
}

#[test]
fn damage_is_noticed() {
    let data = clustered(60, 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.index");
    for (codes, similarity) in [(Codes::Pq4, Similarity::InnerProduct), (Codes::Sq8, Similarity::SquaredL2)] {
        let spill = Some(Spill::default());
        let config = BuildConfig { codes, similarity, partitions: Some(4), spill, ..BuildConfig::default() };
        Index::build(rows(&data), None, &config).unwrap().save(&path).unwrap();
        noticed(&data, &path);
    }
}

fn noticed(data: &[f32], path: &Path) {
    let whole = fs::read(path).unwrap();
    let damaged = path.with_file_name("damaged.index");
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&damaged, &bytes).unwrap();
        let said = Index::open_verified(&damaged).unwrap_err().to_string();
        assert!(said.contains("damaged.index"), "{said}");
        // Without comparing checksums what is opened may be searched, and nothing worse happens than wrong answers.
        if let Ok(index) = Index::open(&damaged) {
            let found = index.search(rows(data), &params(5, 2, 10)).unwrap();
            assert_eq!(found.ids.len(), 300);
        }
    }
    for cut in (0..whole.len()).step_by(13) {
        fs::write(&damaged, &whole[..cut]).unwrap();
        assert!(Index::open(&damaged).is_err());
    }
    fs::write(&damaged, b"something else").unwrap();
    assert!(Index::open(&damaged).unwrap_err().to_string().contains("no Ocelli container"));
}

#[test]
fn what_cannot_be_searched_is_named() {
    let data = clustered(50, 2);
    let said = |result: Result<Index, IndexError>| result.unwrap_err().to_string();
    let build =
        |data: &[f32], ids: Option<&[u64]>, config: BuildConfig| Index::build(rows(data), ids, &config);
    let small = BuildConfig { partitions: Some(3), ..BuildConfig::default() };
    assert!(said(build(&[], None, small.clone())).contains("no vectors"));
    assert!(
        said(build(&data, Some(&[1; 50]), small.clone())).contains("id 1 is given twice: for rows 0 and 1")
    );
    assert!(said(build(&data, Some(&[1; 49]), small.clone())).contains("one for each of the 50"));
    assert!(
        said(build(&data, None, BuildConfig { partitions: Some(51), ..small.clone() }))
            .contains("partitions = 51")
    );
    assert!(
        said(build(&data, None, BuildConfig { block_dims: 20, ..small.clone() })).contains("block_dims = 20")
    );
    let joint = BuildConfig { codes: Codes::Sq8, training: Training::Joint, ..small.clone() };
    assert!(said(build(&data, None, joint)).contains("training = joint: k-means with codes sq8"));
    let large: Vec<f32> = data.iter().map(|value| value * 1e5).collect();
    let half = BuildConfig { storage: Storage::F16, ..small.clone() };
    assert!(said(build(&large, None, half)).contains("half precision ends at 65504"));
    let mut holed = data.clone();
    holed[2 * DIM + 3] = f32::NAN;
    assert!(Rows::new("x", &holed, DIM).unwrap_err().to_string().contains("x: row 2, element 3 is NaN"));
    assert!(Rows::new("x", &data[1..], DIM).unwrap_err().to_string().contains("no whole number of vectors"));

    let index = build(&data, None, small.clone()).unwrap();
    let wrong = Rows::new("x", &data[..20], 20).unwrap();
    assert!(index.search(wrong, &params(1, 1, 1)).unwrap_err().to_string().contains("20 elements"));
    assert!(index.search(rows(&data), &params(0, 1, 1)).unwrap_err().to_string().contains("k = 0"));
    assert!(index.search(rows(&data), &params(1, 0, 1)).unwrap_err().to_string().contains("leaves = 0"));
    // More wanted than there is: the rest is empty. No queries: no answers.
    let found = index.search(rows(&data[..DIM]), &params(60, 3, 60)).unwrap();
    assert!(found.ids[..50].iter().all(|id| *id < 50) && found.ids[50..].iter().all(|id| *id == Hits::NONE));
    assert!(index.search(rows(&[]), &params(3, 1, 3)).unwrap().ids.is_empty());
    // Zero vectors have no direction and score 0.
    let cosine = BuildConfig { similarity: Similarity::Cosine, ..small };
    let zeros = build(&[0.0; 5 * DIM], None, cosine).unwrap();
    let found = zeros.search(rows(&data[..DIM]), &params(5, 3, 5)).unwrap();
    assert_eq!((found.ids, found.scores), (vec![0, 1, 2, 3, 4], vec![0.0; 5]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn small_sets_of_any_shape_are_searched(
        dim in 1usize..12, count in 1usize..90, block in 1usize..5, partitions in 1usize..9, spill: bool, which in 0usize..3,
        bytes: bool, seed: u64,
    ) {
        let mut numbers = stream(seed, "numbers", 0);
        let data: Vec<f32> = (0..count * dim).map(|_| normal(&mut numbers) as f32).collect();
        let rows = Rows::new("x", &data, dim).unwrap();
        let config = BuildConfig {
            similarity: SIMILARITIES[which],
            partitions: Some(partitions.min(count)),
            block_dims: block.min(dim),
            codes: if bytes { Codes::Sq8 } else { Codes::Pq4 },
            spill: spill.then(Spill::default),
            ..BuildConfig::default()
        };
        let index = Index::build(rows, None, &config).unwrap();
        let k = 4.min(count);
        let truth = exact(rows, rows, SIMILARITIES[which], count).unwrap();
        let best: Vec<f32> = truth.scores.chunks(count).flat_map(|scores| scores[..k].to_vec()).collect();
        let found = index.search(rows, &params(k, partitions, count)).unwrap();
        prop_assert!(near(&found.scores, &best, 2e-4), "{:?} {:?}", found.scores, best);
        // Of what codes choose, scores are those of the ids.
        let found = index.search(rows, &params(k, 1, k)).unwrap();
        for (query, (ids, scores)) in found.ids.chunks(k).zip(found.scores.chunks(k)).enumerate() {
            let truth = |id: u64| {
                let at = truth.ids[query * count..][..count].iter().position(|other| *other == id).unwrap();
                truth.scores[query * count + at]
            };
            for (&id, &score) in ids.iter().zip(scores).filter(|(id, _)| **id != Hits::NONE) {
                prop_assert!(near(&[score], &[truth(id)], 2e-4));
            }
        }
    }
}

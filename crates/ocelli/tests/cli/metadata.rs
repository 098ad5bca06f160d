//! `index`: what is known of vectors beside them; benchmark files; folders of the published package.

use std::path::Path;

use ocelli::data::annotations::{npy, vecs};
use ocelli::data::vectors::ann_benchmark::{AnnBenchmark, Distance};
use ocelli::data::vectors::{Column, Ids, Values, VectorSet, parquet};
use ocelli_method::{Array, Data};

use crate::bench::Bench;

/// `[count, 4]`, each nearest to itself.
fn vectors(count: usize) -> Vec<f32> {
    (0..count * 4).map(|i| ((i * i + 3 * i) as f32 * 0.137).sin()).collect()
}

/// 60 vectors in a Parquet file with ids from 100 on, a colour and a year each.
fn described() -> Bench {
    let bench = Bench::new();
    let texts = (0..60).map(|i| Some(["red", "green", "blue, dark"][i % 3].to_owned()));
    let years = (0..60).map(|i| (i % 4 > 0).then_some(2000 + i as i64 % 4));
    let set = VectorSet {
        ids: Some(Ids::Numbers((100..160).collect())),
        metadata: vec![
            Column { name: "colour".into(), values: Values::Texts(texts.collect()) },
            Column { name: "year".into(), values: Values::Integers(years.collect()) },
        ],
        ..VectorSet::new(4, vectors(60))
    };
    parquet::write(bench.path("base.parquet"), &set).unwrap();
    let queries = Array::f32([5, 4], vectors(60)[..20].to_vec()).unwrap();
    vecs::write(bench.path("queries.fvecs"), &queries).unwrap();
    bench
}

const BUILD: &str = "index build base.parquet --similarity squared-l2 --metadata base.parquet --out";

fn hits(bench: &Bench, options: &str) -> Vec<serde_json::Value> {
    bench.ocelli(&format!("index search {options} --out hits.json")).succeeded();
    let document: serde_json::Value = serde_json::from_slice(&bench.read("hits.json")).unwrap();
    document["queries"].as_array().unwrap().iter().flat_map(|q| q.as_array().unwrap().clone()).collect()
}

#[test]
fn what_is_known_is_kept_told_and_searched_by() {
    let bench = described();
    bench.ocelli(&format!("{BUILD} a.index")).succeeded();
    let found = hits(&bench, "a.index queries.fvecs -k 3 --reorder 60 --metadata");
    assert_eq!(
        (&found[0]["id"], &found[0]["colour"], &found[0]["year"]),
        (&100.into(), &"red".into(), &().into())
    );
    for hit in &found {
        let row = hit["id"].as_u64().unwrap() - 100;
        assert_eq!(hit["colour"], ["red", "green", "blue, dark"][row as usize % 3]);
    }
    // One condition, two, and the same with a list of ids.
    let found = hits(&bench, "a.index queries.fvecs -k 20 --where colour=green");
    assert_eq!(found.len(), 100);
    assert!(found.iter().all(|hit| hit["id"].as_u64().unwrap() % 3 == 101 % 3));
    let both = "a.index queries.fvecs -k 5 --where colour=green --where year=2001";
    let mut ids: Vec<u64> = hits(&bench, both)[..5].iter().map(|hit| hit["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [101, 113, 125, 137, 149]);
    bench.write("some.txt", "101\n113\n");
    assert_eq!(hits(&bench, &format!("{both} --only some.txt")).len(), 10);
    assert_eq!(hits(&bench, &format!("{both} --without some.txt")).len(), 15);
    let info = bench.ocelli("index info a.index").succeeded().out;
    assert!(info.contains("colour, year"), "{info}");
    bench.ocelli("index search a.index queries.fvecs -k 2 --metadata --out hits.csv").succeeded();
    let table = bench.text("hits.csv");
    assert!(table.starts_with("query,rank,id,score,colour,year\n") && table.contains(",red,"), "{table}");
    assert!(
        bench.ocelli("index search a.index queries.fvecs -k 2 --metadata").succeeded().out.contains("colour")
    );
    bench.ocelli("index search a.index queries.fvecs --where size=3").refused(&["size", "colour, year"]);
    bench.ocelli("index search a.index queries.fvecs --where year=new").refused(&["new", "whole numbers"]);
    assert_eq!(bench.ocelli("index search a.index queries.fvecs --where year").code, Some(2));
}

#[test]
fn it_follows_the_vectors() {
    let bench = described();
    bench.ocelli(&format!("{BUILD} a.index --shards 2")).succeeded();
    let found = hits(&bench, "a.index queries.fvecs -k 4 --where colour=red --metadata");
    assert!(found.len() == 20 && found.iter().all(|hit| hit["colour"] == "red"));
    bench.ocelli("index merge one.index a.index").succeeded();
    bench.write("gone.txt", "100\n");
    bench.ocelli("index delete one.index gone.txt").succeeded();
    vecs::write(bench.path("more.fvecs"), &Array::f32([2, 4], vectors(62)[240..].to_vec()).unwrap()).unwrap();
    bench.write("more.jsonl", "{\"colour\":\"red\"}\n{\"weight\":0.5}\n");
    bench.ocelli("index add one.index more.fvecs --metadata more.jsonl").succeeded();
    bench.ocelli("index compact one.index").succeeded();
    let found = hits(&bench, "one.index queries.fvecs -k 20 --where colour=red --metadata");
    let ids: std::collections::BTreeSet<u64> = found.iter().map(|hit| hit["id"].as_u64().unwrap()).collect();
    assert!(ids.contains(&160) && !ids.contains(&100) && ids.len() == 20, "{ids:?}");
    assert_eq!(hits(&bench, "one.index queries.fvecs -k 1 --where weight=0.5")[0]["id"], 161);
    // Handed on with codes, and read as any table.
    bench.ocelli("index export one.index --out out.parquet --codes").succeeded();
    bench.ocelli("index build out.parquet --out again.index --metadata out.parquet").succeeded();
    let info = bench.ocelli("index info again.index").succeeded().out;
    assert!(info.contains("colour, year, weight, partition"), "{info}");
    assert!(bench.read("out.parquet").windows(5).any(|bytes| bytes == b"codes"));
    bench.ocelli("index export one.index --out out.csv").succeeded();
    assert!(bench.text("out.csv").starts_with("id,colour,year,weight,v0"));
}

#[test]
fn metadata_that_does_not_fit_is_refused() {
    let bench = described();
    bench.write("few.csv", "colour\nred\n");
    bench.write("strange.csv", "id,colour\n7,red\n");
    bench.write("twice.csv", "id,colour\n100,red\n100,blue\n");
    bench.write("names.csv", "id,colour\nx,red\n");
    bench.write("empty.csv", "colour\n");
    for (file, part) in [
        ("few.csv", "1 rows for 60 vectors"),
        ("strange.csv", "id 7 is not among"),
        ("twice.csv", "100 is there twice"),
        ("names.csv", "`x`"),
        ("empty.csv", "no columns of metadata, or no rows"),
        ("none.csv", "no such file"),
        ("queries.fvecs", "not from `.fvecs`"),
    ] {
        bench.ocelli(&format!("index build base.parquet --out x --metadata {file}")).refused(&[part]);
        assert!(!bench.exists("x"));
    }
    bench.ocelli("index build base.parquet --out b.index --similarity squared-l2").succeeded();
    bench.ocelli("index search b.index queries.fvecs --metadata").refused(&["keeps no metadata"]);
    bench.ocelli("index search b.index queries.fvecs --where a=b").refused(&["keeps no metadata"]);
    bench.ocelli("index search b.index queries.fvecs --metadata --out hits.npy").refused(&["hits.npy"]);
}

#[test]
fn a_benchmark_file_is_built_and_measured() {
    let bench = Bench::new();
    let rows = vectors(400);
    let near = |query: &[f32]| -> Vec<u32> {
        let distance = |row: &[f32]| row.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let mut order: Vec<u32> = (0..400).collect();
        order.sort_by(|a, b| {
            let of = |row: &u32| distance(&rows[*row as usize * 4..][..4]);
            of(a).total_cmp(&of(b)).then(a.cmp(b))
        });
        order.truncate(10);
        order
    };
    let queries: Vec<f32> = rows[..80].iter().map(|value| value + 0.01).collect();
    let neighbors: Vec<u32> = queries.chunks(4).flat_map(near).collect();
    let benchmark = AnnBenchmark {
        distance: Distance::Euclidean,
        train: VectorSet::new(4, rows.clone()),
        test: VectorSet::new(4, queries),
        k: 10,
        distances: Some(vec![0.0; neighbors.len()]),
        neighbors,
    };
    benchmark.write(bench.path("bench.hdf5")).unwrap();
    // The distance is the file's own.
    let said = bench.ocelli("index build bench.hdf5 --out a.index").succeeded().out;
    assert!(said.contains("squared-l2") && said.contains("400 vectors of 4"), "{said}");
    let eval = "index eval a.index bench.hdf5 bench.hdf5 --reorder 400 --json --picture curve.html";
    let document = bench.ocelli(eval).succeeded().json();
    assert_eq!(document["recall"], 1.0, "{document}");
    assert!(bench.text("curve.html").contains("<svg"));
    let document =
        bench.ocelli("index eval a.index bench.hdf5 bench.hdf5 --recall 0.8 --json").succeeded().json();
    assert!(document["recall"].as_f64().unwrap() >= 0.8, "{document}");
}

#[test]
fn a_folder_of_the_published_package_finds_the_same() {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ocelli-vectors/tests/scann");
    for name in ["tree", "plain", "distance", "brute", "spilled", "bytes", "distance_tree", "integer_centres"]
    {
        let bench = Bench::new();
        let folder = folders.join(name);
        bench.ocelli(&format!("index import {} --out a.index", folder.display())).succeeded();
        let wanted = npy::read(folder.join("ids.npy")).unwrap();
        let (shape, Data::I64(wanted)) = (wanted.shape().to_vec(), wanted.data().clone()) else {
            panic!("whole numbers")
        };
        let queries = folder.join("queries.npy");
        let search = format!("index search a.index {} -k {} --out found.npy", queries.display(), shape[1]);
        bench.ocelli(&search).succeeded();
        let found = npy::read(bench.path("found.npy")).unwrap();
        assert_eq!(found.data(), &Data::I64(wanted), "{name}");
    }
}

#[test]
fn memory_is_that_of_codes_and_vectors() {
    let bench = Bench::new();
    let values =
        (0..20_000 * 128).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5);
    let base = Array::f32([20_000, 128], values.collect::<Vec<f32>>()).unwrap();
    vecs::write(bench.path("base.fvecs"), &base).unwrap();
    bench.ocelli("index build base.fvecs --out a.index").succeeded();
    let info = bench.ocelli("index info a.index --json").succeeded().json();
    let share = info["indexes"][0]["beside_codes_and_vectors"].as_f64().unwrap();
    assert!(share > 0.0 && share <= 0.05, "{share}");
}

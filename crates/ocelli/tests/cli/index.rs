//! `index`: built, tuned, searched, measured, changed, handed on; and wrong input.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use ocelli::data::annotations::{npy, vecs};
use ocelli_method::{Array, Data};

use crate::bench::{Bench, assert_fields, shared};

/// Clustered vectors `[count, 8]`.
fn vectors(count: usize) -> Vec<f32> {
    let value = |i: usize, d: usize| {
        let cluster = ((i % 40) * 7 + d * 13) as f32;
        let mixed = (i as u64 * 8 + d as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (cluster * 1.7).sin() * 2.0 + (mixed >> 40) as f32 / 16_777_216.0 - 0.5
    };
    (0..count).flat_map(|i| (0..8).map(move |d| value(i, d))).collect()
}

fn fvecs(bench: &Bench, name: &str, rows: &[f32], dim: usize) {
    let array = Array::f32([rows.len() / dim, dim], rows.to_vec()).unwrap();
    vecs::write(bench.path(name), &array).unwrap();
}

/// 600 vectors, of which the first 20 are the queries, and an index of them.
fn built(options: &str) -> Bench {
    let bench = Bench::new();
    let rows = vectors(600);
    fvecs(&bench, "base.fvecs", &rows, 8);
    fvecs(&bench, "queries.fvecs", &rows[..160], 8);
    bench.ocelli(&format!("index build base.fvecs --out a.index {options}")).succeeded();
    bench
}

fn ids(bench: &Bench, name: &str) -> Vec<i64> {
    let array =
        if name.ends_with("npy") { npy::read(bench.path(name)) } else { vecs::read(bench.path(name)) };
    match array.unwrap().into_parts().1 {
        Data::I64(ids) => ids,
        other => panic!("{other:?}"),
    }
}

/// Each query's own row is among the nearest; so many candidates are scored exactly that only the rounding of kept vectors
/// may put another first.
#[track_caller]
fn finds_itself(bench: &Bench, files: &str, options: &str) {
    bench
        .ocelli(&format!(
            "index search {files} queries.fvecs -k 3 --reorder 60000 {options} --out hits.ivecs"
        ))
        .succeeded();
    let found = ids(bench, "hits.ivecs");
    for (own, row) in found.chunks(3).enumerate() {
        assert!(row.contains(&(own as i64)), "{files} {options}: query {own} finds {row:?}");
    }
}

#[test]
fn every_similarity_and_storage_is_built_and_searched() {
    for (options, shown) in [
        ("--similarity squared-l2", ["squared-l2", "f32"]),
        ("--similarity squared-l2 --store f16 --partitions 12 --spill", ["squared-l2", "f16"]),
        ("--similarity cosine --store int8 --block-dims 1 --threshold 0.3 --limit-eta", ["cosine", "int8"]),
        ("--similarity squared-l2 --codes sq8 --partitions 6 --spill", ["sq8", "f32"]),
        ("--similarity cosine --codes sq8 --store int8", ["sq8", "int8"]),
        ("--similarity squared_l2 --plain --partitions 5 --spill=0.5 --seed 3", ["squared-l2", "f32"]),
    ] {
        let bench = built(options);
        finds_itself(&bench, "a.index", "--leaves 9 --threads 2");
        let info = bench.ocelli("index info a.index").succeeded().out;
        assert!(shown.iter().all(|part| info.contains(part)), "{info}");
    }
    let bench = built("--eta 4 --train joint --store none");
    bench.ocelli("index search a.index queries.fvecs").succeeded();
}

#[test]
fn results_are_written_in_every_format() {
    let bench = built("--similarity squared-l2");
    for ending in ["ivecs", "npy", "csv", "json"] {
        bench
            .ocelli(&format!("index search a.index queries.fvecs -k 2 --reorder 600 --out hits.{ending}"))
            .succeeded();
    }
    let found = ids(&bench, "hits.npy");
    assert_eq!(found, ids(&bench, "hits.ivecs"));
    let table = bench.text("hits.csv");
    assert_eq!(table.lines().count(), 41);
    assert!(table.starts_with("query,rank,id,score\n0,1,0,0\n"), "{table}");
    let document: serde_json::Value = serde_json::from_slice(&bench.read("hits.json")).unwrap();
    assert_eq!(document["queries"][7][0]["id"], 7);
    assert_eq!(document["queries"][3][1]["id"].as_i64().unwrap(), found[7]);
    let scores = npy::read(bench.path("hits.scores.npy")).unwrap();
    assert_eq!(scores.shape(), [20, 2]);
    let printed = bench.ocelli("index search a.index queries.fvecs -k 1 --trust").succeeded().out;
    assert_eq!(printed.lines().count(), 21, "{printed}");
    assert_eq!(bench.names(".").iter().filter(|name| name.starts_with(".writing")).count(), 0);
}

#[test]
fn a_recall_chooses_and_keeps_a_setting() {
    let bench = built("--similarity squared-l2 --recall 0.9 -k 5 --queries queries.fvecs --json");
    let document = bench
        .ocelli("index build base.fvecs --out b.index --similarity squared-l2 --recall 0.95 -k 5 --json")
        .succeeded()
        .json();
    assert_fields(&document, &["indexes", "choice", "choosing_s", "planned_peak_bytes", "peak_bytes"]);
    let tried = document["choice"]["tried"].as_array().unwrap();
    let kinds = ["pq4", "sq8"].map(|codes| tried.iter().filter(|one| one["codes"] == codes).count());
    assert!(kinds[0] >= 3 && kinds[1] >= 3, "{document}");
    assert!(tried.len() >= 4, "{document}");
    let chosen = &tried[document["choice"]["chosen"].as_u64().unwrap() as usize];
    assert!(chosen["recall"].as_f64().unwrap() >= 0.95, "{document}");
    for other in tried.iter().filter(|other| other["recall"].as_f64().unwrap() >= 0.95) {
        assert!(other["cost_us"].as_f64() >= chosen["cost_us"].as_f64(), "{document}");
    }
    let info = bench.ocelli("index info b.index --json").succeeded().json();
    assert_eq!(info["indexes"][0]["defaults"]["leaves"], chosen["leaves"]);
    assert_eq!(info["indexes"][0]["partitions"], chosen["partitions"]);
    assert_eq!(info["indexes"][0]["codes"], chosen["codes"]);
    finds_itself(&bench, "b.index", "");
    let told = bench
        .ocelli("index build base.fvecs --out b.index --recall 0.9 --store none --plain")
        .succeeded()
        .out;
    assert!(told.contains("chosen") && told.contains("kept setting"), "{told}");
}

#[test]
fn memory_is_kept_to_or_refused() {
    let bench = Bench::new();
    fvecs(&bench, "base.fvecs", &vectors(60_000), 8);
    fvecs(&bench, "queries.fvecs", &vectors(20), 8);
    let build = "index build base.fvecs --out a.index --similarity squared-l2 --json --memory";
    let whole = bench.ocelli(&format!("{build} 4G")).succeeded().json();
    let planned = whole["planned_peak_bytes"].as_u64().unwrap();
    // The plan and what was measured are the same kind of number.
    assert!(whole["peak_bytes"].as_u64().is_none_or(|peak| peak <= planned), "{whole}");
    let bytes = bench.ocelli(&format!("{build} 4G --codes sq8")).succeeded().json();
    let planned_bytes = bytes["planned_peak_bytes"].as_u64().unwrap();
    assert!(planned_bytes > planned, "{bytes}");
    assert!(bytes["peak_bytes"].as_u64().is_none_or(|peak| peak <= planned_bytes), "{bytes}");
    bench.ocelli(&format!("{build} {planned} --codes sq8")).succeeded();
    finds_itself(&bench, "a.index", "--leaves 120");
    let said = bench.ocelli(&format!("{build} {}", planned - 1)).succeeded();
    assert!(said.err.contains("in pieces of") || said.err.contains("f32 would not fit"), "{}", said.err);
    finds_itself(&bench, "a.index", "--leaves 120");
    bench.ocelli(&format!("{build} 40M")).refused(&["--memory 40.0 MiB", "codes", "at least"]);
    bench
        .ocelli("index build base.fvecs --out a.index --store f32 --memory 49M")
        .refused(&["smaller --store"]);
}

#[test]
fn shards_are_searched_as_one() {
    for codes in ["pq4", "sq8"] {
        let bench = built(&format!("--similarity squared-l2 --shards 3 --codes {codes}"));
        assert_eq!(
            bench.names("a.index"),
            ["shard-0.ocelli", "shard-1.ocelli", "shard-2.ocelli", "shards.json"]
        );
        finds_itself(&bench, "a.index", "--leaves 1");
        bench.ocelli("index search a.index queries.fvecs -k 5 --reorder 600 --out all.ivecs").succeeded();
        bench.ocelli("index build base.fvecs --out one.index --similarity squared-l2").succeeded();
        bench.ocelli("index search one.index queries.fvecs -k 5 --reorder 600 --out one.ivecs").succeeded();
        assert_eq!(ids(&bench, "all.ivecs"), ids(&bench, "one.ivecs"));
        // Files by name, a filter over all of them, fewer shards in the same folder.
        let two = "a.index/shard-2.ocelli a.index/shard-0.ocelli";
        finds_itself(&bench, two, "");
        bench.write("ids.txt", "3\n250\n599\n");
        bench.ocelli("index search a.index queries.fvecs -k 3 --only ids.txt --out few.ivecs").succeeded();
        let mut few = ids(&bench, "few.ivecs")[..3].to_vec();
        few.sort_unstable();
        assert_eq!(few, [3, 250, 599]);
        bench.write("none.txt", "3\n777\n");
        bench.ocelli("index search a.index queries.fvecs --only none.txt").refused(&["id 777"]);
        bench.ocelli("index eval a.index queries.fvecs --exact --recall 0.9").succeeded();
        bench.ocelli("index build base.fvecs --out a.index --shards 2").succeeded();
        assert_eq!(bench.names("a.index").len(), 3);
        std::fs::remove_file(bench.path("a.index/shard-1.ocelli")).unwrap();
        bench.ocelli("index search a.index queries.fvecs").refused(&["shard-1.ocelli: no such file"]);
    }
}

#[test]
fn vectors_come_and_go() {
    for codes in ["pq4", "sq8"] {
        let bench = built(&format!("--similarity squared-l2 --partitions 4 --codes {codes}"));
        fvecs(&bench, "more.fvecs", &vectors(610)[4800..], 8);
        assert!(
            bench.ocelli("index add a.index more.fvecs").succeeded().out.contains("10 added, 610 in all")
        );
        bench.write("ids.txt", "0\n605\n");
        assert!(bench.ocelli("index delete a.index ids.txt").succeeded().out.contains("2 deleted, 608 left"));
        let search = "index search a.index queries.fvecs -k 4 --leaves 4 --reorder 700 --out";
        bench.ocelli(&format!("{search} before.ivecs")).succeeded();
        let before = bench.ocelli("index info a.index --json").succeeded().json();
        assert_eq!(
            (&before["indexes"][0]["segments"], &before["indexes"][0]["deleted"]),
            (&2.into(), &2.into())
        );
        bench.ocelli("index compact a.index").succeeded();
        bench.ocelli(&format!("{search} after.ivecs")).succeeded();
        assert_eq!(ids(&bench, "before.ivecs"), ids(&bench, "after.ivecs"));
        assert!(!ids(&bench, "after.ivecs").contains(&0));
        let after = bench.ocelli("index info a.index --json").succeeded().json();
        assert_eq!(
            (&after["indexes"][0]["segments"], &after["indexes"][0]["vectors"]),
            (&1.into(), &608.into())
        );
        // An earlier id is free again.
        fvecs(&bench, "one.fvecs", &vectors(1), 8);
        bench.write("zero.txt", "0\n");
        bench.ocelli("index add a.index one.fvecs --ids zero.txt").succeeded();
        bench.ocelli("index add a.index one.fvecs --ids zero.txt").refused(&["id 0 is in the index already"]);
        bench.ocelli("index delete a.index ids.txt").refused(&["id 605 is not in the index"]);
        finds_itself(&bench, "a.index", "--leaves 4");
    }
}

#[test]
fn indexes_are_merged_and_exported() {
    let bench = Bench::new();
    let rows = vectors(600);
    fvecs(&bench, "queries.fvecs", &rows[..160], 8);
    for (name, range, store, codes) in [
        ("a", 0..300, "f32", "pq4"),
        ("b", 300..500, "f16", "sq8"),
        ("c", 500..600, "none", "pq4"),
        ("d", 500..600, "f32", "sq8"),
    ] {
        fvecs(&bench, "part.fvecs", &rows[8 * range.start..8 * range.end], 8);
        bench.write("ids.txt", range.map(|id| format!("{id}\n")).collect::<String>());
        let build = "index build part.fvecs --ids ids.txt --similarity squared-l2";
        bench.ocelli(&format!("{build} --out {name}.index --store {store} --codes {codes}")).succeeded();
    }
    let merged = bench.ocelli("index merge all.index a.index b.index").succeeded();
    assert!(
        merged.out.contains("500 of 2 indexes") && merged.err.contains("rounded to f16"),
        "{}",
        merged.err
    );
    finds_itself(&bench, "all.index", "");
    bench.ocelli("index merge more.index d.index all.index").succeeded();
    finds_itself(&bench, "more.index", "");
    bench.ocelli("index export d.index --out out.fvecs --codes").succeeded();
    assert_eq!(npy::read(bench.path("out.codes.npy")).unwrap().shape(), [100, 8]);
    bench.ocelli("index merge all.index a.index c.index").refused(&["c.index: keeps no vectors"]);
    bench.ocelli("index merge all.index a.index a.index").refused(&["a.index", "id 0"]);
    bench.ocelli("index merge all.index a.index").refused(&["at least two"]);
    bench.ocelli("index export a.index --out out.fvecs --codes").succeeded();
    let out = vecs::read(bench.path("out.fvecs")).unwrap();
    let (order, codes) = (ids(&bench, "out.ids.npy"), npy::read(bench.path("out.codes.npy")).unwrap());
    assert_eq!((out.shape(), codes.shape()), (&[300, 8][..], &[300, 2][..]));
    let Data::F32(values) = out.into_parts().1 else { panic!("floats") };
    for (row, id) in order.iter().enumerate() {
        assert_eq!(values[row * 8..][..8], rows[*id as usize * 8..][..8]);
    }
    bench.ocelli("index export a.index --out out.csv").succeeded();
    bench.ocelli("index build out.csv --out again.index --similarity squared-l2").succeeded();
    finds_itself(&bench, "again.index", "");
    bench.ocelli("index export c.index --out out.npy").refused(&["c.index: keeps no vectors"]);
}

#[test]
fn recall_and_speed_are_measured() {
    let bench = built("--similarity squared-l2 --partitions 20");
    let table = bench
        .ocelli("index eval a.index queries.fvecs --exact -k 5 --leaves 2,20 --reorder 5,100 --threads 1,2 --mode batch,single --picture curve.html")
        .succeeded()
        .out;
    assert_eq!(table.lines().count(), 1 + 16 + 1, "{table}");
    assert!(bench.text("curve.html").contains("queries a second"));
    bench
        .ocelli("index search a.index queries.fvecs -k 10 --leaves 20 --reorder 600 --out truth.ivecs")
        .succeeded();
    let lines = bench
        .ocelli("index eval a.index queries.fvecs truth.ivecs -k 10 --recall 0.5,1 --json")
        .succeeded()
        .out;
    let documents: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.len(), 2);
    for (document, wanted) in documents.iter().zip([0.5, 1.0]) {
        assert_fields(
            document,
            &["recall", "recall_with_ties", "recall_best", "qps", "memory_bytes", "chosen"],
        );
        assert!(document["recall"].as_f64().unwrap() >= wanted, "{document}");
    }
    assert!(documents[0]["chosen"]["leaves"].as_u64() <= documents[1]["chosen"]["leaves"].as_u64());
}

#[test]
fn a_benchmark_is_served_turn_by_turn() {
    let bench = Bench::new();
    let rows = vectors(600);
    fvecs(&bench, "base.fvecs", &rows, 8);
    fvecs(&bench, "queries.fvecs", &rows[..160], 8);
    bench.ocelli("index build base.fvecs --out x.index --similarity squared-l2").succeeded();
    bench.ocelli("index search x.index queries.fvecs --reorder 600 --out truth.ivecs").succeeded();
    let mut child = bench
        .command("index eval new.index queries.fvecs truth.ivecs --base base.fvecs --similarity squared_l2 --recall 0.9 --timed 10 --mode single --serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let facts: serde_json::Value = serde_json::from_str(&said.next().unwrap()).unwrap();
    assert_fields(&facts, &["recall", "qps", "build_s", "memory_bytes", "chosen"]);
    assert_eq!(said.next().unwrap(), "ready");
    let mut orders = child.stdin.take().unwrap();
    for _ in 0..2 {
        writeln!(orders, "run").unwrap();
        let answer: serde_json::Value = serde_json::from_str(&said.next().unwrap()).unwrap();
        assert_eq!(answer["queries"], 10);
        assert!(answer["seconds"].as_f64().unwrap() > 0.0);
    }
    drop(orders);
    assert!(child.wait().unwrap().success() && said.next().is_none());
}

#[test]
fn binary_codes_have_an_index_of_their_own() {
    let bench = Bench::new();
    let bytes: Vec<u8> = (0..200 * 4).map(|i| ((i * 37 + i / 4 * 11) % 256) as u8).collect();
    let array = |rows: usize| Array::new([rows, 4], Data::U8(bytes[..rows * 4].to_vec())).unwrap();
    npy::write(bench.path("codes.npy"), &array(200)).unwrap();
    vecs::write(bench.path("queries.bvecs"), &array(5)).unwrap();
    let said = bench.ocelli("index build codes.npy --out codes.index --hamming").succeeded().out;
    assert!(said.contains("200 codes of 32 bits"), "{said}");
    bench.ocelli("index search codes.index queries.bvecs -k 3 --out hits.json").succeeded();
    let found: serde_json::Value = serde_json::from_slice(&bench.read("hits.json")).unwrap();
    let near = |a: usize, b: usize| -> u32 {
        (0..4).map(|i| (bytes[4 * a + i] ^ bytes[4 * b + i]).count_ones()).sum()
    };
    for query in 0..5 {
        let mut all: Vec<(u32, usize)> = (0..200).map(|code| (near(query, code), code)).collect();
        all.sort_unstable();
        for (rank, (distance, id)) in all.iter().take(3).enumerate() {
            assert_eq!(found["queries"][query][rank]["id"], *id);
            assert_eq!(found["queries"][query][rank]["score"], f64::from(*distance));
        }
    }
    bench.ocelli("index search codes.index queries.bvecs --radius 9 --out near.csv").succeeded();
    let within =
        (0..5).flat_map(|q| (0..200).map(move |c| (q, c))).filter(|(q, c)| near(*q, *c) <= 9).count();
    assert_eq!(bench.text("near.csv").lines().count(), 1 + within);
    bench.write("ids.txt", "0\n1\n");
    let ids_of = |bench: &Bench| -> Vec<u64> {
        let found: serde_json::Value = serde_json::from_slice(&bench.read("hits.json")).unwrap();
        found["queries"][0].as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap()).collect()
    };
    let search = "index search codes.index queries.bvecs --out hits.json";
    bench.ocelli(&format!("{search} -k 2 --only ids.txt")).succeeded();
    assert_eq!(ids_of(&bench), [0, 1]);
    bench.ocelli(&format!("{search} -k 198 --without ids.txt")).succeeded();
    let left = ids_of(&bench);
    assert!(left.len() == 198 && !left.contains(&0) && !left.contains(&1));
    bench.ocelli(&format!("{search} -k 3 --only ids.txt")).refused(&["-k 3", "2 codes that may be found"]);
    bench.ocelli("index delete codes.index ids.txt").succeeded();
    assert!(bench.ocelli("index add codes.index queries.bvecs").succeeded().out.contains("203 in all"));
    assert!(bench.ocelli("index info codes.index").succeeded().out.contains("bits"));
    // Signs of vectors.
    fvecs(&bench, "base.fvecs", &vectors(50), 8);
    let said = bench.ocelli("index build base.fvecs --out signs.index --bits").succeeded().out;
    assert!(said.contains("50 codes of 8 bits"), "{said}");
    bench.ocelli("index search codes.index base.fvecs").refused(&["codes of 8 bits, 32 are expected"]);
    bench.ocelli("index search codes.index queries.bvecs --leaves 3").refused(&["--leaves"]);
    bench.ocelli("index search codes.index signs.index queries.bvecs").refused(&["expected"]);
    bench.ocelli("index merge all.index codes.index signs.index").refused(&["signs.index", "8"]);
}

#[test]
fn vectors_are_reduced_and_so_are_queries() {
    let bench = built("--similarity squared-l2");
    for method in ["pca", "low-rank --shape 2,4 --start warm", "sparse --cardinality 3"] {
        let command = format!("index reduce base.fvecs --components 2 --method {method} --out small.npy");
        let said = bench.ocelli(&command).succeeded().out;
        assert!(said.contains("small.components") && said.contains("2 of 8 dimensions"), "{said}");
        let whole = npy::read(bench.path("small.npy")).unwrap();
        assert_eq!(whole.shape(), [600, 2]);
        bench.ocelli("index reduce queries.fvecs --apply small.components --out q.npy").succeeded();
        let (Data::F32(whole), Data::F32(some)) =
            (whole.into_parts().1, npy::read(bench.path("q.npy")).unwrap().into_parts().1)
        else {
            panic!("floats")
        };
        assert_eq!(whole[..40], some);
    }
    let full =
        bench.ocelli("index reduce base.fvecs --components 8 --method pca --out full.npy --json").succeeded();
    assert!((full.json()["variance_share"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{}", full.out);
    for (options, part) in [
        ("--components 0", "components = 0"),
        ("--components 9 --method pca", "components = 9"),
        ("--components 1 --rank 5", "rank = 5"),
        ("--components 1 --shape 3,3", "shape = 3 x 3"),
        ("--apply a.index", "a.index"),
    ] {
        bench.ocelli(&format!("index reduce base.fvecs --out x.npy {options}")).refused(&[part]);
    }
    fvecs(&bench, "narrow.fvecs", &[1.0; 12], 4);
    bench
        .ocelli("index reduce narrow.fvecs --apply small.components --out x.npy")
        .refused(&["vectors of 4", "8"]);
}

#[test]
fn wrong_input_is_refused_in_a_line() {
    let bench = built("--similarity cosine");
    let mut rows = vectors(20);
    fvecs(&bench, "narrow.fvecs", &rows, 4);
    rows[11] = f32::NAN;
    fvecs(&bench, "nan.fvecs", &rows, 8);
    rows[8..16].fill(0.0);
    fvecs(&bench, "zero.fvecs", &rows, 8);
    bench.write("empty.fvecs", "");
    bench.write("cut.fvecs", &bench.read("base.fvecs")[..100]);
    bench.write("names.csv", "id,x,y\ncat,1,2\ndog,3,4\n");
    bench.write("twice.csv", "id,x,y\n5,1,2\n5,3,4\n");
    bench.write("few.txt", "1\n2\n");
    bench.write("unknown.txt", "1\n5000\n");
    bench.write("words.txt", "one\n");
    bench.write("list.json", "[]");
    let whole = bench.read("a.index");
    bench.write("cut.index", &whole[..whole.len() / 2]);
    let mut flipped = whole.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 4;
    bench.write("flipped.index", &flipped);
    vecs::write(bench.path("truth.ivecs"), &Array::new([20, 2], Data::I64(vec![0; 40])).unwrap()).unwrap();
    vecs::write(bench.path("strange.ivecs"), &Array::new([20, 2], Data::I64(vec![9999; 40])).unwrap())
        .unwrap();
    let refused = [
        ("build none.fvecs --out x", "none.fvecs: no such file"),
        ("build list.json --out x", "not as `.json`"),
        ("build nan.fvecs --out x", "nan.fvecs: row 1, column 3"),
        ("build zero.fvecs --out x --similarity cosine", "zero.fvecs: row 1 is zero"),
        ("build empty.fvecs --out x", "no vector"),
        ("build cut.fvecs --out x", "cut short"),
        ("build names.csv --out x", "`cat` is no whole number"),
        ("build twice.csv --out x", "id 5 is given twice: for rows 0 and 1"),
        ("build base.fvecs --out x --ids few.txt", "2 ids for 600 vectors"),
        ("build base.fvecs --out base.fvecs", "is the data itself"),
        ("build base.fvecs --out x --partitions 601", "--partitions 601"),
        ("build base.fvecs --out x --block-dims 9", "--block-dims 9"),
        ("build base.fvecs --out x --threshold 1.5", "--threshold 1.5"),
        ("build base.fvecs --out x --eta 0", "--eta 0"),
        ("build base.fvecs --out x --recall 1.5", "--recall 1.5"),
        ("build base.fvecs --out x --recall 0", "--recall 0"),
        ("build base.fvecs --out x --recall 0.9 -k 601", "-k 601"),
        ("build base.fvecs --out x --recall 0.9 --queries narrow.fvecs", "narrow.fvecs: queries of 4"),
        ("build base.fvecs --out x --shards 601", "--shards 601"),
        ("build base.fvecs --out none/x", "none/x"),
        ("search none.index queries.fvecs", "none.index: no such file"),
        ("search base.fvecs queries.fvecs", "base.fvecs"),
        ("search cut.index queries.fvecs", "cut.index"),
        ("search flipped.index queries.fvecs", "flipped.index"),
        ("search a.index none.fvecs", "none.fvecs: no such file"),
        ("search a.index narrow.fvecs", "queries of 4 elements, the index has 8"),
        ("search a.index nan.fvecs", "nan.fvecs: row 1, column 3"),
        ("search a.index zero.fvecs", "zero.fvecs: row 1 is zero"),
        ("search a.index empty.fvecs", "no vector"),
        ("search a.index queries.fvecs -k 601", "-k 601"),
        ("search a.index queries.fvecs -k 0", "-k 0"),
        ("search a.index queries.fvecs --leaves 0", "leaves = 0"),
        ("search a.index queries.fvecs --threads 0", "--threads 0"),
        ("search a.index queries.fvecs --radius 3", "--radius"),
        ("search a.index queries.fvecs --only unknown.txt", "id 5000 is not in the index"),
        ("search a.index queries.fvecs --only words.txt", "`one` is no whole number"),
        ("search a.index queries.fvecs --out hits.txt", "not as `.txt`"),
        ("search a.index queries.fvecs --out none/hits.csv", "none"),
        ("eval a.index queries.fvecs truth.ivecs", "2 true neighbours a query, -k 10"),
        ("eval a.index queries.fvecs strange.ivecs -k 2", "id 9999 is not in the index"),
        ("eval a.index base.fvecs truth.ivecs -k 2", "the truth of 20 queries"),
        ("eval a.index queries.fvecs --exact --recall 1.01", "--recall 1.01"),
        ("eval a.index queries.fvecs --exact --leaves 0", "--leaves 0"),
        ("eval a.index queries.fvecs --exact --picture x.gif", "--picture x.gif"),
        ("add a.index narrow.fvecs", "4 elements"),
        ("delete a.index unknown.txt", "id 5000 is not in the index"),
        ("info cut.index", "cut.index"),
        ("compact flipped.index", "flipped.index"),
        ("export a.index --out x.ivecs", "x.ivecs"),
        ("import none --out x", "none: no such folder"),
    ];
    for (command, part) in refused {
        bench.ocelli(&format!("index {command}")).refused(&[part]);
        assert!(!bench.exists("x"), "{command}");
    }
    assert_eq!(bench.read("a.index"), whole);
    // Damage that only checksums show is passed over when the file is trusted.
    assert!(bench.ocelli("index info a.index --trust").succeeded().out.contains("not compared"));
}

#[test]
fn real_descriptors_are_found() {
    let Some(folder) = shared("data/sift-5k") else {
        eprintln!("skipped: the descriptors are not beside the repository");
        return;
    };
    let bench = Bench::new();
    let file = |name: &str| folder.join(name).display().to_string();
    let build = format!(
        "index build {} --out sift.index --similarity squared-l2 --recall 0.95",
        file("sift_base_5k.fvecs")
    );
    bench.ocelli(&build).succeeded();
    let eval = format!("index eval sift.index {} --exact --json", file("sift-query-3.tsv"));
    let document = bench.ocelli(&eval).succeeded().json();
    assert!(document["recall"].as_f64().unwrap() >= 0.8, "{document}");
}

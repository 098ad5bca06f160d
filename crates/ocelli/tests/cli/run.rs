//! From a recipe to weights, and what can be done with them.

use std::collections::BTreeSet;
use std::path::Path;

use ocelli::data::annotations::npy;
use ocelli::nn::Precision;
use serde_json::Value;

use crate::bench::{Bench, Said, assert_fields, shared};

const MEASURES: [&str; 6] = ["accuracy", "auc", "eer", "tar@1e-1", "tar@1e-2", "tar@1e-3"];

#[test]
fn train_fills_the_run_folder() {
    let bench = Bench::new();
    let said = bench.ocelli("train tiny.toml --out run").succeeded();
    assert!(said.out.contains("verification accuracy") && said.out.contains(" %"), "{}", said.out);
    let files = ["checkpoint", "metrics.jsonl", "recipe.toml", "report.html", "weights.safetensors"];
    assert_eq!(bench.names("run"), files);
    assert_eq!(bench.names("run/checkpoint"), ["step-0000000006.safetensors"]);

    let lines: Vec<Value> =
        bench.text("run/metrics.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let kinds: Vec<(u64, &str)> =
        lines.iter().map(|l| (l["step"].as_u64().unwrap(), l["kind"].as_str().unwrap())).collect();
    assert_eq!(kinds, [(1, "train"), (3, "eval"), (6, "eval")]);
    assert_fields(&lines[0]["values"], &["loss", "lr", "train_accuracy"]);
    assert_fields(&lines[2]["values"], &MEASURES);

    let report = bench.text("run/report.html");
    assert!(report.starts_with("<!") && report.contains("<svg"), "{}", &report[..200]);
    assert!(!report.contains("src=\"http"), "the report wants other files");

    // The saved recipe holds every key, and trains the same network.
    bench.ocelli("train run/recipe.toml --out again").succeeded();
    assert_eq!(bench.read("run/recipe.toml"), bench.read("again/recipe.toml"));
    assert_eq!(bench.read("run/weights.safetensors"), bench.read("again/weights.safetensors"));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let bench = Bench::new();
    let weights = ["1", "3"].map(|threads| {
        let mut command = bench.command(&format!("train tiny.toml --out run{threads}"));
        let output = command.env("RAYON_NUM_THREADS", threads).output().unwrap();
        Said::new("train", output).succeeded();
        bench.read(&format!("run{threads}/weights.safetensors"))
    });
    assert!(weights[0] == weights[1], "one thread and three train different networks");
}

#[test]
fn runs_without_a_name_are_numbered() {
    let bench = Bench::new();
    bench.ocelli("train tiny.toml").succeeded();
    bench.ocelli("train tiny.toml --set seed=1").succeeded();
    assert_eq!(bench.names("runs"), ["tiny", "tiny-2"]);
    let resumed = bench.ocelli("train tiny.toml --set seed=1 --resume").succeeded();
    assert!(resumed.err.contains("tiny-2"), "{}", resumed.err);
}

#[test]
fn train_and_eval_print_the_promised_documents() {
    let bench = Bench::new();
    let trained = bench.ocelli("train tiny.toml --out run --json").succeeded().json();
    assert_fields(&trained, &["run", "weights", "report", "metrics", "raw_pixels", "skipped"]);
    let measured = bench.ocelli("eval run --json").succeeded().json();
    assert_eq!(measured["protocol"], "verification");
    assert_fields(&measured, &["variant", "metrics"]);
    assert_fields(&measured["metrics"], &MEASURES);
    for part in ["metrics", "raw_pixels", "skipped"] {
        assert_eq!(trained[part], measured[part], "{part}");
    }
    // A recipe with weights is as good as the run's folder.
    let apart = bench.ocelli("eval tiny.toml --weights run/weights.safetensors --json").succeeded().json();
    assert_eq!(apart, measured);
    let text = bench.ocelli("eval run").succeeded().out;
    assert!(text.contains("verification accuracy"), "{text}");

    bench.people("people", 4, 6);
    let others = bench.ocelli("eval run --data people --json").succeeded().json();
    assert_fields(&others["metrics"], &MEASURES);
    assert_ne!(others["metrics"], measured["metrics"]);
}

#[test]
fn every_loss_optimiser_and_option_trains() {
    let bench = Bench::new();
    let mut seen = BTreeSet::new();
    for (i, options) in [
        "--set loss.s=64",
        "--set loss.name=arcface",
        "--set loss.name=softmax",
        "--set optimizer.name=adam",
        "--set optimizer.name=adamw",
        "--set optimizer.nesterov=true",
        "--set train.average_decay=0.9",
        "--set train.clip_norm=1.0",
        "--set augment.flip=0.5",
        "--set schedule.warmup_epochs=1",
        "--set schedule.shape=step --set schedule.milestones=[1.0]",
        "--set schedule.shape=poly",
        "--set schedule.shape=constant",
    ]
    .iter()
    .enumerate()
    {
        bench.ocelli(&format!("train tiny.toml --out run{i} {options}")).succeeded();
        let file = bench.safetensors(&format!("run{i}/weights.safetensors"));
        assert!(file.state.non_finite().is_empty(), "{options}");
        assert!(seen.insert(bench.read(&format!("run{i}/weights.safetensors"))), "{options} changes nothing");
    }
}

#[test]
fn a_training_starts_from_other_weights() {
    let bench = Bench::trained();
    let slow = "--set optimizer.lr=1e-9 --set schedule.epochs=1 --set optimizer.momentum=0";
    bench
        .ocelli(&format!("train tiny.toml --out on --set backbone.weights=run/weights.safetensors {slow}"))
        .succeeded();
    let weights = |run: &str| bench.safetensors(&format!("{run}/weights.safetensors"));
    let (before, after) = (weights("run"), weights("on"));
    let kernels = before.state.iter().filter(|(_, array)| array.shape().len() == 4);
    for (name, array) in kernels {
        let now = after.state.get(name).unwrap().to_f32();
        assert!(array.to_f32().iter().zip(now).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
}

/// Paths and vectors, by the ending of the file.
fn embeddings(bench: &Bench, file: &str) -> Vec<(String, Vec<f32>)> {
    let number = |text: &str| text.parse::<f32>().unwrap();
    match Path::new(file).extension().unwrap().to_str().unwrap() {
        "jsonl" => {
            let row = |line: &str| {
                let row: Value = serde_json::from_str(line).unwrap();
                let values = row["embedding"].as_array().unwrap().iter();
                (row["path"].as_str().unwrap().to_owned(), values.map(|v| number(&v.to_string())).collect())
            };
            bench.text(file).lines().map(row).collect()
        }
        "csv" => {
            let row = |line: &str| {
                let (path, values) = line.strip_prefix('"').unwrap().split_once("\",").unwrap();
                (path.replace("\"\"", "\""), values.split(',').map(number).collect())
            };
            bench.text(file).lines().skip(1).map(row).collect()
        }
        _ => {
            let array = npy::read(bench.path(file)).unwrap();
            let paths = bench.text(&file.replace(".npy", ".paths.txt"));
            let paths: Vec<&str> = paths.lines().collect();
            assert_eq!(array.shape(), [paths.len(), 16]);
            let rows = array.to_f32();
            paths.iter().zip(rows.chunks(16)).map(|(p, row)| ((*p).to_owned(), row.to_vec())).collect()
        }
    }
}

#[test]
fn embeddings_agree_over_formats_and_shards() {
    let bench = Bench::trained();
    bench.people("people", 3, 4);
    bench.people("peo\"ple, too", 1, 1);
    std::fs::rename(bench.path("peo\"ple, too"), bench.path("people/p9,\"x\"")).unwrap();
    let embed = |out: &str, more: &str| {
        bench.ocelli(&format!("embed people --weights run --out {out} {more}")).succeeded();
        embeddings(&bench, out)
    };
    let whole = embed("e.jsonl", "");
    assert_eq!(whole.len(), 13);
    for (path, row) in &whole {
        let norm: f32 = row.iter().map(|v| v * v).sum();
        assert!(row.len() == 16 && (norm - 1.0).abs() < 1e-5, "{path}: {norm}");
    }
    assert_eq!(whole, embed("e.csv", ""));
    assert_eq!(whole, embed("e.npy", ""));
    assert_ne!(whole, embed("plain.jsonl", "--no-flip"));
    let mut half = bench.ocelli("embed people --weights run --out half.csv --precision bf16");
    if Precision::Bf16.is_native() {
        half = half.succeeded();
        assert!(half.err.contains("bf16: cosine to f32 on 13 pictures: mean 0.9"), "{}", half.err);
        assert_ne!(whole, embeddings(&bench, "half.csv"));
    } else {
        half.refused(&["--precision bf16", "use f32"]);
    }

    let (odd, even) = (embed("1.jsonl", "--shard 1/2"), embed("2.npy", "--shard 2/2"));
    assert_eq!((odd.len(), even.len()), (7, 6));
    let mut union: Vec<_> = odd.into_iter().chain(even).collect();
    let mut sorted = whole;
    for list in [&mut union, &mut sorted] {
        list.sort_by(|a, b| a.0.cmp(&b.0));
    }
    assert_eq!(union, sorted);
}

#[test]
fn predict_compares_and_finds_people() {
    let bench = Bench::trained();
    bench.people("people", 3, 4);
    let line = bench
        .ocelli("predict curricularface people/p0/0.png people/p0/0.png --weights run")
        .succeeded()
        .json();
    assert_fields(&line, &["left", "right", "cosine", "threshold", "same"]);
    assert!((line["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-5 && line["same"] == true, "{line}");
    let strict = "predict curricularface people/p0/0.png people/p1/0.png --weights run --threshold 1";
    assert_eq!(bench.ocelli(strict).succeeded().json()["same"], false);

    bench.people("photos", 3, 1);
    let found = "predict curricularface photos --weights run --gallery people --top 2 --out found";
    let said = bench.ocelli(found).succeeded();
    let lines: Vec<Value> = said.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for (person, line) in lines.iter().enumerate() {
        assert_fields(line, &["path", "identity", "threshold", "candidates"]);
        // The very picture is in the gallery.
        assert_eq!(line["identity"], format!("p{person}"), "{line}");
        assert_eq!(line["candidates"].as_array().unwrap().len(), 2);
        assert_fields(&line["candidates"][0], &["identity", "cosine", "picture"]);
    }
    assert_eq!(bench.text("found/predictions.jsonl"), said.out);
    assert_eq!(bench.names("found"), ["00000.png", "00001.png", "00002.png", "predictions.jsonl"]);
    assert!(image::open(bench.path("found/00000.png")).unwrap().width() > 300);
}

#[test]
fn folders_and_lists_of_pictures_train() {
    let bench = Bench::new();
    bench.people("people", 8, 4);
    bench.ocelli("train tiny.toml --out folder --set data.train=people").succeeded();
    let mut list = String::new();
    for person in 0..8 {
        (0..4).for_each(|n| list.push_str(&format!("people/p{person}/{n}.png {person}\n")));
    }
    bench.write("list.txt", list);
    bench.ocelli("train tiny.toml --out list --set data.train=list.txt").succeeded();
    assert_eq!(bench.read("folder/weights.safetensors"), bench.read("list/weights.safetensors"));
}

#[test]
fn an_unreadable_picture_in_a_hundred_is_left_out_and_named() {
    let bench = Bench::new();
    bench.people("people", 4, 30);
    // Of each person in turn: whether they are trained on or held out must make no difference.
    for person in 0..4 {
        let name = format!("people/p{person}/7.png");
        let whole = bench.read(&name);
        bench.truncate(&name, 0.6);
        let run = format!("run{person}");
        let options = "--set data.train=people --set schedule.epochs=1 --set train.batch_size=30";
        let said = bench.ocelli(&format!("train tiny.toml --out {run} --json {options}")).succeeded();
        assert_eq!(said.json()["skipped"], 1);
        assert!(said.err.contains("1 unreadable picture was left out"), "{}", said.err);
        assert!(said.err.lines().any(|line| line.contains(&name)), "{}", said.err);
        assert!(bench.text(&format!("{run}/report.html")).contains("7.png"));
        bench.ocelli(&format!("eval {run}")).succeeded();
        bench.write(&name, whole);
    }
}

#[test]
fn real_photographs_train() {
    let Some(faces) = shared("data/orl-faces") else {
        eprintln!("SKIPPED: the ORL faces are not here, so no training on real photographs was tried");
        return;
    };
    let bench = Bench::new();
    let options = "--set schedule.epochs=1 --set train.batch_size=32 --set evaluate.folds=5";
    let faces = faces.display();
    let said = bench
        .ocelli(&format!("train tiny.toml --out run --json --set data.train={faces} {options}"))
        .succeeded();
    let accuracy = said.json()["metrics"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.5, "no better than tossing a coin: {accuracy}");
    assert!(said.err.contains("300 pictures of 30 people"), "{}", said.err);
}

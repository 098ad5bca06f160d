//! Feature adaptation from end to end: its stages are trained, killed and resumed, used, and refused.

use crate::bench::Bench;
use crate::resume::{OPTIONS, kill_at};

/// Four epochs of the recogniser, one of disentangling, one of adaptation with degraded pictures as unpaired ones.
const FAN: &str = "--set loss.name=fan --set data.regime.degraded=0.25 --set data.regime.sides=[6,12] \
                   --set loss.scale.k_min=6";

#[test]
fn every_stage_resumes_to_the_same_bytes() {
    let bench = Bench::new();
    let run = format!("train tiny.toml --out run {OPTIONS} {FAN}");
    kill_at(&bench, &run, 70);
    // In the stage of disentangling, and in that of adaptation.
    kill_at(&bench, &format!("{run} --resume"), 127);
    kill_at(&bench, &format!("{run} --resume"), 158);
    bench.ocelli(&format!("{run} --resume")).succeeded();
    bench.ocelli(&format!("train tiny.toml --out whole {OPTIONS} {FAN}")).succeeded();
    for file in ["weights.safetensors", "metrics.jsonl", "report.html"] {
        assert!(bench.read(&format!("run/{file}")) == bench.read(&format!("whole/{file}")), "{file} differs");
    }
    let log = bench.text("whole/metrics.jsonl");
    for number in ["train_accuracy", "keep", "pair", "adv", "judge_maps", "low_high_cosine"] {
        assert!(log.contains(&format!("\"{number}\"")), "{number} is not logged");
    }
}

#[test]
fn trained_weights_recognise_and_the_run_normalises() {
    let bench = Bench::new();
    bench.people("faces", 2, 2);
    bench.ocelli(&format!("train tiny.toml --out run {FAN} --set schedule.epochs=4")).succeeded();
    bench.ocelli("predict fan --weights run faces/p0/0.png faces/p1/0.png").succeeded();
    let said = bench.ocelli("predict fan --weights run --normalize near faces").succeeded();
    assert_eq!(said.out.lines().count(), 4);
    assert_eq!(bench.names("near").len(), 4);
    let face = image::open(bench.path("near/00000.png")).unwrap();
    assert_eq!((face.width(), face.height()), (32, 32));

    // A trained recogniser to start from leaves the whole training to the two stages.
    let short = "--set loss.recognizer=0 --set schedule.epochs=2 --set optimizer.lr=0.001";
    let from = "--set backbone.weights=run/weights.safetensors";
    bench.ocelli(&format!("train tiny.toml --out short {FAN} {short} {from}")).succeeded();
    bench
        .ocelli(&format!("train tiny.toml --out none {FAN} {short}"))
        .stopped(&["loss.recognizer", "weights"]);
}

#[test]
fn settings_that_make_no_training_are_named() {
    let bench = Bench::new();
    let train =
        |options: &str| bench.ocelli(&format!("train tiny.toml --out run --set loss.name=fan {options}"));
    train("--set loss.s=0").refused(&["loss.s: 0"]);
    train("--set loss.m=2.0").refused(&["loss.m: 2"]);
    train("--set loss.disentangle=0.9").refused(&["loss.disentangle: 0.9"]);
    train("--set loss.judge_lr=0").refused(&["loss.judge_lr"]);
    train("--set loss.scale.k_min=0").refused(&["loss.scale.k_min"]);
    train("--set loss.stage_2.pair=-1").refused(&["loss.stage_2.pair"]);
    train("--set backbone.input_size=40").stopped(&["backbone.input_size", "16"]);
    train("--set data.regime.degraded=1.0").stopped(&["data.regime.degraded"]);
    let trained = Bench::trained();
    let said = trained.ocelli("predict fan --weights run --normalize near tiny.toml");
    said.stopped(&["curricularface"]);
}

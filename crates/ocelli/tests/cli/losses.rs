//! The losses of a recipe: each trains, logs what it promises, and names a setting that is out of range.

use serde_json::Value;

use crate::bench::{Bench, assert_fields};

/// The values of the last line of a kind in a run's log.
#[track_caller]
fn last(bench: &Bench, run: &str, kind: &str) -> Value {
    let lines = bench.text(&format!("{run}/metrics.jsonl"));
    let mut lines = lines.lines().rev().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let line = lines.find(|l| l["kind"] == kind);
    line.unwrap_or_else(|| panic!("{run} logged no `{kind}`"))["values"].take()
}

/// Trains for a moment with a loss and its settings, in a folder of the loss's name.
#[track_caller]
fn train(bench: &Bench, loss: &str, settings: &str) {
    let command = format!("train tiny.toml --out {loss} --set loss.name={loss} --set train.log_every=1");
    let settings: Vec<String> = settings.split_whitespace().map(|s| format!(" --set loss.{s}")).collect();
    bench.ocelli(&(command + &settings.concat())).succeeded();
}

#[test]
fn margin_losses_train() {
    let bench = Bench::new();
    for (loss, settings, fields) in [
        ("a-softmax", "m=3", &["loss", "train_accuracy"][..]),
        ("cosface", "s=16", &["loss", "train_accuracy"]),
        ("mv-softmax", "kind=am", &["loss", "train_accuracy"]),
        ("npcface", "m1=0.1", &["loss", "train_accuracy", "margin", "hard_share"]),
    ] {
        train(&bench, loss, settings);
        let values = last(&bench, loss, "train");
        assert_fields(&values, fields);
        assert!(values["loss"].as_f64().unwrap() > 0.0, "{loss}: {values}");
    }
}

#[test]
fn centres_are_kept_in_the_checkpoint_and_diagnosed() {
    let bench = Bench::new();
    for variant in ["softmax", "a-softmax", "am-softmax"] {
        for rule in ["running", "recompute"] {
            let settings = format!("variant={variant} centers={rule} diagnose=true");
            let _ = std::fs::remove_dir_all(bench.path("ir-softmax"));
            train(&bench, "ir-softmax", &settings);
            let values = last(&bench, "ir-softmax", "epoch");
            let deviation = values["deviation_tail"].as_f64().unwrap();
            assert!((0.0..=180.0).contains(&deviation), "{settings}: {values}");
            let checkpoint = bench.safetensors("ir-softmax/checkpoint/step-0000000006.safetensors");
            let named = checkpoint.state.iter().find(|(name, _)| name.contains("centers/centers"));
            let (_, centers) = named.expect("the centres are part of the checkpoint");
            assert_eq!(centers.shape(), [6, 16]);
            assert!(centers.to_f32().iter().any(|v| *v != 0.0), "{settings}: centres at their start");
        }
    }
}

#[test]
fn a_recogniser_of_any_loss_predicts() {
    let bench = Bench::new();
    train(&bench, "npcface", "");
    train(&bench, "ir-softmax", "");
    bench.people("people", 2, 2);
    for loss in ["npcface", "ir-softmax"] {
        let pictures = "people/p0/0.png people/p1/0.png";
        let said = bench.ocelli(&format!("predict {loss} --weights {loss}/weights.safetensors {pictures}"));
        assert_fields(&said.succeeded().json(), &["cosine", "same"]);
    }
}

#[test]
fn losses_that_compose_their_own_batches_train_and_predict() {
    let bench = Bench::new();
    bench.people("people", 2, 2);
    for (loss, data, fields) in [
        (
            "semi-siamese",
            "--set loss.queue=8 --set loss.order=defer --set data.world.people=24 --set data.regime.pictures=2",
            &["loss", "train_accuracy"][..],
        ),
        (
            "ddl",
            "--set data.regime.degraded=0.5 --set data.world.pictures=16 --set train.batch_size=24",
            &["loss", "train_accuracy", "pos_kl", "neg_kl", "order", "easy_positive", "hard_negative"],
        ),
    ] {
        let command =
            format!("train tiny.toml --out {loss} --set loss.name={loss} --set train.log_every=1 {data}");
        bench.ocelli(&command).succeeded();
        assert_fields(&last(&bench, loss, "train"), fields);
        let pictures = "people/p0/0.png people/p1/0.png";
        let said = bench.ocelli(&format!("predict {loss} --weights {loss}/weights.safetensors {pictures}"));
        assert_fields(&said.succeeded().json(), &["cosine", "same"]);
    }
    // The distributions of similarities are told epoch by epoch.
    assert_fields(&last(&bench, "ddl", "epoch"), &["easy.positive.0", "hard.negative.9"]);
}

#[test]
fn pictures_that_do_not_suit_a_loss_are_said() {
    let bench = Bench::new();
    for (options, said) in [
        ("--set loss.name=semi-siamese", "loss.queue: 16384 wants at least"),
        (
            "--set loss.name=semi-siamese --set loss.queue=6",
            "loss.queue: 6 is no multiple of the 4 identities",
        ),
        (
            "--set loss.name=semi-siamese --set loss.queue=8 --set data.world.people=24 --set data.regime.pictures=1",
            "has 1 picture of the two that make a pair",
        ),
        ("--set loss.name=ddl --set train.batch_size=24", "data.regime.degraded: all pictures are easy"),
        ("--set loss.name=ddl", "train.batch_size: 8 is no multiple of 6"),
    ] {
        bench.ocelli(&format!("train tiny.toml --out run {options}")).stopped(&[said]);
    }
}

#[test]
fn settings_of_losses_are_checked_by_name() {
    let bench = Bench::new();
    for (loss, setting) in [
        ("a-softmax", "m=0"),
        ("a-softmax", "lambda.gamma=-1.0"),
        ("cosface", "s=0.0"),
        ("cosface", "m=1.5"),
        ("ddl", "order_loss_weight=-1.0"),
        ("ddl", "s=0.0"),
        ("ir-softmax", "s=0.0"),
        ("ir-softmax", "m=-0.1"),
        ("ir-softmax", "factor=0"),
        ("ir-softmax", "alpha=0.0"),
        ("ir-softmax", "every=0"),
        ("mv-softmax", "m=1.6"),
        ("mv-softmax", "weight=0.9"),
        ("npcface", "s=0.0"),
        ("npcface", "m=2.0"),
        ("npcface", "m0=1.6"),
        ("npcface", "m1=0.5"),
        ("npcface", "t=0.0"),
        ("semi-siamese", "alpha=1.0"),
        ("semi-siamese", "m=1.5"),
        ("semi-siamese", "queue=0"),
        ("semi-siamese", "s=0.0"),
    ] {
        let (key, _) = setting.split_once('=').unwrap();
        let command = format!("train tiny.toml --out run --set loss.name={loss} --set loss.{setting}");
        bench.ocelli(&command).stopped(&["tiny.toml", &format!("loss.{key}: ")]);
        assert!(!bench.exists("run"), "{loss} {setting} left a folder");
    }
    let command = "train tiny.toml --out run --set loss.name=ir-softmax --set loss.variant=hinge";
    bench.ocelli(command).stopped(&["`hinge`", "loss"]);
}

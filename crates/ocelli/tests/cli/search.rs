//! Losses under a modulating factor: fixed, drawn each epoch, searched.

use serde_json::Value;

use crate::bench::Bench;

/// The lines of a run's log that close an epoch.
fn epochs(bench: &Bench, run: &str) -> Vec<Value> {
    let log = bench.text(&format!("{run}/metrics.jsonl"));
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "epoch").collect()
}

#[test]
fn a_search_logs_means_factors_rewards_and_winner() {
    let bench = Bench::new();
    let search = "--set loss.name=search-softmax --set loss.copies=3 --set loss.warm_up=1 \
                  --set schedule.epochs=3 --set data.world.people=10";
    bench.ocelli(&format!("train tiny.toml --out run {search}")).succeeded();
    let epochs = epochs(&bench, "run");
    assert_eq!(epochs.len(), 3);
    let number = |epoch: usize, key: &str| {
        let values = &epochs[epoch];
        values[key].as_f64().or_else(|| values["values"][key].as_f64())
    };
    // All copies share the factor of the warm-up, -e^{32/3}, and nobody is rewarded.
    for copy in 0..3 {
        assert!((number(0, &format!("a.{copy}")).unwrap() + (32.0f64 / 3.0).exp()).abs() < 1e-3);
        assert_eq!(number(0, &format!("reward.{copy}")), None);
        assert!((0.0..=1.0).contains(&number(1, &format!("reward.{copy}")).unwrap()));
    }
    assert_eq!(number(0, "mu"), Some(0.0));
    assert_ne!(number(1, "a.0"), number(1, "a.1"));
    let winner = number(2, "winner").unwrap();
    assert!([0.0, 1.0, 2.0].contains(&winner));
    let best = number(2, &format!("reward.{winner}")).unwrap();
    assert!((0..3).all(|copy| number(2, &format!("reward.{copy}")).unwrap() <= best));
    bench.ocelli("eval run").succeeded();
}

#[test]
fn factors_fixed_and_drawn_train() {
    let bench = Bench::new();
    bench
        .ocelli("train tiny.toml --out fixed --set loss.name=modulated-softmax --set loss.a=-10")
        .succeeded();
    bench.ocelli("train tiny.toml --out random --set loss.name=random-softmax").succeeded();
    let drawn: Vec<f64> = epochs(&bench, "random")
        .iter()
        .map(|line| line["a"].as_f64().or_else(|| line["values"]["a"].as_f64()).unwrap())
        .collect();
    assert!(drawn.len() == 2 && drawn[0] != drawn[1] && drawn.iter().all(|a| *a < 0.0), "{drawn:?}");
}

#[test]
fn settings_that_no_search_can_run_with_are_named() {
    let bench = Bench::new();
    let train =
        |settings: &str| bench.ocelli(&format!("train tiny.toml --out run --set loss.name={settings}"));
    for (settings, key) in [
        ("search-softmax --set loss.s=0", "loss.s"),
        ("search-softmax --set loss.copies=1", "loss.copies"),
        ("search-softmax --set loss.agent.sigma=-1.0", "loss.agent.sigma"),
        ("random-softmax --set loss.magnitudes=[2.0,1.0]", "loss.magnitudes"),
        ("modulated-softmax --set loss.a=0.5", "loss.a"),
    ] {
        train(settings).refused(&[key]);
    }
    // What the pictures must be looked at for.
    for (settings, key) in [
        ("search-softmax --set loss.held_out=6", "loss.held_out"),
        ("search-softmax --set loss.held_out=1", "loss.held_out"),
        ("search-softmax --set train.average_decay=0.9", "train.average_decay"),
        ("search-softmax --set train.batch_size=20", "train.batch_size"),
    ] {
        train(settings).stopped(&[key]);
    }
    assert!(!bench.exists("run"));
}

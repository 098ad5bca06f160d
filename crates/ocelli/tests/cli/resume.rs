//! A training killed at any moment goes on with the same result as an unbroken one.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bench::Bench;

/// Thirty steps an epoch, a checkpoint after each; everything that has a memory is switched on.
pub(crate) const OPTIONS: &str = "--set data.world.pictures=40 --set schedule.epochs=6 --set train.checkpoint_every=1 \
                       --set train.log_every=3 --set train.average_decay=0.9 --set augment.flip=0.5 \
                       --set optimizer.momentum=0.9 --set schedule.warmup_epochs=0.5";
const STEPS_PER_EPOCH: u64 = 30;

/// The step of the newest checkpoint, if there is one.
fn newest(bench: &Bench, run: &str) -> Option<u64> {
    let entries = std::fs::read_dir(bench.path(run).join("checkpoint")).ok()?;
    let names = entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()));
    names.filter_map(|n| n.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()).max()
}

/// Starts or resumes a run and kills it without warning at the first sight of a checkpoint of `step` or later in the
/// middle of an epoch.
pub(crate) fn kill_at(bench: &Bench, arguments: &str, step: u64) {
    let mut command = bench.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    loop {
        if newest(bench, "run").is_some_and(|at| at >= step && at % STEPS_PER_EPOCH != 0) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint of step {step} after a minute");
        assert!(child.try_wait().unwrap().is_none(), "the training ended before step {step} was seen");
        std::thread::sleep(Duration::from_micros(500));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(!bench.exists("run/weights.safetensors"));
}

/// Kills a training with further options at these steps, one after the other, resumes it to its end, and fails unless it
/// leaves the same bytes as an unbroken one.
#[track_caller]
fn survives(options: &str, kills: &[u64]) {
    let bench = Bench::new();
    let run = format!("train tiny.toml --out run {OPTIONS} {options}");
    for (k, &step) in kills.iter().enumerate() {
        kill_at(&bench, &if k == 0 { run.clone() } else { format!("{run} --resume") }, step);
    }
    // What a writer killed in the middle leaves behind.
    bench.write("run/checkpoint/.step-0000000999.safetensors.part", "half");
    let mut log = bench.read("run/metrics.jsonl");
    log.extend(b"{\"step\":999,\"epo");
    bench.write("run/metrics.jsonl", log);
    let resumed = bench.ocelli(&format!("{run} --resume")).succeeded();
    assert!(resumed.err.contains("resumed at step"), "{}", resumed.err);

    let whole = bench.ocelli(&format!("train tiny.toml --out whole {OPTIONS} {options}")).succeeded();
    assert_eq!(resumed.out.replace("run/", "whole/"), whole.out);
    let step = newest(&bench, "whole").unwrap();
    let last = format!("checkpoint/step-{step:010}.safetensors");
    for file in ["weights.safetensors", "metrics.jsonl", "recipe.toml", "report.html", &last] {
        let (broken, unbroken) = (format!("run/{file}"), format!("whole/{file}"));
        assert!(bench.read(&broken) == bench.read(&unbroken), "{options}: {file} differs");
    }
}

#[test]
fn a_killed_training_ends_with_the_same_bytes() {
    survives("", &[10, 40, 70]);
}

#[test]
fn so_does_a_search() {
    // Eight people to train on, two of them for the rewards; the search starts with the third epoch, at step 60.
    let search = "--set loss.name=search-softmax --set loss.copies=2 --set train.average_decay=0.0 \
                  --set data.world.people=10";
    survives(search, &[10, 70, 100]);
    survives(&format!("{search} --set loss.mode=local --set loss.reward=tar"), &[100]);
}

#[test]
fn so_does_one_with_centres() {
    let centers = "--set loss.name=ir-softmax --set loss.diagnose=true";
    survives(&format!("{centers} --set loss.centers=running"), &[10, 40]);
    survives(&format!("{centers} --set loss.centers=recompute --set loss.every=2"), &[40]);
}

#[test]
fn so_does_one_with_a_falling_lambda() {
    survives("--set loss.name=a-softmax", &[40]);
}

#[test]
fn so_does_one_with_a_queue() {
    // 120 people of two pictures, four a step.
    let shallow = "--set loss.name=semi-siamese --set loss.queue=16 --set loss.order=defer \
                   --set data.world.people=160 --set data.world.pictures=2 --set data.regime.pictures=2";
    survives(shallow, &[10, 40, 70]);
    survives(&format!("{shallow} --set loss.order=leave-out --set schedule.epochs=4"), &[40]);
}

#[test]
fn so_does_one_with_easy_and_hard_pictures() {
    let ddl = "--set loss.name=ddl --set data.regime.degraded=0.5 --set data.world.pictures=20 --set train.batch_size=12";
    survives(ddl, &[10, 40, 70]);
}

#[test]
fn a_finished_training_resumed_stays_as_it_is() {
    let bench = Bench::trained();
    let files = ["weights.safetensors", "metrics.jsonl", "recipe.toml", "report.html"];
    let contents = || files.map(|file| bench.read(&format!("run/{file}")));
    let before = contents();
    for _ in 0..2 {
        bench.ocelli("train tiny.toml --out run --resume").succeeded();
        assert!(contents() == before, "a file changed");
    }
    // Killed between the last checkpoint and the weights.
    std::fs::remove_file(bench.path("run/weights.safetensors")).unwrap();
    bench.ocelli("train tiny.toml --out run --resume").succeeded();
    assert!(contents() == before, "a file changed");
}

#[test]
fn a_run_is_neither_overwritten_nor_resumed_as_another() {
    let bench = Bench::trained();
    let weights = bench.read("run/weights.safetensors");
    bench.ocelli("train tiny.toml --out run").refused(&["run holds a run already", "--resume"]);
    bench
        .ocelli("train tiny.toml --out run --resume --set schedule.epochs=3")
        .refused(&["run/recipe.toml", "`schedule.epochs`"]);
    bench.ocelli("train tiny.toml --out run --resume --set loss.name=softmax").refused(&["`loss."]);
    bench.ocelli("train tiny.toml --out other --resume").refused(&["other holds no run to resume"]);
    bench.ocelli("train tiny.toml --resume").refused(&["no run of this recipe to resume"]);
    assert!(!bench.exists("other") && !bench.exists("runs"));
    assert_eq!(bench.read("run/weights.safetensors"), weights);
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let bench = Bench::trained();
    let name = "run/checkpoint/step-0000000006.safetensors";
    let whole = bench.read(name);
    bench.truncate(name, 0.5);
    bench.ocelli("train tiny.toml --out run --resume").stopped(&["step-0000000006.safetensors"]);
    bench.write(name, [0x5A; 4000]);
    bench.ocelli("train tiny.toml --out run --resume").stopped(&["step-0000000006.safetensors"]);
    // The checkpoint of another network under the same recipe.
    let wider = "--set backbone.widths=[8,8,8,8] --set schedule.epochs=2";
    bench.ocelli(&format!("train tiny.toml --out wide {wider}")).succeeded();
    bench.write(name, bench.read("wide/checkpoint/step-0000000006.safetensors"));
    bench.ocelli("train tiny.toml --out run --resume").stopped(&["step-0000000006.safetensors", "weight"]);
    bench.write(name, whole);
    bench.ocelli("train tiny.toml --out run --resume").succeeded();
}

//! `ocelli bench`: times by name, for people, for programs, and in turns with others.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::Bench;

#[test]
fn cases_are_listed_and_timed() {
    let bench = Bench::new();
    let said = bench.ocelli("bench ops --only linear --list").succeeded();
    assert_eq!(said.out.lines().next(), Some("linear r1 d4096 o4096"));
    assert!(said.out.lines().all(|name| name.contains("linear")));

    let said = bench.ocelli("bench ops --only r1 --rounds 2 --threads 1 --json").succeeded();
    let timings: Value = serde_json::from_str(&said.out).unwrap();
    let timing = &timings.as_array().unwrap()[0];
    assert_eq!(timing["case"], "linear r1 d4096 o4096");
    let seconds = timing["seconds"].as_f64().unwrap();
    assert!(seconds > 0.0 && timing["median_seconds"].as_f64().unwrap() >= seconds);
    assert!(timing["gflops"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_batch_may_be_chosen() {
    let bench = Bench::new();
    let said = bench.ocelli("bench models --only mobilenet_v2 --batch 3 --list").succeeded();
    assert_eq!(said.out, "mobilenet_v2 b3\n");
}

#[test]
fn wrong_options_are_refused() {
    let bench = Bench::new();
    for (options, reason) in [
        ("ops --only nothing", "--only nothing: no such case; --list has them"),
        ("ops --threads 0", "--threads 0: at least 1"),
        ("ops --rounds 0", "--rounds 0: at least 1"),
        ("models --batch 0", "--batch 0: at least 1"),
    ] {
        bench.ocelli(&format!("bench {options}")).refused(&[reason]);
    }
}

/// Runs `ocelli bench ops --serve` on these lines.
fn served(lines: &str) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.args(["bench", "ops", "--serve", "--threads", "1"]);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = pipes.spawn().unwrap();
    program.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn programs_take_turns() {
    // Any numbers will do, not only those of the table.
    let (good, out, _) = served("1 linear r2 d3 o4\n5 linear r2 d3 o4\n1 matmul+grad m4 k4 n4\n");
    assert!(good);
    let answers: Vec<Vec<f64>> =
        out.lines().map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect()).collect();
    let [turns @ .., memory] = &answers[..] else { panic!("no answer") };
    assert_eq!(turns.len(), 3);
    assert!(turns.iter().all(|turn| turn.len() == 2 && turn[0] > 0.0));
    assert!(memory[0] >= memory[1], "the peak is {} MiB, before were {} MiB", memory[0], memory[1]);
}

#[test]
fn wrong_lines_end_the_turns() {
    for (line, reason) in [
        ("linear", "`linear` is not TIMES CASE"),
        ("x linear r2 d3 o4", "x is no number"),
        ("1 linear r2", "`linear r2` does not say d"),
        ("1 linear r2 d3 oo", "oo is no letter with a number"),
        ("1 telepathy b1", "no operation `telepathy`"),
        ("1 conv2d b1 c3 o4 h2 k9 p0", "`conv2d b1 c3 o4 h2 k9 p0`: "),
        ("1 conv2d b1 c3 o4 h9 k3 s0", "`conv2d b1 c3 o4 h9 k3 s0`: "),
    ] {
        let (good, out, err) = served(&format!("{line}\n"));
        assert!(!good && out.is_empty() && err.contains(reason), "{line}: {err}");
    }
}

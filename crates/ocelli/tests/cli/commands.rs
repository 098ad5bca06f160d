//! `list`, `show`, help, usage errors, and output that nobody reads to its end.

use std::process::Stdio;

use crate::bench::{Bench, Said, assert_fields};

const CARD: [&str; 8] = ["slug", "title", "task", "basis", "components", "trains", "predicts", "claim"];

#[test]
fn list_and_show_print_the_promised_fields() {
    let bench = Bench::new();
    let list = bench.ocelli("list --json").succeeded().json();
    let rows = list.as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        assert_fields(row, &CARD);
        assert!(["official", "mixed", "reconstruction"].contains(&row["basis"].as_str().unwrap()));
        let slug = row["slug"].as_str().unwrap();
        let card = bench.ocelli(&format!("show {slug} --json")).succeeded().json();
        for field in CARD {
            assert_eq!(card[field], row[field], "{slug} {field}");
        }
        assert_fields(&card, &["authors", "venue", "arxiv", "summary"]);
        let text = bench.ocelli(&format!("show {slug}")).succeeded().out;
        assert!(text.contains(card["title"].as_str().unwrap()), "{text}");
    }
    let table = bench.ocelli("list").succeeded().out;
    assert_eq!(table.lines().count(), rows.len() + 1, "a heading and a line a method");
    assert_eq!(bench.ocelli("list --json no-method-does-this").succeeded().json(), serde_json::json!([]));
}

#[test]
fn output_is_plain_where_nobody_watches() {
    let bench = Bench::new();
    for arguments in ["list", "show curricularface", "verify --component head"] {
        assert!(!bench.ocelli(arguments).succeeded().out.contains('\x1b'), "{arguments}");
    }
}

#[test]
fn every_command_explains_itself() {
    let bench = Bench::new();
    let all = bench.ocelli("--help").succeeded().out;
    for command in ["list", "show", "verify", "reproduce", "train", "eval", "embed", "predict"] {
        assert!(all.contains(command), "{command} is not in the help");
        let help = bench.ocelli(&format!("{command} --help")).succeeded().out;
        assert!(help.contains("Usage: ocelli"), "{help}");
    }
    assert!(bench.ocelli("reproduce --help").out.contains("--seeds"));
}

#[test]
fn unknown_methods_and_devices_are_refused() {
    let bench = Bench::trained();
    for arguments in
        ["show nosuch", "verify nosuch", "reproduce nosuch", "predict nosuch run/report.html --weights run"]
    {
        bench.ocelli(arguments).refused(&["no method `nosuch`", "ocelli list"]);
    }
    for arguments in [
        "verify --device toaster",
        "reproduce curricularface --device toaster",
        "train tiny.toml --out other --device toaster",
        "eval run --device toaster",
        "embed tiny.toml --weights run --out e.csv --device toaster",
        "predict curricularface tiny.toml tiny.toml --weights run --device toaster",
    ] {
        bench.ocelli(arguments).refused(&["no device `toaster`"]);
    }
    assert!(!bench.exists("other") && !bench.exists("e.csv"));
}

#[test]
fn wrong_usage_exits_with_two() {
    let bench = Bench::new();
    for arguments in [
        "dance",
        "list --jso",
        "train",
        "predict curricularface",
        "verify --component",
        "reproduce curricularface --seeds 0",
        "reproduce curricularface --seeds many",
        "eval run --pairs list.txt",
    ] {
        let Said { code, out, err, .. } = bench.ocelli(arguments);
        assert_eq!(code, Some(2), "ocelli {arguments}: {err}");
        assert!(out.is_empty() && err.contains("--help"), "ocelli {arguments}: {err}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_fault() {
    let bench = Bench::new();
    for arguments in [
        "list",
        "list --json",
        "show curricularface",
        "verify --component head",
        "verify --component head --json",
        "train tiny.toml --json --out run",
    ] {
        let mut command = bench.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let Said { code, err, .. } = Said::new(arguments, child.wait_with_output().unwrap());
        assert_eq!(code, Some(0), "ocelli {arguments}: {err}");
        assert!(!err.contains("error") && !err.contains("panicked"), "ocelli {arguments}: {err}");
    }
}

//! `verify` on the built-in cases, on folders elsewhere, and on folders with something wrong in them.

use ocelli::method::verify::CaseSource;
use ocelli::nn::weights::safetensors;
use ocelli::registry::BuiltinCases;
use serde_json::Value;

use crate::bench::{Bench, assert_fields};

/// Copies the built-in cases whose name starts so.
fn copy(bench: &Bench, prefix: &str) -> usize {
    let cases = BuiltinCases.list().unwrap();
    let wanted = cases.iter().filter(|(slug, name)| slug == "curricularface" && name.starts_with(prefix));
    let copied = wanted.map(|(slug, name)| {
        let bytes = BuiltinCases.read(slug, name).unwrap().unwrap();
        bench.write(&format!("cases/{slug}/{name}.safetensors"), bytes);
    });
    copied.count()
}

/// How a case went, in a document of `verify --json`.
fn result<'a>(document: &'a Value, case: &str) -> &'a Value {
    let results = document["results"].as_array().unwrap();
    results.iter().find(|r| r["case"] == case).unwrap_or_else(|| panic!("no case {case} in {document}"))
}

#[test]
fn cases_pass_wherever_they_lie() {
    let bench = Bench::new();
    let copied = copy(&bench, "head_");
    assert!(copied > 0);
    let built_in = bench.ocelli("verify curricularface --component head --json").succeeded().json();
    let elsewhere = bench.ocelli("verify --cases cases --component head --json").succeeded().json();
    assert_eq!(built_in, elsewhere);
    assert_fields(&elsewhere, &["cases", "passed", "failed", "skipped", "results"]);
    assert_eq!((&elsewhere["cases"], &elsewhere["passed"]), (&copied.into(), &copied.into()));
    for result in elsewhere["results"].as_array().unwrap() {
        assert_fields(
            result,
            &["method", "component", "case", "status", "reason", "tensor", "abs", "rel", "share"],
        );
        assert_eq!((&result["status"], &result["component"]), (&"pass".into(), &"head".into()));
    }
    let table = bench.ocelli("verify --cases cases").succeeded().out;
    assert!(table.contains(&format!("{copied} cases: {copied} passed, 0 failed")), "{table}");
}

#[test]
fn a_folder_without_cases_proves_nothing() {
    let bench = Bench::new();
    bench.ocelli("verify --cases nowhere").refused(&["--cases nowhere", "no such folder"]);
    bench.ocelli("verify --cases tiny.toml").refused(&["--cases tiny.toml", "no such folder"]);
    std::fs::create_dir_all(bench.path("empty/curricularface")).unwrap();
    let said = bench.ocelli("verify --cases empty --json");
    assert_eq!(said.code, Some(1));
    assert_eq!(said.json()["cases"], 0);
    assert!(said.err.contains("no case was selected"), "{}", said.err);
}

#[test]
fn a_case_that_cannot_be_read_or_run_counts_as_failed() {
    let bench = Bench::new();
    copy(&bench, "head_default");
    let good = "cases/curricularface/head_default.safetensors";
    let bytes = bench.read(good);
    bench.write("cases/curricularface/cut.safetensors", &bytes[..bytes.len() / 2]);
    bench.write("cases/curricularface/noise.safetensors", [0xA5; 300]);
    let file = bench.safetensors(good);
    let changed = |name: &str, key: &str, value: &str| {
        let mut metadata = file.metadata.clone();
        metadata.insert(key.to_owned(), value.to_owned());
        let path = bench.path(&format!("cases/curricularface/{name}.safetensors"));
        safetensors::write(&path, &file.state, &metadata).unwrap();
    };
    changed("unknown_component", "component", "headless");
    changed("unknown_method", "method", "nosuch");
    changed("other_setting", "config", r#"{"s": 64.0, "m": 0.4, "alpha": 0.01}"#);

    let said = bench.ocelli("verify --cases cases --json");
    assert_eq!(said.code, Some(1), "{}", said.err);
    let document = said.json();
    assert_eq!(
        (&document["cases"], &document["passed"], &document["failed"]),
        (&6.into(), &1.into(), &5.into())
    );
    for (case, status) in [
        ("head_default", "pass"),
        ("cut", "error"),
        ("noise", "error"),
        ("unknown_component", "unsupported"),
        ("unknown_method", "unsupported"),
        ("other_setting", "fail"),
    ] {
        let result = result(&document, case);
        assert_eq!(result["status"], status, "{result}");
        assert_eq!(result["reason"].as_str().unwrap().is_empty(), status == "pass", "{result}");
    }
    let text = bench.ocelli("verify --cases cases");
    assert_eq!(text.code, Some(1));
    assert!(text.out.contains("6 cases: 1 passed, 5 failed"), "{}", text.out);
    assert!(text.err.contains("no component `headless`"), "{}", text.err);
}

//! Replays the evaluators' reference cases.
//!
//! Expected values come from the official tools where there are any; each case says so in its `source`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "reference/case.rs"]
mod case;
#[path = "reference/enhance.rs"]
mod enhance;
#[path = "reference/recognition.rs"]
mod recognition;

use case::Case;
use std::path::{Path, PathBuf};

/// The folder of a method's cases: the project's own, or one beside its checkout.
fn cases_of(method: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["../../goldens", "../../../shared/goldens"].iter().map(|f| root.join(f).join(method));
    folders.into_iter().find(|f| f.is_dir())
}

/// The cases in a folder, in the order of their names.
fn read_all(folder: &Path) -> Vec<(PathBuf, Case)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|f| f.extension().is_some_and(|e| e == "safetensors")).collect();
    files.sort();
    let read = |path: PathBuf| {
        let case = Case::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path, case)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn evaluators_meet_their_reference_cases() {
    let mut passed = 0;
    let mut failures = Vec::new();
    let components = || recognition::COMPONENTS.iter().chain(enhance::COMPONENTS);
    for (method, component, run) in components() {
        let Some(folder) = cases_of(method) else {
            eprintln!("SKIPPED: {method} {component} was compared with nothing, for its cases are not here");
            continue;
        };
        let cases = read_all(&folder);
        let own: Vec<_> = cases.iter().filter(|(_, case)| case.component == *component).collect();
        assert!(!own.is_empty(), "no case of {component} in {}", folder.display());
        for (path, case) in own {
            match run(case).and_then(|outputs| case.compare(&outputs)) {
                Ok(()) => passed += 1,
                Err(error) => failures.push(format!("{}: {error}", path.display())),
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    eprintln!("{passed} cases of {} components passed", components().count());
}

//! Every quirk that a protocol's table names is pinned by a test that exists, under an id of its own.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Id and pinning test of a row such as `//! | LFW-1 | … | strict | `name` |`.
fn quirk(line: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> =
        line.strip_prefix("//! |")?.trim_end_matches('|').split(" | ").map(str::trim).collect();
    let (letters, number) = cells[0].split_once('-')?;
    let is_id = letters.chars().all(|c| c.is_ascii_uppercase()) && number.parse::<u32>().is_ok();
    is_id.then(|| (cells[0], cells[cells.len() - 1].trim_matches('`')))
}

#[test]
fn every_quirk_is_pinned() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let texts: Vec<String> = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let all = texts.concat();
    let mut ids = BTreeSet::new();
    for (id, test) in texts.iter().flat_map(|t| t.lines()).filter_map(quirk) {
        assert!(ids.insert(id), "{id} is given twice");
        let is_pinned = all.contains(&format!("#[test]\n    fn {test}()"))
            || all.contains(&format!("#[test]\nfn {test}()"));
        assert!(is_pinned, "{id}: there is no test `{test}`");
    }
    assert!(ids.len() > 30, "only {} quirks were found; has the table's form changed?", ids.len());
}

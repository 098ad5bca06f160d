//! Holds the repository as a whole to the rules of `ARCHITECTURE.md`: the arrows between crates, the rooms of a method,
//! its reference cases, and what must not stand in any file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ocelli::registry::{self, BuiltinCases};
use ocelli_method::Method;
use ocelli_method::case::Case;
use ocelli_method::verify::{CaseSource, Folder, Selection, Status, verify};
use toml::Table;

/// The crates in which methods live.
const FIELDS: &[&str] = &[
    "ocelli-face",
    "ocelli-image",
    "ocelli-people",
    "ocelli-video",
    "ocelli-language",
    "ocelli-architecture",
    "ocelli-vectors",
];

/// The drawing of the house from the ground up: a crate may use crates of earlier rows, never of its own or a later one.
const LAYERS: &[&[&str]] = &[
    &["ocelli-method", "ocelli-metrics", "ocelli-simd"],
    &["ocelli-kernels", "ocelli-report"],
    &["ocelli-nn", "ocelli-data", "ocelli-world"],
    &["ocelli-train", "ocelli-score"],
    FIELDS,
    &["ocelli"],
];

/// Crates that may use fewer crates than their row would allow.
const NARROWER: &[(&str, &[&str])] =
    &[("ocelli-vectors", &["ocelli-method", "ocelli-metrics", "ocelli-simd"])];

/// Crates that any program can use without a tensor framework.
const WITHOUT_TENSORS: &[&str] = &[
    "ocelli-simd",
    "ocelli-method",
    "ocelli-metrics",
    "ocelli-report",
    "ocelli-data",
    "ocelli-world",
    "ocelli-score",
    "ocelli-vectors",
];

/// How the names of tensor frameworks start.
const TENSOR_FRAMEWORKS: &[&str] = &["burn", "cubecl", "candle", "tch"];

/// Lines that a source file may have.
const LONGEST_SOURCE: usize = 600;

/// Where unsafe code may stand: the kernels on tensors, and those of vector search, which has no tensor framework.
const UNSAFE_PLACES: &[&str] =
    &["crates/ocelli-simd/", "crates/ocelli-kernels/", "crates/ocelli-vectors/src/kernels/"];

/// Top folders of one developer's machine; no file may name a path below them.
const MACHINE_FOLDERS: &[&str] = &["work", "root", "home", "tmp", "Users"];

/// The papers whose references to files and tests must be true.
const PAPERS: &[&str] = &["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "benchmarks/RESULTS.md"];

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("this crate lies two folders below the root")
}

/// Fails with one line a fault.
fn assert_none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}\n  {}\n", faults.join("\n  "));
}

/// The files and folders in a folder, sorted; none where it is absent.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = listing.map(|e| e.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// All text files that belong to the repository, by their path from the root.
fn text_files() -> BTreeMap<String, String> {
    let root = root();
    let mut texts = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder).into_iter().filter(|p| !p.is_symlink()) {
            let from_root =
                path.strip_prefix(&root).expect("found below the root").to_string_lossy().into_owned();
            // Built, run, or written by a tool; the first three are also what version control ignores.
            if ["target", "runs", ".git", "Cargo.lock"].contains(&from_root.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = String::from_utf8(fs::read(&path).expect("a readable file")) {
                texts.insert(from_root, text);
            }
        }
    }
    texts
}

fn rust_sources() -> Vec<(String, String)> {
    text_files().into_iter().filter(|(path, _)| path.ends_with(".rs")).collect()
}

/// The manifests of all crates by crate name.
fn manifests() -> BTreeMap<String, Table> {
    let mut manifests = BTreeMap::new();
    for path in
        entries(&root().join("crates")).into_iter().map(|p| p.join("Cargo.toml")).filter(|p| p.exists())
    {
        let text = fs::read_to_string(&path).expect("a readable manifest");
        let manifest: Table = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = manifest["package"]["name"].as_str().expect("a package has a name").to_owned();
        manifests.insert(name, manifest);
    }
    assert!(manifests.contains_key("ocelli"), "found no crates below {}", root().display());
    manifests
}

/// The packages that a manifest names in tables called `kind`, those for single platforms included.
fn dependencies(manifest: &Table, kind: &str) -> Vec<String> {
    let platforms = manifest.get("target").and_then(|t| t.as_table()).into_iter().flat_map(|t| t.values());
    let tables = platforms.filter_map(|p| p.as_table()).chain([manifest]);
    let listed = tables.filter_map(|t| t.get(kind)?.as_table()).flatten();
    let package = |name: &str, value: &toml::Value| {
        let renamed = value.get("package").and_then(|p| p.as_str());
        renamed.unwrap_or(name).to_owned()
    };
    listed.map(|(name, value)| package(name, value)).collect()
}

// ---- Arrows ----

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&name))
}

/// What is wrong with a crate's arrows to other crates of the house.
fn wrong_arrows(name: &str, manifest: &Table) -> Vec<String> {
    let Some(own) = layer(name) else {
        return vec![format!(
            "crates/{name}/Cargo.toml: `{name}` has no place in the drawing (LAYERS in house.rs)"
        )];
    };
    let narrower = NARROWER.iter().find(|(n, _)| *n == name).map(|(_, allowed)| *allowed);
    let allowed = |other: &str| {
        layer(other).is_some_and(|below| below < own) && narrower.is_none_or(|list| list.contains(&other))
    };
    let used =
        ["dependencies", "build-dependencies"].into_iter().flat_map(|kind| dependencies(manifest, kind));
    used.filter(|other| other.starts_with("ocelli") && !allowed(other))
        .map(|other| format!("crates/{name}/Cargo.toml: `{name}` may not use `{other}`"))
        .collect()
}

#[test]
fn arrows_between_crates_point_down() {
    let faults: Vec<String> = manifests().iter().flat_map(|(name, m)| wrong_arrows(name, m)).collect();
    assert_none("a crate uses only crates below it in the drawing of ARCHITECTURE.md:", &faults);
}

#[test]
fn arrows_up_and_sideways_are_noticed() {
    let faults = |name: &str, manifest: &str| wrong_arrows(name, &manifest.parse().unwrap()).len();
    assert_eq!(faults("ocelli-train", "[dependencies]\nocelli-nn.workspace = true\nserde = \"1\""), 0);
    assert_eq!(faults("ocelli-nn", "[dependencies]\nocelli-train.workspace = true"), 1);
    assert_eq!(faults("ocelli-nn", "[dependencies]\nocelli-data.workspace = true"), 1);
    assert_eq!(faults("ocelli-nn", "[target.'cfg(unix)'.dependencies]\nocelli-data.workspace = true"), 1);
    assert_eq!(faults("ocelli-nn", "[dependencies]\nx = { package = \"ocelli\", path = \"..\" }"), 1);
    assert_eq!(faults("ocelli-vectors", "[dependencies]\nocelli-metrics.workspace = true"), 0);
    assert_eq!(faults("ocelli-vectors", "[dependencies]\nocelli-data.workspace = true"), 1);
    assert_eq!(faults("ocelli-attic", ""), 1);
}

#[test]
fn plain_crates_know_no_tensor_framework() {
    let mut faults = Vec::new();
    for (name, manifest) in manifests().iter().filter(|(name, _)| WITHOUT_TENSORS.contains(&name.as_str())) {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let frameworks = dependencies(manifest, kind).into_iter();
            let frameworks = frameworks.filter(|d| TENSOR_FRAMEWORKS.iter().any(|f| d.starts_with(f)));
            faults.extend(frameworks.map(|d| format!("crates/{name}/Cargo.toml: [{kind}] names `{d}`")));
        }
    }
    assert_none("these crates are usable without a tensor framework:", &faults);
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    let inherits = |m: &Table| m.get("lints").and_then(|l| l.get("workspace")?.as_bool()) == Some(true);
    let loose = manifests().into_iter().filter(|(_, m)| !inherits(m));
    let faults: Vec<String> =
        loose.map(|(name, _)| format!("crates/{name}/Cargo.toml: no `[lints] workspace = true`")).collect();
    assert_none("every crate is held to the lints of the root manifest:", &faults);
}

// ---- Methods ----

/// Whether a folder has a module, as a file or as a folder of its own.
fn has_room(folder: &Path, room: &str) -> bool {
    folder.join(format!("{room}.rs")).exists() || folder.join(room).join("mod.rs").exists()
}

/// The folders of methods: those in a field's crate that replay reference cases.
fn method_folders() -> Vec<PathBuf> {
    let sources = FIELDS.iter().map(|field| root().join("crates").join(field).join("src"));
    sources.flat_map(|src| entries(&src)).filter(|folder| has_room(folder, "verify")).collect()
}

/// What is wrong with a method's folder.
fn missing_rooms(method: &Method, folder: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let at = folder.display();
    let opening = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    if !opening.starts_with("//!") {
        faults.push(format!("{at}/mod.rs: does not open with what the method is (`//!`)"));
    }
    if !opening.contains(method.card.arxiv) {
        faults.push(format!("{at}/mod.rs: does not name the paper, arXiv {}", method.card.arxiv));
    }
    if method.claim.is_some() && !has_room(folder, "reproduce") {
        faults.push(format!("{at}: the card has a claim, but there is no reproduce.rs"));
    }
    faults
}

#[test]
fn every_method_has_its_rooms() {
    let folders: BTreeMap<String, PathBuf> =
        method_folders().into_iter().map(|p| (file_name(&p), p)).collect();
    let methods: BTreeMap<String, &Method> =
        registry::methods().into_iter().map(|m| (m.card.slug.replace('-', "_"), m)).collect();
    let mut faults: Vec<String> = folders
        .iter()
        .filter(|(name, _)| !methods.contains_key(*name))
        .map(|(_, folder)| format!("{}: no registered method is called so", folder.display()))
        .collect();
    for (name, method) in &methods {
        match folders.get(name) {
            Some(folder) => faults.extend(missing_rooms(method, folder)),
            None => {
                faults.push(format!("{}: no field crate has src/{name}/ with a verify.rs", method.card.slug))
            }
        }
    }
    assert_none("a method is a folder named by its slug, with all its rooms:", &faults);
}

#[test]
fn names_of_methods_and_components_are_unique_and_well_formed() {
    let well_formed = |name: &str, also: char| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == also)
    };
    let (mut slugs, mut faults) = (BTreeSet::new(), Vec::new());
    for method in registry::methods() {
        let slug = method.card.slug;
        if !slugs.insert(slug) || !well_formed(slug, '-') {
            faults.push(format!("method `{slug}`: taken, or not lower case with hyphens"));
        }
        let mut names = BTreeSet::new();
        for component in method.components {
            let plain = component.name.replace(['.', '-'], "_");
            if !names.insert(component.name) || !well_formed(&plain, '_') {
                faults.push(format!("{slug}, component `{}`: taken, or not lower case", component.name));
            }
        }
    }
    assert_none("names are unique:", &faults);
}

#[test]
fn components_and_reference_cases_belong_together() {
    let goldens = Folder(root().join("goldens"));
    let listed = goldens.list().expect("the repository has reference cases");
    let mut checked: BTreeSet<(String, String)> = BTreeSet::new();
    let mut faults = Vec::new();
    for (slug, name) in &listed {
        let at = format!("goldens/{slug}/{name}.safetensors");
        let bytes = goldens.read(slug, name).expect("a readable case").expect("a listed case");
        match Case::parse(name, &bytes) {
            Ok(case) => {
                let other = case.harness.inputs_from.as_ref();
                if let Some(other) = other.filter(|o| !listed.contains(&(slug.clone(), (*o).clone()))) {
                    faults.push(format!("{at}: takes inputs from `{other}`, which is not there"));
                }
                if case.method != *slug {
                    faults.push(format!("{at}: is a case of `{}`", case.method));
                }
                let method = registry::methods().into_iter().find(|m| m.card.slug == case.method);
                if !method.is_some_and(|m| m.components.iter().any(|c| c.name == case.component)) {
                    faults.push(format!("{at}: {} has no component `{}`", case.method, case.component));
                }
                checked.insert((case.method, case.component));
            }
            Err(e) => faults.push(format!("{at}: {e}")),
        }
    }
    for method in registry::methods() {
        let unchecked = method.components.iter().map(|c| (method.card.slug.to_owned(), c.name.to_owned()));
        let unchecked = unchecked.filter(|key| !checked.contains(key));
        faults.extend(unchecked.map(|(slug, c)| format!("goldens/{slug}: no case of component `{c}`")));
    }
    assert_none("every case has its component and every component a case:", &faults);
    assert_eq!(BuiltinCases.list().unwrap(), listed, "the program carries exactly the cases of goldens/");
}

#[test]
fn every_reference_case_passes() {
    let selection = Selection { device: "cpu".to_owned(), ..Selection::default() };
    let replayed = verify(&registry::methods(), &BuiltinCases, &BuiltinCases, &selection, &mut |_| ());
    let replayed = replayed.expect("the program's own cases can be read");
    // Cases that need a file which cannot be shipped are skipped, here as on a user's machine.
    let failed = replayed.results.iter().filter(|o| !matches!(o.status, Status::Pass | Status::Skipped));
    let faults: Vec<String> =
        failed.map(|o| format!("{}/{} ({}): {}", o.method, o.case, o.component, o.reason)).collect();
    assert_none("the program passes its own reference cases:", &faults);
    assert!(replayed.passed > 0, "no case was replayed");
}

// ---- Sources ----

/// Where a comment or literal that starts at `at` ends, if one does.
fn opaque_end(chars: &[char], at: usize) -> Option<usize> {
    let is = |i: usize, c: char| chars.get(i) == Some(&c);
    let seek = |from: usize, stop: &dyn Fn(usize) -> bool| {
        (from..chars.len()).find(|&i| stop(i)).unwrap_or(chars.len())
    };
    match chars[at] {
        '/' if is(at + 1, '/') => Some(seek(at, &|i| is(i, '\n'))),
        '/' if is(at + 1, '*') => {
            let (mut depth, mut i) = (1, at + 2);
            while i < chars.len() && depth > 0 {
                let (opens, closes) = (is(i, '/') && is(i + 1, '*'), is(i, '*') && is(i + 1, '/'));
                depth = if opens { depth + 1 } else { depth - usize::from(closes) };
                i += if opens || closes { 2 } else { 1 };
            }
            Some(i.min(chars.len()))
        }
        'r' => {
            let quote = seek(at + 1, &|i| !is(i, '#'));
            let hashes = quote - at - 1;
            let closes = |i: usize| is(i, '"') && (1..=hashes).all(|h| is(i + h, '#'));
            is(quote, '"').then(|| (seek(quote + 1, &closes) + 1 + hashes).min(chars.len()))
        }
        '"' => {
            let mut i = at + 1;
            while i < chars.len() && !is(i, '"') {
                i += if is(i, '\\') { 2 } else { 1 };
            }
            Some((i + 1).min(chars.len()))
        }
        // An escaped character, a plain one, or else a lifetime.
        '\'' if is(at + 1, '\\') => Some((seek(at + 3, &|i| is(i, '\'')) + 1).min(chars.len())),
        '\'' if is(at + 2, '\'') => Some(at + 3),
        _ => None,
    }
}

/// A source with comments and literals blanked out, line by line.
fn code_lines(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = opaque_end(&chars, at);
        let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
        match end {
            Some(end) => code.extend(chars[at..end].iter().map(blank)),
            None => code.push(chars[at]),
        }
        at = end.unwrap_or(at + 1);
    }
    code.lines().map(str::to_owned).collect()
}

/// Whether a line of code has `token` as a whole word.
fn has_token(line: &str, token: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(token)
        .any(|(at, _)| !line[..at].ends_with(in_word) && !line[at + token.len()..].starts_with(in_word))
}

/// Where in the sources outside of `except` one of the tokens stands, as `file:line: token`.
fn token_places(tokens: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for (path, text) in rust_sources() {
        for (number, line) in code_lines(&text).iter().enumerate() {
            let found = tokens.iter().filter(|token| has_token(line, token));
            places.extend(found.map(|token| format!("{path}:{}: `{token}`", number + 1)));
        }
    }
    places
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let found = |text: &str| code_lines(text).iter().any(|line| has_token(line, "unsafe"));
    for code in
        ["unsafe {}", "'a' as u8; unsafe { x }", "/* a /* b */ */ unsafe fn", "r\"\\\" unsafe", "<'a> unsafe"]
    {
        assert!(found(code), "{code}");
    }
    for other in [
        "// unsafe",
        "/* /* */ unsafe */",
        "\"\\\" unsafe\"",
        "r#\"\" unsafe\"#",
        "'\\'' // unsafe",
        "unsafer",
    ] {
        assert!(!found(other), "{other}");
    }
    assert_eq!(code_lines("a\n\"b\nc\"\nd").len(), 4);
}

#[test]
fn sources_are_short() {
    let long = rust_sources().into_iter().map(|(path, text)| (path, text.lines().count()));
    let faults: Vec<String> =
        long.filter(|(_, n)| *n > LONGEST_SOURCE).map(|(path, n)| format!("{path}: {n} lines")).collect();
    assert_none(&format!("no source file is longer than {LONGEST_SOURCE} lines:"), &faults);
}

#[test]
fn nothing_is_left_to_be_written() {
    assert_none("no stubs and no debugging output:", &token_places(&["todo!", "unimplemented!", "dbg!"]));
}

#[test]
fn only_the_kernels_are_unsafe() {
    // The attribute that would allow it is looked for too.
    let faults: Vec<String> = token_places(&["unsafe", "unsafe_code"])
        .into_iter()
        .filter(|place| !UNSAFE_PLACES.iter().any(|allowed| place.starts_with(allowed)))
        .collect();
    assert_none(&format!("unsafe code lives in {UNSAFE_PLACES:?} alone:"), &faults);
}

/// Whether a line names a path on a developer's machine: one that starts at the root of the file system.
fn names_machine_path(line: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || ['.', '_', '-', '}', '~', '*', '>'].contains(&c);
    MACHINE_FOLDERS.iter().any(|folder| {
        line.match_indices(&format!("/{folder}/")).any(|(at, _)| !line[..at].ends_with(continues))
    })
}

#[test]
fn no_file_names_a_machine_path() {
    let folder = MACHINE_FOLDERS[0];
    for text in [format!("/{folder}/x"), format!("see `/{folder}/x`"), format!("file:///{folder}/x")] {
        assert!(names_machine_path(&text), "{text}");
    }
    for text in
        [format!("https://example.org/{folder}/x"), format!("../{folder}/x"), format!("${{DIR}}/{folder}/")]
    {
        assert!(!names_machine_path(&text), "{text}");
    }
    let mut faults = Vec::new();
    for (path, text) in text_files() {
        let lines = text.lines().enumerate().filter(|(_, line)| names_machine_path(line));
        faults.extend(lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())));
    }
    assert_none("no file names a path of one machine:", &faults);
}

// ---- Papers ----

/// The texts between single backquotes, outside of fenced blocks, with their line numbers.
fn quoted(text: &str) -> Vec<(usize, &str)> {
    let (mut fenced, mut found) = (false, Vec::new());
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(|q| (number + 1, q)));
        }
    }
    found
}

/// What is wrong with a reference of the form `folder/file` or `folder/file.rs::function`.
fn broken_reference(root: &Path, reference: &str) -> Option<String> {
    let (path, function) = match reference.split_once("::") {
        Some((path, function)) => (path, Some(function)),
        None => (reference, None),
    };
    let place = root.join(path);
    match function {
        _ if !place.exists() => Some(format!("`{path}` does not exist")),
        Some(function)
            if !fs::read_to_string(&place).unwrap_or_default().contains(&format!("fn {function}(")) =>
        {
            Some(format!("`{path}` has no function `{function}`"))
        }
        _ => None,
    }
}

#[test]
fn the_papers_name_only_what_exists() {
    let root = root();
    assert!(broken_reference(&root, "crates/attic").is_some());
    assert!(broken_reference(&root, "crates/ocelli/tests/house.rs::nowhere").is_some());
    assert!(broken_reference(&root, "crates/ocelli/tests/house.rs::broken_reference").is_none());
    let is_reference = |q: &str| {
        let starts = ["crates/", "goldens/", "recipes/", "docs/", "benchmarks/", ".ci/"];
        starts.iter().any(|s| q.starts_with(s)) && !q.contains(['<', '*', '…', ' ', '{'])
    };
    let mut faults = Vec::new();
    for paper in PAPERS.iter().filter(|paper| root.join(paper).exists()) {
        let text = fs::read_to_string(root.join(paper)).expect("a readable paper");
        for (line, reference) in quoted(&text).into_iter().filter(|(_, q)| is_reference(q)) {
            faults.extend(broken_reference(&root, reference).map(|fault| format!("{paper}:{line}: {fault}")));
        }
    }
    assert_none("papers name only files and tests that exist:", &faults);
}

#[test]
fn the_architecture_names_every_crate() {
    let text =
        fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the repository has an ARCHITECTURE.md");
    let names = manifests().into_keys();
    let faults: Vec<String> = names
        .filter(|name| !text.contains(&format!("`crates/{name}`")))
        .map(|name| format!("ARCHITECTURE.md: says nothing about `crates/{name}`"))
        .collect();
    assert_none("every crate is explained:", &faults);
}

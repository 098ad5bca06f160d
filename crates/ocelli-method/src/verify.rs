//! Replays reference cases: every case of every component, compared with what is stored.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::case::Case;
use crate::compare::{Worst, compare};
use crate::method::{Method, Replay, ReplayError};

/// Where cases come from.
pub trait CaseSource {
    /// Slug and name of every case, sorted.
    ///
    /// # Errors
    /// [`SourceError`] when the source cannot be listed.
    fn list(&self) -> Result<Vec<(String, String)>, SourceError>;

    /// The file of one case, or `None` when the source has no such case.
    ///
    /// # Errors
    /// [`SourceError`] when the file is there but cannot be read.
    fn read(&self, slug: &str, name: &str) -> Result<Option<Vec<u8>>, SourceError>;
}

/// Why cases cannot be had.
#[derive(Debug, Error)]
#[error("{}: {source}", path.display())]
pub struct SourceError {
    /// The folder or file.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

/// A folder laid out as `DIR/<slug>/<case>.safetensors`.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

const ENDING: &str = "safetensors";

impl CaseSource for Folder {
    fn list(&self) -> Result<Vec<(String, String)>, SourceError> {
        let mut cases = Vec::new();
        for slug in entries(&self.0)?.into_iter().filter(|path| path.is_dir()) {
            for file in entries(&slug)? {
                if file.extension().is_some_and(|e| e == ENDING) {
                    cases.push((text(slug.file_name()), text(file.file_stem())));
                }
            }
        }
        cases.sort();
        Ok(cases)
    }

    fn read(&self, slug: &str, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let path = self.0.join(slug).join(format!("{name}.{ENDING}"));
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SourceError { path, source }),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let wrap = |source| SourceError { path: folder.to_owned(), source };
    std::fs::read_dir(folder).map_err(wrap)?.map(|e| e.map(|e| e.path()).map_err(wrap)).collect()
}

fn text(name: Option<&std::ffi::OsStr>) -> String {
    name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Which cases to replay, and how.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these methods; empty means all.
    pub methods: Vec<String>,
    /// Only components whose name starts so.
    pub component: Option<String>,
    /// Where to compute.
    pub device: String,
    /// Files for outputs that need one, by resource name.
    pub resources: BTreeMap<String, PathBuf>,
}

/// How a case went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every output within its tolerance.
    Pass,
    /// An output missing, misshapen or off.
    Fail,
    /// The case cannot be read, or the component refused it.
    Error,
    /// No such method or component here.
    Unsupported,
    /// It needs a resource that the user did not give.
    Skipped,
}

/// The outcome of one case. The field names are those of the JSON document.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Slug of the method.
    pub method: String,
    /// Component that the case checks; empty when the case cannot be read.
    pub component: String,
    /// Name of the case.
    pub case: String,
    /// How it went.
    pub status: Status,
    /// Why, when it did not pass.
    pub reason: String,
    /// The tensor with the largest error.
    pub tensor: String,
    /// Its absolute error.
    pub abs: Option<f64>,
    /// Its relative error; absent where the expected value is 0.
    pub rel: Option<f64>,
    /// The error as a share of what the case allows.
    pub share: Option<f64>,
}

/// All outcomes, counted. The field names are those of the JSON document.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// Cases replayed, skipped ones included.
    pub cases: usize,
    /// Passed.
    pub passed: usize,
    /// Failed, in error, or unsupported.
    pub failed: usize,
    /// Skipped for want of a resource.
    pub skipped: usize,
    /// The outcomes by method and case name.
    pub results: Vec<Outcome>,
}

/// Replays the selected cases of `source` on `methods`; `builtin` completes cases whose inputs another one stores.
///
/// `each` is called with every outcome as it comes.
///
/// # Errors
/// [`SourceError`] when the source cannot be listed or a file cannot be read.
pub fn verify(
    methods: &[&Method],
    source: &dyn CaseSource,
    builtin: &dyn CaseSource,
    selection: &Selection,
    each: &mut dyn FnMut(&Outcome),
) -> Result<Verification, SourceError> {
    let mut results = Vec::new();
    for (slug, name) in source.list()? {
        if !selection.methods.is_empty() && !selection.methods.contains(&slug) {
            continue;
        }
        let Some(bytes) = source.read(&slug, &name)? else { continue };
        let outcome = match Case::parse(&name, &bytes) {
            Ok(case) if selection.component.as_ref().is_some_and(|c| !case.component.starts_with(c)) => {
                continue;
            }
            Ok(case) => replay(methods, case, &slug, source, builtin, selection),
            Err(e) => Outcome::new(&slug, "", &name, Status::Error, e.to_string()),
        };
        each(&outcome);
        results.push(outcome);
    }
    let count = |wanted: &[Status]| results.iter().filter(|o| wanted.contains(&o.status)).count();
    Ok(Verification {
        cases: results.len(),
        passed: count(&[Status::Pass]),
        failed: count(&[Status::Fail, Status::Error, Status::Unsupported]),
        skipped: count(&[Status::Skipped]),
        results,
    })
}

fn replay(
    methods: &[&Method],
    mut case: Case,
    slug: &str,
    source: &dyn CaseSource,
    builtin: &dyn CaseSource,
    selection: &Selection,
) -> Outcome {
    let outcome = |case: &Case, status, reason: String| {
        Outcome::new(&case.method, &case.component, &case.name, status, reason)
    };
    let Some(method) = methods.iter().find(|m| m.card.slug == case.method) else {
        let reason = format!("no method `{}` here", case.method);
        return outcome(&case, Status::Unsupported, reason);
    };
    let Some(component) = method.components.iter().find(|c| c.name == case.component) else {
        let reason = format!("{} has no component `{}`", case.method, case.component);
        return outcome(&case, Status::Unsupported, reason);
    };
    let fetch = |other: &str| {
        let read = |from: &dyn CaseSource| from.read(slug, other).ok().flatten();
        Case::parse(other, &read(source).or_else(|| read(builtin))?).ok()
    };
    if let Err(e) = case.complete(fetch) {
        return outcome(&case, Status::Error, e.to_string());
    }
    let missing =
        case.harness.needs.iter().filter(|(resource, _)| !selection.resources.contains_key(*resource));
    let (wanting, skip): (Vec<&str>, Vec<&Vec<String>>) =
        missing.map(|(r, outputs)| (r.as_str(), outputs)).unzip();
    let skip: Vec<String> = skip.into_iter().flatten().cloned().collect();
    if !skip.is_empty() && case.expected.keys().all(|name| skip.contains(name)) {
        return outcome(&case, Status::Skipped, format!("needs {}", wanting.join(", ")));
    }

    let replay = Replay { case: &case, device: &selection.device, resources: &selection.resources };
    // A hostile case must not end the whole run: what a tensor operation cannot do, it says by panicking.
    let computed = catch_unwind(AssertUnwindSafe(|| (component.run)(&replay)));
    match computed {
        Ok(Ok(outputs)) => match compare(&case, outputs.as_map(), &skip) {
            Ok(worst) => outcome(&case, Status::Pass, String::new()).with(&worst),
            Err(m) => outcome(&case, Status::Fail, format!("{} {}", m.tensor, m.reason)).with(&m.worst),
        },
        Ok(Err(e @ ReplayError::Unsupported(_))) => outcome(&case, Status::Unsupported, e.to_string()),
        Ok(Err(e)) => outcome(&case, Status::Error, e.to_string()),
        Err(panic) => outcome(&case, Status::Error, format!("panicked: {}", panic_text(&*panic))),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

impl Outcome {
    fn new(method: &str, component: &str, case: &str, status: Status, reason: String) -> Self {
        Self {
            method: method.to_owned(),
            component: component.to_owned(),
            case: case.to_owned(),
            status,
            reason,
            tensor: String::new(),
            abs: None,
            rel: None,
            share: None,
        }
    }

    fn with(mut self, worst: &Worst) -> Self {
        let finite = |v: f64| v.is_finite().then_some(v);
        self.tensor = worst.tensor.clone();
        (self.abs, self.rel, self.share) = (finite(worst.abs), finite(worst.rel), finite(worst.share));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;
    use crate::method::{Basis, Card, Component, Outputs};
    use crate::testing::CaseFile;

    fn double(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
        let x = replay.floats("x")?;
        assert!(x.iter().all(|v| *v < 100.0), "too large");
        Ok(Outputs::new().with("y", Array::vector(x.iter().map(|v| 2.0 * v))))
    }

    const CARD: Card = Card {
        slug: "twice",
        title: "Twice",
        task: "arithmetic",
        basis: Basis::Official,
        authors: "nobody",
        venue: "nowhere",
        arxiv: "0000.00000",
        summary: "doubles",
        notes: &[],
        trains: false,
        predicts: false,
    };
    const TWICE: Method =
        Method { card: CARD, components: &[Component { name: "double", run: double }], claim: None };

    struct Memory(Vec<(&'static str, Vec<u8>)>);

    impl CaseSource for Memory {
        fn list(&self) -> Result<Vec<(String, String)>, SourceError> {
            Ok(self.0.iter().map(|(n, _)| ("twice".to_owned(), (*n).to_owned())).collect())
        }

        fn read(&self, _: &str, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
            Ok(self.0.iter().find(|(n, _)| *n == name).map(|(_, b)| b.clone()))
        }
    }

    fn case(component: &str, x: f32, y: f32) -> CaseFile {
        CaseFile::new("twice", component).tensor("in.x", Array::from(x)).tensor("out.y", Array::from(y))
    }

    fn run(files: Vec<(&'static str, Vec<u8>)>) -> Verification {
        let source = Memory(files);
        verify(&[&TWICE], &source, &source, &Selection::default(), &mut |_| ()).unwrap()
    }

    #[test]
    fn each_kind_of_outcome_is_told_apart() {
        let v = run(vec![
            ("good", case("double", 1.0, 2.0).bytes()),
            ("off", case("double", 1.0, 2.5).bytes()),
            ("panics", case("double", 1e3, 2e3).bytes()),
            ("other", case("triple", 1.0, 3.0).bytes()),
            ("broken", b"not a case".to_vec()),
            ("needy", case("double", 1.0, 2.0).metadata("harness", r#"{"needs": {"book": ["y"]}}"#).bytes()),
        ]);
        let status: Vec<_> = v.results.iter().map(|o| o.status).collect();
        use Status::*;
        assert_eq!(status, [Pass, Fail, Error, Unsupported, Error, Skipped]);
        assert_eq!((v.cases, v.passed, v.failed, v.skipped), (6, 1, 4, 1));
        assert!(v.results[2].reason.contains("too large"));
        assert_eq!(v.results[1].tensor, "y");
    }

    #[test]
    fn inputs_of_another_case_complete_one() {
        let v = run(vec![
            ("a", case("double", 4.0, 8.0).bytes()),
            (
                "b",
                CaseFile::new("twice", "double")
                    .metadata("harness", r#"{"inputs_from": "a"}"#)
                    .tensor("out.y", Array::from(8.0f32))
                    .bytes(),
            ),
        ]);
        assert_eq!(v.passed, 2, "{:?}", v.results);
    }
}

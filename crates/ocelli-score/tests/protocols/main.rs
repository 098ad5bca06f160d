//! Protocols through real files: the truth against itself, examples worked out by hand, and files that are not right.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod classification;
mod dense;
mod pose;
mod ranking;
mod recognition;

use std::path::{Path, PathBuf};

use ocelli_method::{Array, Data};
use ocelli_score::{Evaluation, Inputs, Metrics, protocol};
use tempfile::TempDir;

/// A scoring under construction: a protocol and a folder of files.
pub(crate) struct Scoring {
    folder: TempDir,
    inputs: Inputs,
}

impl Scoring {
    pub(crate) fn new(name: &str) -> Self {
        let inputs = Inputs::new(protocol(name).unwrap(), [], []);
        Self { folder: tempfile::tempdir().unwrap(), inputs }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn variant(mut self, name: &str) -> Self {
        self.inputs = self.inputs.variant_named(name).unwrap();
        self
    }

    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.inputs = self.inputs.with(key, value).unwrap();
        self
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn truth(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.put(name, content);
        self.inputs.truth.push(path);
        self
    }

    pub(crate) fn pred(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.put(name, content);
        self.inputs.pred.push(path);
        self
    }

    /// A file that lies elsewhere.
    pub(crate) fn truth_at(mut self, path: impl AsRef<Path>) -> Self {
        self.inputs.truth.push(path.as_ref().to_owned());
        self
    }

    pub(crate) fn pred_at(mut self, path: impl AsRef<Path>) -> Self {
        self.inputs.pred.push(path.as_ref().to_owned());
        self
    }

    pub(crate) fn open(&self) -> ocelli_score::Result<Box<dyn Evaluation>> {
        let name = self.inputs_name();
        (protocol(name).unwrap().open)(&self.inputs)
    }

    fn inputs_name(&self) -> &'static str {
        self.inputs.protocol().name
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let evaluation = self.open().unwrap();
        let metrics = evaluation.overall().unwrap();
        // Whatever is resampled has the same names, and the page can be drawn.
        let again = evaluation.metrics(&(0..evaluation.units().len()).collect::<Vec<_>>()).unwrap();
        assert_eq!(format!("{metrics:?}"), format!("{again:?}"));
        evaluation.detail().unwrap();
        metrics
    }

    pub(crate) fn value(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        metrics.get(name).unwrap_or_else(|| panic!("no `{name}` among {metrics:?}"))
    }

    /// The one-line complaint.
    pub(crate) fn complaint(&self) -> String {
        let text = match self.open().and_then(|e| e.overall()) {
            Ok(metrics) => panic!("nothing was refused: {metrics:?}"),
            Err(error) => error.to_string(),
        };
        assert!(!text.contains('\n'), "{text}");
        text
    }

    /// The truth, written as predictions, scores as the protocol promises, whole and resampled.
    pub(crate) fn perfect(mut self) -> Self {
        let protocol = self.inputs.protocol();
        let folder = self.path("perfect");
        std::fs::create_dir_all(&folder).unwrap();
        self.inputs.pred = (protocol.perfect.write)(&self.inputs, &folder).unwrap();
        let metrics = self.metrics();
        for (name, wanted) in protocol.perfect.expect {
            let found = metrics.get(name).unwrap_or_else(|| panic!("{}: no `{name}`", protocol.name));
            assert!(
                (found - wanted).abs() < 1e-9,
                "{} {}: {name} is {found}",
                protocol.name,
                self.inputs.variant()
            );
        }
        self
    }
}

/// An `.npy` file.
pub(crate) fn npy(shape: &[usize], values: &[f64]) -> Vec<u8> {
    ocelli_data::annotations::npy::to_bytes(&Array::new(shape, Data::F64(values.to_vec())).unwrap())
}

/// An `.npy` file of integers.
pub(crate) fn npy_integers(shape: &[usize], values: &[i64]) -> Vec<u8> {
    ocelli_data::annotations::npy::to_bytes(&Array::new(shape, Data::I64(values.to_vec())).unwrap())
}

pub(crate) fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-9, "{found}, wanted {wanted}");
}

/// A folder of the shared data, or a loud skip.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: no data in {}", path.display());
        return None;
    }
    Some(path)
}

//! Protocols by name, and the files and settings that they are opened with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Evaluation, Result, ScoreError};

/// A way of scoring, as the command knows it.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// What users call it: lower case, words joined by hyphens.
    pub name: &'static str,
    /// What it measures, in one line.
    pub summary: &'static str,
    /// The forms of prediction files it reads, in one line.
    pub pred: &'static str,
    /// The forms of truth files it reads, in one line.
    pub truth: &'static str,
    /// Its variants, the default first; at least one.
    pub variants: &'static [Choice],
    /// Its settings.
    pub settings: &'static [Setting],
    /// Reads the files.
    pub open: fn(&Inputs) -> Result<Box<dyn Evaluation>>,
    /// How the truth scores against itself.
    pub perfect: Perfect,
}

/// A variant of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// What users call it.
    pub name: &'static str,
    /// Whose numbers it gives, and how it differs.
    pub summary: &'static str,
}

/// A setting of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// What users call it.
    pub name: &'static str,
    /// What stands when none is given.
    pub default: &'static str,
    /// What it does, with its range.
    pub summary: &'static str,
}

/// The self-test of a protocol: the truth, written as predictions, must score perfectly.
#[derive(Clone, Copy, Debug)]
pub struct Perfect {
    /// Writes the truth (`inputs.truth`) as prediction files into a folder, and names them.
    pub write: fn(&Inputs, &Path) -> Result<Vec<PathBuf>>,
    /// What metrics must then be, to within 1e-9.
    pub expect: &'static [(&'static str, f64)],
}

/// The files and settings of one scoring.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Prediction files; several are the shards of one.
    pub pred: Vec<PathBuf>,
    /// Truth files.
    pub truth: Vec<PathBuf>,
    protocol: &'static Protocol,
    variant: &'static str,
    settings: BTreeMap<&'static str, String>,
}

impl Inputs {
    /// These files under the protocol's first variant and default settings.
    pub fn new(
        protocol: &'static Protocol,
        pred: impl IntoIterator<Item = PathBuf>,
        truth: impl IntoIterator<Item = PathBuf>,
    ) -> Self {
        let settings = protocol.settings.iter().map(|s| (s.name, s.default.to_owned())).collect();
        let variant = protocol.variants[0].name;
        let (pred, truth) = (pred.into_iter().collect(), truth.into_iter().collect());
        Self { pred, truth, protocol, variant, settings }
    }

    /// The same with another variant.
    ///
    /// # Errors
    /// [`ScoreError::Unknown`] with the names there are.
    pub fn variant_named(mut self, name: &str) -> Result<Self> {
        let known = self.protocol.variants.iter().map(|v| v.name);
        self.variant = find("variant", name, known)?;
        Ok(self)
    }

    /// The same with a setting changed.
    ///
    /// # Errors
    /// [`ScoreError::Unknown`] with the names there are.
    pub fn with(mut self, key: &str, value: &str) -> Result<Self> {
        let known = self.protocol.settings.iter().map(|s| s.name);
        self.settings.insert(find("setting", key, known)?, value.to_owned());
        Ok(self)
    }

    /// The protocol.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// The variant's name.
    pub fn variant(&self) -> &'static str {
        self.variant
    }

    /// The value of a setting.
    ///
    /// # Errors
    /// [`ScoreError::Setting`] when its text is no `T`.
    ///
    /// # Panics
    /// When the protocol declares no such setting.
    pub fn setting<T: FromStr>(&self, key: &str) -> Result<T> {
        let value = self.text(key);
        value.parse().map_err(|_| ScoreError::Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            reason: format!("expected {}", self.declared(key).summary),
        })
    }

    /// The values of a setting that lists several, separated by commas; none for an empty text.
    ///
    /// # Errors
    /// As [`Self::setting`].
    ///
    /// # Panics
    /// As [`Self::setting`].
    pub fn list<T: FromStr>(&self, key: &str) -> Result<Vec<T>> {
        let value = self.text(key);
        let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
        let parsed: Option<Vec<T>> = parts.map(|part| part.parse().ok()).collect();
        parsed.ok_or_else(|| ScoreError::Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            reason: format!("expected {}, separated by commas", self.declared(key).summary),
        })
    }

    /// The only truth file.
    ///
    /// # Errors
    /// [`ScoreError::Files`] for none or several.
    pub fn one_truth(&self) -> Result<&Path> {
        one(&self.truth, "--truth", self.protocol)
    }

    /// The only prediction file, for protocols whose predictions come in one piece.
    ///
    /// # Errors
    /// [`ScoreError::Files`] for none or several.
    pub fn one_pred(&self) -> Result<&Path> {
        one(&self.pred, "--pred", self.protocol)
    }

    fn declared(&self, key: &str) -> &'static Setting {
        let found = self.protocol.settings.iter().find(|s| s.name == key);
        found.unwrap_or_else(|| panic!("`{}` declares no setting `{key}`", self.protocol.name))
    }

    fn text(&self, key: &str) -> &str {
        &self.settings[self.declared(key).name]
    }
}

fn one<'a>(files: &'a [PathBuf], option: &str, protocol: &Protocol) -> Result<&'a Path> {
    match files {
        [file] => Ok(file),
        _ => Err(ScoreError::Files(format!(
            "`{}` takes one {option} file, found {}",
            protocol.name,
            files.len()
        ))),
    }
}

pub(crate) fn find(
    kind: &'static str,
    name: &str,
    mut known: impl Iterator<Item = &'static str> + Clone,
) -> Result<&'static str> {
    let all: Vec<&str> = known.clone().collect();
    known.find(|k| *k == name).ok_or_else(|| ScoreError::Unknown {
        kind,
        name: name.to_owned(),
        known: if all.is_empty() { "none".to_owned() } else { all.join(", ") },
    })
}

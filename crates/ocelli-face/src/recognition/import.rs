//! Official checkpoints made into recognisers.
//!
//! A checkpoint of PyTorch holds named tensors and nothing on the network they are of. [`import`] tells the network
//! from the names and shapes, builds it, insists that every weight finds its place, and gives a [`Recognizer`] whose
//! file carries the description ([`Passport`]) that the checkpoint lacked.
//!
//! ```no_run
//! use ocelli_face::recognition::import::{ImportOptions, import};
//!
//! let imported = import("CurricularFace_Backbone.pth".as_ref(), &ImportOptions::new("curricularface"))?;
//! imported.recognizer.save("ir-101.safetensors".as_ref())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod network;

use std::path::{Path, PathBuf};

use ocelli_method::{Array, Data};
use ocelli_nn::weights::{self, Format, KeyReport, KeysError, StateDict, WeightsError, match_keys};
use ocelli_nn::{DeviceError, Store, StoreError};
use thiserror::Error;

use super::backbone::{BackboneConfig, BackboneName};
use super::recognizer::{Passport, Recognizer, RecognizerError};
use network::{Recognised, check_size, named, recognise};

/// How a checkpoint is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Slug of the method that trained the network, for the passport.
    pub method: String,
    /// The network; told from names and shapes without.
    pub name: Option<BackboneName>,
    /// Where in the checkpoint the state dict is, keys joined by `/`; found without where there is one.
    pub key: Option<String>,
    /// Whether weights may be missing: those keep their initial values. Weights of another shape, and weights that
    /// the network does not have, are always refused.
    pub allow_missing: bool,
    /// Where the network shall live.
    pub device: String,
}

impl ImportOptions {
    /// A strict import of a network trained by the method of that slug, to the CPU.
    pub fn new(method: impl Into<String>) -> Self {
        let device = "cpu".to_owned();
        Self { method: method.into(), name: None, key: None, allow_missing: false, device }
    }
}

/// What came of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network with the weights.
    pub recognizer: Recognizer,
    /// Which keys matched.
    pub report: KeyReport,
    /// The file's format.
    pub format: Format,
    /// Where in the checkpoint the state dict was, keys joined by `/`; empty for the top.
    pub key: String,
    /// What all names started with and was taken off, such as `module.`.
    pub stripped: Option<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Imported {
    /// What the weights will carry.
    pub fn passport(&self) -> &Passport {
        self.recognizer.passport()
    }
}

/// Why a checkpoint cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file cannot be read as weights.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// The device is not to be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The weights are of no network known here.
    #[error("{}: the network cannot be told from the weights: {reason}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The weights do not fit the network.
    #[error("{}: read as {} for {size}x{size} pixels{}: {keys}", path.display(), config.name, because(remark),
        size = config.input_size)]
    Keys {
        /// The file.
        path: PathBuf,
        /// The network that they were compared with.
        config: Box<BackboneConfig>,
        /// Why that network.
        remark: Option<String>,
        /// Which keys.
        keys: KeysError,
    },
    /// A tensor holds what no weight can be.
    #[error("{}: {reason}; the checkpoint is damaged or its training diverged", path.display())]
    Values {
        /// The file.
        path: PathBuf,
        /// Which tensor holds what.
        reason: String,
    },
    /// The network cannot be built, or the file describes it wrongly.
    #[error(transparent)]
    Recognizer(#[from] RecognizerError),
    /// The weights cannot be put in.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn because(remark: &Option<String>) -> String {
    remark.as_ref().map_or_else(String::new, |remark| format!(" ({remark})"))
}

/// Reads a checkpoint (`.pth`, `.pt`, `.pkl`, `.safetensors`) into the network it is of.
///
/// Understood are the key schemes of the released CurricularFace and of TFace, MobileFaceNet with either tail, and the
/// ResNets with the face head, all under PyTorch's names. A prefix that all names share is taken off. Step counters of
/// batch normalisation may be missing.
///
/// # Errors
/// [`ImportError`] with the file and whatever does not fit: a file that is no checkpoint or asks for code, a network
/// that is not known here, keys that are missing, unexpected or of another shape, values that are no numbers.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    let device = ocelli_nn::device(&options.device)?;
    let weights::Imported { state, format, key, stripped, skipped, metadata } =
        weights::import(path, options.key.as_deref())?;
    let (wrapper, state) = strip_wrapper(state);
    let described = Passport::read(path, &metadata)?;
    let Recognised { config, remark } = choose(options.name, described.as_ref(), &state)
        .map_err(|reason| ImportError::Unknown { path: path.to_owned(), reason })?;

    let (fit, threshold) =
        described.map_or_else(Default::default, |passport| (passport.fit, passport.threshold));
    let passport = Passport { method: options.method.clone(), backbone: config.clone(), fit, threshold };
    let recognizer = Recognizer::new(passport, Store::new(&device, 0))?;
    let report = match_keys(&recognizer.store().shapes(), &state, |_| false);
    check_keys(&report, options.allow_missing).map_err(|keys| ImportError::Keys {
        path: path.to_owned(),
        config: Box::new(config),
        remark: remark.clone(),
        keys,
    })?;
    let matched = || report.matched.iter().filter_map(|name| Some((name.as_str(), state.get(name)?)));
    refuse_values(matched()).map_err(|reason| ImportError::Values { path: path.to_owned(), reason })?;
    recognizer.store().load(matched())?;

    let stripped = Some(stripped.unwrap_or_default() + &wrapper).filter(|prefix| !prefix.is_empty());
    let notes = notes(remark, &skipped, &report);
    Ok(Imported { recognizer, report, format, key, stripped, notes })
}

/// The network: the one that is asked for, the one that the file describes, or the one that its weights tell of.
fn choose(
    name: Option<BackboneName>,
    described: Option<&Passport>,
    state: &StateDict,
) -> Result<Recognised, String> {
    let described = described.filter(|passport| name.is_none_or(|name| name == passport.backbone.name));
    let recognised = match (described, name) {
        (Some(passport), _) => Recognised { config: passport.backbone.clone(), remark: None },
        (None, Some(name)) => Recognised { config: named(name, state)?, remark: None },
        (None, None) => recognise(state)?,
    };
    recognised.config.validate()?;
    check_size(&recognised.config, state)?;
    Ok(recognised)
}

/// Takes off the parts that all names start with, such as `backbone.`: no network here has all it has under one name.
fn strip_wrapper(state: StateDict) -> (String, StateDict) {
    let shared = |state: &StateDict| {
        let (first, _) = state.names().next()?.split_once('.')?;
        let prefix = format!("{first}.");
        let all = state.names().all(|name| name.len() > prefix.len() && name.starts_with(&prefix));
        (all && state.len() > 1).then_some(prefix)
    };
    let (mut stripped, mut state) = (String::new(), state);
    while let Some(prefix) = shared(&state) {
        let pairs = state.into_iter().map(|(name, array)| (name[prefix.len()..].to_owned(), array));
        state = StateDict::from_pairs(pairs).expect("names that differ do so behind a shared prefix");
        stripped += &prefix;
    }
    (stripped, state)
}

/// Accepts a complete match, or one that only lacks weights where that is allowed.
fn check_keys(report: &KeyReport, allow_missing: bool) -> Result<(), KeysError> {
    let only_missing = report.unexpected.is_empty() && report.misshapen.is_empty();
    report.check(allow_missing && only_missing)
}

/// Refuses tensors with values that no weight can have, by the first one's name.
fn refuse_values<'a>(state: impl Iterator<Item = (&'a str, &'a Array)>) -> Result<(), String> {
    let mut faults =
        state.filter_map(|(name, array)| Some(format!("`{name}` holds {}", fault(name, array)?)));
    match (faults.next(), faults.count()) {
        (None, _) => Ok(()),
        (Some(first), 0) => Err(first),
        (Some(first), more) => Err(format!("{first} ({more} more like it)")),
    }
}

/// What is wrong with the values of a tensor.
fn fault(name: &str, array: &Array) -> Option<String> {
    let values: std::borrow::Cow<'_, [f32]> = match array.data() {
        Data::F32(values) => values.into(),
        Data::F64(_) => array.to_f32().into(),
        Data::I64(_) | Data::U8(_) => return None,
    };
    let nan = values.iter().filter(|v| v.is_nan()).count();
    let infinite = values.iter().filter(|v| v.is_infinite()).count();
    if nan + infinite > 0 {
        let count = values.len();
        return Some(format!("{nan} NaN and {infinite} infinite values of {count}"));
    }
    let negative = || values.iter().filter(|&&v| v < 0.0).count();
    let negative = if name.ends_with("running_var") { negative() } else { 0 };
    (negative > 0).then(|| format!("{negative} negative values, but it is a variance"))
}

fn notes(remark: Option<String>, skipped: &[String], report: &KeyReport) -> Vec<String> {
    let mut notes: Vec<String> = remark.into_iter().collect();
    if !skipped.is_empty() {
        notes.push(format!("no tensors, so left out: {}", listed(skipped)));
    }
    if !report.missing.is_empty() {
        let names: Vec<String> = report.missing.iter().map(|missing| missing.name.clone()).collect();
        notes.push(format!(
            "not in the file, so with the initial values of a training (random for convolutions and linear layers): {}",
            listed(&names)
        ));
    }
    notes
}

/// The first few of a list.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;

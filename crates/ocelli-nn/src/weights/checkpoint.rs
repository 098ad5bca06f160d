//! Finding the weights in a checkpoint, and reading them in one go.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::{Problem, WeightsError};
use super::limits::Limits;
use super::pth::{Checkpoint, Format, sniff};
use super::safetensors::{self, Metadata};
use super::state_dict::StateDict;
use super::value::{StoredTensor, Value};

/// A state dict found in a checkpoint.
#[derive(Clone, Debug)]
pub struct Found<'c> {
    /// Where it was, as keys joined by `/`; empty for the top.
    pub key: String,
    /// Names and tensors, in order.
    pub tensors: Vec<(String, &'c StoredTensor)>,
    /// The prefix that all names shared and that was taken off (`module.`, which `DataParallel` adds).
    pub stripped: Option<String>,
    /// Names of entries that are no tensors.
    pub skipped: Vec<String>,
}

/// Weights read from a file of any format.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The weights.
    pub state: StateDict,
    /// The file's format.
    pub format: Format,
    /// Where in the file they were, as keys joined by `/`; empty for the top.
    pub key: String,
    /// The prefix that all names shared and that was taken off.
    pub stripped: Option<String>,
    /// Names of entries that are no tensors.
    pub skipped: Vec<String>,
    /// Free text beside the weights (safetensors only).
    pub metadata: Metadata,
}

/// Reads the weights of a `.safetensors`, `.pth`, `.pt` or `.pkl` file; the content tells the format, not the name.
///
/// `key` says where in a checkpoint the state dict is ([`Checkpoint::find`]); it is found without where there is one.
///
/// # Errors
/// Those of [`safetensors::read`], [`Checkpoint::open`], [`Checkpoint::find`] and [`Checkpoint::load`].
pub fn import(file: &Path, key: Option<&str>) -> Result<Imported, WeightsError> {
    import_with(file, key, &Limits::default())
}

/// [`import`] under other limits.
///
/// # Errors
/// As [`import`], and [`Problem::TooLarge`] past the limits.
pub fn import_with(file: &Path, key: Option<&str>, limits: &Limits) -> Result<Imported, WeightsError> {
    let format = format_of(file).map_err(|problem| WeightsError::new(file, problem))?;
    if format == Format::Safetensors {
        let contents = safetensors::read_with(file, limits)?;
        let tensors = contents.state.into_iter().collect();
        let (stripped, pairs) = strip_shared_prefix(tensors);
        let state =
            StateDict::from_pairs(pairs).map_err(|e| WeightsError::new(file, Problem::Duplicate(e.0)))?;
        let (key, skipped) = (String::new(), Vec::new());
        return Ok(Imported { state, format, key, stripped, skipped, metadata: contents.metadata });
    }
    let checkpoint = Checkpoint::open_with(file, limits)?;
    let found = checkpoint.find(key)?;
    let state = checkpoint.load(&found)?;
    let Found { key, stripped, skipped, .. } = found;
    Ok(Imported { state, format, key, stripped, skipped, metadata: Metadata::new() })
}

fn format_of(file: &Path) -> Result<Format, Problem> {
    let handle = File::open(file)?;
    let length = handle.metadata()?.len();
    let mut start = Vec::new();
    handle.take(300).read_to_end(&mut start)?;
    sniff(&start, length)
}

impl Checkpoint {
    /// Finds the state dict, a dictionary from names to tensors.
    ///
    /// Without `key` it is looked for at the top and below: the only one there is, or the only one under a usual name
    /// (`state_dict`, `model`, ...); the state of an optimizer does not count. `key` names it, parts joined by `/`;
    /// `.` means the top. Dictionaries within are joined to flat names by dots. A prefix `module.` that all names share
    /// is taken off.
    ///
    /// # Errors
    /// [`Problem::NoStateDict`]; [`Problem::Ambiguous`] with all candidates; [`Problem::NoKey`] with the keys that are
    /// there; [`Problem::Duplicate`].
    pub fn find(&self, key: Option<&str>) -> Result<Found<'_>, WeightsError> {
        find_state_dict(self.root(), key).map_err(|problem| WeightsError::new(self.file(), problem))
    }

    /// Reads the tensors of a state dict.
    ///
    /// # Errors
    /// As [`Checkpoint::arrays`].
    pub fn load(&self, found: &Found<'_>) -> Result<StateDict, WeightsError> {
        let tensors: Vec<&StoredTensor> = found.tensors.iter().map(|(_, tensor)| *tensor).collect();
        let arrays = self.arrays(&tensors)?;
        let names = found.tensors.iter().map(|(name, _)| name.as_str());
        StateDict::from_pairs(names.zip(arrays))
            .map_err(|e| WeightsError::new(self.file(), Problem::Duplicate(e.0)))
    }
}

/// Finds the state dict in a tree; see [`Checkpoint::find`].
///
/// # Errors
/// As [`Checkpoint::find`].
pub fn find_state_dict<'c>(root: &'c Value, key: Option<&str>) -> Result<Found<'c>, Problem> {
    let (key, value) = match key {
        Some(key) => (key.trim_matches('.').to_owned(), descend(root, key)?),
        None => search(root)?,
    };
    let mut leaves = Leaves::default();
    leaves.collect("", value)?;
    if leaves.tensors.is_empty() {
        return Err(Problem::NoStateDict(value.describe()));
    }
    let (stripped, tensors) = strip_shared_prefix(leaves.tensors);
    let mut names = std::collections::HashSet::new();
    match tensors.iter().find(|(name, _)| !names.insert(name.as_str())) {
        Some((name, _)) => Err(Problem::Duplicate(name.clone())),
        None => Ok(Found { key, tensors, stripped, skipped: leaves.skipped }),
    }
}

/// The value under a key whose parts are joined by `/`.
fn descend<'c>(root: &'c Value, key: &str) -> Result<&'c Value, Problem> {
    let mut value = root;
    let mut rest = if key == "." { "" } else { key };
    while !rest.is_empty() {
        // A name may itself contain a slash, so all that is left is tried first.
        let (part, next) = match value.get(rest) {
            Some(_) => (rest, ""),
            None => rest.split_once('/').unwrap_or((rest, "")),
        };
        value = value.get(part).ok_or_else(|| Problem::NoKey {
            key: part.to_owned(),
            present: value
                .entries()
                .unwrap_or_default()
                .iter()
                .filter_map(|(k, _)| k.as_str())
                .map(str::to_owned)
                .collect(),
        })?;
        rest = next;
    }
    Ok(value)
}

/// Names under which training code usually keeps the weights.
const USUAL: [&str; 9] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
];
/// How far below the top state dicts are looked for.
const SEARCH_DEPTH: usize = 4;

/// The one state dict of a tree, with its key.
fn search(root: &Value) -> Result<(String, &Value), Problem> {
    let mut candidates = Vec::new();
    gather(root, &mut Vec::new(), &mut candidates);
    let usual = |path: &[&str]| path.last().is_some_and(|name| USUAL.contains(name));
    // Of those with a usual name, the ones nearest to the top.
    let nearest = candidates.iter().filter(|(path, _)| usual(path)).map(|(path, _)| path.len()).min();
    let mut named = candidates.iter().filter(|(path, _)| usual(path) && Some(path.len()) == nearest);
    let chosen = match (candidates.as_slice(), named.next(), named.next()) {
        ([], _, _) => return Err(Problem::NoStateDict(root.describe())),
        ([only], _, _) => only,
        (_, Some(named), None) => named,
        _ => {
            let count = |value: &Value| value.entries().map_or(0, <[_]>::len);
            let line = |(path, value): &(Vec<&str>, &Value)| {
                format!("`{}` ({} entries)", path.join("/"), count(value))
            };
            return Err(Problem::Ambiguous { candidates: candidates.iter().map(line).collect() });
        }
    };
    Ok((chosen.0.join("/"), chosen.1))
}

/// Collects the state dicts at and below a value.
fn gather<'c>(value: &'c Value, path: &mut Vec<&'c str>, candidates: &mut Vec<(Vec<&'c str>, &'c Value)>) {
    let Some(entries) = value.entries() else { return };
    let tensors =
        entries.iter().filter(|(key, value)| key.as_str().is_some() && value.as_tensor().is_some()).count();
    if tensors > 0 && 2 * tensors >= entries.len() {
        candidates.push((path.clone(), value));
        return;
    }
    let is_optimizer = value.get("param_groups").is_some() && value.get("state").is_some();
    if is_optimizer || path.len() == SEARCH_DEPTH {
        return;
    }
    for (key, below) in entries {
        if let Some(key) = key.as_str() {
            path.push(key);
            gather(below, path, candidates);
            path.pop();
        }
    }
}

/// The tensors of nested dictionaries under flat names.
#[derive(Default)]
struct Leaves<'c> {
    tensors: Vec<(String, &'c StoredTensor)>,
    skipped: Vec<String>,
    /// Length of all names made so far: nesting repeats the outer keys in every name.
    name_bytes: u64,
}

/// Cap on [`Leaves::name_bytes`]; real networks stay far below a megabyte.
const MAX_NAME_BYTES: u64 = 1 << 26;

impl<'c> Leaves<'c> {
    /// Collects what is under `name`. The tree's depth is limited, so the recursion is.
    fn collect(&mut self, name: &str, value: &'c Value) -> Result<(), Problem> {
        let Value::Dict(entries) = value else {
            match value {
                Value::Tensor(tensor) => self.tensors.push((name.to_owned(), tensor)),
                _ => self.skipped.push(name.to_owned()),
            }
            return Ok(());
        };
        for (key, below) in entries {
            let path = match key {
                Value::Str(key) if name.is_empty() => key.to_string(),
                Value::Str(key) => format!("{name}.{key}"),
                Value::Int(key) if name.is_empty() => key.to_string(),
                Value::Int(key) => format!("{name}.{key}"),
                other => {
                    self.skipped.push(format!("{name}[{}]", other.describe()));
                    continue;
                }
            };
            self.name_bytes += path.len() as u64;
            if self.name_bytes > MAX_NAME_BYTES {
                return Err(Problem::TooLarge { what: "the length of all names", limit: MAX_NAME_BYTES });
            }
            self.collect(&path, below)?;
        }
        Ok(())
    }
}

/// Takes `module.` off the names while all of them have it.
fn strip_shared_prefix<T>(mut pairs: Vec<(String, T)>) -> (Option<String>, Vec<(String, T)>) {
    const PREFIX: &str = "module.";
    let mut stripped = String::new();
    while !pairs.is_empty()
        && pairs.iter().all(|(name, _)| name.len() > PREFIX.len() && name.starts_with(PREFIX))
    {
        stripped.push_str(PREFIX);
        pairs.iter_mut().for_each(|(name, _)| drop(name.drain(..PREFIX.len())));
    }
    ((!stripped.is_empty()).then_some(stripped), pairs)
}

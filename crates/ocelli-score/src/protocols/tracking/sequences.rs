//! Files of sequences: one file for one, or folders for many, matched by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocelli_data::DataError;

use crate::{Inputs, Result, ScoreError};

/// A sequence with its two files.
#[derive(Clone, Debug)]
pub(super) struct Matched {
    pub(super) name: String,
    pub(super) truth: PathBuf,
    pub(super) pred: PathBuf,
}

/// Matches truth and predictions; gives the number of predictions of unknown sequences too. `inner` are the places of a
/// truth below the folder of its sequence, such as `gt/gt.txt`; `endings` those of files by the sequence's name.
pub(super) fn matched(inputs: &Inputs, inner: &[&str], endings: &[&str]) -> Result<(Vec<Matched>, usize)> {
    let truth_path = inputs.truth.first().map_or(Path::new(""), PathBuf::as_path);
    let truth = files(truth_path, inner, endings)?;
    let mut pred = BTreeMap::new();
    for path in &inputs.pred {
        pred.extend(files(path, &[], endings)?);
    }
    // One file against one sequence: the names do not matter.
    if let ([file], 1) = (inputs.pred.as_slice(), truth.len())
        && file.is_file()
    {
        let one = truth.into_iter().map(|(name, truth)| Matched { name, truth, pred: file.clone() });
        return Ok((one.collect(), 0));
    }
    let mut all = Vec::new();
    for (name, truth) in truth {
        let found = pred.remove(&name).ok_or_else(|| {
            let at = inputs.pred.first().map_or(truth_path, PathBuf::as_path);
            ScoreError::content(at, format!("no prediction of `{name}`"))
        })?;
        all.push(Matched { name, truth, pred: found });
    }
    Ok((all, pred.len()))
}

/// The files at a path by the name of their sequence.
pub(super) fn files(path: &Path, inner: &[&str], endings: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if path.is_file() {
        return Ok(BTreeMap::from([(own_name(path, inner), path.to_owned())]));
    }
    let unreadable = |source| DataError::Read { path: path.to_owned(), source };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.path();
        if entry.is_dir() {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let run = [format!("{name}_001.txt")];
            let places = inner.iter().copied().chain(run.iter().map(String::as_str));
            if let Some(file) = places.map(|place| entry.join(place)).find(|file| file.is_file()) {
                found.insert(name, file);
            }
        } else if endings.iter().any(|e| entry.extension().is_some_and(|x| x.eq_ignore_ascii_case(e))) {
            found.insert(stem(&entry), entry);
        }
    }
    if found.is_empty() {
        let places: Vec<String> = inner.iter().map(|i| format!("NAME/{i}")).collect();
        let files: Vec<String> = endings.iter().map(|e| format!("NAME.{e}")).collect();
        let wanted = [places, files].concat().join(" or ");
        return Err(ScoreError::content(path, format!("no sequence found; {wanted} is expected")));
    }
    Ok(found)
}

/// The sequence of a file by its path: the folder above `inner`, or the file's own name.
fn own_name(path: &Path, inner: &[&str]) -> String {
    let place = inner.iter().find(|place| path.ends_with(place));
    let above = place.and_then(|place| path.ancestors().nth(Path::new(place).components().count()));
    let named = above.and_then(Path::file_name).or(path.file_stem());
    named.unwrap_or_default().to_string_lossy().into_owned()
}

/// The note on predictions that were not asked for.
pub(super) fn unknown_note(unknown: usize) -> Vec<String> {
    let note = format!("{unknown} predictions of sequences that the truth does not have were left out");
    if unknown > 0 { vec![note] } else { Vec::new() }
}

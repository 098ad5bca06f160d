//! Lists of labels, as several protocols take them.

use std::path::Path;

use ocelli_data::annotations::npy;

use super::arrays::Table;
use crate::{Result, ScoreError};

/// Items with names and labels.
#[derive(Debug)]
pub(crate) struct LabelList {
    pub(crate) names: Vec<String>,
    pub(crate) labels: Vec<i64>,
    /// A third column, where the file has one.
    pub(crate) groups: Vec<String>,
}

impl LabelList {
    /// Reads `.npy` integers, or text: a line an item, `label`, `name label` or `name label group`; `unit` names items
    /// that have no name.
    pub(crate) fn read(path: &Path, unit: &str) -> Result<Self> {
        let numbered = |count: usize| (1..=count).map(|i| format!("{unit} {i}")).collect();
        if path.extension().is_some_and(|e| e == "npy") {
            let labels = Table::read(path)?.integers()?;
            return Ok(Self { names: numbered(labels.len()), labels, groups: Vec::new() });
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| ocelli_data::DataError::Read { path: path.to_owned(), source })?;
        let (mut names, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        let lines = text.lines().enumerate().map(|(i, l)| (i + 1, l.trim()));
        for (line, text) in lines.filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
            let fields: Vec<&str> = text.split([' ', '\t', ',']).filter(|f| !f.is_empty()).collect();
            let fail = |reason: String| ScoreError::content(path, format!("line {line}: {reason}"));
            let (name, label, group) = match fields[..] {
                [label] => (None, label, None),
                [name, label] => (Some(name), label, None),
                [name, label, group] => (Some(name), label, Some(group)),
                _ => {
                    return Err(fail(format!(
                        "`label`, `name label` or `name label group` expected, found `{text}`"
                    )));
                }
            };
            names.push(name.map_or_else(|| format!("{unit} {}", names.len() + 1), str::to_owned));
            labels.push(
                label.parse().map_err(|_| fail(format!("an integer label expected, found `{label}`")))?,
            );
            groups.extend(group.map(str::to_owned));
        }
        if labels.is_empty() {
            return Err(ScoreError::content(path, "the file is empty; a label a line is expected"));
        }
        if !groups.is_empty() && groups.len() != labels.len() {
            return Err(ScoreError::content(path, "some lines have a group and some have none"));
        }
        Ok(Self { names, labels, groups })
    }
}

/// Reads labels of 0 and 1: text as [`LabelList::read`], or `.npy`.
pub(crate) fn read_flags(path: &Path, unit: &str) -> Result<(Vec<String>, Vec<bool>)> {
    if path.extension().is_some_and(|e| e == "npy") {
        let flags = npy::read_bools(path)?;
        return Ok(((1..=flags.len()).map(|i| format!("{unit} {i}")).collect(), flags));
    }
    let list = LabelList::read(path, unit)?;
    let flag = |(i, label): (usize, i64)| match label {
        0 => Ok(false),
        1 => Ok(true),
        _ => {
            Err(ScoreError::content(path, format!("{unit} {}: label 0 or 1 expected, found {label}", i + 1)))
        }
    };
    let flags = list.labels.into_iter().enumerate().map(flag).collect::<Result<_>>()?;
    Ok((list.names, flags))
}

/// That a file of predictions has as many records as the truth; `units` names them in the plural.
pub(crate) fn same_count(path: &Path, found: usize, wanted: usize, units: &str) -> Result<()> {
    match found == wanted {
        true => Ok(()),
        false => Err(ScoreError::content(path, format!("{found} {units}, but the truth has {wanted}"))),
    }
}

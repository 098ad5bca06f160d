//! Which weights of a file fit a network, said so that a wrong adapter is found at a glance.

use std::collections::HashSet;
use std::fmt;

use thiserror::Error;

use super::state_dict::StateDict;

/// The comparison of what a network expects with what a file has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReport {
    /// Names in both with equal shapes, in the network's order.
    pub matched: Vec<String>,
    /// What the network expects and the file lacks.
    pub missing: Vec<Missing>,
    /// What the file has and the network does not expect.
    pub unexpected: Vec<String>,
    /// Names in both with different shapes.
    pub misshapen: Vec<Misshapen>,
    /// Optional names that are on one side only.
    pub ignored: Vec<String>,
}

/// A weight that a file lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name in the network.
    pub name: String,
    /// Its shape in the network.
    pub shape: Vec<usize>,
    /// The unexpected name in the file that looks most like it.
    pub near: Option<String>,
}

/// A weight whose shape differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name.
    pub name: String,
    /// Its shape in the network.
    pub expected: Vec<usize>,
    /// Its shape in the file.
    pub found: Vec<usize>,
}

/// Weights that do not fit the network.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the weights do not fit the network: {0}")]
pub struct KeysError(pub Box<KeyReport>);

/// Suggestions are looked for only for so many missing names: they are there to be read.
const SUGGESTIONS: usize = 40;
/// Lines shown of each section of the report.
const LINES: usize = 20;

/// Compares the names and shapes that a network expects with those of a file.
///
/// A name for which `optional` holds may be missing or unexpected, and so may `num_batches_tracked`, the step counter
/// that batch normalisation has carried since PyTorch 0.4.1. A scalar fits shape `[1]` and the other way round, as in
/// PyTorch.
pub fn match_keys(
    expected: &[(String, Vec<usize>)],
    found: &StateDict,
    optional: impl Fn(&str) -> bool,
) -> KeyReport {
    let optional = |name: &str| is_step_counter(name) || optional(name);
    let wanted: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let mut report = KeyReport::default();
    for (name, shape) in expected {
        match found.get(name) {
            Some(array) if same_shape(shape, array.shape()) => report.matched.push(name.clone()),
            Some(array) => report.misshapen.push(Misshapen {
                name: name.clone(),
                expected: shape.clone(),
                found: array.shape().to_vec(),
            }),
            None if optional(name) => report.ignored.push(name.clone()),
            None => report.missing.push(Missing { name: name.clone(), shape: shape.clone(), near: None }),
        }
    }
    for name in found.names().filter(|name| !wanted.contains(name)) {
        let list = if optional(name) { &mut report.ignored } else { &mut report.unexpected };
        list.push(name.to_owned());
    }
    for missing in report.missing.iter_mut().take(SUGGESTIONS) {
        missing.near = nearest(missing, &report.unexpected, found);
    }
    report
}

impl KeyReport {
    /// Whether every weight of the network has its match, and every one of the file.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }

    /// Accepts a complete match. With `allow_missing`, also one with missing and unexpected weights, as long as shapes
    /// agree and something matched.
    ///
    /// # Errors
    /// [`KeysError`] with this report.
    pub fn check(&self, allow_missing: bool) -> Result<(), KeysError> {
        let nothing = self.matched.is_empty() && !self.missing.is_empty();
        if self.is_complete() || (allow_missing && self.misshapen.is_empty() && !nothing) {
            Ok(())
        } else {
            Err(KeysError(Box::new(self.clone())))
        }
    }
}

impl fmt::Display for KeyReport {
    /// One line of counts, then a line for each weight that needs attention; no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} matched, {} missing, {} unexpected, {} of another shape, {} ignored",
            self.matched.len(),
            self.missing.len(),
            self.unexpected.len(),
            self.misshapen.len(),
            self.ignored.len()
        )?;
        section(f, "shape", &self.misshapen, |w| {
            format!("{} is {:?} in the network and {:?} in the file", w.name, w.expected, w.found)
        })?;
        section(f, "missing", &self.missing, |w| match &w.near {
            Some(near) => format!("{} {:?}; did the file call it {near}?", w.name, w.shape),
            None => format!("{} {:?}", w.name, w.shape),
        })?;
        section(f, "unexpected", &self.unexpected, String::clone)
    }
}

/// The lines of one section, cut after [`LINES`].
fn section<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: &[T],
    line: impl Fn(&T) -> String,
) -> fmt::Result {
    for row in rows.iter().take(LINES) {
        write!(f, "\n  {title:<10}  {}", line(row))?;
    }
    match rows.len().saturating_sub(LINES) {
        0 => Ok(()),
        more => write!(f, "\n  {title:<10}  … and {more} more"),
    }
}

fn is_step_counter(name: &str) -> bool {
    name == "num_batches_tracked" || name.ends_with(".num_batches_tracked")
}

fn same_shape(a: &[usize], b: &[usize]) -> bool {
    a == b || matches!((a, b), ([], [1]) | ([1], []))
}

/// The unexpected name closest to a missing one: of its shape and not all too different, or all but the same.
fn nearest(missing: &Missing, unexpected: &[String], found: &StateDict) -> Option<String> {
    let mut best: Option<(usize, &String)> = None;
    for name in unexpected {
        let fits = found.get(name).is_some_and(|array| same_shape(&missing.shape, array.shape()));
        let limit = if fits { missing.name.len().max(name.len()) / 2 } else { 2 };
        // Only a smaller distance than the best so far is of interest, so ties go to the file's order.
        let limit = best.map_or(limit, |(distance, _)| limit.min(distance.saturating_sub(1)));
        if let Some(distance) = edit_distance(&missing.name, name, limit)
            && best.is_none_or(|(known, _)| distance < known)
        {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name.clone())
}

/// Levenshtein distance in bytes, where it is at most `limit`.
fn edit_distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
        if row.iter().all(|&distance| distance > limit) {
            return None;
        }
    }
    row.last().copied().filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use ocelli_method::Array;

    use super::*;

    fn state(tensors: &[(&str, &[usize])]) -> StateDict {
        StateDict::from_pairs(
            tensors
                .iter()
                .map(|(name, shape)| (*name, Array::f32(*shape, vec![0.0; shape.iter().product()]).unwrap())),
        )
        .unwrap()
    }

    fn expected(tensors: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
        tensors.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect()
    }

    #[test]
    fn distances() {
        assert_eq!(edit_distance("kitten", "sitting", 9), Some(3));
        assert_eq!(edit_distance("kitten", "sitting", 2), None);
        assert_eq!(edit_distance("", "ab", 2), Some(2));
        assert_eq!(edit_distance("same", "same", 0), Some(0));
    }

    #[test]
    fn a_complete_match_passes_and_step_counters_are_optional() {
        let network = expected(&[("bn.weight", &[4]), ("bn.num_batches_tracked", &[]), ("prelu", &[1])]);
        let report = match_keys(&network, &state(&[("prelu", &[]), ("bn.weight", &[4])]), |_| false);
        assert!(report.is_complete());
        assert_eq!(report.matched, ["bn.weight", "prelu"]);
        assert_eq!(report.ignored, ["bn.num_batches_tracked"]);
        report.check(false).unwrap();
    }

    #[test]
    fn the_report_names_what_is_wrong() {
        let network = expected(&[
            ("body.3.res_layer.1.weight", &[8, 4, 3, 3]),
            ("head.weight", &[10, 8]),
            ("head.bias", &[10]),
            ("stem.weight", &[2]),
        ]);
        let file = state(&[
            ("stem.weight", &[2]),
            ("head.weight", &[20, 8]),
            ("body.3.res_layer.conv2.weight", &[8, 8, 3, 3]),
            ("body.3.res_layer.conv1.weight", &[8, 4, 3, 3]),
            ("extra.mean", &[1]),
        ]);
        let report = match_keys(&network, &file, |name| name.starts_with("extra"));
        let error = report.check(false).unwrap_err().to_string();
        assert_eq!(
            error,
            "the weights do not fit the network: 1 matched, 2 missing, 2 unexpected, 1 of another shape, 1 ignored\n  \
             shape       head.weight is [10, 8] in the network and [20, 8] in the file\n  \
             missing     body.3.res_layer.1.weight [8, 4, 3, 3]; did the file call it body.3.res_layer.conv1.weight?\n  \
             missing     head.bias [10]\n  \
             unexpected  body.3.res_layer.conv2.weight\n  \
             unexpected  body.3.res_layer.conv1.weight"
        );
        // Another shape is never acceptable.
        assert!(report.check(true).is_err());
    }

    #[test]
    fn missing_weights_may_be_allowed_but_not_all() {
        let network = expected(&[("a", &[1]), ("b", &[1])]);
        assert!(match_keys(&network, &state(&[("a", &[1])]), |_| false).check(false).is_err());
        assert!(match_keys(&network, &state(&[("a", &[1])]), |_| false).check(true).is_ok());
        assert!(match_keys(&network, &state(&[("x", &[1])]), |_| false).check(true).is_err());
    }

    #[test]
    fn long_lists_are_cut() {
        let network: Vec<_> = (0..50).map(|i| (format!("w{i}"), vec![1])).collect();
        let text = match_keys(&network, &StateDict::new(), |_| false).to_string();
        assert_eq!(text.lines().count(), 1 + LINES + 1);
        assert!(text.ends_with("… and 30 more"));
    }
}

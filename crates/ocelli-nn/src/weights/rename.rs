//! From the names in an official checkpoint to ours.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use super::state_dict::StateDict;

/// An ordered list of rules, each applied to what the ones before made of a name.
///
/// In a pattern `*` stands for one or more characters without a dot and `**` for any characters, none included; `{1}`,
/// `{2}`, … in the replacement are what they stood for. A pattern covers the whole name.
///
/// ```
/// use ocelli_nn::weights::Renames;
///
/// let renames = Renames::new()
///     .rename("body.*.res_layer.1.**", "body.{1}.res_layer.conv1.{2}")?
///     .replace("gamma", "weight")?
///     .ignore("classifier.**")?;
/// assert_eq!(renames.apply("body.3.res_layer.1.weight").as_deref(), Some("body.3.res_layer.conv1.weight"));
/// assert_eq!(renames.apply("norm.gamma").as_deref(), Some("norm.weight"));
/// assert_eq!(renames.apply("classifier.bias"), None);
/// # Ok::<(), ocelli_nn::weights::RenameError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Rename { pattern: Vec<Token>, replacement: Vec<Piece> },
    Replace { from: String, to: String },
    Ignore { pattern: Vec<Token> },
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Text(String),
    /// `*`
    Part,
    /// `**`
    Any,
}

/// A part of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What the wildcard of that index, from 0, stood for.
    Captured(usize),
}

/// A rule that means nothing, or names that end up the same.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RenameError {
    /// A rule cannot be understood.
    #[error("rename rule `{rule}`: {why}")]
    Rule {
        /// The pattern or replacement.
        rule: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two tensors get one name.
    #[error("`{first}` and `{second}` would both be renamed to `{name}`; make the rules tell them apart")]
    Collision {
        /// The tensor that comes first in the file.
        first: String,
        /// The other.
        second: String,
        /// The name of both.
        name: String,
    },
}

impl Renames {
    /// No rules: every name stays.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule: a name that fits `pattern` becomes `replacement`.
    ///
    /// # Errors
    /// [`RenameError::Rule`] when the pattern is empty or the replacement uses a wildcard that the pattern lacks.
    pub fn rename(self, pattern: &str, replacement: &str) -> Result<Self, RenameError> {
        let tokens = tokens(pattern)?;
        let wildcards = tokens.iter().filter(|token| !matches!(token, Token::Text(_))).count();
        let replacement = pieces(replacement, wildcards)?;
        Ok(self.with(Rule::Rename { pattern: tokens, replacement }))
    }

    /// Adds a rule: `from`, wherever it occurs in a name, becomes `to`.
    ///
    /// # Errors
    /// [`RenameError::Rule`] when `from` is empty.
    pub fn replace(self, from: &str, to: &str) -> Result<Self, RenameError> {
        if from.is_empty() {
            return Err(RenameError::Rule { rule: String::new(), why: "the text to replace is empty" });
        }
        Ok(self.with(Rule::Replace { from: from.to_owned(), to: to.to_owned() }))
    }

    /// Adds a rule: tensors whose names fit `pattern` are left out.
    ///
    /// # Errors
    /// [`RenameError::Rule`] when the pattern is empty.
    pub fn ignore(self, pattern: &str) -> Result<Self, RenameError> {
        let pattern = tokens(pattern)?;
        Ok(self.with(Rule::Ignore { pattern }))
    }

    fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The new name; `None` for a tensor that is left out.
    pub fn apply(&self, name: &str) -> Option<String> {
        let mut name = name.to_owned();
        for rule in &self.rules {
            match rule {
                Rule::Replace { from, to } => name = name.replace(from, to),
                Rule::Ignore { pattern } if fit(pattern, &name).is_some() => return None,
                Rule::Ignore { .. } => {}
                Rule::Rename { pattern, replacement } => {
                    if let Some(captured) = fit(pattern, &name) {
                        name = replacement
                            .iter()
                            .map(|piece| match piece {
                                Piece::Text(text) => text.as_str(),
                                Piece::Captured(index) => captured.get(*index).copied().unwrap_or_default(),
                            })
                            .collect();
                    }
                }
            }
        }
        Some(name)
    }

    /// Renames all tensors and keeps their order; also returns the names that were left out.
    ///
    /// # Errors
    /// [`RenameError::Collision`] when two tensors get one name.
    pub fn apply_to(&self, state: StateDict) -> Result<(StateDict, Vec<String>), RenameError> {
        let mut renamed = StateDict::new();
        let mut ignored = Vec::new();
        let mut origins: HashMap<String, String> = HashMap::new();
        for (old, array) in state {
            let Some(new) = self.apply(&old) else {
                ignored.push(old);
                continue;
            };
            if let Some(first) = origins.insert(new.clone(), old.clone()) {
                return Err(RenameError::Collision { first, second: old, name: new });
            }
            // Cannot be taken: `origins` has seen every name.
            let _ = renamed.insert(new, array);
        }
        Ok((renamed, ignored))
    }
}

/// Cuts a pattern into text and wildcards.
fn tokens(pattern: &str) -> Result<Vec<Token>, RenameError> {
    let error = |why| RenameError::Rule { rule: pattern.to_owned(), why };
    if pattern.is_empty() {
        return Err(error("the pattern is empty"));
    }
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let stars = rest.len() - rest.trim_start_matches('*').len();
        let (token, length) = match stars {
            0 => {
                let end = rest.find('*').unwrap_or(rest.len());
                (Token::Text(rest[..end].to_owned()), end)
            }
            1 => (Token::Part, 1),
            2 => (Token::Any, 2),
            _ => return Err(error("more than two stars in a row")),
        };
        tokens.push(token);
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// Cuts a replacement into text and `{n}`.
fn pieces(replacement: &str, wildcards: usize) -> Result<Vec<Piece>, RenameError> {
    let error = |why| RenameError::Rule { rule: replacement.to_owned(), why };
    let mut pieces = Vec::new();
    let mut rest = replacement;
    while let Some((text, tail)) = rest.split_once('{') {
        let (number, tail) = tail.split_once('}').ok_or_else(|| error("a `{` without its `}`"))?;
        let number: usize =
            number.parse().map_err(|_| error("between braces belongs a wildcard's number, from 1"))?;
        if number == 0 || number > wildcards {
            return Err(error("the pattern has no wildcard of that number; they count from 1"));
        }
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(Piece::Captured(number - 1));
        rest = tail;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// What the wildcards stand for where the pattern covers the whole name; each as short as possible, from the left.
fn fit<'n>(pattern: &[Token], name: &'n str) -> Option<Vec<&'n str>> {
    let mut captured = Vec::new();
    fit_from(pattern, name, &mut captured, &mut HashSet::new()).then_some(captured)
}

/// `failed` holds the pairs of pattern and name left that are known not to fit; it keeps backtracking polynomial.
fn fit_from<'n>(
    pattern: &[Token],
    name: &'n str,
    captured: &mut Vec<&'n str>,
    failed: &mut HashSet<(usize, usize)>,
) -> bool {
    let Some((token, pattern_rest)) = pattern.split_first() else { return name.is_empty() };
    let state = (pattern.len(), name.len());
    if failed.contains(&state) {
        return false;
    }
    let fits = match token {
        Token::Text(text) => name
            .strip_prefix(text.as_str())
            .is_some_and(|rest| fit_from(pattern_rest, rest, captured, failed)),
        Token::Part | Token::Any => {
            let part = *token == Token::Part;
            let longest = if part { name.find('.').unwrap_or(name.len()) } else { name.len() };
            (usize::from(part)..=longest).filter(|&end| name.is_char_boundary(end)).any(|end| {
                captured.push(&name[..end]);
                let fits = fit_from(pattern_rest, &name[end..], captured, failed);
                if !fits {
                    captured.pop();
                }
                fits
            })
        }
    };
    if !fits {
        failed.insert(state);
    }
    fits
}

#[cfg(test)]
mod tests {
    use ocelli_method::Array;

    use super::*;

    #[test]
    fn wildcards() {
        let check = |pattern: &str, name: &str, want: Option<&[&str]>| {
            let found = fit(&tokens(pattern).unwrap(), name);
            assert_eq!(found.as_deref(), want, "{pattern} on {name}");
        };
        check("a.b", "a.b", Some(&[]));
        check("a.b", "a.b.c", None);
        check("a.*", "a.b", Some(&["b"]));
        check("a.*", "a.b.c", None);
        check("a.*", "a.", None);
        check("a.**", "a.", Some(&[""]));
        check("a.**", "a.b.c", Some(&["b.c"]));
        check("**.weight", "x.y.weight", Some(&["x.y"]));
        check("conv*_*.**", "conv2_10.bn.bias", Some(&["2", "10", "bn.bias"]));
        check("*.*", "é.ü", Some(&["é", "ü"]));
        // Quadratic at worst, not exponential.
        check("**a**a**a**a**a**a**a**a**b", &"a".repeat(200), None);
    }

    #[test]
    fn rules_apply_in_order() {
        let renames = Renames::new()
            .rename("module.**", "{1}")
            .unwrap()
            .rename("layer*.*.**", "stage{1}/{2}/{3}")
            .unwrap()
            .replace("/", ".")
            .unwrap();
        assert_eq!(renames.apply("module.layer1.0.conv.weight").unwrap(), "stage1.0.conv.weight");
        assert_eq!(renames.apply("fc.bias").unwrap(), "fc.bias");
    }

    #[test]
    fn collisions_name_both() {
        let state =
            StateDict::from_pairs([("a.w", Array::vector([1.0])), ("b.w", Array::vector([2.0]))]).unwrap();
        let error = Renames::new().rename("*.w", "w").unwrap().apply_to(state.clone()).unwrap_err();
        assert_eq!(
            error,
            RenameError::Collision { first: "a.w".into(), second: "b.w".into(), name: "w".into() }
        );
        let (kept, ignored) = Renames::new().ignore("b.*").unwrap().apply_to(state).unwrap();
        assert_eq!(kept.names().collect::<Vec<_>>(), ["a.w"]);
        assert_eq!(ignored, ["b.w"]);
    }

    #[test]
    fn bad_rules_are_refused() {
        assert!(Renames::new().rename("", "x").is_err());
        assert!(Renames::new().rename("***", "x").is_err());
        for replacement in ["{2}", "{0}", "{x}", "{1"] {
            assert!(Renames::new().rename("*", replacement).is_err(), "{replacement}");
        }
        assert!(Renames::new().replace("", "x").is_err());
    }
}

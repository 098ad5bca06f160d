//! Recipes: TOML files that say all there is to say about a training.
//!
//! A recipe names its `task`; the rest is the task's own type, with every key documented, defaulted, and unknown keys
//! refused. `a.b=value` overrides change single keys before the task reads them.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;
use toml::{Table, Value};

/// A recipe as read, before its task has given it a type.
#[derive(Clone, Debug)]
pub struct Recipe {
    source: PathBuf,
    table: Table,
}

/// Why a recipe cannot be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("recipe {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no TOML.
    #[error("recipe {}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A key is unknown, of the wrong type, or out of range.
    #[error("recipe {}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Which key and what is wrong with it.
        reason: String,
    },
    /// An override is not of the form `a.b=value`.
    #[error("--set {0}: expected KEY=VALUE, such as schedule.epochs=5")]
    Override(String),
    /// An override goes through a key that holds no table.
    #[error("--set {text}: `{key}` is not a section of the recipe")]
    NotATable {
        /// The override.
        text: String,
        /// The key that is in the way.
        key: String,
    },
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// [`RecipeError`] naming the file, and line and column of a syntax error.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| RecipeError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads a recipe from text; `source` is for messages.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(text: &str, source: &Path) -> Result<Self, RecipeError> {
        let table = text
            .parse::<Table>()
            .map_err(|e| RecipeError::Syntax { path: source.to_owned(), reason: one_line(&e.to_string()) })?;
        Ok(Self { source: source.to_owned(), table })
    }

    /// Where it was read from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The task that it is for.
    ///
    /// # Errors
    /// [`RecipeError::Key`] when it names none.
    pub fn task(&self) -> Result<&str, RecipeError> {
        let task = self.table.get("task").and_then(Value::as_str);
        task.ok_or_else(|| self.key("`task` is missing, such as task = \"face-recognition\""))
    }

    /// Applies an override `a.b=value`. The value is read as TOML, and as a plain text where that fails.
    ///
    /// # Errors
    /// [`RecipeError::Override`] or [`RecipeError::NotATable`].
    pub fn set(&mut self, text: &str) -> Result<(), RecipeError> {
        let (key, value) = text.split_once('=').ok_or_else(|| RecipeError::Override(text.to_owned()))?;
        let value = parse_value(value.trim());
        let parts: Vec<&str> = key.trim().split('.').collect();
        let (Some((last, sections)), false) = (parts.split_last(), parts.iter().any(|p| p.is_empty())) else {
            return Err(RecipeError::Override(text.to_owned()));
        };
        let mut table = &mut self.table;
        for section in sections {
            let entry = table.entry((*section).to_owned()).or_insert_with(|| Value::Table(Table::new()));
            table = entry.as_table_mut().ok_or_else(|| RecipeError::NotATable {
                text: text.to_owned(),
                key: (*section).to_owned(),
            })?;
        }
        table.insert((*last).to_owned(), value);
        Ok(())
    }

    /// Takes a section out of the recipe, if it has it.
    pub fn take_section(&mut self, section: &str) -> Option<Table> {
        match self.table.remove(section) {
            Some(Value::Table(table)) => Some(table),
            Some(other) => {
                self.table.insert(section.to_owned(), other);
                None
            }
            None => None,
        }
    }

    /// Puts a section in the place of the one of that name.
    pub fn put_section(&mut self, section: &str, table: Table) {
        self.table.insert(section.to_owned(), Value::Table(table));
    }

    /// Gives a key of a section its default; for sections whose other keys depend on this one.
    pub fn default_key(&mut self, section: &str, key: &str, value: &str) {
        let section = self.table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        // A section that is no table is refused, with its name, when the recipe gets its type.
        if let Some(table) = section.as_table_mut() {
            table.entry(key.to_owned()).or_insert_with(|| Value::String(value.to_owned()));
        }
    }

    /// The recipe as the task's type.
    ///
    /// # Errors
    /// [`RecipeError::Key`] naming the key that is unknown or wrong.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, RecipeError> {
        T::deserialize(Value::Table(self.table.clone())).map_err(|e| self.key(one_line(&e.to_string())))
    }

    /// An error about a key of this recipe.
    pub fn key(&self, reason: impl Into<String>) -> RecipeError {
        RecipeError::Key { path: self.source.clone(), reason: reason.into() }
    }
}

fn parse_value(text: &str) -> Value {
    let parsed = format!("v = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// TOML errors come in several lines with a drawing; a reason is one line.
fn one_line(text: &str) -> String {
    let drawing =
        |line: &&str| !line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|');
    text.lines().filter(drawing).map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Typed {
        #[allow(dead_code)]
        task: String,
        data: Data,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Data {
        train: String,
        size: usize,
    }

    fn recipe(text: &str) -> Recipe {
        Recipe::parse(text, Path::new("r.toml")).unwrap()
    }

    const TEXT: &str = "task = \"x\"\n[data]\ntrain = \"world\"\nsize = 3\n";

    #[test]
    fn overrides_reach_into_sections() {
        let mut r = recipe(TEXT);
        r.set("data.train=../some/folder").unwrap();
        r.set("data.size = 7").unwrap();
        let typed: Typed = r.typed().unwrap();
        assert_eq!((typed.data.train.as_str(), typed.data.size), ("../some/folder", 7));
        assert_eq!(r.task().unwrap(), "x");
    }

    #[test]
    fn mistakes_are_named_in_one_line() {
        let mut r = recipe(TEXT);
        assert!(r.set("data.size").is_err());
        assert!(r.set("task.name=1").unwrap_err().to_string().contains("`task` is not a section"));
        r.set("data.sise=1").unwrap();
        let message = r.typed::<Typed>().unwrap_err().to_string();
        assert!(message.contains("sise") && !message.contains('\n'), "{message}");
        let message = Recipe::parse("a = [1", Path::new("r.toml")).unwrap_err().to_string();
        assert!(message.contains("line 1") && !message.contains('\n'), "{message}");
    }
}

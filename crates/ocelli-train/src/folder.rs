//! The folder of a run: what lies where, and how it gets there whole.
//!
//! | file | what |
//! |---|---|
//! | `recipe.toml` | the recipe with every default and override resolved |
//! | `weights.safetensors` | the trained network, by its state-dict names |
//! | `checkpoint/` | all that a resumed training needs |
//! | `metrics.jsonl` | a line for every logged step and every evaluation |
//! | `report.html` | curves, tables, pictures; one file |

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use ocelli_nn::weights::{WeightsError, write_atomically};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// Why a run's folder cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written whole.
    #[error(transparent)]
    Write(#[from] WeightsError),
    /// The folder holds another run.
    #[error("{} holds a run already; give another --out, or --resume to go on with it", .0.display())]
    Occupied(PathBuf),
    /// There is nothing to go on with.
    #[error("{} holds no run to resume", .0.display())]
    Nothing(PathBuf),
    /// The recipe differs from the one the run was started with.
    #[error("{}: the recipe differs from the run's own at {key}; resume with the same recipe", path.display())]
    OtherRecipe {
        /// The run's recipe.
        path: PathBuf,
        /// The first key that differs.
        key: String,
    },
    /// A line of the log cannot be read.
    #[error("{}:{line}: {reason}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Updates made so far.
    pub step: u64,
    /// Epochs passed, fractions included.
    pub epoch: f64,
    /// `train` for a step, `eval` for an evaluation.
    pub kind: LogKind,
    /// Numbers by name.
    pub values: std::collections::BTreeMap<String, f64>,
}

/// What a line of the log tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// A step of training.
    Train,
    /// The end of an epoch, where the task has something to tell of it.
    Epoch,
    /// An evaluation on held-out data.
    Eval,
}

impl RunFolder {
    /// Fails where a run could not be started because there is one already; writes nothing.
    ///
    /// # Errors
    /// [`FolderError::Occupied`].
    pub fn vacant(path: &Path) -> Result<(), FolderError> {
        match Self::open(path).recipe().exists() {
            true => Err(FolderError::Occupied(path.to_owned())),
            false => Ok(()),
        }
    }

    /// Starts a run in a folder that holds none, and writes its recipe there.
    ///
    /// # Errors
    /// [`FolderError::Occupied`], or the system's refusal.
    pub fn create(path: &Path, recipe: &str) -> Result<Self, FolderError> {
        Self::vacant(path)?;
        let folder = Self { path: path.to_owned() };
        std::fs::create_dir_all(folder.checkpoint()).map_err(|source| folder.io(source))?;
        write_atomically(&folder.recipe(), |w| w.write_all(recipe.as_bytes()))?;
        Ok(folder)
    }

    /// Goes on with a run, whose recipe must be the same.
    ///
    /// # Errors
    /// [`FolderError::Nothing`] or [`FolderError::OtherRecipe`].
    pub fn reopen(path: &Path, recipe: &str) -> Result<Self, FolderError> {
        let folder = Self { path: path.to_owned() };
        let own = match std::fs::read_to_string(folder.recipe()) {
            Ok(own) => own,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(FolderError::Nothing(path.to_owned()));
            }
            Err(source) => return Err(FolderError::Io { path: folder.recipe(), source }),
        };
        if let Some(key) = first_difference(&own, recipe) {
            return Err(FolderError::OtherRecipe { path: folder.recipe(), key });
        }
        std::fs::create_dir_all(folder.checkpoint()).map_err(|source| folder.io(source))?;
        Ok(folder)
    }

    /// A run to look at.
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its recipe.
    pub fn recipe(&self) -> PathBuf {
        self.path.join("recipe.toml")
    }

    /// The trained network.
    pub fn weights(&self) -> PathBuf {
        self.path.join("weights.safetensors")
    }

    /// All that a resumed training needs.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// The log.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The report.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Reads the log.
    ///
    /// # Errors
    /// [`FolderError::Log`] naming the line. A last line that was cut short is left out.
    pub fn read_log(&self) -> Result<Vec<LogLine>, FolderError> {
        let path = self.metrics();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(FolderError::Io { path, source }),
        };
        let lines: Vec<String> = BufReader::new(file)
            .lines()
            .collect::<Result<_, _>>()
            .map_err(|source| FolderError::Io { path: path.clone(), source })?;
        let mut log = Vec::with_capacity(lines.len());
        for (i, line) in lines.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(parsed) => log.push(parsed),
                Err(_) if i + 1 == lines.len() => break,
                Err(e) => return Err(FolderError::Log { path, line: i + 1, reason: e.to_string() }),
            }
        }
        Ok(log)
    }

    /// Opens the log for writing, keeping the lines up to `step`.
    ///
    /// # Errors
    /// The system's refusal, or an unreadable log.
    pub fn log_from(&self, step: u64) -> Result<Log, FolderError> {
        let kept: Vec<LogLine> = self.read_log()?.into_iter().filter(|l| l.step <= step).collect();
        let path = self.metrics();
        write_atomically(&path, |w| kept.iter().try_for_each(|line| write_line(w, line)))?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|source| FolderError::Io { path: path.clone(), source })?;
        Ok(Log { path, file })
    }

    fn io(&self, source: std::io::Error) -> FolderError {
        FolderError::Io { path: self.path.clone(), source }
    }
}

/// The log, open for writing.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Adds a line.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn write(&mut self, line: &LogLine) -> Result<(), FolderError> {
        let mut text = Vec::new();
        let written = write_line(&mut text, line).and_then(|()| self.file.write_all(&text));
        written.map_err(|source| FolderError::Io { path: self.path.clone(), source })
    }
}

fn write_line(w: &mut dyn Write, line: &LogLine) -> std::io::Result<()> {
    serde_json::to_writer(&mut *w, line)?;
    w.write_all(b"\n")
}

/// The first key in which two recipes differ, or `None`. Texts that are no TOML differ as wholes.
fn first_difference(a: &str, b: &str) -> Option<String> {
    let parse = |text: &str| text.parse::<toml::Table>().ok();
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => table_difference(&a, &b, ""),
        _ => (a != b).then(|| "its syntax".to_owned()),
    }
}

fn table_difference(a: &toml::Table, b: &toml::Table, prefix: &str) -> Option<String> {
    let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter().find_map(|key| {
        let name = format!("{prefix}{key}");
        match (a.get(key), b.get(key)) {
            (Some(toml::Value::Table(a)), Some(toml::Value::Table(b))) => {
                table_difference(a, b, &format!("{name}."))
            }
            (a, b) if a == b => None,
            _ => Some(format!("`{name}`")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> LogLine {
        let values = [("loss".to_owned(), 0.5)].into();
        LogLine { step, epoch: step as f64, kind: LogKind::Train, values }
    }

    #[test]
    fn a_resumed_log_forgets_what_came_after_the_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&dir.path().join("run"), "a = 1\n").unwrap();
        let mut log = folder.log_from(0).unwrap();
        (1..=3).for_each(|s| log.write(&line(s)).unwrap());
        // Cut short in the middle of a line.
        log.file.write_all(b"{\"step\": 4, \"ep").unwrap();
        assert_eq!(folder.read_log().unwrap().len(), 3);
        let mut log = folder.log_from(2).unwrap();
        log.write(&line(9)).unwrap();
        let steps: Vec<u64> = folder.read_log().unwrap().iter().map(|l| l.step).collect();
        assert_eq!(steps, [1, 2, 9]);
    }

    #[test]
    fn a_run_is_not_overwritten_and_not_resumed_under_another_recipe() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        assert!(matches!(RunFolder::reopen(&path, "a = 1"), Err(FolderError::Nothing(_))));
        RunFolder::create(&path, "a = 1\n[s]\nb = 2").unwrap();
        assert!(matches!(RunFolder::create(&path, "a = 1"), Err(FolderError::Occupied(_))));
        assert!(RunFolder::reopen(&path, "a = 1\ns.b = 2").is_ok());
        let error = RunFolder::reopen(&path, "a = 1\ns.b = 3").unwrap_err().to_string();
        assert!(error.contains("`s.b`"), "{error}");
    }
}

//! Checkpoints: everything a training needs to go on as if it had never stopped.
//!
//! Random numbers need no saving: every draw is a function of the seed and the step it is for.

use std::path::{Path, PathBuf};

use ocelli_method::{Array, Data};
use ocelli_nn::weights::safetensors::{self, Metadata};
use ocelli_nn::weights::{StateDict, WeightsError};
use ocelli_nn::{Store, StoreError};
use thiserror::Error;

use crate::optim::Optimizer;

/// A state of training.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Updates made so far.
    pub step: u64,
    /// Values of all stores, by `label/name`.
    pub stores: Vec<(String, Array)>,
    /// Memory of the optimiser.
    pub optimizer: Vec<(String, Array)>,
    /// Averaged weights, if they are kept.
    pub average: Vec<(String, Array)>,
}

/// Why a checkpoint cannot be written or taken up.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds no step.
    #[error("{}: no checkpoint of a training", .0.display())]
    Foreign(PathBuf),
    /// It is of another network.
    #[error("{}: {source}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Which parameter.
        source: StoreError,
    },
    /// A value is no number: such a state is not worth keeping.
    #[error("{0} is not finite")]
    NotFinite(String),
}

const SECTIONS: [&str; 3] = ["store:", "optimizer:", "average:"];
const STEP: &str = "step";

impl Checkpoint {
    /// The state of a training now.
    pub fn take(step: u64, stores: &[Store], optimizer: &Optimizer, average: Vec<(String, Array)>) -> Self {
        let values =
            |store: &Store| store.entries().into_iter().map(|e| (e.key(), e.to_array())).collect::<Vec<_>>();
        Self { step, stores: stores.iter().flat_map(values).collect(), optimizer: optimizer.state(), average }
    }

    /// Fails for a state that is not worth keeping.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`] naming the first parameter, or memory of one, with a value that is no number.
    pub fn check(&self) -> Result<(), CheckpointError> {
        let sections = [&self.stores, &self.optimizer, &self.average];
        let is_bad = |array: &Array| match array.data() {
            Data::F32(v) => v.iter().any(|x| !x.is_finite()),
            Data::F64(v) => v.iter().any(|x| !x.is_finite()),
            Data::I64(_) | Data::U8(_) => false,
        };
        match sections.into_iter().flatten().find(|(_, array)| is_bad(array)) {
            Some((name, _)) => Err(CheckpointError::NotFinite(name.clone())),
            None => Ok(()),
        }
    }

    /// Writes the checkpoint into `folder`, whole or not at all, and then removes older ones.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`] naming the parameter, or the system's refusal; older checkpoints stay.
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        self.check()?;
        let path = folder.join(format!("step-{:010}.safetensors", self.step));
        let mut state = StateDict::new();
        for (section, list) in SECTIONS.iter().zip([&self.stores, &self.optimizer, &self.average]) {
            for (name, array) in list {
                let named = state.insert(format!("{section}{name}"), array.clone());
                named.expect("keys are unique over all stores of a training");
            }
        }
        let metadata: Metadata = [(STEP.to_owned(), self.step.to_string())].into();
        safetensors::write(&path, &state, &metadata)?;
        for old in list(folder)?.into_iter().filter(|p| *p != path) {
            std::fs::remove_file(&old).map_err(|source| CheckpointError::Io { path: old, source })?;
        }
        Ok(())
    }

    /// The newest readable checkpoint in `folder`, or `None` when there is none.
    ///
    /// # Errors
    /// [`CheckpointError`] when the newest one cannot be read.
    pub fn newest(folder: &Path) -> Result<Option<(PathBuf, Self)>, CheckpointError> {
        let Some(path) = list(folder)?.pop() else { return Ok(None) };
        let contents = safetensors::read(&path)?;
        let step = contents.metadata.get(STEP).and_then(|s| s.parse().ok());
        let step = step.ok_or_else(|| CheckpointError::Foreign(path.clone()))?;
        let section = |prefix: &str| {
            let stripped = |(n, a): (&str, &Array)| Some((n.strip_prefix(prefix)?.to_owned(), a.clone()));
            contents.state.iter().filter_map(stripped).collect::<Vec<_>>()
        };
        let [stores, optimizer, average] = SECTIONS.map(section);
        Ok(Some((path, Self { step, stores, optimizer, average })))
    }

    /// Puts the saved values into the stores.
    ///
    /// # Errors
    /// [`StoreError`] naming the parameter that is missing or misshapen.
    pub fn restore(&self, stores: &[Store]) -> Result<(), StoreError> {
        for store in stores {
            let prefix = format!("{}/", store.label());
            let own = self.stores.iter().filter_map(|(key, array)| {
                Some((key.strip_prefix(prefix.as_str())?.to_owned(), array.clone()))
            });
            store.load_all(&own.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

/// The checkpoints in a folder, oldest first. What a killed writer left behind has another ending.
fn list(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let wrap = |source| CheckpointError::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrap)? {
        let path = entry.map_err(wrap)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("step-") && name.ends_with(".safetensors") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{OptimizerConfig, decay_all};
    use ocelli_nn::{Init, Role};

    #[test]
    fn the_newest_is_kept_and_restored() {
        let dir = tempfile::tempdir().unwrap();
        let device = ocelli_nn::device("cpu").unwrap();
        let make = |init| {
            let store = Store::labelled(&device, 0, "net");
            let w = store.root().param("w", &[2], init, Role::Kernel);
            (store, w)
        };
        let (store, w) = make(Init::Ones);
        let optimizer = Optimizer::new(OptimizerConfig::default(), decay_all);
        for step in [5, 10] {
            Checkpoint::take(step, std::slice::from_ref(&store), &optimizer, vec![])
                .save(dir.path())
                .unwrap();
        }
        assert_eq!(list(dir.path()).unwrap().len(), 1);
        let (_, checkpoint) = Checkpoint::newest(dir.path()).unwrap().unwrap();
        assert_eq!(checkpoint.step, 10);
        let (other, _) = make(Init::Zeros);
        checkpoint.restore(std::slice::from_ref(&other)).unwrap();
        assert_eq!(other.state(), store.state());

        // A state with a value that is no number is refused, and the good one stays.
        w.entry().set(w.entry().plain().mul_scalar(f32::NAN));
        let bad = Checkpoint::take(15, &[store], &optimizer, vec![]);
        assert!(matches!(bad.save(dir.path()), Err(CheckpointError::NotFinite(_))));
        assert_eq!(Checkpoint::newest(dir.path()).unwrap().unwrap().1.step, 10);
    }
}

//! A method: its card, the components that reference cases check, and its claim.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

use crate::array::{Array, ArrayError};
use crate::case::{Case, CaseError};
use crate::reproduce::Claim;

/// A published method as the registry knows it.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// What it is.
    pub card: Card,
    /// Its parts that reference cases check, in the order of its dossier.
    pub components: &'static [Component],
    /// What the paper claims, at a size that runs in minutes.
    pub claim: Option<&'static Claim>,
}

/// What a reader wants to know of a method before using it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Card {
    /// Short name: lower case, words joined by hyphens.
    pub slug: &'static str,
    /// Title of the paper.
    pub title: &'static str,
    /// The task in the field's words, such as `face recognition`.
    pub task: &'static str,
    /// What the expected values rest on.
    pub basis: Basis,
    /// Authors of the paper.
    pub authors: &'static str,
    /// Where it appeared.
    pub venue: &'static str,
    /// Identifier at arXiv.
    pub arxiv: &'static str,
    /// What the method does, in a sentence or two.
    pub summary: &'static str,
    /// What a user should know that the paper does not say.
    pub notes: &'static [&'static str],
    /// Whether `train` takes a recipe for it.
    pub trains: bool,
    /// Whether `predict` knows it.
    pub predicts: bool,
}

/// What the expected values of a method rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The authors' released code computed them.
    Official,
    /// Part of them came from released code, part from a reconstruction.
    Mixed,
    /// No usable code exists: written from the paper's description.
    Reconstruction,
}

impl Basis {
    /// The word that cards print.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Official => "official",
            Self::Mixed => "mixed",
            Self::Reconstruction => "reconstruction",
        }
    }
}

/// A part of a method that reference cases check.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// Its name in the dossier and in the cases.
    pub name: &'static str,
    /// Computes the outputs that a case of it expects.
    pub run: fn(&Replay<'_>) -> Result<Outputs, ReplayError>,
}

/// A case laid out for a component to compute.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The case, completed.
    pub case: &'a Case,
    /// Where to compute: a name that the tensor crate understands, such as `cpu`.
    pub device: &'a str,
    /// Files that the user gave, by resource name (see the harness field `needs`).
    pub resources: &'a BTreeMap<String, std::path::PathBuf>,
}

/// Why a component cannot compute a case.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The case lacks an input.
    #[error("the case has no input `{0}`")]
    NoInput(String),
    /// The config cannot be read.
    #[error("config: {0}")]
    Config(#[from] serde_json::Error),
    /// The case asks for something outside the component.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The case itself is at fault.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// An input has the wrong shape or type.
    #[error("{name}: {source}")]
    Input {
        /// The input.
        name: String,
        /// What is wrong with it.
        source: ArrayError,
    },
    /// The component refused its inputs.
    #[error("{0}")]
    Refused(String),
}

impl ReplayError {
    /// Wraps the error of a component's own code.
    pub fn refused(error: impl std::fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }
}

impl Replay<'_> {
    /// The input called `name`.
    ///
    /// # Errors
    /// [`ReplayError::NoInput`].
    pub fn input(&self, name: &str) -> Result<&Array, ReplayError> {
        self.case.inputs.get(name).ok_or_else(|| ReplayError::NoInput(name.to_owned()))
    }

    /// The single-precision elements of an input.
    ///
    /// # Errors
    /// [`ReplayError::NoInput`], or [`ReplayError::Input`] for another element type.
    pub fn floats(&self, name: &str) -> Result<&[f32], ReplayError> {
        self.input(name)?.as_f32().map_err(|source| self.at(name, source))
    }

    /// The integers of an input.
    ///
    /// # Errors
    /// [`ReplayError::NoInput`], or [`ReplayError::Input`] for another element type.
    pub fn integers(&self, name: &str) -> Result<&[i64], ReplayError> {
        self.input(name)?.as_i64().map_err(|source| self.at(name, source))
    }

    /// The elements of an input as double precision, whatever their type.
    ///
    /// # Errors
    /// [`ReplayError::NoInput`].
    pub fn doubles(&self, name: &str) -> Result<Vec<f64>, ReplayError> {
        Ok(self.input(name)?.to_f64())
    }

    /// The elements of an input as booleans: whether each is other than 0.
    ///
    /// # Errors
    /// [`ReplayError::NoInput`].
    pub fn booleans(&self, name: &str) -> Result<Vec<bool>, ReplayError> {
        Ok(self.doubles(name)?.iter().map(|v| *v != 0.0).collect())
    }

    /// The shape of an input that must have `D` dimensions.
    ///
    /// # Errors
    /// [`ReplayError::NoInput`], or [`ReplayError::Input`] for another number of dimensions.
    pub fn dims<const D: usize>(&self, name: &str) -> Result<[usize; D], ReplayError> {
        self.input(name)?.dims().map_err(|source| self.at(name, source))
    }

    /// The hyper-parameters as the component's own type.
    ///
    /// # Errors
    /// [`ReplayError::Config`] naming the key.
    pub fn config<T: serde::de::DeserializeOwned>(&self) -> Result<T, ReplayError> {
        Ok(serde_json::from_value(self.case.config.clone())?)
    }

    fn at(&self, name: &str, source: ArrayError) -> ReplayError {
        ReplayError::Input { name: name.to_owned(), source }
    }
}

/// What a component computed: outputs by name, gradients as `grad.in.x` and `grad.param.fc.weight`.
#[derive(Clone, Debug, Default)]
pub struct Outputs(BTreeMap<String, Array>);

impl Outputs {
    /// No outputs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an output.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Array>) -> &mut Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Adds an output and returns the whole, for chains.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Array>) -> Self {
        self.set(name, value);
        self
    }

    /// The outputs by name.
    pub fn as_map(&self) -> &BTreeMap<String, Array> {
        &self.0
    }
}

//! Reference cases: one safetensors file holds the inputs, parameters and expected outputs of one component.
//!
//! [`Case::parse`] reads and checks a file; [`Case::complete`] makes hashed inputs and fetches those that another
//! case stores. What is stored of an output, and how close it must be, is in [`crate::compare`].

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use thiserror::Error;

use crate::array::{Array, ArrayError, Data};
use crate::harness::Harness;
use crate::random::hash_fill;

/// A reference case, read and checked.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file's name without ending; carries no meaning.
    pub name: String,
    /// Slug of the method.
    pub method: String,
    /// The component that the case checks, as listed in the method's card.
    pub component: String,
    /// The component's hyper-parameters.
    pub config: serde_json::Value,
    /// How the case is set up.
    pub harness: Harness,
    /// Where the expected values come from.
    pub source: String,
    /// Absolute tolerance.
    pub atol: f64,
    /// Relative tolerance.
    pub rtol: f64,
    /// Inputs by name, without the prefix `in.`.
    pub inputs: BTreeMap<String, Array>,
    /// Expected outputs (`loss`) and gradients (`grad.in.x`) by name.
    pub expected: BTreeMap<String, Array>,
    parameters: Parameters,
}

#[derive(Clone, Debug)]
enum Parameters {
    None,
    Stored(Vec<(String, Array)>),
    Hashed(Manifest),
}

/// Names and shapes of hashed parameters, in state-dict order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Manifest(Vec<(String, Vec<usize>)>);

/// Why a case cannot be read or completed.
#[derive(Debug, Error)]
pub enum CaseError {
    /// Not a valid safetensors file.
    #[error("not a safetensors file: {0}")]
    Container(#[from] safetensors::SafeTensorError),
    /// A metadata entry is missing.
    #[error("metadata entry `{0}` is missing")]
    Missing(&'static str),
    /// A metadata entry cannot be read.
    #[error("metadata entry `{key}`: {reason}")]
    Metadata {
        /// The entry.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor has a name, element type or size outside the format.
    #[error("tensor `{name}`: {reason}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A hashed input or parameter is too large.
    #[error("`{name}` would hold {elements} elements, more than the cap of {cap}")]
    TooLarge {
        /// The input or parameter.
        name: String,
        /// Its number of elements.
        elements: u128,
        /// The cap.
        cap: usize,
    },
    /// An array does not fit its shape.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// The case named by `inputs_from` is not to be had.
    #[error("inputs come from case `{0}`, which is in neither the folder nor the built-in cases")]
    NoSuchCase(String),
}

/// More elements than any published network has in one tensor.
pub(crate) const MAX_ELEMENTS: usize = 1 << 29;

impl Case {
    /// Reads a case called `name` from the bytes of its file.
    ///
    /// # Errors
    /// [`CaseError`] naming the metadata entry or tensor that does not follow the format.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, CaseError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let entry = |key: &'static str| metadata.get(key).map(String::as_str).ok_or(CaseError::Missing(key));

        let mut case = Self {
            name: name.to_owned(),
            method: entry("method")?.to_owned(),
            component: entry("component")?.to_owned(),
            config: json("config", entry("config")?)?,
            harness: json("harness", entry("harness")?)?,
            source: entry("source")?.to_owned(),
            atol: tolerance("atol", entry("atol")?)?,
            rtol: tolerance("rtol", entry("rtol")?)?,
            inputs: BTreeMap::new(),
            expected: BTreeMap::new(),
            parameters: Parameters::None,
        };
        let mut stored = Vec::new();
        for (name, view) in SafeTensors::deserialize(bytes)?.iter() {
            let array = read_tensor(name, &view)?;
            match name.split_once('.') {
                Some(("in", rest)) => drop(case.inputs.insert(rest.to_owned(), array)),
                Some(("out", rest)) => drop(case.expected.insert(rest.to_owned(), array)),
                Some(("grad", _)) => drop(case.expected.insert(name.to_owned(), array)),
                Some(("param", rest)) => stored.push((rest.to_owned(), array)),
                _ => return Err(tensor_error(name, "its name starts with none of in., param., out., grad.")),
            }
        }
        case.parameters = match entry("params")? {
            "none" => Parameters::None,
            "stored" => Parameters::Stored(stored),
            "hashed" => Parameters::Hashed(json("param_manifest", entry("param_manifest")?)?),
            other => {
                let reason = format!("`{other}` is none of stored, hashed, none");
                return Err(CaseError::Metadata { key: "params", reason });
            }
        };
        Ok(case)
    }

    /// Makes the hashed inputs and takes over those of the case that `inputs_from` names, which `fetch` finds.
    ///
    /// # Errors
    /// [`CaseError::NoSuchCase`], or an input that cannot be made.
    pub fn complete(&mut self, fetch: impl FnOnce(&str) -> Option<Case>) -> Result<(), CaseError> {
        if let Some(other) = self.harness.inputs_from.clone() {
            let other = fetch(&other).ok_or(CaseError::NoSuchCase(other))?;
            for (name, array) in other.inputs {
                self.inputs.entry(name).or_insert(array);
            }
        }
        for (name, recipe) in &self.harness.hashed_inputs {
            self.inputs.insert(name.clone(), recipe.make(name)?);
        }
        Ok(())
    }

    /// The parameters and buffers, in state-dict order: stored ones as they are, hashed ones made now and then
    /// scaled and set as the harness says.
    ///
    /// # Errors
    /// [`CaseError::TooLarge`] when a manifest asks for an absurd tensor.
    pub fn parameters(&self) -> Result<Vec<(String, Array)>, CaseError> {
        let manifest = match &self.parameters {
            Parameters::None => return Ok(Vec::new()),
            Parameters::Stored(stored) => return Ok(stored.clone()),
            Parameters::Hashed(manifest) => manifest,
        };
        let fill = |(name, shape): &(String, Vec<usize>)| {
            check_size(name, shape)?;
            let mut values = hash_fill(name, shape);
            for (suffix, factor) in &self.harness.param_scale {
                if name.ends_with(suffix) {
                    values.iter_mut().for_each(|v| *v *= *factor as f32);
                }
            }
            for (suffix, value) in &self.harness.param_set {
                if name.ends_with(suffix) {
                    values.fill(*value as f32);
                }
            }
            Ok((name.clone(), Array::f32(shape.clone(), values)?))
        };
        use rayon::prelude::*;
        manifest.0.par_iter().map(fill).collect()
    }

    /// Names of the gradients that the case stores, such as `grad.in.x` or `grad.param.fc.weight`.
    pub fn gradients(&self) -> impl Iterator<Item = &str> {
        self.expected.keys().map(String::as_str).filter(|name| name.starts_with("grad."))
    }
}

/// Refuses shapes whose product overflows or exceeds the cap.
pub(crate) fn check_size(name: &str, shape: &[usize]) -> Result<(), CaseError> {
    let elements = shape.iter().map(|&d| d as u128).fold(1u128, u128::saturating_mul);
    if elements > MAX_ELEMENTS as u128 {
        return Err(CaseError::TooLarge { name: name.to_owned(), elements, cap: MAX_ELEMENTS });
    }
    Ok(())
}

fn json<T: for<'a> Deserialize<'a>>(key: &'static str, text: &str) -> Result<T, CaseError> {
    serde_json::from_str(text).map_err(|e| CaseError::Metadata { key, reason: e.to_string() })
}

fn tolerance(key: &'static str, text: &str) -> Result<f64, CaseError> {
    match text.trim().parse::<f64>() {
        Ok(value) if (0.0..1e3).contains(&value) => Ok(value),
        _ => Err(CaseError::Metadata { key, reason: format!("`{text}` is no number from 0 to 1000") }),
    }
}

fn tensor_error(name: &str, reason: impl Into<String>) -> CaseError {
    CaseError::Tensor { name: name.to_owned(), reason: reason.into() }
}

fn read_tensor(name: &str, view: &TensorView<'_>) -> Result<Array, CaseError> {
    let bytes = view.data();
    let data = match view.dtype() {
        Dtype::F32 => Data::F32(elements(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F64(elements(bytes, f64::from_le_bytes)),
        Dtype::I64 => Data::I64(elements(bytes, i64::from_le_bytes)),
        Dtype::U8 => Data::U8(bytes.to_vec()),
        other => return Err(tensor_error(name, format!("element type {other:?} is none of F32, I64, U8"))),
    };
    Ok(Array::new(view.shape(), data)?)
}

fn elements<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
        map.into_iter()
            .map(|(name, shape)| {
                let shape = Vec::<usize>::deserialize(shape).map_err(serde::de::Error::custom)?;
                Ok((name, shape))
            })
            .collect::<Result<_, _>>()
            .map(Manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::CaseFile;

    #[test]
    fn a_case_is_read_whole() {
        let file = CaseFile::new("method", "head")
            .tensor("in.x", Array::f32([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap())
            .tensor("out.loss", Array::from(0.5f32))
            .tensor("grad.in.x", Array::f32([2, 2], vec![0.0; 4]).unwrap())
            .tensor("param.kernel", Array::vector([1.0]));
        let case = Case::parse("a", &file.params("stored").bytes()).unwrap();
        assert_eq!((case.method.as_str(), case.component.as_str()), ("method", "head"));
        assert_eq!(case.gradients().collect::<Vec<_>>(), ["grad.in.x"]);
        assert_eq!(case.parameters().unwrap()[0].0, "kernel");
    }

    #[test]
    fn hashed_parameters_keep_their_order_and_are_scaled_then_set() {
        let case = CaseFile::new("m", "c")
            .metadata("param_manifest", r#"{"z.weight": [2, 3], "a.bias": [2], "a.slope": [1]}"#)
            .metadata("harness", r#"{"param_scale": [["bias", 2.0]], "param_set": [["slope", 0.25]]}"#)
            .params("hashed")
            .parse()
            .unwrap();
        let parameters = case.parameters().unwrap();
        let names: Vec<_> = parameters.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["z.weight", "a.bias", "a.slope"]);
        let plain = hash_fill("a.bias", &[2]);
        assert_eq!(parameters[1].1.to_f32(), [2.0 * plain[0], 2.0 * plain[1]]);
        assert_eq!(parameters[2].1.to_f32(), [0.25]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |file: CaseFile| file.parse().unwrap_err().to_string();
        assert!(message(CaseFile::new("m", "c").metadata("harness", r#"{"hashes": 1}"#)).contains("hashes"));
        assert!(message(CaseFile::new("m", "c").metadata("atol", "lots")).contains("`atol`"));
        assert!(message(CaseFile::new("m", "c").params("some")).contains("`some`"));
        assert!(message(CaseFile::new("m", "c").tensor("x", Array::from(0.0f32))).contains("`x`"));
        assert!(Case::parse("a", b"nonsense").is_err());
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let case = CaseFile::new("m", "c")
            .metadata("param_manifest", r#"{"w": [4294967296, 4294967296, 4294967296]}"#)
            .params("hashed")
            .parse()
            .unwrap();
        assert!(matches!(case.parameters(), Err(CaseError::TooLarge { .. })));
    }
}

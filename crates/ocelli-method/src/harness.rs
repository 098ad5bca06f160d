//! How a reference case is set up: the fields of its `harness`, and the hashed inputs.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::array::Array;
use crate::case::{CaseError, check_size};
use crate::random::hash_uniform;

/// The set-up of a case. Every field is optional in the file; an unknown one is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Harness {
    /// Inputs that are not stored but made from a key.
    pub hashed_inputs: BTreeMap<String, HashedInput>,
    /// Another case of the method whose stored inputs complete this one's.
    pub inputs_from: Option<String>,
    /// After hashing, multiply every parameter whose name ends with the suffix; applied in order.
    pub param_scale: Vec<(String, f64)>,
    /// After that, set every parameter whose name ends with the suffix.
    pub param_set: Vec<(String, f64)>,
    /// Which statistics normalisation layers use.
    pub bn: Statistics,
    /// How random draws are replaced, if they are.
    pub random: Option<Draws>,
    /// What of an output is stored.
    pub outputs: BTreeMap<String, Selection>,
    /// Outputs that are compared by more than position.
    pub compare: BTreeMap<String, Comparison>,
    /// The objective whose gradients are stored.
    pub gradient: Option<Objective>,
    /// Outputs that need a file which cannot be shipped, by resource.
    pub needs: BTreeMap<String, Vec<String>>,
    /// Remarks for the reader.
    pub note: Option<String>,
}

/// Which statistics normalisation layers use; layers that a method freezes always use running ones.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Statistics {
    /// The stored running mean and variance.
    #[default]
    Running,
    /// Those of the batch, as in training.
    Batch,
}

/// How random draws are replaced.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Draws {
    /// permutation(n) = 0..n-1, uniform(n)`[i]` = (i + 0.5) / n.
    Ramp,
}

/// Which elements of an output a case stores, and in what scale.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Shape of the whole output.
    pub shape: Option<Vec<usize>>,
    /// Every `stride`-th element of the flattened output, from 0.
    pub stride: Option<usize>,
    /// The outer product of index lists, one a dimension; `None` takes all of it.
    pub index: Option<Vec<Option<Vec<usize>>>>,
    /// Stored = that times the value.
    pub scale: Option<f64>,
}

/// How an output is compared when not element by element.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Comparison {
    /// Labels, equal up to renaming within each row of the last dimension.
    Partition,
    /// The outputs so marked are the columns of one table whose row order is free.
    Rows,
}

/// A scalar made of outputs, whose gradients a case stores. All terms given are added.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// A scalar output.
    pub of: Option<String>,
    /// The sum of all elements of the outputs.
    pub sum: Vec<String>,
    /// Sum over outputs of sum(`hash_uniform("w.<output>")` · output).
    pub weighted: Vec<String>,
    /// Sum over outputs of their means.
    pub mean: Vec<String>,
    /// Sum over outputs of their mean squares.
    pub mean_square: Vec<String>,
    /// Sum over outputs of their sums of squares.
    pub sum_square: Vec<String>,
    /// Sum of output · input.
    pub dot: BTreeMap<String, String>,
    /// An objective in words: the component knows it.
    pub text: Option<String>,
    /// Further objectives: the gradients `grad.<name>.…` belong to the one called so.
    pub named: BTreeMap<String, Objective>,
}

/// An input that is a function of a key: `scale · hash_uniform(key, shape) + offset`, then operations in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedInput {
    key: String,
    shape: Vec<usize>,
    scale: f64,
    offset: f64,
    #[serde(default)]
    then: Vec<Operation>,
}

/// A step applied to a hashed input.
#[derive(Clone, Debug)]
enum Operation {
    /// Adds another hashed array, broadcast.
    Add(HashedInput),
    /// Adds amplitude · f(column / px + row / py) to one channel of `[B, C, H, W]`.
    Wave { channel: usize, amplitude: f64, cosine: bool, px: Option<f64>, py: Option<f64> },
    /// One factor for each index of the first dimension.
    Multiply(Vec<f64>),
    /// Divides by the Euclidean norm along an axis; negative axes count from the end.
    Normalize(i64),
    /// 1 where the value is above, else 0.
    Above(f64),
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        use serde_json::{Value, from_value};
        let list = Vec::<Value>::deserialize(deserializer)?;
        let name = list.first().and_then(Value::as_str).unwrap_or_default().to_owned();
        let rest = Value::Array(list.into_iter().skip(1).collect());
        let operation = match name.as_str() {
            "add" => from_value::<(HashedInput,)>(rest).map(|(other,)| Self::Add(other)),
            "multiply" => from_value::<(Vec<f64>,)>(rest).map(|(factors,)| Self::Multiply(factors)),
            "normalize" => from_value::<(i64,)>(rest).map(|(axis,)| Self::Normalize(axis)),
            "above" => from_value::<(f64,)>(rest).map(|(threshold,)| Self::Above(threshold)),
            "wave" => from_value::<(usize, f64, String, Option<f64>, Option<f64>)>(rest).map(
                |(channel, amplitude, function, px, py)| Self::Wave {
                    channel,
                    amplitude,
                    cosine: function == "cos",
                    px,
                    py,
                },
            ),
            other => return Err(D::Error::custom(format!("unknown operation `{other}`"))),
        };
        operation.map_err(|e| D::Error::custom(format!("operation `{name}`: {e}")))
    }
}

impl HashedInput {
    /// Makes the array; `name` is for messages.
    pub(crate) fn make(&self, name: &str) -> Result<Array, CaseError> {
        check_size(name, &self.shape)?;
        let (scale, offset) = (self.scale as f32, self.offset as f32);
        let mut values = hash_uniform(&self.key, self.shape.iter().product());
        values.iter_mut().for_each(|v| *v = scale * *v + offset);
        for operation in &self.then {
            self.apply(name, operation, &mut values)?;
        }
        Ok(Array::f32(self.shape.clone(), values)?)
    }

    fn apply(&self, name: &str, operation: &Operation, values: &mut [f32]) -> Result<(), CaseError> {
        let wrong = |reason: &str| CaseError::Tensor { name: name.to_owned(), reason: reason.to_owned() };
        match operation {
            Operation::Add(other) => {
                let added = other.make(name)?;
                let map = broadcast(&self.shape, &other.shape)
                    .ok_or_else(|| wrong("the shape of `add` does not broadcast"))?;
                let added = added.as_f32()?;
                values.iter_mut().zip(map).for_each(|(v, i)| *v += added[i]);
            }
            Operation::Wave { channel, amplitude, cosine, px, py } => {
                let [_, channels, height, width] = self.shape[..] else {
                    return Err(wrong("`wave` wants four dimensions"));
                };
                if *channel >= channels {
                    return Err(wrong("the channel of `wave` is out of range"));
                }
                let term =
                    |position: usize, period: &Option<f64>| period.map_or(0.0, |p| position as f64 / p);
                for plane in values.chunks_mut((height * width).max(1)).skip(*channel).step_by(channels) {
                    for (i, v) in plane.iter_mut().enumerate() {
                        let phase = term(i % width, px) + term(i / width, py);
                        *v += (amplitude * if *cosine { phase.cos() } else { phase.sin() }) as f32;
                    }
                }
            }
            Operation::Multiply(factors) => {
                if self.shape.first() != Some(&factors.len()) {
                    return Err(wrong("`multiply` wants one factor an index of the first dimension"));
                }
                let inner = (values.len() / factors.len().max(1)).max(1);
                for (row, &factor) in values.chunks_mut(inner).zip(factors) {
                    row.iter_mut().for_each(|v| *v *= factor as f32);
                }
            }
            Operation::Normalize(axis) => {
                let rank = self.shape.len() as i64;
                let axis = if *axis < 0 { axis + rank } else { *axis };
                if !(0..rank).contains(&axis) {
                    return Err(wrong("the axis of `normalize` is out of range"));
                }
                normalize(values, &self.shape, axis as usize);
            }
            Operation::Above(threshold) => {
                values.iter_mut().for_each(|v| *v = if *v > *threshold as f32 { 1.0 } else { 0.0 });
            }
        }
        Ok(())
    }
}

/// For every element of `to` in row-major order, the flat index into an array of shape `from` broadcast to it.
fn broadcast(to: &[usize], from: &[usize]) -> Option<Vec<usize>> {
    let lead = to.len().checked_sub(from.len())?;
    let mut strides = vec![0; to.len()];
    let mut stride = 1;
    for d in (0..from.len()).rev() {
        if from[d] == to[lead + d] {
            strides[lead + d] = stride;
        } else if from[d] != 1 {
            return None;
        }
        stride *= from[d];
    }
    let n = to.iter().product();
    Some((0..n).map(|flat| unravel_dot(flat, to, &strides)).collect())
}

fn unravel_dot(mut flat: usize, shape: &[usize], strides: &[usize]) -> usize {
    let mut index = 0;
    for (&d, &stride) in shape.iter().zip(strides).rev() {
        index += flat % d * stride;
        flat /= d;
    }
    index
}

/// Divides by the Euclidean norm along `axis`, accumulated in double precision.
fn normalize(values: &mut [f32], shape: &[usize], axis: usize) {
    let inner: usize = shape[axis + 1..].iter().product();
    let length = shape[axis];
    if values.is_empty() {
        return;
    }
    for block in values.chunks_mut(length * inner) {
        for i in 0..inner {
            let column = || (0..length).map(|k| k * inner + i);
            let norm = column().map(|k| f64::from(block[k]).powi(2)).sum::<f64>().sqrt() as f32;
            column().for_each(|k| block[k] /= norm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(json: &str) -> Vec<f32> {
        serde_json::from_str::<HashedInput>(json).unwrap().make("x").unwrap().to_f32()
    }

    #[test]
    fn operations_apply_in_order() {
        let plain = hash_uniform("k", 6);
        let got = make(
            r#"{"key": "k", "shape": [2, 3], "scale": 1.0, "offset": 0.0,
                "then": [["multiply", [1, 2]], ["above", 0.0]]}"#,
        );
        let want: Vec<f32> = plain.iter().map(|&v| f32::from(v > 0.0)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn broadcast_addition() {
        let got = make(
            r#"{"key": "k", "shape": [2, 2, 3], "scale": 0.0, "offset": 1.0,
                "then": [["add", {"key": "b", "shape": [2, 1], "scale": 1.0, "offset": 0.0}]]}"#,
        );
        let b = hash_uniform("b", 2);
        let rows = [b[0], b[0], b[0], b[1], b[1], b[1]].map(|v| 1.0 + v);
        assert_eq!(got, [rows, rows].concat());
    }

    #[test]
    fn normalised_columns_have_unit_length() {
        let got =
            make(r#"{"key": "k", "shape": [3, 2], "scale": 1.0, "offset": 0.5, "then": [["normalize", 0]]}"#);
        for c in 0..2 {
            let n: f32 = (0..3).map(|r| got[2 * r + c].powi(2)).sum();
            assert!((n - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn wave_touches_one_channel() {
        let got = make(
            r#"{"key": "k", "shape": [1, 2, 2, 2], "scale": 0.0, "offset": 0.0,
                "then": [["wave", 1, 2.0, "sin", 1.0, null]]}"#,
        );
        let s = 2.0 * 1f64.sin() as f32;
        assert_eq!(got, [0.0, 0.0, 0.0, 0.0, 0.0, s, 0.0, s]);
    }

    #[test]
    fn unknown_operations_are_named() {
        let json = r#"{"key": "k", "shape": [2], "scale": 1.0, "offset": 0.0, "then": [["twist", 1]]}"#;
        let error = serde_json::from_str::<HashedInput>(json).unwrap_err();
        assert!(error.to_string().contains("twist"));
    }
}

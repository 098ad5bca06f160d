//! Reading a reference case and comparing outputs with it.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

type Error = Box<dyn std::error::Error>;

/// Outputs of an evaluator by name, flattened.
pub(crate) type Outputs = BTreeMap<String, Vec<f64>>;

/// One case: its tensors in double precision, its settings and tolerances.
pub(crate) struct Case {
    pub(crate) component: String,
    pub(crate) config: Value,
    harness: Value,
    atol: f64,
    rtol: f64,
    tensors: BTreeMap<String, Tensor>,
}

struct Tensor {
    shape: Vec<usize>,
    values: Vec<f64>,
    exact: bool,
}

impl Case {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let metadata = header.metadata().as_ref().ok_or("no metadata")?;
        let entry = |key: &str| metadata.get(key).ok_or(format!("no {key}"));
        let file = SafeTensors::deserialize(&bytes)?;
        let tensors = file.iter().map(|(name, view)| {
            let values: Vec<f64> = match view.dtype() {
                Dtype::F32 => chunks(view.data()).map(|b| f64::from(f32::from_le_bytes(b))).collect(),
                Dtype::I64 => chunks(view.data()).map(|b| i64::from_le_bytes(b) as f64).collect(),
                Dtype::U8 => view.data().iter().map(|b| f64::from(*b)).collect(),
                other => return Err(format!("{name} is {other:?}").into()),
            };
            let exact = view.dtype() != Dtype::F32;
            Ok((name.to_owned(), Tensor { shape: view.shape().to_vec(), values, exact }))
        });
        Ok(Self {
            component: entry("component")?.clone(),
            config: serde_json::from_str(entry("config")?)?,
            harness: serde_json::from_str(entry("harness")?)?,
            atol: entry("atol")?.parse()?,
            rtol: entry("rtol")?.parse()?,
            tensors: tensors.collect::<Result<_, Error>>()?,
        })
    }

    /// The input called `name`.
    pub(crate) fn input(&self, name: &str) -> &[f64] {
        &self.tensor(name).values
    }

    /// Rows and columns of the input called `name`.
    pub(crate) fn shape(&self, name: &str) -> [usize; 2] {
        self.tensor(name).shape[..].try_into().unwrap_or_else(|_| panic!("{name} is no matrix"))
    }

    /// All dimensions of the input called `name`.
    pub(crate) fn dims<const D: usize>(&self, name: &str) -> [usize; D] {
        self.tensor(name).shape[..].try_into().unwrap_or_else(|_| panic!("{name} has not {D} dimensions"))
    }

    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        self.input(name).iter().map(|v| *v as i64).collect()
    }

    pub(crate) fn booleans(&self, name: &str) -> Vec<bool> {
        self.input(name).iter().map(|v| *v != 0.0).collect()
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(&format!("in.{name}")).unwrap_or_else(|| panic!("no input {name}"))
    }

    pub(crate) fn number(&self, key: &str) -> f64 {
        self.config[key].as_f64().unwrap_or_else(|| panic!("no number {key}"))
    }

    pub(crate) fn count(&self, key: &str) -> usize {
        self.number(key) as usize
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.config[key].as_bool().unwrap_or_else(|| panic!("no flag {key}"))
    }

    pub(crate) fn numbers(&self, key: &str) -> Vec<f64> {
        let list = self.config[key].as_array().unwrap_or_else(|| panic!("no list {key}"));
        list.iter().map(|v| v.as_f64().unwrap()).collect()
    }

    /// The stored outputs, for components of which only some outputs are compared.
    pub(crate) fn expected(&self) -> Outputs {
        let output = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix("out.")?.to_owned(), tensor.values.clone()))
        };
        self.tensors.iter().filter_map(output).collect()
    }

    /// Whether every stored output is met.
    pub(crate) fn compare(&self, outputs: &Outputs) -> Result<(), Error> {
        for (name, want) in self.tensors.iter().filter_map(|(n, t)| Some((n.strip_prefix("out.")?, t))) {
            let got = outputs.get(name).ok_or(format!("nothing called {name} was computed"))?;
            let got = self.selected(name, got);
            if got.len() != want.values.len() {
                return Err(format!("{name}: {} values, wanted {}", got.len(), want.values.len()).into());
            }
            let [atol, rtol] = if want.exact { [0.0, 0.0] } else { [self.atol, self.rtol] };
            let close = |(g, w): (&f64, &f64)| (g - w).abs() <= atol + rtol * w.abs();
            if let Some(i) = got.iter().zip(&want.values).position(|pair| !close(pair)) {
                return Err(format!("{name}[{i}] is {}, wanted {}", got[i], want.values[i]).into());
            }
        }
        Ok(())
    }

    /// What of an output is stored: all of it, or the outer product of index lists.
    fn selected(&self, name: &str, output: &[f64]) -> Vec<f64> {
        let rule = &self.harness["outputs"][name];
        let Some(lists) = rule["index"].as_array() else { return output.to_vec() };
        let whole = |v: &Value| v.as_u64().map(|n| n as usize);
        let shape: Vec<usize> = rule["shape"].as_array().unwrap().iter().filter_map(whole).collect();
        assert_eq!(output.len(), shape.iter().product::<usize>(), "{name}");
        let mut offsets = vec![0];
        for (size, list) in shape.iter().zip(lists) {
            let all = || (0..*size).collect();
            let picked: Vec<usize> =
                list.as_array().map_or_else(all, |l| l.iter().filter_map(whole).collect());
            offsets = offsets.iter().flat_map(|o| picked.iter().map(move |i| o * size + i)).collect();
        }
        offsets.into_iter().map(|o| output[o]).collect()
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).map(|c| c.try_into().unwrap())
}

#[test]
fn a_wrong_value_is_noticed() {
    let tensor = |values: &[f64], exact| Tensor { shape: vec![values.len()], values: values.to_vec(), exact };
    let case = Case {
        component: "metric".into(),
        config: Value::Null,
        harness: serde_json::json!({"outputs": {"part": {"shape": [2, 3], "index": [[1], [0, 2]]}}}),
        atol: 1e-6,
        rtol: 1e-5,
        tensors: BTreeMap::from([
            ("out.tar".into(), tensor(&[0.5], false)),
            ("out.part".into(), tensor(&[3.0, 5.0], true)),
        ]),
    };
    let outcome = |tar: f64, last: f64| {
        let outputs = [("tar", vec![tar]), ("part", vec![0.0, 1.0, 2.0, 3.0, 4.0, last])];
        case.compare(&outputs.map(|(k, v)| (k.to_owned(), v)).into_iter().collect())
            .map_err(|e| e.to_string())
    };
    assert_eq!(outcome(0.500001, 5.0), Ok(()));
    assert_eq!(outcome(0.5001, 5.0), Err("tar[0] is 0.5001, wanted 0.5".into()));
    assert_eq!(outcome(0.5, 5.000001), Err("part[1] is 5.000001, wanted 5".into()));
    assert!(outcome(f64::NAN, 5.0).is_err());
    assert_eq!(case.compare(&Outputs::new()).unwrap_err().to_string(), "nothing called part was computed");
}

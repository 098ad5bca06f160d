//! Builds reference cases in memory for tests.

use std::collections::HashMap;

use safetensors::{Dtype, tensor::TensorView};

use crate::array::{Array, Data};
use crate::case::{Case, CaseError};

/// A case under construction; starts with valid metadata and no tensors.
#[derive(Clone)]
pub(crate) struct CaseFile {
    metadata: HashMap<String, String>,
    tensors: Vec<(String, Array)>,
}

impl CaseFile {
    pub(crate) fn new(method: &str, component: &str) -> Self {
        let metadata = [
            ("method", method),
            ("component", component),
            ("config", "{}"),
            ("harness", "{}"),
            ("params", "none"),
            ("atol", "1e-6"),
            ("rtol", "1e-5"),
            ("source", "test"),
        ];
        let metadata = metadata.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Self { metadata, tensors: Vec::new() }
    }

    pub(crate) fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn params(self, value: &str) -> Self {
        self.metadata("params", value)
    }

    pub(crate) fn tensor(mut self, name: &str, array: Array) -> Self {
        self.tensors.push((name.to_owned(), array));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let raw: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, array)| {
                let (dtype, bytes) = match array.data() {
                    Data::F32(v) => (Dtype::F32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
                    Data::F64(v) => (Dtype::F64, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
                    Data::I64(v) => (Dtype::I64, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
                    Data::U8(v) => (Dtype::U8, v.clone()),
                };
                (name.clone(), dtype, array.shape().to_vec(), bytes)
            })
            .collect();
        let views = raw
            .iter()
            .map(|(n, d, s, b)| (n.clone(), TensorView::new(*d, s.clone(), b).expect("consistent tensor")));
        safetensors::serialize(views, Some(self.metadata.clone())).expect("valid case")
    }

    pub(crate) fn parse(&self) -> Result<Case, CaseError> {
        Case::parse("case", &self.bytes())
    }
}

//! The tree of plain data that a checkpoint holds.

use std::sync::Arc;

use super::dtype::{ByteOrder, Dtype, Layout};

/// What a pickle holds once it is read: plain data and tensors, nothing that could run.
#[derive(Clone, Debug)]
pub enum Value {
    /// Python's `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// Bytes that are not text.
    Bytes(Arc<[u8]>),
    /// A list, tuple or set.
    List(Vec<Value>),
    /// A dictionary, or the attributes of a plain record such as `argparse.Namespace`; in the order of the file.
    Dict(Vec<(Value, Value)>),
    /// A tensor or NumPy array whose elements are read when they are asked for.
    Tensor(Arc<StoredTensor>),
    /// Something inert that has no value here, such as an element type or a device, by its name.
    Opaque(Arc<str>),
}

impl Value {
    /// The entry of a dictionary under a text key; of several, the last, as in Python.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries()?.iter().rev().find(|(k, _)| k.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The entries of a dictionary.
    pub fn entries(&self) -> Option<&[(Value, Value)]> {
        match self {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The integer.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The tensor.
    pub fn as_tensor(&self) -> Option<&StoredTensor> {
        match self {
            Value::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// What it is, in words, for messages.
    pub fn describe(&self) -> String {
        match self {
            Value::None => "None".to_owned(),
            Value::Bool(_) => "a truth value".to_owned(),
            Value::Int(_) => "an integer".to_owned(),
            Value::Float(_) => "a number".to_owned(),
            Value::Str(_) => "text".to_owned(),
            Value::Bytes(_) => "bytes".to_owned(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Dict(entries) => {
                let keys: Vec<&str> = entries.iter().filter_map(|(key, _)| key.as_str()).take(8).collect();
                let more = if entries.len() > keys.len() { ", …" } else { "" };
                format!("a dictionary with {} keys ({}{more})", entries.len(), keys.join(", "))
            }
            Value::Tensor(tensor) => format!("a tensor of shape {:?}", tensor.shape()),
            Value::Opaque(name) => format!("`{name}`"),
        }
    }
}

/// A tensor in a checkpoint: type, shape, and where its elements lie. [`Checkpoint::array`] reads them.
///
/// [`Checkpoint::array`]: super::Checkpoint::array
#[derive(Clone, Debug)]
pub struct StoredTensor {
    pub(super) dtype: Dtype,
    pub(super) layout: Layout,
    pub(super) order: ByteOrder,
    pub(super) storage: StorageSource,
}

impl StoredTensor {
    /// The element type in the file.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The shape; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Bytes of the elements once decoded.
    pub(super) fn decoded_bytes(&self) -> u64 {
        (self.layout.elements() as u64).saturating_mul(self.dtype.decoded_size() as u64)
    }
}

/// Where the bytes of a storage are.
#[derive(Clone, Debug)]
pub(super) enum StorageSource {
    /// In the checkpoint's file, under a key.
    File(Arc<str>),
    /// In the pickle itself, from the given byte on.
    Inline(Arc<[u8]>, usize),
}

//! A reader of Python pickles that builds plain data and runs nothing.
//!
//! A pickle is a program for a stack machine whose instructions may name any Python function and call it. [`read`]
//! executes the same instructions over a closed set of objects: containers, scalars, text, tensors. A name is looked up
//! in a fixed list (`global.rs`); a name outside of it ends the reading with [`Problem::Code`]. "Calling" a
//! listed name builds one of those objects (`build.rs`) and nothing else.
//!
//! What a file may cost is bounded three ways: by [`Limits`]; by the file itself, since an instruction of one byte makes
//! at most one object and whatever copies objects pays from an allowance that grows with the bytes consumed; and by the
//! absence of recursion, except in the last step, which turns the objects into a tree of limited depth.

mod build;
mod global;
mod input;
mod machine;

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use super::dtype::Dtype;
use super::error::Problem;
use super::limits::Limits;
use super::value::{StorageSource, StoredTensor, Value};
use global::Global;
use machine::Machine;

/// Index of an object.
type Id = u32;

/// What a file around the pickle provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surroundings {
    /// The pickle is all there is.
    Plain,
    /// `torch.save` keeps storages beside the pickle, which refers to them by key.
    Torch,
    /// As [`Surroundings::Torch`], inside a byte string of another pickle.
    Nested,
}

/// A storage beside the pickle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageInfo {
    /// Element type.
    pub(super) dtype: Dtype,
    /// Number of elements.
    pub(super) elements: usize,
}

/// Storages by key; looked up, never iterated.
pub(super) type StorageTable = HashMap<Arc<str>, StorageInfo>;

/// A pickle, read.
#[derive(Debug)]
pub(super) struct Pickled {
    /// What it holds.
    pub(super) value: Value,
    /// The storages it refers to.
    pub(super) storages: StorageTable,
    /// Where the whole pickle is one storage: that storage.
    pub(super) root_storage: Option<Storage>,
}

/// Reads one pickle and leaves the reader behind it.
///
/// # Errors
/// Every [`Problem`] that a pickle can have.
pub(super) fn read(
    reader: &mut dyn BufRead,
    around: Surroundings,
    limits: &Limits,
) -> Result<Pickled, Problem> {
    let mut machine = Machine::new(reader, around, limits);
    let root = machine.run()?;
    let root_storage = match machine.node(root) {
        Node::Storage(storage) => Some(storage.clone()),
        _ => None,
    };
    let value = Tree::new(&machine).value(root, limits.depth)?;
    Ok(Pickled { value, storages: machine.into_storages(), root_storage })
}

/// A storage, or a window of one.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub(super) source: StorageSource,
    pub(super) dtype: Dtype,
    /// First element of the window.
    pub(super) offset: usize,
    /// Elements of the window.
    pub(super) elements: usize,
}

/// An object of the machine. Containers hold the indices of what they contain, so that shared and even circular
/// references are plain data.
#[derive(Clone, Debug)]
enum Node {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Arc<str>),
    Bytes(Arc<[u8]>),
    /// A string of Python 2: text or bytes, nobody knows.
    ByteString(Arc<[u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A plain object with attributes, such as `argparse.Namespace`.
    Record(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(Arc<StoredTensor>),
    /// A NumPy array before its content is known.
    EmptyArray,
    NumpyType(build::NumpyType),
    Opaque(Arc<str>),
}

/// Turns objects into a tree. An object in several places is repeated, within an allowance.
struct Tree<'m, 'r> {
    machine: &'m Machine<'r>,
    left: u64,
    granted: u64,
}

impl<'m, 'r> Tree<'m, 'r> {
    fn new(machine: &'m Machine<'r>) -> Self {
        // Without containers in several places there are at most as many values as bytes.
        let granted =
            machine.consumed().saturating_mul(4).saturating_add(1 << 14).min(machine.limits().objects);
        Self { machine, left: granted, granted }
    }

    /// Takes `units`, each of the size of one value, from the allowance.
    fn pay(&mut self, units: u64) -> Result<(), Problem> {
        self.left = self
            .left
            .checked_sub(units)
            .ok_or(Problem::TooLarge { what: "the number of values in the pickle", limit: self.granted })?;
        Ok(())
    }

    fn value(&mut self, id: Id, depth: usize) -> Result<Value, Problem> {
        if depth == 0 {
            // A list that contains itself ends here too.
            return Err(Problem::TooLarge {
                what: "the nesting of lists and dictionaries",
                limit: self.machine.limits().depth as u64,
            });
        }
        self.pay(1)?;
        Ok(match self.machine.node(id) {
            Node::None => Value::None,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Float(value) => Value::Float(*value),
            Node::Str(text) => Value::Str(text.clone()),
            Node::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Node::ByteString(bytes) => {
                self.pay(bytes.len() as u64 / 64)?;
                match std::str::from_utf8(bytes) {
                    Ok(text) => Value::Str(text.into()),
                    Err(_) => Value::Bytes(bytes.clone()),
                }
            }
            Node::List(items) | Node::Tuple(items) => {
                Value::List(items.iter().map(|&item| self.value(item, depth - 1)).collect::<Result<_, _>>()?)
            }
            Node::Dict(entries) | Node::Record(entries) => Value::Dict(
                entries
                    .iter()
                    .map(|&(key, value)| Ok((self.value(key, depth - 1)?, self.value(value, depth - 1)?)))
                    .collect::<Result<_, Problem>>()?,
            ),
            Node::Tensor(tensor) => Value::Tensor(tensor.clone()),
            Node::Global(global) => Value::Opaque(global.name().into()),
            Node::Storage(storage) => Value::Opaque(format!("storage of {}", storage.dtype.name()).into()),
            Node::EmptyArray => Value::Opaque("numpy.ndarray without content".into()),
            Node::NumpyType(dtype) => Value::Opaque(dtype.to_string().into()),
            Node::Opaque(name) => Value::Opaque(name.clone()),
        })
    }
}

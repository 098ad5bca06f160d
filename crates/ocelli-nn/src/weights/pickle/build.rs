//! What calling a listed name means: tensors and containers are built, nothing is called.

use std::fmt;
use std::sync::Arc;

use super::super::dtype::{ByteOrder, Dtype, Layout};
use super::super::legacy;
use super::super::value::{StorageSource, StoredTensor};
use super::global::Global;
use super::machine::Machine;
use super::{Id, Limits, Node, Problem, Storage, StorageInfo, Surroundings};

/// A NumPy element type: its code such as `f4` or `U5`, and the byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NumpyType {
    code: Arc<str>,
    order: ByteOrder,
}

impl NumpyType {
    fn new(code: &str) -> Self {
        let (order, code) = match code.strip_prefix('>') {
            Some(code) => (ByteOrder::Big, code),
            None => (ByteOrder::Little, code.trim_start_matches(['<', '=', '|'])),
        };
        Self { code: code.into(), order }
    }
}

impl fmt::Display for NumpyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "numpy.dtype({})", self.code.chars().take(40).collect::<String>())
    }
}

fn malformed(what: &str) -> Problem {
    Problem::corrupt(format!("the pickle describes {what} wrongly"))
}

/// The bytes of a text whose characters all fit one byte, as `_codecs.encode(text, "latin1")` gives them.
fn latin1(text: &str) -> Result<Vec<u8>, Problem> {
    text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| malformed("bytes"))).collect()
}

/// The layout of a shape whose first dimension runs fastest, as in Fortran.
fn column_major_layout(shape: Vec<usize>, limits: &Limits) -> Result<Layout, Problem> {
    let axes: Vec<usize> = (0..shape.len()).rev().collect();
    let memory = shape.into_iter().rev().collect();
    Layout::permuted(memory, &axes, limits)?.ok_or_else(|| malformed("a shape"))
}

impl Machine<'_> {
    /// `REDUCE`: the object that `callable(*args)` stands for.
    pub(super) fn call(&mut self, callable: Id, args: Id) -> Result<Id, Problem> {
        let global = self.expect_global(callable)?;
        let args = self.items(args, "the arguments of a call")?;
        self.call_global(global, &args)
    }

    fn call_global(&mut self, global: Global, args: &[Id]) -> Result<Id, Problem> {
        let node = match global {
            Global::Mapping(_) => self.mapping(args.first().copied())?,
            Global::DefaultDict => self.mapping(args.get(1).copied())?,
            Global::Set => self.set(args)?,
            Global::Bytes | Global::Encode => self.encode(args)?,
            Global::Reconstructor => return self.reconstruct(args),
            Global::Record(_) => self.record(args)?,
            Global::Path => self.path(args)?,
            Global::RebuildTensor => self.tensor(args, None)?,
            Global::RebuildTensorV3 => {
                let dtype = args.get(6).map(|&id| self.node(id));
                let Some(Node::Global(Global::TorchType(dtype))) = dtype else {
                    return Err(malformed("a tensor"));
                };
                let dtype = *dtype;
                self.tensor(args, Some(dtype))?
            }
            // A parameter is its tensor.
            Global::RebuildParameter => return self.expect_tensor(args.first()),
            Global::RebuildFromType => return self.tensor_of_subclass(args),
            Global::LoadFromBytes => self.nested_storage(args)?,
            Global::Size => {
                let sizes = args.first().ok_or_else(|| malformed("a torch.Size"))?;
                Node::Tuple(self.items(*sizes, "a torch.Size")?)
            }
            Global::Device => Node::Opaque("torch.device".into()),
            Global::NumpyReconstruct => Node::EmptyArray,
            Global::NumpyScalar => self.numpy_scalar(args)?,
            Global::NumpyType => {
                let code = args.first().ok_or_else(|| malformed("a numpy.dtype"))?;
                let code = self.text(*code)?;
                self.pay(code.len())?;
                Node::NumpyType(NumpyType::new(&code))
            }
            Global::NumpyFromBuffer => self.numpy_from_buffer(args)?,
            Global::Inert(_) | Global::Storage(_) | Global::TorchType(_) => {
                return Err(Problem::Code(format!("{}(...)", global.name())));
            }
        };
        self.add(node)
    }

    /// `NEWOBJ` and its relatives: an object of a class, before its state is set.
    pub(super) fn instantiate(&mut self, class: Id, args: Id) -> Result<Id, Problem> {
        let global = self.expect_global(class)?;
        let args = self.items(args, "the arguments of a class")?;
        match global {
            Global::Mapping(_)
            | Global::DefaultDict
            | Global::Set
            | Global::Record(_)
            | Global::Path
            | Global::Size
            | Global::Device
            | Global::NumpyType => self.call_global(global, &args),
            _ => Err(Problem::Code(format!("{}(...)", global.name()))),
        }
    }

    /// `BUILD`: gives an object its state.
    pub(super) fn set_state(&mut self, object: Id, state: Id) -> Result<(), Problem> {
        let node = match self.node(object) {
            // Attributes of a dictionary, such as a state dict's `_metadata`, are no entries.
            Node::Dict(_) | Node::Tensor(_) | Node::Opaque(_) => return Ok(()),
            Node::Record(fields) => {
                let Node::Dict(more) = self.node(state) else { return Err(malformed("a record")) };
                let fields: Vec<_> = fields.iter().chain(more).copied().collect();
                self.pay(fields.len())?;
                Node::Record(fields)
            }
            Node::EmptyArray => self.numpy_array(state)?,
            Node::NumpyType(dtype) => {
                let mut dtype = dtype.clone();
                let state = self.items(state, "a numpy.dtype")?;
                let order = self.text(*state.get(1).ok_or_else(|| malformed("a numpy.dtype"))?)?;
                dtype.order = if &*order == ">" { ByteOrder::Big } else { ByteOrder::Little };
                Node::NumpyType(dtype)
            }
            _ => return Err(malformed("the state of an object")),
        };
        *self.node_mut(object) = node;
        Ok(())
    }

    /// `BINPERSID`: a storage beside the pickle, by `("storage", class, key, device, elements, window)`.
    pub(super) fn storage_reference(&mut self, reference: Id) -> Result<Id, Problem> {
        if self.around() == Surroundings::Plain {
            return Err(malformed("an outside object, which a plain pickle has none of,"));
        }
        let parts = self.items(reference, "a storage")?;
        let [kind, class, key, _device, elements, window @ ..] = parts.as_slice() else {
            return Err(malformed("a storage"));
        };
        if &*self.text(*kind)? != "storage" {
            return Err(malformed("a storage"));
        }
        let Global::Storage(dtype) = self.expect_global(*class)? else { return Err(malformed("a storage")) };
        let info = StorageInfo { dtype: dtype.unwrap_or(Dtype::U8), elements: self.size(*elements)? };
        // Old files number storages by integers written as text; some third-party writers leave them integers.
        let key: Arc<str> = match self.node(*key) {
            Node::Int(number) => number.to_string().into(),
            _ => self.text(*key)?,
        };
        if self.storages.get(&key).is_some_and(|known| *known != info) {
            return Err(Problem::corrupt(format!("storage `{key}` is declared twice, differently")));
        }
        self.storages.insert(key.clone(), info.clone());
        let (offset, elements) = self.window(window.first(), info.elements)?;
        self.add(Node::Storage(Storage {
            source: StorageSource::File(key),
            dtype: info.dtype,
            offset,
            elements,
        }))
    }

    /// The part of a storage that `(key, offset, elements)` names; all of it for `None`.
    fn window(&self, window: Option<&Id>, elements: usize) -> Result<(usize, usize), Problem> {
        let Some(window) = window.filter(|&&id| !matches!(self.node(id), Node::None)) else {
            return Ok((0, elements));
        };
        let Node::Tuple(parts) = self.node(*window) else { return Err(malformed("a part of a storage")) };
        let [_key, offset, size] = parts[..] else { return Err(malformed("a part of a storage")) };
        let (offset, size) = (self.size(offset)?, self.size(size)?);
        if offset.checked_add(size).is_some_and(|end| end <= elements) {
            Ok((offset, size))
        } else {
            Err(malformed("a part of a storage"))
        }
    }

    /// A tensor from `(storage, offset, shape, strides, ...)`; `dtype` where the storage is bytes without a type.
    fn tensor(&mut self, args: &[Id], dtype: Option<Dtype>) -> Result<Node, Problem> {
        let [storage, offset, shape, strides, rest @ ..] = args else { return Err(malformed("a tensor")) };
        // v2: requires_grad, hooks, metadata; v3 has the element type before the metadata.
        let metadata = rest.get(if dtype.is_some() { 3 } else { 2 });
        if metadata.is_some_and(|&id| self.has_lazy_bits(id)) {
            return Err(Problem::Unsupported {
                what: "a tensor that is a conjugate or negative view".to_owned(),
                remedy: "call resolve_conj() and resolve_neg() on it in Python before saving",
            });
        }
        let Node::Storage(storage) = self.node(*storage) else { return Err(malformed("a tensor")) };
        let mut storage = storage.clone();
        if let Some(dtype) = dtype {
            if storage.dtype != Dtype::U8 || storage.offset % dtype.size() != 0 {
                return Err(malformed("a tensor"));
            }
            storage.offset /= dtype.size();
            storage.elements /= dtype.size();
            storage.dtype = dtype;
        }
        let offset = self.size(*offset)?;
        let shape = self.sizes(*shape)?;
        let strides = self.sizes(*strides)?;
        // Checked against the window, then moved to the window's place in the storage.
        Layout::new(offset, shape.clone(), strides.clone(), storage.elements, self.limits())?;
        let place = |at: usize| storage.offset.checked_add(at).ok_or_else(|| malformed("a tensor"));
        let layout = Layout::new(place(offset)?, shape, strides, place(storage.elements)?, self.limits())?;
        Ok(Node::Tensor(Arc::new(StoredTensor {
            dtype: storage.dtype,
            layout,
            order: ByteOrder::Little,
            storage: storage.source,
        })))
    }

    /// Whether a tensor's metadata sets the bits for conjugation and negation, which PyTorch resolves lazily.
    fn has_lazy_bits(&self, metadata: Id) -> bool {
        let Node::Dict(entries) = self.node(metadata) else { return false };
        // PyTorch writes at most these two; the cap keeps a hostile dictionary from being searched for every tensor.
        entries.iter().take(8).any(|&(key, value)| {
            matches!(self.node(value), Node::Bool(true))
                && self.text(key).is_ok_and(|k| matches!(&*k, "conj" | "neg"))
        })
    }

    /// A tensor of a subclass, from `(function, class, args, state)`.
    fn tensor_of_subclass(&mut self, args: &[Id]) -> Result<Id, Problem> {
        let [function, _class, args, ..] = args else { return Err(malformed("a tensor")) };
        match self.expect_global(*function)? {
            // Not this function again: it would recurse.
            global @ (Global::RebuildTensor | Global::RebuildTensorV3 | Global::RebuildParameter) => {
                let args = self.items(*args, "a tensor")?;
                self.call_global(global, &args)
            }
            _ => Err(malformed("a tensor")),
        }
    }

    /// A storage that `torch.save` wrote into a byte string, as pickling a tensor without `torch.save` does.
    fn nested_storage(&mut self, args: &[Id]) -> Result<Node, Problem> {
        let bytes = match args.first().map(|&id| self.node(id)) {
            Some(Node::Bytes(bytes) | Node::ByteString(bytes)) => bytes.clone(),
            _ => return Err(malformed("a storage")),
        };
        if self.around() == Surroundings::Nested {
            return Err(malformed("a storage within a storage"));
        }
        self.pay(bytes.len())?;
        legacy::storage_in_bytes(&bytes, self.limits()).map(Node::Storage)
    }

    fn mapping(&mut self, source: Option<Id>) -> Result<Node, Problem> {
        let Some(source) = source else { return Ok(Node::Dict(Vec::new())) };
        let entries = match self.node(source) {
            Node::Dict(entries) => entries.clone(),
            Node::List(items) | Node::Tuple(items) => {
                let pair = |&id: &Id| match self.node(id) {
                    Node::Tuple(pair) | Node::List(pair) => match pair[..] {
                        [key, value] => Ok((key, value)),
                        _ => Err(malformed("a dictionary")),
                    },
                    _ => Err(malformed("a dictionary")),
                };
                items.iter().map(pair).collect::<Result<_, _>>()?
            }
            _ => return Err(malformed("a dictionary")),
        };
        self.pay(entries.len())?;
        Ok(Node::Dict(entries))
    }

    fn set(&mut self, args: &[Id]) -> Result<Node, Problem> {
        match args {
            [] => Ok(Node::List(Vec::new())),
            [items] => Ok(Node::List(self.items(*items, "a set")?)),
            _ => Err(malformed("a set")),
        }
    }

    /// Bytes: from a text and an encoding, from other bytes, or none.
    fn encode(&mut self, args: &[Id]) -> Result<Node, Problem> {
        let Some(&source) = args.first() else { return Ok(Node::Bytes(Vec::new().into())) };
        let length = match self.node(source) {
            Node::Str(text) => text.len(),
            Node::Bytes(bytes) | Node::ByteString(bytes) => return Ok(Node::Bytes(bytes.clone())),
            _ => return Err(malformed("bytes")),
        };
        let encoding = args.get(1).map(|&id| self.text(id)).transpose()?;
        if !encoding.is_some_and(|e| matches!(&*e, "latin1" | "latin-1" | "iso-8859-1")) {
            return Err(malformed("bytes"));
        }
        self.pay(length)?;
        Ok(Node::Bytes(latin1(&self.text(source)?)?.into()))
    }

    /// `copyreg._reconstructor(class, object, None)`.
    fn reconstruct(&mut self, args: &[Id]) -> Result<Id, Problem> {
        let [class, _base, _state] = args else { return Err(malformed("an object")) };
        match self.expect_global(*class)? {
            global @ (Global::Record(_) | Global::Mapping(_)) => self.call_global(global, &[]),
            global => Err(Problem::Code(format!("{}(...)", global.name()))),
        }
    }

    fn record(&self, args: &[Id]) -> Result<Node, Problem> {
        if args.is_empty() { Ok(Node::Record(Vec::new())) } else { Err(malformed("a record")) }
    }

    fn path(&mut self, parts: &[Id]) -> Result<Node, Problem> {
        let parts: Vec<Arc<str>> = parts.iter().map(|&part| self.text(part)).collect::<Result<_, _>>()?;
        self.pay(parts.iter().map(|part| part.len()).sum())?;
        let joined = match parts.split_first() {
            Some((root, rest)) if &**root == "/" => format!("/{}", rest.join("/")),
            _ => parts.join("/"),
        };
        Ok(Node::Str(joined.into()))
    }

    /// The content of an array, from `(version, shape, type, column-major, bytes)`; old files leave out the version.
    fn numpy_array(&mut self, state: Id) -> Result<Node, Problem> {
        let state = self.items(state, "a NumPy array")?;
        let (shape, dtype, column_major, data) = match state[..] {
            [_, shape, dtype, column_major, data] | [shape, dtype, column_major, data] => {
                (shape, dtype, column_major, data)
            }
            _ => return Err(malformed("a NumPy array")),
        };
        let column_major = match self.node(column_major) {
            Node::Bool(value) => *value,
            Node::Int(value) => *value != 0,
            _ => return Err(malformed("a NumPy array")),
        };
        let shape = self.sizes(shape)?;
        let layout = if column_major {
            column_major_layout(shape, self.limits())
        } else {
            Layout::contiguous(shape, self.limits())
        };
        self.numpy_tensor(layout?, dtype, data)
    }

    /// `_frombuffer(bytes, type, shape, order, axes)`, which protocol 5 writes; the axes came with NumPy 2.3 and belong
    /// to order `K`, where `shape` is that of the memory and the array's dimensions are its axes.
    fn numpy_from_buffer(&mut self, args: &[Id]) -> Result<Node, Problem> {
        let [data, dtype, shape, order, axes @ ..] = args else { return Err(malformed("a NumPy array")) };
        let shape = self.sizes(*shape)?;
        let layout = match (&*self.text(*order)?, axes) {
            ("C", _) => Layout::contiguous(shape, self.limits())?,
            ("F", _) => column_major_layout(shape, self.limits())?,
            ("K", [axes]) => Layout::permuted(shape, &self.sizes(*axes)?, self.limits())?
                .ok_or_else(|| malformed("the axes of a NumPy array"))?,
            _ => return Err(malformed("a NumPy array")),
        };
        self.numpy_tensor(layout, *dtype, *data)
    }

    fn numpy_tensor(&self, layout: Layout, dtype: Id, data: Id) -> Result<Node, Problem> {
        let Node::NumpyType(numpy) = self.node(dtype) else { return Err(malformed("a NumPy array")) };
        let Some(dtype) = Dtype::from_numpy(&numpy.code) else {
            return Ok(Node::Opaque(format!("NumPy array of {numpy}").into()));
        };
        let (Node::Bytes(bytes) | Node::ByteString(bytes)) = self.node(data) else {
            return Err(malformed("a NumPy array"));
        };
        if layout.elements().checked_mul(dtype.size()) != Some(bytes.len()) {
            return Err(Problem::corrupt(format!(
                "a NumPy array of shape {:?} and type {} has {} bytes",
                layout.shape(),
                dtype.name(),
                bytes.len()
            )));
        }
        let storage = StorageSource::Inline(bytes.clone(), 0);
        Ok(Node::Tensor(Arc::new(StoredTensor { dtype, layout, order: numpy.order, storage })))
    }

    /// `scalar(type, bytes)`: a number.
    fn numpy_scalar(&self, args: &[Id]) -> Result<Node, Problem> {
        let bad = || malformed("a NumPy scalar");
        let [dtype, data] = args[..] else { return Err(bad()) };
        let Node::NumpyType(numpy) = self.node(dtype) else { return Err(bad()) };
        let Some(dtype) = Dtype::from_numpy(&numpy.code) else {
            return Ok(Node::Opaque(format!("NumPy scalar of {numpy}").into()));
        };
        let (Node::Bytes(bytes) | Node::ByteString(bytes)) = self.node(data) else { return Err(bad()) };
        let layout = Layout::contiguous(Vec::new(), self.limits())?;
        let array = dtype.decode(bytes, &layout, numpy.order)?;
        Ok(match (dtype, array.data()) {
            (Dtype::Bool, _) => Node::Bool(array.to_f64() != [0.0]),
            (_, ocelli_method::Data::I64(value)) => Node::Int(i128::from(*value.first().ok_or_else(bad)?)),
            (Dtype::U8, _) => Node::Int(i128::from(*bytes.first().ok_or_else(bad)?)),
            _ => Node::Float(*array.to_f64().first().ok_or_else(bad)?),
        })
    }

    fn expect_global(&self, id: Id) -> Result<Global, Problem> {
        match self.node(id) {
            Node::Global(global) => Ok(*global),
            _ => Err(Problem::corrupt("the pickle calls something that is no function")),
        }
    }

    fn expect_tensor(&self, id: Option<&Id>) -> Result<Id, Problem> {
        match id {
            Some(&id) if matches!(self.node(id), Node::Tensor(_)) => Ok(id),
            _ => Err(malformed("a parameter")),
        }
    }

    /// A copy of the items of a list or tuple.
    fn items(&mut self, id: Id, what: &str) -> Result<Vec<Id>, Problem> {
        let (Node::Tuple(items) | Node::List(items)) = self.node(id) else { return Err(malformed(what)) };
        let length = items.len();
        self.pay(length)?;
        match self.node(id) {
            Node::Tuple(items) | Node::List(items) => Ok(items.clone()),
            _ => Ok(Vec::new()),
        }
    }

    /// A number of elements: a non-negative integer that fits memory.
    fn size(&self, id: Id) -> Result<usize, Problem> {
        match self.node(id) {
            Node::Int(value) => usize::try_from(*value).map_err(|_| {
                Problem::corrupt(format!("the pickle has {value} where a size or stride belongs"))
            }),
            _ => Err(malformed("a size")),
        }
    }

    /// A shape or strides.
    fn sizes(&self, id: Id) -> Result<Vec<usize>, Problem> {
        match self.node(id) {
            Node::Tuple(items) | Node::List(items) if items.len() <= super::super::limits::MAX_DIMS => {
                items.iter().map(|&item| self.size(item)).collect()
            }
            _ => Err(malformed("a shape")),
        }
    }
}

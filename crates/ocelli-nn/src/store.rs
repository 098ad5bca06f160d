//! Where a network's parameters live: named as in the PyTorch state dict, held once, visible to all who train,
//! save, average or import them.
//!
//! A network is built on a [`Path`], a place in a [`Store`]; every layer asks its path for parameters and buffers and
//! keeps the handles. The store knows them all by full name, in the order in which the network was built, which is
//! the order of the official state dict. So nothing has to walk a tree of modules: an optimiser, a checkpoint, an
//! exponential average and a reference case all work on the store.
//!
//! ```
//! use ocelli_nn::{Init, Role, Store, device};
//!
//! let store = Store::new(&device("cpu")?, 0);
//! let weight = store.root().at("fc").param("weight", &[2, 3], Init::Ones, Role::Kernel);
//! assert_eq!(weight.value::<2>().dims(), [2, 3]);
//! assert_eq!(store.names(), ["fc.weight"]);
//! # Ok::<(), ocelli_nn::DeviceError>(())
//! ```

mod average;
mod loading;
mod pause;
mod release;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use burn::tensor::{Device, Tensor, TensorData};
use ocelli_method::random::stream;
use ocelli_method::{Array, ArrayError, Data};
use thiserror::Error;

use crate::init::Init;

/// All parameters and buffers of one or several networks. Cloning gives another handle to the same store.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    device: Device,
    seed: u64,
    label: String,
    /// Whether kernels start without values.
    hollow: bool,
    entries: RwLock<Vec<Arc<Entry>>>,
}

/// A place in a store: the names of what is made here start with its prefix.
#[derive(Clone, Debug)]
pub struct Path {
    store: Store,
    prefix: String,
}

/// What a parameter does in its layer; optimisers group by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weights of a convolution, a linear layer, an embedding.
    Kernel,
    /// An added constant of such a layer.
    Bias,
    /// Scale or shift of a normalisation.
    Norm,
    /// Anything else that is learned: slopes, tokens, temperatures.
    Other,
    /// State that is no parameter: running statistics, queues, schedules.
    Buffer,
}

/// A parameter or buffer with its name.
#[derive(Debug)]
pub struct Entry {
    name: String,
    label: String,
    shape: Vec<usize>,
    role: Role,
    /// Kept flat, so that whoever treats all parameters alike needs no rank.
    value: RwLock<Tensor<1>>,
    /// The leaf that gradients are collected at, while a step is being recorded.
    leaf: RwLock<Option<Tensor<1>>>,
    version: AtomicU64,
    /// Whether there are no values: they were given away, or are still to be loaded.
    released: AtomicBool,
    store: Weak<Inner>,
    /// An integer in the state dict, such as `num_batches_tracked`.
    integer: bool,
}

/// A handle to one parameter or buffer.
#[derive(Clone, Debug)]
pub struct Param {
    entry: Arc<Entry>,
}

/// Gradients of a loss, by parameter.
#[derive(Debug, Default)]
pub struct Gradients {
    list: Vec<(Arc<Entry>, Tensor<1>)>,
}

/// Why values cannot be put into a store.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    /// No such parameter.
    #[error("the network has no parameter `{0}`")]
    Unknown(String),
    /// A parameter is not given.
    #[error("parameter `{0}` is missing")]
    Missing(String),
    /// The shape differs.
    #[error("parameter `{name}` has shape {expected:?}, found {found:?}")]
    Shape {
        /// The parameter.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The shape given.
        found: Vec<usize>,
    },
    /// A parameter has no values to be saved, or would be left without.
    #[error(
        "parameter `{0}` holds no values: they were released when its layer was packed for inference, or never loaded; \
         load all weights"
    )]
    Released(String),
    /// The array is inconsistent.
    #[error(transparent)]
    Array(#[from] ArrayError),
}

impl Store {
    /// An empty store on `device`; `seed` fixes the initial values of all that will be made in it.
    pub fn new(device: &Device, seed: u64) -> Self {
        Self::labelled(device, seed, "")
    }

    /// An empty store with a label, which tells its parameters from those of other stores in the same training.
    pub fn labelled(device: &Device, seed: u64, label: &str) -> Self {
        Self::make(device, seed, label, false)
    }

    fn make(device: &Device, seed: u64, label: &str, hollow: bool) -> Self {
        let (device, label) = (device.clone().without_autodiff(), label.to_owned());
        Self { inner: Arc::new(Inner { device, seed, label, hollow, entries: RwLock::default() }) }
    }

    /// The label; empty unless given.
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// The top of the store.
    pub fn root(&self) -> Path {
        Path { store: self.clone(), prefix: String::new() }
    }

    /// Where the values live.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// All parameters and buffers in the order in which they were made.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.inner.entries.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names of all parameters and buffers, in order.
    pub fn names(&self) -> Vec<String> {
        self.entries().iter().map(|e| e.name.clone()).collect()
    }

    /// The entry called `name`.
    pub fn find(&self, name: &str) -> Option<Arc<Entry>> {
        self.entries().into_iter().find(|e| e.name == name)
    }

    /// Number of learned values, buffers left out.
    pub fn count_parameters(&self) -> usize {
        self.entries().iter().filter(|e| e.role != Role::Buffer).map(|e| e.len()).sum()
    }

    /// The state dict: every name with its value, in order.
    ///
    /// # Panics
    /// When values were released; [`Store::check_held`] says so by an error.
    pub fn state(&self) -> Vec<(String, Array)> {
        self.entries().iter().map(|e| (e.name.clone(), e.to_array())).collect()
    }

    /// Names and shapes of the state dict, in order.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.entries().iter().map(|e| (e.name.clone(), e.shape.clone())).collect()
    }

    /// Starts recording: until [`Store::backward`], every learned parameter is a leaf that collects a gradient.
    ///
    /// # Panics
    /// When values were released: a network that was sealed cannot be trained.
    pub fn track(&self) {
        self.track_where(|_| true);
    }

    /// Starts recording for the learned parameters that `wanted` picks; the others are constants.
    pub fn track_where(&self, wanted: impl Fn(&Entry) -> bool) {
        for entry in self.entries() {
            let leaf = (entry.role != Role::Buffer && wanted(&entry))
                .then(|| entry.plain().autodiff().require_grad());
            *entry.leaf.write().unwrap_or_else(PoisonError::into_inner) = leaf;
        }
    }

    /// Stops recording without a gradient.
    pub fn untrack(&self) {
        self.track_where(|_| false);
    }

    /// Gradients of a scalar with respect to all tracked parameters; recording ends.
    ///
    /// Parameters that the scalar does not depend on are left out.
    pub fn backward(&self, loss: &Tensor<1>) -> Gradients {
        let mut tape = loss.backward();
        self.collect(&mut tape)
    }

    /// Takes this store's gradients out of a tape that was walked already; recording ends.
    pub fn collect(&self, tape: &mut burn::tensor::Gradients) -> Gradients {
        let mut list = Vec::new();
        for entry in self.entries() {
            let leaf = entry.leaf.write().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(gradient) = leaf.and_then(|leaf| leaf.grad_remove(tape)) {
                list.push((entry, gradient));
            }
        }
        Gradients { list }
    }
}

impl Path {
    /// The place called `name` below this one.
    #[must_use]
    pub fn at(&self, name: impl std::fmt::Display) -> Path {
        Path { store: self.store.clone(), prefix: self.full(&name.to_string()) }
    }

    /// Where the values live.
    pub fn device(&self) -> &Device {
        self.store.device()
    }

    /// The store this is a place of.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes a parameter here.
    ///
    /// # Panics
    /// When the store has one of that name already: two layers were built in the same place.
    pub fn param(&self, name: &str, shape: &[usize], init: Init, role: Role) -> Param {
        self.make(name, shape, init, role, false)
    }

    /// Makes a buffer here: state that is saved with the parameters but not learned.
    ///
    /// # Panics
    /// As [`Path::param`].
    pub fn buffer(&self, name: &str, shape: &[usize], init: Init) -> Param {
        self.make(name, shape, init, Role::Buffer, false)
    }

    /// Makes a counter here, an integer scalar in the state dict.
    ///
    /// # Panics
    /// As [`Path::param`].
    pub fn counter(&self, name: &str) -> Param {
        self.make(name, &[], Init::Zeros, Role::Buffer, true)
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    fn make(&self, name: &str, shape: &[usize], init: Init, role: Role, integer: bool) -> Param {
        let name = self.full(name);
        let inner = &self.store.inner;
        let released = inner.hollow && role == Role::Kernel;
        let mut generator = stream(inner.seed, &format!("{}/{name}", inner.label), 0);
        let values = if released { Vec::new() } else { init.draw(shape, &mut generator) };
        let entry = Arc::new(Entry {
            value: RwLock::new(flat(values, &inner.device)),
            leaf: RwLock::default(),
            version: AtomicU64::new(0),
            released: AtomicBool::new(released),
            store: Arc::downgrade(inner),
            shape: shape.to_vec(),
            role,
            integer,
            name,
            label: inner.label.clone(),
        });
        let mut entries = inner.entries.write().unwrap_or_else(PoisonError::into_inner);
        assert!(entries.iter().all(|e| e.name != entry.name), "two parameters called {}", entry.name);
        entries.push(entry.clone());
        Param { entry }
    }
}

/// Room left behind values, in which they can be moved to the start of a cache line when they are packed.
const SPARE: usize = 16;

fn flat(mut values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    values.reserve_exact(SPARE);
    Tensor::from_data(TensorData::new(values, [n]), device)
}

impl Entry {
    /// Full state-dict name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name that is unique over all stores of a training: `label/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.label, self.name)
    }

    /// Shape of the value; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What it does in its layer.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows with every change of the value; what is derived from the value can be kept until it does.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The value, flat, outside any recording.
    ///
    /// # Panics
    /// When it was released, see [`Entry::is_released`].
    pub fn plain(&self) -> Tensor<1> {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        assert!(!self.is_released(), "{}", StoreError::Released(self.name.clone()));
        value.clone()
    }

    /// Takes the value out, so that it can be changed where it lies. Until [`Entry::set`] puts the next one in, the
    /// entry holds no numbers.
    ///
    /// # Panics
    /// When it was released.
    pub fn take(&self) -> Tensor<1> {
        let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
        assert!(!self.is_released(), "{}", StoreError::Released(self.name.clone()));
        let nothing = Tensor::empty([0], &value.device());
        std::mem::replace(&mut *value, nothing)
    }

    /// Replaces the value by a flat one of the same length; one that was released has values again.
    ///
    /// # Panics
    /// When the length differs.
    pub fn set(&self, value: Tensor<1>) {
        assert_eq!(value.dims()[0], self.len(), "value for {}", self.name);
        let mut own = self.value.write().unwrap_or_else(PoisonError::into_inner);
        *own = value.without_autodiff();
        self.released.store(false, Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// The value as a plain array, as the state dict has it.
    pub fn to_array(&self) -> Array {
        let values: Vec<f32> = crate::tensor::values(self.plain());
        let data = if self.integer {
            Data::I64(values.iter().map(|&v| v as i64).collect())
        } else {
            Data::F32(values)
        };
        Array::new(self.shape.clone(), data).expect("an entry has as many values as its shape says")
    }

    /// Replaces the value by that of an array of the same shape.
    ///
    /// # Errors
    /// [`StoreError::Shape`].
    pub fn set_array(&self, array: &Array) -> Result<(), StoreError> {
        self.check(array)?;
        self.set_values(array.to_f32());
        Ok(())
    }

    /// Replaces the value by as many numbers.
    fn set_values(&self, values: Vec<f32>) {
        let device = self.value.read().unwrap_or_else(PoisonError::into_inner).device();
        self.set(flat(values, &device));
    }

    fn check(&self, array: &Array) -> Result<(), StoreError> {
        // Some writers store scalars as [1].
        let scalar = self.shape.is_empty() && array.len() == 1;
        if scalar || array.shape() == self.shape {
            return Ok(());
        }
        let (expected, found) = (self.shape.clone(), array.shape().to_vec());
        Err(StoreError::Shape { name: self.name.clone(), expected, found })
    }
}

impl Param {
    /// Whether its gradient is being recorded.
    pub fn is_tracked(&self) -> bool {
        self.entry.leaf.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The value for computing with: a leaf while the store records, else a constant.
    ///
    /// # Panics
    /// When `D` is not the rank the parameter was made with.
    pub fn value<const D: usize>(&self) -> Tensor<D> {
        let leaf = self.entry.leaf.read().unwrap_or_else(PoisonError::into_inner).clone();
        let flat = leaf.unwrap_or_else(|| self.entry.plain());
        let shape = <[usize; D]>::try_from(self.entry.shape.as_slice());
        let shape = shape.unwrap_or_else(|_| panic!("{} has shape {:?}", self.entry.name, self.entry.shape));
        flat.reshape(shape)
    }

    /// The entry in the store.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// When the number of elements differs.
    pub fn set<const D: usize>(&self, value: Tensor<D>) {
        let n = self.entry.len();
        self.entry.set(value.reshape([n]));
    }

    /// Adds one to a counter.
    pub fn increment(&self) {
        self.entry.set(self.entry.plain().add_scalar(1.0));
    }
}

impl Gradients {
    /// Parameters with their gradients, flat, in the order of the store.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Entry>, &Tensor<1>)> {
        self.list.iter().map(|(e, g)| (e, g))
    }

    /// The gradient of the parameter called `name`, flat.
    pub fn get(&self, name: &str) -> Option<&Tensor<1>> {
        self.list.iter().find(|(e, _)| e.name == name).map(|(_, g)| g)
    }

    /// Number of parameters with a gradient.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether no parameter has a gradient.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds the gradients of other parameters, such as those of a loss head.
    pub fn extend(&mut self, other: Gradients) {
        self.list.extend(other.list);
    }

    /// Adds, parameter by parameter, the gradients of another part of the same batch.
    pub fn accumulate(&mut self, other: Gradients) {
        for (entry, gradient) in other.list {
            match self.list.iter_mut().find(|(own, _)| Arc::ptr_eq(own, &entry)) {
                Some((_, sum)) => *sum = sum.clone().add(gradient),
                None => self.list.push((entry, gradient)),
            }
        }
    }

    /// Euclidean norm over all gradients, summed in double precision.
    pub fn norm(&self) -> f64 {
        ocelli_kernels::update::norm(self.list.iter().map(|(_, gradient)| gradient))
    }

    /// Scales all gradients so that their common norm is at most `limit`, as PyTorch's `clip_grad_norm_`; returns
    /// the norm before.
    pub fn clip(&mut self, limit: f64) -> f64 {
        let norm = self.norm();
        let factor = limit / (norm + 1e-6);
        if factor < 1.0 {
            ocelli_kernels::update::scale(self.list.iter_mut().map(|(_, gradient)| gradient), factor);
        }
        norm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;

    fn store() -> Store {
        Store::new(&device("cpu").unwrap(), 7)
    }

    #[test]
    fn initial_values_depend_on_seed_and_name_alone() {
        let init = Init::Normal { std: 1.0 };
        let (a, b) = (store(), store());
        let first = a.root().param("w", &[8], init, Role::Kernel);
        b.root().param("other", &[8], init, Role::Kernel);
        let second = b.root().param("w", &[8], init, Role::Kernel);
        assert_eq!(first.entry().to_array(), second.entry().to_array());
        assert_ne!(b.find("other").unwrap().to_array(), second.entry().to_array());
    }

    #[test]
    fn gradients_reach_tracked_parameters_only() {
        let s = store();
        let w = s.root().param("w", &[2, 2], Init::Ones, Role::Kernel);
        let b = s.root().param("b", &[2], Init::Ones, Role::Bias);
        s.track_where(|e| e.name() != "b");
        let y = w.value::<2>().square().sum() + b.value::<1>().sum();
        let g = s.backward(&y);
        assert_eq!(g.len(), 1);
        assert_eq!(crate::tensor::values::<1>(g.get("w").unwrap().clone()), [2.0; 4]);
        assert!(!w.value::<2>().is_autodiff(), "recording has ended");
    }

    #[test]
    fn loading_is_all_or_nothing() {
        let s = store();
        s.root().param("a", &[2], Init::Zeros, Role::Kernel);
        s.root().param("b", &[3], Init::Zeros, Role::Kernel);
        let (two, wrong) = (Array::vector([1.0, 2.0]), Array::vector([1.0]));
        let error = s.load([("a", &two), ("b", &wrong)]).unwrap_err();
        assert_eq!(error.to_string(), "parameter `b` has shape [3], found [1]");
        assert_eq!(s.find("a").unwrap().to_array().to_f32(), [0.0, 0.0]);
        assert!(s.load_all(&[("a".into(), two)]).is_err(), "b is missing");
    }

    #[test]
    fn gradients_of_parts_add_up() {
        let s = store();
        let a = s.root().param("a", &[1], Init::Ones, Role::Kernel);
        let b = s.root().param("b", &[1], Init::Ones, Role::Kernel);
        s.track();
        let mut sum = s.backward(&a.value::<1>().mul_scalar(3.0).sum());
        s.track();
        sum.accumulate(s.backward(&(a.value::<1>() + b.value::<1>().mul_scalar(4.0)).sum()));
        let gradient = |name: &str| crate::tensor::values::<1>(sum.get(name).unwrap().clone());
        assert_eq!((gradient("a"), gradient("b"), sum.len()), (vec![4.0], vec![4.0], 2));
    }

    #[test]
    fn clipping_uses_the_norm_over_all() {
        let s = store();
        let a = s.root().param("a", &[1], Init::Ones, Role::Kernel);
        let b = s.root().param("b", &[1], Init::Ones, Role::Kernel);
        s.track();
        let mut g = s.backward(&(a.value::<1>().mul_scalar(3.0) + b.value::<1>().mul_scalar(4.0)).sum());
        assert!((g.clip(1.0) - 5.0).abs() < 1e-6);
        assert!((g.norm() - 1.0).abs() < 1e-5);
    }
}

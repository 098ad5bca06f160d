//! Lays a reference case out as tensors, and differentiates its objective.
//!
//! A component gives [`replay`] a function from a [`Bench`] to its outputs; loading parameters, making leaves of
//! the inputs that want a gradient, forming the objective and walking back are the same for all of them.
//!
//! ```no_run
//! use ocelli_method::{Outputs, Replay, ReplayError};
//! use ocelli_nn::{layers::Linear, Init, replay::replay};
//!
//! fn projection(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
//!     replay(case, |bench| {
//!         let layer = Linear::new(&bench.root().at("fc"), 3, 2, true, Init::Zeros);
//!         bench.load_parameters()?;
//!         let y = layer.forward(bench.input::<2>("x")?);
//!         bench.output("y", y);
//!         Ok(())
//!     })
//! }
//! ```

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor};
use ocelli_method::harness::{Objective, Statistics};
use ocelli_method::random::hash_uniform;
use ocelli_method::{Array, Outputs, Replay, ReplayError};

use crate::pass::Pass;
use crate::store::{Path, Store};
use crate::tensor::{from_values, integers, to_array, values};

/// A case on the workbench: its inputs as tensors, a store for its parameters, and the outputs so far.
#[derive(Debug)]
pub struct Bench<'a> {
    case: &'a Replay<'a>,
    device: Device,
    store: Store,
    /// Prefix of the wanted gradients: `grad` or `grad.<objective>`.
    wanted: String,
    leaves: BTreeMap<String, (Tensor<1>, Vec<usize>)>,
    outputs: Vec<(String, Output)>,
    in_words: Option<Tensor<1>>,
}

#[derive(Debug)]
enum Output {
    Tensor(Box<Tensor<1>>, Vec<usize>),
    Array(Array),
}

/// Runs `forward` on a case and returns its outputs and all gradients the case stores.
///
/// `forward` runs once, and once more for every further named objective: a graph can be walked back only once.
///
/// # Errors
/// Whatever `forward` returns, and an objective that names an output it did not give.
pub fn replay(
    case: &Replay<'_>,
    forward: impl Fn(&mut Bench<'_>) -> Result<(), ReplayError>,
) -> Result<Outputs, ReplayError> {
    let mut outputs = Outputs::new();
    let run = |wanted: String, objective: Option<&Objective>, outputs: &mut Outputs, main: bool| {
        let mut bench = Bench::new(case, wanted)?;
        forward(&mut bench)?;
        if let Some(objective) = objective {
            bench.differentiate(objective, outputs)?;
        }
        if main {
            bench.publish(outputs);
        }
        Ok::<(), ReplayError>(())
    };
    let objective = case.case.harness.gradient.as_ref();
    run("grad".to_owned(), objective.filter(|o| has_terms(o)), &mut outputs, true)?;
    for (name, objective) in objective.map(|o| &o.named).into_iter().flatten() {
        run(format!("grad.{name}"), Some(objective), &mut outputs, false)?;
    }
    Ok(outputs)
}

/// Whether an objective says more than the names of others.
fn has_terms(o: &Objective) -> bool {
    o.of.is_some()
        || o.text.is_some()
        || !o.dot.is_empty()
        || [&o.sum, &o.weighted, &o.mean, &o.mean_square, &o.sum_square].iter().any(|l| !l.is_empty())
}

impl<'a> Bench<'a> {
    fn new(case: &'a Replay<'a>, wanted: String) -> Result<Self, ReplayError> {
        let device = crate::device(case.device).map_err(ReplayError::refused)?;
        let store = Store::new(&device, 0);
        let (leaves, outputs) = (BTreeMap::new(), Vec::new());
        Ok(Self { case, device, store, wanted, leaves, outputs, in_words: None })
    }

    /// The case.
    pub fn case(&self) -> &'a Replay<'a> {
        self.case
    }

    /// Where to compute.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The store that the case's parameters go into.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The top of that store.
    pub fn root(&self) -> Path {
        self.store.root()
    }

    /// The run that the harness asks for: with running or with batch statistics, never with dropout.
    pub fn pass(&self) -> Pass {
        match self.case.case.harness.bn {
            Statistics::Running => Pass::eval(),
            Statistics::Batch => Pass::without_dropout(),
        }
    }

    /// Puts the case's parameters into the store and starts recording those whose gradients are stored.
    ///
    /// # Errors
    /// When network and case do not hold the same names and shapes.
    pub fn load_parameters(&self) -> Result<(), ReplayError> {
        self.store.load_all(&self.case.case.parameters()?).map_err(ReplayError::refused)?;
        self.track_parameters();
        Ok(())
    }

    /// Starts recording those parameters whose gradients the case stores.
    pub fn track_parameters(&self) {
        let wanted = format!("{}.param.", self.wanted);
        let expected = &self.case.case.expected;
        self.store.track_where(|e| expected.contains_key(&format!("{wanted}{}", e.name())));
    }

    /// An input as a tensor; a leaf where its gradient is stored.
    ///
    /// # Errors
    /// [`ReplayError::NoInput`], or another number of dimensions.
    pub fn input<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>, ReplayError> {
        let shape = self.case.dims::<D>(name)?;
        let flat = self.case.input(name)?.to_f32();
        let n = flat.len();
        let mut tensor = from_values(flat, [n], &self.device);
        let key = self.input_key(name);
        if self.case.case.expected.contains_key(&key) {
            tensor = tensor.autodiff().require_grad();
            self.leaves.insert(key, (tensor.clone(), shape.to_vec()));
        }
        Ok(tensor.reshape(shape))
    }

    /// Gradients of the main objective are `grad.in.x`; those of a named one `grad.<name>.x`.
    fn input_key(&self, name: &str) -> String {
        let long = format!("{}.in.{name}", self.wanted);
        let short = format!("{}.{name}", self.wanted);
        let named = self.wanted != "grad" && !self.case.case.expected.contains_key(&long);
        if named { short } else { long }
    }

    /// An integer input as a vector.
    ///
    /// # Errors
    /// [`ReplayError::NoInput`], or another element type.
    pub fn labels(&self, name: &str) -> Result<Tensor<1, Int>, ReplayError> {
        Ok(integers(self.case.integers(name)?, &self.device))
    }

    /// Gives an output, which the objective may be made of.
    pub fn output<const D: usize>(&mut self, name: impl Into<String>, value: Tensor<D>) {
        let shape = value.dims().to_vec();
        let n = value.shape().num_elements();
        self.outputs.push((name.into(), Output::Tensor(Box::new(value.reshape([n])), shape)));
    }

    /// Gives an output that no gradient flows through.
    pub fn array(&mut self, name: impl Into<String>, value: impl Into<Array>) {
        self.outputs.push((name.into(), Output::Array(value.into())));
    }

    /// Gives the objective that the case describes in words.
    pub fn objective_in_words(&mut self, objective: Tensor<1>) {
        self.in_words = Some(objective);
    }

    fn tensor(&self, name: &str) -> Result<Tensor<1>, ReplayError> {
        let found = self.outputs.iter().find_map(|(n, o)| match o {
            Output::Tensor(t, _) if n == name => Some(t.as_ref().clone()),
            _ => None,
        });
        found.ok_or_else(|| ReplayError::Unsupported(format!("an objective of output `{name}`")))
    }

    fn objective(&self, o: &Objective) -> Result<Tensor<1>, ReplayError> {
        let constant = |values: Vec<f32>| {
            let n = values.len();
            from_values(values, [n], &self.device)
        };
        let mut terms = Vec::new();
        for name in o.of.iter().chain(&o.sum) {
            terms.push(self.tensor(name)?.sum());
        }
        for name in &o.weighted {
            let output = self.tensor(name)?;
            let weights = hash_uniform(&format!("w.{name}"), output.dims()[0]);
            terms.push((output * constant(weights)).sum());
        }
        for name in &o.mean {
            terms.push(self.tensor(name)?.mean());
        }
        for name in &o.mean_square {
            terms.push(self.tensor(name)?.square().mean());
        }
        for name in &o.sum_square {
            terms.push(self.tensor(name)?.square().sum());
        }
        for (output, input) in &o.dot {
            let input = constant(self.case.input(input)?.to_f32());
            terms.push((self.tensor(output)? * input).sum());
        }
        if let Some(text) = &o.text {
            let unknown = || ReplayError::Unsupported(format!("the objective `{text}`"));
            terms.push(self.in_words.clone().ok_or_else(unknown)?);
        }
        let sum = terms.into_iter().reduce(|a, b| a + b);
        sum.ok_or_else(|| ReplayError::Unsupported("an empty objective".to_owned()))
    }

    fn differentiate(&self, objective: &Objective, outputs: &mut Outputs) -> Result<(), ReplayError> {
        let value = self.objective(objective)?;
        outputs.set(
            match self.wanted.strip_prefix("grad.") {
                Some(name) => format!("objective.{name}"),
                None => "objective".to_owned(),
            },
            to_array(value.clone()),
        );
        if !value.is_tracked() {
            return Ok(());
        }
        let mut tape = value.backward();
        for (key, (leaf, shape)) in &self.leaves {
            let n = leaf.dims()[0];
            // An input that the objective does not depend on has gradient zero.
            let gradient = leaf.grad_remove(&mut tape).map_or_else(|| vec![0.0; n], values);
            outputs.set(key.clone(), Array::f32(shape.clone(), gradient).map_err(ReplayError::refused)?);
        }
        for (entry, gradient) in self.store.collect(&mut tape).iter() {
            let array = to_array(gradient.clone()).reshaped(entry.shape()).map_err(ReplayError::refused)?;
            outputs.set(format!("{}.param.{}", self.wanted, entry.name()), array);
        }
        Ok(())
    }

    fn publish(self, outputs: &mut Outputs) {
        for (name, output) in self.outputs {
            let array = match output {
                Output::Tensor(t, shape) => {
                    to_array(*t).reshaped(shape).expect("flattened from this very shape just before")
                }
                Output::Array(array) => array,
            };
            outputs.set(name, array);
        }
    }
}

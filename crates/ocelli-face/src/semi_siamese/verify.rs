//! Reference-case components, in the order of the dossier.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_nn::layers::{BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, Linear, Prelu};
use ocelli_nn::ops::l2_normalize;
use ocelli_nn::replay::{Bench, replay};
use ocelli_nn::tensor::to_array;
use ocelli_nn::{Init, Pass, Path, Role, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use serde::Deserialize;

use super::head::{Enqueue, MarginType, PairFeatures, PrototypeConfig, prototype_loss};
use super::queue::Queue;
use super::step::pair_features;
use crate::recognition::components::facex_backbone;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "head", run: head },
    Component { name: "queue", run: queue },
    Component { name: "moving_average", run: moving_average },
    Component { name: "train", run: train },
    Component { name: "backbone", run: facex_backbone },
];

/// A queue with the columns of an array `[D, K]`, in a store of its own.
fn queue_of(columns: &Array, device: &Device) -> Result<Queue, ReplayError> {
    let [embedding, size] = columns.dims().map_err(ReplayError::refused)?;
    let store = Store::labelled(device, 0, "queue");
    let queue = Queue::new(&store.root(), embedding, size);
    store.load([("queue", columns)]).map_err(ReplayError::refused)?;
    Ok(queue)
}

fn index(queue: &Queue) -> Array {
    Array::integers([queue.index() as i64])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadCase {
    margin_type: MarginType,
    s: f64,
    m: f64,
    normalize: bool,
    loss_factor: f64,
    enqueue: Enqueue,
    index: usize,
}

fn head(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let HeadCase { margin_type, s, m, normalize, loss_factor, enqueue, index: start } = case.config()?;
    let config = PrototypeConfig { margin_type, s, m, normalize, loss_factor };
    replay(case, |bench| {
        let queue = queue_of(case.input("queue")?, bench.device())?;
        queue.seek(start).map_err(ReplayError::refused)?;
        let features = PairFeatures {
            p1: bench.input("p1")?,
            g2: bench.input("g2")?,
            p2: bench.input("p2")?,
            g1: bench.input("g1")?,
        };
        let features = features.prepared(&config);
        let output = prototype_loss(&features, &queue, &config).map_err(ReplayError::refused)?;
        let [batch, _] = features.p1.dims();
        let nobody: Vec<i64> = (0..batch as i64).collect();
        queue.write(features.kept(enqueue), &nobody).map_err(ReplayError::refused)?;
        bench.output("loss", output.loss);
        bench.output("logits1", output.logits1);
        bench.output("logits2", output.logits2);
        bench.array("labels", Array::integers(start as i64..(start + batch) as i64));
        bench.output("queue_after", queue.columns());
        bench.array("index_after", index(&queue));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueCase {
    queue_size: usize,
    feat_dim: usize,
    steps: usize,
    enqueue: Vec<Enqueue>,
}

impl QueueCase {
    fn check(&self, found: [usize; 2]) -> Result<(), ReplayError> {
        let said = [self.feat_dim, self.queue_size];
        match found == said {
            true => Ok(()),
            false => Err(ReplayError::refused(format!("the queue is {found:?}, the config says {said:?}"))),
        }
    }
}

/// What step `k` keeps.
fn enqueued(list: &[Enqueue], k: usize) -> Result<Enqueue, ReplayError> {
    list.get(k).copied().ok_or_else(|| ReplayError::refused(format!("`enqueue` has no entry for step {k}")))
}

fn queue(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: QueueCase = case.config()?;
    replay(case, |bench| {
        let queue = queue_of(case.input("queue")?, bench.device())?;
        config.check(queue.dims())?;
        // A queue counts identities from 0; those of the case are any integers.
        let ids = (0..config.steps).map(|k| case.integers(&format!("ids.{k}")));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let mut known: Vec<i64> = ids.concat();
        known.sort_unstable();
        known.dedup();
        let number = |id: &i64| known.binary_search(id).unwrap_or_default() as i64;
        let identity = |number: i64| usize::try_from(number).map_or(-1, |number| known[number]);
        for (k, ids) in ids.iter().enumerate() {
            let name = match enqueued(&config.enqueue, k)? {
                Enqueue::G1 => format!("g1.{k}"),
                Enqueue::G2 => format!("g2.{k}"),
            };
            let features = l2_normalize(bench.input::<2>(&name)?, 1);
            let numbers: Vec<i64> = ids.iter().map(number).collect();
            queue.write(features, &numbers).map_err(ReplayError::refused)?;
            bench.output(format!("queue.{k}"), queue.columns());
            bench.array(format!("index.{k}"), index(&queue));
            let slots = queue.slot_identities().into_iter().map(identity);
            bench.array(format!("slot_ids.{k}"), Array::integers(slots));
            let held = queue.identities().into_iter().map(identity);
            bench.array(format!("ids_in_queue.{k}"), Array::integers(held));
        }
        Ok(())
    })
}

/// The parameters of a case whose names start with a prefix, without it, by name.
fn part(case: &Replay<'_>, prefix: &str) -> Result<Vec<(String, Array)>, ReplayError> {
    let all = case.case.parameters()?;
    let own =
        all.into_iter().filter_map(|(name, array)| Some((name.strip_prefix(prefix)?.to_owned(), array)));
    let mut own: Vec<_> = own.collect();
    own.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(own)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AverageCase {
    alpha: f64,
}

fn moving_average(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let AverageCase { alpha } = case.config()?;
    replay(case, |bench| {
        let [probe, gallery] = ["probe.", "gallery."].map(|prefix| {
            let state = part(case, prefix)?;
            let store = Store::labelled(bench.device(), 0, prefix);
            for (name, array) in &state {
                let statistics = ["running_mean", "running_var", "num_batches_tracked"];
                let buffer = statistics.into_iter().any(|ending| name.ends_with(ending));
                let role = if buffer { Role::Buffer } else { Role::Other };
                store.root().param(name, array.shape(), Init::Zeros, role);
            }
            store.load_all(&state).map_err(ReplayError::refused)?;
            Ok::<_, ReplayError>(store)
        });
        let (probe, gallery) = (probe?, gallery?);
        gallery.average_parameters_from(&probe, alpha).map_err(ReplayError::refused)?;
        for (name, array) in gallery.state() {
            bench.array(format!("gallery.{name}"), array);
        }
        Ok(())
    })
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainCase {
    margin_type: MarginType,
    s: f64,
    m: f64,
    normalize: bool,
    loss_factor: f64,
    enqueue: Vec<Enqueue>,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    alpha: f64,
    queue_size: usize,
    steps: usize,
    bn_momentum: f64,
    bn_eps: f64,
}

/// The network of the case: convolution, normalisation, PReLU, linear layer, normalisation.
struct TinyNetwork {
    conv: Conv2d,
    first: BatchNorm,
    prelu: Prelu,
    linear: Linear,
    second: BatchNorm,
}

impl TinyNetwork {
    /// Of the sizes that the parameters have.
    fn new(path: &Path, shapes: &BTreeMap<String, Vec<usize>>, c: &TrainCase) -> Result<Self, ReplayError> {
        let shape = |name: &str| {
            let shape = shapes.get(name).map(Vec::as_slice);
            shape.ok_or_else(|| ReplayError::refused(format!("the case has no parameter `{name}`")))
        };
        let (&[channels, input, kernel, _], &[embedding, flat]) =
            (shape("conv.weight")?, shape("linear.weight")?)
        else {
            return Err(ReplayError::refused("`conv.weight` has four dimensions, `linear.weight` two"));
        };
        let norm = |at: &str, channels| {
            let config = BatchNormConfig::new(channels).momentum(c.bn_momentum).epsilon(c.bn_eps);
            config.build(&path.at(at))
        };
        let conv = Conv2dConfig::new(input, channels, kernel).stride(2).padding(1);
        Ok(Self {
            conv: conv.build(&path.at("conv")),
            first: norm("bn1", channels),
            prelu: Prelu::new(&path.at("prelu"), channels),
            linear: Linear::new(&path.at("linear"), flat, embedding, false, Init::Zeros),
            second: norm("bn2", embedding),
        })
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<2> {
        let x = self.prelu.forward(self.first.forward(self.conv.forward(x), pass));
        self.second.forward(self.linear.forward(x.flatten(1, 3)), pass)
    }
}

/// A network of the case in a store of its own, with its initial values.
fn network(bench: &Bench<'_>, prefix: &str, config: &TrainCase) -> Result<(Store, TinyNetwork), ReplayError> {
    let state = part(bench.case(), prefix)?;
    let shapes = state.iter().map(|(name, array)| (name.clone(), array.shape().to_vec())).collect();
    let store = Store::labelled(bench.device(), 0, prefix);
    let network = TinyNetwork::new(&store.root(), &shapes, config)?;
    store.load_all(&state).map_err(ReplayError::refused)?;
    Ok((store, network))
}

/// The whole loop on a tiny network: four passes, loss, SGD on the probe, moving average, queue.
fn train(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: TrainCase = case.config()?;
    let TrainCase { margin_type, s, m, normalize, loss_factor, .. } = c;
    let config = PrototypeConfig { margin_type, s, m, normalize, loss_factor };
    replay(case, |bench| {
        let (probe_store, probe) = network(bench, "probe.", &c)?;
        let (gallery_store, gallery) = network(bench, "gallery.", &c)?;
        let head = part(case, "head.")?;
        let columns = head.iter().find(|(name, _)| name == "queue");
        let columns =
            columns.ok_or_else(|| ReplayError::refused("the case has no parameter `head.queue`"))?;
        let queue = queue_of(&columns.1, bench.device())?;
        let [embedding, _] = queue.dims();
        let said =
            QueueCase { queue_size: c.queue_size, feat_dim: embedding, steps: c.steps, enqueue: vec![] };
        said.check(queue.dims())?;
        let sgd = OptimizerConfig::Sgd {
            lr: c.lr,
            momentum: c.momentum,
            nesterov: false,
            weight_decay: c.weight_decay,
        };
        let mut optimizer = Optimizer::new(sgd, decay_all);
        for k in 0..c.steps {
            let images = [1, 2].map(|i| bench.input::<4>(&format!("images{i}.{k}")));
            let [a, b] = images;
            probe_store.track();
            let features = pair_features(
                (a?, b?),
                &|x, pass| probe.forward(x, pass),
                &|x, pass| gallery.forward(x, pass),
                &bench.pass(),
            );
            let features = features.prepared(&config);
            let output = prototype_loss(&features, &queue, &config).map_err(ReplayError::refused)?;
            optimizer.step(&probe_store.backward(&output.loss), c.lr);
            gallery_store.average_parameters_from(&probe_store, c.alpha).map_err(ReplayError::refused)?;
            let [batch, _] = features.p1.dims();
            let people: Vec<i64> = (0..batch as i64).collect();
            let kept = features.kept(enqueued(&c.enqueue, k)?);
            queue.write(kept, &people).map_err(ReplayError::refused)?;
            bench.array(format!("loss.{k}"), to_array(output.loss));
            bench.output(format!("queue.{k}"), queue.columns());
            bench.array(format!("index.{k}"), index(&queue));
            for (prefix, store) in [("probe", &probe_store), ("gallery", &gallery_store)] {
                for (name, array) in store.state() {
                    bench.array(format!("{prefix}.{name}.{k}"), array);
                }
            }
        }
        Ok(())
    })
}

//! Reference-case components, in the order of the dossier.

use burn::tensor::Tensor;
use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_nn::replay::{Bench, replay};
use ocelli_nn::tensor::to_array;
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::bmn::Bmn;
use super::cbg::BoundaryGenerator;
use super::inference::{Candidates, Evidence, Fusion, Suppression, fuse};
use super::loss::{LossConfig, PassOutput, ProposalLoss, boundary_loss, boundary_terms};
use super::matching::Matching;
use super::network::{BsnPlusPlus, Sizes};
use super::relation::{ChannelAttention, Layout, PositionAttention, RelationBlock, RelationConfig};
use super::sampling::ScaleBalance;
use super::targets::Targets;
use super::training::{Draws, train_step};
use crate::moments::rows;
use crate::temporal::suppress::SoftNms;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "cbg", run: cbg },
    Component { name: "pam", run: pam },
    Component { name: "cam", run: cam },
    Component { name: "prb", run: prb },
    Component { name: "bm_mask", run: bm_mask },
    Component { name: "network.bsnpp", run: network },
    Component { name: "network.bmn", run: bmn },
    Component { name: "assign", run: assign },
    Component { name: "loss.boundary", run: loss_boundary },
    Component { name: "loss.cbg", run: loss_cbg },
    Component { name: "loss.prb", run: loss_prb },
    Component { name: "sampling.scale", run: sampling_scale },
    Component { name: "inference", run: inference },
    Component { name: "train_step", run: train },
];

/// A settings check as the case's error.
fn checked(result: Result<(), String>) -> Result<(), ReplayError> {
    result.map_err(ReplayError::refused)
}

/// Sum over outputs of the mean of their squares, as the output `loss`.
fn squares(bench: &mut Bench<'_>, outputs: Vec<(&str, Tensor<1>)>) {
    let terms = outputs.into_iter().map(|(_, output)| output.square().mean());
    if let Some(loss) = terms.reduce(|a, b| a + b) {
        bench.output("loss", loss);
    }
}

fn flat<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    let n = x.shape().num_elements();
    x.clone().reshape([n])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CbgConfig {
    in_ch: usize,
    width: usize,
    out_ch: usize,
}

fn cbg(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let CbgConfig { in_ch, width, out_ch } = case.config()?;
    replay(case, |bench| {
        let network = BoundaryGenerator::new(&bench.root(), in_ch, width, out_ch);
        bench.load_parameters()?;
        let x = bench.input::<3>("x")?;
        if x.dims()[2] % 4 != 0 {
            return Err(ReplayError::refused("the length of `x` is not divisible by 4"));
        }
        let output = network.forward(x, &bench.pass());
        squares(bench, vec![("prob", flat(&output.probability)), ("feature", flat(&output.feature))]);
        bench.output("prob", output.probability);
        bench.output("feature", output.feature);
        Ok(())
    })
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RelationKeys {
    channels: usize,
    inter: usize,
    #[serde(default = "yes")]
    sub_sample: bool,
    #[serde(default)]
    layout: Layout,
}

fn yes() -> bool {
    true
}

/// Runs a block on `x`, with the one output `y`.
fn attention<Block>(
    case: &Replay<'_>,
    build: impl Fn(&Bench<'_>, RelationKeys) -> Block,
    forward: impl Fn(&Block, Tensor<4>, &Bench<'_>) -> Tensor<4>,
) -> Result<Outputs, ReplayError> {
    let keys: RelationKeys = case.config()?;
    replay(case, |bench| {
        let block = build(bench, keys);
        bench.load_parameters()?;
        let x = bench.input::<4>("x")?;
        let y = forward(&block, x, bench);
        squares(bench, vec![("y", flat(&y))]);
        bench.output("y", y);
        Ok(())
    })
}

fn pam(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let build = |bench: &Bench<'_>, k: RelationKeys| {
        PositionAttention::new(&bench.root(), [k.channels, k.inter], k.sub_sample)
    };
    attention(case, build, |block, x, bench| block.forward(x, &bench.pass()))
}

fn cam(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let build = |bench: &Bench<'_>, k: RelationKeys| {
        ChannelAttention::new(&bench.root(), [k.channels, k.inter], k.layout)
    };
    attention(case, build, |block, x, bench| block.forward(x, &bench.pass()))
}

fn prb(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let RelationKeys { channels, inter, sub_sample, layout } = case.config()?;
    replay(case, |bench| {
        let config = RelationConfig { channels, inner: inter, sub_sample, layout };
        let block = RelationBlock::new(&bench.root(), config);
        bench.load_parameters()?;
        let x = bench.input::<4>("x")?;
        let maps = block.forward(x, &bench.pass());
        let outputs = MAPS.into_iter().zip(maps.each().map(flat)).collect();
        squares(bench, outputs);
        MAPS.into_iter().zip(maps.each()).for_each(|(name, map)| bench.output(name, map.clone()));
        Ok(())
    })
}

/// The outputs that are maps.
const MAPS: [&str; 3] = ["map_p", "map_c", "map_pc"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskConfig {
    #[serde(rename = "T")]
    length: usize,
    n_bins: usize,
    per_bin: usize,
    ratio: f64,
}

fn bm_mask(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let MaskConfig { length: t, n_bins, per_bin, ratio } = case.config()?;
    let matching = Matching { n_bins, per_bin, ratio };
    checked(matching.validate())?;
    let mut mask = vec![0.0f32; t * n_bins * t * t];
    for s in 0..t {
        for e in s..t {
            for n in 0..n_bins {
                for (snippet, weight) in matching.bin([s, e], n, t) {
                    mask[((snippet * n_bins + n) * t + s) * t + e] += weight;
                }
            }
        }
    }
    let mask = Array::f32([t, n_bins, t, t], mask).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("mask", mask))
}

/// The network's sizes, and the component's own keys.
fn sizes<T: DeserializeOwned>(case: &Replay<'_>, own: &[&str]) -> Result<(Sizes, T), ReplayError> {
    let all: serde_json::Map<String, serde_json::Value> = case.config()?;
    let (own, sizes): (serde_json::Map<_, _>, serde_json::Map<_, _>) =
        all.into_iter().partition(|(key, _)| own.contains(&key.as_str()));
    let sizes: Sizes = serde_json::from_value(sizes.into())?;
    checked(sizes.validate())?;
    Ok((sizes, serde_json::from_value(own.into())?))
}

#[derive(Deserialize)]
struct Batch {
    batch: usize,
}

/// Sequences that fit the network.
fn sequences(
    bench: &mut Bench<'_>,
    name: &str,
    sizes: &Sizes,
    batch: usize,
) -> Result<Tensor<3>, ReplayError> {
    let x = bench.input::<3>(name)?;
    let expected = [batch, sizes.feat_dim, sizes.length];
    match x.dims() == expected {
        true => Ok(x),
        false => {
            Err(ReplayError::refused(format!("`{name}` has shape {:?}, expected {expected:?}", x.dims())))
        }
    }
}

fn network(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let (sizes, Batch { batch }) = sizes(case, &["batch"])?;
    replay(case, |bench| {
        let network = BsnPlusPlus::new(&bench.root(), &sizes);
        bench.load_parameters()?;
        let x = sequences(bench, "feature", &sizes, batch)?;
        let (output, backward) = network.both_ways(x, &bench.pass());
        MAPS.into_iter().zip(output.maps.each()).for_each(|(name, map)| bench.output(name, map.clone()));
        bench.output("start", output.boundaries.start);
        bench.output("end", output.boundaries.end);
        bench.output("feature", output.boundaries.feature);
        bench.output("start_backward", backward.start);
        bench.output("end_backward", backward.end);
        Ok(())
    })
}

fn bmn(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let (sizes, Batch { batch }) = sizes(case, &["batch"])?;
    replay(case, |bench| {
        let network = Bmn::new(&bench.root(), &sizes);
        bench.load_parameters()?;
        let output = network.forward(sequences(bench, "feature", &sizes, batch)?);
        bench.output("map", output.map);
        bench.output("start", output.start);
        bench.output("end", output.end);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignConfig {
    #[serde(rename = "T")]
    length: usize,
}

/// The instances of an input `[G, 2]`.
fn instances(case: &Replay<'_>, name: &str) -> Result<Vec<Segment>, ReplayError> {
    Ok(rows::<2>(case, name)?.into_iter().map(Segment::from).collect())
}

fn assign(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let AssignConfig { length } = case.config()?;
    let targets = Targets::new(length, &instances(case, "segments")?);
    let iou = Array::f32([length, length], targets.iou).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("start", Array::vector(targets.start))
        .with("end", Array::vector(targets.end))
        .with("iou", iou))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundaryConfig {
    thr: f64,
    eps: f64,
}

fn loss_boundary(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let BoundaryConfig { thr, eps } = case.config()?;
    same_shape(case, &["prob", "target"])?;
    replay(case, |bench| {
        let target = case.input("target")?.to_f32();
        let prob = bench.input::<2>("prob")?;
        bench.output("loss", boundary_loss(prob, &target, thr, eps));
        Ok(())
    })
}

/// Inputs of one shape.
fn same_shape(case: &Replay<'_>, names: &[&str]) -> Result<(), ReplayError> {
    let first = case.input(names[0])?.shape();
    for name in names {
        let shape = case.input(name)?.shape();
        if shape != first {
            let text = format!("`{name}` has shape {shape:?}, `{}` {first:?}", names[0]);
            return Err(ReplayError::refused(text));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsistencyConfig {
    consistency: f64,
}

fn loss_cbg(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let ConsistencyConfig { consistency } = case.config()?;
    same_shape(case, &["s_f", "e_f", "s_b", "e_b", "gt_start", "gt_end"])?;
    same_shape(case, &["feat_f", "feat_b"])?;
    replay(case, |bench| {
        let mut pass = |[start, end, feature]: [&str; 3]| -> Result<PassOutput, ReplayError> {
            let start = bench.input::<2>(start)?;
            let end = bench.input::<2>(end)?;
            Ok(PassOutput { start, end, feature: bench.input::<3>(feature)? })
        };
        let (forward, backward) = (pass(["s_f", "e_f", "feat_f"])?, pass(["s_b", "e_b", "feat_b"])?);
        let (start, end) = (case.input("gt_start")?.to_f32(), case.input("gt_end")?.to_f32());
        let terms = boundary_terms(forward, backward, [&start, &end], consistency);
        bench.output("total", terms.total);
        bench.output("forward", terms.forward);
        bench.output("backward", terms.backward);
        bench.output("consistency", terms.consistency);
        Ok(())
    })
}

/// The draws of the three maps, from inputs named by band and number.
fn draws(case: &Replay<'_>, [mid, low]: [&str; 2], cells: usize) -> Result<Draws, ReplayError> {
    let of = |band: &str, i: usize| {
        let name = format!("{band}{i}");
        let values = case.input(&name)?.to_f32();
        match values.len() == cells {
            true => Ok(values),
            false => {
                let text = format!("`{name}` has {} elements, expected {cells}", values.len());
                Err(ReplayError::refused(text))
            }
        }
    };
    let map = |i: usize| Ok::<_, ReplayError>([of(mid, i)?, of(low, i)?]);
    Ok([map(0)?, map(1)?, map(2)?])
}

fn loss_prb(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let loss: ProposalLoss = case.config()?;
    same_shape(case, &["map0", "map1", "map2"])?;
    let ([b, s, e], map) = (case.dims("iou")?, case.dims("map0")?);
    if s != e || map != [b, 2, s, e] {
        return Err(ReplayError::refused(format!("maps {map:?} of overlaps [{b}, {s}, {e}]")));
    }
    let draws = draws(case, ["u_mid", "u_low"], b * s * e)?;
    replay(case, |bench| {
        let iou = case.input("iou")?.to_f32();
        let maps: Vec<Tensor<4>> =
            (0..3).map(|i| bench.input(&format!("map{i}"))).collect::<Result<_, _>>()?;
        let draws = draws.each_ref().map(|draws| draws.each_ref().map(Vec::as_slice));
        let terms = loss.terms(&iou, &maps.iter().collect::<Vec<_>>(), &draws);
        bench.output("total", terms.total);
        bench.output("reg", terms.reg);
        bench.output("cls", terms.cls);
        Ok(())
    })
}

fn sampling_scale(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let balance: ScaleBalance = case.config()?;
    checked(balance.validate())?;
    let shape: [usize; 3] = case.dims("positive")?;
    if shape[1] != shape[2] {
        return Err(ReplayError::refused(format!("`positive` has shape {shape:?}; its maps are not square")));
    }
    let got = balance.weigh(&case.booleans("positive")?, shape[2]);
    let weight = Array::f32(shape, got.weight).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("weight", weight)
        .with("ratio", Array::vector_f64(got.share))
        .with("resampled", Array::vector_f64(got.wanted)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InferenceConfig {
    candidates: Candidates,
    fusion: Fusion,
    soft_nms: Suppression,
}

/// Segments and scores as rows of three.
pub(crate) fn scored_rows(list: impl Iterator<Item = ScoredSegment>) -> Result<Array, ReplayError> {
    let values: Vec<f64> = list.flat_map(|p| [p.segment.start, p.segment.end, p.score]).collect();
    Array::f64([values.len() / 3, 3], values).map_err(ReplayError::refused)
}

fn inference(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let InferenceConfig { candidates, fusion, soft_nms } = case.config()?;
    let soft_nms = SoftNms::from(soft_nms);
    checked(soft_nms.validate())?;
    same_shape(case, &["s_f", "e_f", "s_b", "e_b"])?;
    let [cells] = case.dims("s_f")?;
    if case.dims("reg")? != [cells; 2] || case.dims("cls")? != [cells; 2] {
        return Err(ReplayError::refused(format!("`reg` and `cls` are not {cells} by {cells}")));
    }
    let vector = |name: &str| case.input(name).map(Array::to_f32);
    let [s_f, e_f, s_b, e_b] = [vector("s_f")?, vector("e_f")?, vector("s_b")?, vector("e_b")?];
    let [start, end] = fuse([&s_f, &e_f], [&s_b, &e_b]);
    let evidence = Evidence { start, end, reg: vector("reg")?, cls: vector("cls")? };
    let proposals = evidence.proposals(candidates, fusion);
    let kept = soft_nms.run(&proposals).into_iter().map(|taken| taken.scored);
    Ok(Outputs::new()
        .with("soft_nms", scored_rows(kept)?)
        .with("proposals", scored_rows(proposals.into_iter())?)
        .with("start", Array::vector_f64(evidence.start))
        .with("end", Array::vector_f64(evidence.end)))
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainKeys {
    batch: usize,
    optimizer: String,
    lr: f64,
    #[serde(default = "nine_tenths")]
    momentum: f64,
    #[serde(default)]
    weight_decay: f64,
    #[serde(default = "one")]
    beta_prb: f64,
}

fn nine_tenths() -> f64 {
    0.9
}

fn one() -> f64 {
    1.0
}

impl TrainKeys {
    fn optimizer(&self) -> Result<OptimizerConfig, ReplayError> {
        let Self { lr, momentum, weight_decay, .. } = *self;
        match self.optimizer.as_str() {
            "sgd" => Ok(OptimizerConfig::Sgd { lr, momentum, nesterov: false, weight_decay }),
            "adam" => Ok(OptimizerConfig::Adam { lr, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay }),
            other => Err(ReplayError::Unsupported(format!("optimizer `{other}`"))),
        }
    }
}

fn train(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let own = ["batch", "optimizer", "lr", "momentum", "weight_decay", "beta_prb"];
    let (sizes, keys): (Sizes, TrainKeys) = sizes(case, &own)?;
    let config = LossConfig { beta: keys.beta_prb, ..LossConfig::default() };
    let video = Targets::new(sizes.length, &instances(case, "segments")?);
    let targets = Targets::batch(vec![&video; keys.batch]);
    let steps = (0..).take_while(|step| case.case.inputs.contains_key(&format!("step{step}"))).count();
    replay(case, |bench| {
        let network = BsnPlusPlus::new(&bench.root(), &sizes);
        bench.load_parameters()?;
        let mut optimizer = Optimizer::new(keys.optimizer()?, decay_all);
        for step in 0..steps {
            let x = sequences(bench, &format!("step{step}"), &sizes, keys.batch)?;
            let (mid, low) = (format!("um{step}."), format!("ul{step}."));
            let draws = draws(case, [&mid, &low], targets.iou.len())?;
            let pass = bench.pass();
            let network = (&network, bench.store());
            let terms = train_step(network, &mut optimizer, &config, (x, &targets, &draws), &pass, keys.lr);
            bench.array(format!("step{step}.cbg"), to_array(terms.boundaries.total));
            bench.array(format!("step{step}.prb"), to_array(terms.proposals.total));
            for entry in bench.store().entries() {
                let name = format!("step{step}.{}", entry.name());
                if case.case.expected.contains_key(&name) {
                    bench.array(name, entry.to_array());
                }
            }
        }
        Ok(())
    })
}

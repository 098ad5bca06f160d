//! Reference-case components, in the order of the dossier.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_nn::Init;
use ocelli_nn::layers::Linear;
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::replay::replay;
use serde::Deserialize;

use super::head::{NpcConfig, NpcHead};
use crate::recognition::baselines::{MvConfig, MvKind};
use crate::recognition::components::{SgdSteps, facex_backbone, prototypes, train_linear};
use crate::recognition::margin::{
    AdditiveMargin, AngularMargin, Head, Margin, MarginHead, MarginRule, unit_prototypes,
};
use crate::recognition::protocols;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "head", run: head },
    Component { name: "baseline", run: baseline },
    Component { name: "train", run: train },
    Component { name: "backbone", run: facex_backbone },
    Component { name: "metric.lfw", run: protocols::lfw },
];

fn head(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let [embedding, classes] = prototypes(case)?;
    let config: NpcConfig = case.config()?;
    replay(case, |bench| {
        let head = NpcHead::new(&bench.root(), embedding, classes, config);
        bench.load_parameters()?;
        let labels = bench.labels("labels")?;
        let output = head.cooperate(bench.input::<2>("x")?, labels.clone());
        bench.output("loss", cross_entropy(output.logits.clone(), labels));
        bench.output("logits", output.logits);
        bench.output("margin", output.margin);
        bench.output("hard_count", output.hard_count);
        Ok(())
    })
}

/// What a baseline is, by the names that cases use.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Baseline {
    Am {
        s: f64,
        m: f64,
    },
    #[serde(rename = "arcface")]
    ArcFace {
        s: f64,
        m: f64,
        m_am: f64,
    },
    MvArc {
        s: f64,
        m: f64,
        mv_weight: f64,
    },
    MvAm {
        s: f64,
        m: f64,
        mv_weight: f64,
    },
}

impl Baseline {
    fn rule(&self) -> MarginRule {
        match *self {
            Self::Am { s, m } => MarginRule::new(Margin::Additive(AdditiveMargin::new(m)), s),
            Self::ArcFace { s, m, m_am } => {
                MarginRule::new(Margin::Angular(AngularMargin::continued_by(m, m_am)), s)
            }
            Self::MvArc { s, m, mv_weight: weight } => MvConfig { kind: MvKind::Arc, s, m, weight }.rule(),
            Self::MvAm { s, m, mv_weight: weight } => MvConfig { kind: MvKind::Am, s, m, weight }.rule(),
        }
    }
}

fn baseline(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let [embedding, classes] = prototypes(case)?;
    let rule = case.config::<Baseline>()?.rule();
    replay(case, |bench| {
        let kernel = unit_prototypes(&bench.root(), "kernel", embedding, classes);
        bench.load_parameters()?;
        let labels = bench.labels("labels")?;
        let output = MarginHead::new(kernel, rule).forward(bench.input::<2>("x")?, labels.clone(), true);
        bench.output("loss", cross_entropy(output.logits.clone(), labels));
        bench.output("logits", output.logits);
        Ok(())
    })
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainConfig {
    s: f64,
    m: f64,
    m0: f64,
    m1: f64,
    t: f64,
    a: f64,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    steps: usize,
}

/// A linear embedding and the head, trained by SGD for a few steps.
fn train(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let [embedding, classes] = prototypes(case)?;
    let c: TrainConfig = case.config()?;
    let [_, input] = case.dims::<2>("x.0")?;
    let config = NpcConfig { s: c.s, m: c.m, m0: c.m0, m1: c.m1, t: c.t, a: c.a };
    replay(case, |bench| {
        let embed = Linear::new(&bench.root().at("embed"), input, embedding, false, Init::Zeros);
        let head = NpcHead::new(&bench.root(), embedding, classes, config);
        bench.load_parameters()?;
        let sgd = SgdSteps { lr: c.lr, momentum: c.momentum, weight_decay: c.weight_decay, steps: c.steps };
        train_linear(bench, &embed, sgd, |embedding, labels| head.cooperate(embedding, labels).logits)
    })
}

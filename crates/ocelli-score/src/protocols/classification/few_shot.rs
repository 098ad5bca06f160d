//! `few-shot`: the accuracy over episodes of a few examples each.

use std::path::{Path, PathBuf};

use ocelli_metrics::few_shot::mean_interval;

use crate::protocols::arrays::{self, Table};
use crate::{Choice, Detail, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Worst};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "few-shot",
    summary: "few-shot classification: mean accuracy over episodes and half of its 95 % interval",
    pred: "predicted classes .npy [episodes, queries]; several files are the parts of a set",
    truth: "true classes .npy [episodes, queries]",
    variants: &[Choice {
        name: "episodes",
        summary: "1.96 standard errors over episodes; MiniImageNet and successors",
    }],
    settings: &[],
    open,
    perfect: Perfect { write: perfect, expect: &[("accuracy", 1.0)] },
};

#[derive(Debug)]
struct Episodes {
    names: Vec<String>,
    accuracies: Vec<f64>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (pred, truth) = (Table::read_shards(&inputs.pred)?, Table::read(inputs.one_truth()?)?);
    let [episodes, queries] = truth.dims("classes [episodes, queries]")?;
    if pred.shape != truth.shape || episodes * queries == 0 {
        let reason = format!("shape {:?}, but the truth has {:?}", pred.shape, truth.shape);
        return Err(ScoreError::content(&pred.path, reason));
    }
    let (predicted, labels) = (pred.integers()?, truth.integers()?);
    let rows = predicted.chunks_exact(queries).zip(labels.chunks_exact(queries));
    let share =
        |(p, t): (&[i64], &[i64])| p.iter().zip(t).filter(|(p, t)| p == t).count() as f64 / queries as f64;
    let names = (1..=episodes).map(|i| format!("episode {i}")).collect();
    Ok(Box::new(Episodes { names, accuracies: rows.map(share).collect() }))
}

impl Evaluation for Episodes {
    fn unit(&self) -> &'static str {
        "episode"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let found = mean_interval(&sample.iter().map(|&i| self.accuracies[i]).collect::<Vec<_>>())?;
        Ok(Metrics::new().with("accuracy", found.mean).with("half_width", found.half_width))
    }

    fn detail(&self) -> Result<Detail> {
        let mut order: Vec<usize> = (0..self.names.len()).filter(|&i| self.accuracies[i] < 1.0).collect();
        order.sort_by(|&a, &b| self.accuracies[a].total_cmp(&self.accuracies[b]).then(a.cmp(&b)));
        let worst = |i: usize| Worst {
            unit: self.names[i].clone(),
            what: format!("accuracy {:.4}", self.accuracies[i]),
        };
        Ok(Detail { worst: order.into_iter().take(20).map(worst).collect(), ..Detail::default() })
    }
}

fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let truth = Table::read(inputs.one_truth()?)?;
    let file = folder.join("pred.npy");
    arrays::write(&file, &truth.shape, truth.values)?;
    Ok(vec![file])
}

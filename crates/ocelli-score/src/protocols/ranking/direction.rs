//! `direction`: are estimated vectors, such as principal components, those of the truth?

use std::path::{Path, PathBuf};

use ocelli_metrics::direction::{DirectionReport, compare};

use crate::protocols::arrays::{self, Table};
use crate::{Choice, Detail, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Worst};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "direction",
    summary: "agreement of directions whatever their length and sign: cosine, sine, distance of unit vectors",
    pred: "a vector (text or .npy [D]), or .npy [N, D]",
    truth: "a vector (text or .npy [D]), or .npy [N, D]",
    variants: &[Choice { name: "sign-free", summary: "x and -x are equally good" }],
    settings: &[],
    open,
    perfect: Perfect { write: perfect, expect: &[("cosine", 1.0), ("l2", 0.0)] },
};

#[derive(Debug)]
struct Vectors {
    names: Vec<String>,
    reports: Vec<DirectionReport>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (pred, truth) = (Table::read(inputs.one_pred()?)?, Table::read(inputs.one_truth()?)?);
    if pred.shape != truth.shape {
        let reason = format!("shape {:?}, but the truth has {:?}", pred.shape, truth.shape);
        return Err(ScoreError::content(&pred.path, reason));
    }
    let width = match truth.shape[..] {
        [width] | [_, width] if width > 0 => width,
        _ => {
            return Err(ScoreError::content(
                &truth.path,
                format!("[D] or [N, D] expected, found {:?}", truth.shape),
            ));
        }
    };
    let rows = pred.values.chunks_exact(width).zip(truth.values.chunks_exact(width)).enumerate();
    let report =
        |(i, (p, t))| compare(p, t).map_err(|e| ScoreError::content(&pred.path, format!("vector {i}: {e}")));
    let reports: Vec<DirectionReport> = rows.map(report).collect::<Result<_>>()?;
    let names = (0..reports.len()).map(|i| format!("vector {i}")).collect();
    Ok(Box::new(Vectors { names, reports }))
}

impl Evaluation for Vectors {
    fn unit(&self) -> &'static str {
        "vector"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let mean = |of: fn(&DirectionReport) -> f64| {
            sample.iter().map(|&i| of(&self.reports[i])).sum::<f64>() / sample.len() as f64
        };
        let values = [mean(|r| r.cosine), mean(|r| r.sin), mean(|r| r.one_minus), mean(|r| r.l2)];
        Ok(["cosine", "sin", "one_minus", "l2"].into_iter().zip(values).collect())
    }

    fn detail(&self) -> Result<Detail> {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|&a, &b| self.reports[a].cosine.total_cmp(&self.reports[b].cosine).then(a.cmp(&b)));
        let worst = |i: usize| Worst {
            unit: self.names[i].clone(),
            what: format!("cosine {:.6}", self.reports[i].cosine),
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

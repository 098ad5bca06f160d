//! `got10k`: one given object, average overlap.

use ocelli_data::annotations::track_boxes;
use ocelli_metrics::tracking::single::{got10k, got10k_summary};

use super::sequences::{Matched, matched, unknown_note};
use super::sot::{PRED, TRUTH, TRUTHS, copy};
use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "got10k",
    summary: "tracking of one object: average overlap and success rates, pooled over frames after the first",
    pred: PRED,
    truth: TRUTH,
    variants: &[Choice {
        name: "pooled",
        summary: "all frames alike, as the toolkit; its server averages classes",
    }],
    settings: &[Setting {
        name: "size",
        default: "",
        summary: "width,height of the pictures that boxes are clipped to; empty clips nothing",
    }],
    open,
    perfect: Perfect { write: copy, expect: &[("ao", 1.0), ("sr50", 1.0), ("sr75", 1.0)] },
};

#[derive(Debug)]
struct Overlaps {
    names: Vec<String>,
    sequences: Vec<Vec<f64>>,
    unknown: usize,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let bounds = match inputs.list::<f64>("size")?.as_slice() {
        [] => None,
        &[width, height] if width > 0.0 && height > 0.0 => Some([width, height]),
        other => {
            let value = format!("{other:?}");
            let reason = "expected a width and a height".to_owned();
            return Err(ScoreError::Setting { key: "size".to_owned(), value, reason });
        }
    };
    let (found, unknown) = matched(inputs, TRUTHS, &["txt"])?;
    let read = |m: &Matched| {
        let (truth, pred) = (track_boxes::read(&m.truth)?, track_boxes::read(&m.pred)?);
        got10k(&truth, &pred, bounds).map_err(|e| ScoreError::content(&m.pred, e.to_string()))
    };
    let sequences = found.iter().map(read).collect::<Result<_>>()?;
    Ok(Box::new(Overlaps { names: found.into_iter().map(|m| m.name).collect(), sequences, unknown }))
}

impl Evaluation for Overlaps {
    fn unit(&self) -> &'static str {
        "sequence"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let report = got10k_summary(sample.iter().map(|&i| self.sequences[i].as_slice()))?;
        Ok(Metrics::new().with("ao", report.ao).with("sr50", report.sr50).with("sr75", report.sr75))
    }

    fn notes(&self) -> Vec<String> {
        unknown_note(self.unknown)
    }

    fn detail(&self) -> Result<Detail> {
        let mean = |s: &[f64]| s.iter().sum::<f64>() / s.len() as f64;
        let mut rows: Vec<(String, Vec<f64>)> = self
            .names
            .iter()
            .zip(&self.sequences)
            .map(|(n, s)| (n.clone(), vec![mean(s), s.len() as f64]))
            .collect();
        rows.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]));
        let worst = rows
            .iter()
            .take(20)
            .map(|(unit, v)| Worst { unit: unit.clone(), what: format!("AO {:.3}", v[0]) });
        let worst = worst.collect();
        let columns = ["AO", "frames"].map(str::to_owned).to_vec();
        let groups = vec![Group { title: "Sequences".to_owned(), columns, rows }];
        Ok(Detail { groups, worst, ..Detail::default() })
    }
}

//! `statements`: does the video entail the statement?

use std::path::{Path, PathBuf};

use ocelli_data::annotations::columns::write_numbers;
use ocelli_metrics::classification::judge_statements;

use crate::protocols::arrays::Table;
use crate::protocols::labels::{read_flags, same_count};
use crate::{Choice, Detail, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, Setting, Worst};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "statements",
    summary: "video-and-language inference (VIOLIN): accuracy over true and false statements",
    pred: "text or .npy, a probability a statement that it is true",
    truth: "text `label` or `name label`, 1 for a true statement and 0 for a false one; or .npy",
    variants: &[Choice { name: "violin", summary: "a statement is called true at p >= threshold" }],
    settings: &[Setting { name: "threshold", default: "0.5", summary: "a probability" }],
    open,
    perfect: Perfect { write: perfect, expect: &[("accuracy", 1.0)] },
};

#[derive(Debug)]
struct Statements {
    names: Vec<String>,
    probabilities: Vec<f64>,
    is_true: Vec<bool>,
    is_right: Vec<bool>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (names, is_true) = read_flags(inputs.one_truth()?, "statement")?;
    let table = Table::read_shards(&inputs.pred)?;
    same_count(&table.path, table.values.len(), is_true.len(), "statements")?;
    let is_right = judge_statements(&table.values, &is_true, inputs.setting("threshold")?)?;
    Ok(Box::new(Statements { names, probabilities: table.values, is_true, is_right }))
}

impl Evaluation for Statements {
    fn unit(&self) -> &'static str {
        "statement"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let share = |of: &dyn Fn(usize) -> bool| {
            let chosen: Vec<usize> = sample.iter().copied().filter(|i| of(*i)).collect();
            chosen.iter().filter(|i| self.is_right[**i]).count() as f64 / chosen.len() as f64
        };
        Ok(Metrics::new()
            .with("accuracy", share(&|_| true))
            .with("accuracy_true", share(&|i| self.is_true[i]))
            .with("accuracy_false", share(&|i| !self.is_true[i])))
    }

    fn detail(&self) -> Result<Detail> {
        let error = |i: usize| (self.probabilities[i] - f64::from(u8::from(self.is_true[i]))).abs();
        let mut wrong: Vec<usize> = (0..self.names.len()).filter(|&i| !self.is_right[i]).collect();
        wrong.sort_by(|&a, &b| error(b).total_cmp(&error(a)).then(a.cmp(&b)));
        let worst = |i: usize| Worst {
            unit: self.names[i].clone(),
            what: format!(
                "{} at {:.6}",
                if self.is_true[i] { "true" } else { "false" },
                self.probabilities[i]
            ),
        };
        Ok(Detail { worst: wrong.into_iter().take(20).map(worst).collect(), ..Detail::default() })
    }
}

fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let (_, is_true) = read_flags(inputs.one_truth()?, "statement")?;
    let file = folder.join("probabilities.txt");
    write_numbers(&file, &is_true.iter().map(|t| f64::from(u8::from(*t))).collect::<Vec<_>>())?;
    Ok(vec![file])
}

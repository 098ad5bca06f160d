//! `lfw`: are two pictures of the same person? Accuracy by k-fold cross-validation.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::columns::{read_numbers, write_numbers};
use ocelli_metrics::lfw::{KFoldOptions, LfwVariant, k_fold};

use crate::{Choice, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "lfw",
    summary: "face verification: accuracy by k-fold cross-validation (LFW, CFP-FP, AgeDB-30, …)",
    pred: "text, a line a pair: its similarity (variant curricularface: its squared distance)",
    truth: "text, a line a pair: 1 for the same person, 0 for two; consecutive folds",
    variants: &[
        Choice {
            name: "curricularface",
            summary: "a fixed grid of squared distances; InsightFace and descendants",
        },
        Choice { name: "ir-softmax", summary: "every score of the other folds is a candidate threshold" },
        Choice {
            name: "npcface",
            summary: "1,000 thresholds by TPR - FPR, equal scores are wrong; FaceX-Zoo",
        },
        Choice { name: "search-softmax", summary: "thresholds from a histogram; Loss Function Search" },
    ],
    settings: &[Setting { name: "folds", default: "10", summary: "a number of folds, at least 2" }],
    open,
    perfect: Perfect { write: perfect, expect: &[("accuracy", 1.0)] },
};

#[derive(Debug)]
struct Pairs {
    variant: LfwVariant,
    options: KFoldOptions,
    values: Vec<f64>,
    same: Vec<bool>,
    names: Vec<String>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let same = labels(inputs.one_truth()?)?;
    let pred = inputs.one_pred()?;
    let values = read_numbers(pred)?;
    if values.len() != same.len() {
        let reason = format!("{} pairs, but the truth has {}", values.len(), same.len());
        return Err(ScoreError::content(pred, reason));
    }
    let names = (1..=same.len()).map(|pair| format!("pair {pair}")).collect();
    let options = KFoldOptions { folds: inputs.setting("folds")?, ..KFoldOptions::default() };
    Ok(Box::new(Pairs { variant: inputs.variant().parse()?, options, values, same, names }))
}

fn labels(path: &Path) -> Result<Vec<bool>> {
    let flag = |(i, value): (usize, f64)| match value {
        0.0 => Ok(false),
        1.0 => Ok(true),
        _ => Err(ScoreError::content(path, format!("pair {}: label 0 or 1 expected, found {value}", i + 1))),
    };
    read_numbers(path)?.into_iter().enumerate().map(flag).collect()
}

impl Evaluation for Pairs {
    fn unit(&self) -> &'static str {
        "pair"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let values: Vec<f64> = sample.iter().map(|&i| self.values[i]).collect();
        let same: Vec<bool> = sample.iter().map(|&i| self.same[i]).collect();
        let folds = k_fold(self.variant, &values, &same, &self.options)?;
        Ok(Metrics::new().with("accuracy", folds.mean_accuracy).with("standard_error", folds.standard_error))
    }
}

/// Labels as scores; as squared distances they are the other way round.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let is_distance = inputs.variant() == LfwVariant::CurricularFace.name();
    let same = labels(inputs.one_truth()?)?;
    let values: Vec<f64> = same.iter().map(|&same| if same == is_distance { 0.0 } else { 1.0 }).collect();
    let file = folder.join("scores.txt");
    write_numbers(&file, &values)?;
    Ok(vec![file])
}

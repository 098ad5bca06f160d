//! `lfw`: are two pictures of the same person? Accuracy by k-fold cross-validation.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::columns::write_numbers;
use ocelli_metrics::lfw::{KFoldOptions, LfwVariant, k_fold};

use super::pairs;
use crate::{Choice, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, Setting};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "lfw",
    summary: "face verification: accuracy by k-fold cross-validation (LFW, CFP-FP, AgeDB-30, …)",
    pred: pairs::PRED,
    truth: pairs::TRUTH,
    variants: &[
        Choice {
            name: "curricularface",
            summary: "values are squared distances, on a fixed grid; InsightFace and descendants",
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
    let variant: LfwVariant = inputs.variant().parse()?;
    let (names, same) = pairs::read_truth(inputs.one_truth()?)?;
    let values = pairs::read_values(inputs, same.len(), |embeddings| variant.values_of_pairs(embeddings))?;
    let options = KFoldOptions { folds: inputs.setting("folds")?, ..KFoldOptions::default() };
    Ok(Box::new(Pairs { variant, options, values, same, names }))
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
    let (_, same) = pairs::read_truth(inputs.one_truth()?)?;
    let values: Vec<f64> = same.iter().map(|&same| if same == is_distance { 0.0 } else { 1.0 }).collect();
    let file = folder.join("scores.txt");
    write_numbers(&file, &values)?;
    Ok(vec![file])
}

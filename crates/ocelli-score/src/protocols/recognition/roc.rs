//! `roc`: are two pictures of the same person? True accepts at a given rate of false accepts.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::columns::write_numbers;
use ocelli_metrics::roc::{FarRule, Scan};
use ocelli_metrics::similarity::{Measure, of_pairs};

use super::pairs::{self, Falling, Scored};
use crate::{Choice, Curve, Detail, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, Setting, Worst};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "roc",
    summary: "verification over pairs: TAR at given FARs, equal error rate, AUC; larger values are more alike",
    pred: pairs::PRED,
    truth: pairs::TRUTH,
    variants: RULES,
    settings: &[Setting { name: "fars", default: "1e-1,1e-2,1e-3,1e-4", summary: "shares between 0 and 1" }],
    open,
    perfect: Perfect { write: perfect, expect: &[("tar@1e-2", 1.0), ("eer", 0.0), ("auc", 1.0)] },
};

/// How the threshold at a false-accept rate is found.
pub(super) const RULES: &[Choice] = &[
    Choice { name: "rank-round", summary: "the impostor of rank round(f n) still passes; CurricularFace" },
    Choice { name: "rank-floor", summary: "the impostor of rank floor(f n) still passes; SurvFace" },
    Choice { name: "next-strict", summary: "at most floor(f n) impostors pass; IR-Softmax, DVG-Face" },
    Choice {
        name: "at-least-one",
        summary: "the impostor of rank max(1, floor(f n)) no longer passes; CelebA-Spoof",
    },
    Choice { name: "nearest", summary: "the nearest corner of the ROC; IJB" },
    Choice { name: "histogram", summary: "read off a histogram of 1,000 bins; Loss Function Search" },
];

/// Pairs with their scores; also those that `ijb` makes of templates.
#[derive(Debug)]
pub(super) struct RankedPairs {
    rule: FarRule,
    fars: Vec<(String, f64)>,
    unit: &'static str,
    names: Vec<String>,
    falling: Falling,
}

impl RankedPairs {
    /// Of pairs that belong to units with these names; `unit` says what those are.
    pub(super) fn new(
        inputs: &Inputs,
        rule: FarRule,
        (unit, names): (&'static str, Vec<String>),
        pairs: Vec<Scored>,
    ) -> Result<Self> {
        let texts: Vec<String> = inputs.list("fars")?;
        let numbers: Vec<f64> = inputs.list("fars")?;
        let fars = texts.into_iter().zip(numbers).collect();
        Ok(Self { rule, fars, unit, names, falling: Falling::new(pairs) })
    }
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (names, same) = pairs::read_truth(inputs.one_truth()?)?;
    let values = pairs::read_values(inputs, same.len(), |e| of_pairs(e, Measure::Cosine))?;
    let scored = values.iter().zip(&same).zip(0..).map(|((value, same), i)| (*value, *same, i)).collect();
    Ok(Box::new(RankedPairs::new(inputs, inputs.variant().parse()?, ("pair", names), scored)?))
}

impl Evaluation for RankedPairs {
    fn unit(&self) -> &'static str {
        self.unit
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let scores = self.falling.of(sample, self.names.len())?;
        let fars: Vec<f64> = self.fars.iter().map(|(_, far)| *far).collect();
        let points = scores.tar_at_far(&fars, self.rule)?;
        let mut metrics: Metrics =
            self.fars.iter().zip(&points).map(|((text, _), p)| (format!("tar@{text}"), p.tar)).collect();
        metrics.set("eer", scores.equal_error(Scan::Falling).rate).set("auc", scores.auc());
        Ok(metrics)
    }

    fn detail(&self) -> Result<Detail> {
        let all: Vec<usize> = (0..self.names.len()).collect();
        let scores = self.falling.of(&all, self.names.len())?;
        let curve = scores.roc_curve(true);
        let points = curve.far.iter().copied().zip(curve.tar.iter().copied()).collect();
        let threshold = scores.equal_error(Scan::Falling).threshold;
        // Genuine pairs of the lowest scores and impostors of the highest, as far as the wrong side of the threshold.
        let strangers = self.falling.iter().filter(|p| !p.1 && p.0 >= threshold).take(10);
        let missed = self.falling.iter().rev().filter(|p| p.1 && p.0 < threshold).take(10);
        let worst = |pair: &Scored| Worst {
            unit: self.names[pair.2 as usize].clone(),
            what: format!("{} at {:.6}", if pair.1 { "one person" } else { "two people" }, pair.0),
        };
        Ok(Detail {
            curves: vec![Curve {
                title: "Receiver operating characteristic".to_owned(),
                x: "false accepts".to_owned(),
                y: "true accepts".to_owned(),
                lines: vec![("pairs".to_owned(), points)],
            }],
            worst: strangers.chain(missed).map(worst).collect(),
            ..Detail::default()
        })
    }
}

/// Labels as scores.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let (_, same) = pairs::read_truth(inputs.one_truth()?)?;
    let file = folder.join("scores.txt");
    write_numbers(&file, &same.iter().map(|s| f64::from(u8::from(*s))).collect::<Vec<_>>())?;
    Ok(vec![file])
}

//! `liveness`: is a live person before the camera, or a picture of one?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocelli_data::annotations::liveness::{self as lists, Labelled, Scored};
use ocelli_metrics::liveness::{Liveness, LivenessSample, LivenessVariant};

use crate::protocols::labels::same_count;
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError,
    Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "liveness",
    summary: "face anti-spoofing: APCER, BPCER, ACER, EER, HTER, AUC, recall at false-positive rates",
    pred: "text, a line a picture: `name score` or `score`",
    truth: "text `name label [type]` or `label [type]`, 1 for an attack; or CelebA-Spoof's label JSON",
    variants: &[
        Choice { name: "attack", summary: "a large score means an attack; CelebA-Spoof" },
        Choice { name: "live", summary: "a large score means a live person; Aurora Guard" },
    ],
    settings: &[
        Setting {
            name: "threshold",
            default: "0.5",
            summary: "a score: the threshold of APCER, BPCER and ACER",
        },
        Setting { name: "hter-threshold", default: "0.5", summary: "a score: the threshold of the HTER" },
        Setting {
            name: "development",
            default: "0",
            summary: "a number of leading pictures whose equal-error threshold gives the HTER of the rest; 0 for none",
        },
        Setting { name: "fprs", default: "0.01,0.005,0.001", summary: "shares between 0 and 1" },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("acer", 0.0), ("eer", 0.0), ("auc", 1.0), ("hter", 0.0)] },
};

#[derive(Debug)]
struct Pictures {
    variant: LivenessVariant,
    threshold: f64,
    hter_threshold: f64,
    development: usize,
    fprs: Vec<(String, f64)>,
    names: Vec<String>,
    samples: Vec<LivenessSample>,
    unknown: usize,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let labels = lists::read_labels(inputs.one_truth()?)?;
    let mut scores = Vec::new();
    for path in &inputs.pred {
        scores.extend(lists::read_scores(path)?);
    }
    let pred = inputs.pred.first().ok_or_else(|| ScoreError::Files("no --pred file was given".to_owned()))?;
    let (scores, unknown) = matched(pred, &labels, &scores)?;
    let sample = |(label, score): (&Labelled, f64)| LivenessSample { score, attack: label.attack };
    let texts: Vec<String> = inputs.list("fprs")?;
    let name = |(i, label): (usize, &Labelled)| match label.name.is_empty() {
        true => format!("picture {}", i + 1),
        false => label.name.clone(),
    };
    Ok(Box::new(Pictures {
        variant: inputs.variant().parse()?,
        threshold: inputs.setting("threshold")?,
        hter_threshold: inputs.setting("hter-threshold")?,
        development: inputs.setting("development")?,
        fprs: texts.into_iter().zip(inputs.list("fprs")?).collect(),
        names: labels.iter().enumerate().map(name).collect(),
        samples: labels.iter().zip(scores).map(sample).collect(),
        unknown,
    }))
}

/// The score of each labelled picture, by name where both files have names and by order otherwise, and how many scores
/// are of unknown pictures.
fn matched(path: &Path, labels: &[Labelled], scores: &[Scored]) -> Result<(Vec<f64>, usize)> {
    let named = scores.iter().all(|s| !s.name.is_empty()) && labels.iter().all(|l| !l.name.is_empty());
    if !named {
        same_count(path, scores.len(), labels.len(), "pictures")?;
        return Ok((scores.iter().map(|s| s.score).collect(), 0));
    }
    let mut by_name = BTreeMap::new();
    for score in scores {
        if by_name.insert(score.name.as_str(), score.score).is_some() {
            return Err(ScoreError::content(path, format!("`{}` is scored twice", score.name)));
        }
    }
    let mut take = |label: &Labelled| {
        let found = by_name.remove(label.name.as_str());
        found.ok_or_else(|| {
            ScoreError::content(
                path,
                format!("`{}` of the truth has no score, or is listed twice", label.name),
            )
        })
    };
    let values = labels.iter().map(&mut take).collect::<Result<_>>()?;
    Ok((values, by_name.len()))
}

impl Pictures {
    fn of(&self, sample: &[usize]) -> Result<Liveness> {
        Ok(Liveness::new(sample.iter().map(|&i| self.samples[i]).collect(), self.variant)?)
    }

    /// How far a picture is on the wrong side of the threshold.
    fn error(&self, sample: &LivenessSample) -> f64 {
        let above = sample.score - self.threshold;
        let large_is_right = sample.attack.is_some() == (self.variant == LivenessVariant::Attack);
        if large_is_right { -above } else { above }
    }
}

impl Evaluation for Pictures {
    fn unit(&self) -> &'static str {
        "picture"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let pictures = self.of(sample)?;
        let rates = pictures.rates(self.threshold)?;
        let equal = pictures.equal_error()?;
        let hter = match self.development {
            0 => pictures.half_total_rates(self.hter_threshold)?.mean(),
            // A resample is in order, so the leading pictures are those that were leading before.
            leading => pictures.development_hter(sample.iter().filter(|i| **i < leading).count())?,
        };
        let mut metrics = Metrics::new()
            .with("acer", rates.mean())
            .with("apcer", rates.apcer)
            .with("bpcer", rates.bpcer)
            .with("apcer_worst_type", pictures.worst_apcer(self.threshold)?)
            .with("eer", equal.rate)
            .with("eer_threshold", equal.threshold)
            .with("hter", hter)
            .with("auc", pictures.auc()?);
        let fprs: Vec<f64> = self.fprs.iter().map(|(_, f)| *f).collect();
        for ((text, _), point) in self.fprs.iter().zip(pictures.recall_at_fpr(&fprs)?) {
            metrics.set(format!("recall@{text}"), point.tar);
        }
        Ok(metrics)
    }

    fn notes(&self) -> Vec<String> {
        let unknown = self.unknown;
        (unknown > 0)
            .then(|| format!("{unknown} scores of pictures that the truth does not list were left out"))
            .into_iter()
            .collect()
    }

    fn detail(&self) -> Result<Detail> {
        let all: Vec<usize> = (0..self.samples.len()).collect();
        let pictures = self.of(&all)?;
        let rows = pictures.apcer_by_type(self.threshold).into_iter();
        let by_type = rows.map(|(kind, apcer)| (format!("type {kind}"), vec![apcer])).collect();
        let roc = pictures.scores()?.roc_curve(true);
        let points = roc.far.into_iter().zip(roc.tar).collect();
        let mut wrong: Vec<usize> = all.into_iter().filter(|&i| self.error(&self.samples[i]) > 0.0).collect();
        wrong.sort_by(|&a, &b| {
            self.error(&self.samples[b]).total_cmp(&self.error(&self.samples[a])).then(a.cmp(&b))
        });
        let worst = |i: usize| Worst {
            unit: self.names[i].clone(),
            what: match self.samples[i].attack {
                Some(kind) => format!("attack of type {kind} at {:.6}", self.samples[i].score),
                None => format!("live person at {:.6}", self.samples[i].score),
            },
        };
        let (title, columns) = ("APCER by type of attack".to_owned(), vec!["APCER".to_owned()]);
        Ok(Detail {
            groups: vec![Group { title, columns, rows: by_type }],
            curves: vec![Curve {
                title: "Receiver operating characteristic".to_owned(),
                x: "false positives".to_owned(),
                y: "recall".to_owned(),
                lines: vec![("pictures".to_owned(), points)],
            }],
            worst: wrong.into_iter().take(20).map(worst).collect(),
        })
    }
}

/// Labels as scores.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let attack_is_large = inputs.variant() == LivenessVariant::Attack.name();
    let score = |label: Labelled| Scored {
        score: f64::from(u8::from(label.attack.is_some() == attack_is_large)),
        name: label.name,
    };
    let labels = lists::read_labels(inputs.one_truth()?)?;
    let file = folder.join("scores.txt");
    lists::write_scores(&file, &labels.into_iter().map(score).collect::<Vec<_>>())?;
    Ok(vec![file])
}

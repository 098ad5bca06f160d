//! `sot`: one given object, by overlap and centre error.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::track_boxes;
use ocelli_metrics::tracking::single::{SUCCESS_THRESHOLDS, SequenceCurves, SotVariant, evaluate, summarise};

use super::sequences::{Matched, files, matched, unknown_note};
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Worst,
};

/// Where a truth lies below the folder of its sequence.
pub(super) const TRUTHS: &[&str] = &["groundtruth_rect.txt", "groundtruth.txt"];
/// What the files of either side are, in one line.
pub(super) const PRED: &str = "text, a line a frame: x y w h; one file, or a folder of SEQUENCE.txt";
pub(super) const TRUTH: &str = "text, a line a frame: x y w h; one file, or a folder of SEQUENCE/groundtruth_rect.txt or groundtruth.txt";

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "sot",
    summary: "tracking of one object: success and precision, in percent, as means over sequences",
    pred: PRED,
    truth: TRUTH,
    variants: &[
        Choice { name: "otb", summary: "OTB and data sets without visibility" },
        Choice {
            name: "lasot",
            summary: "LaSOT: full_occlusion.txt and out_of_view.txt beside the truth say where there is none",
        },
    ],
    settings: &[],
    open,
    perfect: Perfect { write: copy, expect: &[("op50", 100.0), ("precision", 100.0)] },
};

#[derive(Debug)]
struct Tracks {
    names: Vec<String>,
    sequences: Vec<SequenceCurves>,
    unknown: usize,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let variant: SotVariant = inputs.variant().parse()?;
    let (found, unknown) = matched(inputs, TRUTHS, &["txt"])?;
    let read = |m: &Matched| {
        let (truth, pred) = (track_boxes::read(&m.truth)?, track_boxes::read(&m.pred)?);
        let visible = if variant == SotVariant::Lasot { visibility(&m.truth)? } else { None };
        evaluate(&truth, &pred, visible.as_deref(), variant)
            .map_err(|e| ScoreError::content(&m.pred, e.to_string()))
    };
    let sequences = found.iter().map(read).collect::<Result<_>>()?;
    Ok(Box::new(Tracks { names: found.into_iter().map(|m| m.name).collect(), sequences, unknown }))
}

/// Frames in which the object is neither hidden nor out of view.
fn visibility(truth: &Path) -> Result<Option<Vec<bool>>> {
    let mut visible: Option<Vec<bool>> = None;
    for name in ["full_occlusion.txt", "out_of_view.txt"] {
        let file = truth.with_file_name(name);
        if !file.is_file() {
            continue;
        }
        let hidden = track_boxes::read_flags(&file)?;
        let seen = visible.get_or_insert_with(|| vec![true; hidden.len()]);
        if seen.len() != hidden.len() {
            let reason = format!("{} frames, but {} in the other file", hidden.len(), seen.len());
            return Err(ScoreError::content(&file, reason));
        }
        seen.iter_mut().zip(hidden).for_each(|(seen, hidden)| *seen &= !hidden);
    }
    Ok(visible)
}

impl Evaluation for Tracks {
    fn unit(&self) -> &'static str {
        "sequence"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let chosen: Vec<&SequenceCurves> = sample.iter().map(|&i| &self.sequences[i]).collect();
        let report = summarise(chosen)?;
        Ok(Metrics::new()
            .with("auc", report.auc)
            .with("precision", report.precision)
            .with("normalised_precision", report.normalised_precision)
            .with("op50", report.op50)
            .with("op75", report.op75))
    }

    fn notes(&self) -> Vec<String> {
        unknown_note(self.unknown)
    }

    fn detail(&self) -> Result<Detail> {
        let mean = |k: usize| {
            100.0 * self.sequences.iter().map(|s| s.success[k]).sum::<f64>() / self.sequences.len() as f64
        };
        let points = (0..SUCCESS_THRESHOLDS).map(|k| (0.05 * k as f64, mean(k))).collect();
        let success = Curve {
            title: "Success".to_owned(),
            x: "overlap threshold".to_owned(),
            y: "frames above it, percent".to_owned(),
            lines: vec![("success".to_owned(), points)],
        };
        let mut rows = Vec::new();
        for (name, sequence) in self.names.iter().zip(&self.sequences) {
            let report = summarise([sequence])?;
            rows.push((name.clone(), vec![report.auc, report.precision, sequence.frames.len() as f64]));
        }
        let mut worst = rows.clone();
        worst.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]));
        let worst = worst.into_iter().take(20).map(|(unit, v)| Worst {
            unit,
            what: format!("AUC {:.1}, precision {:.1}, {} frames", v[0], v[1], v[2]),
        });
        let columns = ["AUC", "precision", "frames"].map(str::to_owned).to_vec();
        let groups = vec![Group { title: "Sequences".to_owned(), columns, rows }];
        Ok(Detail { groups, curves: vec![success], worst: worst.collect() })
    }
}

/// The truths under the names that predictions have.
pub(super) fn copy(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    for (name, file) in files(inputs.one_truth()?, TRUTHS, &["txt"])? {
        track_boxes::write(folder.join(format!("{name}.txt")), &track_boxes::read(&file)?)?;
    }
    Ok(vec![folder.to_owned()])
}

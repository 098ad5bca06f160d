//! `mot`: many objects, by CLEAR, identity and HOTA measures.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::mot::{self, MotRow};
use ocelli_metrics::tracking::mot::{ALPHAS, BoxRow, Families, HotaReport, Label, Sequence, SequenceRecord};
use rayon::prelude::*;

use super::sequences::{Matched, files, matched, unknown_note};
use crate::in_order::in_order;
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError,
    Setting, Worst,
};

const TRUTHS: &[&str] = &["gt/gt.txt"];

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "mot",
    summary: "tracking of many objects: CLEAR (MOTA), identity (IDF1) and HOTA measures",
    pred: "MOTChallenge text, frame,id,x,y,w,h,…; one file, or a folder of SEQUENCE.txt",
    truth: "MOTChallenge text; one gt.txt, or a folder of SEQUENCE/gt/gt.txt",
    variants: &[
        Choice { name: "motmetrics", summary: "py-motmetrics: MOTP is a distance, assignments are kept" },
        Choice { name: "trackeval-clear", summary: "TrackEval's CLEAR: MOTP is an overlap" },
        Choice {
            name: "hota",
            summary: "TrackEval's HOTA, means over 19 overlaps; MOTA, MOTP and IDSW beside it",
        },
    ],
    settings: &[
        Setting {
            name: "iou",
            default: "0.5",
            summary: "the overlap from which boxes match, above 0 and at most 1",
        },
        Setting {
            name: "classes",
            default: "auto",
            summary: "pedestrians: count class 1 and forgive predictions on distractors (MOT16 and later); none: all \
                      boxes; auto: pedestrians where every truth row has a class",
        },
    ],
    open,
    perfect: Perfect { write: copy, expect: &[("idf1", 1.0)] },
};

#[derive(Debug)]
struct Tracks {
    variant: &'static str,
    names: Vec<String>,
    records: Vec<SequenceRecord>,
    unknown: usize,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let threshold = inputs.setting("iou")?;
    let classes: String = inputs.setting("classes")?;
    if !["auto", "pedestrians", "none"].contains(&classes.as_str()) {
        let reason = "expected auto, pedestrians or none".to_owned();
        return Err(ScoreError::Setting { key: "classes".to_owned(), value: classes, reason });
    }
    let (found, unknown) = matched(inputs, TRUTHS, &["txt"])?;
    let wanted = families(inputs.variant());
    let read = |m: &Matched| {
        let at_fault = |e: ocelli_metrics::MetricError| {
            let path = if e.to_string().starts_with("truth") { &m.truth } else { &m.pred };
            ScoreError::content(path, e.to_string())
        };
        let sequence = counted(mot::read(&m.truth)?, mot::read(&m.pred)?, &classes).map_err(at_fault)?;
        SequenceRecord::of(wanted, &sequence, threshold).map_err(ScoreError::from)
    };
    let records: Vec<SequenceRecord> = in_order(found.par_iter().map(read))?;
    let names = found.into_iter().map(|m| m.name).collect();
    Ok(Box::new(Tracks { variant: inputs.variant(), names, records, unknown }))
}

/// What the measures of a variant are made of.
fn families(variant: &str) -> Families {
    Families {
        motmetrics: variant == "motmetrics",
        clear: variant != "motmetrics",
        identity: true,
        hota: variant == "hota",
    }
}

/// The boxes that count.
fn counted(mut truth: Vec<MotRow>, pred: Vec<MotRow>, classes: &str) -> ocelli_metrics::Result<Sequence> {
    let plain = |row: MotRow| BoxRow { frame: row.frame, id: row.id, xywh: row.xywh };
    let boxes = |rows: Vec<MotRow>| rows.into_iter().map(plain).collect::<Vec<_>>();
    let has_classes = !truth.is_empty() && truth.iter().all(|row| row.class.is_some());
    if classes == "pedestrians" || (classes == "auto" && has_classes) {
        let label = |row: &MotRow| Label { class: row.class.unwrap_or(1), counts: row.confidence != 0.0 };
        let labels: Vec<Label> = truth.iter().map(label).collect();
        return Sequence::of_pedestrians(&boxes(truth), &labels, &boxes(pred));
    }
    truth.retain(|row| row.confidence != 0.0);
    Sequence::new(&boxes(truth), &boxes(pred))
}

/// The measures of a variant, the one it is known by first.
fn measures(variant: &str, record: &SequenceRecord) -> Metrics {
    let (events, clear, identity) = (&record.motmetrics, &record.clear, &record.identity);
    // Of nothing at all py-motmetrics has no share, TrackEval has none of it.
    let of_nothing = if variant == "motmetrics" { f64::NAN } else { 0.0 };
    let identities = [("idf1", identity.idf1()), ("idp", identity.idp()), ("idr", identity.idr())]
        .map(|(name, share)| (name, if share.is_nan() { of_nothing } else { share }));
    match variant {
        "motmetrics" => [("mota", events.mota()), ("motp", events.motp())]
            .into_iter()
            .chain(identities)
            .chain([
                ("precision", events.precision()),
                ("recall", events.recall()),
                ("num_switches", events.switches as f64),
                ("num_fragmentations", events.fragmentations as f64),
                ("num_misses", events.misses as f64),
                ("num_false_positives", events.false_positives as f64),
                ("num_objects", events.objects as f64),
                ("num_unique_objects", events.unique_objects as f64),
                ("mostly_tracked", events.mostly_tracked as f64),
                ("partially_tracked", events.partially_tracked() as f64),
                ("mostly_lost", events.mostly_lost as f64),
            ])
            .collect(),
        "trackeval-clear" => [("mota", clear.mota()), ("motp", clear.motp())]
            .into_iter()
            .chain(identities)
            .chain([
                ("idsw", clear.idsw as f64),
                ("frag", clear.frag as f64),
                ("tp", clear.tp as f64),
                ("fp", clear.fp as f64),
                ("fn", clear.fn_ as f64),
                ("mostly_tracked", clear.mostly_tracked as f64),
                ("partially_tracked", clear.partially_tracked as f64),
                ("mostly_lost", clear.mostly_lost as f64),
            ])
            .collect(),
        _ => {
            let report = record.hota.report();
            curves(&report)
                .into_iter()
                .map(|(name, curve)| (name, HotaReport::mean(curve)))
                .chain(identities)
                .chain([("mota", clear.mota()), ("motp", clear.motp()), ("idsw", clear.idsw as f64)])
                .collect()
        }
    }
}

fn curves(report: &HotaReport) -> [(&'static str, &[f64; ALPHAS]); 8] {
    [
        ("hota", &report.hota),
        ("deta", &report.det_a),
        ("assa", &report.ass_a),
        ("detre", &report.det_re),
        ("detpr", &report.det_pr),
        ("assre", &report.ass_re),
        ("asspr", &report.ass_pr),
        ("loca", &report.loc_a),
    ]
}

impl Tracks {
    fn sum(&self, sample: &[usize]) -> SequenceRecord {
        let mut sum = SequenceRecord::default();
        sample.iter().for_each(|&i| sum.merge(&self.records[i]));
        sum
    }

    /// HOTA and its parts over overlaps, of all sequences.
    fn curve(&self) -> Curve {
        let all: Vec<usize> = (0..self.records.len()).collect();
        let report = self.sum(&all).hota.report();
        let points = |curve: &[f64; ALPHAS]| {
            curve.iter().enumerate().map(|(k, v)| (0.05 * (k + 1) as f64, *v)).collect::<Vec<_>>()
        };
        let lines = curves(&report).into_iter().take(3).map(|(n, c)| (n.to_owned(), points(c))).collect();
        let (x, y) = ("overlap".to_owned(), "value".to_owned());
        Curve { title: "HOTA and its parts".to_owned(), x, y, lines }
    }
}

impl Evaluation for Tracks {
    fn unit(&self) -> &'static str {
        "sequence"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        Ok(measures(self.variant, &self.sum(sample)))
    }

    fn notes(&self) -> Vec<String> {
        unknown_note(self.unknown)
    }

    fn detail(&self) -> Result<Detail> {
        let curves = if self.variant == "hota" { vec![self.curve()] } else { Vec::new() };
        let of: Vec<Metrics> = self.records.iter().map(|r| measures(self.variant, r)).collect();
        let columns = of.first().map_or_else(Vec::new, |m| m.iter().map(|(n, _)| n.to_owned()).collect());
        let values = |m: &Metrics| m.iter().map(|(_, v)| v).collect::<Vec<_>>();
        let rows: Vec<(String, Vec<f64>)> = self.names.iter().cloned().zip(of.iter().map(values)).collect();
        let mut worst: Vec<&(String, Vec<f64>)> = rows.iter().collect();
        worst.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]));
        let first = columns.first().cloned().unwrap_or_default();
        let worst = worst
            .into_iter()
            .take(20)
            .map(|(unit, v)| Worst { unit: unit.clone(), what: format!("{first} {:.3}", v[0]) })
            .collect();
        let groups = vec![Group { title: "Sequences".to_owned(), columns, rows }];
        Ok(Detail { groups, curves, worst })
    }
}

/// The truth's boxes that count, as a tracker would write them.
fn copy(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    for (name, file) in files(inputs.one_truth()?, TRUTHS, &["txt"])? {
        let mut rows = mot::read(&file)?;
        rows.retain(|row| row.confidence != 0.0 && row.class.is_none_or(|class| class == 1));
        mot::write(folder.join(format!("{name}.txt")), &rows)?;
    }
    Ok(vec![folder.to_owned()])
}

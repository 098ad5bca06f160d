//! `flow`: optical flow by end-point error.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::flo::Flow;
use ocelli_data::annotations::{flo, kitti_flow};
use ocelli_metrics::flow::{FlowField, FlowMasks, FlowRecord, FlowVariant, summarise};
use rayon::prelude::*;

use super::sequences::{Matched, files, matched, unknown_note};
use crate::in_order::in_order;
use crate::{Choice, Detail, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Worst};

const ENDINGS: &[&str] = &["flo", "png"];

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "flow",
    summary: "optical flow: mean end-point error in pixels, KITTI's Fl in percent",
    pred: ".flo or KITTI .png, of any size; one file, or a folder of them",
    truth: ".flo or KITTI .png; one file, or a folder; for kitti flow_occ, and flow_noc after it",
    variants: &[
        Choice { name: "sintel", summary: "all known pixels" },
        Choice { name: "kitti", summary: "valid, not occluded and occluded pixels apart, and Fl-all" },
    ],
    settings: &[],
    open,
    perfect: Perfect { write: copy, expect: &[("epe", 0.0)] },
};

#[derive(Debug)]
struct Errors {
    variant: FlowVariant,
    names: Vec<String>,
    records: Vec<FlowRecord>,
    unknown: usize,
}

fn read(path: &Path) -> Result<Flow> {
    match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        true => Ok(kitti_flow::read(path)?),
        false => Ok(flo::read(path)?),
    }
}

fn field(path: &Path, flow: &Flow) -> Result<FlowField> {
    let uv = flow.uv.iter().map(|v| f64::from(*v)).collect();
    FlowField::new(uv, flow.height, flow.width).map_err(|e| ScoreError::content(path, e.to_string()))
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let variant: FlowVariant = inputs.variant().parse()?;
    let most = if variant == FlowVariant::Kitti { 2 } else { 1 };
    if inputs.truth.len() > most {
        let found = inputs.truth.len();
        return Err(ScoreError::Files(format!(
            "`flow` ({variant}) takes {most} --truth at most, found {found}"
        )));
    }
    let (found, unknown) = matched(inputs, &[], ENDINGS)?;
    let not_occluded = inputs.truth.get(1).map(|path| files(path, &[], ENDINGS)).transpose()?;
    let one = |m: &Matched| {
        let truth = read(&m.truth)?;
        let seen = match &not_occluded {
            None => truth.valid.clone(),
            Some(files) => {
                let file = files.get(&m.name).or(files.values().next().filter(|_| files.len() == 1));
                let file =
                    file.ok_or_else(|| ScoreError::content(&m.truth, "it has no flow_noc beside it"))?;
                read(file)?.valid
            }
        };
        let (truth_field, pred) = (field(&m.truth, &truth)?, field(&m.pred, &read(&m.pred)?)?);
        let masks = FlowMasks { valid: &truth.valid, not_occluded: &seen };
        FlowRecord::new(&truth_field, &pred, Some(masks))
            .map_err(|e| ScoreError::content(&m.truth, e.to_string()))
    };
    let records = in_order(found.par_iter().map(one))?;
    let names = found.into_iter().map(|m| m.name).collect();
    Ok(Box::new(Errors { variant, names, records, unknown }))
}

impl Evaluation for Errors {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let chosen: Vec<&FlowRecord> = sample.iter().map(|&i| &self.records[i]).collect();
        let report = summarise(chosen)?;
        let metrics = Metrics::new().with("epe", report.epe_all);
        Ok(match self.variant {
            FlowVariant::Sintel => metrics,
            FlowVariant::Kitti => metrics
                .with("fl_all", report.fl_all)
                .with("epe_noc", report.epe_noc)
                .with("epe_occ", report.epe_occ),
        })
    }

    fn notes(&self) -> Vec<String> {
        unknown_note(self.unknown)
    }

    fn detail(&self) -> Result<Detail> {
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        order.sort_by(|&a, &b| self.records[b].epe_all.total_cmp(&self.records[a].epe_all));
        let worst = order.into_iter().take(20).map(|i| {
            let record = &self.records[i];
            let what = format!("EPE {:.3}, wrong {:.1} %", record.epe_all, 100.0 * record.fl_all);
            Worst { unit: self.names[i].clone(), what }
        });
        Ok(Detail { worst: worst.collect(), ..Detail::default() })
    }
}

fn copy(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let truth = inputs.truth.first().map_or(Path::new(""), PathBuf::as_path);
    for (name, file) in files(truth, &[], ENDINGS)? {
        flo::write(folder.join(format!("{name}.flo")), &read(&file)?)?;
    }
    Ok(vec![folder.to_owned()])
}

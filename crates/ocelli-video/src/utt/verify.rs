//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::tracking::mot::{BoxRow, HotaReport, Sequence, SequenceRecord};
use ocelli_metrics::tracking::single::{self, SotVariant, Xywh};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "metric.sot", run: sot },
    Component { name: "metric.got10k", run: got10k },
    Component { name: "metric.mot", run: mot },
];

/// Boxes in rows of four.
fn boxes(case: &Replay<'_>, name: &str) -> Result<Vec<Xywh>, ReplayError> {
    let [_, 4] = case.dims(name)? else {
        return Err(ReplayError::refused(format!("{name}: boxes have 4 columns")));
    };
    Ok(case.doubles(name)?.as_chunks().0.to_vec())
}

/// Where each sequence starts and ends in the flat arrays.
fn ranges(case: &Replay<'_>, rows: usize) -> Result<Vec<std::ops::Range<usize>>, ReplayError> {
    let mut start = 0usize;
    let mut range = |&length: &i64| {
        let end = usize::try_from(length).ok().and_then(|l| start.checked_add(l)).filter(|end| *end <= rows);
        let end = end.ok_or_else(|| ReplayError::refused(format!("lengths do not fit {rows} rows")))?;
        let range = start..end;
        start = end;
        Ok(range)
    };
    case.integers("lengths")?.iter().map(&mut range).collect()
}

fn sot(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    #[derive(Deserialize)]
    struct Config {
        dataset: String,
    }
    let config: Config = case.config()?;
    // Only LaSOT has habits of its own.
    let variant = if config.dataset == "lasot" { SotVariant::Lasot } else { SotVariant::Otb };
    let (truth, pred) = (boxes(case, "gt")?, boxes(case, "pred")?);
    if truth.len() != pred.len() {
        return Err(ReplayError::refused("gt and pred differ in length"));
    }
    let visible: Option<Vec<bool>> = match case.case.inputs.contains_key("visible") {
        true => Some(case.doubles("visible")?.iter().map(|v| *v != 0.0).collect()),
        false => None,
    };
    let mut sequences = Vec::new();
    for range in ranges(case, truth.len())? {
        let seen = visible.as_ref().and_then(|v| v.get(range.clone()));
        let found = single::evaluate(&truth[range.clone()], &pred[range], seen, variant);
        sequences.push(found.map_err(ReplayError::refused)?);
    }
    let report = single::summarise(&sequences).map_err(ReplayError::refused)?;
    let frames = || sequences.iter().flat_map(|s| &s.frames);
    let valid: Vec<u8> = frames().map(|f| u8::from(f.valid)).collect();
    let valid = Array::new([valid.len()], ocelli_method::array::Data::U8(valid));
    Ok(Outputs::new()
        .with("auc", report.auc)
        .with("op50", report.op50)
        .with("op75", report.op75)
        .with("precision20", report.precision)
        .with("norm_precision", report.normalised_precision)
        .with("iou", Array::vector_f64(frames().map(|f| f.iou)))
        .with("valid", valid.map_err(ReplayError::refused)?))
}

fn got10k(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let (truth, pred) = (boxes(case, "gt")?, boxes(case, "pred")?);
    if truth.len() != pred.len() {
        return Err(ReplayError::refused("gt and pred differ in length"));
    }
    let bounds = match case.case.inputs.contains_key("bounds_wh") {
        true => case.doubles("bounds_wh")?,
        false => Vec::new(),
    };
    let mut sequences = Vec::new();
    for (number, range) in ranges(case, truth.len())?.into_iter().enumerate() {
        let bound = bounds.get(2 * number..2 * number + 2).map(|b| [b[0], b[1]]);
        let found = single::got10k(&truth[range.clone()], &pred[range], bound);
        sequences.push(found.map_err(ReplayError::refused)?);
    }
    let report = single::got10k_summary(sequences.iter().map(Vec::as_slice)).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("ao", report.ao)
        .with("sr50", report.sr50)
        .with("sr75", report.sr75)
        .with("iou", Array::vector_f64(sequences.concat())))
}

/// Rows frame, id, x, y, w, h.
fn rows(case: &Replay<'_>, name: &str) -> Result<Vec<BoxRow>, ReplayError> {
    let [_, 6] = case.dims(name)? else {
        return Err(ReplayError::refused(format!("{name}: rows have 6 columns")));
    };
    let row = |r: &[f64; 6]| BoxRow { frame: r[0] as i64, id: r[1] as i64, xywh: [r[2], r[3], r[4], r[5]] };
    Ok(case.doubles(name)?.as_chunks().0.iter().map(row).collect())
}

fn mot(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    #[derive(Deserialize)]
    struct Config {
        iou_threshold: f64,
    }
    let config: Config = case.config()?;
    let sequence = Sequence::new(&rows(case, "gt")?, &rows(case, "pred")?).map_err(ReplayError::refused)?;
    let record = SequenceRecord::new(&sequence, config.iou_threshold).map_err(ReplayError::refused)?;
    let mut outputs = Outputs::new();
    let (events, clear, identity) = (&record.motmetrics, &record.clear, &record.identity);
    let numbers = [
        ("mota", events.mota()),
        ("motp", events.motp()),
        ("precision", events.precision()),
        ("recall", events.recall()),
        ("num_objects", events.objects as f64),
        ("num_unique_objects", events.unique_objects as f64),
        ("num_misses", events.misses as f64),
        ("num_false_positives", events.false_positives as f64),
        ("num_switches", events.switches as f64),
        ("num_fragmentations", events.fragmentations as f64),
        ("mostly_tracked", events.mostly_tracked as f64),
        ("mostly_lost", events.mostly_lost as f64),
        ("partially_tracked", events.partially_tracked() as f64),
        ("idtp", identity.idtp as f64),
        ("idfp", identity.idfp as f64),
        ("idfn", identity.idfn as f64),
        ("idp", identity.idp()),
        ("idr", identity.idr()),
        ("idf1", identity.idf1()),
        ("identity_idf1", identity.idf1()),
        ("clear_tp", clear.tp as f64),
        ("clear_fp", clear.fp as f64),
        ("clear_fn", clear.fn_ as f64),
        ("clear_idsw", clear.idsw as f64),
        ("clear_frag", clear.frag as f64),
        ("clear_mota", clear.mota()),
        ("clear_motp", clear.motp()),
    ];
    for (name, value) in numbers {
        outputs.set(name, value);
    }
    let report = record.hota.report();
    let curves = [
        ("hota", report.hota),
        ("deta", report.det_a),
        ("detre", report.det_re),
        ("detpr", report.det_pr),
        ("assa", report.ass_a),
        ("assre", report.ass_re),
        ("asspr", report.ass_pr),
        ("loca", report.loc_a),
    ];
    for (name, curve) in curves {
        outputs.set(name, Array::vector_f64(curve));
    }
    outputs.set("hota_mean", HotaReport::mean(&report.hota));
    Ok(outputs)
}

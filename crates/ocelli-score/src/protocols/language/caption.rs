//! `caption`: does a sentence say of a picture or clip what people say of it? BLEU, METEOR, ROUGE-L, CIDEr.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ocelli_data::annotations::captions::{read_candidates, read_references};
use ocelli_data::annotations::coco_captions::{Candidate, CaptionId, References, write_candidates};
use ocelli_data::annotations::meteor_tables::read_meteor_tables;
use ocelli_metrics::caption::bleu::{Bleu, ORDERS};
use ocelli_metrics::caption::cider::{Cider, CiderOptions};
use ocelli_metrics::caption::meteor::{Meteor, MeteorMode, MeteorOptions, MeteorTables, vocabulary};
use ocelli_metrics::caption::rouge::Rouge;
use ocelli_metrics::caption::tokenizer::tokenize;
use rayon::prelude::*;

use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "caption",
    summary: "captions of pictures or clips: BLEU-1 to 4, METEOR, ROUGE-L, CIDEr",
    pred: "COCO results JSON (image_id, caption), or a captioning challenge's submission (video_id, caption)",
    truth: "COCO captions JSON, MSR-VTT JSON (videodatainfo), or MSR-VTT's table of one caption a clip",
    variants: &[
        Choice {
            name: "cider-d",
            summary: "CIDEr with clipping and length penalty; pycocoevalcap, coco-caption",
        },
        Choice { name: "cider", summary: "CIDEr as the plain cosine of the paper's first form" },
    ],
    settings: &[
        Setting {
            name: "metrics",
            default: "bleu,meteor,rouge,cider",
            summary: "some of bleu, meteor, rouge, cider",
        },
        Setting {
            name: "meteor",
            default: "exact-stem",
            summary: "exact, exact-stem, or full, which needs meteor-tables",
        },
        Setting {
            name: "meteor-tables",
            default: "",
            summary: "METEOR's folder with its synonyms and paraphrases, such as pycocoevalcap/meteor",
        },
        Setting {
            name: "tokenize",
            default: "true",
            summary: "true, or false for captions that are tokenised",
        },
        Setting {
            name: "missing",
            default: "error",
            summary: "error, or empty to score pictures without a caption as if it were empty",
        },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("meteor", 1.0), ("rouge_l", 1.0)] },
};

/// The metrics that are asked for, filled.
#[derive(Debug, Default)]
struct Scorers {
    bleu: Option<Bleu>,
    meteor: Option<Meteor>,
    rouge: Option<Rouge>,
    cider: Option<Cider>,
}

#[derive(Debug)]
struct Captions {
    names: Vec<String>,
    /// Candidate and references, tokenised.
    units: Vec<(String, Vec<String>)>,
    scorers: Scorers,
    notes: Vec<String>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let truth = read_references(inputs.one_truth()?)?;
    let candidates = candidates(inputs, &truth)?;
    let mut notes = Vec::new();
    let missing = candidates.iter().filter(|c| c.is_none()).count();
    if missing > 0 {
        notes.push(format!("{missing} pictures without a caption were scored as if it were empty"));
    }
    let is_raw: bool = inputs.setting("tokenize")?;
    let prepare = |caption: &str| if is_raw { tokenize(caption) } else { caption.trim().to_owned() };
    let names = truth.iter().map(|unit| unit.id.to_string()).collect();
    let units: Vec<(String, Vec<String>)> = truth
        .par_iter()
        .zip(candidates)
        .map(|(unit, candidate)| {
            let references = unit.captions.iter().map(|c| prepare(c)).collect();
            (prepare(candidate.as_deref().unwrap_or_default()), references)
        })
        .collect();
    let empty = units.iter().filter(|(candidate, _)| candidate.is_empty()).count() - missing;
    if empty > 0 {
        notes.push(format!("{empty} captions have no word"));
    }
    let scorers = fill(inputs, &units, &mut notes)?;
    Ok(Box::new(Captions { names, units, scorers, notes }))
}

/// The caption of each picture of the truth.
fn candidates(inputs: &Inputs, truth: &[References]) -> Result<Vec<Option<String>>> {
    let places: HashMap<&CaptionId, usize> =
        truth.iter().enumerate().map(|(i, unit)| (&unit.id, i)).collect();
    let mut found: Vec<Option<String>> = vec![None; truth.len()];
    if inputs.pred.is_empty() {
        inputs.one_pred()?;
    }
    for path in &inputs.pred {
        for (record, candidate) in read_candidates(path)?.into_iter().enumerate() {
            let unknown = || {
                let reason = format!("record {record}: `{}` is not in the truth; leave it out", candidate.id);
                ScoreError::content(path, reason)
            };
            let place = *places.get(&candidate.id).ok_or_else(unknown)?;
            if found[place].replace(candidate.caption).is_some() {
                let reason = format!("record {record}: `{}` has a caption in another file", candidate.id);
                return Err(ScoreError::content(path, reason));
            }
        }
    }
    let missing: String = inputs.setting("missing")?;
    let first = found.iter().position(Option::is_none);
    match (missing.as_str(), first) {
        ("empty", _) | ("error", None) => Ok(found),
        ("error", Some(first)) => {
            let count = found.iter().filter(|c| c.is_none()).count();
            let reason = format!(
                "no caption for `{}` and {} others of the truth; give them, or --set missing=empty",
                truth[first].id,
                count - 1
            );
            Err(ScoreError::content(inputs.pred.first().map_or(Path::new(""), PathBuf::as_path), reason))
        }
        _ => Err(wrong(inputs, "missing", "expected error or empty")),
    }
}

fn wrong(inputs: &Inputs, key: &str, reason: &str) -> ScoreError {
    let value = inputs.setting(key).unwrap_or_default();
    ScoreError::Setting { key: key.to_owned(), value, reason: reason.to_owned() }
}

/// Does all that concerns one unit alone.
fn fill(inputs: &Inputs, units: &[(String, Vec<String>)], notes: &mut Vec<String>) -> Result<Scorers> {
    let wanted: Vec<String> = inputs.list("metrics")?;
    let known = ["bleu", "meteor", "rouge", "cider"];
    if wanted.is_empty() || wanted.iter().any(|name| !known.contains(&name.as_str())) {
        return Err(wrong(
            inputs,
            "metrics",
            "expected some of bleu, meteor, rouge, cider, separated by commas",
        ));
    }
    let asks = |name: &str| wanted.iter().any(|w| w == name);
    let mut scorers = Scorers::default();
    if asks("bleu") {
        let mut bleu = Bleu::new();
        units.iter().try_for_each(|(candidate, references)| bleu.push(candidate, references))?;
        scorers.bleu = Some(bleu);
    }
    if asks("meteor") {
        let mode: MeteorMode = inputs.setting("meteor")?;
        let mut meteor = Meteor::new(MeteorOptions::english(mode), tables(inputs, mode, units)?)?;
        meteor.push_all(units)?;
        scorers.meteor = Some(meteor);
        if mode != MeteorMode::Full {
            notes.push(format!(
                "METEOR in mode {mode} knows no synonyms and paraphrases; official values need \
                 --set meteor=full --set meteor-tables=FOLDER"
            ));
        }
    }
    if asks("rouge") {
        let mut rouge = Rouge::new();
        units.iter().try_for_each(|(candidate, references)| rouge.push(candidate, references))?;
        scorers.rouge = Some(rouge);
    }
    if asks("cider") {
        let variant = inputs.variant().parse()?;
        let mut cider = Cider::new(CiderOptions { variant, ..CiderOptions::default() })?;
        units.iter().try_for_each(|(candidate, references)| cider.push(candidate, references))?;
        scorers.cider = Some(cider);
    }
    Ok(scorers)
}

fn tables(
    inputs: &Inputs,
    mode: MeteorMode,
    units: &[(String, Vec<String>)],
) -> Result<Option<Arc<MeteorTables>>> {
    let folder: String = inputs.setting("meteor-tables")?;
    match (mode, folder.is_empty()) {
        (MeteorMode::Full, true) => Err(wrong(
            inputs,
            "meteor-tables",
            "meteor=full needs METEOR's folder, such as pycocoevalcap/meteor",
        )),
        (MeteorMode::Full, false) => {
            let sentences: Vec<&String> =
                units.iter().flat_map(|(c, r)| std::iter::once(c).chain(r)).collect();
            let wanted: HashSet<String> = vocabulary(&sentences);
            let files = read_meteor_tables(folder, &wanted)?;
            let tables = MeteorTables::from_parts(files.irregular, files.synonyms, files.paraphrases);
            Ok(Some(Arc::new(tables)))
        }
        _ => Ok(None),
    }
}

/// A metric's name, corpus value and values of the units.
type Column = (String, f64, Vec<f64>);

impl Captions {
    fn columns(&self, sample: &[usize]) -> Result<Vec<Column>> {
        let Scorers { bleu, meteor, rouge, cider } = &self.scorers;
        let mut columns: Vec<Column> = Vec::new();
        if let Some(bleu) = bleu {
            let scores = bleu.scores_of(sample)?;
            for order in 0..ORDERS {
                let each = scores.sentences.iter().map(|values| values[order]).collect();
                columns.push((format!("bleu_{}", order + 1), scores.corpus[order], each));
            }
        }
        let mut add = |name: &str, scores: ocelli_metrics::caption::CaptionScores| {
            columns.push((name.to_owned(), scores.corpus, scores.sentences));
        };
        if let Some(meteor) = meteor {
            add("meteor", meteor.scores_of(sample)?);
        }
        if let Some(rouge) = rouge {
            add("rouge_l", rouge.scores_of(sample)?);
        }
        if let Some(cider) = cider {
            add("cider", cider.scores_of(sample)?);
        }
        Ok(columns)
    }
}

impl Evaluation for Captions {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        Ok(self.columns(sample)?.into_iter().map(|(name, corpus, _)| (name, corpus)).collect())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let all: Vec<usize> = (0..self.units.len()).collect();
        let columns = self.columns(&all)?;
        let row = |(name, _, each): &Column| {
            let mut sorted = each.clone();
            sorted.sort_by(f64::total_cmp);
            let quantile = |q: f64| sorted[((sorted.len() - 1) as f64 * q).round() as usize];
            let mean = each.iter().sum::<f64>() / each.len() as f64;
            (name.clone(), vec![mean, quantile(0.1), quantile(0.5), quantile(0.9)])
        };
        let columns_of_row = ["mean", "10 %", "median", "90 %"].map(str::to_owned).to_vec();
        let group = Group {
            title: "Values of single captions".to_owned(),
            columns: columns_of_row,
            rows: columns.iter().map(row).collect(),
        };
        let worst = columns.last().map_or_else(Vec::new, |column| self.worst(column));
        Ok(Detail { groups: vec![group], curves: Vec::new(), worst })
    }
}

impl Captions {
    fn worst(&self, (name, _, each): &Column) -> Vec<Worst> {
        let mut order: Vec<usize> = (0..each.len()).collect();
        order.sort_by(|&a, &b| each[a].total_cmp(&each[b]).then(a.cmp(&b)));
        let describe = |&unit: &usize| {
            let (candidate, references) = &self.units[unit];
            let reference = references.first().map_or("", String::as_str);
            let what = format!("{name} {:.3}: “{candidate}”; people say “{reference}”", each[unit]);
            Worst { unit: self.names[unit].clone(), what }
        };
        order.iter().take(20).map(describe).collect()
    }
}

/// The first reference of each picture.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let truth = read_references(inputs.one_truth()?)?;
    let first = |unit: &References| Candidate {
        id: unit.id.clone(),
        caption: unit.captions.first().cloned().unwrap_or_default(),
    };
    let file = folder.join("captions.json");
    write_candidates(&file, &truth.iter().map(first).collect::<Vec<_>>())?;
    Ok(vec![file])
}

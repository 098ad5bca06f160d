//! `hashing`: retrieval by binary codes.

use std::path::{Path, PathBuf};

use ocelli_method::Data;
use ocelli_metrics::hashing::{Codes, HashingOptions, Labels, QueryResult, evaluate, report};

use crate::protocols::arrays::{self, Table, read_array};
use crate::protocols::labels::{LabelList, same_count};
use crate::{
    Choice, Detail, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "hashing",
    summary: "retrieval by Hamming distance of binary codes: mAP, precision at k and within a radius",
    pred: "query and database .npy: outputs [N, bits] whose signs count, or with bits=B packed bytes [N, ceil(B / 8)]",
    truth: "query and database labels: .npy [N] or multi-hot [N, classes], or text `label` or `name label`",
    variants: &[Choice {
        name: "hits-found",
        summary: "average precision over the hits among the first R; DMUH and most of the literature",
    }],
    settings: &[
        Setting {
            name: "top",
            default: "0",
            summary: "R, a number of items of the ranking that count, 0 for all",
        },
        Setting { name: "at", default: "1,10,100", summary: "ranks from 1" },
        Setting { name: "radius", default: "2", summary: "a Hamming distance" },
        Setting {
            name: "bits",
            default: "0",
            summary: "a number of bits when codes are packed, the lowest bit first; 0 when they are not",
        },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("map", 1.0)] },
};

#[derive(Debug)]
struct Queries {
    at: Vec<usize>,
    names: Vec<String>,
    results: Vec<QueryResult>,
}

/// Labels of one set: a class an item, or rows of 0 and 1.
enum Owned {
    Single(Vec<String>, Vec<i64>),
    MultiHot(Table),
}

impl Owned {
    fn read(path: &Path, unit: &str) -> Result<Self> {
        if path.extension().is_some_and(|e| e == "npy") && read_array(path)?.shape().len() == 2 {
            return Ok(Self::MultiHot(Table::read(path)?));
        }
        let list = LabelList::read(path, unit)?;
        Ok(Self::Single(list.names, list.labels))
    }

    fn len(&self) -> usize {
        match self {
            Self::Single(_, labels) => labels.len(),
            Self::MultiHot(table) => table.rows(),
        }
    }

    fn labels(&self) -> Result<Labels<'_>> {
        Ok(match self {
            Self::Single(_, labels) => Labels::Single(labels),
            Self::MultiHot(table) => Labels::MultiHot(table.matrix("labels")?),
        })
    }

    fn names(&self, unit: &str) -> Vec<String> {
        match self {
            Self::Single(names, _) => names.clone(),
            Self::MultiHot(table) => (1..=table.rows()).map(|i| format!("{unit} {i}")).collect(),
        }
    }
}

fn truth(inputs: &Inputs) -> Result<[Owned; 2]> {
    let [query, database] = arrays::pair(&inputs.truth, "--truth", "the queries' and the database's labels")?;
    Ok([Owned::read(query, "query")?, Owned::read(database, "item")?])
}

fn codes(path: &Path, bits: usize, count: usize, units: &str) -> Result<Codes> {
    if bits == 0 {
        let table = Table::read(path)?;
        same_count(path, table.rows(), count, units)?;
        return Ok(Codes::from_signs(table.matrix("codes")?));
    }
    let array = read_array(path)?;
    let Data::U8(bytes) = array.data() else {
        let reason = format!("packed codes are bytes (uint8), found {}", array.data().kind());
        return Err(ScoreError::content(path, reason));
    };
    let codes = Codes::from_bytes(bytes, bits).map_err(|e| ScoreError::content(path, e.to_string()))?;
    same_count(path, codes.len(), count, units)?;
    Ok(codes)
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let [query_labels, database_labels] = truth(inputs)?;
    let [query, database] = arrays::pair(&inputs.pred, "--pred", "the queries' and the database's codes")?;
    let bits = inputs.setting("bits")?;
    let query = codes(query, bits, query_labels.len(), "queries")?;
    let database = codes(database, bits, database_labels.len(), "items")?;
    let top: usize = inputs.setting("top")?;
    let at: Vec<usize> = inputs.list("at")?;
    let options =
        HashingOptions { top: (top > 0).then_some(top), at: at.clone(), radius: inputs.setting("radius")? };
    let results =
        evaluate((&query, query_labels.labels()?), (&database, database_labels.labels()?), &options)?;
    Ok(Box::new(Queries { at, names: query_labels.names("query"), results }))
}

impl Evaluation for Queries {
    fn unit(&self) -> &'static str {
        "query"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let found = report(sample.iter().map(|&i| &self.results[i]))?;
        let mut metrics = Metrics::new().with("map", found.map);
        for (k, precision) in self.at.iter().zip(found.precision_at) {
            metrics.set(format!("precision@{k}"), precision);
        }
        Ok(metrics.with("precision_in_radius", found.precision_in_radius))
    }

    fn notes(&self) -> Vec<String> {
        let lost = self.results.iter().filter(|r| r.relevant == 0).count();
        (lost > 0)
            .then(|| format!("{lost} queries have nothing relevant in the database and count 0"))
            .into_iter()
            .collect()
    }

    fn detail(&self) -> Result<Detail> {
        let ap = |i: usize| self.results[i].average_precision;
        let mut order: Vec<usize> = (0..self.names.len()).filter(|&i| ap(i) < 1.0).collect();
        order.sort_by(|&a, &b| ap(a).total_cmp(&ap(b)).then(a.cmp(&b)));
        let worst =
            |i: usize| Worst { unit: self.names[i].clone(), what: format!("average precision {:.4}", ap(i)) };
        Ok(Detail { worst: order.into_iter().take(20).map(worst).collect(), ..Detail::default() })
    }
}

/// A bit a class, or the labels' rows themselves, so that equal labels have equal codes; rows of several labels may tie,
/// hence the self-test is of single ones.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let sets = truth(inputs)?;
    let mut classes: Vec<i64> = Vec::new();
    for set in &sets {
        match set {
            Owned::Single(_, labels) => classes.extend(labels),
            Owned::MultiHot(table) => {
                let reason = "the self-test takes one label an item";
                return Err(ScoreError::content(&table.path, reason));
            }
        }
    }
    classes.sort_unstable();
    classes.dedup();
    let mut files = Vec::new();
    for (set, name) in sets.iter().zip(["query.npy", "database.npy"]) {
        let Owned::Single(_, labels) = set else { continue };
        let row = |l: &i64| classes.iter().map(|c| if c == l { 1.0 } else { -1.0 }).collect::<Vec<_>>();
        let file = folder.join(name);
        arrays::write(&file, &[labels.len(), classes.len()], labels.iter().flat_map(row).collect())?;
        files.push(file);
    }
    Ok(files)
}

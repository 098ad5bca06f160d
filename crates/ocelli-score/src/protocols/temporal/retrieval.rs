//! `retrieval`: which video or picture does a text describe, and the reverse? R@K, median and mean rank, mAP.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::caption_table::CaptionTable;
use ocelli_data::annotations::{columns, npy};
use ocelli_method::{Array, Data};
use ocelli_metrics::Matrix;
use ocelli_metrics::retrieval::{Direction, RetrievalRecords};
use ocelli_metrics::similarity::{Measure, pairwise};

use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "retrieval",
    summary: "retrieval between texts (t) and videos or pictures (v): R@K in per cent, median and mean rank, mAP",
    pred: "one .npy of similarities [texts, items]; or two .npy of embeddings, of texts and then of items",
    truth: "a row a text with the item it describes: CSV with a column video_id, image_id, video or image; or its index, in .npy or a line each",
    variants: &[
        Choice { name: "clip", summary: "one text an item; equal scores lengthen the list; CLIP4Clip" },
        Choice {
            name: "multi",
            summary: "several texts an item; items find groups of texts; CLIP4Clip on MSVD",
        },
        Choice { name: "any-of", summary: "several texts an item, any of which will do; Flickr30K, COCO" },
    ],
    settings: &[
        Setting { name: "ks", default: "1,5,10", summary: "the K of R@K, from 1" },
        Setting {
            name: "rows",
            default: "texts",
            summary: "what the rows of similarities are: `texts` or `items`",
        },
        Setting {
            name: "measure",
            default: "cosine",
            summary: "how embeddings are compared: `cosine` or `euclidean`",
        },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("t2v.R1", 100.0), ("v2t.R1", 100.0)] },
};

/// Lines of the table of worst items.
const LISTED: usize = 20;

#[derive(Debug)]
struct Retrieved {
    names: Vec<String>,
    records: RetrievalRecords,
    ks: Vec<usize>,
    strangers: usize,
}

/// Which item each text describes.
struct Owners {
    names: Vec<String>,
    owner: Vec<usize>,
}

impl Owners {
    fn read(path: &Path) -> Result<Self> {
        let ending = |wanted: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(wanted));
        if ending("csv") {
            let table = CaptionTable::read(path)?;
            return Ok(Self { names: table.items, owner: table.owner });
        }
        let numbers = if ending("npy") { npy::read(path)?.to_f64() } else { columns::read_numbers(path)? };
        let index = |(i, v): (usize, f64)| {
            let wrong = || {
                ScoreError::content(path, format!("text {}: the index of an item expected, found {v}", i + 1))
            };
            // Beyond this a matrix of similarities would fit into no memory.
            (v >= 0.0 && v.fract() == 0.0 && v < 1e9).then_some(v as usize).ok_or_else(wrong)
        };
        let owner: Vec<usize> = numbers.into_iter().enumerate().map(index).collect::<Result<_>>()?;
        let items = owner.iter().max().map_or(0, |largest| largest + 1);
        Ok(Self { names: (0..items).map(|i| format!("item {i}")).collect(), owner })
    }
}

/// Similarities `[texts, items]`.
struct Similarity {
    values: Vec<f64>,
    shape: [usize; 2],
}

impl Similarity {
    fn read(inputs: &Inputs) -> Result<Self> {
        match &inputs.pred[..] {
            [path] => {
                let (values, shape) = matrix(path)?;
                match inputs.setting::<String>("rows")?.as_str() {
                    "texts" => Ok(Self { values, shape }),
                    "items" => Ok(Self { values: transposed(&values, shape), shape: [shape[1], shape[0]] }),
                    other => Err(ScoreError::Setting {
                        key: "rows".into(),
                        value: other.to_owned(),
                        reason: "expected `texts` or `items`".into(),
                    }),
                }
            }
            [texts, items] => {
                let measure: Measure = inputs.setting::<String>("measure")?.parse()?;
                let ((t, t_shape), (i, i_shape)) = (matrix(texts)?, matrix(items)?);
                let [texts, items] = [Matrix::new("texts", &t, t_shape)?, Matrix::new("items", &i, i_shape)?];
                let mut values = pairwise(texts, items, measure)?;
                if measure == Measure::Euclidean {
                    values.iter_mut().for_each(|v| *v = -*v);
                }
                Ok(Self { values, shape: [t_shape[0], i_shape[0]] })
            }
            files => Err(ScoreError::Files(format!(
                "`retrieval` takes one --pred file of similarities or two of embeddings, found {}",
                files.len()
            ))),
        }
    }
}

fn matrix(path: &Path) -> Result<(Vec<f64>, [usize; 2])> {
    let array = npy::read(path)?;
    let shape = array.dims::<2>().map_err(|e| ScoreError::content(path, e.to_string()))?;
    let values = array.to_f64();
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok((values, shape)),
        Some(i) => {
            let (row, column) = (i / shape[1].max(1), i % shape[1].max(1));
            let reason =
                format!("row {row}, column {column} (from 0) is {}; only numbers can be ranked", values[i]);
            Err(ScoreError::content(path, reason))
        }
    }
}

fn transposed(values: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let path = inputs.one_truth()?;
    let Owners { names, owner } = Owners::read(path)?;
    let Similarity { values, shape: [texts, items] } = Similarity::read(inputs)?;
    let pred = &inputs.pred[0];
    if texts != owner.len() {
        let reason =
            format!("{texts} texts, but the truth has {}; --set rows=items turns a table round", owner.len());
        return Err(ScoreError::content(pred, reason));
    }
    if items < names.len() {
        return Err(ScoreError::content(pred, format!("{items} items, but the truth has {}", names.len())));
    }
    let similarity = Matrix::new("similarities", &values, [texts, items])?;
    let mut records = RetrievalRecords::new(inputs.variant().parse()?, similarity, &owner)?;
    // Items that no text describes compete, but are no queries.
    records.items.truncate(names.len());
    Ok(Box::new(Retrieved { strangers: items - names.len(), names, records, ks: inputs.list("ks")? }))
}

fn add(metrics: &mut Metrics, prefix: &str, ks: &[usize], direction: &Direction) {
    for (k, recall) in ks.iter().zip(&direction.recall) {
        metrics.set(format!("{prefix}.R{k}"), *recall);
    }
    metrics.set(format!("{prefix}.MdR"), direction.median_rank);
    metrics.set(format!("{prefix}.MnR"), direction.mean_rank);
    metrics.set(format!("{prefix}.mAP"), direction.map);
}

impl Evaluation for Retrieved {
    fn unit(&self) -> &'static str {
        "item"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let summary = self.records.summary_of_sample(sample, &self.ks)?;
        let mut metrics = Metrics::new();
        add(&mut metrics, "t2v", &self.ks, &summary.text_to_item);
        add(&mut metrics, "v2t", &self.ks, &summary.item_to_text);
        Ok(metrics)
    }

    fn notes(&self) -> Vec<String> {
        match self.strangers {
            0 => Vec::new(),
            n => vec![format!("{n} items that no text describes compete, but are no queries")],
        }
    }

    fn detail(&self) -> Result<Detail> {
        let ranks = self.records.items.iter().map(|i| i.of_item.iter().max().copied().unwrap_or(0));
        let ranks: Vec<u32> = ranks.collect();
        let mut order: Vec<usize> = (0..ranks.len()).filter(|&i| ranks[i] > 0).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(ranks[i]));
        order.truncate(LISTED);
        let describe = |i: usize| {
            let what = format!("found at rank {} for the worst of its texts", ranks[i] + 1);
            Worst { unit: self.names[i].clone(), what }
        };
        let bins = [(0, 1), (1, 5), (5, 10), (10, 50), (50, 100), (100, u32::MAX)];
        let row = |(low, high): (u32, u32)| {
            let within = |all: Vec<u32>| all.iter().filter(|r| (low..high).contains(r)).count() as f64;
            let items = &self.records.items;
            let texts = within(items.iter().flat_map(|i| i.of_item.clone()).collect());
            let groups = within(items.iter().flat_map(|i| i.of_text.clone()).collect());
            let name = if high == u32::MAX {
                format!("{} and more", low + 1)
            } else {
                format!("{} to {high}", low + 1)
            };
            (name, vec![texts, groups])
        };
        let groups = vec![Group {
            title: "Queries by rank".into(),
            columns: vec!["texts".into(), "items".into()],
            rows: bins.into_iter().map(row).collect(),
        }];
        Ok(Detail { groups, curves: Vec::new(), worst: order.into_iter().map(describe).collect() })
    }
}

/// 1 where a text describes an item, else 0.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let Owners { names, owner } = Owners::read(inputs.one_truth()?)?;
    let [texts, items] = [owner.len(), names.len()];
    let mut values = vec![0.0f32; texts * items];
    owner.iter().enumerate().for_each(|(text, &item)| values[text * items + item] = 1.0);
    let is_turned = inputs.setting::<String>("rows")? == "items";
    let (values, shape) = match is_turned {
        true => (
            (0..items).flat_map(|i| owner.iter().map(move |&o| f32::from(u8::from(o == i)))).collect(),
            [items, texts],
        ),
        false => (values, [texts, items]),
    };
    let file = folder.join("similarities.npy");
    let array =
        Array::new(shape, Data::F32(values)).map_err(|e| ScoreError::content(&file, e.to_string()))?;
    npy::write(&file, &array)?;
    Ok(vec![file])
}

//! `topk`: which class is shown?

use std::path::{Path, PathBuf};

use ocelli_metrics::Matrix;
use ocelli_metrics::classification::{Ranked, ViewMean, mean_of_views, rank_rows, report};

use crate::protocols::arrays::{self, Table};
use crate::protocols::labels::{LabelList, same_count};
use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "topk",
    summary: "classification of pictures or clips: top-k and mean class accuracy in percent, confusion",
    pred: "scores .npy [N, K], or [N, views, K] of several crops or clips; several files are the parts of a set",
    truth: "labels from 0: text `label`, `name label` or `name frames label`, or .npy [N]",
    variants: &[
        Choice { name: "scores", summary: "views are averaged as they are" },
        Choice { name: "probabilities", summary: "views are averaged after a softmax each" },
    ],
    settings: &[Setting { name: "k", default: "1,5", summary: "ranks from 1" }],
    open,
    perfect: Perfect { write: perfect, expect: &[("top1", 100.0), ("mean_class_accuracy", 100.0)] },
};

#[derive(Debug)]
struct Items {
    ks: Vec<usize>,
    classes: usize,
    names: Vec<String>,
    items: Vec<Ranked>,
}

/// Names and labels; of lists with frame counts the last column is the label.
fn truth(path: &Path) -> Result<(Vec<String>, Vec<i64>)> {
    let list = LabelList::read(path, "item")?;
    if list.groups.is_empty() {
        return Ok((list.names, list.labels));
    }
    let label = |(i, text): (usize, &String)| {
        let reason =
            || format!("item {}: an integer label expected at the end of the line, found `{text}`", i + 1);
        text.parse::<i64>().map_err(|_| ScoreError::content(path, reason()))
    };
    let labels = list.groups.iter().enumerate().map(label).collect::<Result<_>>()?;
    Ok((list.names, labels))
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (names, labels) = truth(inputs.one_truth()?)?;
    let table = Table::read_shards(&inputs.pred)?;
    same_count(&table.path, table.rows(), labels.len(), "items")?;
    let mean: ViewMean = inputs.variant().parse()?;
    let fail = |e: ocelli_metrics::MetricError| ScoreError::content(&table.path, e.to_string());
    let (scores, classes) = match table.shape[..] {
        [_, classes] => (table.values.clone(), classes),
        [_, views, classes] if views * classes > 0 => {
            let average = |item: &[f64]| {
                Matrix::new("scores", item, [views, classes]).map(|m| mean_of_views(m, mean)).map_err(fail)
            };
            let rows: Vec<Vec<f64>> =
                table.values.chunks_exact(views * classes).map(average).collect::<Result<_>>()?;
            (rows.concat(), classes)
        }
        _ => {
            let reason = format!("scores [N, K] or [N, views, K] expected, found shape {:?}", table.shape);
            return Err(ScoreError::content(&table.path, reason));
        }
    };
    let matrix = Matrix::new("scores", &scores, [labels.len(), classes]).map_err(fail)?;
    let items = rank_rows(matrix, &labels).map_err(fail)?;
    Ok(Box::new(Items { ks: inputs.list("k")?, classes, names, items }))
}

impl Evaluation for Items {
    fn unit(&self) -> &'static str {
        "item"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let found = report(sample.iter().map(|&i| &self.items[i]), self.classes, &self.ks)?;
        let top = self.ks.iter().zip(&found.top).map(|(k, share)| (format!("top{k}"), 100.0 * share));
        let metrics: Metrics = top.collect();
        Ok(metrics.with("mean_class_accuracy", 100.0 * found.mean_class_accuracy))
    }

    fn detail(&self) -> Result<Detail> {
        let found = report(&self.items, self.classes, &self.ks)?;
        let totals = found.confusion.label_totals();
        let rows = found.per_class.iter().zip(&totals).enumerate();
        let rows = rows.map(|(k, (share, total))| (format!("class {k}"), vec![100.0 * share, *total as f64]));
        let mut confused: Vec<(u64, usize, usize)> = (0..self.classes)
            .flat_map(|a| (0..self.classes).map(move |b| (a, b)))
            .filter(|(a, b)| a != b)
            .map(|(a, b)| (found.confusion.count(a, b), a, b))
            .filter(|c| c.0 > 0)
            .collect();
        confused.sort_by_key(|&(n, a, b)| (std::cmp::Reverse(n), a, b));
        let confused = confused.into_iter().take(20);
        let confused = confused.map(|(n, a, b)| (format!("class {a} taken for class {b}"), vec![n as f64]));
        let mut order: Vec<&usize> = Vec::new();
        let indices: Vec<usize> = (0..self.items.len()).collect();
        order.extend(indices.iter().filter(|&&i| self.items[i].rank > 1));
        order.sort_by_key(|&&i| (std::cmp::Reverse(self.items[i].rank), i));
        let worst = order.into_iter().take(20).map(|&i| Worst {
            unit: self.names[i].clone(),
            what: format!(
                "class {} at rank {}, taken for class {}",
                self.items[i].label, self.items[i].rank, self.items[i].predicted
            ),
        });
        let columns = ["accuracy, %", "items"].map(str::to_owned).to_vec();
        let most = Group {
            title: "Most frequent confusions".to_owned(),
            columns: vec!["items".to_owned()],
            rows: confused.collect(),
        };
        let groups = vec![Group { title: "Classes".to_owned(), columns, rows: rows.collect() }, most];
        Ok(Detail { groups, worst: worst.collect(), ..Detail::default() })
    }
}

/// 1 for the label, 0 for all else.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let path = inputs.one_truth()?;
    let (_, labels) = truth(path)?;
    let classes = labels.iter().copied().max().map_or(0, |l| l.max(0) as usize + 1);
    let row = |l: &i64| (0..classes).map(|k| f64::from(u8::from(*l == k as i64))).collect::<Vec<_>>();
    let file = folder.join("scores.npy");
    arrays::write(&file, &[labels.len(), classes], labels.iter().flat_map(row).collect())?;
    Ok(vec![file])
}

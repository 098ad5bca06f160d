//! `ccd`: how compact the classes of pixel features are.

use std::path::{Path, PathBuf};

use ocelli_metrics::class_center::{ClassMoments, report};

use super::label_folders::{IGNORE, class_names, ignored};
use crate::protocols::arrays::{self, Table};
use crate::protocols::labels::same_count;
use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "ccd",
    summary: "class center distance of features: spread inside classes over distance of their centers; lower is better",
    pred: "features .npy [N, D]; several files are the parts of a set",
    truth: "labels .npy [N] or text, a file for each file of features",
    variants: &[Choice { name: "fada", summary: "classes without features are in no mean" }],
    settings: &[
        Setting {
            name: "classes",
            default: "0",
            summary: "a number of classes, 0 for the truth's largest label and one",
        },
        IGNORE,
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("ccd", 0.0)] },
};

#[derive(Debug)]
struct Parts {
    names: Vec<String>,
    parts: Vec<ClassMoments>,
}

/// The labels of each part, the number of classes, and the label left out.
fn truth(inputs: &Inputs) -> Result<(Vec<Vec<i64>>, usize, Option<i64>)> {
    let ignore = ignored(inputs)?;
    let read = |path: &PathBuf| Table::read(path)?.integers();
    let labels: Vec<Vec<i64>> = inputs.truth.iter().map(read).collect::<Result<_>>()?;
    let judged = labels.iter().flatten().filter(|l| ignore != Some(**l));
    let largest = judged.max().and_then(|l| usize::try_from(*l).ok()).unwrap_or(0);
    let classes = match inputs.setting("classes")? {
        0 => largest + 1,
        given => given,
    };
    Ok((labels, classes, ignore))
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (labels, classes, ignore) = truth(inputs)?;
    if inputs.pred.len() != labels.len() || labels.is_empty() {
        let reason = format!("{} files of features, but {} of labels", inputs.pred.len(), labels.len());
        return Err(ScoreError::Files(reason));
    }
    let mut parts = Vec::new();
    for (path, labels) in inputs.pred.iter().zip(&labels) {
        let features = Table::read(path)?;
        same_count(path, features.rows(), labels.len(), "features")?;
        let moments = ClassMoments::new(features.matrix("features")?, labels, classes, ignore);
        parts.push(moments.map_err(|e| ScoreError::content(path, e.to_string()))?);
    }
    let name = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Box::new(Parts { names: inputs.truth.iter().map(name).collect(), parts }))
}

impl Evaluation for Parts {
    fn unit(&self) -> &'static str {
        "part"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        Ok(Metrics::new().with("ccd", report(sample.iter().map(|&i| &self.parts[i]))?.mean))
    }

    fn detail(&self) -> Result<Detail> {
        let found = report(&self.parts)?;
        let names = class_names("", found.ccd.len())?;
        let rows = names.into_iter().zip(found.ccd.into_iter().map(|v| vec![v])).collect();
        let groups = vec![Group { title: "Classes".to_owned(), columns: vec!["CCD".to_owned()], rows }];
        Ok(Detail { groups, ..Detail::default() })
    }
}

/// One point a class, at right angles to one another.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let (labels, classes, _) = truth(inputs)?;
    let mut files = Vec::new();
    for (i, labels) in labels.iter().enumerate() {
        let row = |l: &i64| (0..classes).map(|k| f64::from(u8::from(*l == k as i64))).collect::<Vec<_>>();
        let file = folder.join(format!("features_{i}.npy"));
        arrays::write(&file, &[labels.len(), classes], labels.iter().flat_map(row).collect())?;
        files.push(file);
    }
    Ok(files)
}

//! Label maps of truth and prediction, matched by name and counted picture by picture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocelli_data::DataError;
use ocelli_data::annotations::folder::natural;
use ocelli_data::annotations::label_map::LabelMap;
use ocelli_metrics::segmentation::{Confusion, ConfusionCells};
use rayon::prelude::*;

use crate::in_order::in_order;
use crate::protocols::arrays::Table;
use crate::{Inputs, Result, ScoreError, Setting};

/// What files of either side may be, in one line.
pub(super) const FORMS: &str =
    "a folder of label maps (PNG with class numbers or a palette), or integers .npy [N, H, W]";

/// The pixels that are not judged.
pub(super) const IGNORE: Setting =
    Setting { name: "ignore", default: "255", summary: "a label whose pixels are left out, or none" };

/// Endings that are no part of a picture's name.
pub(super) const STRIP: Setting = Setting {
    name: "strip",
    default: "_gtFine_labelTrainIds,_gtFine_labelIds,_leftImg8bit",
    summary: "endings of file names that are no part of the picture's name",
};

/// The confusion of each picture.
#[derive(Debug)]
pub(super) struct LabelFolders {
    pub(super) classes: usize,
    pub(super) names: Vec<String>,
    cells: Vec<ConfusionCells>,
    unknown: usize,
}

/// Label maps by picture name.
enum Maps {
    Folder(BTreeMap<String, PathBuf>),
    Array { table: Table, size: usize },
}

impl LabelFolders {
    /// Reads and counts both sides. `classes` is their number, or 0 for the largest label of the truth and one.
    pub(super) fn open(inputs: &Inputs, classes: usize) -> Result<Self> {
        let strip: Vec<String> = inputs.list("strip")?;
        let ignore = ignored(inputs)?;
        let (truth_path, pred_path) = (inputs.one_truth()?, inputs.one_pred()?);
        let truth = Maps::open(truth_path, &strip)?;
        let pred = Maps::open(pred_path, &strip)?;
        let names = truth.names();
        let classes = match classes {
            0 => largest_label(&truth, &names, ignore)? + 1,
            given => given,
        };
        let count = |name: &String| -> Result<ConfusionCells> {
            let labels = truth.read(truth_path, name)?;
            let predictions = pred.read(pred_path, name)?;
            if (labels.width, labels.height) != (predictions.width, predictions.height) {
                let size = |m: &LabelMap| format!("{} x {}", m.width, m.height);
                let reason =
                    format!("`{name}` is {}, but {} in the truth", size(&predictions), size(&labels));
                return Err(ScoreError::content(pred_path, reason));
            }
            let mut confusion = Confusion::new(classes)?;
            let counted = confusion.add(&labels.labels, &predictions.labels, ignore);
            counted.map_err(|e| ScoreError::content(truth_path, format!("`{name}`: {e}")))?;
            Ok(confusion.cells())
        };
        let cells = in_order(names.par_iter().map(count))?;
        let unknown =
            pred.names().iter().filter(|n| names.binary_search_by(|m| natural(m, n)).is_err()).count();
        Ok(Self { classes, names, cells, unknown })
    }

    /// The confusion of the pictures of a sample.
    pub(super) fn confusion(&self, sample: &[usize]) -> Result<Confusion> {
        let mut confusion = Confusion::new(self.classes)?;
        sample.iter().for_each(|&i| confusion.add_cells(&self.cells[i]));
        Ok(confusion)
    }

    pub(super) fn all(&self) -> Vec<usize> {
        (0..self.names.len()).collect()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let unknown = self.unknown;
        (unknown > 0)
            .then(|| format!("{unknown} predictions of pictures that the truth does not have were left out"))
            .into_iter()
            .collect()
    }
}

pub(super) fn ignored(inputs: &Inputs) -> Result<Option<i64>> {
    match inputs.setting::<String>("ignore")?.as_str() {
        "none" => Ok(None),
        _ => Ok(Some(inputs.setting("ignore")?)),
    }
}

fn largest_label(maps: &Maps, names: &[String], ignore: Option<i64>) -> Result<usize> {
    let largest = |name: &String| -> Result<usize> {
        let map = maps.read(Path::new(""), name)?;
        let judged = map.labels.iter().filter(|l| ignore != Some(i64::from(**l)));
        Ok(judged.max().map_or(0, |l| usize::from(*l)))
    };
    let all: Vec<usize> = in_order(names.par_iter().map(largest))?;
    Ok(all.into_iter().max().unwrap_or(0))
}

impl Maps {
    fn open(path: &Path, strip: &[String]) -> Result<Self> {
        if path.is_dir() {
            let mut found = BTreeMap::new();
            collect(path, path, strip, &mut found)?;
            return match found.is_empty() {
                true => Err(ScoreError::content(path, "no PNG file in the folder")),
                false => Ok(Self::Folder(found)),
            };
        }
        let table = Table::read(path)?;
        let [count, height, width] = table.dims("integers [N, H, W], or a folder of label maps,")?;
        table.integers()?;
        match count * height * width {
            0 => Err(ScoreError::content(path, "there are no pixels in it")),
            _ => Ok(Self::Array { table, size: height * width }),
        }
    }

    /// In natural order.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Self::Folder(files) => files.keys().cloned().collect(),
            Self::Array { table, .. } => (0..table.rows()).map(|i| format!("image {i}")).collect(),
        };
        names.sort_by(|a, b| natural(a, b));
        names
    }

    fn read(&self, path: &Path, name: &str) -> Result<LabelMap> {
        let missing = || ScoreError::content(path, format!("no label map of `{name}`"));
        match self {
            Self::Folder(files) => Ok(LabelMap::read(files.get(name).ok_or_else(missing)?)?),
            Self::Array { table, size } => {
                let index = name.strip_prefix("image ").and_then(|i| i.parse::<usize>().ok());
                let values =
                    index.and_then(|i| table.values.get(i * size..(i + 1) * size)).ok_or_else(missing)?;
                // Whatever is no label of 16 bits is no class either: a miss in a prediction, an error in the truth.
                let label = |v: &f64| if (0.0..65_535.0).contains(v) { *v as u16 } else { u16::MAX };
                let width = table.shape[2];
                Ok(LabelMap { width, height: size / width, labels: values.iter().map(label).collect() })
            }
        }
    }
}

/// PNG files below a folder by their path in it, without endings.
fn collect(
    root: &Path,
    folder: &Path,
    strip: &[String],
    found: &mut BTreeMap<String, PathBuf>,
) -> Result<()> {
    let fail = |source| DataError::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            collect(root, &path, strip, found)?;
            continue;
        }
        if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("png")) {
            continue;
        }
        let inner = path.strip_prefix(root).unwrap_or(&path).with_extension("");
        let inner = inner.to_string_lossy().replace('\\', "/");
        let name = strip.iter().find_map(|s| inner.strip_suffix(s.as_str())).unwrap_or(&inner).to_owned();
        if let Some(other) = found.insert(name.clone(), path.clone()) {
            let reason = format!("both this file and {} are called `{name}`", other.display());
            return Err(ScoreError::content(path, reason));
        }
    }
    Ok(())
}

/// The maps of the truth, written again: what predicts perfectly.
pub(super) fn copy_truth(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let path = inputs.one_truth()?;
    let truth = Maps::open(path, &inputs.list::<String>("strip")?)?;
    if let Maps::Array { table, .. } = &truth {
        let file = folder.join("pred.npy");
        crate::protocols::arrays::write(&file, &table.shape, table.values.clone())?;
        return Ok(vec![file]);
    }
    for name in truth.names() {
        let file = folder.join(format!("{name}.png"));
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|source| DataError::Write { path: parent.to_owned(), source })?;
        }
        truth.read(path, &name)?.write(&file)?;
    }
    Ok(vec![folder.to_owned()])
}

/// Names of classes from a file of lines `name` or `number name`, numbered where there is no file.
pub(super) fn class_names(file: &str, classes: usize) -> Result<Vec<String>> {
    if file.is_empty() {
        return Ok((0..classes).map(|k| format!("class {k}")).collect());
    }
    let path = Path::new(file);
    let text =
        std::fs::read_to_string(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let numbered = line.split_once(char::is_whitespace).filter(|(n, _)| n.parse::<usize>().is_ok());
        names.push(numbered.map_or(line, |(_, name)| name.trim()).to_owned());
    }
    names.truncate(classes);
    match names.len() == classes {
        true => Ok(names),
        false => Err(ScoreError::content(path, format!("{} names for {classes} classes", names.len()))),
    }
}

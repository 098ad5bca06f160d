//! Pairs of pictures and their values, as `lfw` and `roc` take them.

use std::path::Path;

use ocelli_data::annotations::lfw::PairList;
use ocelli_metrics::Matrix;
use ocelli_metrics::roc::PairScores;

use crate::protocols::arrays::Table;
use crate::protocols::labels::{read_flags, same_count};
use crate::{Inputs, Result, ScoreError};

/// What truth files may be, in one line.
pub(super) const TRUTH: &str =
    "text, a line a pair: 1 for the same person, 0 for two; `<set>_list.npy`; or LFW's pairs.txt";

/// What prediction files may be, in one line.
pub(super) const PRED: &str =
    "a value a pair (text or .npy [N]), or embeddings .npy [2N, D], rows 2k and 2k+1 being pair k";

/// Whether each pair shows one person, with the pairs' names.
pub(super) fn read_truth(path: &Path) -> Result<(Vec<String>, Vec<bool>)> {
    match read_flags(path, "pair") {
        Err(error) if path.extension().is_none_or(|e| e == "txt") => {
            // Not flags, so perhaps LFW's list; if it is neither, the first complaint is the plainer one.
            let Ok(list) = PairList::read(path, "", "jpg") else { return Err(error) };
            let name = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let names = list.pairs.iter().map(|p| format!("{} {}", name(&p.left), name(&p.right)));
            Ok((names.collect(), list.pairs.iter().map(|p| p.same).collect()))
        }
        other => other,
    }
}

/// The value of each pair: as the file has it, or made of embeddings by `of_embeddings`.
pub(super) fn read_values(
    inputs: &Inputs,
    count: usize,
    of_embeddings: impl Fn(Matrix<'_>) -> ocelli_metrics::Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    let table = Table::read_shards(&inputs.pred)?;
    let path = &table.path;
    let values = match table.shape[..] {
        [_] | [_, 1] => table.values,
        [rows, columns] => {
            let embeddings = Matrix::new("embeddings", &table.values, [rows, columns]);
            let values = embeddings.and_then(of_embeddings);
            values.map_err(|e| ScoreError::content(path, e.to_string()))?
        }
        _ => {
            let reason = format!("values [N] or embeddings [2N, D] expected, found shape {:?}", table.shape);
            return Err(ScoreError::content(path, reason));
        }
    };
    same_count(path, values.len(), count, "pairs")?;
    Ok(values)
}

/// A pair's score, whether it is of one person, and the unit it belongs to. Sets have millions, hence the short index.
pub(super) type Scored = (f64, bool, u32);

/// Scores of pairs in falling order, so that those of any sample of units are in order as well and need no sorting.
#[derive(Debug)]
pub(super) struct Falling(Vec<Scored>);

impl Falling {
    pub(super) fn new(mut scores: Vec<Scored>) -> Self {
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self(scores)
    }

    /// Score, label and unit of every pair.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Scored> {
        self.0.iter()
    }

    /// The scores of the sampled ones of `units` units.
    pub(super) fn of(&self, sample: &[usize], units: usize) -> ocelli_metrics::Result<PairScores> {
        let mut times = vec![0usize; units];
        sample.iter().for_each(|&i| times[i] += 1);
        let of = |class: bool| -> Vec<f64> {
            let pairs = self.0.iter().filter(|p| p.1 == class);
            pairs.flat_map(|p| std::iter::repeat_n(p.0, times[p.2 as usize])).collect()
        };
        PairScores::from_classes(of(true), of(false))
    }
}

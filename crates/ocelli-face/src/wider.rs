//! WIDER FACE in reference cases: pictures with boxes, and subsets of their faces.

use ocelli_method::{Replay, ReplayError};
use ocelli_metrics::detection::wider_face::{FacePicture, FaceRecord, FaceRecords, WiderOptions};

/// Where the faces of subsets are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountFrom {
    /// 0.
    Zero,
    /// 1, as in the official files.
    One,
}

/// The names of a case's inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// What stands between a name and the number of the picture.
    pub(crate) joint: &'a str,
    /// The names of the subsets.
    pub(crate) subsets: &'a [&'a str],
    pub(crate) count_from: CountFrom,
}

/// Rows of `N` columns; an input without elements has no rows, whatever its shape.
fn rows<const N: usize>(case: &Replay<'_>, name: &str) -> Result<Vec<[f64; N]>, ReplayError> {
    let values = case.doubles(name)?;
    if !values.is_empty() && case.dims::<2>(name)?[1] != N {
        return Err(ReplayError::refused(format!("`{name}` has not {N} columns")));
    }
    Ok(values.as_chunks().0.to_vec())
}

/// The records of a case's pictures, in order.
pub(crate) fn records(
    case: &Replay<'_>,
    images: usize,
    names: Names<'_>,
    options: &WiderOptions,
) -> Result<Vec<FaceRecord>, ReplayError> {
    let record = |image: usize| {
        let input = |name: &str| format!("{name}{}{image}", names.joint);
        let faces = rows::<4>(case, &input("gt"))?;
        let found: Vec<([f64; 4], f64)> = rows(case, &input("pred"))?
            .into_iter()
            .map(|[x, y, w, h, score]| ([x, y, w, h], score))
            .collect();
        let subset = |name: &&str| {
            let mut members = vec![false; faces.len()];
            for &face in case.integers(&input(name))? {
                let index = face - i64::from(names.count_from == CountFrom::One);
                let place = usize::try_from(index).ok().and_then(|i| members.get_mut(i));
                *place.ok_or_else(|| {
                    ReplayError::refused(format!("`{}`: there is no face {face}", input(name)))
                })? = true;
            }
            Ok(members)
        };
        let subsets: Vec<Vec<bool>> = names.subsets.iter().map(subset).collect::<Result<_, ReplayError>>()?;
        let picture = FacePicture { image: image as i64, faces: &faces, subsets: &subsets, found: &found };
        options.judge(&picture).map_err(ReplayError::refused)
    };
    let records: FaceRecords = (0..images).map(record).collect::<Result<_, ReplayError>>()?;
    records.into_sorted().map_err(ReplayError::refused)
}

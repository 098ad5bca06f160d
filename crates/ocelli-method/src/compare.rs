//! How close a computed output must come to a stored one.

use std::collections::BTreeMap;

use crate::array::{Array, Data};
use crate::case::Case;
use crate::harness::{Comparison, Selection};

/// The largest error of a case, by its share of the tolerance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Worst {
    /// The output or gradient.
    pub tensor: String,
    /// Absolute error of its worst element.
    pub abs: f64,
    /// That error divided by the magnitude of the expected value; infinite where that is 0.
    pub rel: f64,
    /// The error as a share of what is allowed: above 1 the case fails.
    pub share: f64,
}

/// Compares what a component computed with what the case expects.
///
/// Outputs whose resource is missing are left out by giving their names in `skip`.
///
/// # Errors
/// One sentence naming the output: missing, misshapen, or outside the tolerance.
pub fn compare(case: &Case, got: &BTreeMap<String, Array>, skip: &[String]) -> Result<Worst, Mismatch> {
    let mut worst = Worst::default();
    let mut columns = Vec::new();
    for (name, want) in &case.expected {
        if skip.contains(name) {
            continue;
        }
        let got = got.get(name).ok_or_else(|| Mismatch::new(name, "was not computed"))?;
        let selected = match case.harness.outputs.get(name) {
            Some(selection) => select(got, selection).map_err(|reason| Mismatch::new(name, reason))?,
            None => got.clone(),
        };
        check_shape(&selected, want).map_err(|reason| Mismatch::new(name, reason))?;
        match case.harness.compare.get(name) {
            Some(Comparison::Partition) => {
                same_partition(&selected, want).map_err(|reason| Mismatch::new(name, reason))?
            }
            Some(Comparison::Rows) => columns.push((name.as_str(), selected, want)),
            None => elementwise(case, name, &selected, want, &mut worst),
        }
    }
    same_rows(case, &columns)?;
    if worst.share > 1.0 || worst.share.is_nan() {
        let reason = format!("is off by {:.3e} (relative {:.3e})", worst.abs, worst.rel);
        return Err(Mismatch { tensor: worst.tensor.clone(), reason, worst });
    }
    Ok(worst)
}

/// Why a case fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The output or gradient.
    pub tensor: String,
    /// What is wrong with it.
    pub reason: String,
    /// Its numbers, where it is a matter of numbers.
    pub worst: Worst,
}

impl Mismatch {
    fn new(tensor: &str, reason: impl Into<String>) -> Self {
        let worst = Worst { tensor: tensor.to_owned(), ..Worst::default() };
        Self { tensor: tensor.to_owned(), reason: reason.into(), worst }
    }
}

/// Picks the stored part of an output.
fn select(got: &Array, selection: &Selection) -> Result<Array, String> {
    let factor = selection.scale.unwrap_or(1.0);
    let Some(shape) = &selection.shape else {
        return Ok(scaled(got, factor, (0..got.len()).collect(), got.shape().to_vec()));
    };
    if shape_without_scalar(got.shape()) != shape_without_scalar(shape) {
        return Err(format!("has shape {:?}, expected {shape:?}", got.shape()));
    }
    if let Some(stride) = selection.stride {
        let picked: Vec<usize> = (0..got.len()).step_by(stride.max(1)).collect();
        let n = picked.len();
        return Ok(scaled(got, factor, picked, vec![n]));
    }
    let Some(index) = &selection.index else {
        return Ok(scaled(got, factor, (0..got.len()).collect(), shape.clone()));
    };
    let mut picked = vec![0usize];
    let mut kept = Vec::with_capacity(shape.len());
    for (dimension, &length) in shape.iter().enumerate() {
        let whole: Vec<usize>;
        let chosen = match index.get(dimension) {
            Some(Some(list)) => list,
            _ => {
                whole = (0..length).collect();
                &whole
            }
        };
        if chosen.iter().any(|&i| i >= length) {
            return Err(format!("the case selects beyond dimension {dimension} of length {length}"));
        }
        picked = picked.iter().flat_map(|&base| chosen.iter().map(move |&i| base * length + i)).collect();
        kept.push(chosen.len());
    }
    Ok(scaled(got, factor, picked, kept))
}

fn scaled(got: &Array, factor: f64, picked: Vec<usize>, shape: Vec<usize>) -> Array {
    let data = if factor == 1.0 {
        match got.data() {
            Data::F32(v) => Data::F32(picked.iter().map(|&i| v[i]).collect()),
            Data::F64(v) => Data::F64(picked.iter().map(|&i| v[i]).collect()),
            Data::I64(v) => Data::I64(picked.iter().map(|&i| v[i]).collect()),
            Data::U8(v) => Data::U8(picked.iter().map(|&i| v[i]).collect()),
        }
    } else {
        let v = got.to_f64();
        Data::F64(picked.iter().map(|&i| factor * v[i]).collect())
    };
    Array::new(shape, data).expect("a selection has as many elements as its shape")
}

/// A scalar may be given as `[]`, although cases store `[1]`.
fn shape_without_scalar(shape: &[usize]) -> &[usize] {
    if shape == [1] { &[] } else { shape }
}

fn check_shape(got: &Array, want: &Array) -> Result<(), String> {
    // A flattened selection may be stored under any shape of as many elements.
    let flat = got.shape().len() == 1 && got.len() == want.len();
    if flat || shape_without_scalar(got.shape()) == shape_without_scalar(want.shape()) {
        Ok(())
    } else {
        Err(format!("has shape {:?}, expected {:?}", got.shape(), want.shape()))
    }
}

fn is_exact(want: &Array) -> bool {
    matches!(want.data(), Data::I64(_) | Data::U8(_))
}

fn elementwise(case: &Case, name: &str, got: &Array, want: &Array, worst: &mut Worst) {
    let exact = is_exact(want);
    for (g, w) in got.to_f64().into_iter().zip(want.to_f64()) {
        let abs = (g - w).abs();
        let allowed = if exact { 0.0 } else { case.atol + case.rtol * w.abs() };
        let share = match () {
            () if abs.is_nan() => f64::INFINITY,
            () if abs == 0.0 => 0.0,
            () => abs / allowed,
        };
        if share > worst.share || worst.tensor.is_empty() {
            *worst = Worst { tensor: name.to_owned(), abs, rel: relative(abs, w), share };
        }
    }
}

fn relative(abs: f64, want: f64) -> f64 {
    if abs == 0.0 { 0.0 } else { abs / want.abs() }
}

/// Whether two label arrays agree up to renaming within each row of the last dimension.
fn same_partition(got: &Array, want: &Array) -> Result<(), String> {
    let width = want.shape().last().copied().unwrap_or(1).max(1);
    let (got, want) = (got.to_f64(), want.to_f64());
    for (row, (g, w)) in got.chunks(width).zip(want.chunks(width)).enumerate() {
        let mut forward = BTreeMap::new();
        let mut backward = BTreeMap::new();
        for (g, w) in g.iter().map(|v| v.to_bits()).zip(w.iter().map(|v| v.to_bits())) {
            if *forward.entry(g).or_insert(w) != w || *backward.entry(w).or_insert(g) != g {
                return Err(format!("groups row {row} differently"));
            }
        }
    }
    Ok(())
}

/// Whether two tables hold the same rows in any order, each row within the tolerance.
fn same_rows(case: &Case, columns: &[(&str, Array, &Array)]) -> Result<(), Mismatch> {
    let Some((name, _, first)) = columns.first() else { return Ok(()) };
    let rows = first.shape().first().copied().unwrap_or(1);
    let table = |pick: &dyn Fn(usize) -> Vec<f64>| -> Vec<Vec<f64>> {
        let columns: Vec<Vec<f64>> = (0..columns.len()).map(pick).collect();
        let row = |r: usize| {
            columns.iter().flat_map(move |c| {
                let width = c.len() / rows.max(1);
                c[r * width..(r + 1) * width].iter().copied()
            })
        };
        (0..rows).map(|r| row(r).collect()).collect()
    };
    if let Some((name, ..)) = columns.iter().find(|(_, got, _)| rows > 0 && got.len() % rows != 0) {
        return Err(Mismatch::new(name, format!("is no column of a table of {rows} rows")));
    }
    let exact: Vec<bool> = columns
        .iter()
        .flat_map(|(_, _, want)| std::iter::repeat_n(is_exact(want), want.len() / rows.max(1)))
        .collect();
    let mut unused = table(&|c| columns[c].1.to_f64());
    for (r, want) in table(&|c| columns[c].2.to_f64()).into_iter().enumerate() {
        let close = |got: &Vec<f64>| {
            got.len() == want.len()
                && got.iter().zip(&want).zip(&exact).all(|((g, w), &exact)| {
                    let allowed = if exact { 0.0 } else { case.atol + case.rtol * w.abs() };
                    (g - w).abs() <= allowed
                })
        };
        let Some(found) = unused.iter().position(close) else {
            return Err(Mismatch::new(name, format!("and its table have no row like expected row {r}")));
        };
        unused.swap_remove(found);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::CaseFile;

    fn check(file: CaseFile, got: &[(&str, Array)]) -> Result<Worst, Mismatch> {
        let got = got.iter().map(|(n, a)| ((*n).to_owned(), a.clone())).collect();
        compare(&file.parse().unwrap(), &got, &[])
    }

    #[test]
    fn tolerance_is_absolute_plus_relative() {
        let file = CaseFile::new("m", "c").tensor("out.y", Array::vector([100.0]));
        assert!(check(file.clone(), &[("y", Array::vector([100.0009]))]).is_ok());
        let error = check(file.clone(), &[("y", Array::vector([100.002]))]).unwrap_err();
        assert_eq!(error.tensor, "y");
        assert!(error.reason.contains("off by"), "{}", error.reason);
        assert!(check(file, &[("y", Array::vector([f32::NAN]))]).is_err());
    }

    #[test]
    fn missing_and_misshapen_outputs_are_named() {
        let file = CaseFile::new("m", "c").tensor("out.y", Array::f32([1, 2], vec![0.0; 2]).unwrap());
        assert_eq!(check(file.clone(), &[]).unwrap_err().reason, "was not computed");
        let wrong = Array::f32([2, 2], vec![0.0; 4]).unwrap();
        assert_eq!(check(file, &[("y", wrong)]).unwrap_err().reason, "has shape [2, 2], expected [1, 2]");
    }

    #[test]
    fn integers_must_be_equal() {
        let file = CaseFile::new("m", "c").tensor("out.n", Array::integers([3, 4])).metadata("atol", "10");
        assert!(check(file.clone(), &[("n", Array::integers([3, 4]))]).is_ok());
        assert!(check(file, &[("n", Array::integers([3, 5]))]).is_err());
    }

    #[test]
    fn selections_pick_what_is_stored() {
        let whole = Array::f32([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let strided = CaseFile::new("m", "c")
            .metadata("harness", r#"{"outputs": {"y": {"shape": [2, 3], "stride": 4, "scale": 0.5}}}"#)
            .tensor("out.y", Array::vector([0.0, 2.0]));
        assert!(check(strided, &[("y", whole.clone())]).is_ok());
        let indexed = CaseFile::new("m", "c")
            .metadata("harness", r#"{"outputs": {"y": {"shape": [2, 3], "index": [null, [2, 0]]}}}"#)
            .tensor("out.y", Array::f32([2, 2], vec![2.0, 0.0, 5.0, 3.0]).unwrap());
        assert!(check(indexed.clone(), &[("y", whole)]).is_ok());
        let other = Array::f32([3, 2], vec![0.0; 6]).unwrap();
        assert!(check(indexed, &[("y", other)]).unwrap_err().reason.contains("expected [2, 3]"));
    }

    #[test]
    fn partitions_agree_up_to_names() {
        let file = CaseFile::new("m", "c")
            .metadata("harness", r#"{"compare": {"a": "partition"}}"#)
            .tensor("out.a", Array::integers([0, 0, 1, 2]));
        assert!(check(file.clone(), &[("a", Array::integers([7, 7, 3, 5]))]).is_ok());
        assert!(check(file.clone(), &[("a", Array::integers([7, 7, 3, 3]))]).is_err());
        assert!(check(file, &[("a", Array::integers([7, 6, 3, 5]))]).is_err());
    }

    #[test]
    fn rows_come_in_any_order_but_whole() {
        let file = CaseFile::new("m", "c")
            .metadata("harness", r#"{"compare": {"s": "rows", "b": "rows"}}"#)
            .tensor("out.s", Array::vector([1.0, 2.0]))
            .tensor("out.b", Array::integers([10, 20]));
        let swapped = [("s", Array::vector([2.0, 1.0])), ("b", Array::integers([20, 10]))];
        assert!(check(file.clone(), &swapped).is_ok());
        let torn = [("s", Array::vector([2.0, 1.0])), ("b", Array::integers([10, 20]))];
        assert!(check(file, &torn).is_err());
    }
}

//! Comparing embeddings: cosine and Euclidean, in double precision.

use crate::named::named_variants;
use crate::{Matrix, MetricError, Result, check};
use rayon::prelude::*;

/// How two embeddings are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Cosine of the angle between them; larger is more alike.
    #[default]
    Cosine,
    /// Length of their difference; smaller is more alike.
    Euclidean,
}

named_variants!(Measure, "measure", { Cosine => "cosine", Euclidean => "euclidean" });

const LANES: usize = 8;

/// Sum of `f(x, y)` over two rows, in a fixed order of eight interleaved partial sums: fast, and the same everywhere.
#[inline]
fn sum_over(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(&x, &y)| f(x, y)).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f(x[lane], y[lane]);
        }
    }
    lanes.iter().sum::<f64>() + tail
}

/// Inner product of two rows of equal length.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum_over(a, b, |x, y| x * y)
}

/// Squared Euclidean distance of two rows of equal length.
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    sum_over(a, b, |x, y| (x - y) * (x - y))
}

/// The rows scaled to unit length, row-major. Fails on a row of zeros.
pub fn unit_rows(matrix: Matrix<'_>) -> Result<Vec<f64>> {
    let mut unit = matrix.values().to_vec();
    for (row, values) in unit.chunks_exact_mut(matrix.columns()).enumerate() {
        let norm = dot(values, values).sqrt();
        if norm == 0.0 {
            return Err(MetricError::ZeroNorm { name: matrix.name(), row });
        }
        if norm.is_infinite() {
            return Err(MetricError::NotFinite { name: "norms of the rows", index: row, value: norm });
        }
        values.iter_mut().for_each(|v| *v /= norm);
    }
    Ok(unit)
}

/// Every row of `a` compared with every row of `b`: `[a.rows, b.rows]`, row-major.
pub fn pairwise(a: Matrix<'_>, b: Matrix<'_>, measure: Measure) -> Result<Vec<f64>> {
    let comparer = Comparer::new(a, b, measure)?;
    let rows: Vec<Vec<f64>> = (0..a.rows()).into_par_iter().map(|i| comparer.row(i)).collect();
    Ok(rows.concat())
}

/// Rows 2k and 2k+1 compared, for every k: the layout of verification sets.
pub fn of_pairs(embeddings: Matrix<'_>, measure: Measure) -> Result<Vec<f64>> {
    check_pairs(embeddings)?;
    let unit;
    let embeddings = match measure {
        Measure::Euclidean => embeddings,
        Measure::Cosine => {
            unit = unit_rows(embeddings)?;
            Matrix::new(embeddings.name(), &unit, [embeddings.rows(), embeddings.columns()])?
        }
    };
    let compare = |k: usize| {
        let (a, b) = (embeddings.row(2 * k), embeddings.row(2 * k + 1));
        match measure {
            Measure::Euclidean => squared_distance(a, b).sqrt(),
            Measure::Cosine => dot(a, b),
        }
    };
    Ok((0..embeddings.rows() / 2).map(compare).collect())
}

/// Squared distances of rows 2k and 2k+1.
pub fn squared_distances_of_pairs(embeddings: Matrix<'_>) -> Result<Vec<f64>> {
    check_pairs(embeddings)?;
    let pair = |k| squared_distance(embeddings.row(2 * k), embeddings.row(2 * k + 1));
    Ok((0..embeddings.rows() / 2).map(pair).collect())
}

fn check_pairs(embeddings: Matrix<'_>) -> Result<()> {
    if embeddings.rows().is_multiple_of(2) {
        return Ok(());
    }
    Err(check::setting(
        "rows of embeddings",
        embeddings.rows(),
        "an even number: rows 2k and 2k+1 are a pair",
    ))
}

/// The values of all pairs of a probe and a gallery item: those of equal label, then those of different labels.
///
/// `similarity` is `[probes, gallery]`.
pub fn split_by_label(
    similarity: Matrix<'_>,
    probe_labels: &[i64],
    gallery_labels: &[i64],
) -> Result<(Vec<f64>, Vec<f64>)> {
    check::same_length("probe_labels", probe_labels.len(), similarity.name(), similarity.rows())?;
    check::same_length("gallery_labels", gallery_labels.len(), similarity.name(), similarity.columns())?;
    let (mut genuine, mut impostor) = (Vec::new(), Vec::new());
    for (row, probe) in similarity.iter().zip(probe_labels) {
        for (&score, gallery) in row.iter().zip(gallery_labels) {
            if probe == gallery { genuine.push(score) } else { impostor.push(score) }
        }
    }
    Ok((genuine, impostor))
}

/// Compares rows of `a` with all of `b`, a row at a time, so that no table of `[a, b]` is needed.
pub(crate) struct Comparer<'a> {
    a: Rows<'a>,
    b: Rows<'a>,
    columns: usize,
    measure: Measure,
}

/// Rows as they are, or scaled to unit length.
type Rows<'a> = std::borrow::Cow<'a, [f64]>;

impl<'a> Comparer<'a> {
    pub(crate) fn new(a: Matrix<'a>, b: Matrix<'a>, measure: Measure) -> Result<Self> {
        b.same_width(&a)?;
        let prepare = |m: Matrix<'a>| -> Result<Rows<'a>> {
            Ok(match measure {
                Measure::Euclidean => m.values().into(),
                Measure::Cosine => unit_rows(m)?.into(),
            })
        };
        Ok(Self { a: prepare(a)?, b: prepare(b)?, columns: a.columns(), measure })
    }

    /// Row `index` of `a` against every row of `b`.
    pub(crate) fn row(&self, index: usize) -> Vec<f64> {
        let probe = &self.a[index * self.columns..(index + 1) * self.columns];
        let others = self.b.chunks_exact(self.columns);
        match self.measure {
            Measure::Cosine => others.map(|other| dot(probe, other)).collect(),
            Measure::Euclidean => others.map(|other| squared_distance(probe, other).sqrt()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_sum_like_short_ones() {
        let a: Vec<f64> = (0..19).map(f64::from).collect();
        let b: Vec<f64> = (0..19).map(|i| f64::from(2 * i + 1)).collect();
        assert_eq!(dot(&a, &b), (0..19).map(|i| f64::from(i * (2 * i + 1))).sum());
        assert_eq!(squared_distance(&a, &b), (0..19).map(|i| f64::from((i + 1) * (i + 1))).sum());
    }

    #[test]
    fn pairs_and_tables_agree() {
        let values = [3.0, 4.0, 4.0, -3.0, 1.0, 0.0, 5.0, 0.0];
        let rows = Matrix::new("rows", &values, [4, 2]).unwrap();
        assert_eq!(of_pairs(rows, Measure::Cosine).unwrap(), [0.0, 1.0]);
        assert_eq!(of_pairs(rows, Measure::Euclidean).unwrap(), [50f64.sqrt(), 4.0]);
        assert_eq!(squared_distances_of_pairs(rows).unwrap(), [50.0, 16.0]);
        let table = pairwise(rows, rows, Measure::Euclidean).unwrap();
        assert_eq!((table[1], table[2 * 4 + 3]), (50f64.sqrt(), 4.0));
    }

    #[test]
    fn refuses_what_has_no_direction_or_no_partner() {
        let rows = Matrix::new("probe", &[1.0, 0.0, 0.0, 0.0], [2, 2]).unwrap();
        let error = pairwise(rows, rows, Measure::Cosine).unwrap_err();
        assert_eq!(error.to_string(), "row 1 of probe has length zero, so its cosine is undefined");
        assert!(pairwise(rows, rows, Measure::Euclidean).is_ok());
        let wide = Matrix::new("gallery", &[1.0; 3], [1, 3]).unwrap();
        assert!(matches!(pairwise(rows, wide, Measure::Cosine), Err(MetricError::Columns { found: 3, .. })));
        let odd = Matrix::new("embeddings", &[1.0; 3], [3, 1]).unwrap();
        assert!(squared_distances_of_pairs(odd).is_err());
    }

    #[test]
    fn splits_scores_by_label() {
        let table = Matrix::new("similarity", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]).unwrap();
        let (genuine, impostor) = split_by_label(table, &[7, 8], &[7, 8, 7]).unwrap();
        assert_eq!(genuine, [1.0, 3.0, 5.0]);
        assert_eq!(impostor, [2.0, 4.0, 6.0]);
        assert!(split_by_label(table, &[7], &[7, 8, 7]).is_err());
    }
}

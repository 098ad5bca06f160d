//! Scores of all vectors: the truth that searches are measured by, and the way to search few.

use rayon::prelude::*;

use super::candidates::{keep_best, key, unkey};
use super::error::IndexError;
use super::rows::{Rows, normalize};
use super::search::Hits;
use super::{Index, Similarity};
use crate::kernels::product::rows_by_rows;
use crate::kernels::rows::row_f32;

/// Queries and vectors whose products are computed at a time.
const QUERIES: usize = 64;
const VECTORS: usize = 512;

/// The best `k` of all `rows` for each query, row numbers as ids, by exact scores in single precision.
///
/// # Errors
/// [`IndexError`] for queries of another length or no results.
pub fn exact(
    rows: Rows<'_>,
    queries: Rows<'_>,
    similarity: Similarity,
    k: usize,
) -> Result<Hits, IndexError> {
    if queries.dim() != rows.dim() {
        let (found, wanted) = (queries.dim(), rows.dim());
        return Err(IndexError::Dimension { what: "the queries", found, wanted });
    }
    if k == 0 {
        return Err(IndexError::setting("k", 0, "at least 1"));
    }
    let dim = rows.dim();
    let unit = |rows: Rows<'_>| {
        let mut unit = rows.data().to_vec();
        if similarity == Similarity::Cosine {
            unit.chunks_exact_mut(dim).for_each(normalize);
        }
        unit
    };
    let (vectors, queries) = (unit(rows), unit(queries));
    let distances = similarity == Similarity::SquaredL2;
    let halves: Vec<f32> = match distances {
        true => vectors.chunks_exact(dim).map(|x| -0.5 * row_f32(x, x)).collect(),
        false => Vec::new(),
    };
    let part = |queries: &[f32]| {
        let count = queries.len() / dim;
        let mut best: Vec<Vec<u64>> = vec![Vec::new(); count];
        let mut products = vec![0.0; count * VECTORS];
        for (tile, vectors) in vectors.chunks(VECTORS * dim).enumerate() {
            let number = vectors.len() / dim;
            let products = &mut products[..count * number];
            rows_by_rows(queries, vectors, dim, products);
            for (products, best) in products.chunks_exact_mut(number).zip(&mut best) {
                let first = tile * VECTORS;
                if distances {
                    products.iter_mut().zip(&halves[first..]).for_each(|(product, half)| *product += half);
                }
                let keys = products.iter().enumerate().map(|(i, &score)| key(score, (first + i) as u32));
                best.extend(keys);
                keep_best(best, k);
            }
        }
        let finish = |(query, mut best): (&[f32], Vec<u64>)| {
            best.sort_unstable();
            let squared = distances.then(|| row_f32(query, query));
            let found = best.into_iter().map(unkey).map(move |(score, row)| {
                (u64::from(row), squared.map_or(score, |squared| (squared - 2.0 * score).max(0.0)))
            });
            let missing = if distances { f32::INFINITY } else { f32::NEG_INFINITY };
            found.chain(std::iter::repeat((Hits::NONE, missing))).take(k).collect::<Vec<_>>()
        };
        queries.chunks_exact(dim).zip(best).flat_map(finish).collect::<Vec<(u64, f32)>>()
    };
    let (ids, scores) = queries.par_chunks(QUERIES * dim).flat_map_iter(part).unzip();
    Ok(Hits { k, ids, scores })
}

impl Index {
    /// All vectors as they are kept, `[N, dim]` with their ids; nothing where they are not kept.
    pub fn vectors(&self) -> Option<(Vec<f32>, Vec<u64>)> {
        let dim = self.dim();
        let mut data = Vec::with_capacity(self.count() * dim);
        let mut ids = Vec::with_capacity(self.count());
        for segment in &self.segments {
            for row in (0..segment.ids.count()).filter(|row| !segment.deleted.contains(*row as u32)) {
                let start = data.len();
                data.resize(start + dim, 0.0);
                if !segment.rows.row(row, &mut data[start..]) {
                    return None;
                }
                ids.push(segment.ids.get(row));
            }
        }
        Some((data, ids))
    }
}

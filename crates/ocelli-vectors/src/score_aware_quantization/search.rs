//! Search as it is defined (section 3.6), one query at a time: what faster searches must return.

use super::codebook::Codebook;
use super::table::ScoreTable;
use super::{QuantizationError, Result, rows, same};
use crate::linear::dot;

/// How many are looked at and returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Results a query.
    pub k: usize,
    /// Candidates whose inner product is computed exactly, at least `k`.
    pub reorder: usize,
    /// Partitions that are looked into; plays no part without partitions.
    pub leaves: usize,
    /// Whether candidates are ranked by tables in eight bits.
    pub integer: bool,
}

/// The partitions of a set of vectors, whose codes are then of residuals.
#[derive(Clone, Copy, Debug)]
pub struct Partitions<'a> {
    /// `[K, dim]`.
    pub centers: &'a [f64],
    /// The partition of each vector, `[N]`.
    pub tokens: &'a [usize],
}

/// A result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The vector's number; `None` where there are fewer than k candidates.
    pub id: Option<usize>,
    /// The exact inner product; minus infinity without a vector.
    pub score: f64,
}

/// The vectors of `x [N, dim]` with the largest inner products with `query [dim]`, among those whose quantized scores are
/// best. Equal scores go by number.
///
/// # Errors
/// [`QuantizationError`] naming the input.
pub fn search(
    codebook: &Codebook,
    codes: &[usize],
    x: &[f64],
    partitions: Option<Partitions<'_>>,
    query: &[f64],
    how: Search,
) -> Result<Vec<Found>> {
    let dim = codebook.dim();
    let count = rows("x", x, dim)?;
    codebook.check_codes(codes, count)?;
    let table = ScoreTable::new(codebook, query)?;
    let integers = table.to_integers();
    let blocks = codebook.blocks();
    let approximate = |i: usize| {
        let codes = &codes[i * blocks..(i + 1) * blocks];
        match how.integer {
            true => f64::from(integers.score(codes)) / integers.multiplier,
            false => table.score(codes),
        }
    };
    let mut candidates = match partitions {
        None => (0..count).map(|i| (approximate(i), i)).collect(),
        Some(partitions) => {
            let leaf = leaf_scores(partitions, count, dim, query, how.leaves)?;
            let inside = (0..count).filter_map(|i| Some((leaf[partitions.tokens[i]]? + approximate(i), i)));
            inside.collect::<Vec<_>>()
        }
    };
    rank(&mut candidates, how.reorder.max(how.k));
    for (score, i) in &mut candidates {
        *score = dot(query, &x[*i * dim..(*i + 1) * dim]);
    }
    rank(&mut candidates, how.k);
    let mut found: Vec<Found> =
        candidates.into_iter().map(|(score, id)| Found { id: Some(id), score }).collect();
    found.resize(how.k, Found { id: None, score: f64::NEG_INFINITY });
    Ok(found)
}

/// The score of each partition that is looked into, `None` for the others.
fn leaf_scores(
    partitions: Partitions<'_>,
    count: usize,
    dim: usize,
    query: &[f64],
    leaves: usize,
) -> Result<Vec<Option<f64>>> {
    let Partitions { centers, tokens } = partitions;
    let number = rows("centers", centers, dim)?;
    same("tokens", tokens.len(), count)?;
    if let Some((index, &token)) = tokens.iter().enumerate().find(|(_, token)| **token >= number) {
        return Err(QuantizationError::OutOfRange {
            name: "tokens",
            index,
            value: token as i64,
            count: number,
        });
    }
    let mut ranked: Vec<(f64, usize)> =
        centers.chunks_exact(dim).enumerate().map(|(j, center)| (dot(query, center), j)).collect();
    rank(&mut ranked, leaves);
    let mut scores = vec![None; number];
    ranked.into_iter().for_each(|(score, j)| scores[j] = Some(score));
    Ok(scores)
}

/// Keeps the best by falling score, equal ones by number.
fn rank(scored: &mut Vec<(f64, usize)>, keep: usize) {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(keep);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_candidates_leave_empty_places() {
        let codebook = Codebook::new(vec![(2, vec![1.0, 0.0, 0.0, 1.0])]).unwrap();
        let x = [1.0, 0.0, 0.0, 1.0, 0.9, 0.1];
        let how = Search { k: 2, reorder: 2, leaves: 1, integer: true };
        let partitions = Partitions { centers: &[1.0, 0.0, 0.0, 1.0], tokens: &[0, 1, 0] };
        let found = search(&codebook, &[0, 1, 0], &x, Some(partitions), &[0.0, 1.0], how).unwrap();
        assert_eq!(found[0], Found { id: Some(1), score: 1.0 });
        assert_eq!(found[1], Found { id: None, score: f64::NEG_INFINITY });
        let all = search(&codebook, &[0, 1, 0], &x, None, &[1.0, 0.0], how).unwrap();
        assert_eq!([all[0].id, all[1].id], [Some(0), Some(2)]);
    }

    #[test]
    fn impossible_inputs_are_named() {
        let codebook = Codebook::new(vec![(2, vec![1.0, 0.0, 0.0, 1.0])]).unwrap();
        let how = Search { k: 1, reorder: 1, leaves: 1, integer: false };
        let refused = |codes: &[usize], query: &[f64]| {
            search(&codebook, codes, &[1.0, 0.0], None, query, how).unwrap_err().to_string()
        };
        assert!(refused(&[2], &[1.0, 0.0]).contains("is 2, but there are 2"));
        assert!(refused(&[0, 0], &[1.0, 0.0]).contains("the codes"));
        assert!(refused(&[0], &[1.0]).contains("the query"));
        assert!(refused(&[0], &[1.0, f64::NAN]).contains("the query[1]"));
    }
}

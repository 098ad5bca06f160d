//! True neighbours, and results of several searches as one.

use std::collections::HashSet;
use std::ops::Range;

use ocelli_vectors::index::{Hits, Rows, Similarity, exact};

use super::files::{At, Data, check_directions};

/// Bytes of vectors that are compared with all queries in one go.
const PIECE: usize = 4 << 20;

/// What was found in several sets, as if they were one; an id that two of them have is found once.
pub(super) fn merged(parts: &[Hits], similarity: Similarity) -> Hits {
    let k = parts.iter().map(|hits| hits.k).max().unwrap_or(0);
    let queries = parts.first().map_or(0, |hits| hits.ids.len() / hits.k.max(1));
    let falling = similarity != Similarity::SquaredL2;
    let worst = if falling { f32::NEG_INFINITY } else { f32::INFINITY };
    let mut all = Hits { k, ids: Vec::with_capacity(queries * k), scores: Vec::with_capacity(queries * k) };
    for query in 0..queries {
        let of = |hits: &Hits| {
            let range = query * hits.k..(query + 1) * hits.k;
            let pairs = hits.scores[range.clone()].iter().copied().zip(hits.ids[range].iter().copied());
            pairs.filter(|(_, id)| *id != Hits::NONE).collect::<Vec<_>>()
        };
        let mut found: Vec<(f32, u64)> = parts.iter().flat_map(of).collect();
        found.sort_by(|a, b| {
            let order = if falling { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) };
            order.then(a.1.cmp(&b.1))
        });
        let mut known = HashSet::new();
        found.retain(|(_, id)| known.insert(*id));
        found.resize(k, (worst, Hits::NONE));
        all.scores.extend(found.iter().map(|(score, _)| score));
        all.ids.extend(found.iter().map(|(_, id)| id));
    }
    all
}

/// The true `k` best of some rows of a file, by their ids. The file is read in pieces.
pub(super) fn truth(
    data: &mut Data,
    rows: Range<usize>,
    queries: Rows<'_>,
    similarity: Similarity,
    k: usize,
) -> anyhow::Result<Hits> {
    let (path, dim) = (data.path.clone(), data.dim());
    let piece = (PIECE / (4 * dim)).max(512);
    let mut best: Option<Hits> = None;
    for start in rows.clone().step_by(piece) {
        let part = start..(start + piece).min(rows.end);
        let ids = data.ids(part.clone());
        let values = data.rows(part)?;
        check_directions(&path, &values, dim, start, similarity)?;
        let vectors = Rows::new("the vectors", &values, dim).at(&path)?;
        let mut hits = exact(vectors, queries, similarity, k)?;
        hits.ids.iter_mut().filter(|id| **id != Hits::NONE).for_each(|id| *id = ids[*id as usize]);
        best = Some(match best {
            None => hits,
            Some(before) => merged(&[before, hits], similarity),
        });
    }
    Ok(best.unwrap_or(Hits { k, ids: Vec::new(), scores: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_merged_by_score_then_id() {
        let hits =
            |ids: [u64; 2], scores: [f32; 2]| Hits { k: 2, ids: ids.to_vec(), scores: scores.to_vec() };
        let a = hits([5, 1], [0.9, 0.2]);
        let b = hits([3, Hits::NONE], [0.9, f32::NEG_INFINITY]);
        assert_eq!(merged(&[a.clone(), b.clone()], Similarity::Cosine).ids, [3, 5]);
        assert_eq!(merged(&[a.clone(), a], Similarity::Cosine).ids, [5, 1]);
        assert_eq!(merged(&[b.clone(), b], Similarity::Cosine).ids, [3, Hits::NONE]);
        let near = merged(&[hits([5, 1], [0.1, 0.4]), hits([3, 2], [0.2, 0.3])], Similarity::SquaredL2);
        assert_eq!((near.ids, near.scores), (vec![5, 3], vec![0.1, 0.2]));
    }
}

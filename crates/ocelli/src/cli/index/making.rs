//! An index from the rows of a file.

use std::ops::Range;

use anyhow::ensure;
use ocelli_method::random::stream;
use ocelli_vectors::index::{BuildConfig, Index, Rows};
use rand::seq::index::sample;

use super::files::{At, Data, check_directions};
use super::memory::Way;

/// Builds an index of some rows.
pub(super) fn make(
    data: &mut Data,
    rows: Range<usize>,
    config: &BuildConfig,
    way: Way,
) -> anyhow::Result<Index> {
    match way {
        Way::Whole => whole(data, rows, config),
        Way::Pieces { sample, piece, compact } => pieces(data, rows, config, [sample, piece], compact),
    }
}

fn whole(data: &mut Data, rows: Range<usize>, config: &BuildConfig) -> anyhow::Result<Index> {
    let (path, dim) = (data.path.clone(), data.dim());
    let ids = (data.has_ids() || rows.start > 0).then(|| data.ids(rows.clone()));
    let first = rows.start;
    let values = data.rows(rows)?;
    check_directions(&path, &values, dim, first, config.similarity)?;
    Index::build(Rows::new("the vectors", &values, dim).at(&path)?, ids.as_deref(), config).at(&path)
}

/// Trains with a random sample, whose vectors are the first of the index, and adds the others piece by piece.
fn pieces(
    data: &mut Data,
    rows: Range<usize>,
    config: &BuildConfig,
    [drawn, piece]: [usize; 2],
    compact: bool,
) -> anyhow::Result<Index> {
    let (path, dim) = (data.path.clone(), data.dim());
    let mut chosen = sample(&mut stream(config.seed, "training rows", 0), rows.len(), drawn.min(rows.len()))
        .into_iter()
        .map(|row| rows.start + row)
        .collect::<Vec<usize>>();
    chosen.sort_unstable();
    let partitions = config.partitions_for(rows.len());
    ensure!(
        partitions <= chosen.len(),
        "{partitions} partitions cannot be trained with the {} vectors that fit into memory at once",
        chosen.len()
    );
    let config = BuildConfig { partitions: Some(partitions), ..config.clone() };
    let ids: Vec<u64> = chosen.iter().map(|row| data.id(*row)).collect();
    let values = data.some(&chosen)?;
    let vectors = Rows::new("the vectors", &values, dim).at(&path)?;
    let mut index = Index::build(vectors, Some(&ids), &config).at(&path)?;
    drop(values);
    for start in rows.clone().step_by(piece) {
        let part = start..(start + piece).min(rows.end);
        // Rows of the sample are there already.
        let taken = &chosen[chosen.partition_point(|row| *row < start)..];
        let taken = &taken[..taken.partition_point(|row| *row < part.end)];
        let mut left: Vec<f32> = data.rows(part.clone())?.into_owned();
        check_directions(&path, &left, dim, start, config.similarity)?;
        let mut ids = Vec::with_capacity(part.len());
        let mut kept = 0;
        for row in part.filter(|row| taken.binary_search(row).is_err()) {
            let from = (row - start) * dim;
            left.copy_within(from..from + dim, kept * dim);
            kept += 1;
            ids.push(data.id(row));
        }
        left.truncate(kept * dim);
        if kept > 0 {
            index.add(Rows::new("the vectors", &left, dim).at(&path)?, &ids).at(&path)?;
        }
    }
    if compact {
        index.compact();
    }
    Ok(index)
}

//! Times searches with given settings: `time_search BASE.fvecs QUERIES.fvecs PARTITIONS LEAVES,REORDER …`. Printed are
//! microseconds a query, the least of some rounds in turns: all queries in one call, and one by one.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use ocelli_vectors::index::{BuildConfig, Index, Rows, SearchParams};

const ROUNDS: usize = 15;

/// Vectors of a `.fvecs` file, one after another, and their length.
fn read(path: &str) -> Result<(Vec<f32>, usize), Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let head = bytes.first_chunk::<4>().ok_or("the file is empty")?;
    let dim = usize::try_from(i32::from_le_bytes(*head))?;
    let values =
        |row: &[u8]| row[4..].as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect::<Vec<f32>>();
    Ok((bytes.chunks_exact(4 + 4 * dim).flat_map(values).collect(), dim))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, partitions, settings @ ..] = arguments.as_slice() else {
        return Err("time_search BASE.fvecs QUERIES.fvecs PARTITIONS LEAVES,REORDER …".into());
    };
    let ((base, dim), (queries, _)) = (read(base)?, read(queries)?);
    let config = BuildConfig { partitions: Some(partitions.parse()?), ..BuildConfig::default() };
    let index = Index::build(Rows::new("the vectors", &base, dim)?, None, &config)?;
    let queries = Rows::new("the queries", &queries, dim)?.first(2000);
    let parse = |text: &String| -> Result<SearchParams, Box<dyn Error>> {
        let (leaves, reorder) = text.split_once(',').ok_or("LEAVES,REORDER")?;
        Ok(SearchParams { k: 10, leaves: leaves.parse()?, reorder: reorder.parse()? })
    };
    let settings = settings.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut least = vec![[f64::INFINITY; 2]; settings.len()];
    for _ in 0..ROUNDS {
        for (params, least) in settings.iter().zip(&mut least) {
            let started = Instant::now();
            index.search(queries, params)?;
            least[0] = least[0].min(started.elapsed().as_secs_f64());
            let started = Instant::now();
            for row in 0..queries.count() {
                index.search(Rows::new("the queries", queries.row(row), dim)?, params)?;
            }
            least[1] = least[1].min(started.elapsed().as_secs_f64());
        }
    }
    for (params, least) in settings.iter().zip(least) {
        let [batch, single] = least.map(|seconds| seconds * 1e6 / queries.count() as f64);
        println!(
            "{} leaves, reorder {}: batch {batch:.2} us, single {single:.2} us",
            params.leaves, params.reorder
        );
    }
    Ok(())
}

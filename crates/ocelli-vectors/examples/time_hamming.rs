//! Searches packed codes and prints seconds:
//! `cargo run --release -p ocelli-vectors --example time_hamming -- DATABASE QUERIES BITS K WAY CALLS DISTANCES`.
//! `DATABASE` and `QUERIES` are files of packed codes and nothing else. `WAY` is `scan`, `multi-index`, or that with a
//! number of substrings, `multi-index=4`; a `K` such as `r6` asks for all within a radius of 6. `CALLS` is `batch` for one
//! call with all queries or `single` for a call each. The distances found go to `DISTANCES`, as u32.
//! `benchmarks/vectors/hamming.py` makes the files and runs the tools it is compared with.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs;
use std::time::Instant;

use ocelli_vectors::hamming::{Codes, MultiIndex, Neighbours, Result};

/// Seconds of processor of all threads so far, where the system tells.
fn processor() -> Option<f64> {
    let of_thread = |entry: std::io::Result<fs::DirEntry>| -> Option<f64> {
        let text = fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    fs::read_dir("/proc/self/task")
        .ok()?
        .map(of_thread)
        .sum::<Option<f64>>()
        .map(|nanoseconds| nanoseconds / 1e9)
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, queries, bits, k, way, calls, distances] = &arguments[..] else {
        return Err("DATABASE QUERIES BITS K WAY CALLS DISTANCES are wanted".into());
    };
    let bits: usize = bits.parse()?;
    let (bytes, query_bytes) = (fs::read(database)?, fs::read(queries)?);
    let start = Instant::now();
    let codes = Codes::from_bytes(&bytes, bits)?;
    println!("pack {:.4}", start.elapsed().as_secs_f64());
    let queries = match &calls[..] {
        "batch" => vec![Codes::from_bytes(&query_bytes, bits)?],
        "single" => query_bytes
            .chunks(bits.div_ceil(8))
            .map(|query| Codes::from_bytes(query, bits))
            .collect::<Result<_>>()?,
        _ => return Err("CALLS is batch or single".into()),
    };
    let start = Instant::now();
    let (wanted, substrings) = way.split_once('=').unwrap_or((way, ""));
    let index = match wanted {
        "multi-index" if substrings.is_empty() => Some(MultiIndex::new(codes.clone())?),
        "multi-index" => Some(MultiIndex::with_substrings(codes.clone(), substrings.parse()?)?),
        "scan" => None,
        _ => return Err("WAY is scan or multi-index".into()),
    };
    println!("build {:.4}", start.elapsed().as_secs_f64());
    if let Some(index) = &index {
        println!("substrings {}\ntable_bytes {}", index.substrings(), index.table_bytes());
    }
    let search = |queries: &Codes| -> std::result::Result<Neighbours, Box<dyn Error>> {
        Ok(match (k.strip_prefix('r'), &index) {
            (None, Some(index)) => index.nearest(queries, k.parse()?)?,
            (None, None) => codes.nearest(queries, k.parse()?)?,
            (Some(radius), Some(index)) => index.within(queries, radius.parse()?)?,
            (Some(radius), None) => codes.within(queries, radius.parse()?)?,
        })
    };
    let (start, before) = (Instant::now(), processor());
    let found: Vec<Neighbours> = queries.iter().map(search).collect::<std::result::Result<_, _>>()?;
    println!("seconds {:.4}", start.elapsed().as_secs_f64());
    if let (Some(before), Some(after)) = (before, processor()) {
        println!("processor {:.4}", after - before);
    }
    let all = found.iter().flat_map(Neighbours::iter).flatten();
    fs::write(distances, all.flat_map(|n| n.distance.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}

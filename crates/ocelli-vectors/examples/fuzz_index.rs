//! Damages indexes and uses what opens nevertheless:
//! `cargo run --release -p ocelli-vectors --example fuzz_index -- SECONDS [SEED [FIRST]]`.
//!
//! Each round takes the file of an index (of vectors in every storage, in two partitions each, by distance, with additions,
//! deletions and metadata, with codes of eight bits; of binary codes), changes it, and opens it as the command does without
//! comparing checksums, every second time with the checksums of header and table set right as a forger would. What opens is
//! searched, listed, added to, deleted from and compacted: answers may be wrong then, but nothing may panic. With checksums
//! compared, damage that is no forger's must be noticed. A failure prints the round, which `FIRST` repeats, and ends with
//! status 1.
#![allow(clippy::print_stdout)]

mod damage;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ocelli_method::random::stream;
use ocelli_vectors::container::Container;
use ocelli_vectors::hamming::{Codes, HammingIndex};
use ocelli_vectors::index::{
    BuildConfig, Index, MetadataColumn, MetadataValues, Rows, SearchParams, Similarity, Spill, Storage,
};
use ocelli_vectors::scann::ScannIndex;
use rand::RngExt;

use damage::{Error, damage, forge};

const DIM: usize = 7;

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut draw = stream(seed, "numbers", 0);
    (0..count).map(|_| draw.random::<f32>() - 0.5).collect()
}

/// The bytes of valid files.
fn valid(folder: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let path = folder.join("valid");
    let mut files = Vec::new();
    let storages = [Storage::F32, Storage::F16, Storage::Int8, Storage::None];
    let similarities = [Similarity::InnerProduct, Similarity::Cosine, Similarity::SquaredL2];
    for (number, storage) in storages.into_iter().cycle().take(12).enumerate() {
        let config = BuildConfig {
            similarity: similarities[number % 3],
            partitions: Some(1 + number % 4),
            spill: (number % 2 == 1).then(Spill::default),
            storage,
            ..BuildConfig::default()
        };
        let data = numbers(number as u64, 70 * DIM);
        let (first, more) = data.split_at(50 * DIM);
        let mut index = Index::build(Rows::new("rows", first, DIM)?, None, &config)?;
        if number % 3 != 0 {
            let ids: Vec<u64> = (0..20).map(|id| id + (1 << 40)).collect();
            index.add(Rows::new("more", more, DIM)?, &ids)?;
            index.delete(&[3, 1 << 40, 49])?;
        }
        if number > 5 {
            let texts = ["a", "β", "", "long enough"].map(|text| Some(text.to_owned()));
            let columns = [
                ("text", MetadataValues::Texts([texts.to_vec(), vec![None]].concat())),
                ("whole", MetadataValues::Integers(vec![Some(-1), None, Some(i64::MAX), Some(0), Some(7)])),
                ("number", MetadataValues::Numbers(vec![None, Some(0.5), Some(-1e300), None, Some(0.0)])),
            ];
            let columns = columns.map(|(name, values)| MetadataColumn { name: name.to_owned(), values });
            index.add_metadata(&[0, 2, 4, 30, 40], columns.to_vec())?;
        }
        index.save(&path)?;
        files.push(std::fs::read(&path)?);
    }
    for name in ["bytes", "soar", "ties"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scann").join(name);
        Index::from_scann(&ScannIndex::read(folder)?)?.save(&path)?;
        files.push(std::fs::read(&path)?);
    }
    for bits in [16, 70, 256] {
        let codes = Codes::from_signs(&numbers(99, 60 * bits), bits)?;
        HammingIndex::new(codes, (0..60).map(|id| 7 * id).collect())?.save(&path)?;
        files.push(std::fs::read(&path)?);
    }
    Ok(files)
}

/// Does with an index what commands do.
fn use_vectors(container: Container) -> bool {
    let Ok(mut index) = Index::from_container(&Arc::new(container)) else { return false };
    let dim = index.dim();
    // A forged dimension is as long as its sections, which are not long.
    let queries = numbers(5, 3 * dim);
    let Ok(rows) = Rows::new("queries", &queries, dim) else { return false };
    for params in
        [index.defaults(), Some(SearchParams { k: 9, leaves: 2, reorder: 20 })].into_iter().flatten()
    {
        let small = SearchParams { k: params.k.min(100), reorder: params.reorder.min(500), ..params };
        let _ = index.search(rows, &small);
    }
    let ids = index.ids();
    let _ = (index.codes().packed(), index.vectors(), index.bytes(), index.fragments());
    if let Some(metadata) = index.metadata() {
        let _ = (metadata.of(&ids), metadata.ids_where("text", "a"), metadata.bytes());
    }
    let _ = index.add(rows, &[u64::MAX - 3, u64::MAX - 2, u64::MAX - 1]);
    let _ = index.delete(&ids[..ids.len().min(2)]);
    index.compact();
    let _ = index.search(rows, &SearchParams { k: 5, leaves: 1, reorder: 5 });
    true
}

fn use_codes(container: &Container) -> bool {
    let Ok(index) = HammingIndex::from_container(container) else { return false };
    let bits = index.codes().bits();
    let Ok(queries) = Codes::from_signs(&numbers(6, 3 * bits), bits) else { return false };
    let _ = (index.nearest(&queries, 4), index.within(&queries, 5), index.bytes());
    let first: Vec<u64> = index.ids().iter().copied().take(1).collect();
    let _ = index.without(&first);
    true
}

/// Whether damage that should have been noticed was not; panics where the crate does.
fn round(files: &[Vec<u8>], seed: u64, number: u64, opened: &mut u64) -> Result<bool, Error> {
    let mut draw = stream(seed, "fuzz", number);
    let good = &files[draw.random_range(0..files.len())];
    let mut bad = good.clone();
    damage(&mut draw, &mut bad);
    let forger = number % 2 == 1;
    if forger {
        forge(&mut draw, &mut bad);
    }
    let Ok(container) = Container::from_bytes("damaged", &bad) else { return Ok(false) };
    let missed = !forger && bad != *good && container.verify().is_ok();
    let used = match container.kind() {
        "hamming-index" => use_codes(&container),
        _ => use_vectors(container),
    };
    *opened += u64::from(used);
    Ok(missed)
}

fn main() -> Result<ExitCode, Error> {
    let folder = tempfile::tempdir()?;
    let files = valid(folder.path())?;
    let mut opened = 0;
    let ended = damage::run(|seed, number| round(&files, seed, number, &mut opened))?;
    println!("{opened} damaged files were opened and used");
    Ok(ended)
}

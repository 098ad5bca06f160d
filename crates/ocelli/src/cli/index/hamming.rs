//! Binary codes: read, indexed, searched.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, ensure};
use clap::Args;
use ocelli_data::annotations::{npy, vecs};
use ocelli_method::Data as Elements;
use ocelli_vectors::hamming::{Codes, HammingIndex};
use serde_json::json;

use super::files::{At, Data, Role, ending, exists};
use super::hits::Found;
use super::options::size;
use crate::cli::Ended;
use crate::cli::output;

/// Whether and how codes are binary.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Bits {
    /// Index binary codes: bytes (.bvecs, .npy of uint8) are packed codes, integers are bits (0 and 1, or -1 and 1), of
    /// other numbers the signs are taken.
    #[arg(long, conflicts_with_all = ["similarity", "partitions", "threshold", "eta", "plain", "limit_eta", "spill", "store", "recall", "memory", "shards", "metadata"])]
    hamming: bool,
    /// The same, for codes of N bits, where packed codes do not fill their last byte.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0", conflicts_with_all = ["similarity", "partitions", "threshold", "eta", "plain", "limit_eta", "spill", "store", "recall", "memory", "shards", "metadata"])]
    bits: Option<usize>,
}

impl Bits {
    /// Whether codes are to be indexed.
    pub(super) fn wanted(self) -> bool {
        self.hamming || self.bits.is_some()
    }
}

/// Reads codes. `bits` is their length where it is known.
pub(super) fn read(path: &Path, bits: Option<usize>) -> anyhow::Result<Codes> {
    exists(path)?;
    let codes = match ending(path).as_str() {
        "npy" | "bvecs" | "ivecs" => {
            let array = if ending(path) == "npy" { npy::read(path)? } else { vecs::read(path)? };
            let [_, width] = array.dims::<2>().at(path)?;
            ensure!(width > 0, "{}: codes without elements", path.display());
            match array.data() {
                Elements::U8(bytes) => packed(bytes, width, bits).at(path)?,
                Elements::I64(values) => {
                    let narrow = |value: &i64| i8::try_from(*value).unwrap_or(i8::MAX);
                    Codes::from_values(&values.iter().map(narrow).collect::<Vec<i8>>(), width).at(path)?
                }
                Elements::F32(values) => Codes::from_signs(values, width).at(path)?,
                Elements::F64(values) => {
                    Codes::from_signs(&values.iter().map(|v| *v as f32).collect::<Vec<f32>>(), width)
                        .at(path)?
                }
            }
        }
        _ => {
            let data = Data::open(path, Some("none"), Role::Base)?;
            let width = data.dim();
            Codes::from_signs(&data.into_rows()?, width).at(path)?
        }
    };
    ensure!(!codes.is_empty(), "{}: there is no code", path.display());
    if let Some(bits) = bits.filter(|bits| *bits != codes.bits()) {
        bail!("{}: codes of {} bits, {bits} are expected", path.display(), codes.bits());
    }
    Ok(codes)
}

/// Bytes are eight bits each, or one where there are as many bytes as bits.
fn packed(
    bytes: &[u8],
    width: usize,
    bits: Option<usize>,
) -> Result<Codes, ocelli_vectors::hamming::HammingError> {
    match bits {
        Some(bits) if bits == width && bits > 1 => {
            let narrow = |value: &u8| i8::try_from(*value).unwrap_or(i8::MAX);
            Codes::from_values(&bytes.iter().map(narrow).collect::<Vec<i8>>(), bits)
        }
        Some(bits) if bits.div_ceil(8) == width => Codes::from_bytes(bytes, bits),
        _ => Codes::from_bytes(bytes, 8 * width),
    }
}

/// The ids of codes: of a file, or their numbers.
pub(super) fn ids(ids: Option<&str>, from: u64, count: usize) -> anyhow::Result<Vec<u64>> {
    match ids.filter(|ids| *ids != "none") {
        Some(file) => super::files::read_ids(Path::new(file)),
        None => Ok((from..from + count as u64).collect()),
    }
}

/// `ocelli index build --hamming`
pub(super) fn build(data: &Path, out: &Path, ids_of: Option<&str>, bits: &Bits, json: bool) -> Ended {
    let started = Instant::now();
    let codes = read(data, bits.bits.filter(|bits| *bits > 0))?;
    let ids = ids(ids_of, 0, codes.len())?;
    let index = HammingIndex::new(codes, ids).at(data)?;
    index.save(out)?;
    let seconds = started.elapsed().as_secs_f64();
    let (count, bits) = (index.codes().len(), index.codes().bits());
    match json {
        true => output::json(&json!({
            "file": out,
            "codes": count,
            "bits": bits,
            "substrings": index.substrings(),
            "build_s": seconds,
            "bytes": index.bytes().iter().sum::<usize>(),
        }))?,
        false => output::line(format!(
            "{}: {count} codes of {bits} bits, {} in memory, built in {seconds:.2} s",
            out.display(),
            size(index.bytes().iter().sum::<usize>() as u64)
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is looked for among codes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Near {
    /// So many.
    Nearest(usize),
    /// All that differ in at most so many bits.
    Within(u32),
}

/// The results of several sets of codes as one.
pub(super) fn search(
    indexes: &[(PathBuf, HammingIndex)],
    queries: &Path,
    near: Near,
    may: &dyn Fn(u64) -> bool,
) -> anyhow::Result<Vec<Vec<Found>>> {
    let mut all: Vec<Vec<Found>> = Vec::new();
    let count: usize =
        indexes.iter().map(|(_, index)| index.ids().iter().filter(|id| may(**id)).count()).sum();
    if let Near::Nearest(k) = near {
        ensure!((1..=count).contains(&k), "-k {k}: from 1 to the {count} codes that may be found");
    }
    for (path, index) in indexes {
        let codes = read(queries, Some(index.codes().bits()))?;
        all.resize_with(codes.len(), Vec::new);
        let allowed;
        let index = match index.ids().iter().all(|id| may(*id)) {
            true => index,
            false if !index.ids().iter().any(|id| may(*id)) => continue,
            false => {
                allowed = index.clone().retained(may).at(path)?;
                &allowed
            }
        };
        let neighbours = match near {
            Near::Nearest(k) => index.nearest(&codes, k),
            Near::Within(radius) => index.within(&codes, radius),
        };
        let neighbours = neighbours.at(path)?;
        for (found, neighbours) in all.iter_mut().zip(neighbours.iter()) {
            let ids = index.ids();
            let hit = |n: &ocelli_vectors::hamming::Neighbour| Found {
                id: ids[n.number as usize],
                score: n.distance as f32,
            };
            found.extend(neighbours.iter().map(hit));
        }
    }
    if indexes.len() > 1 {
        for found in &mut all {
            found.sort_by(|a, b| a.score.total_cmp(&b.score).then(a.id.cmp(&b.id)));
            let mut known = std::collections::HashSet::new();
            found.retain(|hit| known.insert(hit.id));
            if let Near::Nearest(k) = near {
                found.truncate(k);
            }
        }
    }
    Ok(all)
}

//! `ocelli index export`

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use ocelli_data::annotations::npy;
use ocelli_data::vectors::parquet::ParquetWriter;
use ocelli_data::vectors::{self, Column, Ids, ReadOptions, Values, VectorSet};
use ocelli_method::{Array, Data};
use ocelli_vectors::index::{Index, VectorCodes};

use super::files::{ending, exists};
use super::known;
use super::open::{files, open_vectors};
use super::options::store_of;
use crate::cli::Ended;
use crate::cli::output;

/// Write the vectors, ids and codes of an index for other programs.
///
/// Deleted vectors are left out. Formats without room for ids have them beside, in `.ids.npy`. Codes are two blocks a
/// byte, the first in the lower half (a block a byte where an imported index has 256 codewords), and come with the partition whose centre a code adds to: columns `codes` and
/// `partition` of .parquet, `.codes.npy` and `.partitions.npy` beside all else. The index's metadata is written where there
/// are columns for it: .parquet, .csv, .tsv.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// An index, or the folder of shards, which become files with numbered names.
    file: PathBuf,
    /// The file to write: .parquet, .npy, .npz, .fvecs, .csv, .tsv, .hdf5.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write the codes as well.
    #[arg(long)]
    codes: bool,
    /// A file of vectors whose ids find the columns to write instead of the metadata that the index keeps.
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
}

impl Export {
    pub(super) fn run(self) -> Ended {
        let known = ["parquet", "npy", "npz", "fvecs", "csv", "tsv", "txt", "h5", "hdf5"];
        ensure!(
            known.contains(&ending(&self.out).as_str()),
            "--out {}: the ending must be one of .{}",
            self.out.display(),
            known.join(", .")
        );
        let paths = files(std::slice::from_ref(&self.file))?;
        for (number, path) in paths.iter().enumerate() {
            let index = open_vectors(path, false)?;
            let out = match paths.len() {
                1 => self.out.clone(),
                _ => numbered(&self.out, number),
            };
            let count = self.write(path, &index, &out)?;
            output::line(format!("{}: {count} vectors of {}", out.display(), index.dim()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, path: &Path, index: &Index, out: &Path) -> anyhow::Result<usize> {
        let (rows, ids) = index.vectors().with_context(|| {
            format!("{}: keeps no vectors (--store none), so there are none to write", path.display())
        })?;
        ensure!(!ids.is_empty(), "{}: all vectors are deleted", path.display());
        if index.storage() != ocelli_vectors::index::Storage::F32 {
            let store = store_of(index.storage());
            output::note(format!(
                "{}: vectors are written as they are kept, rounded to {store}",
                path.display()
            ));
        }
        let codes = self.codes.then(|| index.codes());
        let count = ids.len();
        let mut set = VectorSet::new(index.dim(), rows);
        if ["parquet", "csv", "tsv"].contains(&ending(out).as_str()) {
            set.metadata = match (&self.metadata, index.metadata()) {
                (Some(file), _) => columns(file, &ids)?,
                (None, Some(metadata)) => known::columns(metadata.of(&ids)),
                (None, None) => Vec::new(),
            };
        }
        match ending(out).as_str() {
            "npy" | "fvecs" => {
                let narrow: Result<Vec<i64>, _> = ids.iter().map(|id| i64::try_from(*id)).collect();
                match narrow {
                    Ok(ids) => npy::write(beside(out, "ids.npy"), &Array::new([count], Data::I64(ids))?)?,
                    Err(_) => bail!("{}: ids beyond 63 bits need .csv or .parquet", out.display()),
                }
            }
            _ => set.ids = Some(Ids::Numbers(ids)),
        }
        match codes {
            Some(codes) if ending(out) == "parquet" => with_codes(out, set, &codes)?,
            codes => {
                vectors::write(out, &set)?;
                codes.map(|codes| codes_beside(out, &codes)).transpose()?;
            }
        }
        Ok(count)
    }
}

/// Vectors and codes as columns of one file.
fn with_codes(out: &Path, mut set: VectorSet, codes: &VectorCodes) -> anyhow::Result<()> {
    let partitions = codes.partitions.iter().map(|partition| Some(i64::from(*partition))).collect();
    set.metadata.push(Column { name: "partition".to_owned(), values: Values::Integers(partitions) });
    let mut writer = ParquetWriter::create(out)?;
    writer.push(&set, Some(&codes.packed()))?;
    Ok(writer.finish()?)
}

fn codes_beside(out: &Path, codes: &VectorCodes) -> anyhow::Result<()> {
    let (count, packed) = (codes.partitions.len(), codes.packed());
    let width = packed.len().checked_div(count).unwrap_or(0);
    npy::write(beside(out, "codes.npy"), &Array::new([count, width], Data::U8(packed))?)?;
    let partitions = codes.partitions.iter().map(|partition| i64::from(*partition)).collect();
    Ok(npy::write(beside(out, "partitions.npy"), &Array::new([count], Data::I64(partitions))?)?)
}

/// `vectors.npy` as `vectors.codes.npy`.
fn beside(out: &Path, ending: &str) -> PathBuf {
    out.with_extension(ending)
}

/// `vectors.npy` as `vectors-3.npy`.
fn numbered(out: &Path, number: usize) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}-{number}.{}", ending(out)))
}

/// The metadata of a file's rows for these ids; its rows are numbered where it has no ids.
fn columns(file: &Path, ids: &[u64]) -> anyhow::Result<Vec<Column>> {
    exists(file)?;
    let set = vectors::read(file, &ReadOptions::default())?;
    ensure!(!set.metadata.is_empty(), "{}: there is no metadata beside the vectors", file.display());
    let numbers: Vec<u64> = match &set.ids {
        Some(Ids::Numbers(numbers)) => numbers.clone(),
        Some(Ids::Names(_)) => bail!("{}: its ids are no whole numbers", file.display()),
        None => (0..set.len() as u64).collect(),
    };
    let places: HashMap<u64, usize> = numbers.into_iter().zip(0..).collect();
    let place = |id: &u64| {
        places.get(id).copied().with_context(|| format!("{}: id {id} is not there", file.display()))
    };
    let rows = ids.iter().map(place).collect::<anyhow::Result<Vec<usize>>>()?;
    fn take<T: Clone>(values: &[Option<T>], rows: &[usize]) -> Vec<Option<T>> {
        rows.iter().map(|row| values[*row].clone()).collect()
    }
    let column = |Column { name, values }: Column| Column {
        name,
        values: match values {
            Values::Integers(values) => Values::Integers(take(&values, &rows)),
            Values::Numbers(values) => Values::Numbers(take(&values, &rows)),
            Values::Texts(values) => Values::Texts(take(&values, &rows)),
        },
    };
    Ok(set.metadata.into_iter().map(column).collect())
}

//! Vectors in files: opened once, then read in pieces where the format allows.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use ocelli_data::vectors::{self, ColumnRef, Ids, Pieces, ReadOptions, VectorSet, ann_benchmark, hdf5};
use ocelli_vectors::index::{Hits, Similarity};

/// Which of a benchmark file's vectors are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// What is searched.
    Base,
    /// What is searched for.
    Queries,
}

/// A file of vectors.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) path: PathBuf,
    content: Content,
    ids: Option<Vec<u64>>,
}

#[derive(Debug)]
enum Content {
    Pieces(Pieces),
    Whole(VectorSet),
}

/// Fails unless there is a file.
pub(super) fn exists(path: &Path) -> anyhow::Result<()> {
    ensure!(path.exists(), "{}: no such file", path.display());
    ensure!(path.is_file(), "{}: is no file", path.display());
    Ok(())
}

/// The ending in small letters.
pub(super) fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn is_hdf5(path: &Path) -> bool {
    matches!(ending(path).as_str(), "h5" | "hdf5")
}

impl Data {
    /// Opens a file. `ids` names a column or a file of ids; `none` takes row numbers though there is a column.
    pub(super) fn open(path: &Path, ids: Option<&str>, role: Role) -> anyhow::Result<Self> {
        exists(path)?;
        let of_file = ids.filter(|ids| *ids != "none" && Path::new(ids).is_file());
        let column = ids.filter(|ids| *ids != "none" && of_file.is_none());
        let pieces = match column {
            None => Pieces::open(path)?,
            Some(_) => None,
        };
        let mut of_set = None;
        let content = match pieces {
            Some(pieces) => Content::Pieces(pieces),
            None => {
                let set = vectors::read(path, &options(path, column, role)?);
                let mut set = match column {
                    Some(ids) => set.with_context(|| format!("--ids {ids}: no such file, so a column"))?,
                    None => set?,
                };
                of_set = set.ids.take();
                Content::Whole(set)
            }
        };
        let mut data = Self { path: path.to_owned(), content, ids: None };
        data.ids = match (ids, of_file) {
            (Some("none"), _) => None,
            (_, Some(file)) => Some(numbers(vectors::read_ids(file)?, Path::new(file))?),
            _ => of_set.map(|ids| numbers(ids, path)).transpose()?,
        };
        if let Some(ids) = &data.ids {
            let (found, wanted) = (ids.len(), data.count());
            ensure!(found == wanted, "{}: {found} ids for {wanted} vectors", ids_place(path, of_file));
        }
        Ok(data)
    }

    /// Number of vectors.
    pub(super) fn count(&self) -> usize {
        match &self.content {
            Content::Pieces(pieces) => pieces.len(),
            Content::Whole(set) => set.len(),
        }
    }

    /// Elements of a vector.
    pub(super) fn dim(&self) -> usize {
        match &self.content {
            Content::Pieces(pieces) => pieces.dim(),
            Content::Whole(set) => set.dim,
        }
    }

    /// Whether only some rows need be in memory.
    pub(super) fn in_pieces(&self) -> bool {
        matches!(self.content, Content::Pieces(_))
    }

    /// Whether there are ids other than row numbers.
    pub(super) fn has_ids(&self) -> bool {
        self.ids.is_some()
    }

    /// Gives rows the numbers from `first` on as ids.
    pub(super) fn number(&mut self, first: u64) {
        self.ids = Some((first..first + self.count() as u64).collect());
    }

    /// The id of a row: its number where the file has none.
    pub(super) fn id(&self, row: usize) -> u64 {
        self.ids.as_ref().map_or(row as u64, |ids| ids[row])
    }

    /// The ids of rows.
    pub(super) fn ids(&self, rows: Range<usize>) -> Vec<u64> {
        rows.map(|row| self.id(row)).collect()
    }

    /// Consecutive rows.
    pub(super) fn rows(&mut self, rows: Range<usize>) -> anyhow::Result<Cow<'_, [f32]>> {
        match &mut self.content {
            Content::Pieces(pieces) => {
                let mut values = Vec::new();
                pieces.read(rows, &mut values)?;
                Ok(values.into())
            }
            Content::Whole(set) => Ok(set.rows[rows.start * set.dim..rows.end * set.dim].into()),
        }
    }

    /// All rows, the file given up.
    pub(super) fn into_rows(self) -> anyhow::Result<Vec<f32>> {
        match self.content {
            Content::Whole(set) => Ok(set.rows),
            Content::Pieces(mut pieces) => {
                let mut values = Vec::new();
                pieces.read(0..pieces.len(), &mut values)?;
                Ok(values)
            }
        }
    }

    /// Some rows, in the given order.
    pub(super) fn some(&mut self, rows: &[usize]) -> anyhow::Result<Vec<f32>> {
        let mut values = Vec::with_capacity(rows.len() * self.dim());
        for &row in rows {
            match &mut self.content {
                Content::Pieces(pieces) => pieces.read(row..row + 1, &mut values)?,
                Content::Whole(set) => values.extend_from_slice(set.row(row)),
            }
        }
        Ok(values)
    }

    /// The similarity that a benchmark file asks for.
    pub(super) fn similarity(&self) -> anyhow::Result<Option<Similarity>> {
        if !is_hdf5(&self.path) {
            return Ok(None);
        }
        let named = hdf5::Hdf5::open(&self.path)?.text_attribute("distance")?;
        Ok(named.and_then(|name| name.parse().ok()).map(|distance| match distance {
            ann_benchmark::Distance::Angular => Similarity::Cosine,
            ann_benchmark::Distance::Euclidean => Similarity::SquaredL2,
        }))
    }
}

fn ids_place<'a>(path: &'a Path, of_file: Option<&'a str>) -> std::path::Display<'a> {
    of_file.map_or(path, Path::new).display()
}

fn options(path: &Path, column: Option<&str>, role: Role) -> anyhow::Result<ReadOptions> {
    let mut options = ReadOptions { allow_duplicate_ids: true, ..ReadOptions::default() };
    if let Some(column) = column {
        options.ids = Some(column.parse::<ColumnRef>().unwrap_or_else(|never| match never {}));
    }
    if is_hdf5(path) {
        let file = hdf5::Hdf5::open(path)?;
        if file.contains("train") && file.contains("test") {
            options.vectors = Some(if role == Role::Base { "train" } else { "test" }.to_owned());
        }
    }
    Ok(options)
}

/// Ids as an index has them.
fn numbers(ids: Ids, path: &Path) -> anyhow::Result<Vec<u64>> {
    match ids {
        Ids::Numbers(numbers) => {
            ensure!(
                !numbers.contains(&Hits::NONE),
                "{}: the id {} stands for no vector; take another",
                path.display(),
                Hits::NONE
            );
            Ok(numbers)
        }
        Ids::Names(names) => {
            let first =
                names.iter().find(|name| name.parse::<u64>().is_err() || name.starts_with(['0', '+']));
            let first = first.or(names.first()).map_or("", String::as_str);
            bail!(
                "{}: the id `{first}` is no whole number from 0; name other ids with --ids, or `--ids none` for row \
                 numbers",
                path.display()
            )
        }
    }
}

/// Ids in a file of their own.
pub(super) fn read_ids(path: &Path) -> anyhow::Result<Vec<u64>> {
    exists(path)?;
    numbers(vectors::read_ids(path)?, path)
}

/// Queries of this many elements.
pub(super) fn read_queries(path: &Path, dim: usize) -> anyhow::Result<Vec<f32>> {
    let data = Data::open(path, Some("none"), Role::Queries)?;
    let found = data.dim();
    ensure!(found == dim, "{}: queries of {found} elements, the index has {dim}", path.display());
    data.into_rows()
}

/// Fails for a vector of zeros where only directions count.
pub(super) fn check_directions(
    path: &Path,
    rows: &[f32],
    dim: usize,
    first: usize,
    similarity: Similarity,
) -> anyhow::Result<()> {
    if similarity == Similarity::Cosine
        && let Some(row) = rows.chunks_exact(dim).position(|row| row.iter().all(|value| *value == 0.0))
    {
        bail!("{}: row {} is zero, so it has no direction and no cosine", path.display(), first + row);
    }
    Ok(())
}

/// Adds the file to what a library says about its content.
pub(super) trait At<T> {
    fn at(self, path: &Path) -> anyhow::Result<T>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> At<T> for Result<T, E> {
    fn at(self, path: &Path) -> anyhow::Result<T> {
        self.with_context(|| path.display().to_string())
    }
}

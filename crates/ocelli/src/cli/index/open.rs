//! Opening indexes: files, folders of shards, and several at once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use ocelli_data::vectors::Column;
use ocelli_vectors::container::Container;
use ocelli_vectors::hamming::{self, HammingIndex};
use ocelli_vectors::index::{Filter, Hits, Index, KIND, Metadata, Rows, SearchParams, Similarity};
use serde::{Deserialize, Serialize};

use super::files::{At, exists};
use super::known::{Condition, columns, ids_where};
use super::options::name_of;
use super::truth::merged;

/// The list of a folder's shards, which is written when all are there.
const LIST: &str = "shards.json";

/// An index of either kind.
#[derive(Debug)]
pub(super) enum Opened {
    Vectors(Box<Index>),
    Codes(HammingIndex),
}

/// Opens a file; its checksums are compared unless it is trusted.
pub(super) fn open(path: &Path, trust: bool) -> anyhow::Result<Opened> {
    exists(path)?;
    let container = Container::open(path)?;
    if !trust {
        container.verify()?;
    }
    match container.kind() {
        KIND => Ok(Opened::Vectors(Box::new(Index::from_container(&Arc::new(container))?))),
        hamming::KIND => Ok(Opened::Codes(HammingIndex::from_container(&container).at(path)?)),
        other => bail!("{}: holds a {other}, no index", path.display()),
    }
}

/// Opens an index of vectors.
pub(super) fn open_vectors(path: &Path, trust: bool) -> anyhow::Result<Index> {
    match open(path, trust)? {
        Opened::Vectors(index) => Ok(*index),
        Opened::Codes(_) => {
            bail!("{}: an index of binary codes; here one of vectors is expected", path.display())
        }
    }
}

/// The shards of a folder while they are written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shards {
    shards: Vec<String>,
    vectors: usize,
}

impl Shards {
    /// The file of the next shard. Those of an earlier list are not mixed with it: the list goes first.
    pub(super) fn next(&mut self, folder: &Path, number: usize, of: usize) -> anyhow::Result<PathBuf> {
        if number == 0 {
            ensure!(!folder.is_file(), "{}: a file is there; shards go into a folder", folder.display());
            std::fs::create_dir_all(folder).at(folder)?;
            let list = folder.join(LIST);
            if list.exists() {
                let before = Self::read(folder)?;
                std::fs::remove_file(&list).at(&list)?;
                for name in &before.shards {
                    let path = folder.join(name);
                    std::fs::remove_file(&path).at(&path)?;
                }
            }
        }
        let width = (of - 1).to_string().len();
        self.shards.push(format!("shard-{number:0width$}.ocelli"));
        Ok(folder.join(&self.shards[number]))
    }

    /// Counts the vectors of a shard.
    pub(super) fn add(&mut self, vectors: usize) {
        self.vectors += vectors;
    }

    /// Writes the list: from now on the folder is an index.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(LIST);
        ocelli_method::files::write_atomically(&path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
        .at(&path)
    }

    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(LIST);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: no index: the list of shards is missing", path.display()))?;
        let list: Self = serde_json::from_str(&text).at(&path)?;
        ensure!(!list.shards.is_empty(), "{}: names no shard", path.display());
        for name in &list.shards {
            let plain = Path::new(name).file_name().is_some_and(|file| file == name.as_str());
            ensure!(plain, "{}: `{name}` is no file of the folder", path.display());
        }
        Ok(list)
    }
}

/// The files that paths name: folders stand for their shards.
pub(super) fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(Shards::read(path)?.shards.iter().map(|name| path.join(name))),
            false => files.push(path.clone()),
        }
    }
    Ok(files)
}

/// Indexes of vectors that are searched as one.
#[derive(Debug)]
pub(super) struct Together {
    pub(super) parts: Vec<Index>,
    paths: Vec<PathBuf>,
}

impl Together {
    /// Opens all; they must be alike in dimension and similarity.
    pub(super) fn open(paths: &[PathBuf], trust: bool) -> anyhow::Result<Self> {
        let parts = paths.iter().map(|path| open_vectors(path, trust)).collect::<anyhow::Result<Vec<_>>>()?;
        Self::of(parts, paths.to_vec())
    }

    pub(super) fn of(parts: Vec<Index>, paths: Vec<PathBuf>) -> anyhow::Result<Self> {
        let first = parts.first().context("no index is named")?;
        for (part, path) in parts.iter().zip(&paths) {
            alike(first, &paths[0], part, path)?;
        }
        Ok(Self { parts, paths })
    }

    pub(super) fn dim(&self) -> usize {
        self.parts[0].dim()
    }

    pub(super) fn similarity(&self) -> Similarity {
        self.parts[0].similarity()
    }

    /// Number of vectors.
    pub(super) fn count(&self) -> usize {
        self.parts.iter().map(Index::count).sum()
    }

    /// Bytes of codes, vectors, and all else.
    pub(super) fn bytes(&self) -> [usize; 3] {
        self.parts.iter().map(Index::bytes).fold([0; 3], |sum, part| [0, 1, 2].map(|i| sum[i] + part[i]))
    }

    /// Fails unless k results are there.
    pub(super) fn check_k(&self, k: usize) -> anyhow::Result<()> {
        let count = self.count();
        ensure!((1..=count).contains(&k), "-k {k}: from 1 to the {count} vectors of the index");
        Ok(())
    }

    /// How each part is searched: as was asked, as it was tuned, or thoroughly enough for most data.
    pub(super) fn params(
        &self,
        k: usize,
        leaves: Option<usize>,
        reorder: Option<usize>,
    ) -> Vec<SearchParams> {
        let of = |part: &Index| {
            let kept = part.defaults();
            let tenth = part.partitions().div_ceil(10);
            SearchParams {
                k,
                leaves: leaves.or(kept.map(|kept| kept.leaves)).unwrap_or(tenth),
                reorder: reorder.or(kept.map(|kept| kept.reorder)).unwrap_or(10 * k).max(k),
            }
        };
        self.parts.iter().map(of).collect()
    }

    /// Only some ids, or all but some; ids that no part has are refused where only they may be found.
    pub(super) fn filters(
        &self,
        only: Option<&[u64]>,
        without: Option<&[u64]>,
    ) -> anyhow::Result<Option<Vec<Filter>>> {
        if let Some(without) = without {
            return Ok(Some(self.parts.iter().map(|part| part.without(without)).collect()));
        }
        let Some(only) = only else { return Ok(None) };
        if let [part] = self.parts.as_slice() {
            return Ok(Some(vec![part.only(only).at(&self.paths[0])?]));
        }
        let mut left: std::collections::HashSet<u64> = only.iter().copied().collect();
        let mut filters = Vec::new();
        for part in &self.parts {
            let own: Vec<u64> = part.ids().into_iter().filter(|id| left.remove(id)).collect();
            filters.push(part.only(&own)?);
        }
        if let Some(id) = only.iter().find(|id| left.contains(id)) {
            bail!("id {id} is in none of the {} indexes", self.parts.len());
        }
        Ok(Some(filters))
    }

    /// Only what meets all conditions, of some ids or all but some.
    pub(super) fn filters_where(
        &self,
        conditions: &[Condition],
        only: Option<&[u64]>,
        without: Option<&[u64]>,
    ) -> anyhow::Result<Vec<Filter>> {
        let set = |ids: Option<&[u64]>| ids.map(|ids| ids.iter().copied().collect::<HashSet<u64>>());
        let (only, without) = (set(only), set(without));
        let filter = |(part, path): (&Index, &PathBuf)| {
            let mut ids = ids_where(part, path, conditions)?;
            ids.retain(|id| {
                only.as_ref().is_none_or(|only| only.contains(id))
                    && without.as_ref().is_none_or(|without| !without.contains(id))
            });
            part.only(&ids).at(path)
        };
        self.parts.iter().zip(&self.paths).map(filter).collect()
    }

    /// What the parts know of some ids.
    pub(super) fn metadata(&self, ids: &[u64]) -> anyhow::Result<Vec<Column>> {
        let parts: Vec<&Metadata> = self.parts.iter().filter_map(Index::metadata).collect();
        ensure!(
            !parts.is_empty(),
            "{}: keeps no metadata; build it with --metadata",
            self.paths[0].display()
        );
        Ok(columns(Metadata::gathered(parts, ids)?))
    }

    /// The best of all parts.
    pub(super) fn search(
        &self,
        queries: Rows<'_>,
        params: &[SearchParams],
        filters: Option<&[Filter]>,
    ) -> anyhow::Result<Hits> {
        let search = |(number, part): (usize, &Index)| match filters {
            Some(filters) => part.search_filtered(queries, &params[number], &filters[number]),
            None => part.search(queries, &params[number]),
        };
        let mut hits = self.parts.iter().enumerate().map(search).collect::<Result<Vec<Hits>, _>>()?;
        match hits.len() {
            1 => Ok(hits.remove(0)),
            _ => Ok(merged(&hits, self.similarity())),
        }
    }
}

/// Fails unless both can be searched as one.
pub(super) fn alike(a: &Index, of_a: &Path, b: &Index, of_b: &Path) -> anyhow::Result<()> {
    ensure!(
        a.dim() == b.dim(),
        "{}: vectors of {}, those of {} have {}",
        of_b.display(),
        b.dim(),
        of_a.display(),
        a.dim()
    );
    ensure!(
        a.similarity() == b.similarity(),
        "{}: searched by {}, {} by {}",
        of_b.display(),
        name_of(b.similarity()),
        of_a.display(),
        name_of(a.similarity())
    );
    Ok(())
}

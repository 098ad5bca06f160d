//! Metadata of vectors: from files into indexes, and out again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use ocelli_data::vectors::{Column, Ids, Values, read_table};
use ocelli_vectors::index::{Index, MetadataColumn, MetadataValues};

use super::files::{At, Data, exists};

/// What a file says about vectors, by their ids.
#[derive(Debug)]
pub(super) struct Known {
    path: PathBuf,
    rows: HashMap<u64, usize>,
    columns: Vec<Column>,
}

impl Known {
    /// Reads a file. Its rows go with the ids in its column of ids, or with the rows of the data one by one.
    pub(super) fn read(path: &Path, data: &Data) -> anyhow::Result<Self> {
        exists(path)?;
        let table = read_table(path)?;
        let own = data.ids(0..data.count());
        let ids = match table.ids {
            None => {
                let (found, wanted) = (table.columns.first().map_or(0, |c| c.values.len()), own.len());
                ensure!(
                    found == wanted,
                    "{}: {found} rows for {wanted} vectors, and no column `id` that says which",
                    path.display()
                );
                own
            }
            Some(Ids::Numbers(ids)) => {
                let own: HashSet<u64> = own.into_iter().collect();
                if let Some(id) = ids.iter().find(|id| !own.contains(id)) {
                    bail!("{}: id {id} is not among the vectors of {}", path.display(), data.path.display());
                }
                ids
            }
            Some(Ids::Names(names)) => {
                let name = names.first().map_or("", String::as_str);
                bail!("{}: its ids, such as `{name}`, are no whole numbers", path.display())
            }
        };
        let mut rows = HashMap::with_capacity(ids.len());
        for (row, id) in ids.into_iter().enumerate() {
            ensure!(rows.insert(id, row).is_none(), "{}: the id {id} is there twice", path.display());
        }
        Ok(Self { path: path.to_owned(), rows, columns: table.columns })
    }

    /// Keeps in an index what is known of its vectors.
    pub(super) fn keep_in(&self, index: &mut Index) -> anyhow::Result<()> {
        let mut ids = index.ids();
        ids.retain(|id| self.rows.contains_key(id));
        let rows: Vec<usize> = ids.iter().filter_map(|id| self.rows.get(id).copied()).collect();
        fn take<T: Clone>(values: &[Option<T>], rows: &[usize]) -> Vec<Option<T>> {
            rows.iter().map(|row| values[*row].clone()).collect()
        }
        let column = |Column { name, values }: &Column| MetadataColumn {
            name: name.clone(),
            values: match values {
                Values::Integers(values) => MetadataValues::Integers(take(values, &rows)),
                Values::Numbers(values) => MetadataValues::Numbers(take(values, &rows)),
                Values::Texts(values) => MetadataValues::Texts(take(values, &rows)),
            },
        };
        index.add_metadata(&ids, self.columns.iter().map(column).collect()).at(&self.path)
    }
}

/// Columns as files have them.
pub(super) fn columns(columns: Vec<MetadataColumn>) -> Vec<Column> {
    let column = |MetadataColumn { name, values }: MetadataColumn| Column {
        name,
        values: match values {
            MetadataValues::Integers(values) => Values::Integers(values),
            MetadataValues::Numbers(values) => Values::Numbers(values),
            MetadataValues::Texts(values) => Values::Texts(values),
        },
    };
    columns.into_iter().map(column).collect()
}

/// A condition on a column, written `column=value`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    column: String,
    value: String,
}

/// Reads a condition.
pub(super) fn condition(text: &str) -> Result<Condition, String> {
    match text.split_once('=') {
        Some((column, value)) if !column.is_empty() => {
            Ok(Condition { column: column.to_owned(), value: value.to_owned() })
        }
        _ => Err(format!("`{text}` is no condition such as colour=red")),
    }
}

/// The ids of an index that meet all conditions.
pub(super) fn ids_where(index: &Index, path: &Path, conditions: &[Condition]) -> anyhow::Result<Vec<u64>> {
    let Some(metadata) = index.metadata() else {
        bail!("{}: keeps no metadata; build it with --metadata", path.display())
    };
    let mut ids = index.ids();
    for Condition { column, value } in conditions {
        let meet = metadata.ids_where(column, value).at(path)?;
        ids.retain(|id| meet.binary_search(id).is_ok());
    }
    Ok(ids)
}

//! What else is known of vectors: named columns with a value, or none, for each id.
//!
//! The columns lie in sections of the index's file:
//!
//! | section | shape | what |
//! |---|---|---|
//! | `metadata.ids` | `[M]` u64 | the ids that values are known of, rising |
//! | `metadata.<i>.there` | `[M]` u8 | whether column i has a value |
//! | `metadata.<i>.values` | `[M]` i64 or f64 | its values, where they are numbers |
//! | `metadata.<i>.ends`, `metadata.<i>.text` | `[M]` u64, bytes | where its texts end, and the texts, one after another |

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Index;
use super::error::IndexError;
use super::file::{OpenError, column, wrong};
use crate::container::{Column, Container, ContainerError, ContainerWriter};

/// A column of metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataColumn {
    /// Its name.
    pub name: String,
    /// A value, or none, for each of the ids it goes with.
    pub values: MetadataValues,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataValues {
    /// Whole numbers.
    Integers(Vec<Option<i64>>),
    /// Other numbers.
    Numbers(Vec<Option<f64>>),
    /// Text.
    Texts(Vec<Option<String>>),
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum MetadataValue<'a> {
    /// A whole number.
    Integer(i64),
    /// Another number.
    Number(f64),
    /// A text.
    Text(&'a str),
}

impl fmt::Display for MetadataValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl MetadataValues {
    fn len(&self) -> usize {
        match self {
            Self::Integers(values) => values.len(),
            Self::Numbers(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Integers,
    Numbers,
    Texts,
}

impl Kind {
    fn in_words(self) -> &'static str {
        match self {
            Self::Integers => "whole numbers",
            Self::Numbers => "numbers",
            Self::Texts => "text",
        }
    }

    fn none(self, count: usize) -> MetadataValues {
        match self {
            Self::Integers => MetadataValues::Integers(vec![None; count]),
            Self::Numbers => MetadataValues::Numbers(vec![None; count]),
            Self::Texts => MetadataValues::Texts(vec![None; count]),
        }
    }
}

/// A column's name and kind, as they stand in the head of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ColumnText {
    name: String,
    kind: Kind,
}

/// Named columns over ids.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Rising.
    ids: Column<u64>,
    columns: Vec<StoredColumn>,
}

#[derive(Clone, Debug)]
struct StoredColumn {
    name: String,
    there: Column<u8>,
    cells: Cells,
}

#[derive(Clone, Debug)]
enum Cells {
    Integers(Column<i64>),
    Numbers(Column<f64>),
    Texts { ends: Column<u64>, text: Column<u8> },
}

impl Cells {
    fn kind(&self) -> Kind {
        match self {
            Self::Integers(_) => Kind::Integers,
            Self::Numbers(_) => Kind::Numbers,
            Self::Texts { .. } => Kind::Texts,
        }
    }
}

impl StoredColumn {
    fn new(column: MetadataColumn) -> Self {
        fn split<T: Copy + Default>(values: &[Option<T>]) -> (Vec<u8>, Vec<T>) {
            values.iter().map(|value| (u8::from(value.is_some()), value.unwrap_or_default())).unzip()
        }
        let (there, cells) = match column.values {
            MetadataValues::Integers(values) => {
                let (there, values) = split(&values);
                (there, Cells::Integers(values.into()))
            }
            MetadataValues::Numbers(values) => {
                let (there, values) = split(&values);
                (there, Cells::Numbers(values.into()))
            }
            MetadataValues::Texts(values) => {
                let mut text = Vec::new();
                let end = |value: &Option<String>| {
                    text.extend_from_slice(value.as_deref().unwrap_or_default().as_bytes());
                    text.len() as u64
                };
                let ends: Vec<u64> = values.iter().map(end).collect();
                let there = values.iter().map(|value| u8::from(value.is_some())).collect();
                (there, Cells::Texts { ends: ends.into(), text: text.into() })
            }
        };
        Self { name: column.name, there: there.into(), cells }
    }

    fn get(&self, row: usize) -> Option<MetadataValue<'_>> {
        if self.there[row] == 0 {
            return None;
        }
        Some(match &self.cells {
            Cells::Integers(values) => MetadataValue::Integer(values[row]),
            Cells::Numbers(values) => MetadataValue::Number(values[row]),
            Cells::Texts { ends, text } => {
                let start = row.checked_sub(1).map_or(0, |before| ends[before]) as usize;
                // Looked through when it was opened.
                MetadataValue::Text(std::str::from_utf8(&text[start..ends[row] as usize]).unwrap_or_default())
            }
        })
    }

    /// The values of some rows; none where there is no row.
    fn take(&self, rows: &[Option<usize>]) -> MetadataValues {
        let values = rows.iter().map(|row| row.and_then(|row| self.get(row)));
        match self.cells.kind() {
            Kind::Integers => MetadataValues::Integers(
                values
                    .map(|v| if let Some(MetadataValue::Integer(v)) = v { Some(v) } else { None })
                    .collect(),
            ),
            Kind::Numbers => MetadataValues::Numbers(
                values.map(|v| if let Some(MetadataValue::Number(v)) = v { Some(v) } else { None }).collect(),
            ),
            Kind::Texts => MetadataValues::Texts(values.map(|v| v.map(|v| v.to_string())).collect()),
        }
    }

    fn bytes(&self) -> usize {
        self.there.len()
            + match &self.cells {
                Cells::Integers(values) => 8 * values.len(),
                Cells::Numbers(values) => 8 * values.len(),
                Cells::Texts { ends, text } => 8 * ends.len() + text.len(),
            }
    }
}

impl Metadata {
    /// Columns with a value for each of `ids`.
    fn new(ids: &[u64], columns: Vec<MetadataColumn>) -> Result<Self, IndexError> {
        let count = ids.len();
        let mut names = HashSet::new();
        for column in &columns {
            if column.values.len() != count {
                let wanted = format!("{count} values, one for each id");
                return Err(IndexError::setting("a column of metadata", column.values.len(), wanted));
            }
            if column.name.is_empty() || !names.insert(column.name.as_str()) {
                return Err(IndexError::setting(
                    "the name of a column",
                    &column.name,
                    "one that no other has",
                ));
            }
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|row| ids[*row]);
        if let Some(pair) = order.windows(2).find(|pair| ids[pair[0]] == ids[pair[1]]) {
            let (id, first, second) = (ids[pair[0]], pair[0], pair[1]);
            return Err(IndexError::DuplicateId { id, first, second });
        }
        let rows: Vec<Option<usize>> = order.iter().map(|row| Some(*row)).collect();
        let sorted = |column: MetadataColumn| {
            let as_given = StoredColumn::new(column);
            let values = as_given.take(&rows);
            StoredColumn::new(MetadataColumn { name: as_given.name, values })
        };
        let columns = columns.into_iter().map(sorted).collect();
        Ok(Self { ids: order.iter().map(|row| ids[*row]).collect::<Vec<u64>>().into(), columns })
    }

    /// Names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The value that an id has in the column of this number.
    pub fn value(&self, id: u64, column: usize) -> Option<MetadataValue<'_>> {
        self.columns.get(column)?.get(self.ids.binary_search(&id).ok()?)
    }

    /// All columns for some ids; no values where nothing is known of an id.
    pub fn of(&self, ids: &[u64]) -> Vec<MetadataColumn> {
        let rows: Vec<Option<usize>> = ids.iter().map(|id| self.ids.binary_search(id).ok()).collect();
        let take =
            |column: &StoredColumn| MetadataColumn { name: column.name.clone(), values: column.take(&rows) };
        self.columns.iter().map(take).collect()
    }

    /// The ids whose value in a column is the one that `text` writes, rising.
    ///
    /// # Errors
    /// [`IndexError::Setting`] for a column that is not there, or a text that is no such value.
    pub fn ids_where(&self, column: &str, text: &str) -> Result<Vec<u64>, IndexError> {
        let Some(column) = self.columns.iter().find(|own| own.name == column) else {
            let known = self.names().collect::<Vec<_>>().join(", ");
            return Err(IndexError::setting("the column", column, format!("one of {known}")));
        };
        let kind = column.cells.kind();
        let wanted = match kind {
            Kind::Integers => text.parse().ok().map(MetadataValue::Integer),
            Kind::Numbers => text.parse().ok().map(MetadataValue::Number),
            Kind::Texts => Some(MetadataValue::Text(text)),
        };
        let Some(wanted) = wanted else {
            let wanted = format!("{}, as the column `{}` holds", kind.in_words(), column.name);
            return Err(IndexError::setting("the value", text, wanted));
        };
        let equal = |(row, _): &(usize, &u64)| column.get(*row) == Some(wanted);
        Ok(self.ids.iter().enumerate().filter(equal).map(|(_, id)| *id).collect())
    }

    /// All columns that any of several indexes keeps, for some ids.
    ///
    /// # Errors
    /// [`IndexError::Setting`] for a column that holds values of one kind here and of another there.
    pub fn gathered<'a>(
        parts: impl IntoIterator<Item = &'a Self>,
        ids: &[u64],
    ) -> Result<Vec<MetadataColumn>, IndexError> {
        let mut unique = ids.to_vec();
        unique.sort_unstable();
        unique.dedup();
        let mut all: Option<Self> = None;
        for part in parts {
            let known: Vec<u64> =
                unique.iter().copied().filter(|id| part.ids.binary_search(id).is_ok()).collect();
            let some = Self::new(&known, part.of(&known))?;
            all = Some(match all {
                Some(all) => all.with(&some)?,
                None => some,
            });
        }
        Ok(all.map_or_else(Vec::new, |all| all.of(ids)))
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        8 * self.ids.len() + self.columns.iter().map(StoredColumn::bytes).sum::<usize>()
    }

    /// With what is known of other ids; what both know is taken from the other.
    fn with(&self, other: &Self) -> Result<Self, IndexError> {
        let mut kinds: Vec<(&str, Kind)> = Vec::new();
        for column in self.columns.iter().chain(&other.columns) {
            let kind = column.cells.kind();
            match kinds.iter().find(|(name, _)| *name == column.name) {
                Some((_, known)) if *known != kind => {
                    let what = format!("`{}` with {}", column.name, kind.in_words());
                    return Err(IndexError::setting("a column of metadata", what, known.in_words()));
                }
                Some(_) => (),
                None => kinds.push((&column.name, kind)),
            }
        }
        let mut ids: BTreeMap<u64, bool> = self.ids.iter().map(|id| (*id, false)).collect();
        ids.extend(other.ids.iter().map(|id| (*id, true)));
        let rows = |of: &Self, others: bool| -> Vec<Option<usize>> {
            ids.iter().map(|(id, other)| of.ids.binary_search(id).ok().filter(|_| *other == others)).collect()
        };
        let (own, theirs) = (rows(self, false), rows(other, true));
        let column = |(name, kind): &(&str, Kind)| {
            let values = |of: &Self, rows: &[Option<usize>]| {
                let column = of.columns.iter().find(|column| column.name == *name);
                column.map_or_else(|| kind.none(rows.len()), |column| column.take(rows))
            };
            MetadataColumn {
                name: (*name).to_owned(),
                values: either(values(self, &own), values(other, &theirs)),
            }
        };
        let columns = kinds.iter().map(column).collect();
        Self::new(&ids.into_keys().collect::<Vec<u64>>(), columns)
    }

    pub(super) fn texts(&self) -> Vec<ColumnText> {
        let text =
            |column: &StoredColumn| ColumnText { name: column.name.clone(), kind: column.cells.kind() };
        self.columns.iter().map(text).collect()
    }

    pub(super) fn save(&self, writer: &mut ContainerWriter) -> Result<(), ContainerError> {
        let count = self.ids.len();
        writer.section("metadata.ids", &[count], &self.ids)?;
        for (number, column) in self.columns.iter().enumerate() {
            let name = |section: &str| format!("metadata.{number}.{section}");
            writer.section(&name("there"), &[count], &column.there)?;
            match &column.cells {
                Cells::Integers(values) => writer.section(&name("values"), &[count], values)?,
                Cells::Numbers(values) => writer.section(&name("values"), &[count], values)?,
                Cells::Texts { ends, text } => {
                    writer.section(&name("ends"), &[count], ends)?;
                    writer.section(&name("text"), &[text.len()], text)?;
                }
            }
        }
        Ok(())
    }

    /// What [`Self::save`] wrote; nothing where there are no columns.
    pub(super) fn open(container: &Arc<Container>, texts: &[ColumnText]) -> Result<Option<Self>, OpenError> {
        if texts.is_empty() {
            return Ok(None);
        }
        let ids: Column<u64> = Column::open(container, "metadata.ids")?;
        if ids.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(wrong(container, "metadata.ids", "the ids do not rise"));
        }
        let count = ids.len();
        let mut columns = Vec::with_capacity(texts.len());
        for (number, ColumnText { name, kind }) in texts.iter().enumerate() {
            let section = |section: &str| format!("metadata.{number}.{section}");
            let there = column(container, &section("there"), &[count])?;
            let cells = match kind {
                Kind::Integers => Cells::Integers(column(container, &section("values"), &[count])?),
                Kind::Numbers => Cells::Numbers(column(container, &section("values"), &[count])?),
                Kind::Texts => {
                    let ends: Column<u64> = column(container, &section("ends"), &[count])?;
                    let text: Column<u8> = Column::open(container, &section("text"))?;
                    let whole = std::str::from_utf8(&text).ok();
                    let cut = |end: &u64| {
                        let end = usize::try_from(*end).ok();
                        end.zip(whole).is_some_and(|(end, whole)| whole.is_char_boundary(end))
                    };
                    let rising = ends.windows(2).all(|pair| pair[0] <= pair[1]);
                    if !rising || !ends.iter().all(cut) {
                        return Err(wrong(container, &section("ends"), "the texts do not end there"));
                    }
                    Cells::Texts { ends, text }
                }
            };
            columns.push(StoredColumn { name: name.clone(), there, cells });
        }
        Ok(Some(Self { ids, columns }))
    }
}

/// Of each row the value that is there.
fn either(a: MetadataValues, b: MetadataValues) -> MetadataValues {
    fn zip<T>(a: Vec<Option<T>>, b: Vec<Option<T>>) -> Vec<Option<T>> {
        a.into_iter().zip(b).map(|(a, b)| a.or(b)).collect()
    }
    match (a, b) {
        (MetadataValues::Integers(a), MetadataValues::Integers(b)) => MetadataValues::Integers(zip(a, b)),
        (MetadataValues::Numbers(a), MetadataValues::Numbers(b)) => MetadataValues::Numbers(zip(a, b)),
        (MetadataValues::Texts(a), MetadataValues::Texts(b)) => MetadataValues::Texts(zip(a, b)),
        // Kinds were compared before.
        (a, _) => a,
    }
}

impl Index {
    /// What else is known of the vectors.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Keeps columns with a value for each of `ids`, beside those that are kept already: an id's earlier values give way
    /// to these, and columns unknown before are empty for all other ids.
    ///
    /// # Errors
    /// [`IndexError::UnknownId`] for an id that is not in the index; [`IndexError`] for columns of another length, two of
    /// one name, or one that held values of another kind. Nothing is then changed.
    pub fn add_metadata(&mut self, ids: &[u64], columns: Vec<MetadataColumn>) -> Result<(), IndexError> {
        let known = self.places();
        if let Some(id) = ids.iter().find(|id| !known.contains_key(id)) {
            return Err(IndexError::UnknownId(*id));
        }
        let new = Metadata::new(ids, columns)?;
        self.metadata = Some(match &self.metadata {
            Some(metadata) => metadata.with(&new)?,
            None => new,
        });
        Ok(())
    }

    /// Forgets what was known of ids that are deleted.
    pub(super) fn forget(&mut self, deleted: &[u64]) -> Result<(), IndexError> {
        let Some(metadata) = &self.metadata else { return Ok(()) };
        let gone: HashSet<u64> = deleted.iter().copied().collect();
        let left: Vec<u64> = metadata.ids.iter().copied().filter(|id| !gone.contains(id)).collect();
        self.metadata = Some(Metadata::new(&left, metadata.of(&left))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BuildConfig, Rows};
    use super::*;

    fn texts(name: &str, values: &[&str]) -> MetadataColumn {
        let value = |text: &&str| Some((*text).to_owned()).filter(|text| !text.is_empty());
        MetadataColumn {
            name: name.into(),
            values: MetadataValues::Texts(values.iter().map(value).collect()),
        }
    }

    fn index() -> Index {
        let data: Vec<f32> = (0..40).map(|i| (i as f32 * 0.7).sin()).collect();
        let rows = Rows::new("rows", &data, 4).unwrap();
        let ids: Vec<u64> = (0..10).map(|i| 90 - i).collect();
        Index::build(rows, Some(&ids), &BuildConfig::default()).unwrap()
    }

    #[test]
    fn values_stay_with_their_ids() {
        let mut index = index();
        let years = MetadataColumn {
            name: "year".into(),
            values: MetadataValues::Integers(vec![Some(1990), None, Some(-3)]),
        };
        index.add_metadata(&[90, 81, 85], vec![texts("name", &["ä", "b", ""]), years]).unwrap();
        let weights =
            MetadataColumn { name: "weight".into(), values: MetadataValues::Numbers(vec![Some(0.5), None]) };
        index.add_metadata(&[85, 82], vec![texts("name", &["ä", "d"]), weights]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        index.save(&path).unwrap();
        let mut index = Index::open_verified(&path).unwrap();
        let metadata = index.metadata().unwrap();
        assert_eq!(metadata.names().collect::<Vec<_>>(), ["name", "year", "weight"]);
        assert_eq!(metadata.ids_where("name", "ä").unwrap(), [85, 90]);
        assert_eq!(metadata.ids_where("year", "1990").unwrap(), [90]);
        assert_eq!(metadata.ids_where("weight", "0.5").unwrap(), [85]);
        // What was said anew stands in the place of all that was known of the id.
        assert_eq!(
            (metadata.value(85, 1), metadata.value(90, 1)),
            (None, Some(MetadataValue::Integer(1990)))
        );
        assert_eq!(metadata.value(83, 0), None);
        index.delete(&[90]).unwrap();
        index.compact();
        index.save(&path).unwrap();
        let index = Index::open_verified(&path).unwrap();
        assert_eq!(index.metadata().unwrap().ids_where("name", "ä").unwrap(), [85]);
        let of = index.metadata().unwrap().of(&[81, 7]);
        assert_eq!(of[0], texts("name", &["b", ""]));
        assert_eq!(of[1].values, MetadataValues::Integers(vec![None, None]));
    }

    #[test]
    fn what_is_wrong_is_said_and_changes_nothing() {
        let mut index = index();
        let mut refused = |ids: &[u64], columns: Vec<MetadataColumn>| {
            index.add_metadata(ids, columns).unwrap_err().to_string()
        };
        assert!(refused(&[7], vec![texts("a", &["x"])]).contains("id 7"));
        assert!(refused(&[90], vec![texts("a", &["x", "y"])]).contains("2: 1 values"));
        assert!(
            refused(&[90], vec![texts("a", &["x"]), texts("a", &["x"])]).contains("one that no other has")
        );
        assert!(refused(&[90, 90], vec![texts("a", &["x", "y"])]).contains("90 is given twice"));
        index.add_metadata(&[90], vec![texts("a", &["x"])]).unwrap();
        let numbers = MetadataColumn { name: "a".into(), values: MetadataValues::Numbers(vec![None]) };
        assert!(
            index.add_metadata(&[90], vec![numbers]).unwrap_err().to_string().contains("`a` with numbers")
        );
        let metadata = index.metadata().unwrap();
        assert!(metadata.ids_where("b", "x").unwrap_err().to_string().contains("one of a"));
        assert_eq!(metadata.ids_where("a", "x").unwrap(), [90]);
    }
}

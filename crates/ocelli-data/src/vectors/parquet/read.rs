//! Parquet files in.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::super::front::{ColumnRef, ReadOptions};
use super::super::ids::{ID_NAMES, Ids};
use super::super::npz::listed;
use super::super::set::{Column, Values, VectorSet};
use super::super::table::Table;
use super::footer::{Footer, Logical, RowGroup};
use super::pages::{self, Budget};
use super::schema::{self, Field, Kind, Leaf};
use super::values::Item;
use crate::error::DataError;

/// Names under which vectors are looked for among several lists of floats.
const VECTOR_NAMES: [&str; 4] = ["vectors", "vector", "embeddings", "embedding"];

/// Which top-level columns are what.
#[derive(Debug)]
struct Plan {
    vectors: Vec<usize>,
    ids: Option<usize>,
    metadata: Vec<usize>,
}

/// A file that is read a row group at a time: an iterator over sets.
///
/// Vectors of all groups have one length, and are finite. Where ids or metadata have no one type for all groups (unsigned
/// integers beyond 63 bits come as text, negative ids as names), each group has its own.
///
/// ```
/// use ocelli_data::vectors::{VectorSet, parquet};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("words.parquet");
/// let set = VectorSet::new(2, vec![0.5, 1.0, -2.0, 0.25]);
/// parquet::write(&path, &set)?;
/// for group in parquet::ParquetReader::open(&path, &Default::default())? {
///     assert_eq!(group?, set);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ParquetReader {
    path: PathBuf,
    file: File,
    footer: Footer,
    fields: Vec<Field>,
    plan: Plan,
    budget: Budget,
    /// The next row group.
    group: usize,
    /// Rows before it.
    row: usize,
    /// Elements in a row; none before the first.
    dim: Option<usize>,
}

impl std::fmt::Debug for ParquetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetReader")
            .field("path", &self.path)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl ParquetReader {
    /// Opens a file and finds out which column is what.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Content`] when it is no Parquet file, is encrypted, or has no such columns.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self, DataError> {
        Self::planned(path.as_ref(), |fields| plan(fields, options))
    }

    fn planned(path: &Path, plan: impl FnOnce(&[Field]) -> Result<Plan, String>) -> Result<Self, DataError> {
        let fail = |reason| fail(path, reason);
        let mut file = File::open(path).map_err(|source| DataError::read(path, source))?;
        let bytes = file.metadata().map_err(|source| DataError::read(path, source))?.len();
        let no_file = |reason| fail(format!("no Parquet file: {reason}"));
        let footer = Footer::read(&mut file).map_err(no_file)?;
        let (fields, leaves) = schema::fields(&footer.schema).map_err(no_file)?;
        if let Some((at, group)) = footer.groups.iter().enumerate().find(|(_, g)| g.chunks.len() != leaves) {
            let found = group.chunks.len();
            return Err(fail(format!("row group {at} has {found} columns, the schema {leaves}")));
        }
        let plan = plan(&fields).map_err(fail)?;
        let budget = Budget::of(bytes);
        Ok(Self { path: path.to_owned(), file, footer, fields, plan, budget, group: 0, row: 0, dim: None })
    }

    /// How many rows the file says it has.
    pub fn claimed_rows(&self) -> u64 {
        self.footer.groups.iter().fold(0, |sum: u64, group| sum.saturating_add(group.rows))
    }

    /// Calls `read` for a column of the current group and says where its errors are.
    fn column<T>(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut GroupColumn<'_>) -> Result<T, String>,
    ) -> Result<T, DataError> {
        let field = &self.fields[at];
        let group = &self.footer.groups[self.group];
        let mut column = GroupColumn {
            file: &self.file,
            end: self.footer.start,
            group,
            field,
            row: self.row,
            budget: &mut self.budget,
        };
        read(&mut column).map_err(|reason| {
            let reason = format!("row group {}, column `{}`: {reason}", self.group, field.name);
            fail(&self.path, reason)
        })
    }

    fn read_group(&mut self) -> Result<VectorSet, DataError> {
        let mut set = match self.plan.vectors[..] {
            [at] if self.fields[at].kind == Kind::Lists => {
                let dim = self.dim;
                self.column(at, |column| column.lists(dim))?
            }
            _ => self.beside()?,
        };
        if let Some(at) = set.rows.iter().position(|v| !v.is_finite()) {
            let (row, column, value) = (self.row + at / set.dim, at % set.dim, set.rows[at]);
            let reason = format!(
                "row {row}, column {column} of the vectors (counted from 0) is {value} in single precision"
            );
            return Err(DataError::content(&self.path, reason));
        }
        self.read_beside(&mut set)?;
        Ok(set)
    }

    /// Ids and metadata of the current group.
    fn read_beside(&mut self, set: &mut VectorSet) -> Result<(), DataError> {
        if let Some(at) = self.plan.ids {
            set.ids = Some(self.column(at, |column| column.ids())?);
        }
        for i in 0..self.plan.metadata.len() {
            let at = self.plan.metadata[i];
            let values = self.column(at, |column| column.values())?;
            set.metadata.push(Column { name: self.fields[at].name.clone(), values });
        }
        Ok(())
    }

    /// Columns of floats side by side.
    fn beside(&mut self) -> Result<VectorSet, DataError> {
        let dim = self.plan.vectors.len();
        let mut rows: Vec<f32> = Vec::new();
        for i in 0..dim {
            self.column(self.plan.vectors[i], |column| {
                let values = column.scalars::<f32>()?;
                if i == 0 {
                    column.budget.spend(values.len().saturating_mul(4 * dim))?;
                    rows.resize(values.len() * dim, 0.0);
                }
                for (row, value) in values.into_iter().enumerate() {
                    rows[row * dim + i] =
                        value.ok_or_else(|| format!("row {} (counted from 0) is null", column.row + row))?;
                }
                Ok(())
            })?;
        }
        Ok(VectorSet::new(dim, rows))
    }
}

impl Iterator for ParquetReader {
    type Item = Result<VectorSet, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.footer.groups.get(self.group)?.rows == 0 {
            self.group += 1;
        }
        let set = self.read_group();
        match &set {
            Ok(set) => {
                self.dim = Some(set.dim);
                self.row += set.len();
                self.group += 1;
            }
            // What follows an error is not to be trusted.
            Err(_) => self.group = self.footer.groups.len(),
        }
        Some(set)
    }
}

/// An error on one line, whatever the names in a file are.
fn fail(path: &Path, reason: String) -> DataError {
    DataError::content(path, reason.replace(char::is_control, "\u{FFFD}"))
}

fn names<'a>(fields: &'a [Field], which: impl Fn(&Field) -> bool + 'a) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |f| which(f)).map(|f| f.name.as_str())
}

/// The index of a top-level column.
fn place(fields: &[Field], column: &ColumnRef) -> Result<usize, String> {
    let (found, wanted) = match column {
        ColumnRef::Position(at) => (at.checked_sub(1).filter(|i| *i < fields.len()), at.to_string()),
        ColumnRef::Name(name) => (fields.iter().position(|f| f.name == *name), format!("`{name}`")),
    };
    found.ok_or_else(|| format!("no column {wanted}; {}", listed(names(fields, |_| true))))
}

fn is_plain(field: &Field) -> bool {
    matches!(field.kind, Kind::Float | Kind::Integer | Kind::Text)
}

/// The column of ids by its name.
fn find_ids(fields: &[Field]) -> Option<usize> {
    fields
        .iter()
        .position(|f| ID_NAMES.contains(&f.name.as_str()) && matches!(f.kind, Kind::Integer | Kind::Text))
}

fn plan(fields: &[Field], options: &ReadOptions) -> Result<Plan, String> {
    let plain = |at: usize| is_plain(&fields[at]);
    let refuse = |at: usize, why: &str| Err(format!("column `{}`: {why}", fields[at].name));
    let ids = match &options.ids {
        Some(column) => Some(place(fields, column)?),
        None => find_ids(fields),
    };
    if let Some(at) = ids.filter(|at| !matches!(fields[*at].kind, Kind::Integer | Kind::Text | Kind::Bytes)) {
        return refuse(at, "ids are whole numbers or text");
    }
    let named = options.metadata.iter().map(|c| place(fields, c)).collect::<Result<Vec<_>, _>>()?;
    // Bytes may be text of which the writer did not say so.
    if let Some(at) = named.iter().find(|at| !plain(**at) && fields[**at].kind != Kind::Bytes) {
        return refuse(*at, "it holds no plain values and cannot be metadata");
    }
    let vectors = match &options.vectors {
        Some(name) => vec![place(fields, &ColumnRef::Name(name.clone()))?],
        None => find_vectors(fields, |at| ids == Some(at) || named.contains(&at))?,
    };
    if let Some(at) = vectors.iter().find(|at| !matches!(fields[**at].kind, Kind::Lists | Kind::Float)) {
        return refuse(*at, "it holds no floats or lists of them");
    }
    let rest = |at: &usize| !vectors.contains(at) && ids != Some(*at) && (plain(*at) || named.contains(at));
    let metadata = (0..fields.len()).filter(rest).collect();
    Ok(Plan { vectors, ids, metadata })
}

/// The column of lists, or all columns of floats that are nothing else.
fn find_vectors(fields: &[Field], taken: impl Fn(usize) -> bool) -> Result<Vec<usize>, String> {
    let of = |kind| (0..fields.len()).filter(move |at| fields[*at].kind == kind);
    let lists: Vec<usize> = of(Kind::Lists).collect();
    let usual = lists.iter().find(|at| VECTOR_NAMES.contains(&fields[**at].name.as_str()));
    match (&lists[..], usual) {
        ([only], _) => Ok(vec![*only]),
        ([], _) => {
            let floats: Vec<usize> = of(Kind::Float).filter(|at| !taken(*at)).collect();
            if floats.is_empty() {
                let found = listed(names(fields, |_| true));
                return Err(format!("no column holds floats or lists of them; {found}"));
            }
            Ok(floats)
        }
        (_, Some(usual)) => Ok(vec![*usual]),
        (_, None) => {
            let found = listed(names(fields, |f| f.kind == Kind::Lists));
            Err(format!("which column holds the vectors? {found}"))
        }
    }
}

/// A column of a row group.
struct GroupColumn<'a> {
    file: &'a File,
    /// Where pages have to end.
    end: u64,
    group: &'a RowGroup,
    field: &'a Field,
    /// Rows before the group.
    row: usize,
    budget: &'a mut Budget,
}

impl GroupColumn<'_> {
    fn each<T: Item>(
        &mut self,
        mut take: impl FnMut(Leaf, pages::Batch<'_, T>, &mut Budget) -> Result<(), String>,
    ) -> Result<(), String> {
        let leaf = self.field.leaf.ok_or("it has no values")?;
        let chunk = self.group.chunks.get(self.field.at).ok_or("the row group lacks it")?;
        pages::each(self.file, chunk, leaf, self.end, self.budget, |batch, budget| take(leaf, batch, budget))
    }

    fn expect_rows(&self, found: usize) -> Result<(), String> {
        let wanted = self.group.rows;
        if found as u64 == wanted {
            Ok(())
        } else {
            Err(format!("{wanted} rows are promised, found {found}"))
        }
    }

    /// Lists as rows, of length `dim` if it is known already.
    fn lists(&mut self, dim: Option<usize>) -> Result<VectorSet, String> {
        let mut lists = Lists { rows: Vec::new(), dim, row: self.row, length: None };
        self.each(|leaf, batch, _| lists.append(leaf, batch))?;
        lists.end_row()?;
        self.expect_rows(lists.row - self.row)?;
        Ok(VectorSet::new(lists.dim.unwrap_or(0), lists.rows))
    }

    /// A value or none a row.
    fn scalars<T: Item>(&mut self) -> Result<Vec<Option<T>>, String> {
        let mut all = Vec::new();
        self.each(|leaf, mut batch, budget| {
            budget.spend(size_of::<Option<T>>() * batch.definitions.len())?;
            for definition in batch.definitions {
                let value = if *definition == leaf.definition { batch.values.next() } else { None };
                all.push(value);
            }
            Ok(())
        })?;
        self.expect_rows(all.len())?;
        Ok(all)
    }

    /// As metadata; booleans are 0 and 1.
    fn values(&mut self) -> Result<Values, String> {
        Ok(match self.field.kind {
            Kind::Float => Values::Numbers(self.scalars()?),
            Kind::Integer => {
                let values = self.scalars::<i64>()?;
                let unsigned = self.field.leaf.is_some_and(|leaf| leaf.logical == Logical::Unsigned);
                // What is beyond 63 bits came as negative.
                if unsigned && values.iter().flatten().any(|v| *v < 0) {
                    let text = |v: Option<i64>| v.map(|v| (v as u64).to_string());
                    Values::Texts(values.into_iter().map(text).collect())
                } else {
                    Values::Integers(values)
                }
            }
            Kind::Text | Kind::Bytes => Values::Texts(self.scalars()?),
            Kind::Lists | Kind::Other => return Err("plain values expected".into()),
        })
    }

    fn ids(&mut self) -> Result<Ids, String> {
        fn all<T>(values: Vec<Option<T>>, row: usize) -> Result<Vec<T>, String> {
            if let Some(at) = values.iter().position(Option::is_none) {
                return Err(format!("row {} (counted from 0): its id is null", row + at));
            }
            Ok(values.into_iter().flatten().collect())
        }
        if self.field.kind != Kind::Integer {
            return Ok(Ids::Names(all(self.scalars()?, self.row)?));
        }
        let values = all(self.scalars::<i64>()?, self.row)?;
        let unsigned = self.field.leaf.is_some_and(|leaf| leaf.logical == Logical::Unsigned);
        Ok(if unsigned {
            Ids::Numbers(values.into_iter().map(|v| v as u64).collect())
        } else {
            Ids::from_integers(&values)
        })
    }
}

/// Rows that grow out of lists; all have the length of the first.
struct Lists {
    rows: Vec<f32>,
    dim: Option<usize>,
    /// The row that is being read, counted from the file's first.
    row: usize,
    /// Its elements so far; none before the group's first row.
    length: Option<usize>,
}

impl Lists {
    fn end_row(&mut self) -> Result<(), String> {
        let Some(length) = self.length.take() else { return Ok(()) };
        let dim = *self.dim.get_or_insert(length);
        if length != dim {
            return Err(format!(
                "row {} (counted from 0) has {length} elements, where the first has {dim}",
                self.row
            ));
        }
        self.row += 1;
        Ok(())
    }

    fn append(&mut self, leaf: Leaf, batch: pages::Batch<'_, f32>) -> Result<(), String> {
        for (repetition, definition) in batch.repetitions.iter().zip(batch.definitions) {
            if *repetition == 0 {
                self.end_row()?;
                self.length = Some(0);
            }
            let length = self.length.as_mut().ok_or("it begins within a row")?;
            if *definition < leaf.element {
                return Err(format!("row {} (counted from 0) has no vector", self.row));
            }
            if *definition < leaf.definition {
                let (row, column) = (self.row, *length);
                return Err(format!("row {row}, column {column} (counted from 0) is null"));
            }
            *length += 1;
        }
        self.rows.extend(batch.values);
        Ok(())
    }
}

/// Reads a file; see the module for which column is what.
pub(in crate::vectors) fn read_set(path: &Path, options: &ReadOptions) -> Result<VectorSet, DataError> {
    let mut groups = ParquetReader::open(path, options)?;
    let mut all = groups.next().unwrap_or_else(|| Ok(VectorSet::default()))?;
    for group in groups {
        all.append(group?);
    }
    Ok(all)
}

/// Reads ids and all other columns of plain values; vectors are left where they are.
pub(in crate::vectors) fn read_table(path: &Path) -> Result<Table, DataError> {
    let mut reader = ParquetReader::planned(path, |fields| {
        let ids = find_ids(fields);
        let plain = |at: &usize| ids != Some(*at) && is_plain(&fields[*at]);
        Ok(Plan { vectors: Vec::new(), ids, metadata: (0..fields.len()).filter(plain).collect() })
    })?;
    let mut all: Option<VectorSet> = None;
    for group in 0..reader.footer.groups.len() {
        reader.group = group;
        let mut set = VectorSet::default();
        reader.read_beside(&mut set)?;
        reader.row += usize::try_from(reader.footer.groups[group].rows).unwrap_or(usize::MAX);
        match &mut all {
            Some(all) => all.append(set),
            None => all = Some(set),
        }
    }
    let VectorSet { ids, metadata, .. } = all.unwrap_or_default();
    Ok(Table { ids, columns: metadata })
}

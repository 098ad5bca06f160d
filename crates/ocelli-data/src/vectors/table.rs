//! What is known of rows in a file without, or beside, their vectors.

use std::fs::File;
use std::path::Path;

use serde_json::Value;

use super::delimited;
use super::front::ending;
use super::ids::{ID_NAMES, Ids};
use super::parquet;
use super::set::{Column, Values};
use crate::annotations::{filled_lines, read_text};
use crate::error::DataError;

/// Columns of metadata, perhaps with the ids that they go with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// An id for each row, of a column `id` or `ids`.
    pub ids: Option<Ids>,
    /// The other columns.
    pub columns: Vec<Column>,
}

impl Table {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Texts under names as columns: one is of numbers where all its values are.
    fn of_texts(names: Vec<String>, texts: Vec<Vec<String>>) -> Self {
        let mut table = Self::default();
        for (name, texts) in names.into_iter().zip(texts) {
            match table.ids.is_none() && ID_NAMES.iter().any(|id| name.eq_ignore_ascii_case(id)) {
                true => table.ids = Some(Ids::from_texts(texts)),
                false => table.columns.push(Column { name, values: delimited::values(texts) }),
            }
        }
        table
    }
}

/// Reads all columns of plain values: of `.csv` and `.tsv`, whose first line names them, of `.jsonl`, an object a line,
/// and of `.parquet`, where lists such as vectors are left out.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for a line that does not fit the others; [`DataError::Content`] for a file
/// without columns or rows, and for other endings.
pub fn read_table(path: impl AsRef<Path>) -> Result<Table, DataError> {
    let path = path.as_ref();
    let table = match ending(path).as_str() {
        "csv" => separated(path, b',')?,
        "tsv" => separated(path, b'\t')?,
        "jsonl" => json_lines(path)?,
        "parquet" => parquet::read_table(path)?,
        other => {
            let reason =
                format!("metadata is read from .csv, .tsv, .jsonl and .parquet, not from `.{other}`");
            return Err(DataError::content(path, reason));
        }
    };
    match table.is_empty() {
        true => Err(DataError::content(path, "there are no columns of metadata, or no rows of them")),
        false => Ok(table),
    }
}

fn separated(path: &Path, delimiter: u8) -> Result<Table, DataError> {
    let file = File::open(path).map_err(|source| DataError::read(path, source))?;
    let fail = |e: csv::Error| {
        let line = e.position().map_or(1, |at| at.line() as usize);
        DataError::line(path, line, e.to_string())
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(file);
    let names: Vec<String> = reader.headers().map_err(fail)?.iter().map(str::to_owned).collect();
    let mut texts: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.map_err(fail)?;
        texts.iter_mut().zip(&record).for_each(|(texts, text)| texts.push(text.to_owned()));
    }
    if let Some(name) = names.first() {
        // The mark that some programs begin a file with is no part of the name.
        let mut names = names.clone();
        names[0] = name.trim_start_matches('\u{feff}').to_owned();
        return Ok(Table::of_texts(names, texts));
    }
    Ok(Table::default())
}

fn json_lines(path: &Path) -> Result<Table, DataError> {
    let text = read_text(path)?;
    let mut names: Vec<String> = Vec::new();
    let mut values: Vec<Vec<Option<Value>>> = Vec::new();
    for (rows, (line, text)) in filled_lines(&text).enumerate() {
        let fail = |reason: String| DataError::line(path, line, reason);
        let object: serde_json::Map<String, Value> =
            serde_json::from_str(text).map_err(|e| fail(format!("a JSON object is expected: {e}")))?;
        for (name, value) in object {
            if value.is_array() || value.is_object() {
                return Err(fail(format!("`{name}` holds no plain value")));
            }
            let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                values.push(vec![None; rows]);
                names.len() - 1
            });
            values[at].push(Some(value).filter(|value| !value.is_null()));
        }
        values.iter_mut().for_each(|values| values.resize(rows + 1, None));
    }
    let mut table = Table::default();
    for (name, values) in names.into_iter().zip(values) {
        match table.ids.is_none() && ID_NAMES.contains(&name.as_str()) {
            true => {
                if let Some(row) = values.iter().position(Option::is_none) {
                    return Err(DataError::content(path, format!("row {row} (counted from 0) has no id")));
                }
                table.ids = Some(Ids::from_texts(values.iter().flatten().map(text_of).collect()));
            }
            false => table.columns.push(Column { name, values: typed(&values) }),
        }
    }
    Ok(table)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Values as what they all are. Booleans are 0 and 1 among numbers; a text stays one, though it looks like a number.
fn typed(values: &[Option<Value>]) -> Values {
    fn all<T>(values: &[Option<Value>], of: impl Fn(&Value) -> Option<T>) -> Option<Vec<Option<T>>> {
        values.iter().map(|value| value.as_ref().map_or(Some(None), |value| of(value).map(Some))).collect()
    }
    let integer = |value: &Value| value.as_i64().or_else(|| value.as_bool().map(i64::from));
    match (all(values, integer), all(values, Value::as_f64)) {
        (Some(values), _) => Values::Integers(values),
        (None, Some(values)) => Values::Numbers(values),
        (None, None) => Values::Texts(values.iter().map(|value| value.as_ref().map(text_of)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{VectorSet, parquet::write};
    use super::*;

    fn read(name: &str, text: &str) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_table(&path).map_err(|e| e.to_string())
    }

    fn some<T>(values: impl IntoIterator<Item = T>) -> Vec<Option<T>> {
        values.into_iter().map(Some).collect()
    }

    #[test]
    fn columns_are_typed_alike_in_all_formats() {
        let wanted = Table {
            ids: Some(Ids::Numbers(vec![7, 3])),
            columns: vec![
                Column {
                    name: "name".into(),
                    values: Values::Texts(some(["a, b".to_owned(), "c".to_owned()])),
                },
                Column { name: "year".into(), values: Values::Integers(vec![Some(1990), None]) },
                Column { name: "weight".into(), values: Values::Numbers(some([0.5, 2.0])) },
            ],
        };
        let csv = "\u{feff}id,name,year,weight\n7,\"a, b\",1990,0.5\n3,c,,2.0\n";
        assert_eq!(read("a.csv", csv).unwrap(), wanted);
        assert_eq!(
            read("a.tsv", "id\tname\tyear\tweight\n7\ta, b\t1990\t0.5\n3\tc\t\t2.0\n").unwrap(),
            wanted
        );
        let lines = "{\"id\":7,\"name\":\"a, b\",\"year\":1990,\"weight\":0.5}\n\n\
                     {\"id\":3,\"name\":\"c\",\"year\":null,\"weight\":2}\n";
        assert_eq!(read("a.jsonl", lines).unwrap().ids, wanted.ids);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let (ids, metadata) = (wanted.ids.clone(), wanted.columns.clone());
        write(&path, &VectorSet { ids, metadata, ..VectorSet::new(2, vec![1.0; 4]) }).unwrap();
        assert_eq!(read_table(&path).unwrap(), wanted);
        let mut found = read("a.jsonl", lines).unwrap();
        found.columns.sort_by_key(|c| wanted.columns.iter().position(|w| w.name == c.name));
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refused = |name: &str, text: &str, words: &str| {
            let message = read(name, text).unwrap_err();
            assert!(message.contains(words) && !message.contains('\n'), "{message}");
        };
        refused("a.csv", "a,b\n1\n", "2 fields");
        refused("a.csv", "", "no columns of metadata");
        refused("a.csv", "id\n1\n", "no columns of metadata");
        refused("a.jsonl", "{\"a\":1}\n[1]\n", "2: a JSON object");
        refused("a.jsonl", "{\"a\":{}}\n", "`a` holds no plain value");
        refused("a.jsonl", "{\"id\":1,\"a\":1}\n{\"a\":2}\n", "row 1 (counted from 0) has no id");
        refused("a.txt", "a\n", "not from `.txt`");
    }
}

//! Tables in text: a vector a line, its elements between commas, tabs, semicolons or spaces.
//!
//! One column may hold ids and others metadata; they are named in the first line or given by position
//! ([`ReadOptions`]). All other columns make the vector, in the file's order. A field may stand in quotes, but ends on
//! its line. The format of GloVe, a word and its vector between spaces, is read with `ids` at position 1.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use ocelli_method::files::write_atomically;

use super::front::{ColumnRef, ReadOptions, ending};
use super::ids::{ID_NAMES, Ids};
use super::set::{Column, Values, VectorSet};
use crate::error::DataError;

/// Reads a table; what it holds is not checked beyond its lines (see [`super::read`]).
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for a line with another number of values than the first, or a value that is
/// no finite number, and for options that do not fit the first line; [`DataError::Content`] for an empty file.
pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<VectorSet, DataError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|source| DataError::read(path, source))?;
    read_from(path, BufReader::with_capacity(1 << 18, file), options)
}

fn read_from(path: &Path, mut reader: impl BufRead, options: &ReadOptions) -> Result<VectorSet, DataError> {
    let (mut text, mut line) = (String::new(), 0);
    let mut table: Option<Table> = None;
    loop {
        text.clear();
        line += 1;
        let read = reader.read_line(&mut text).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => DataError::line(path, line, "no UTF-8 text"),
            _ => DataError::read(path, source),
        })?;
        if read == 0 {
            break;
        }
        let content = if line == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        // A tab at either end stands beside an empty value, which must not be lost.
        let content = content.trim_end_matches(['\n', '\r']);
        if content.trim().is_empty() {
            continue;
        }
        let fail = |reason: String| DataError::line(path, line, reason);
        match &mut table {
            Some(table) => table.push(&fields(content, table.delimiter).map_err(fail)?).map_err(fail)?,
            None => table = Some(Table::start(content, options).map_err(fail)?),
        }
    }
    let table =
        table.ok_or_else(|| DataError::content(path, "the file is empty; a vector a line is expected"))?;
    Ok(table.finish())
}

/// The values of a line.
fn fields(line: &str, delimiter: u8) -> Result<Vec<Cow<'_, str>>, String> {
    if delimiter == b' ' {
        return Ok(line.split_ascii_whitespace().map(Cow::Borrowed).collect());
    }
    if !line.contains('"') {
        return Ok(line.split(char::from(delimiter)).map(|f| Cow::Borrowed(f.trim())).collect());
    }
    if !line.matches('"').count().is_multiple_of(2) {
        return Err("a quote is not closed on its line".to_owned());
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    reader.read_record(&mut record).map_err(|e| e.to_string())?;
    Ok(record.iter().map(|f| Cow::Owned(f.to_owned())).collect())
}

fn number(text: &str) -> Option<f32> {
    text.parse().ok()
}

/// What a column of the file is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Element,
    Id,
    Metadata,
}

struct Table {
    delimiter: u8,
    roles: Vec<Role>,
    dim: usize,
    rows: Vec<f32>,
    ids: Vec<String>,
    /// The names and texts of the columns of metadata, in the file's order.
    metadata: Vec<(String, Vec<String>)>,
}

impl Table {
    /// A table by its first line, which may be one of names.
    fn start(line: &str, options: &ReadOptions) -> Result<Self, String> {
        let sniffed = [b'\t', b';', b','].into_iter().find(|d| line.as_bytes().contains(d));
        let delimiter = options.delimiter.or(sniffed).unwrap_or(b' ');
        if !delimiter.is_ascii() || delimiter == b'"' {
            return Err(format!("values cannot be separated by {:?}", char::from(delimiter)));
        }
        let first = fields(line, delimiter)?;
        let wanted = || options.ids.iter().chain(&options.metadata);
        let has_header = match options.header {
            Some(given) => given,
            None => wanted().any(|c| matches!(c, ColumnRef::Name(_))) || has_names(&first, wanted())?,
        };
        let place = |column: &ColumnRef| place(column, &first, has_header);
        let mut roles = vec![Role::Element; first.len()];
        for column in &options.metadata {
            roles[place(column)?] = Role::Metadata;
        }
        let id = match &options.ids {
            Some(column) => Some(place(column)?),
            None if has_header => first.iter().position(|f| is_id(f)),
            None => None,
        };
        if let Some(id) = id {
            roles[id] = Role::Id;
        }
        let dim = roles.iter().filter(|r| **r == Role::Element).count();
        if dim == 0 {
            return Err("no column is left for the vectors".to_owned());
        }
        let names = first.iter().enumerate().map(|(i, name)| match has_header {
            true => name.clone().into_owned(),
            false => format!("column {}", i + 1),
        });
        let metadata = names.zip(&roles).filter(|(_, role)| **role == Role::Metadata);
        let metadata = metadata.map(|(name, _)| (name, Vec::new())).collect();
        let mut table = Self { delimiter, roles, dim, rows: Vec::new(), ids: Vec::new(), metadata };
        if !has_header {
            table.push(&first)?;
        }
        Ok(table)
    }

    fn push(&mut self, fields: &[Cow<'_, str>]) -> Result<(), String> {
        if fields.len() != self.roles.len() {
            return Err(format!("{} values, where the first line has {}", fields.len(), self.roles.len()));
        }
        let mut metadata = self.metadata.iter_mut();
        for (at, (field, role)) in fields.iter().zip(&self.roles).enumerate() {
            match role {
                Role::Element => match number(field) {
                    Some(value) if value.is_finite() => self.rows.push(value),
                    Some(value) => {
                        let column = at + 1;
                        return Err(format!("column {column}: `{field}` is {value} in single precision"));
                    }
                    None => return Err(format!("column {}: a number expected, found `{field}`", at + 1)),
                },
                Role::Id => self.ids.push(field.clone().into_owned()),
                Role::Metadata => {
                    if let Some((_, texts)) = metadata.next() {
                        texts.push(field.clone().into_owned());
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> VectorSet {
        let ids = self.roles.contains(&Role::Id).then(|| Ids::from_texts(self.ids));
        let metadata = self.metadata.into_iter();
        let metadata = metadata.map(|(name, texts)| Column { name, values: values(texts) }).collect();
        VectorSet { dim: self.dim, rows: self.rows, ids, metadata }
    }
}

fn is_id(name: &str) -> bool {
    ID_NAMES.iter().any(|id| name.eq_ignore_ascii_case(id))
}

/// Whether a first line holds names: no value of the vector is a number. Some and some is a mistake in one of them.
fn has_names<'a>(
    first: &[Cow<'_, str>],
    others: impl Iterator<Item = &'a ColumnRef>,
) -> Result<bool, String> {
    let others: Vec<&ColumnRef> = others.collect();
    let elements = first.iter().enumerate().filter(|(i, _)| !others.contains(&&ColumnRef::Position(i + 1)));
    let (numbers, names): (Vec<_>, Vec<_>) = elements.partition(|(_, text)| number(text).is_some());
    match (numbers.as_slice(), names.first()) {
        (_, None) => Ok(false),
        ([], Some(_)) => Ok(true),
        (_, Some((at, text))) => Err(format!(
            "column {}: a number expected, found `{text}`; if this is a line of names, or the column one of ids or \
             metadata, say so",
            at + 1
        )),
    }
}

/// The index of a column.
fn place(column: &ColumnRef, first: &[Cow<'_, str>], has_header: bool) -> Result<usize, String> {
    match column {
        ColumnRef::Position(at) if (1..=first.len()).contains(at) => Ok(at - 1),
        ColumnRef::Position(at) => Err(format!("no column {at}; there are {}", first.len())),
        ColumnRef::Name(name) if has_header => first
            .iter()
            .position(|f| f == name)
            .ok_or_else(|| format!("no column `{name}`; {}", super::npz::listed(first.iter().map(|f| &**f)))),
        ColumnRef::Name(name) => Err(format!("no column `{name}`, for there is no line of names")),
    }
}

/// Texts as what they all are: whole numbers, numbers, or text. An empty one is none.
pub(super) fn values(texts: Vec<String>) -> Values {
    fn parsed<T>(texts: &[String], parse: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
        let one = |text: &String| if text.is_empty() { Some(None) } else { parse(text).map(Some) };
        texts.iter().map(one).collect()
    }
    // A number that is written otherwise, such as 007, is a name.
    let integer = |text: &str| text.parse().ok().filter(|v: &i64| v.to_string() == text);
    if texts.iter().any(|t| !t.is_empty()) {
        if let Some(values) = parsed(&texts, integer) {
            return Values::Integers(values);
        }
        let plain =
            |text: &str| !(text.starts_with('0') && text.as_bytes().get(1).is_some_and(|b| *b != b'.'));
        let real = |text: &str| text.parse().ok().filter(|v: &f64| v.is_finite() && plain(text));
        if let Some(values) = parsed(&texts, real) {
            return Values::Numbers(values);
        }
    }
    Values::Texts(texts.into_iter().map(|t| Some(t).filter(|t| !t.is_empty())).collect())
}

/// Writes a table: with a line of names `id`, those of the metadata, and `v0`, `v1`, … when there is more than vectors,
/// without one otherwise. Between the values stands what the ending says: a comma (`.csv`), a tab (`.tsv`) or a space.
///
/// # Errors
/// [`DataError::Content`] for text that the format has no room for: of more than one line or, between spaces, of more
/// than one word or none; [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, set: &VectorSet) -> Result<(), DataError> {
    let path = path.as_ref();
    let delimiter = match ending(path).as_str() {
        "tsv" => b'\t',
        "txt" => b' ',
        _ => b',',
    };
    fits(set, delimiter).map_err(|reason| DataError::content(path, reason))?;
    write_atomically(path, |out| {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).flexible(true).from_writer(out);
        if set.ids.is_some() || !set.metadata.is_empty() {
            let names = set.metadata.iter().map(|c| c.name.clone());
            let elements = (0..set.dim).map(|i| format!("v{i}"));
            let id = set.ids.as_ref().map(|_| "id".to_owned());
            writer.write_record(id.into_iter().chain(names).chain(elements)).map_err(io::Error::other)?;
        }
        let mut text = Vec::new();
        for row in 0..set.len() {
            for field in set.ids.iter().map(|ids| ids.text(row)) {
                writer.write_field(field).map_err(io::Error::other)?;
            }
            for column in &set.metadata {
                writer.write_field(column.values.text(row)).map_err(io::Error::other)?;
            }
            for value in set.row(row) {
                text.clear();
                write!(text, "{value}")?;
                writer.write_field(&text).map_err(io::Error::other)?;
            }
            writer.write_record(None::<&[u8]>).map_err(io::Error::other)?;
        }
        writer.flush()
    })
    .map_err(|source| DataError::write(path, source))
}

/// Whether all text of a set can stand in a table.
fn fits(set: &VectorSet, delimiter: u8) -> Result<(), String> {
    let good = |text: &str| match delimiter {
        b' ' => !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"'),
        _ => !text.contains(['\n', '\r']) && text.trim() == text,
    };
    let ids = match &set.ids {
        Some(Ids::Names(names)) => names.iter().find(|t| !good(t)),
        _ => None,
    };
    let absent = String::new();
    let columns = set.metadata.iter().find_map(|column| match &column.values {
        _ if !good(&column.name) => Some(&column.name),
        Values::Texts(texts) => texts.iter().map(|t| t.as_ref().unwrap_or(&absent)).find(|t| !good(t)),
        Values::Integers(v) if v.contains(&None) && !good("") => Some(&absent),
        Values::Numbers(v) if v.contains(&None) && !good("") => Some(&absent),
        _ => None,
    });
    match ids.or(columns) {
        Some(text) => Err(format!("{text:?} cannot be written into this table of text")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str, options: &ReadOptions) -> Result<VectorSet, DataError> {
        read_from(Path::new("t.csv"), text.as_bytes(), options)
    }

    fn message(text: &str, options: &ReadOptions) -> String {
        parse(text, options).unwrap_err().to_string()
    }

    fn at(position: usize) -> Option<ColumnRef> {
        Some(ColumnRef::Position(position))
    }

    #[test]
    fn every_separator_is_found() {
        let wanted = VectorSet::new(2, vec![1.0, -2.5, 3.0, 4e-3]);
        for text in [
            "1,-2.5\n3,4e-3\n",
            "1\t-2.5\r\n3\t4e-3",
            "1; -2.5\n\n3;4e-3\n",
            " 1  -2.5 \n3\t4e-3 ",
            "\u{feff}\"1\",-2.5\n3,\"4e-3\"\n",
            "x,y\n1,-2.5\n3,4e-3\n",
        ] {
            let options =
                ReadOptions { delimiter: text.starts_with(' ').then_some(b' '), ..Default::default() };
            assert_eq!(parse(text, &options).unwrap(), wanted, "{text:?}");
        }
        let odd = ReadOptions { delimiter: Some(b'|'), ..Default::default() };
        assert_eq!(parse("1|2", &odd).unwrap().rows, [1.0, 2.0]);
        assert!(
            message("1|2", &ReadOptions { delimiter: Some(200), ..Default::default() }).contains("t.csv:1")
        );
    }

    #[test]
    fn ids_and_metadata_stand_in_columns_of_their_own() {
        let words =
            parse("the 0.1 0.2\nof 1 2\n", &ReadOptions { ids: at(1), ..Default::default() }).unwrap();
        assert_eq!(words.ids, Some(Ids::Names(vec!["the".into(), "of".into()])));
        assert_eq!(words.rows, [0.1, 0.2, 1.0, 2.0]);
        let last = parse("1\t2\t100001\n", &ReadOptions { ids: at(3), ..Default::default() }).unwrap();
        assert_eq!((last.dim, last.ids), (2, Some(Ids::Numbers(vec![100_001]))));

        let text = "id,year,title,x,score\n7,1999,\"Alien, again\",0.5,1.5\n8,,,1,-2\n";
        let names = ["year", "title", "score"].map(|n| ColumnRef::Name(n.into())).to_vec();
        let set = parse(text, &ReadOptions { metadata: names, ..Default::default() }).unwrap();
        assert_eq!((set.dim, &set.rows[..]), (1, &[0.5, 1.0][..]));
        assert_eq!(set.ids, Some(Ids::Numbers(vec![7, 8])));
        assert_eq!(set.column("year"), Some(&Values::Integers(vec![Some(1999), None])));
        assert_eq!(set.column("title"), Some(&Values::Texts(vec![Some("Alien, again".into()), None])));
        assert_eq!(set.column("score"), Some(&Values::Numbers(vec![Some(1.5), Some(-2.0)])));

        let unnamed = ReadOptions { metadata: vec![ColumnRef::Position(1)], ..Default::default() };
        let set = parse("007,1\n008,2\n", &unnamed).unwrap();
        assert_eq!(
            set.column("column 1"),
            Some(&Values::Texts(vec![Some("007".into()), Some("008".into())]))
        );
        // Names that are numbers, as pandas writes them, must be announced.
        let header = ReadOptions { header: Some(true), ..Default::default() };
        assert_eq!(parse("0,1\n5,6\n", &header).unwrap().rows, [5.0, 6.0]);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let plain = ReadOptions::default();
        for (text, wanted) in [
            ("1,2\n\n3,4,5\n", "t.csv:3: 3 values, where the first line has 2"),
            ("1,2\n3\n", "t.csv:2: 1 values"),
            ("1,2\n3,\n", "t.csv:2: column 2: a number expected, found ``"),
            ("1,2\n3,x\n", "t.csv:2: column 2: a number expected, found `x`"),
            ("1,x\n3,4\n", "t.csv:1: column 2: a number expected, found `x`; if this is a line of names"),
            ("1,2\nnan,4\n", "t.csv:2: column 1: `nan` is NaN"),
            ("1,2\n1e50,4\n", "t.csv:2: column 1: `1e50` is inf"),
            ("\"1,2\n", "t.csv:1: a quote is not closed on its line"),
            ("\n \n", "t.csv: the file is empty"),
            ("id\n1\n", "no column is left for the vectors"),
        ] {
            assert!(message(text, &plain).contains(wanted), "{}", message(text, &plain));
        }
        assert!(
            message("1,2\n", &ReadOptions { ids: at(3), ..plain.clone() })
                .contains("no column 3; there are 2")
        );
        let named = ReadOptions { ids: Some(ColumnRef::Name("key".into())), ..plain.clone() };
        assert!(message("x,y\n1,2\n", &named).contains("t.csv:1: no column `key`; there are x, y"));
        let headless = ReadOptions { header: Some(false), ..named };
        assert!(message("x,y\n1,2\n", &headless).contains("there is no line of names"));
        let bytes: &[u8] = b"1,2\n\xff,3\n";
        let error = read_from(Path::new("t.csv"), bytes, &plain).unwrap_err().to_string();
        assert_eq!(error, "t.csv:2: no UTF-8 text");
        let cut = read_from(Path::new("t.csv"), &b"x,y\n"[..], &plain).unwrap();
        assert!(cut.check().unwrap_err().contains("no vector"));
    }

    #[test]
    fn tables_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let rows = vec![0.1, -1e-30, f32::MAX, 3.0];
        let texts = Values::Texts(vec![Some("a \"b\", c".into()), None]);
        let metadata = vec![
            Column { name: "note".into(), values: texts },
            Column { name: "n".into(), values: Values::Integers(vec![None, Some(-3)]) },
        ];
        let ids = Some(Ids::Names(vec!["é".into(), "2;3".into()]));
        let set = VectorSet { ids, metadata, ..VectorSet::new(2, rows.clone()) };
        let options = ReadOptions {
            metadata: ["note", "n"].map(|n| ColumnRef::Name(n.into())).to_vec(),
            delimiter: None,
            ..Default::default()
        };
        for name in ["a.csv", "a.tsv"] {
            let path = folder.path().join(name);
            write(&path, &set).unwrap();
            let delimiter = if name == "a.csv" { Some(b',') } else { None };
            assert_eq!(read(&path, &ReadOptions { delimiter, ..options.clone() }).unwrap(), set);
        }
        let path = folder.path().join("a.txt");
        assert!(write(&path, &set).unwrap_err().to_string().contains("cannot be written"));
        let plain = VectorSet::new(2, rows);
        write(&path, &plain).unwrap();
        assert_eq!(read(&path, &ReadOptions::default()).unwrap(), plain);
        let broken = VectorSet { ids: Some(Ids::Names(vec!["a\nb".into(), "c".into()])), ..plain };
        assert!(write(folder.path().join("a.csv"), &broken).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            text in "[0-9a-z,;\t\n\". -]{0,60}",
            ids in prop::option::of(1usize..4),
            header in any::<Option<bool>>(),
        ) {
            let options = ReadOptions { ids: ids.map(ColumnRef::Position), header, ..Default::default() };
            let _ = read_from(Path::new("x"), &bytes[..], &options);
            if let Ok(set) = parse(&text, &options) {
                prop_assert_eq!(set.rows.len() % set.dim, 0);
                prop_assert!(set.rows.iter().all(|v| v.is_finite()));
            }
        }
    }
}

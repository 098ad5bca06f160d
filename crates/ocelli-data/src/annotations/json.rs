//! Reading large JSON files piece by piece: errors name the line and the record, and text is not copied twice.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::DataError;

/// The bytes of a file, without a byte-order mark.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// The record that reading has come to, such as `video x, entry 3`; empty outside of records.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) record: String,
    /// Entries read so far.
    pub(super) entry: Option<usize>,
}

impl Place {
    /// Enters the record of this name.
    pub(super) fn enter(&mut self, record: &str) {
        self.record.clear();
        self.record.push_str(record);
        self.entry = None;
    }

    fn describe(&self) -> String {
        match (self.record.as_str(), self.entry) {
            ("", _) => String::new(),
            (record, None) => format!(" (video `{record}`)"),
            (record, Some(entry)) => format!(" (video `{record}`, entry {})", entry + 1),
        }
    }
}

/// The error of a file, with its line and record.
pub(super) fn fault(path: &Path, error: &serde_json::Error, place: &Place) -> DataError {
    DataError::line(path, error.line().max(1), format!("{error}{}", place.describe()))
}

/// A text that stays where it is in the file if it can.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Names by number, in the order in which they first occur.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) list: Vec<String>,
    numbers: HashMap<String, u32>,
    last: u32,
}

impl Names {
    /// The number of a name, a new one if need be.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        // Entries of one class often follow each other.
        if self.list.get(self.last as usize).is_some_and(|last| last == name) {
            return self.last;
        }
        self.last = match self.numbers.get(name) {
            Some(&number) => number,
            None => {
                let number = self.list.len() as u32;
                self.list.push(name.to_owned());
                self.numbers.insert(name.to_owned(), number);
                number
            }
        };
        self.last
    }
}

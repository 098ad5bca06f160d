//! Reading large JSON files piece by piece: errors name the line and the record, and text is not copied twice.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

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

/// An object's entries in the order of the file.
pub(super) struct Entries<T>(pub(super) Vec<(String, T)>);

impl<T> Entries<T> {
    /// The first name that stands here twice.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }
}

/// Writes entries as an object.
pub(super) fn entries<K: Serialize, T: Serialize, S: serde::Serializer>(
    list: &[(K, T)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(list.iter().map(|(key, value)| (key, value)))
}

impl<T: Serialize> Serialize for Entries<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        entries(&self.0, serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collect<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of entries by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    list.push(entry);
                }
                Ok(Entries(list))
            }
        }
        deserializer.deserialize_map(Collect(PhantomData))
    }
}

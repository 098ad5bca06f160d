//! Tables of captions: a row a text, with the video or picture it describes, as in MSR-VTT's
//! `MSRVTT_JSFUSION_test.csv` (`key,vid_key,video_id,sentence`).
//!
//! The column of items is `video_id`, `image_id`, `video` or `image`, that of texts `sentence` or `caption`; others are
//! passed over.

use std::path::Path;

use ocelli_method::files::write_atomically;

use super::json::{Names, read_bytes};
use crate::error::DataError;

const ITEM_COLUMNS: [&str; 4] = ["video_id", "image_id", "video", "image"];
const TEXT_COLUMNS: [&str; 2] = ["sentence", "caption"];

/// Texts and the items that they describe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptionTable {
    /// The items, in the order in which they first occur.
    pub items: Vec<String>,
    /// The texts; empty where the table has none.
    pub texts: Vec<String>,
    /// For each text the index of its item.
    pub owner: Vec<usize>,
}

impl CaptionTable {
    /// Reads a table.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Line`] for the first row that is not so; [`DataError::Content`] when there is no
    /// row, or no column of items.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = read_bytes(path)?;
        let mut table = csv::Reader::from_reader(bytes.as_slice());
        let fault = |e: csv::Error| {
            let line = e.position().map_or(1, csv::Position::line) as usize;
            DataError::line(path, line, e.to_string())
        };
        let header = table.headers().map_err(fault)?.clone();
        let column = |names: &[&str]| names.iter().find_map(|n| header.iter().position(|h| h.trim() == *n));
        let Some(item) = column(&ITEM_COLUMNS) else {
            let reason = format!("no column `{}`; a header is expected", ITEM_COLUMNS.join("`, `"));
            return Err(DataError::content(path, reason));
        };
        let text = column(&TEXT_COLUMNS);
        let mut items = Names::default();
        let mut read = Self::default();
        for row in table.records() {
            let row = row.map_err(fault)?;
            let name = row.get(item).unwrap_or_default();
            if name.is_empty() {
                let line = row.position().map_or(1, csv::Position::line) as usize;
                return Err(DataError::line(path, line, "the row names no item"));
            }
            read.owner.push(items.number(name) as usize);
            read.texts.push(text.and_then(|t| row.get(t)).unwrap_or_default().to_owned());
        }
        if read.owner.is_empty() {
            return Err(DataError::content(path, "the table of captions is empty"));
        }
        read.items = items.list;
        Ok(read)
    }

    /// Writes the columns `video_id` and `sentence`.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        let write = |out: &mut dyn std::io::Write| {
            let mut table = csv::Writer::from_writer(out);
            table.write_record([ITEM_COLUMNS[0], TEXT_COLUMNS[0]])?;
            for (text, &owner) in self.texts.iter().zip(&self.owner) {
                let item = self.items.get(owner).map_or("", String::as_str);
                table.write_record([item, text])?;
            }
            table.flush()
        };
        write_atomically(path, write).map_err(|source| DataError::write(path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(text: impl AsRef<[u8]>) -> Result<CaptionTable, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.csv");
        std::fs::write(&path, text).unwrap();
        let table = CaptionTable::read(&path)?;
        table.write(&path).unwrap();
        assert_eq!(CaptionTable::read(&path).unwrap(), table);
        Ok(table)
    }

    #[test]
    fn tables_survive_a_round_trip() {
        let table = round(
            "key,vid_key,video_id,sentence\nret0,msr1,video9,\"a, b\"\nret1,msr2,video3,c\nr,m,video9,d\n",
        );
        let table = table.unwrap();
        assert_eq!(
            (table.items, table.owner),
            (vec!["video9".to_owned(), "video3".to_owned()], vec![0, 1, 0])
        );
        assert_eq!(table.texts, ["a, b", "c", "d"]);
        assert_eq!(round("image\nx.jpg\n").unwrap().texts, [""]);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, wanted) in [
            ("", "no column `video_id`"),
            ("name,sentence\na,b\n", "no column `video_id`"),
            ("video_id,sentence\n", "is empty"),
            ("video_id,sentence\na,b\n,c\n", "captions.csv:3: the row names no item"),
            ("video_id,sentence\na\n", "captions.csv:2:"),
        ] {
            let message = round(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[a-z,\"\n]{0,30}") {
            let _ = round(&bytes);
            let _ = round(format!("video_id,sentence\n{text}"));
        }
    }
}

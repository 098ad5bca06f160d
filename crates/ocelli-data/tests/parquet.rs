//! Parquet files: those of pyarrow, our own, damaged ones.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use ocelli_data::DataError;
use ocelli_data::vectors::parquet::{self, ParquetReader, ParquetWriter};
use ocelli_data::vectors::{self, Column, ColumnRef, Ids, ReadOptions, Values, VectorSet};
use proptest::prelude::*;

/// Element `i` of the vectors in the fixtures, `[5, 3]`.
fn value(i: usize) -> f32 {
    (i as f32 - 7.0) / 4.0
}

/// A file written by pyarrow 26; `columns.parquet` and others hold `value` in rows of three.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read_parquet(name: &str, vectors: Option<&str>) -> Result<VectorSet, DataError> {
    let options = ReadOptions { vectors: vectors.map(str::to_owned), ..ReadOptions::default() };
    vectors::read(fixture(name), &options)
}

#[test]
fn embeddings_of_every_layout_are_read() {
    let wanted: Vec<f32> = (0..15).map(value).collect();
    let names = |n: &[&str]| Some(Ids::Names(n.iter().map(|n| (*n).to_owned()).collect()));
    let letters = names(&["p", "q", "r", "s", "t"]);

    let set = read_parquet("fixed_list.parquet", None).unwrap();
    assert_eq!((set.dim, &set.rows), (3, &wanted));
    assert_eq!(set.ids, Some(Ids::Numbers(vec![10, 11, 12, 13, (1 << 63) + 1])));
    let columns: Vec<&str> = set.metadata.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(columns, ["title", "year", "mark", "seen", "cat"]);
    let text = |t: &str| Some(t.to_owned());
    let titles = vec![text("a"), text("b"), None, text("größer"), text("a")];
    assert_eq!(set.column("title"), Some(&Values::Texts(titles)));
    let years = vec![Some(1999), None, Some(-3), Some(0), Some(7)];
    assert_eq!(set.column("year"), Some(&Values::Integers(years)));
    let marks = vec![Some(0.5), None, Some(1.0), Some(2.0), Some(3.0)];
    assert_eq!(set.column("mark"), Some(&Values::Numbers(marks)));
    let seen = vec![Some(1), Some(0), None, Some(1), Some(1)];
    assert_eq!(set.column("seen"), Some(&Values::Integers(seen)));

    let id = ReadOptions { ids: Some(ColumnRef::Name("key".into())), ..ReadOptions::default() };
    let set = vectors::read(fixture("double_list_v2.parquet"), &id).unwrap();
    assert_eq!((set.dim, &set.rows, &set.ids), (3, &wanted, &letters));
    let set = read_parquet("half_list.parquet", None).unwrap();
    assert_eq!((set.dim, &set.rows), (3, &wanted));
    assert_eq!(set.ids, Some(Ids::Numbers((0..5).collect())));

    let id = ReadOptions { ids: Some(ColumnRef::Position(1)), ..ReadOptions::default() };
    let set = vectors::read(fixture("columns.parquet"), &id).unwrap();
    assert_eq!((set.dim, &set.rows, &set.ids), (3, &wanted, &letters));
    let one = ReadOptions { metadata: vec![ColumnRef::Name("d1".into())], ..ReadOptions::default() };
    let set = vectors::read(fixture("columns.parquet"), &one).unwrap();
    assert_eq!((set.dim, set.row(1), set.metadata.len()), (2, &[value(3), value(5)][..], 2));
    assert_eq!(read_parquet("columns.parquet", Some("d2")).unwrap().rows[4], value(14));
}

#[test]
fn parquet_that_is_not_read_is_refused_by_name() {
    for (name, vectors, words) in [
        ("split.parquet", None, "column `vector`: encoding BYTE_STREAM_SPLIT is not supported"),
        ("delta.parquet", None, "column `id`: encoding DELTA_BINARY_PACKED is not supported"),
        (
            "zstd.parquet",
            None,
            "column `vector`: compression ZSTD is not supported (none, snappy and gzip are)",
        ),
        ("bad.parquet", None, "which column holds the vectors? there are ragged, empty, gone, hole"),
        ("bad.parquet", Some("ragged"), "row 1 (counted from 0) has 1 elements, where the first has 2"),
        ("bad.parquet", Some("empty"), "row 1 (counted from 0) has no vector"),
        ("bad.parquet", Some("gone"), "row 1 (counted from 0) has no vector"),
        ("bad.parquet", Some("hole"), "row group 0, column `hole`: row 1, column 1 (counted from 0) is null"),
        ("bad.parquet", Some("text"), "column `text`: it holds no floats or lists of them"),
        ("bad.parquet", Some("deep"), "column `deep`: it holds no floats or lists of them"),
        (
            "bad.parquet",
            Some("absent"),
            "no column `absent`; there are ragged, empty, gone, hole, text, deep, price",
        ),
    ] {
        let message = read_parquet(name, vectors).unwrap_err().to_string();
        assert!(message.contains(words) && !message.contains('\n'), "{message}");
    }
    let options = |ids, metadata| ReadOptions { ids, metadata, ..ReadOptions::default() };
    let column = |name: &str| ColumnRef::Name(name.into());
    for (options, words) in [
        (options(Some(column("mark")), vec![]), "column `mark`: ids are whole numbers or text"),
        (options(Some(column("title")), vec![]), "row 2 (counted from 0): its id is null"),
        (options(Some(ColumnRef::Position(9)), vec![]), "no column 9"),
        (options(None, vec![column("tags")]), "column `tags`: it holds no plain values"),
    ] {
        let message = vectors::read(fixture("fixed_list.parquet"), &options).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

/// Writes bytes beside the tests' own files and reads them.
fn read_bytes(folder: &Path, bytes: &[u8], options: &ReadOptions) -> Result<VectorSet, DataError> {
    let path = folder.join("x.parquet");
    std::fs::write(&path, bytes).unwrap();
    vectors::read(&path, options)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_parquet_never_panics(
        name in prop::sample::select(vec![
            "fixed_list.parquet", "double_list_v2.parquet", "half_list.parquet", "columns.parquet", "checked_v2.parquet",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in prop::option::of(any::<prop::sample::Index>()),
        random in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let allow = ReadOptions { allow_duplicate_ids: true, ..ReadOptions::default() };
        if let Ok(set) = read_bytes(folder.path(), &bytes, &allow) {
            prop_assert_eq!(set.check(), Ok(()));
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(read_bytes(folder.path(), &bytes, &allow).is_err());
        }
        prop_assert!(read_bytes(folder.path(), &random, &allow).is_err());
    }
}

#[test]
fn row_groups_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.parquet");
    // Two row groups, for one takes 64 MiB.
    let (n, dim) = (17_000, 1000);
    let rows: Vec<f32> = (0..n * dim).map(|i| (i % 9973) as f32).collect();
    let ids = Some(Ids::Numbers((0..n as u64).rev().collect()));
    let set = VectorSet { ids, ..VectorSet::new(dim, rows) };
    vectors::write(&path, &set).unwrap();
    assert!(vectors::read(&path, &ReadOptions::default()).unwrap() == set);
}

#[test]
fn second_version_pages_and_other_types_are_read() {
    let columns = |names: &[&str]| names.iter().map(|n| ColumnRef::Name((*n).into())).collect();
    let options =
        ReadOptions { allow_duplicate_ids: true, metadata: columns(&["bytes"]), ..ReadOptions::default() };
    let set = vectors::read(fixture("checked_v2.parquet"), &options).unwrap();
    assert_eq!((set.dim, set.rows.clone()), (3, (0..15).map(value).collect()));
    assert_eq!(set.ids, Some(Ids::Numbers(vec![3, 1, 4, 1, 5])));
    let names: Vec<&str> = set.metadata.iter().map(|c| c.name.as_str()).collect();
    // `codes` are bytes that nobody asked for.
    assert_eq!(names, ["flag", "bytes", "day", "wide", "only", "tiny"]);
    let texts = |t: [Option<&str>; 5]| Values::Texts(t.map(|t| t.map(str::to_owned)).to_vec());
    let [flag, bytes, day, wide, only, tiny] = [0, 1, 2, 3, 4, 5].map(|i| set.metadata[i].values.clone());
    assert_eq!(flag, Values::Integers(vec![Some(1), None, Some(0), Some(1), Some(1)]));
    assert_eq!(bytes, texts([Some("a"), Some("b"), Some("c"), Some("d"), None]));
    assert_eq!(day, Values::Integers((0..5).map(Some).collect()));
    // Beyond 63 bits in the first row group alone.
    assert_eq!(wide, texts([Some("1"), Some("9223372036854775808"), None, Some("2"), Some("3")]));
    assert_eq!(only, texts([Some("same"); 5]));
    assert_eq!(tiny, Values::Integers(vec![Some(-1), Some(2), None, Some(3), Some(4)]));

    let codes = ReadOptions { metadata: columns(&["codes"]), ..options };
    let message = vectors::read(fixture("checked_v2.parquet"), &codes).unwrap_err().to_string();
    assert!(message.ends_with("row group 0, column `codes`: a text is not UTF-8"), "{message}");
}

#[test]
fn a_flipped_bit_does_not_pass_the_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    parquet::write(&path, &VectorSet::new(64, vec![0.5; 640])).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    let message = read_bytes(folder.path(), &bytes, &ReadOptions::default()).unwrap_err().to_string();
    assert!(
        message
            .ends_with("row group 0, column `vector`: a page's checksum does not match: the file is damaged"),
        "{message}"
    );
}

#[test]
fn lists_without_a_group_between_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let set = VectorSet::new(2, vec![1.0, 2.0, 3.0, 4.0]);
    parquet::write(&path, &set).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (pages, tail) = bytes.split_at(bytes.len() - 8);
    let length = u32::from_le_bytes(tail[..4].try_into().unwrap()) as usize;
    let (pages, footer) = pages.split_at(pages.len() - length);
    // The schema has one element less: `repeated group list` goes, and `required float element` is repeated.
    let cut = b"\x35\x04\x18\x04list\x15\x02\x00\x15\x08\x25\x00";
    let at = footer.windows(cut.len()).position(|w| w == cut).unwrap();
    let footer = [&footer[..at], b"\x15\x08\x25\x04", &footer[at + cut.len()..]].concat();
    let mut footer = footer;
    assert_eq!(footer[..4], [0x15, 0x02, 0x19, 0x4C]);
    footer[3] = 0x3C;
    let file = [pages, &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
    assert_eq!(read_bytes(folder.path(), &file, &ReadOptions::default()).unwrap(), set);
}

/// A set of two rows of two.
fn pair(ids: [u64; 2], note: Option<&str>) -> VectorSet {
    let values = Values::Texts(vec![note.map(str::to_owned), None]);
    let metadata = vec![Column { name: "note".into(), values }];
    VectorSet {
        ids: Some(Ids::Numbers(ids.to_vec())),
        metadata,
        ..VectorSet::new(2, vec![1.0, -0.0, 3e-20, f32::MAX])
    }
}

#[test]
fn what_is_written_piece_by_piece_is_read_piece_by_piece() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    std::fs::write(&path, "old").unwrap();
    let parts = [pair([1, 2], Some("größer")), pair([u64::MAX, 3], None), pair([5, 4], Some(""))];
    let mut writer = ParquetWriter::create(&path).unwrap();
    for part in &parts {
        writer.push(part, Some(&[1, 2, 3, 4, 5, 6])).unwrap();
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    writer.finish().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let reader = ParquetReader::open(&path, &ReadOptions::default()).unwrap();
    assert_eq!(reader.claimed_rows(), 6);
    let groups: Vec<VectorSet> = reader.map(Result::unwrap).collect();
    assert_eq!(groups, parts);
    let all = vectors::read(&path, &ReadOptions::default()).unwrap();
    assert_eq!(all.ids, Some(Ids::Numbers(vec![1, 2, u64::MAX, 3, 5, 4])));
    assert_eq!((all.row(3), all.metadata[0].values.len()), (&[3e-20, f32::MAX][..], 6));
}

#[test]
fn sets_that_do_not_fit_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let good = pair([1, 2], None);
    let refused = |set: &VectorSet, codes: Option<&[u8]>, words: &str| {
        let mut writer = ParquetWriter::create(&path).unwrap();
        writer.push(&good, None).unwrap();
        let message = writer.push(set, codes).unwrap_err().to_string();
        assert!(message.contains(words) && !message.contains('\n'), "{message}");
    };
    refused(
        &good,
        Some(&[1, 2]),
        "rows are of the form [2 elements; id int64, vector float, codes bytes, note bytes]",
    );
    refused(&good, Some(&[1, 2, 3]), "3 bytes of codes for 2 rows");
    refused(&good, Some(&[]), "0 bytes of codes for 2 rows");
    refused(&VectorSet { ids: None, ..good.clone() }, None, "those before them of [2 elements; id int64");
    refused(&VectorSet::new(2, vec![f32::NAN; 2]), None, "row 0, column 0 (counted from 0) is NaN");
    for name in ["id", "vector", "codes", "note"] {
        let mut set = good.clone();
        set.metadata.push(Column { name: name.into(), values: Values::Integers(vec![None, None]) });
        refused(&set, None, &format!("metadata cannot be called `{name}` here"));
    }
    let message = ParquetWriter::create(&path).unwrap().finish().unwrap_err().to_string();
    assert!(message.ends_with("a.parquet: there is no vector"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// pyarrow's file of ten million equal numbers.
#[test]
fn few_bytes_that_stand_for_many_are_refused() {
    let message = read_parquet("constant.parquet", None).unwrap_err().to_string();
    let words = "column `x`: it unpacks to more than 1032 times the file's size";
    assert!(message.contains(words), "{message}");
}

#[test]
fn a_name_of_two_lines_makes_an_error_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let mut set = pair([1, 2], None);
    set.metadata[0].name = "no\nte".into();
    parquet::write(&path, &set).unwrap();
    assert_eq!(vectors::read(&path, &ReadOptions::default()).unwrap(), set);
    let named = ReadOptions { vectors: Some("no\nte".into()), ..ReadOptions::default() };
    let message = vectors::read(&path, &named).unwrap_err().to_string();
    assert!(message.ends_with("column `no\u{FFFD}te`: it holds no floats or lists of them"), "{message}");
}

#[test]
fn parquet_cut_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("columns.parquet")).unwrap();
    for length in 0..bytes.len() {
        let message =
            read_bytes(folder.path(), &bytes[..length], &ReadOptions::default()).unwrap_err().to_string();
        assert!(message.contains("x.parquet: no Parquet file: ") && !message.contains('\n'), "{message}");
    }
}

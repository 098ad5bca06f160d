//! Containers: what is written comes back, and no damage passes for content.
#![allow(clippy::unwrap_used)]

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use half::f16;
use ocelli_vectors::container::{
    Column, Container, ContainerError, ContainerWriter, ElementType, Fault, METADATA, Result,
};
use proptest::prelude::*;
use serde_json::json;

/// Offsets in the header and in an entry of the table, as the module's documentation gives them.
mod place {
    pub(crate) const BYTE_ORDER: usize = 8;
    pub(crate) const VERSION: usize = 12;
    pub(crate) const KIND: usize = 16;
    pub(crate) const SECTIONS: usize = 32;
    pub(crate) const ENTRY: usize = 36;
    pub(crate) const TABLE: usize = 40;
    pub(crate) const LENGTH: usize = 48;
    pub(crate) const NAME: usize = 0;
    pub(crate) const ELEMENT: usize = 48;
    pub(crate) const RANK: usize = 52;
    pub(crate) const DIMS: usize = 56;
    pub(crate) const START: usize = 104;
    pub(crate) const BYTES: usize = 112;
    pub(crate) const ZERO: usize = 124;
}

/// Writes to memory.
type Writer = ContainerWriter<Cursor<Vec<u8>>>;

fn writer() -> Writer {
    ContainerWriter::new("test", Cursor::new(Vec::new()), "test").unwrap()
}

/// A small file with a bit of everything.
fn small() -> Vec<u8> {
    let mut writer = writer();
    writer.metadata(&json!({ "dim": 3, "eta": 4.125 })).unwrap();
    writer.section("ids", &[3], &[7u64, u64::MAX, 0]).unwrap();
    let mut rows = writer.rows::<f32>("rows", &[3]).unwrap();
    rows.push(&[1.0, 2.0]).unwrap();
    rows.push(&[3.0, -4.0, 5.0, f32::MIN_POSITIVE]).unwrap();
    assert_eq!(rows.finish().unwrap(), 2);
    writer.section("empty", &[0, 5], &[] as &[i32]).unwrap();
    writer.section("codes", &[3, 2, 1], &[0u8, 1, 15, 3, 4, 5]).unwrap();
    writer.section("halves", &[1, 2], &[f16::ONE, f16::NAN]).unwrap();
    writer.section("one", &[], &[2.5f64]).unwrap();
    writer.close().unwrap().into_inner()
}

fn opened(bytes: &[u8]) -> Result<Container> {
    Container::from_bytes("test", bytes)
}

/// Whether damage is noticed, by opening or by verifying. Whatever opens must also let itself be looked at.
fn noticed(bytes: &[u8]) -> bool {
    let Ok(container) = opened(bytes) else { return true };
    look_at(&container);
    container.verify().is_err()
}

fn look_at(container: &Container) {
    let _ = container.metadata::<serde_json::Value>();
    for section in container.sections() {
        let name = &section.name;
        let views = [
            container.view::<u8>(name).map(<[u8]>::len),
            container.view::<u64>(name).map(<[u64]>::len),
            container.view::<f32>(name).map(<[f32]>::len),
            container.view::<f16>(name).map(<[f16]>::len),
        ];
        for found in views.into_iter().flatten() {
            assert_eq!(found, section.shape.iter().product::<usize>());
        }
    }
}

fn message(result: Result<impl Sized>) -> String {
    match result {
        Ok(_) => panic!("it was accepted"),
        Err(error) => error.to_string(),
    }
}

/// Bytes with correct checksums after `change`: what a forger would make.
fn forged(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>, usize)) -> Vec<u8> {
    let table = u64::from_le_bytes(bytes[place::TABLE..place::TABLE + 8].try_into().unwrap()) as usize;
    change(&mut bytes, table);
    let table = u64::from_le_bytes(bytes[place::TABLE..place::TABLE + 8].try_into().unwrap());
    let start = usize::try_from(table).unwrap_or(usize::MAX).min(bytes.len());
    let sum = crc32fast::hash(&bytes[start..]);
    bytes[56..60].copy_from_slice(&sum.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn what_is_written_comes_back() {
    let container = opened(&small()).unwrap();
    container.verify().unwrap();
    assert_eq!(
        (container.kind(), container.is_empty(), container.path()),
        ("test", false, Path::new("test"))
    );
    container.expect_kind("test").unwrap();
    assert_eq!(container.metadata::<serde_json::Value>().unwrap()["eta"], 4.125);
    let names: Vec<&str> = container.sections().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, [METADATA, "ids", "rows", "empty", "codes", "halves", "one"]);
    assert_eq!(container.array::<u64, 1>("ids").unwrap(), ([3], &[7, u64::MAX, 0][..]));
    let rows: &[f32] = &[1.0, 2.0, 3.0, -4.0, 5.0, f32::MIN_POSITIVE];
    assert_eq!(container.array::<f32, 2>("rows").unwrap(), ([2, 3], rows));
    assert_eq!(container.array::<i32, 2>("empty").unwrap(), ([0, 5], &[][..]));
    assert_eq!(container.array::<u8, 3>("codes").unwrap().0, [3, 2, 1]);
    assert!(container.view::<f16>("halves").unwrap()[1].is_nan());
    assert_eq!(container.array::<f64, 0>("one").unwrap(), ([], &[2.5][..]));
    assert_eq!(container.section("rows").unwrap().element, ElementType::F32);
    for section in container.sections() {
        let bytes = container.view::<u8>(&section.name).map(<[u8]>::as_ptr);
        assert!(bytes.is_ok_and(|at| at.align_offset(64) == 0) || section.element != ElementType::U8);
    }
    assert_eq!(container.view::<f32>("rows").unwrap().as_ptr().align_offset(64), 0);
}

#[test]
fn wrong_wishes_are_named() {
    let container = opened(&small()).unwrap();
    assert_eq!(message(container.view::<u8>("absent")), "test: there is no section `absent`");
    assert_eq!(message(container.view::<f64>("rows")), "test: section `rows` is f32 [2, 3], wanted f64");
    let wanted = "test: section `rows` is f32 [2, 3], wanted f32 of 3 dimensions";
    assert_eq!(message(container.array::<f32, 3>("rows")), wanted);
    assert_eq!(message(container.expect_kind("index")), "test: the file holds `test`, not `index`");
    assert!(message(container.metadata::<Vec<u8>>()).contains("metadata cannot be understood"));
    let without = opened(&writer().close().unwrap().into_inner()).unwrap();
    assert!(without.is_empty() && matches!(without.section(METADATA).unwrap_err().fault, Fault::Missing(_)));
}

#[test]
fn impossible_sections_are_refused() {
    let refused = |write: &dyn Fn(&mut Writer) -> Result<()>| message(write(&mut writer()));
    let long = "n".repeat(49);
    for name in ["", "Rows", "a b", "naïve", "a/b", long.as_str()] {
        assert!(refused(&|w| w.section(name, &[1], &[1u8])).contains("a name is 1 to 48"), "{name}");
    }
    assert!(refused(&|w| w.section("x", &[2, 2], &[1u8, 2, 3])).contains("do not have the shape [2, 2]"));
    assert!(refused(&|w| w.section("x", &[usize::MAX, 2], &[1u8])).contains("do not have the shape"));
    assert!(refused(&|w| w.section("x", &[1; 7], &[1u8])).contains("up to 6"));
    assert!(refused(&|w| w.rows::<u8>("x", &[0]).map(drop)).contains("no elements"));
    let twice = refused(&|w| w.section("x", &[1], &[1u8]).and_then(|()| w.section("x", &[1], &[1u8])));
    assert!(twice.contains("there already is one"));
    assert!(ContainerWriter::new("test", Cursor::new(Vec::new()), "Test").is_err());
    let mut many = writer();
    let written = (0..5000).try_for_each(|i| many.section(&format!("s{i}"), &[0], &[] as &[u8]));
    assert!(message(written).contains("more than 4096 sections"));
    assert_eq!(opened(&many.close().unwrap().into_inner()).unwrap().sections().len(), 4096);
}

#[test]
fn an_unfinished_section_cannot_be_completed() {
    let mut dropped = writer();
    drop(dropped.rows::<u8>("rows", &[2]).unwrap());
    assert!(message(dropped.section("next", &[1], &[1u8])).contains("`rows` was begun and not finished"));
    assert!(message(dropped.close()).contains("section `rows` cannot be written: it was begun"));
    let mut part = writer();
    let mut rows = part.rows::<u8>("rows", &[2]).unwrap();
    rows.push(&[1, 2, 3]).unwrap();
    assert!(message(rows.finish()).contains("3 elements are no whole rows of 2"));
    assert!(part.close().is_err());
}

#[test]
fn every_changed_byte_is_noticed() {
    let good = small();
    assert!(!noticed(&good));
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            assert!(noticed(&bad), "byte {at} ^ {flip:#x}");
        }
    }
}

#[test]
fn every_cut_and_every_tail_is_noticed() {
    let good = small();
    for length in 0..good.len() {
        let said = message(opened(&good[..length]));
        let wanted = if length == 0 { "no Ocelli container" } else { "cut off" };
        assert!(said.contains(wanted), "{length}: {said}");
    }
    for tail in [1, 63, 64, 128] {
        let said = message(opened(&[&good[..], &vec![0; tail]].concat()));
        assert!(said.contains("followed by something else"), "{said}");
    }
}

#[test]
fn a_large_file_is_checked_at_its_seams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.ocelli");
    let mut writer = ContainerWriter::create(&path, "test").unwrap();
    let values: Vec<u32> = (0..2_500_001).collect();
    for name in ["a", "b", "c"] {
        writer.section(name, &[values.len()], &values).unwrap();
    }
    writer.finish().unwrap();
    let good = std::fs::read(&path).unwrap();
    let container = Container::open(&path).unwrap();
    container.verify().unwrap();
    assert_eq!(container.len(), good.len() as u64);
    assert_eq!(container.view::<u32>("b").unwrap(), values);
    let content = container.view::<u32>("a").unwrap();
    assert_eq!(content.as_ptr().align_offset(64), 0);
    let table = good.len() - 3 * 128;
    let padded = (values.len() * 4).next_multiple_of(64);
    let seams = (0..=3).flat_map(|i| [64 + i * padded, 64 + i * padded + values.len() * 4]);
    for seam in seams.chain([table, table + 128, good.len() - 1]) {
        for length in [seam - 1, seam, seam + 1].into_iter().filter(|length| *length < good.len()) {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(message(Container::open(&path)).contains("cut off"), "{length}");
            assert!(message(Container::read(&path)).contains("cut off"), "{length}");
        }
    }
    let mut bad = good.clone();
    bad[64 + 9_999_999] ^= 4;
    bad[64 + 2 * padded] ^= 4;
    std::fs::write(&path, &bad).unwrap();
    let said = message(Container::open(&path).unwrap().verify());
    assert!(
        said.ends_with(
            "the content of `a`, `c` is damaged (its checksum differs); restore the file or build it again"
        ),
        "{said}"
    );
    assert!(said.contains("large.ocelli"));
    assert!(
        matches!(Container::read(&path).unwrap_err().fault, Fault::Damaged(names) if names == ["a", "c"])
    );
}

/// What a forger with correct checksums can write is refused where it is read, and costs no memory.
#[test]
fn forged_lengths_are_refused() {
    type Change = fn(&mut Vec<u8>, usize);
    fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
        bytes[at..at + N].copy_from_slice(&value);
    }
    let cases: &[(&str, Change)] = &[
        ("mark of the byte order", |b, _| b[place::BYTE_ORDER..place::BYTE_ORDER + 4].reverse()),
        ("version 2 is unknown", |b, _| put(b, place::VERSION, 2u32.to_le_bytes())),
        ("the kind is no name", |b, _| b[place::KIND] = b'T'),
        ("the kind is no name", |b, _| b[place::KIND + 15] = b'x'),
        ("do not end with the file", |b, _| put(b, place::SECTIONS, u32::MAX.to_le_bytes())),
        ("do not end with the file", |b, _| put(b, place::ENTRY, 64u32.to_le_bytes())),
        ("do not end with the file", |b, _| put(b, place::TABLE, u64::MAX.to_le_bytes())),
        ("do not end with the file", |b, _| put(b, place::TABLE, 0u64.to_le_bytes())),
        ("its header says 18446744073709551615", |b, _| put(b, place::LENGTH, u64::MAX.to_le_bytes())),
        // The table starts an entry later, with one section fewer.
        ("should start at byte 64", |b, t| {
            put(b, place::TABLE, (t as u64 + 128).to_le_bytes());
            put(b, place::SECTIONS, 6u32.to_le_bytes());
        }),
        // Zeros between the last section and the table.
        ("that belong to nothing", |b, t| {
            b.splice(t..t, [0; 64]);
            put(b, place::TABLE, (t as u64 + 64).to_le_bytes());
            let length = b.len() as u64;
            put(b, place::LENGTH, length.to_le_bytes());
        }),
        ("has no name", |b, t| b[t + place::NAME] = 0),
        ("has no name", |b, t| b[t + place::NAME + 47] = b'x'),
        ("two sections `ids`", |b, t| {
            b[t..t + 48].fill(0);
            b[t..t + 3].copy_from_slice(b"ids");
        }),
        ("element type 99", |b, t| put(b, t + place::ELEMENT, 99u32.to_le_bytes())),
        ("is not f64 [", |b, t| put(b, t + place::ELEMENT, 10u32.to_le_bytes())),
        ("7 dimensions", |b, t| put(b, t + place::RANK, 7u32.to_le_bytes())),
        ("4294967295 dimensions", |b, t| put(b, t + place::RANK, u32::MAX.to_le_bytes())),
        ("0 dimensions, of", |b, t| put(b, t + place::RANK, 0u32.to_le_bytes())),
        ("dimensions, of", |b, t| b[t + place::ZERO] = 1),
        ("which is not u8 [18446744073709551615]", |b, t| put(b, t + place::DIMS, u64::MAX.to_le_bytes())),
        // 2^63 pairs are 0 bytes when counted carelessly.
        ("which is not", |b, t| {
            let ids = t + 128;
            put(b, ids + place::RANK, 2u32.to_le_bytes());
            put(b, ids + place::DIMS, (1u64 << 63).to_le_bytes());
            put(b, ids + place::DIMS + 8, 2u64.to_le_bytes());
            put(b, ids + place::BYTES, 0u64.to_le_bytes());
        }),
        ("should start at byte 64", |b, t| put(b, t + place::START, 128u64.to_le_bytes())),
        ("should start at byte 64", |b, t| put(b, t + place::START, (u64::MAX - 8).to_le_bytes())),
        ("should start at", |b, t| put(b, t + 128 + place::START, 64u64.to_le_bytes())),
        ("should start at", |b, t| {
            let rows = u64::MAX / 8;
            put(b, t + 128 + place::DIMS, rows.to_le_bytes());
            put(b, t + 128 + place::BYTES, (rows * 8).to_le_bytes());
        }),
        // A byte between two sections.
        ("that belong to nothing", |b, _| b[127] = 1),
    ];
    for (wanted, change) in cases {
        let bytes = forged(small(), change);
        let said = message(opened(&bytes));
        assert!(said.contains(wanted), "{wanted}: {said}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forged");
        std::fs::write(&path, &bytes).unwrap();
        assert!(message(Container::open(&path)).ends_with(said.strip_prefix("test").unwrap()));
        assert!(Container::read(&path).is_err());
    }
    assert!(!noticed(&forged(small(), |_, _| ())), "the forger's checksums are right");
}

#[test]
fn what_is_no_file_of_ours_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    assert!(message(Container::open(&path)).contains("cannot read"));
    assert!(message(Container::open(folder.path())).contains("no regular file"));
    for content in [&b""[..], b"P", b"{\"json\": 1}", b"PK\x03\x04", &[0; 4096]] {
        std::fs::write(&path, content).unwrap();
        assert!(message(Container::open(&path)).contains("no Ocelli container"));
        assert!(message(Container::read(&path)).contains("no Ocelli container"));
    }
    // Transferred as text: line ends were changed.
    let text = small().split(|b| *b == b'\r').collect::<Vec<_>>().concat();
    assert!(message(opened(&text)).contains("no Ocelli container"));
    // A file full of nothing that claims to be huge is refused before anything is reserved for it.
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(message(Container::read(&path)).contains("no Ocelli container"));
    assert!(message(Container::open(&path)).contains("no Ocelli container"));
}

/// A disk with room for so many bytes.
struct Disk {
    room: usize,
    content: Cursor<Vec<u8>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room.saturating_sub(self.content.position() as usize);
        match room {
            0 => Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device")),
            room => self.content.write(&bytes[..bytes.len().min(room)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

#[test]
fn a_full_disk_is_an_error_wherever_it_happens() {
    fn write(room: usize) -> Result<Vec<u8>> {
        let disk = Disk { room, content: Cursor::new(Vec::new()) };
        let mut writer = ContainerWriter::new("test", disk, "test")?;
        writer.metadata(&json!({ "dim": 1 }))?;
        let mut rows = writer.rows("rows", &[1])?;
        rows.push(&[1.0f32; 40])?;
        rows.finish()?;
        writer.close().map(|disk| disk.content.into_inner())
    }
    let whole = write(usize::MAX).unwrap();
    for room in 0..whole.len() {
        assert!(message(write(room)).contains("cannot write: no space left on device"), "{room}");
    }
    assert_eq!(write(whole.len()).unwrap(), whole);
}

#[test]
fn what_was_there_stays_until_the_new_file_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.ocelli");
    let write = |value: u8| {
        let mut writer = ContainerWriter::create(&path, "test")?;
        writer.section("value", &[1], &[value])?;
        Ok::<_, ContainerError>(writer)
    };
    write(1).unwrap().finish().unwrap();
    let old = Container::open(&path).unwrap();
    let half = write(2).unwrap();
    assert_eq!(Container::read(&path).unwrap().view::<u8>("value").unwrap(), [1]);
    drop(half);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let mut begun = write(3).unwrap();
    drop(begun.rows::<u8>("rows", &[1]).unwrap());
    assert!(begun.finish().is_err());
    assert_eq!(Container::read(&path).unwrap().view::<u8>("value").unwrap(), [1]);
    write(4).unwrap().finish().unwrap();
    assert_eq!(Container::read(&path).unwrap().view::<u8>("value").unwrap(), [4]);
    assert_eq!(old.view::<u8>("value").unwrap(), [1], "who had the old file open keeps it");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(message(ContainerWriter::create(folder.path().join("no/x"), "test")).contains("cannot write"));
}

#[test]
fn a_column_is_a_vector_or_a_section() {
    let container = Arc::new(opened(&small()).unwrap());
    let mut column = Column::<u64>::open(&container, "ids").unwrap();
    assert_eq!(column.as_ptr(), container.view::<u64>("ids").unwrap().as_ptr());
    assert_eq!(format!("{column:?}"), "Column(section, 3 x u64)");
    column.to_mut().push(9);
    assert_eq!(*column, [7, u64::MAX, 0, 9]);
    assert_eq!(*Column::from(vec![1.5f32]), [1.5]);
    assert!(Column::<f32>::open(&container, "ids").is_err());
    let kept = Column::<f32>::open(&container, "rows").unwrap();
    drop(container);
    assert_eq!(kept[1], 2.0);
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(opened(&bytes).is_err());
        let marked = [&small()[..16], &bytes].concat();
        prop_assert!(opened(&marked).is_err());
        // With right checksums behind which anything may stand.
        if marked.len() >= 64 {
            let length = (marked.len() as u64).to_le_bytes();
            let forged = forged(marked, |b, _| {
                b[16..32].copy_from_slice(&small()[16..32]);
                b[place::LENGTH..place::LENGTH + 8].copy_from_slice(&length);
            });
            prop_assert!(noticed(&forged));
        }
    }

    #[test]
    fn forged_tables_cause_no_panic(changes in prop::collection::vec((0usize..7 * 128, any::<u8>()), 1..6)) {
        let bytes = forged(small(), |b, table| changes.iter().for_each(|(at, value)| b[table + at] = *value));
        if let Ok(container) = opened(&bytes) {
            look_at(&container);
            let _ = container.verify();
        }
    }

    #[test]
    fn any_sections_come_back(
        sections in prop::collection::vec((0usize..5, 0usize..40, 1usize..4), 0..8),
        kind in "[a-z0-9._-]{1,16}",
    ) {
        let mut writer = ContainerWriter::new("test", Cursor::new(Vec::new()), &kind).unwrap();
        for (number, (element, rows, row)) in sections.iter().enumerate() {
            let (name, n) = (format!("s.{number}"), rows * row);
            match element {
                0 => writer.section(&name, &[*rows, *row], &vec![number as u8; n]),
                1 => writer.section(&name, &[*rows, *row], &vec![-(number as i32); n]),
                2 => writer.section(&name, &[*rows, *row], &vec![number as f64; n]),
                3 => writer.section(&name, &[*rows, *row], &vec![f16::from_f32(number as f32); n]),
                _ => {
                    let mut by_rows = writer.rows(&name, &[*row]).unwrap();
                    (0..*rows).try_for_each(|_| by_rows.push(&vec![number as u16; *row])).unwrap();
                    by_rows.finish().map(|found| assert_eq!(found, *rows))
                }
            }
            .unwrap();
        }
        let bytes = writer.close().unwrap().into_inner();
        let container = opened(&bytes).unwrap();
        container.verify().unwrap();
        prop_assert_eq!(container.kind(), kind);
        prop_assert_eq!(container.sections().len(), sections.len());
        for (number, (element, rows, row)) in sections.iter().enumerate() {
            let (name, shape) = (format!("s.{number}"), [*rows, *row]);
            let same = match element {
                0 => container.array::<u8, 2>(&name).unwrap() == (shape, &vec![number as u8; rows * row][..]),
                1 => container.array::<i32, 2>(&name).unwrap() == (shape, &vec![-(number as i32); rows * row][..]),
                2 => container.array::<f64, 2>(&name).unwrap() == (shape, &vec![number as f64; rows * row][..]),
                3 => container.array::<f16, 2>(&name).unwrap() == (shape, &vec![f16::from_f32(number as f32); rows * row][..]),
                _ => container.array::<u16, 2>(&name).unwrap() == (shape, &vec![number as u16; rows * row][..]),
            };
            prop_assert!(same);
        }
    }
}

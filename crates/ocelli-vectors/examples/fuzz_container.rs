//! Damages containers and looks whether it is noticed:
//! `cargo run --release -p ocelli-vectors --example fuzz_container -- SECONDS [SEED [FIRST]]`.
//!
//! Each round draws a valid file, changes it, and opens, views and verifies the result. Every second round the change is a
//! forger's, who sets the checksums right afterwards: then the file may be accepted, but nothing may panic, and views
//! must have the lengths of their shapes. Other damage must be noticed, but for two changes in some 2^32 that leave a
//! CRC-32 as it was. A failure prints the round, which `FIRST` repeats, and ends with status 1.
#![allow(clippy::print_stdout)]

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ocelli_method::random::{Generator, stream};
use ocelli_vectors::container::{Container, ContainerWriter, Result};
use rand::RngExt;

type Error = Box<dyn std::error::Error>;

/// One round in this many goes by way of a file that is mapped and read.
const FILES: u64 = 512;

/// A valid file with sections of all sorts.
fn valid(draw: &mut Generator) -> Result<Vec<u8>> {
    let mut writer = ContainerWriter::new("valid", Cursor::new(Vec::new()), "fuzz")?;
    if draw.random() {
        writer.metadata(&serde_json::json!({ "dim": draw.random::<u32>(), "what": ["a", null, 1.5] }))?;
    }
    for number in 0..draw.random_range(0..6) {
        let (name, row) = (format!("section.{number}"), draw.random_range(1..9));
        let count = draw.random_range(0..40) * row;
        let shape = [count / row, row];
        match draw.random_range(0..4) {
            0 => writer.section(&name, &shape, &(0..count).map(|_| draw.random()).collect::<Vec<u8>>())?,
            1 => writer.section(&name, &shape, &(0..count).map(|_| draw.random()).collect::<Vec<f32>>())?,
            2 => writer.section(&name, &[count], &(0..count).map(|_| draw.random()).collect::<Vec<u64>>())?,
            _ => {
                let mut rows = writer.rows::<i32>(&name, &[row])?;
                for _ in 0..count {
                    rows.push(&[draw.random()])?;
                }
                rows.finish()?;
            }
        }
    }
    Ok(writer.close()?.into_inner())
}

/// A place in a file, half of the time in its header or table.
fn place(draw: &mut Generator, bytes: &[u8]) -> usize {
    let table = table(bytes).min(bytes.len() - 1);
    match draw.random_range(0..4) {
        0 => draw.random_range(0..bytes.len().min(64)),
        1 => draw.random_range(table..bytes.len()),
        _ => draw.random_range(0..bytes.len()),
    }
}

/// Where the header says the table starts.
fn table(bytes: &[u8]) -> usize {
    let field = bytes.get(40..48).and_then(|field| field.try_into().ok());
    field.map_or(usize::MAX, |field| u64::from_le_bytes(field) as usize)
}

/// Numbers that programs stumble over.
const AWKWARD: &[u64] =
    &[0, 1, 63, 64, 127, 128, 1 << 31, u32::MAX as u64, 1 << 32, 1 << 62, 1 << 63, u64::MAX - 63, u64::MAX];

fn damage(draw: &mut Generator, bytes: &mut Vec<u8>) {
    for _ in 0..draw.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = place(draw, bytes);
        match draw.random_range(0..8) {
            0 | 1 => bytes[at] ^= 1 << draw.random_range(0..8),
            2 => bytes[at] = draw.random(),
            3 => {
                // An aligned number becomes an awkward one.
                let (at, number) = (at / 8 * 8, AWKWARD[draw.random_range(0..AWKWARD.len())].to_le_bytes());
                let room = number.len().min(bytes.len() - at);
                bytes[at..at + room].copy_from_slice(&number[..room]);
            }
            4 => bytes.truncate(at),
            5 => bytes.extend((0..draw.random_range(1..200)).map(|i| (i % 3) as u8)),
            6 => {
                let end = draw.random_range(at..bytes.len().min(at + 200)) + 1;
                let piece = bytes[at..end].to_vec();
                let to = place(draw, bytes);
                match draw.random() {
                    true => drop(bytes.splice(to..to, piece)),
                    false => bytes[to..].iter_mut().zip(piece).for_each(|(byte, new)| *byte = new),
                }
            }
            _ => {
                let end = draw.random_range(at..bytes.len().min(at + 300)) + 1;
                bytes.drain(at..end);
            }
        }
    }
}

/// Sets length, end of the table and checksums right as far as there is room for them.
fn forge(draw: &mut Generator, bytes: &mut [u8]) {
    if bytes.len() < 64 {
        return;
    }
    if draw.random() {
        let length = bytes.len() as u64;
        bytes[48..56].copy_from_slice(&length.to_le_bytes());
    }
    let sum = crc32fast::hash(&bytes[table(bytes).min(bytes.len())..]);
    bytes[56..60].copy_from_slice(&sum.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
}

/// Looks at everything; gives whether all of it was accepted.
fn accepted(container: Result<Container>) -> bool {
    let Ok(container) = container else { return false };
    let _ = container.metadata::<serde_json::Value>();
    for section in container.sections() {
        let name = &section.name;
        let views = [
            container.view::<u8>(name).map(<[u8]>::len),
            container.view::<i32>(name).map(<[i32]>::len),
            container.view::<f32>(name).map(<[f32]>::len),
            container.view::<u64>(name).map(<[u64]>::len),
        ];
        for length in views.into_iter().flatten() {
            assert_eq!(length, section.shape.iter().product::<usize>(), "length of a view");
        }
    }
    container.verify().is_ok()
}

/// Whether damage that should have been noticed was not; panics where the crate does.
fn round(seed: u64, number: u64, file: &Path) -> Result<bool, Error> {
    let mut draw = stream(seed, "fuzz", number);
    let good = valid(&mut draw)?;
    let mut bad = good.clone();
    damage(&mut draw, &mut bad);
    let forger = number % 2 == 1;
    if forger {
        forge(&mut draw, &mut bad);
    }
    let found = accepted(Container::from_bytes("damaged", &bad));
    if number.is_multiple_of(FILES) || number % FILES == 1 {
        std::fs::write(file, &bad)?;
        assert_eq!(accepted(Container::open(file)), found, "mapped");
        assert_eq!(accepted(Container::read(file)), found, "read");
        assert!(accepted(Container::from_bytes("valid", &good)), "a valid file");
    }
    Ok(found && !forger && bad != good)
}

fn main() -> Result<ExitCode, Error> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let (&seconds, rest) = numbers.split_first().ok_or("SECONDS [SEED [FIRST]] are wanted")?;
    let seed = rest.first().copied().unwrap_or(0);
    let first = rest.get(1).copied().unwrap_or(0);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("damaged");
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut number = first;
    while Instant::now() < end {
        let fault = match catch_unwind(AssertUnwindSafe(|| round(seed, number, &file))) {
            Ok(missed) => missed?.then_some("damage was accepted"),
            Err(_) => Some("panic"),
        };
        if let Some(fault) = fault {
            println!("seed {seed}, round {number}: {fault}");
            return Ok(ExitCode::FAILURE);
        }
        number += 1;
    }
    println!("seed {seed}, rounds {first} to {number}: all damage was noticed, nothing panicked");
    Ok(ExitCode::SUCCESS)
}

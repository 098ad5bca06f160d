//! Damages containers and looks whether it is noticed:
//! `cargo run --release -p ocelli-vectors --example fuzz_container -- SECONDS [SEED [FIRST]]`.
//!
//! Each round draws a valid file, changes it, and opens, views and verifies the result. Every second round the change is a
//! forger's, who sets the checksums right afterwards: then the file may be accepted, but nothing may panic, and views
//! must have the lengths of their shapes. Other damage must be noticed, but for two changes in some 2^32 that leave a
//! CRC-32 as it was. A failure prints the round, which `FIRST` repeats, and ends with status 1.
#![allow(clippy::print_stdout)]

mod damage;

use std::io::Cursor;
use std::path::Path;
use std::process::ExitCode;

use ocelli_method::random::{Generator, stream};
use ocelli_vectors::container::{Container, ContainerWriter, Result};
use rand::RngExt;

use damage::{Error, damage, forge};

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
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("damaged");
    damage::run(|seed, number| round(seed, number, &file))
}

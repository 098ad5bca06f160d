//! Damage to files, and the loop that looks what comes of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ocelli_method::random::Generator;
use rand::RngExt;

/// What the examples fail with.
pub(crate) type Error = Box<dyn std::error::Error>;

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

/// Changes up to three places.
pub(crate) fn damage(draw: &mut Generator, bytes: &mut Vec<u8>) {
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
pub(crate) fn forge(draw: &mut Generator, bytes: &mut [u8]) {
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

/// Runs rounds for as long as the command line says, `SECONDS [SEED [FIRST]]`. A round, given seed and number, says whether
/// damage that should have been noticed was not. A failure is printed with its round, and ends the loop.
pub(crate) fn run(mut round: impl FnMut(u64, u64) -> Result<bool, Error>) -> Result<ExitCode, Error> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let (&seconds, rest) = numbers.split_first().ok_or("SECONDS [SEED [FIRST]] are wanted")?;
    let seed = rest.first().copied().unwrap_or(0);
    let first = rest.get(1).copied().unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut number = first;
    while Instant::now() < end {
        let fault = match catch_unwind(AssertUnwindSafe(|| round(seed, number))) {
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

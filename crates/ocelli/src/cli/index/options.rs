//! Names of settings on the command line.

use clap::ValueEnum;
use ocelli_vectors::index::{Codes, Similarity, Storage, Training};

/// What is large for vectors that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Measure {
    /// Inner products, the largest first.
    #[value(alias = "inner_product")]
    InnerProduct,
    /// Cosines, the largest first.
    Cosine,
    /// Squared distances, the smallest first.
    #[value(name = "squared-l2", aliases = ["squared_l2", "l2"])]
    SquaredL2,
}

impl From<Measure> for Similarity {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::InnerProduct => Self::InnerProduct,
            Measure::Cosine => Self::Cosine,
            Measure::SquaredL2 => Self::SquaredL2,
        }
    }
}

/// How vectors are kept for exact scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Store {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// A byte an element, a scale a vector.
    Int8,
    /// Not at all.
    None,
}

impl From<Store> for Storage {
    fn from(store: Store) -> Self {
        match store {
            Store::F32 => Self::F32,
            Store::F16 => Self::F16,
            Store::Int8 => Self::Int8,
            Store::None => Self::None,
        }
    }
}

/// What is kept of a vector to choose candidates by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Coding {
    /// Product quantization: 4 bits for the elements of a block.
    Pq4,
    /// Scalar quantization: 8 bits an element; for small sets.
    Sq8,
}

impl From<Coding> for Codes {
    fn from(coding: Coding) -> Self {
        match coding {
            Coding::Pq4 => Self::Pq4,
            Coding::Sq8 => Self::Sq8,
        }
    }
}

/// How codewords are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Train {
    /// Each block by itself: fast.
    Kmeans,
    /// All blocks together under the score-aware loss: better codes.
    Joint,
}

impl From<Train> for Training {
    fn from(train: Train) -> Self {
        match train {
            Train::Kmeans => Self::KMeans,
            Train::Joint => Self::Joint,
        }
    }
}

/// The similarity as it is written on the command line.
pub(super) fn name_of(similarity: Similarity) -> &'static str {
    match similarity {
        Similarity::InnerProduct => "inner-product",
        Similarity::Cosine => "cosine",
        Similarity::SquaredL2 => "squared-l2",
    }
}

/// The storage as it is written on the command line.
pub(super) fn store_of(storage: Storage) -> &'static str {
    match storage {
        Storage::F32 => "f32",
        Storage::F16 => "f16",
        Storage::Int8 => "int8",
        Storage::None => "none",
    }
}

/// A number of bytes such as 2G, 512M or 1000000.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size such as 2G, 512M or 1000000");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number * unit as f64;
    if bytes >= 1.0 && bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// Bytes as people read them.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..0x100_000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x100_000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// Fails unless it is above 0, at most 1.
pub(super) fn check_recall(recall: f64) -> anyhow::Result<()> {
    anyhow::ensure!(recall > 0.0 && recall <= 1.0, "--recall {recall}: a recall is above 0, at most 1");
    Ok(())
}

//! What building takes in memory, and how it is made to fit.

use anyhow::bail;
use ocelli_vectors::index::Storage;

use super::options::{size, store_of};

/// The program itself, its threads, and buffers whose size does not depend on the data.
const PROGRAM: u64 = 48 << 20;
/// Vectors that codewords are trained on, and those that a partition's centre is trained on.
const TRAINED_ON: [u64; 2] = [20_000, 256];
/// Vectors of a piece at least, and of a sample for training.
const LEAST: u64 = 4096;

/// How the vectors come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All at once.
    Whole,
    /// A sample to train with, then pieces; brought together at the end where there is room for that.
    Pieces {
        /// Vectors of the sample.
        sample: usize,
        /// Vectors of a piece.
        piece: usize,
        /// Whether they are brought together.
        compact: bool,
    },
}

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// Vectors of the largest index.
    pub(super) count: usize,
    pub(super) dim: usize,
    pub(super) partitions: usize,
    /// Bytes of a vector's code.
    pub(super) code_bytes: usize,
    pub(super) spilled: bool,
    /// Whether a copy of unit length is made of the vectors that are worked on.
    pub(super) copied: bool,
    /// Whether half squared lengths are kept.
    pub(super) lengths: bool,
    /// Bytes of a file that can only be read as a whole; none where it is read in pieces.
    pub(super) file: Option<u64>,
}

/// How it is built.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) storage: Storage,
    pub(super) way: Way,
    /// Bytes at the most.
    pub(super) peak: u64,
    /// The sum in words.
    pub(super) sum: String,
}

/// Bytes of a hash table of `count` entries of this size, which has a power of two of them and is up to 7/8 full.
fn table(count: u64, entry: u64) -> u64 {
    (count * 8 / 7 + 1).next_power_of_two() * (entry + 1)
}

impl Task {
    fn codes(&self) -> u64 {
        let positions = self.count as u64 * (1 + u64::from(self.spilled));
        // Partitions begin with a unit of 32 vectors of their own, which is half empty on average.
        let rounded = positions + 32 * self.partitions as u64;
        rounded * self.code_bytes as u64
    }

    /// Ids, members of partitions, lengths.
    fn other(&self) -> u64 {
        let positions = u64::from(self.spilled) * 2;
        let numbers = 2 + positions + if self.lengths { 1 + positions } else { 0 };
        self.count as u64 * 4 * numbers + 16 * (self.partitions * self.dim) as u64
    }

    fn kept(&self, storage: Storage) -> u64 {
        (storage.bytes(self.dim) * self.count) as u64
    }

    fn rows(&self, count: u64) -> u64 {
        4 * self.dim as u64 * count * (1 + u64::from(self.copied))
    }

    fn sample(&self) -> u64 {
        (TRAINED_ON[1] * self.partitions as u64).max(TRAINED_ON[0]).min(self.count as u64)
    }

    fn whole(&self, storage: Storage) -> (u64, String) {
        let rows = match self.file {
            None => self.rows(self.count as u64),
            Some(file) => self.rows(self.count as u64) + file,
        };
        let training = 4 * self.dim as u64 * self.sample() + 8 * self.sample();
        let placing = 40 * self.count as u64;
        let index = self.codes() + self.kept(storage) + self.other();
        let peak = PROGRAM + rows + (index + placing).max(training);
        let sum = format!(
            "the vectors as they are read {}, codes {}, vectors kept as {} {}, building {}, the program {}",
            size(rows),
            size(self.codes()),
            store_of(storage),
            size(self.kept(storage)),
            size(self.other() + placing),
            size(PROGRAM),
        );
        (peak, sum)
    }

    fn pieces(&self, storage: Storage, sample: u64, piece: u64, compact: bool) -> (u64, String) {
        let count = self.count as u64;
        let share = |bytes: u64| (bytes as f64 * (piece as f64 / count as f64).min(1.0)) as u64;
        let index = self.codes() + self.kept(storage) + self.other();
        // While a piece is added, it is there as it was read and as it will be, and ids are looked up.
        let adding = self.rows(piece) + share(index) + 40 * piece + table(count, 24) + table(piece, 16);
        let training = 2 * self.rows(sample) + 48 * sample;
        // Brought together, all is there twice but for what is looked up.
        let compacting = index + table(count, 12) * 3 / 2 + 24 * count;
        let most = if compact { adding.max(compacting) } else { adding };
        let peak = PROGRAM + (index + most).max(training);
        let sum = format!(
            "codes {}, vectors kept as {} {}, other {}, pieces of {piece} vectors {}{}, the program {}",
            size(self.codes()),
            store_of(storage),
            size(self.kept(storage)),
            size(self.other()),
            size(adding),
            if compact { format!(", bringing them together {}", size(compacting)) } else { String::new() },
            size(PROGRAM),
        );
        (peak, sum)
    }

    /// Ways to build, the best first.
    fn ways(&self, storage: Storage) -> Vec<Plan> {
        let plan = |way, (peak, sum)| Plan { storage, way, peak, sum };
        let mut plans = vec![plan(Way::Whole, self.whole(storage))];
        if self.file.is_some() {
            return plans;
        }
        for compact in [true, false] {
            for parts in [4u64, 16, 64] {
                let most = self.count as u64;
                let piece = most.div_ceil(parts).max(LEAST).min(most);
                let sample =
                    self.sample().min(piece.max(TRAINED_ON[0])).max(self.partitions as u64).min(most);
                let way = Way::Pieces { sample: sample as usize, piece: piece as usize, compact };
                plans.push(plan(way, self.pieces(storage, sample, piece, compact)));
            }
        }
        plans
    }

    /// The first way that fits into `limit` bytes: with the wanted storage, or with the largest that fits where none is
    /// wanted.
    ///
    /// # Errors
    /// When nothing fits, with the sum of the smallest.
    pub(super) fn plan(&self, wanted: Option<Storage>, limit: Option<u64>) -> anyhow::Result<Plan> {
        let storages = match wanted {
            Some(storage) => vec![storage],
            None if limit.is_none() => vec![Storage::F32],
            None => vec![Storage::F32, Storage::F16, Storage::Int8, Storage::None],
        };
        let mut plans: Vec<Plan> = storages.into_iter().flat_map(|storage| self.ways(storage)).collect();
        let Some(limit) = limit else { return Ok(plans.swap_remove(0)) };
        if let Some(fits) = plans.iter().position(|plan| plan.peak <= limit) {
            return Ok(plans.swap_remove(fits));
        }
        let least = plans.iter().min_by_key(|plan| plan.peak);
        let (peak, sum) = least.map_or((0, ""), |plan| (plan.peak, plan.sum.as_str()));
        let advice = match (wanted, self.file) {
            (Some(_), _) => "give more, take a smaller --store, or write --shards",
            (None, Some(_)) => "give more, or convert the file to .fvecs or .npy, which are read in pieces",
            (None, None) => "give more, or write --shards",
        };
        bail!("--memory {}: at least {} are needed ({sum}); {advice}", size(limit), size(peak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            count: 1_000_000,
            dim: 96,
            partitions: 1000,
            code_bytes: 24,
            spilled: false,
            copied: false,
            lengths: false,
            file: None,
        }
    }

    #[test]
    fn less_memory_means_pieces_then_smaller_storage_then_refusal() {
        let plan = |limit: u64| task().plan(None, Some(limit << 20));
        let all = plan(4096).unwrap();
        assert_eq!((all.storage, all.way), (Storage::F32, Way::Whole));
        let mut before = all;
        for limit in [900, 700, 500, 350, 250] {
            let next = plan(limit).unwrap();
            assert!(next.peak <= limit << 20 && next.peak <= before.peak, "{next:?}");
            assert!(next.storage.bytes(96) <= before.storage.bytes(96));
            before = next;
        }
        assert!(
            plan(900).unwrap().way != plan(700).unwrap().way || plan(700).unwrap().storage != Storage::F32
        );
        let refused = plan(60).unwrap_err().to_string();
        assert!(refused.contains("--memory 60.0 MiB") && refused.contains("codes"), "{refused}");
        let named = task().plan(Some(Storage::F32), Some(300 << 20)).unwrap_err().to_string();
        assert!(named.contains("smaller --store"), "{named}");
        assert_eq!(task().plan(None, None).unwrap().way, Way::Whole);
    }

    #[test]
    fn a_file_that_is_read_whole_counts() {
        let whole = Task { file: Some(2 << 30), ..task() };
        assert!(whole.plan(None, Some(2 << 30)).unwrap_err().to_string().contains(".fvecs or .npy"));
        assert!(whole.plan(None, Some(4 << 30)).is_ok());
    }
}

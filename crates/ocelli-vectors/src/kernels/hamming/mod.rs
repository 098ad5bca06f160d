//! Hamming distances of one query to many codes, by the widest instructions that the processor has.
//!
//! Codes stand in blocks of [`LANES`]: word 0 of the eight codes, then word 1 of the eight, and so on. A vector register
//! thus holds the same word of several codes, and codes of any length are counted without a sum across a register.
//!
//! A hit is a key: the distance in its upper 32 bits, the code's number in the lower ones. Keys in order are hits by
//! rising distance, then number.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
mod tests;

/// Codes in a block.
pub(crate) const LANES: usize = 8;

/// One word of each code of a block.
type Lanes = [u64; LANES];

/// The instructions that distances are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// The population counts of AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Tables of four bits in AVX2 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The byte counts of NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Plain Rust, on any processor; what the others are tested against.
    Portable,
}

impl Instructions {
    /// All that this processor has, the fastest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::is_here() {
                found.push(Self::Avx512);
            }
            if avx2::is_here() {
                found.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if neon::is_here() {
            found.push(Self::Neon);
        }
        found.push(Self::Portable);
        found
    }

    /// The fastest that this processor has.
    pub(crate) fn detect() -> Self {
        Self::available()[0]
    }

    /// Appends to `hits` the keys of all codes in `blocks` that are nearer to `query` than `limit`, by rising number; the
    /// first code has number `first`.
    ///
    /// `query` is `[words]`, `blocks` whole blocks `[B, words, LANES]`. The lanes that pad the last block count as codes.
    ///
    /// # Panics
    /// When `blocks` is not whole blocks of `query`'s length.
    pub(crate) fn nearer(self, query: &[u64], blocks: &[u64], limit: u32, first: u32, hits: &mut Vec<u64>) {
        let (lanes, rest) = blocks.as_chunks::<LANES>();
        assert!(rest.is_empty() && !query.is_empty() && lanes.len().is_multiple_of(query.len()));
        let search = Search { query, limit, first };
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::nearer(&search, lanes, hits),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::nearer(&search, lanes, hits),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::nearer(&search, lanes, hits),
            Self::Portable => portable::nearer(&search, lanes, hits),
        }
    }

    /// Appends to `hits` the keys of those of the codes `numbers` that are nearer to `query` than `limit`, in the order
    /// of `numbers`. Here codes stand one after another, `[N, words]`.
    ///
    /// # Panics
    /// When there is no such code.
    pub(crate) fn nearer_of(
        self,
        query: &[u64],
        codes: &[u64],
        limit: u32,
        numbers: &[u32],
        hits: &mut Vec<u64>,
    ) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx2 => avx2::nearer_of(query, codes, limit, numbers, hits),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => portable::nearer_of(query, codes, limit, numbers, hits),
            Self::Portable => portable::nearer_of(query, codes, limit, numbers, hits),
        }
    }
}

/// What is looked for.
struct Search<'a> {
    /// The query's words.
    query: &'a [u64],
    /// Hits are nearer than this.
    limit: u32,
    /// The number of the first code.
    first: u32,
}

impl Search<'_> {
    /// Appends the keys of the hits of block `block`: its `distances`, of which bit `lane` of `mask` says whether it is a
    /// hit.
    #[inline]
    fn emit(&self, block: usize, mut mask: u32, distances: &Lanes, hits: &mut Vec<u64>) {
        let first = u64::from(self.first) + (block * LANES) as u64;
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            hits.push(distances[lane % LANES] << 32 | (first + lane as u64));
            mask &= mask - 1;
        }
    }
}

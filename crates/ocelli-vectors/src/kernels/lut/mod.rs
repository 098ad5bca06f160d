//! Scores of 4-bit codes by table lookup, thresholds applied as they come out. Codes of eight bits, which other programs'
//! indexes may have, are looked up one by one.
//!
//! Codes lie in units of 32 points. In a unit, a chunk of eight blocks takes two runs of 64 bytes, the first for points
//! 0 to 15, the second for points 16 to 31: byte `4 p + j` holds the code of block `8 c + j` in its low half and of
//! block `8 c + 4 + j` in its high half. One to four blocks left over take a single run, with the codes of points 0 to 15
//! in the low halves and of points 16 to 31 in the high ones. So four neighbouring bytes belong to one point, and one
//! permutation of a 64-byte table (four blocks of 16 entries) looks up 16 points at once, whose four values a dot
//! product with ones adds into 32 bits.
//!
//! Where every element has a byte of its own ([`Layout::of_elements`]) nothing is looked up: a step of four elements takes
//! two runs in the same order of points, and a dot product with the query's four bytes, its "table", adds them.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod table;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::OnceLock;

pub(crate) use table::{HALF, NOTHING, quantize};

/// Points of a unit.
pub(crate) const UNIT: usize = 32;
/// Entries of a block's table.
pub(crate) const WORDS: usize = 16;
/// The same of codes of eight bits.
pub(crate) const BYTE_WORDS: usize = 256;
/// Bytes of a run, and of a row of tables: four blocks.
pub(crate) const RUN: usize = 64;
/// Elements of a step, where each has a byte.
const STEP: usize = 4;
/// Elements that a point may have where each has a byte: their products with a query's bytes are summed in 32 bits.
pub(crate) const MOST_ELEMENTS: usize = 65_536;

/// How many blocks a code has, and so how codes and tables lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Chunks of eight blocks.
    chunks: usize,
    /// Whether a run of up to four blocks follows.
    half: bool,
    /// Blocks with a code of eight bits each: in a unit, 32 bytes a block. The others are then none.
    bytes: usize,
    /// Steps of four elements with a byte each: in a unit, two runs a step. The others are then none.
    steps: usize,
}

impl Layout {
    pub(crate) fn new(blocks: usize) -> Self {
        let left = blocks % 8;
        Self { chunks: blocks / 8 + usize::from(left > 4), half: (1..=4).contains(&left), bytes: 0, steps: 0 }
    }

    /// Of codes of eight bits.
    pub(crate) fn of_bytes(blocks: usize) -> Self {
        Self { chunks: 0, half: false, bytes: blocks, steps: 0 }
    }

    /// Of elements that are numbers from 0 to 255.
    pub(crate) fn of_elements(elements: usize) -> Self {
        Self { chunks: 0, half: false, bytes: 0, steps: elements.div_ceil(STEP) }
    }

    /// Rows of 4-bit codes: runs of a unit, and rows of [`RUN`] bytes of a query's table, each for four blocks.
    fn rows(self) -> usize {
        2 * self.chunks + usize::from(self.half)
    }

    /// Bytes of a query's table.
    pub(crate) fn table_bytes(self) -> usize {
        self.rows() * RUN + self.bytes * BYTE_WORDS + self.steps * STEP
    }

    /// Bytes of a unit.
    pub(crate) fn unit_bytes(self) -> usize {
        self.rows() * RUN + self.bytes * UNIT + self.steps * 2 * RUN
    }

    /// The byte of an element, where each has one.
    fn element_place(self, point: usize, element: usize) -> usize {
        let run = 2 * (element / STEP) + point % UNIT / 16;
        point / UNIT * self.unit_bytes() + run * RUN + point % 16 * STEP + element % STEP
    }

    /// The byte that holds a block's code of eight bits.
    fn byte_place(self, point: usize, block: usize) -> usize {
        point / UNIT * self.unit_bytes() + block * UNIT + point % UNIT
    }

    /// The byte, and whether its high half, that holds the code of a block of a point.
    pub(crate) fn place(self, point: usize, block: usize) -> (usize, bool) {
        let (chunk, inside) = (block / 8, block % 8);
        let (unit, point) = (point / UNIT * self.unit_bytes(), point % UNIT);
        let byte = unit + chunk * 2 * RUN + 4 * (point % 16) + inside % 4;
        if chunk < self.chunks { (byte + point / 16 * RUN, inside >= 4) } else { (byte, point >= 16) }
    }

    /// Packs codes `[N, blocks]` below 16, row by row. Unused places of the last unit hold zeros.
    #[cfg(test)]
    pub(crate) fn pack(self, codes: &[u8], blocks: usize) -> Vec<u8> {
        let count = codes.len() / blocks;
        let mut packed = vec![0; count.div_ceil(UNIT) * self.unit_bytes()];
        for (point, codes) in codes.chunks_exact(blocks).enumerate() {
            self.put(&mut packed, point, codes);
        }
        packed
    }

    /// The byte of a block's code where it has one by itself.
    fn own_place(self, point: usize, block: usize) -> Option<usize> {
        match (self.bytes, self.steps) {
            (0, 0) => None,
            (0, _) => Some(self.element_place(point, block)),
            _ => Some(self.byte_place(point, block)),
        }
    }

    /// Writes a point's codes over zeros.
    pub(crate) fn put(self, packed: &mut [u8], point: usize, codes: &[u8]) {
        for (block, &code) in codes.iter().enumerate() {
            if let Some(byte) = self.own_place(point, block) {
                packed[byte] = code;
                continue;
            }
            let (byte, high) = self.place(point, block);
            packed[byte] |= code << (4 * u32::from(high));
        }
    }

    /// A point's codes.
    pub(crate) fn get(self, packed: &[u8], point: usize, codes: &mut [u8]) {
        for (block, code) in codes.iter_mut().enumerate() {
            if let Some(byte) = self.own_place(point, block) {
                *code = packed[byte];
                continue;
            }
            let (byte, high) = self.place(point, block);
            *code = packed[byte] >> (4 * u32::from(high)) & 15;
        }
    }
}

/// A query's tables and what its scores must reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'a> {
    /// Rows of 64: entry `16 j + code` of row `r` belongs to block `4 r + j`; of codes of eight bits the 256 entries of each
    /// block, one after another; of elements the number that each is multiplied by, zeros behind the last.
    pub table: &'a [i8],
    /// A score is `scale * sum of entries (of products of elements with theirs) + base`.
    pub scale: f32,
    pub base: f32,
    /// The lowest score that counts.
    pub threshold: f32,
}

/// Points in packed form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Points<'a> {
    pub layout: Layout,
    /// Whole units.
    pub codes: &'a [u8],
    /// Points that count; what the last unit holds beyond them is padding.
    pub count: usize,
    /// Added to the score of each point; `[count]`.
    pub bias: Option<&'a [f32]>,
    /// Position of the first point.
    pub first: u32,
}

/// Scores that were high enough and the positions they belong to, in buffers of fixed length.
#[derive(Clone, Debug)]
pub(crate) struct Hits {
    pub scores: Vec<f32>,
    pub positions: Vec<u32>,
    /// How many there are.
    pub len: usize,
}

impl Hits {
    /// Room that is needed before two units are scored.
    pub(crate) const ROOM: usize = 2 * UNIT;

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(Self::ROOM);
        Self { scores: vec![0.0; capacity], positions: vec![0; capacity], len: 0 }
    }

    #[inline]
    fn has_room(&self) -> bool {
        self.len + Self::ROOM <= self.scores.len()
    }
}

/// A way to do it on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Kernel {
    /// The fastest.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// All that run here, the fastest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512bw") && has!("avx512vbmi") && has!("avx512vnni") {
                kernels.push(Self::Avx512);
            }
            if has!("avx2") {
                kernels.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            kernels.push(Self::Neon);
        }
        kernels.push(Self::Portable);
        kernels
    }

    /// Scores the points of `units` and adds those that reach the threshold to `hits`. Stops early when there is no room
    /// left for more; gives the unit to go on with.
    #[allow(unsafe_code)] // calls of kernels that need the processor's features
    pub(crate) fn scan(
        self,
        points: Points<'_>,
        units: Range<usize>,
        lookup: Lookup<'_>,
        hits: &mut Hits,
    ) -> usize {
        points.check(&units);
        assert_eq!(lookup.table.len(), points.layout.table_bytes());
        if points.layout.bytes > 0 {
            return scan_units(points, units, lookup, hits, |unit| portable::byte_sums(points, unit, lookup));
        }
        let elements = points.layout.steps > 0;
        match self {
            // SAFETY: the features were detected when the kernel was chosen; lengths were checked above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 if elements => unsafe { avx512::scan::<true>(points, units, lookup, hits) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512::scan::<false>(points, units, lookup, hits) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 if elements => scan_units(points, units, lookup, hits, |unit| {
                // SAFETY: as above.
                unsafe { avx2::element_sums(points, unit, lookup) }
            }),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => scan_units(points, units, lookup, hits, |unit| {
                // SAFETY: as above.
                unsafe { avx2::sums(points, unit, lookup) }
            }),
            _ if elements => {
                scan_units(points, units, lookup, hits, |unit| portable::element_sums(points, unit, lookup))
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => scan_units(points, units, lookup, hits, |unit| {
                // SAFETY: as above.
                unsafe { neon::sums(points, unit, lookup) }
            }),
            Self::Portable => {
                scan_units(points, units, lookup, hits, |unit| portable::sums(points, unit, lookup))
            }
        }
    }

    /// [`Self::scan`] for four queries at once, each with its own hits. Stops when any has no room left.
    #[allow(unsafe_code)] // as above
    pub(crate) fn scan_four(
        self,
        points: Points<'_>,
        units: Range<usize>,
        lookups: &[Lookup<'_>; 4],
        mut hits: [&mut Hits; 4],
    ) -> usize {
        points.check(&units);
        for lookup in lookups {
            assert_eq!(lookup.table.len(), points.layout.table_bytes());
        }
        #[cfg(target_arch = "x86_64")]
        if self == Self::Avx512 && points.layout.bytes == 0 {
            // SAFETY: the features were detected when the kernel was chosen; lengths were checked above.
            return unsafe {
                match points.layout.steps {
                    0 => avx512::scan_four::<false>(points, units, lookups, hits),
                    _ => avx512::scan_four::<true>(points, units, lookups, hits),
                }
            };
        }
        for unit in units.clone() {
            if !hits.iter().all(|hits| hits.has_room()) {
                return unit;
            }
            // The rows of tables stay in the nearest cache; the codes are read once.
            for (&lookup, hits) in lookups.iter().zip(&mut hits) {
                self.scan(points, unit..unit + 1, lookup, hits);
            }
        }
        units.end
    }
}

impl Points<'_> {
    fn check(&self, units: &Range<usize>) {
        assert!(units.start <= units.end && units.end <= self.count.div_ceil(UNIT));
        assert!(self.count.div_ceil(UNIT) * self.layout.unit_bytes() <= self.codes.len());
        assert!(self.bias.is_none_or(|bias| bias.len() == self.count));
    }
}

/// Scores units whose integer sums `sums` gives.
fn scan_units(
    points: Points<'_>,
    units: Range<usize>,
    lookup: Lookup<'_>,
    hits: &mut Hits,
    sums: impl Fn(usize) -> [i32; UNIT],
) -> usize {
    for unit in units.clone() {
        if !hits.has_room() {
            return unit;
        }
        let start = unit * UNIT;
        for (i, sum) in sums(unit).into_iter().enumerate().take(points.count - start) {
            let mut score = (sum as f32).mul_add(lookup.scale, lookup.base);
            if let Some(bias) = points.bias {
                score += bias[start + i];
            }
            if score >= lookup.threshold {
                hits.scores[hits.len] = score;
                hits.positions[hits.len] = points.first + (start + i) as u32;
                hits.len += 1;
            }
        }
    }
    units.end
}

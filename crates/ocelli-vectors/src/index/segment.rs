//! Vectors by partition: packed codes, the rows they stand for, and what is known of each.

use rayon::prelude::*;

use super::books::Books;
use super::data::{Ids, RowSet};
use super::error::IndexError;
use super::grid::Grid;
use super::import::Package;
use super::partition::Centers;
use super::rows::{Rows, Storage, Stored};
use super::{Similarity, Spill};
use crate::container::Column;
use crate::kernels::blocks::Descent;
use crate::kernels::lut::{Points, UNIT};
use crate::kernels::rows::row_f32;
use crate::score_aware_quantization::{Codebook, Encoder as ByDefinition, Eta};

/// Rounds of coordinate descent at most (section 3.4).
const ROUNDS: usize = 10;

/// What codes stand for, and so how their scores are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scoring {
    /// What is left of a vector after its partition's centre: inner products, to which those of the centre are added.
    #[default]
    Residual,
    /// Vectors as they are: inner products.
    Whole,
    /// Vectors as they are: negated squared distances of blocks.
    Distances,
}

/// What all segments of an index share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) similarity: Similarity,
    pub(super) scoring: Scoring,
    /// The length of all vectors, where they have the same and inner products rank as distances do.
    pub(super) length: Option<f32>,
    pub(super) centers: Centers,
    pub(super) books: Books,
    pub(super) eta: Eta,
    pub(super) spill: Option<Spill>,
    pub(super) storage: Storage,
    /// Whether partitions may be chosen by rough scores first; never where results are to be another program's.
    pub(super) rough: bool,
    /// How candidates are chosen where results are to be another program's.
    pub(super) package: Option<Package>,
}

/// Vectors that were added together.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// Packed codes of all partitions, each beginning with a unit of its own.
    pub(super) codes: Column<u8>,
    /// First position of each partition, and the end: `[K + 1]`.
    pub(super) firsts: Column<u32>,
    /// First unit of each partition, and the end: `[K + 1]`.
    pub(super) units: Column<u32>,
    /// The row at each position; without it, positions are rows.
    pub(super) members: Option<Column<u32>>,
    /// For distances: `-|x|^2 / 2` of each row.
    pub(super) halves: Option<Column<f32>>,
    /// The same of each position, where positions are not rows, or of what their codes stand for.
    pub(super) bias: Option<Column<f32>>,
    /// Vectors in the order of their first partitions.
    pub(super) rows: Stored,
    pub(super) ids: Ids,
    pub(super) deleted: RowSet,
    /// Positions of segments before this one.
    pub(super) base: u32,
}

/// Packed codes with the first positions and units of partitions.
pub(super) struct Codes {
    pub(super) packed: Vec<u8>,
    pub(super) firsts: Vec<u32>,
    pub(super) units: Vec<u32>,
}

/// Where vectors stand.
pub(super) struct Placed {
    /// Partition and row of each position, in order.
    slots: Vec<(u32, u32)>,
    /// Original row of each row.
    pub(super) order: Vec<u32>,
    /// Whether some vectors stand twice.
    twice: bool,
}

impl Placed {
    /// Rows go by first partition, then by original order; positions of a partition by row.
    pub(super) fn new(first: &[u32], second: Option<&[Option<u32>]>) -> Self {
        let mut order: Vec<u32> = (0..first.len() as u32).collect();
        order.sort_by_key(|&row| first[row as usize]);
        let rows = || order.iter().enumerate().map(|(row, &original)| (row as u32, original as usize));
        let mut slots: Vec<(u32, u32)> = rows().map(|(row, original)| (first[original], row)).collect();
        if let Some(second) = second {
            slots.extend(rows().filter_map(|(row, original)| Some((second[original]?, row))));
            slots.sort_unstable();
        }
        Self { slots, order, twice: second.is_some() }
    }

    /// The row at each position, where positions are not rows.
    pub(super) fn members(&self) -> Option<Vec<u32>> {
        self.twice.then(|| self.slots.iter().map(|&(_, row)| row).collect())
    }
}

impl Shared {
    /// How much half of a centre's squared length counts against its inner product with a query when partitions are
    /// chosen; `None` where they go by inner products alone. The neighbours of a query that is as long as the vectors lie
    /// in the partitions nearest to it; by inner products alone, long centres would be preferred to near ones.
    pub(super) fn nearness(&self, query: &[f32]) -> Option<f32> {
        match self.similarity {
            Similarity::SquaredL2 => Some(1.0),
            _ => self.length.map(|length| row_f32(query, query).sqrt() / length),
        }
    }

    /// Encodes vectors, which for cosine similarity are of unit length, and orders them by partition.
    pub(super) fn segment(&self, rows: Rows<'_>, ids: &[u64], base: u32) -> Result<Segment, IndexError> {
        let first = self.centers.nearest(rows);
        let second = match self.spill {
            Some(spill) if self.centers.count() > 1 => Some(
                self.centers.second(rows, &first, spill.lambda).into_iter().map(Some).collect::<Vec<_>>(),
            ),
            _ => None,
        };
        let placed = Placed::new(&first, second.as_deref());
        let wide = self.books.of_bytes()?;
        let codes = self.packed(&placed, || {
            let mut encoder = Encoder::new(self, rows.dim(), wide.as_ref());
            move |original: usize, partition: u32, codes: &mut [u8]| {
                encoder.encode(rows.row(original), self.centers.center(partition as usize), codes)
            }
        })?;
        let in_order = placed.order.iter().map(|&original| (original as usize, rows.row(original as usize)));
        let stored = Stored::new(self.storage, rows.dim(), in_order)?;
        let halves = (self.similarity == Similarity::SquaredL2).then(|| halves(rows, &placed.order, &stored));
        let by_position = |halves: &Vec<f32>| -> Vec<f32> {
            placed.slots.iter().map(|&(_, row)| halves[row as usize]).collect()
        };
        let bias = match (&self.books.grid, &halves) {
            (Some(grid), Some(_)) => Some(self.halves_of_codes(grid, &codes)),
            (_, halves) => halves.as_ref().filter(|_| placed.twice).map(by_position),
        };
        let ids = Ids::new(placed.order.iter().map(|&original| ids[original as usize]).collect());
        Ok(Segment {
            codes: codes.packed.into(),
            firsts: codes.firsts.into(),
            units: codes.units.into(),
            members: placed.members().map(Column::from),
            halves: halves.map(Column::from),
            bias: bias.map(Column::from),
            rows: stored,
            ids,
            deleted: RowSet::default(),
            base,
        })
    }

    /// `-|x|^2 / 2` of what codes stand for, position by position: most of what codes leave out of a distance then cancels,
    /// as a query's neighbours are near to it.
    fn halves_of_codes(&self, grid: &Grid, codes: &Codes) -> Vec<f32> {
        let layout = self.books.layout();
        let (mut x, mut own) = (vec![0.0; self.centers.dim], vec![0u8; self.centers.dim]);
        let mut halves = Vec::with_capacity(codes.firsts.last().map_or(0, |end| *end as usize));
        for (partition, pair) in codes.firsts.windows(2).enumerate() {
            let packed = &codes.packed[codes.units[partition] as usize * layout.unit_bytes()..];
            for point in 0..(pair[1] - pair[0]) as usize {
                layout.get(packed, point, &mut own);
                x.copy_from_slice(self.centers.center(partition));
                grid.add(&own, &mut x);
                halves.push(-0.5 * row_f32(&x, &x));
            }
        }
        halves
    }

    /// The ratio of weights for a vector of this length; `None` where nearest codewords are chosen.
    pub(super) fn eta_for(&self, length: f32, dim: usize) -> Result<Option<f32>, IndexError> {
        Ok(self.eta.of(f64::from(length), dim)?.map(|eta| eta as f32))
    }

    /// Codes by partition. `encoder` makes what writes the codes of an original row in a partition, one for each thread.
    pub(super) fn packed<F>(
        &self,
        placed: &Placed,
        encoder: impl Fn() -> F + Sync + Send,
    ) -> Result<Codes, IndexError>
    where
        F: FnMut(usize, u32, &mut [u8]) -> Result<(), IndexError>,
    {
        let number = self.centers.count();
        let mut firsts = vec![0u32; number + 1];
        placed.slots.iter().for_each(|(partition, _)| firsts[*partition as usize + 1] += 1);
        let mut units = vec![0u32; number + 1];
        for partition in 0..number {
            units[partition + 1] = units[partition] + firsts[partition + 1].div_ceil(UNIT as u32);
            firsts[partition + 1] += firsts[partition];
        }
        let layout = self.books.layout();
        let mut packed = vec![0u8; units[number] as usize * layout.unit_bytes()];
        let mut parts = Vec::with_capacity(number);
        let mut rest = packed.as_mut_slice();
        for partition in 0..number {
            let bytes = (units[partition + 1] - units[partition]) as usize * layout.unit_bytes();
            let (part, left) = rest.split_at_mut(bytes);
            rest = left;
            parts.push((part, &placed.slots[firsts[partition] as usize..firsts[partition + 1] as usize]));
        }
        let scratch = || (encoder(), vec![0u8; self.books.blocks()]);
        parts.into_par_iter().try_for_each_init(scratch, |(encode, codes), (part, slots)| {
            for (point, &(partition, row)) in slots.iter().enumerate() {
                encode(placed.order[row as usize] as usize, partition, codes)?;
                layout.put(part, point, codes);
            }
            Ok::<(), IndexError>(())
        })?;
        Ok(Codes { packed, firsts, units })
    }
}

/// `-|x|^2 / 2` of vectors as they are stored, or as they are where they are not: errors of storage then cancel.
pub(super) fn halves(rows: Rows<'_>, order: &[u32], stored: &Stored) -> Vec<f32> {
    let mut x = vec![0.0; rows.dim()];
    let half = |(row, &original): (usize, &u32)| {
        if !stored.row(row, &mut x) {
            x.copy_from_slice(rows.row(original as usize));
        }
        -0.5 * row_f32(&x, &x)
    };
    order.iter().enumerate().map(half).collect()
}

/// Scratch space to encode one vector after another.
struct Encoder<'a> {
    shared: &'a Shared,
    descent: Descent,
    /// The codewords of codes of eight bits.
    wide: Option<&'a Codebook>,
    residual: Vec<f32>,
    unit: Vec<f32>,
    /// The length that `eta` belongs to: normalised data have one.
    length: f32,
    eta: Option<f32>,
}

impl<'a> Encoder<'a> {
    fn new(shared: &'a Shared, dim: usize, wide: Option<&'a Codebook>) -> Self {
        Self {
            shared,
            wide,
            descent: Descent::new(shared.books.blocks()),
            residual: vec![0.0; dim],
            unit: vec![0.0; dim],
            length: f32::NAN,
            eta: None,
        }
    }

    fn encode(&mut self, x: &[f32], center: &[f32], codes: &mut [u8]) -> Result<(), IndexError> {
        match self.shared.scoring {
            Scoring::Residual => {
                self.residual.iter_mut().zip(x.iter().zip(center)).for_each(|(r, (x, c))| *r = x - c);
            }
            Scoring::Whole | Scoring::Distances => self.residual.copy_from_slice(x),
        }
        if let Some(grid) = &self.shared.books.grid {
            grid.encode(&self.residual, codes);
            return Ok(());
        }
        if let Some(codebook) = self.wide {
            let doubles = |x: &[f32]| x.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
            let encoder = ByDefinition { codebook, max_rounds: ROUNDS };
            let found = encoder.encode(&doubles(x), Some(&doubles(&self.residual)), self.shared.eta)?;
            codes.iter_mut().zip(found).for_each(|(code, found)| *code = found as u8);
            return Ok(());
        }
        let length = row_f32(x, x).sqrt();
        // Lengths of normalised vectors differ by rounding only.
        if self.length.is_nan() || (length - self.length).abs() > 1e-6 * length {
            self.length = length;
            self.eta = self.shared.eta_for(length, x.len())?;
        }
        let inverse = if length > 0.0 { 1.0 / length } else { 0.0 };
        self.unit.iter_mut().zip(x).for_each(|(unit, x)| *unit = x * inverse);
        // Without weights the nearest codeword of each block is final.
        let (eta, rounds) = self.eta.map_or((1.0, 0), |eta| (eta, ROUNDS));
        let books = &self.shared.books;
        self.descent.encode(&self.residual, &self.unit, eta, rounds, &books.words, &books.ends, codes);
        Ok(())
    }
}

impl Segment {
    /// The points of a partition.
    pub(super) fn points(&self, shared: &Shared, partition: usize) -> Points<'_> {
        let layout = shared.books.layout();
        let bytes = layout.unit_bytes();
        let (start, end) = (self.firsts[partition] as usize, self.firsts[partition + 1] as usize);
        let units = self.units[partition] as usize * bytes..self.units[partition + 1] as usize * bytes;
        Points {
            layout,
            codes: &self.codes[units],
            count: end - start,
            bias: match shared.scoring {
                Scoring::Residual => {
                    self.bias.as_ref().or(self.halves.as_ref()).map(|bias| &bias[start..end])
                }
                Scoring::Whole | Scoring::Distances => None,
            },
            first: self.base + start as u32,
        }
    }

    /// Positions, of which a row may have two.
    pub(super) fn positions(&self) -> usize {
        self.firsts.last().map_or(0, |end| *end as usize)
    }

    /// The row at a position of this segment, without its base.
    pub(super) fn row_at(&self, position: u32) -> u32 {
        self.members.as_ref().map_or(position, |members| members[position as usize])
    }

    /// Bytes of all but codes and vectors.
    pub(super) fn other_bytes(&self) -> usize {
        let words = [Some(&self.firsts), Some(&self.units), self.members.as_ref()];
        let numbers = [self.halves.as_ref(), self.bias.as_ref()];
        let count = words.into_iter().flatten().map(|column| column.len()).sum::<usize>()
            + numbers.into_iter().flatten().map(|column| column.len()).sum::<usize>();
        4 * count + self.ids.bytes()
    }

    /// Vectors that are not deleted.
    pub(super) fn alive(&self) -> usize {
        self.ids.count() - self.deleted.count()
    }
}

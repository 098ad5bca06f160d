//! Scores by table lookup (section 3.6): one table a query and block, in floating point or in eight bits.

use super::codebook::Codebook;
use super::{QuantizationError, Result, rows, same};
use crate::linear::dot;

/// Points whose 4-bit codes are packed and looked up together.
pub const GROUP: usize = 32;

/// Inner products of a query's blocks with all codewords.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTable {
    /// A row of K values for each block.
    pub rows: Vec<Vec<f64>>,
}

impl ScoreTable {
    /// For a query `[dim]`.
    ///
    /// # Errors
    /// [`QuantizationError`] when the query is of another length or no numbers.
    pub fn new(codebook: &Codebook, query: &[f64]) -> Result<Self> {
        rows("the query", query, 1)?;
        same("the query", query.len(), codebook.dim())?;
        let row = |(range, words): (std::ops::Range<usize>, &[f64])| {
            words.chunks_exact(range.len()).map(|word| dot(&query[range.clone()], word)).collect()
        };
        Ok(Self { rows: codebook.ranges_and_words().map(row).collect() })
    }

    /// The score of a point with these codes, `[B]`.
    pub fn score(&self, codes: &[usize]) -> f64 {
        codes.iter().zip(&self.rows).map(|(&code, row)| row[code]).sum()
    }

    /// The same in eight bits.
    pub fn to_integers(&self) -> IntegerTable {
        let largest = self.rows.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
        // The package's guard against a table of zeros: the root of single precision's epsilon.
        let multiplier = 127.0 / largest.max(f64::from(f32::EPSILON).sqrt());
        // `round` goes half away from zero, as the package does.
        let row = |row: &Vec<f64>| row.iter().map(|v| (multiplier * v).round() as i8).collect();
        IntegerTable { rows: self.rows.iter().map(row).collect(), multiplier }
    }
}

/// A score table in eight bits: an entry is the rounded product with the multiplier.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerTable {
    /// A row of K values from -127 to 127 for each block.
    pub rows: Vec<Vec<i8>>,
    /// What scores were multiplied by.
    pub multiplier: f64,
}

impl IntegerTable {
    /// The integer score of a point with these codes, `[B]`.
    pub fn score(&self, codes: &[usize]) -> i32 {
        codes.iter().zip(&self.rows).map(|(&code, row)| i32::from(row[code])).sum()
    }
}

/// Packs 4-bit codes `[N, B]` for lookup by byte shuffles: for each group of 32 points and each block 16 bytes, byte m
/// with the code of point m of the group in its low half and that of point 16 + m in its high half. The last group is
/// filled up with the last point. `[groups, B, 16]`.
///
/// # Errors
/// [`QuantizationError::OutOfRange`] for a code above 15.
pub fn pack(codes: &[usize], blocks: usize) -> Result<Vec<u8>> {
    if blocks == 0 || !codes.len().is_multiple_of(blocks) {
        let wanted = format!("whole rows of {blocks}");
        return Err(QuantizationError::Length { name: "the codes", found: codes.len(), wanted });
    }
    if let Some((index, &code)) = codes.iter().enumerate().find(|(_, code)| **code > 15) {
        return Err(QuantizationError::OutOfRange {
            name: "the codes",
            index,
            value: code as i64,
            count: 16,
        });
    }
    let count = codes.len() / blocks;
    let groups = count.div_ceil(GROUP);
    let code = |point: usize, block: usize| codes[point.min(count - 1) * blocks + block] as u8;
    let mut packed = Vec::with_capacity(groups * blocks * GROUP / 2);
    for group in 0..groups {
        for block in 0..blocks {
            let first = GROUP * group;
            packed.extend((first..first + 16).map(|point| code(point, block) | code(point + 16, block) << 4));
        }
    }
    Ok(packed)
}

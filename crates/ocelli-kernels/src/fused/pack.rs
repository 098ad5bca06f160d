//! Folding and packing: from the parts of a fused convolution to filters in the order in which tiles read them.

use std::ops::Range;
use std::sync::Arc;

use super::tile::{MOST_UNITS, Run};
use super::vector::UNIT;
use super::{Activation, Precision, amx};
use crate::conv::{ConvError, ConvOptions, Geometry};
use crate::memory::AlignedNumbers;

/// `x * scale + shift`, channel by channel: what a normalisation with known statistics comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Factors `[C]`.
    pub scale: Vec<f32>,
    /// Terms `[C]`.
    pub shift: Vec<f32>,
}

/// The parts of a fused convolution, in the order in which they are applied.
#[derive(Clone, Debug)]
pub struct ConvParts {
    /// Applied to the input's channels; padding stays zero.
    pub before: Option<Affine>,
    /// Filters, row-major.
    pub weight: Vec<f32>,
    /// Their shape `[O, C / groups, kh, kw]`.
    pub shape: [usize; 4],
    /// Stride, padding, dilation, groups.
    pub options: ConvOptions,
    /// Added to the output channels `[O]`.
    pub bias: Option<Vec<f32>>,
    /// Applied to the output's channels.
    pub after: Option<Affine>,
    /// Applied to the output.
    pub activation: Activation,
    /// The numbers that are multiplied.
    pub precision: Precision,
}

impl ConvParts {
    /// A convolution with nothing around it.
    pub fn new(weight: Vec<f32>, shape: [usize; 4], options: ConvOptions) -> Self {
        Self {
            before: None,
            weight,
            shape,
            options,
            bias: None,
            after: None,
            activation: Activation::Identity,
            precision: Precision::Single,
        }
    }
}

/// A packed convolution.
#[derive(Debug)]
pub(super) struct Packed {
    shape: [usize; 4],
    pub(super) options: ConvOptions,
    /// The map before, where it could not be folded in because of the padding.
    pub(super) before: Option<Affine>,
    pub(super) activation: Activation,
    pub(super) kernels: Kernels,
}

/// Filters by the loop that reads them.
#[derive(Debug)]
pub(super) enum Kernels {
    Dense(Dense),
    Depthwise(Depthwise),
}

/// Filters over many channels.
#[derive(Debug)]
pub(super) struct Dense {
    /// Whether words are pairs of numbers in bfloat16.
    pub(super) pairs: bool,
    /// The tiles that pairs are multiplied on, if not by vectors.
    pub(super) tiles: Option<amx::Kind>,
    /// Words of a pixel of one group; pairs are filled up with zeros.
    pub(super) words: usize,
    pub(super) blocks: Vec<Block>,
}

/// Neighbouring output channels of one group, as many as a tile has lanes.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) group: usize,
    /// First output channel.
    pub(super) first: usize,
    /// Output channels.
    pub(super) channels: usize,
    pub(super) units: usize,
    /// For every word of the receptive field, in the order `[kh, kw, words]`: `units` vectors.
    pub(super) filters: Filters,
    /// A number for each lane.
    pub(super) bias: Vec<f32>,
    /// A number for each lane, where the activation has slopes.
    pub(super) slopes: Vec<f32>,
}

/// One filter a channel: `[kh, kw, lanes]`, channels filled up to whole vectors.
#[derive(Debug)]
pub(super) struct Depthwise {
    pub(super) filters: AlignedNumbers,
    pub(super) bias: Vec<f32>,
    pub(super) slopes: Vec<f32>,
    /// Channels, filled up to whole vectors.
    pub(super) lanes: usize,
}

impl Packed {
    pub(super) fn new(mut parts: ConvParts) -> Result<Self, ConvError> {
        check(&parts)?;
        fold_after(&mut parts);
        if parts.options.padding == [0, 0] {
            fold_before(&mut parts);
        }
        let [_, group_in, ..] = parts.shape;
        let depthwise = group_in == 1 && parts.shape[0] == parts.options.groups && parts.options.groups > 1;
        let kernels = if depthwise && parts.before.is_none() {
            Kernels::Depthwise(Depthwise::new(&parts))
        } else {
            Kernels::Dense(Dense::new(&mut parts))
        };
        let ConvParts { before, shape, options, activation, .. } = parts;
        Ok(Self { shape, options, before, activation, kernels })
    }

    /// `[O, C / groups, kh, kw]`.
    pub(super) fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Whether every result is made of one pixel, at its own place and of all channels.
    pub(super) fn is_linear(&self) -> bool {
        self.shape[2..] == [1, 1] && self.options == ConvOptions::default() && self.before.is_none()
    }

    /// The extents of a run on an input `[B, C, H, W]`.
    pub(super) fn geometry(&self, x: [usize; 4]) -> Result<Geometry<2>, ConvError> {
        Geometry::new(&x, &self.shape, self.options.raised()).map(Geometry::flat)
    }
}

/// Checks that there is one number for each channel where there has to be.
fn check(parts: &ConvParts) -> Result<(), ConvError> {
    let [out, group_in, kh, kw] = parts.shape;
    let input = group_in * parts.options.groups;
    // The smallest picture that the filters fit.
    let reach = |axis: usize, kernel: usize| parts.options.dilation[axis] * kernel.saturating_sub(1) + 1;
    let smallest = [1, input, reach(0, kh), reach(1, kw)];
    Geometry::new(&smallest, &parts.shape, parts.options.raised())?;
    let values = |what, got: usize, expected: usize| match got == expected {
        true => Ok(()),
        false => Err(ConvError::Values { what, got, expected }),
    };
    values("weight", parts.weight.len(), parts.shape.iter().product())?;
    if let Some(bias) = &parts.bias {
        values("bias", bias.len(), out)?;
    }
    for (what, affine, channels) in [("map before", &parts.before, input), ("map after", &parts.after, out)] {
        if let Some(affine) = affine {
            values(what, affine.scale.len(), channels)?;
            values(what, affine.shift.len(), channels)?;
        }
    }
    match &parts.activation {
        Activation::Prelu(slopes) => values("slopes", slopes.len(), out),
        _ => Ok(()),
    }
}

/// Scales the filters and moves the bias as the map after would the result.
fn fold_after(parts: &mut ConvParts) {
    let Some(Affine { scale, shift }) = parts.after.take() else { return };
    let depth = parts.shape[1..].iter().product::<usize>().max(1);
    for (filter, &scale) in parts.weight.chunks_exact_mut(depth).zip(&scale) {
        filter.iter_mut().for_each(|weight| *weight *= scale);
    }
    let bias = parts.bias.take().unwrap_or_else(|| vec![0.0; shift.len()]);
    let folded = bias.iter().zip(scale.iter().zip(&shift));
    let folded =
        folded.map(|(&bias, (&scale, &shift))| f64::from(bias) * f64::from(scale) + f64::from(shift));
    parts.bias = Some(folded.map(|bias| bias as f32).collect());
}

/// Scales the filters and moves the bias as the map before would the input: without padding all taps see it.
fn fold_before(parts: &mut ConvParts) {
    let Some(Affine { scale, shift }) = parts.before.take() else { return };
    let [out, group_in, kh, kw] = parts.shape;
    let (area, per_group) = (kh * kw, out / parts.options.groups.max(1));
    let mut bias: Vec<f64> = match parts.bias.take() {
        Some(bias) => bias.into_iter().map(f64::from).collect(),
        None => vec![0.0; out],
    };
    for (index, taps) in parts.weight.chunks_exact_mut(area.max(1)).enumerate() {
        let (filter, channel) = (index / group_in.max(1), index % group_in.max(1));
        let channel = filter / per_group.max(1) * group_in + channel;
        let sum: f64 = taps.iter().map(|&weight| f64::from(weight)).sum();
        bias[filter] += sum * f64::from(shift[channel]);
        taps.iter_mut().for_each(|weight| *weight *= scale[channel]);
    }
    parts.bias = Some(bias.into_iter().map(|bias| bias as f32).collect());
}

/// A number for each of `lanes` lanes from channel `first` on; lanes without a channel get zero.
fn lanes(values: Option<&[f32]>, first: usize, channels: usize, lanes: usize) -> Vec<f32> {
    let mut filled = vec![0.0; lanes];
    if let Some(values) = values {
        filled[..channels].copy_from_slice(&values[first..first + channels]);
    }
    filled
}

/// The slopes of all output channels, if the activation has any.
fn slopes(parts: &ConvParts) -> Option<Vec<f32>> {
    match &parts.activation {
        Activation::Prelu(slopes) => Some(slopes.clone()),
        Activation::Leaky(slope) => Some(vec![*slope; parts.shape[0]]),
        _ => None,
    }
}

impl Dense {
    /// Takes the filters out of the parts.
    fn new(parts: &mut ConvParts) -> Self {
        let [out, group_in, ..] = parts.shape;
        let groups = parts.options.groups;
        // A pair must not reach from one group into the next.
        let pairs = parts.precision == Precision::Bf16 && (groups == 1 || group_in.is_multiple_of(2));
        let words = if pairs { group_in.div_ceil(2) } else { group_in };
        let per_group = out / groups.max(1);
        let units = per_group.div_ceil(UNIT);
        let count = units.div_ceil(MOST_UNITS);
        let tiles = if pairs { amx::kind_for(run_len(parts, words)) } else { None };
        let slopes = slopes(parts);
        let blocks = (0..groups).flat_map(|group| (0..count).map(move |part| (group, part)));
        let mut end = 0;
        let mut blocks: Vec<Block> = blocks
            .map(|(group, part)| {
                let range = part * units / count..(part + 1) * units / count;
                let within = range.start * UNIT..(range.end * UNIT).min(per_group);
                let (first, channels, width) =
                    (group * per_group + within.start, within.len(), range.len() * UNIT);
                let start = end;
                end += parts.shape[2..].iter().product::<usize>() * words * width;
                Block {
                    group,
                    first,
                    channels,
                    units: range.len(),
                    filters: Filters { range: start..end, ..Filters::default() },
                    bias: lanes(parts.bias.as_deref(), first, channels, width),
                    slopes: slopes.as_ref().map_or_else(Vec::new, |s| lanes(Some(s), first, channels, width)),
                }
            })
            .collect();
        let weight = std::mem::take(&mut parts.weight);
        let (memory, shift) = pack(weight, parts.shape, &blocks, (words, pairs), end);
        let memory = Arc::new(memory);
        for Block { filters, .. } in &mut blocks {
            let range = filters.range.start + shift..filters.range.end + shift;
            *filters = Filters { memory: memory.clone(), range };
        }
        Self { pairs, tiles, words, blocks }
    }
}

/// Words that every result reads side by side.
fn run_len(parts: &ConvParts, words: usize) -> usize {
    let [_, _, _, kw] = parts.shape;
    if parts.options.groups == 1 && parts.options.dilation[1] == 1 { kw * words } else { words }
}

/// A block's part of the memory that all filters of a convolution lie in. It starts with a cache line.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    memory: Arc<Vec<f32>>,
    range: Range<usize>,
}

impl std::ops::Deref for Filters {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.range.clone()]
    }
}

/// Packs the weights of all blocks, each as `[kh, kw, words, width]`, in the blocks' ranges of `len` numbers; gives the memory,
/// and where in it the ranges start.
///
/// Where nothing is added or left out, weights change places in the memory they come in: a large layer is never held twice.
fn pack(
    mut weight: Vec<f32>,
    shape: [usize; 4],
    blocks: &[Block],
    (words, pairs): (usize, bool),
    len: usize,
) -> (Vec<f32>, usize) {
    let depth = shape[1..].iter().product::<usize>();
    let rows = |block: &Block| block.first * depth..(block.first + block.channels) * depth;
    let stays = !pairs && blocks.iter().all(|block| rows(block) == block.filters.range);
    let mut memory = if stays { std::mem::take(&mut weight) } else { vec![0.0; len] };
    let shift = align(&mut memory);
    let mut source = Vec::new();
    // From the last block on: shifted weights reach into the block behind, which is done by then.
    for block in blocks.iter().rev() {
        let range = block.filters.range.start + shift..block.filters.range.end + shift;
        if stays {
            source.clear();
            source.extend_from_slice(&memory[rows(block)]);
            pack_block(&source, shape, (words, pairs), &mut memory[range]);
        } else {
            pack_block(&weight[rows(block)], shape, (words, pairs), &mut memory[range]);
            weight.truncate(rows(block).start);
            weight.shrink_to_fit();
        }
    }
    (memory, shift)
}

/// Makes room for as many numbers from the start of a cache line on, and says where that is.
fn align(memory: &mut Vec<f32>) -> usize {
    const LINE: usize = 64 / size_of::<f32>();
    let room = memory.len() + LINE - 1;
    memory.reserve_exact(LINE - 1);
    memory.resize(room, 0.0);
    memory.as_ptr().align_offset(64).min(LINE - 1)
}

/// Filters `[channels, C / groups, kh, kw]` as `[kh, kw, words, width]`; lanes without a channel keep what they hold.
fn pack_block(source: &[f32], shape: [usize; 4], (words, pairs): (usize, bool), target: &mut [f32]) {
    let [_, group_in, kh, kw] = shape;
    let area = kh * kw;
    let (count, width) = (source.len() / (group_in * area).max(1), target.len() / (area * words).max(1));
    let weight = |lane: usize, channel: usize, tap: usize| match channel < group_in {
        true => source[(lane * group_in + channel) * area + tap],
        false => 0.0,
    };
    for (row, target) in target.chunks_exact_mut(width.max(1)).enumerate() {
        let (tap, word) = (row / words.max(1), row % words.max(1));
        for (lane, target) in target.iter_mut().enumerate().take(count) {
            *target = match pairs {
                true => pair([weight(lane, 2 * word, tap), weight(lane, 2 * word + 1, tap)]),
                false => weight(lane, word, tap),
            };
        }
    }
}

impl Depthwise {
    fn new(parts: &ConvParts) -> Self {
        let [channels, _, kh, kw] = parts.shape;
        let (area, width) = (kh * kw, channels.next_multiple_of(UNIT));
        let mut filters = AlignedNumbers::zeros(area * width);
        for (tap, target) in filters.chunks_exact_mut(width.max(1)).enumerate() {
            let taps = parts.weight.iter().skip(tap).step_by(area);
            target.iter_mut().zip(taps).for_each(|(target, &weight)| *target = weight);
        }
        Self {
            filters,
            bias: lanes(parts.bias.as_deref(), 0, channels, width),
            slopes: slopes(parts).map_or_else(Vec::new, |s| lanes(Some(&s), 0, channels, width)),
            lanes: width,
        }
    }
}

/// The bits of the nearest number in bfloat16, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    if value.is_nan() { bits >> 16 | 0x40 } else { rounded }
}

/// Two numbers in bfloat16 as one word, the first in the low half.
#[inline(always)]
pub(super) fn pair([low, high]: [f32; 2]) -> f32 {
    f32::from_bits(bf16(low) | bf16(high) << 16)
}

/// Cuts runs into pieces of at most `most` words together; each piece with the words before it.
pub(super) fn pieces(runs: &[Run], most: usize) -> Vec<(usize, Vec<Run>)> {
    let total: usize = runs.iter().map(|run| run.len).sum();
    let each = total.div_ceil(total.div_ceil(most).max(1)).max(1);
    let mut pieces = vec![(0, Vec::new())];
    let (mut taken, mut filled) = (0, 0);
    for run in runs {
        let mut rest = *run;
        while rest.len > 0 {
            if filled == each {
                pieces.push((taken, Vec::new()));
                filled = 0;
            }
            let len = rest.len.min(each - filled);
            if let Some((_, piece)) = pieces.last_mut() {
                piece.push(Run { offset: rest.offset, len });
            }
            rest = Run { offset: rest.offset + len, len: rest.len - len };
            taken += len;
            filled += len;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_the_nearest_even() {
        for (value, bits) in [
            (1.0, 0x3F80),
            (-2.5, 0xC020),
            (1.0 + 1.0 / 256.0, 0x3F80),
            (1.0 + 3.0 / 256.0, 0x3F82),
            (1.0 + 1.01 / 256.0, 0x3F81),
            (f32::INFINITY, 0x7F80),
            (f32::MAX, 0x7F80),
            (-0.0, 0x8000),
        ] {
            assert_eq!(bf16(value), bits, "{value}");
        }
        assert!(f32::from_bits(bf16(f32::NAN) << 16).is_nan());
        assert!(f32::from_bits(bf16(f32::from_bits(0x7F80_0001)) << 16).is_nan());
    }

    #[test]
    fn pieces_cover_all_words_in_order() {
        let runs = [Run { offset: 5, len: 7 }, Run { offset: 100, len: 7 }, Run { offset: 50, len: 1 }];
        for most in 1..20 {
            let pieces = pieces(&runs, most);
            let mut words = Vec::new();
            for (before, piece) in &pieces {
                assert_eq!(*before, words.len());
                let start = words.len();
                piece.iter().for_each(|run| words.extend(run.offset..run.offset + run.len));
                assert!(words.len() - start <= most);
            }
            let all: Vec<usize> = runs.iter().flat_map(|run| run.offset..run.offset + run.len).collect();
            assert_eq!(words, all);
        }
        assert_eq!(pieces(&[], 8).len(), 1, "sums are finished even if nothing is added");
    }
}

//! Is a JPEG complete? Decoders forgive a file that ends too early and fill the rest in grey; a data set must not.
//!
//! The walk here follows ITU T.81: marker segments up to the end-of-image marker must be there, and in a baseline file
//! the Huffman codes of every scan are followed, without computing a coefficient, until every block has been met.
//! Scans of a progressive file are only required to be followed by a marker.

/// Checks that the JPEG in `bytes` holds all it promises.
///
/// # Errors
/// In words, what is missing.
pub(super) fn check_complete(bytes: &[u8]) -> Result<(), String> {
    Walk { bytes, at: 2, tables: Default::default(), restart_interval: 0, frame: None }.run()
}

const TRUNCATED: &str = "it is truncated: it ends before the end-of-image marker";

struct Component {
    id: u8,
    /// Sampling factors, horizontal and vertical.
    h: usize,
    v: usize,
    seen: bool,
}

struct Frame {
    baseline: bool,
    width: usize,
    height: usize,
    components: Vec<Component>,
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Huffman tables by class (DC, AC) and slot.
    tables: [[Option<Table>; 4]; 2],
    restart_interval: usize,
    frame: Option<Frame>,
}

impl<'a> Walk<'a> {
    fn run(mut self) -> Result<(), String> {
        loop {
            match self.next_marker().ok_or(TRUNCATED)? {
                0xD9 => return self.finish(),
                0x01 | 0xD0..=0xD8 => {}
                marker => {
                    let segment = self.segment()?;
                    self.follow(marker, segment)?;
                }
            }
        }
    }

    /// Moves behind the next marker and returns its code.
    fn next_marker(&mut self) -> Option<u8> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|&b| b == 0xFF)? + 1;
            let code = *self.bytes.get(self.at)?;
            // FF FF is padding before a marker, FF 00 a data byte.
            if code != 0xFF {
                self.at += 1;
                if code != 0 {
                    return Some(code);
                }
            }
        }
    }

    /// The payload of the marker segment that starts here; moves behind it.
    fn segment(&mut self) -> Result<&'a [u8], String> {
        let length = match self.bytes.get(self.at..self.at + 2) {
            Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
            _ => return Err(TRUNCATED.into()),
        };
        if length < 2 {
            return Err("a marker segment has an impossible length".into());
        }
        let segment = self.bytes.get(self.at + 2..self.at + length).ok_or(TRUNCATED)?;
        self.at += length;
        Ok(segment)
    }

    fn follow(&mut self, marker: u8, segment: &'a [u8]) -> Result<(), String> {
        match marker {
            0xC4 => self.huffman_tables(segment),
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                self.frame = Some(frame_header(marker, segment)?);
                Ok(())
            }
            0xDD => {
                let &[high, low, ..] = segment else { return Err("its restart interval is cut".into()) };
                self.restart_interval = usize::from(u16::from_be_bytes([high, low]));
                Ok(())
            }
            0xDA => self.scan(segment),
            _ => Ok(()),
        }
    }

    fn huffman_tables(&mut self, mut segment: &[u8]) -> Result<(), String> {
        while let Some((&[class_and_slot, ref counts @ ..], rest)) = segment.split_first_chunk::<17>() {
            let symbols: usize = counts.iter().map(|&c| usize::from(c)).sum();
            let (class, slot) = (usize::from(class_and_slot >> 4), usize::from(class_and_slot & 15));
            if class > 1 || slot > 3 || symbols > rest.len() {
                return Err("a Huffman table is damaged".into());
            }
            let (values, rest) = rest.split_at(symbols);
            self.tables[class][slot] = Some(Table::new(class, counts, values)?);
            segment = rest;
        }
        Ok(())
    }

    fn scan(&mut self, header: &[u8]) -> Result<(), String> {
        let frame = self.frame.as_mut().ok_or("a scan comes before the frame header")?;
        let count = usize::from(*header.first().ok_or("a scan header is cut")?);
        let selectors = header.get(1..1 + 2 * count).ok_or("a scan header is cut")?;
        // What one minimum coded unit holds: (DC table, AC table, number of blocks) a component.
        let mut unit = Vec::new();
        let mut single = (1, 1);
        for selector in selectors.chunks_exact(2) {
            let component = frame
                .components
                .iter_mut()
                .find(|c| c.id == selector[0])
                .ok_or("a scan names an unknown component")?;
            component.seen = true;
            single = (component.h, component.v);
            let table = |class: usize, slot: u8| self.tables[class].get(usize::from(slot))?.as_ref();
            let blocks = component.h * component.v;
            unit.push((table(0, selector[1] >> 4), table(1, selector[1] & 15), blocks));
        }
        // Without tables (they may come from outside the file) there is nothing to follow.
        let unit: Vec<_> = unit.into_iter().filter_map(|(dc, ac, blocks)| Some((dc?, ac?, blocks))).collect();
        if !frame.baseline || unit.len() != count || count == 0 {
            return Ok(());
        }
        let (unit, units) = if count == 1 {
            (vec![(unit[0].0, unit[0].1, 1)], frame.single_units(single))
        } else {
            (unit, frame.interleaved_units())
        };
        let mut codes = Codes::new(&self.bytes[self.at..]);
        for index in 0..units {
            if self.restart_interval > 0 && index > 0 && index % self.restart_interval == 0 {
                codes.restart().map_err(|reason| describe(reason, index, units))?;
            }
            for &(dc, ac, blocks) in &unit {
                for _ in 0..blocks {
                    codes.block(dc, ac).map_err(|reason| describe(reason, index, units))?;
                }
            }
        }
        self.at += codes.at;
        Ok(())
    }

    fn finish(self) -> Result<(), String> {
        match self.frame {
            None => Err("it has no frame header".into()),
            Some(frame) if frame.components.iter().any(|c| !c.seen) => {
                Err("it is truncated: not every colour component has a scan".into())
            }
            Some(_) => Ok(()),
        }
    }
}

fn describe(reason: Broken, index: usize, units: usize) -> String {
    match reason {
        Broken::Ends => format!("it is truncated: a scan ends after {index} of {units} blocks"),
        Broken::Code => format!("it is damaged: impossible code after {index} of {units} blocks"),
    }
}

fn frame_header(marker: u8, segment: &[u8]) -> Result<Frame, String> {
    const CUT: &str = "the frame header is cut";
    let &[_, h1, h0, w1, w0, count, ref rest @ ..] = segment else { return Err(CUT.into()) };
    let rest = rest.get(..3 * usize::from(count)).ok_or(CUT)?;
    let components: Vec<Component> = rest
        .chunks_exact(3)
        .map(|c| Component { id: c[0], h: usize::from(c[1] >> 4), v: usize::from(c[1] & 15), seen: false })
        .collect();
    if components.is_empty() || components.iter().any(|c| !(1..=4).contains(&c.h) || !(1..=4).contains(&c.v))
    {
        return Err("the frame header is damaged".into());
    }
    Ok(Frame {
        baseline: marker <= 0xC1,
        height: usize::from(u16::from_be_bytes([h1, h0])),
        width: usize::from(u16::from_be_bytes([w1, w0])),
        components,
    })
}

impl Frame {
    fn largest(&self) -> (usize, usize) {
        let h = self.components.iter().map(|c| c.h).max().unwrap_or(1);
        let v = self.components.iter().map(|c| c.v).max().unwrap_or(1);
        (h, v)
    }

    /// Minimum coded units of a scan over several components (T.81, A.2.3).
    fn interleaved_units(&self) -> usize {
        let (h, v) = self.largest();
        self.width.div_ceil(8 * h) * self.height.div_ceil(8 * v)
    }

    /// Blocks of a scan over one component sampled by `(h, v)` (T.81, A.2.2).
    fn single_units(&self, (h, v): (usize, usize)) -> usize {
        let (most_h, most_v) = self.largest();
        (self.width * h).div_ceil(most_h).div_ceil(8) * (self.height * v).div_ceil(most_v).div_ceil(8)
    }
}

/// Bits looked at in one step; longer codes are rare.
const FAST: u32 = 10;
/// Where the end-of-block code takes the coefficient index: behind every block.
const BLOCK_ENDS: u8 = 128;

/// A Huffman code and the value behind it.
#[derive(Clone, Copy, Default)]
struct Step {
    /// Their bits together; 0 for no code.
    bits: u8,
    /// By how much the coefficient index grows; 0 for an impossible symbol.
    advance: u8,
}

/// A Huffman table for following codes.
struct Table {
    /// By the next [`FAST`] bits.
    fast: Box<[Step; 1 << FAST]>,
    /// By code length: the first code of the next length, left-aligned to 16 bits, and symbol index minus code.
    limits: [(u32, i32); 17],
    /// By symbol index.
    steps: Vec<Step>,
}

impl Table {
    fn new(class: usize, counts: &[u8], symbols: &[u8]) -> Result<Self, String> {
        let mut table = Table {
            fast: Box::new([Step::default(); 1 << FAST]),
            limits: [(0, 0); 17],
            steps: Vec::with_capacity(symbols.len()),
        };
        let mut code = 0u32;
        for (length, &count) in (1u32..).zip(counts) {
            let offset = table.steps.len() as i32 - code as i32;
            for _ in 0..count {
                if code >> length != 0 {
                    return Err("a Huffman table is damaged".into());
                }
                let symbol = symbols[table.steps.len()];
                let advance = if class == 0 { dc_advance(symbol) } else { ac_advance(symbol) };
                let step = Step { bits: length as u8 + (symbol & 15), advance };
                if length <= FAST {
                    let start = (code << (FAST - length)) as usize;
                    table.fast[start..start + (1 << (FAST - length))].fill(step);
                }
                table.steps.push(step);
                code += 1;
            }
            table.limits[length as usize] = (code << (16 - length), offset);
            code <<= 1;
        }
        Ok(table)
    }

    /// The step that `bits`, left-aligned, begin with.
    #[inline]
    fn look_up(&self, bits: u64) -> Step {
        let step = self.fast[(bits >> (64 - FAST)) as usize];
        if step.bits > 0 { step } else { self.look_up_long((bits >> 48) as u32) }
    }

    #[cold]
    fn look_up_long(&self, bits: u32) -> Step {
        let found = (FAST + 1..=16).find(|&length| bits < self.limits[length as usize].0);
        let index = found.map(|length| (bits >> (16 - length)) as i32 + self.limits[length as usize].1);
        index.and_then(|index| self.steps.get(index as usize)).copied().unwrap_or_default()
    }
}

/// The symbol of a first coefficient is the number of bits of its value.
fn dc_advance(symbol: u8) -> u8 {
    if symbol < 16 { 1 } else { 0 }
}

/// The symbol of another coefficient holds the zeros before it and the number of bits of its value.
fn ac_advance(symbol: u8) -> u8 {
    match (symbol >> 4, symbol & 15) {
        (15, 0) => 16,
        (_, 0) => BLOCK_ENDS,
        (run, _) => run + 1,
    }
}

#[derive(Clone, Copy, Debug)]
enum Broken {
    /// The data end.
    Ends,
    /// The data cannot be what an encoder wrote.
    Code,
}

/// Reads entropy-coded bits up to the next marker.
struct Codes<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, left-aligned; zeros behind them.
    buffer: u64,
    /// Number of bits in `buffer`.
    count: u32,
}

impl<'a> Codes<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, buffer: 0, count: 0 }
    }

    /// Fills the buffer to more than 48 bits, if there are so many before the next marker.
    fn fill(&mut self) {
        if let Some(chunk) = self.bytes[self.at..].first_chunk() {
            let word = u64::from_be_bytes(*chunk);
            // No byte of the eight is 0xFF if no byte of their complement is zero.
            let zero_byte = (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080;
            if zero_byte == 0 && self.count <= 48 {
                let bytes = (63 - self.count) / 8;
                let taken = word & (u64::MAX << (64 - 8 * bytes));
                self.buffer |= taken >> self.count;
                self.count += 8 * bytes;
                self.at += bytes as usize;
                return;
            }
        }
        while self.count <= 48 {
            let byte = match self.bytes.get(self.at) {
                None => return,
                Some(0xFF) if self.bytes.get(self.at + 1) == Some(&0) => {
                    self.at += 2;
                    0xFF
                }
                // A marker: the scan, or its part up to a restart, ends here.
                Some(0xFF) => return,
                Some(&byte) => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Follows a code and the value behind it; returns by how much the coefficient index grows.
    #[inline]
    fn step(&mut self, table: &Table) -> Result<u32, Broken> {
        // Both together take at most 16 + 15 bits.
        if self.count < 32 {
            self.fill();
        }
        let step = table.look_up(self.buffer);
        let bits = u32::from(step.bits);
        if bits == 0 && self.count >= 16 || bits > 0 && step.advance == 0 {
            return Err(Broken::Code);
        }
        if bits == 0 || bits > self.count {
            return Err(Broken::Ends);
        }
        self.buffer <<= bits;
        self.count -= bits;
        Ok(u32::from(step.advance))
    }

    /// Follows the codes of one 8 x 8 block (T.81, F.1.2).
    fn block(&mut self, dc: &Table, ac: &Table) -> Result<(), Broken> {
        let mut k = self.step(dc)?;
        while k < 64 {
            k += self.step(ac)?;
        }
        // Past 64 only the end-of-block code leads, and it leads far.
        if k > 64 && k < u32::from(BLOCK_ENDS) { Err(Broken::Code) } else { Ok(()) }
    }

    /// Moves behind the restart marker that must come next.
    fn restart(&mut self) -> Result<(), Broken> {
        self.fill();
        if self.count >= 8 {
            return Err(Broken::Code);
        }
        (self.buffer, self.count) = (0, 0);
        while self.bytes.get(self.at) == Some(&0xFF) {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(0xD0..=0xD7) => {
                self.at += 1;
                Ok(())
            }
            _ => Err(Broken::Ends),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::codecs::jpeg::JpegEncoder;
    use ::image::{ExtendedColorType, ImageEncoder};
    use rand::RngExt;

    /// A noisy picture of one or three channels as a baseline JPEG.
    fn noise(width: u32, height: u32, channels: u32) -> Vec<u8> {
        let mut rng = ocelli_method::random::stream(5, "jpeg", u64::from(width));
        let pixels: Vec<u8> = (0..width * height * channels).map(|_| rng.random()).collect();
        let colour = if channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 85).write_image(&pixels, width, height, colour).unwrap();
        bytes
    }

    #[test]
    fn complete_files_pass_also_with_bytes_behind_the_end() {
        for (width, height, channels) in [(1, 1, 3), (8, 8, 1), (17, 33, 3), (64, 40, 1), (100, 3, 3)] {
            let mut bytes = noise(width, height, channels);
            assert_eq!(check_complete(&bytes), Ok(()), "{width} x {height} x {channels}");
            bytes.extend([0; 100]);
            assert_eq!(check_complete(&bytes), Ok(()));
        }
    }

    #[test]
    fn every_shorter_file_is_refused() {
        let bytes = noise(24, 24, 3);
        for length in 2..bytes.len() {
            assert!(check_complete(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
    }

    #[test]
    fn a_cut_scan_is_noticed_behind_a_forged_end_marker() {
        let bytes = noise(64, 64, 3);
        let mut cut = bytes[..bytes.len() * 2 / 3].to_owned();
        cut.extend([0xFF, 0xD9]);
        let message = check_complete(&cut).unwrap_err();
        assert!(message.contains("a scan ends after"), "{message}");
    }

    #[test]
    fn an_end_marker_inside_a_segment_does_not_count() {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0xFF, 0xD9];
        assert_eq!(check_complete(&bytes), Err(TRUNCATED.into()));
        bytes.extend([0xFF, 0xD9]);
        assert_eq!(check_complete(&bytes), Err("it has no frame header".into()));
    }

    fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u16 + 2).to_be_bytes();
        [&[0xFF, marker], length.as_slice(), payload].concat()
    }

    /// A hand-made file of 17 x 17 pixels: components as (id, sampling), scans as (component ids, data). Its tables know
    /// one code of one bit each, so that a block takes two bits.
    fn made(frame: u8, components: &[(u8, u8)], restart: u8, scans: &[(&[u8], &[u8])]) -> Vec<u8> {
        let table = |slot: u8| segment(0xC4, &[&[slot, 1], [0; 15].as_slice(), &[0]].concat());
        let parts = components.iter().flat_map(|(id, sampling)| [*id, *sampling, 0]);
        let header = [8, 0, 17, 0, 17, components.len() as u8].into_iter().chain(parts).collect::<Vec<u8>>();
        let mut bytes = [vec![0xFF, 0xD8], table(0x00), table(0x10), segment(frame, &header)].concat();
        bytes.extend(segment(0xDD, &[0, restart]));
        for (ids, data) in scans {
            let selectors = ids.iter().flat_map(|id| [*id, 0]);
            let header: Vec<u8> = [ids.len() as u8].into_iter().chain(selectors).chain([0, 63, 0]).collect();
            bytes.extend(segment(0xDA, &header));
            bytes.extend(*data);
        }
        bytes.extend([0xFF, 0xD9]);
        bytes
    }

    const SUBSAMPLED: [(u8, u8); 3] = [(1, 0x22), (2, 0x11), (3, 0x11)];

    #[test]
    fn blocks_are_counted_by_sampling_factors() {
        // Interleaved: 2 x 2 units of 4 + 1 + 1 blocks, 48 bits.
        assert_eq!(check_complete(&made(0xC0, &SUBSAMPLED, 0, &[(&[1, 2, 3], &[0; 6])])), Ok(()));
        let message = check_complete(&made(0xC0, &SUBSAMPLED, 0, &[(&[1, 2, 3], &[0; 5])])).unwrap_err();
        assert!(message.contains("after 3 of 4 blocks"), "{message}");
        // One by one: 3 x 3 blocks of luma, 2 x 2 of each chroma.
        let scans: [(&[u8], &[u8]); 3] = [(&[1], &[0; 3]), (&[2], &[0]), (&[3], &[0])];
        assert_eq!(check_complete(&made(0xC0, &SUBSAMPLED, 0, &scans)), Ok(()));
        let message = check_complete(&made(0xC0, &SUBSAMPLED, 0, &scans[..2])).unwrap_err();
        assert!(message.contains("not every colour component"), "{message}");
    }

    #[test]
    fn restart_markers_are_stepped_over_and_must_be_there() {
        let grey = |data: &[u8]| check_complete(&made(0xC1, &[(7, 0x11)], 4, &[(&[7], data)]));
        assert_eq!(grey(&[0, 0xFF, 0xD0, 0, 0xFF, 0xFF, 0xD1, 0x3F]), Ok(()));
        assert!(grey(&[0, 0xFF, 0xD0, 0]).is_err(), "the last interval is missing");
        assert!(grey(&[0, 0, 0, 0]).is_err(), "there is no marker");
        assert!(grey(&[0, 0xFF, 0xD0, 0xFF, 0xD1, 0]).is_err(), "an interval is empty");
        assert!(grey(&[0xFF, 0, 0, 0]).unwrap_err().contains("impossible code"), "ones are no code here");
    }

    #[test]
    fn progressive_files_need_all_components_and_the_end() {
        let bytes = made(0xC2, &[(1, 0x11)], 0, &[(&[1], &[1, 2, 0xFF, 0, 3]), (&[1], &[4])]);
        assert_eq!(check_complete(&bytes), Ok(()));
        assert_eq!(check_complete(&bytes[..bytes.len() - 1]), Err(TRUNCATED.into()));
        assert!(check_complete(&made(0xC2, &SUBSAMPLED, 0, &[(&[1, 2], &[0])])).is_err());
    }
}

//! How the pixels of a band become rows of tiles, which lie at equal distances.

use std::ops::Range;

use super::SIDE;

/// Neighbouring results whose pixels start at equal distances.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Row among all rows of tiles.
    row: usize,
    /// First result.
    result: usize,
    len: usize,
    start: usize,
    pitch: usize,
}

/// Rows of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// The first among all rows.
    pub(super) row: usize,
    pub(super) rows: usize,
    /// Where the first pixel starts.
    pub(super) start: usize,
    /// Words between pixels.
    pub(super) pitch: usize,
}

/// The rows of tiles of a band. Not every row is a result: where lines are short, a few pixels between them (padding) are
/// multiplied too, for the sake of full tiles.
#[derive(Debug)]
pub(in super::super) struct Rows {
    pub(super) tiles: Vec<Tile>,
    lines: Vec<Line>,
    /// Rows of all tiles.
    pub(super) count: usize,
    /// The last start.
    pub(super) last: usize,
}

impl Rows {
    /// Rows for results whose pixels start here.
    pub(in super::super) fn new(starts: &[usize]) -> Self {
        let mut lines = lines(starts);
        let (mut tiles, mut count) = (Vec::new(), 0);
        let mut first = 0;
        while first < lines.len() {
            let strip = strip(&mut lines[first..], count);
            cut(&lines[first], count, strip.rows, &mut tiles);
            first += strip.lines;
            count += strip.rows;
        }
        Self { tiles, lines, count, last: starts.iter().max().copied().unwrap_or(0) }
    }

    /// The results among some rows, at most `most` at a time, each with its first row.
    pub(super) fn results(
        &self,
        rows: Range<usize>,
        most: usize,
    ) -> impl Iterator<Item = (usize, Range<usize>)> {
        let first = self.lines.partition_point(|line| line.row + line.len <= rows.start);
        let inside = self.lines[first..].iter().take_while(move |line| line.row < rows.end);
        inside.flat_map(move |line| {
            let (from, to) = (rows.start.max(line.row), rows.end.min(line.row + line.len));
            (from..to).step_by(most).map(move |row| {
                let result = line.result + row - line.row;
                (row, result..result + most.min(to - row))
            })
        })
    }
}

/// Cuts results into lines.
fn lines(starts: &[usize]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (result, &start) in starts.iter().enumerate() {
        if let Some(line) = lines.last_mut() {
            let pitch = start.saturating_sub(starts[result - 1]);
            if pitch > 0 && (line.len == 1 || pitch == line.pitch) {
                (line.len, line.pitch) = (line.len + 1, pitch);
                continue;
            }
        }
        lines.push(Line { row: 0, result, len: 1, start, pitch: 0 });
    }
    lines
}

/// Lines whose pixels, with those between them, are at equal distances.
struct Strip {
    lines: usize,
    rows: usize,
}

/// The strip that begins with the first line, whose first row has this number; its lines are told theirs.
fn strip(lines: &mut [Line], row: usize) -> Strip {
    let mut strip = Strip { lines: 1, rows: lines[0].len };
    lines[0].row = row;
    let (first, rest) = lines.split_at_mut(1);
    let (start, pitch) = (first[0].start, first[0].pitch);
    for line in rest {
        let distance = line.start.saturating_sub(start);
        if pitch == 0 || line.pitch != pitch || !distance.is_multiple_of(pitch) {
            break;
        }
        let at = distance / pitch;
        // A line of its own takes a tile; it should not take more rows of the strip than that.
        if at < strip.rows || at - strip.rows + line.len >= SIDE {
            break;
        }
        line.row = row + at;
        strip = Strip { lines: strip.lines + 1, rows: at + line.len };
    }
    strip
}

/// Cuts a strip of `rows` rows that begins with `line` into tiles of like size.
fn cut(line: &Line, row: usize, rows: usize, tiles: &mut Vec<Tile>) {
    let each = rows.div_ceil(rows.div_ceil(SIDE));
    for at in (0..rows).step_by(each) {
        let start = line.start + at * line.pitch;
        tiles.push(Tile { row: row + at, rows: each.min(rows - at), start, pitch: line.pitch });
    }
}

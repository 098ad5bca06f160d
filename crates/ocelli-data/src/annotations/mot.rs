//! MOTChallenge's text files: boxes of many objects, frame by frame.
//!
//! A line is `frame,id,x,y,w,h[,confidence[,class[,visibility]]]`: frames from 1, boxes in pixels, fields after the sixth
//! optional. In a truth a confidence of 0 marks a box that does not count; in MOT16 and later the eighth field is a class
//! (1 a pedestrian); in MOT15 it is -1. In detections the id is -1.

use std::path::Path;

use ocelli_method::files::write_atomically;

use super::{number, read_text};
use crate::error::DataError;

/// One line of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotRow {
    /// The frame, from 1.
    pub frame: i64,
    /// The object or track; -1 in detections.
    pub id: i64,
    /// `x, y, w, h` in pixels.
    pub xywh: [f64; 4],
    /// Confidence; in a truth whether the box counts. 1 where absent.
    pub confidence: f64,
    /// The class from 1, where the file has one.
    pub class: Option<i64>,
}

/// Reads a truth, a result or a detection file.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first line that is not so.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<MotRow>, DataError> {
    let path = path.as_ref();
    parse(path, &read_text(path)?)
}

fn parse(path: &Path, text: &str) -> Result<Vec<MotRow>, DataError> {
    let mut rows = Vec::with_capacity(text.bytes().filter(|b| *b == b'\n').count() + 1);
    let (mut rest, mut number) = (text, 0);
    while !rest.is_empty() {
        number += 1;
        if let Some((row, after)) = plain_row(rest) {
            rows.push(row);
            rest = after;
            continue;
        }
        let line;
        (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        let line = line.trim();
        if !line.is_empty() {
            rows.push(row(path, number, line)?);
        }
    }
    Ok(rows)
}

/// The row at the head of a text, and the text after its line, if the line is plainly written: numbers without exponents
/// and blanks. Files are long and mostly so. Of any other line [`row`] knows what it says or what is wrong.
fn plain_row(text: &str) -> Option<(MotRow, &str)> {
    let bytes = text.as_bytes();
    let (mut values, mut found, mut at) = ([0.0; 8], 0, 0);
    loop {
        values[found] = plain_number(text, &mut at)?;
        found += 1;
        match bytes.get(at) {
            Some(b',') if found < values.len() => at += 1,
            None | Some(b'\n') => break,
            // What follows the eighth is not looked at.
            Some(b',') => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
                break;
            }
            Some(_) => return None,
        }
    }
    let [frame, id, x, y, w, h, confidence, class] = values;
    let fits = found >= 6 && is_whole(frame) && is_whole(id) && frame >= 1.0 && w >= 0.0 && h >= 0.0;
    let confidence = if found > 6 { confidence } else { 1.0 };
    let (frame, id, class) = (frame as i64, id as i64, class_of(class));
    fits.then(|| {
        (MotRow { frame, id, xywh: [x, y, w, h], confidence, class }, text.get(at + 1..).unwrap_or(""))
    })
}

/// A number of digits with perhaps a sign and a point, rounded as by [`str::parse`]. `at` moves behind it.
fn plain_number(text: &str, at: &mut usize) -> Option<f64> {
    let start = *at;
    let (negative, unsigned) = match text.as_bytes().get(start..)? {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let (mut digits, whole, rest) = leading_digits(0, unsigned);
    let (mut count, mut behind_point, mut length) = (whole, 0, whole);
    if let [b'.', rest @ ..] = rest {
        (digits, behind_point, _) = leading_digits(digits, rest);
        count += behind_point;
        length = count + 1;
    }
    *at = start + usize::from(negative) + length;
    // Both are exact, so their quotient is rounded once.
    match POWERS.get(behind_point).filter(|_| (1..POWERS.len()).contains(&count)) {
        Some(power) => {
            let size = digits as f64 / power;
            Some(if negative { -size } else { size })
        }
        None => text.get(start..*at)?.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

/// Appends the digits at the head of a text to a number; gives how many there are, and the text after them.
fn leading_digits(mut number: u64, text: &[u8]) -> (u64, usize, &[u8]) {
    let mut count = 0;
    while let Some(digit) = text.get(count).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (number, count, &text[count..])
}

/// Powers of ten; a number of so many digits is exact in double precision too.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

fn is_whole(value: f64) -> bool {
    value as i64 as f64 == value && value.abs() < 1e15
}

/// A class from the field after the confidence, where there is one: it counts from 1.
fn class_of(value: f64) -> Option<i64> {
    (value >= 1.0 && is_whole(value)).then_some(value as i64)
}

fn row(path: &Path, line: usize, text: &str) -> Result<MotRow, DataError> {
    // What follows the ninth is not looked at.
    let mut fields = [""; 9];
    let found = fields.iter_mut().zip(text.split(',')).map(|(field, text)| *field = text.trim()).count();
    if found < 6 {
        let reason = format!("`frame,id,x,y,w,h,…` expected, found {found} fields");
        return Err(DataError::line(path, line, reason));
    }
    let value = |at: usize, what: &str| {
        let value: f64 = number(path, line, what, fields[at])?;
        match value.is_finite() {
            true => Ok(value),
            false => Err(DataError::line(path, line, format!("{what} is {value}"))),
        }
    };
    // Some trackers write whole numbers with a point.
    let whole = |at: usize, what: &str| {
        let value = value(at, what)?;
        match is_whole(value) {
            true => Ok(value as i64),
            false => Err(DataError::line(path, line, format!("{what} expected, found `{}`", fields[at]))),
        }
    };
    let frame = whole(0, "a frame's number")?;
    if frame < 1 {
        return Err(DataError::line(path, line, format!("frames count from 1, found {frame}")));
    }
    let mut xywh = [0.0; 4];
    for (k, name) in ["x", "y", "a width", "a height"].into_iter().enumerate() {
        xywh[k] = value(k + 2, name)?;
    }
    if let Some(side) = xywh[2..].iter().find(|side| **side < 0.0) {
        return Err(DataError::line(path, line, format!("a box has a side of {side} pixels")));
    }
    let confidence = if found > 6 { value(6, "a confidence")? } else { 1.0 };
    // World coordinates of MOT15 stand where later files have the class.
    let class = class_of(if found > 7 { value(7, "a class")? } else { -1.0 });
    Ok(MotRow { frame, id: whole(1, "an id")?, xywh, confidence, class })
}

/// Writes rows with nine fields, or ten where no row has a class, as MOT15 has them.
///
/// # Errors
/// [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, rows: &[MotRow]) -> Result<(), DataError> {
    let path = path.as_ref();
    write_atomically(path, |out| {
        for MotRow { frame, id, xywh: [x, y, w, h], confidence, class } in rows {
            match class {
                Some(class) => writeln!(out, "{frame},{id},{x},{y},{w},{h},{confidence},{class},1")?,
                None => writeln!(out, "{frame},{id},{x},{y},{w},{h},{confidence},-1,-1,-1")?,
            }
        }
        Ok(())
    })
    .map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::super::filled_lines;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gt.txt");
        for class in [None, Some(7)] {
            let rows = [
                MotRow { frame: 1, id: 3, xywh: [-1.5, 2.0, 30.25, 4.0], confidence: 0.5, class },
                MotRow { frame: 2, id: -1, xywh: [0.0; 4], confidence: 0.0, class },
            ];
            write(&path, &rows).unwrap();
            assert_eq!(read(&path).unwrap(), rows);
        }
    }

    #[test]
    fn errors_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.txt");
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path).unwrap_err().to_string()
        };
        assert!(refused("1,1,0,0,2,2\n1,2,0,0\n").contains("r.txt:2: `frame,id"));
        assert!(refused("0,1,0,0,2,2\n").contains("count from 1"));
        assert!(refused("1,1,0,0,-2,2\n").contains("side of -2"));
        assert!(refused("1,1,NaN,0,2,2\n").contains("x is NaN"));
        assert!(refused("1,a,0,0,2,2\n").contains("an id expected"));
        assert!(refused("1,1.5,0,0,2,2\n").contains("an id expected"));
        std::fs::write(&path, "3.0,2,0,0,2,2\n").unwrap();
        assert_eq!((read(&path).unwrap()[0].frame, read(&path).unwrap()[0].confidence), (3, 1.0));
    }

    proptest! {
        #[test]
        fn plain_lines_are_read_as_all_others(
            text in "([-0-9.,eNa\n\r ]{0,20}|[1-9],[0-9],(-?[0-9]{1,3}(\\.[0-9]{0,18})?,){2}[0-9]{0,24}\\.[0-9]{0,3},[1-9]\
                     (,1(,-?[0-9](,é{0,3})?)?)?\r?\n){0,6}"
        ) {
            let path = Path::new("x");
            let each: Result<Vec<MotRow>, DataError> =
                filled_lines(&text).map(|(line, text)| row(path, line, text)).collect();
            let bits = |rows: Vec<MotRow>| {
                rows.into_iter().map(|r| (r, r.xywh.map(f64::to_bits))).collect::<Vec<_>>()
            };
            let shown = |found: Result<Vec<MotRow>, DataError>| found.map(bits).map_err(|e| e.to_string());
            prop_assert_eq!(shown(parse(path, &text)), shown(each));
        }

        #[test]
        fn plain_numbers_are_rounded_as_by_the_standard_library(text in "-?[0-9]{0,20}(\\.[0-9]{0,20})?") {
            let mut at = 0;
            let found = plain_number(&text, &mut at).map(f64::to_bits);
            prop_assert_eq!(found, text.parse().ok().map(f64::to_bits));
            prop_assert_eq!(at, text.len());
        }
    }
}

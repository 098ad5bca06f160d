//! MOTChallenge's text files: boxes of many objects, frame by frame.
//!
//! A line is `frame,id,x,y,w,h[,confidence[,class[,visibility]]]`: frames from 1, boxes in pixels, fields after the sixth
//! optional. In a truth a confidence of 0 marks a box that does not count; in MOT16 and later the eighth field is a class
//! (1 a pedestrian); in MOT15 it is -1. In detections the id is -1.

use std::path::Path;

use ocelli_method::files::write_atomically;

use super::{filled_lines, number, read_text};
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
    let text = read_text(path)?;
    filled_lines(&text).map(|(line, text)| row(path, line, text)).collect()
}

fn row(path: &Path, line: usize, text: &str) -> Result<MotRow, DataError> {
    // Lines are many: their fields are not put on the heap, and what follows the ninth is not looked at.
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
        match value.fract() == 0.0 && value.abs() < 1e15 {
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
    let class = if found > 7 { value(7, "a class")? } else { -1.0 };
    let class = (class >= 1.0 && class.fract() == 0.0).then_some(class as i64);
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
        fn no_text_panics(text in "[-0-9.,eNa\n ]{0,80}") {
            text.lines().enumerate().for_each(|(i, l)| drop(row(Path::new("x"), i, l)));
        }
    }
}

//! One box a frame: the truths and results of single-object tracking (OTB, GOT-10k, LaSOT, TrackingNet).
//!
//! A line is `x y w h`, separated by commas, tabs or blanks. Beside a LaSOT truth lie `full_occlusion.txt` and
//! `out_of_view.txt`: 0 or 1 a frame, in one line or in one each.

use std::path::Path;

use ocelli_method::files::write_atomically;

use super::{filled_lines, number, read_text};
use crate::error::DataError;

/// Reads `x, y, w, h` of every frame, in pixels. NaN marks a frame without a box in some truths; it is read as an empty
/// box.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first line that is not so; [`DataError::Content`] without a line.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<[f64; 4]>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let boxes: Result<Vec<[f64; 4]>, DataError> =
        filled_lines(&text).map(|(line, text)| parse(path, line, text)).collect();
    match boxes {
        Ok(boxes) if boxes.is_empty() => {
            Err(DataError::content(path, "no box; `x,y,w,h` lines are expected"))
        }
        boxes => boxes,
    }
}

fn parse(path: &Path, line: usize, text: &str) -> Result<[f64; 4], DataError> {
    let fields: Vec<&str> =
        text.split(|c: char| c == ',' || c.is_whitespace()).filter(|f| !f.is_empty()).collect();
    let Ok(fields) = <[&str; 4]>::try_from(fields) else {
        return Err(DataError::line(path, line, format!("`x,y,w,h` expected, found `{text}`")));
    };
    let mut values = [0.0f64; 4];
    for (value, field) in values.iter_mut().zip(fields) {
        *value = number(path, line, "a number of pixels", field)?;
    }
    match values {
        v if v.iter().all(|x| x.is_nan()) => Ok([0.0; 4]),
        v if v.iter().all(|x| x.is_finite()) => Ok(v),
        _ => Err(DataError::line(path, line, format!("finite numbers expected, found `{text}`"))),
    }
}

/// Writes `x,y,w,h` lines, exactly.
///
/// # Errors
/// [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, boxes: &[[f64; 4]]) -> Result<(), DataError> {
    let path = path.as_ref();
    write_atomically(path, |out| boxes.iter().try_for_each(|[x, y, w, h]| writeln!(out, "{x},{y},{w},{h}")))
        .map_err(|source| DataError::write(path, source))
}

/// Reads 0 or 1 for each frame, whatever separates them.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first that is neither.
pub fn read_flags(path: impl AsRef<Path>) -> Result<Vec<bool>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let mut flags = Vec::new();
    for (line, text) in filled_lines(&text) {
        for field in text.split(|c: char| c == ',' || c.is_whitespace()).filter(|f| !f.is_empty()) {
            flags.push(match field {
                "0" => false,
                "1" => true,
                _ => return Err(DataError::line(path, line, format!("0 or 1 expected, found `{field}`"))),
            });
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_separator_is_read_and_errors_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gt.txt");
        let put = |text: &str| std::fs::write(&path, text).unwrap();
        put("1,2,3,4\n1\t2\t3\t4\n1 2  3 4\nNaN,NaN,NaN,NaN\n");
        assert_eq!(
            read(&path).unwrap(),
            [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [0.0; 4]]
        );
        let boxes = [[0.1, -2.0, 1e-9, 5.0]];
        write(&path, &boxes).unwrap();
        assert_eq!(read(&path).unwrap(), boxes);
        for (text, part) in [
            ("1,2,3\n", ":1: `x,y,w,h`"),
            ("1,2,3,4\n1,2,3,x\n", ":2: a number"),
            ("1,2,3,inf\n", ":1: finite"),
            ("\n", "no box"),
        ] {
            put(text);
            assert!(read(&path).unwrap_err().to_string().contains(part), "{text}");
        }
        put("0,1,0\n1\n");
        assert_eq!(read_flags(&path).unwrap(), [false, true, false, true]);
        put("2\n");
        assert!(read_flags(&path).unwrap_err().to_string().contains("0 or 1"));
    }
}

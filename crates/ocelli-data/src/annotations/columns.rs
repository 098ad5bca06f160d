//! One number a line: the plainest file of scores or labels.

use std::path::Path;

use ocelli_method::files::write_atomically;

use super::{filled_lines, number, read_text};
use crate::error::DataError;

/// Reads a number from each line that holds anything; lines that start with `#` are comments.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first line that is no finite number; [`DataError::Content`] when
/// there is none.
pub fn read_numbers(path: impl AsRef<Path>) -> Result<Vec<f64>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let mut numbers = Vec::new();
    for (line, text) in filled_lines(&text).filter(|(_, text)| !text.starts_with('#')) {
        let value: f64 = number(path, line, "a number", text)?;
        if !value.is_finite() {
            return Err(DataError::line(path, line, format!("a finite number expected, found `{text}`")));
        }
        numbers.push(value);
    }
    if numbers.is_empty() {
        return Err(DataError::content(path, "the file is empty; a number a line is expected"));
    }
    Ok(numbers)
}

/// Writes a number a line, exactly.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_numbers(path: impl AsRef<Path>, numbers: &[f64]) -> Result<(), DataError> {
    let path = path.as_ref();
    write_atomically(path, |out| numbers.iter().try_for_each(|value| writeln!(out, "{value}")))
        .map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_a_round_trip_and_errors_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.txt");
        let numbers = [0.1, -1e-300, 3.0, f64::MAX];
        write_numbers(&path, &numbers).unwrap();
        assert_eq!(read_numbers(&path).unwrap(), numbers);

        std::fs::write(&path, "# scores\n1\n\nNaN\n").unwrap();
        assert!(read_numbers(&path).unwrap_err().to_string().contains("scores.txt:4: a finite number"));
        std::fs::write(&path, "1\ntwo\n").unwrap();
        assert!(read_numbers(&path).unwrap_err().to_string().contains("scores.txt:2: a number expected"));
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(read_numbers(&path).unwrap_err().to_string().contains("is empty"));
    }
}

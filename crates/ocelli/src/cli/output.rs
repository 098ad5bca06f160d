//! What commands print: results to standard output, in colour only on a terminal; notes to standard error.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// Good news.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What may be passed over.
pub(super) const DIM: Style = Style::new().dimmed();
/// Headings.
pub(super) const BOLD: Style = Style::new().bold();

/// Prints a line of the result.
///
/// # Errors
/// When standard output is closed.
pub(super) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Prints a line for the user beside the result.
pub(super) fn note(text: impl std::fmt::Display) {
    // Nobody to tell when standard error is closed.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Prints one JSON document.
///
/// # Errors
/// When standard output is closed.
pub(super) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// A table with aligned columns; numbers look best right-aligned, so those columns are named.
pub(super) fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let width = |c: usize| {
        let cells = rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count());
        cells.chain([header[c].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let row = |cells: &[String]| {
        let padded = cells.iter().enumerate().map(|(c, cell)| {
            let pad = " ".repeat(widths[c] - cell.chars().count());
            if right.contains(&c) { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let header: Vec<String> = header.iter().map(|&h| h.to_owned()).collect();
    let mut text = format!("{BOLD}{}{BOLD:#}", row(&header));
    for cells in rows {
        text.push('\n');
        text.push_str(&row(cells));
    }
    text
}

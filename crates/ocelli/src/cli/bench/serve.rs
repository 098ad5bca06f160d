//! Taking turns with other programs.

use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, anyhow};

use super::Make;
use super::case::{Case, Ready};
use crate::cli::output;
use crate::cli::process::timed;

/// Answers each line `TIMES CASE` of standard input with the seconds of clock and of processor that as many runs of the
/// case took together. The case of the line before is kept ready; another takes its place, so only one is ever in memory.
///
/// # Errors
/// When a line is not of that form, or there is no such case.
pub(super) fn serve(ready: Make<'_>) -> anyhow::Result<()> {
    // Layers refuse numbers that do not fit together by a panic; it is told as an error, and no trace needs to be printed.
    std::panic::set_hook(Box::new(|_| ()));
    let mut at_hand: Option<(Case, Ready)> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("standard input")?;
        let (times, name) = line.split_once(' ').with_context(|| format!("`{line}` is not TIMES CASE"))?;
        let times: usize = times.parse().with_context(|| format!("`{line}`: {times} is no number"))?;
        let case = Case::parse(name)?;
        let (case, work) = match at_hand.take().filter(|(own, _)| *own == case) {
            Some(same) => at_hand.insert(same),
            None => {
                let work = whole(&case, || ready(&case))??;
                at_hand.insert((case, work))
            }
        };
        let (_, took) = whole(case, || timed(|| (0..times).for_each(|_| (work.run)())))?;
        output::line(format_args!("{:.9} {:.9}", took.seconds, took.processor.unwrap_or(f64::NAN)))?;
    }
    Ok(())
}

/// Does the work, or says which case it was that a layer refused.
fn whole<T>(case: &Case, work: impl FnOnce() -> T) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|reason| {
        let reason =
            reason.downcast_ref::<String>().map(String::as_str).or(reason.downcast_ref::<&str>().copied());
        let first = reason.and_then(|text| text.lines().next()).unwrap_or("its numbers do not fit together");
        anyhow!("`{case}`: {first}")
    })
}

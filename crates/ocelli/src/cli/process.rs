//! What this process has used: time by the clock and of the processor, memory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// How long a piece of work took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) seconds: f64,
    /// Of all threads, where the system tells.
    pub(super) processor: Option<f64>,
}

/// Does the work and takes the time.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Took) {
    let before = processor();
    let started = Instant::now();
    let result = work();
    let seconds = started.elapsed().as_secs_f64();
    let processor = processor().zip(before).map(|(after, before)| spent(&before, &after));
    (result, Took { seconds, processor })
}

/// Nanoseconds that each thread of this process has computed for.
fn processor() -> Option<HashMap<OsString, u64>> {
    // The system brings a thread's account up to date when it leaves the processor, else every few milliseconds only.
    std::thread::sleep(Duration::from_nanos(1));
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((task.file_name(), text.split_whitespace().next()?.parse().ok()?))
    };
    let times: HashMap<OsString, u64> = tasks.filter_map(|task| of(task.ok()?)).collect();
    (!times.is_empty()).then_some(times)
}

/// Seconds between two looks. A thread that ended meanwhile belonged to an earlier work and does not count.
fn spent(before: &HashMap<OsString, u64>, after: &HashMap<OsString, u64>) -> f64 {
    let of =
        |(thread, time): (&OsString, &u64)| time.saturating_sub(before.get(thread).copied().unwrap_or(0));
    after.iter().map(of).sum::<u64>() as f64 * 1e-9
}

/// The most memory that this process has had, in bytes, where the system tells.
pub(super) fn peak_memory() -> Option<u64> {
    status("VmHWM:")
}

/// The memory that this process has, in bytes, where the system tells.
pub(super) fn resident_memory() -> Option<u64> {
    status("VmRSS:")
}

fn status(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_ended_do_not_count() {
        let times =
            |pairs: &[(&str, u64)]| pairs.iter().map(|(name, time)| (OsString::from(name), *time)).collect();
        let (before, after) = (times(&[("1", 500), ("2", 9000)]), times(&[("1", 1500), ("3", 250)]));
        assert!((spent(&before, &after) - 1.25e-6).abs() < 1e-12);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn time_without_work_is_not_the_processors() {
        let (_, took) = timed(|| std::thread::sleep(Duration::from_millis(30)));
        assert!(took.seconds >= 0.03);
        // Other tests of this process run at the same time, so only what is always true is asked for.
        assert!(took.processor.is_some_and(|seconds| seconds >= 0.0));
        assert!(peak_memory() >= resident_memory().map(|bytes| bytes / 2));
    }
}

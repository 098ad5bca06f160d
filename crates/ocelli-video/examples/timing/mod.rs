//! What programs have in common that take turns with a peer.

use std::io::BufRead;
use std::time::Instant;

/// Runs `work` once for every line of standard input and answers with its seconds of clock and of processor; at the end of
/// the input prints the peak of resident memory in MiB.
pub(crate) fn serve(mut work: impl FnMut()) -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        line?;
        let (start, spent) = (Instant::now(), processor_seconds());
        work();
        println!("{:.6} {:.2}", start.elapsed().as_secs_f64(), processor_seconds() - spent);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|text| text.split_whitespace().next()).and_then(|n| n.parse::<f64>().ok());
    println!("{:.1}", kibibytes.unwrap_or(f64::NAN) / 1024.0);
    Ok(())
}

/// Seconds that all threads of this program have computed so far, in hundredths; 0 where the system does not tell.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, which may hold blanks, ends with the last parenthesis.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

//! Moments in videos, and retrieval.

mod detection;
mod grounding;
mod proposals;
mod retrieval;
mod videos;

use crate::Protocol;

/// The protocols of this kind.
pub(crate) const PROTOCOLS: &[&Protocol] =
    &[&proposals::PROTOCOL, &detection::PROTOCOL, &grounding::PROTOCOL, &retrieval::PROTOCOL];

/// A threshold as metrics name it: 0.5, 0.55, and 0.9 for 0.8999999999999999.
fn threshold_name(threshold: f64) -> String {
    let text = format!("{threshold:.4}");
    let text = text.trim_end_matches('0');
    text.strip_suffix('.').map_or_else(|| text.to_owned(), |whole| format!("{whole}.0"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn thresholds_have_short_names() {
        let names = [0.5, 0.55, 0.8999999999999999, 1.0, 0.0].map(super::threshold_name);
        assert_eq!(names, ["0.5", "0.55", "0.9", "1.0", "0.0"]);
    }
}

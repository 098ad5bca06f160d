//! Average precision of one ranked list, from the ranks of its hits.
//!
//! The same list gives different areas under precision and recall:
//!
//! | rule | each hit adds | used for |
//! |---|---|---|
//! | [`Plain`](ApRule::Plain) | the precision at its rank | clothes-changing re-identification and most retrieval work |
//! | [`Trapezoid`](ApRule::Trapezoid) | the mean of the precisions before and at its rank | Market-1501 |
//! | [`Envelope`](ApRule::Envelope) | the best precision at its rank or any later one | VOC since 2010, ActivityNet |
//!
//! both divided by the number of positives.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | AP-1 | the trapezoid before a hit at rank 1 starts at precision 1 | strict | `trapezoid_starts_at_one` |
//! | AP-2 | positives that the list never reaches count in the divisor | strict | `unreached_positives_count` |
//! | AP-3 | the envelope adds each step of recall as a difference of two quotients | strict | `the_envelope_never_rises` |

use crate::named::named_variants;
use crate::{MetricError, Result, check};

/// Which area under precision and recall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApRule {
    /// Precision at each hit.
    #[default]
    Plain,
    /// Mean of the precision before and at each hit.
    Trapezoid,
    /// Precision made non-increasing from the right.
    Envelope,
}

named_variants!(ApRule, "average precision rule", {
    Plain => "plain",
    Trapezoid => "trapezoid",
    Envelope => "envelope",
});

/// Average precision of a list whose hits have the ranks `hit_ranks` (from 1, rising) among `positives` positives.
///
/// Fails when ranks do not rise from 1 or there are more hits than positives.
pub fn average_precision(hit_ranks: &[usize], positives: usize, rule: ApRule) -> Result<f64> {
    if hit_ranks.len() > positives || positives == 0 {
        return Err(MetricError::Setting {
            name: "positives",
            value: positives.to_string(),
            wanted: format!("at least one, and no fewer than the {} hits", hit_ranks.len()),
        });
    }
    if hit_ranks.first() == Some(&0) || hit_ranks.windows(2).any(|w| w[0] >= w[1]) {
        return Err(check::setting("hit_ranks", "a list out of order", "rising ranks that count from 1"));
    }
    let hits = || hit_ranks.iter().zip(1usize..).map(|(&rank, hit)| (hit, rank));
    let area: f64 = match rule {
        ApRule::Plain => hits().map(|(hit, rank)| hit as f64 / rank as f64).sum(),
        ApRule::Trapezoid => hits().map(|(hit, rank)| trapezoid(hit, rank)).sum(),
        ApRule::Envelope => return Ok(envelope(hit_ranks, positives)),
    };
    Ok(area / positives as f64)
}

/// What hit number `hit` at rank `rank` adds to the area of trapezoids, both counted from 1.
fn trapezoid(hit: usize, rank: usize) -> f64 {
    let before = if rank == 1 { 1.0 } else { (hit - 1) as f64 / (rank - 1) as f64 };
    (before + hit as f64 / rank as f64) / 2.0
}

/// The sum of steps of recall times the best precision from there on. Between two hits precision only falls, so the
/// precisions at the hits are all that can be the best.
fn envelope(hit_ranks: &[usize], positives: usize) -> f64 {
    let mut best: Vec<f64> = hit_ranks.iter().zip(1usize..).map(|(&r, hit)| hit as f64 / r as f64).collect();
    for i in (1..best.len()).rev() {
        best[i - 1] = best[i - 1].max(best[i]);
    }
    let recall = |hit: usize| hit as f64 / positives as f64;
    best.iter().enumerate().map(|(i, precision)| (recall(i + 1) - recall(i)) * precision).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_differ_on_one_list() {
        // hit, miss, hit, miss, and one positive that was never found
        let ap = |rule| average_precision(&[1, 3], 3, rule).unwrap();
        assert_eq!(ap(ApRule::Plain), (1.0 + 2.0 / 3.0) / 3.0);
        assert_eq!(ap(ApRule::Trapezoid), (1.0 + (0.5 + 2.0 / 3.0) / 2.0) / 3.0);
    }

    #[test]
    fn unreached_positives_count() {
        for &rule in ApRule::ALL {
            assert_eq!(average_precision(&[1, 2], 4, rule).unwrap(), 0.5);
        }
    }

    #[test]
    fn the_envelope_never_rises() {
        let ap = |ranks: &[usize], positives| average_precision(ranks, positives, ApRule::Envelope).unwrap();
        // Precisions 1/2, 2/3 and 3/8: the first hit counts as much as the second.
        assert_eq!(ap(&[2, 3, 8], 4), 0.25 * (2.0 / 3.0) + 0.25 * (2.0 / 3.0) + 0.25 * (3.0 / 8.0));
        // A step of recall from 2/3 to 1 is 1 - 2/3 and not 1/3.
        assert_eq!(ap(&[1, 2, 4], 3), 1.0 / 3.0 + (2.0 / 3.0 - 1.0 / 3.0) + (1.0 - 2.0 / 3.0) * 0.75);
        assert_eq!(ap(&[], 3), 0.0);
    }

    #[test]
    fn trapezoid_starts_at_one() {
        assert_eq!(average_precision(&[1], 1, ApRule::Trapezoid).unwrap(), 1.0);
        assert_eq!(average_precision(&[2], 1, ApRule::Trapezoid).unwrap(), 0.25);
        assert_eq!(average_precision(&[1, 2, 3], 3, ApRule::Trapezoid).unwrap(), 1.0);
    }

    #[test]
    fn refuses_what_is_no_ranking() {
        for (ranks, positives) in [(&[0usize, 1][..], 2), (&[2, 2], 2), (&[3, 1], 2), (&[1, 2], 1), (&[], 0)]
        {
            assert!(average_precision(ranks, positives, ApRule::Plain).is_err(), "{ranks:?} of {positives}");
        }
        assert_eq!(average_precision(&[], 4, ApRule::Plain).unwrap(), 0.0);
    }

    #[test]
    fn names_round_trip() {
        for &rule in ApRule::ALL {
            assert_eq!(rule.to_string().parse::<ApRule>().unwrap(), rule);
        }
        let error = "trapeze".parse::<ApRule>().unwrap_err().to_string();
        assert_eq!(error, "unknown average precision rule `trapeze`; known: plain, trapezoid, envelope");
    }
}

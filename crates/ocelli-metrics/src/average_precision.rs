//! Average precision of one ranked list, from the ranks of its hits.
//!
//! The same list gives different areas under precision and recall:
//!
//! | rule | each hit adds | used for |
//! |---|---|---|
//! | [`Plain`](ApRule::Plain) | the precision at its rank | clothes-changing re-identification and most retrieval work |
//! | [`Trapezoid`](ApRule::Trapezoid) | the mean of the precisions before and at its rank | Market-1501 |
//!
//! both divided by the number of positives.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | AP-1 | the trapezoid before a hit at rank 1 starts at precision 1 | strict | `trapezoid_starts_at_one` |
//! | AP-2 | positives that the list never reaches count in the divisor | strict | `unreached_positives_count` |

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
}

named_variants!(ApRule, "average precision rule", { Plain => "plain", Trapezoid => "trapezoid" });

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
    let area: f64 = hit_ranks.iter().zip(1usize..).map(|(&rank, hit)| area_at_hit(hit, rank, rule)).sum();
    Ok(area / positives as f64)
}

/// What hit number `hit` at rank `rank` adds to the area, both counted from 1.
fn area_at_hit(hit: usize, rank: usize, rule: ApRule) -> f64 {
    let precision = hit as f64 / rank as f64;
    match rule {
        ApRule::Plain => precision,
        ApRule::Trapezoid => {
            let before = if rank == 1 { 1.0 } else { (hit - 1) as f64 / (rank - 1) as f64 };
            (before + precision) / 2.0
        }
    }
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
        assert_eq!(error, "unknown average precision rule `trapeze`; known: plain, trapezoid");
    }
}

use super::*;
use crate::MetricError;
use proptest::prelude::*;

fn scores(genuine: &[f64], impostor: &[f64]) -> PairScores {
    PairScores::from_classes(genuine.to_vec(), impostor.to_vec()).unwrap()
}

fn at(scores: &PairScores, far: f64, rule: FarRule) -> OperatingPoint {
    scores.tar_at_far(&[far], rule).unwrap()[0]
}

#[test]
fn half_ranks_round_to_even() {
    // Five impostors: 0.5 of them are 2.5, hence 2; 0.3 are 1.5, hence 2 as well.
    let s = scores(&[4.5, 3.5, 2.5], &[5.0, 4.0, 3.0, 2.0, 1.0]);
    assert_eq!(at(&s, 0.5, FarRule::RankRound).threshold, Some(4.0));
    assert_eq!(at(&s, 0.3, FarRule::RankRound).threshold, Some(4.0));
    assert_eq!(at(&s, 0.7, FarRule::RankRound).threshold, Some(2.0));
    assert_eq!(at(&s, 0.7, FarRule::RankFloor).threshold, Some(3.0));
}

#[test]
fn rank_zero_lies_just_above_the_best_impostor() {
    let s = scores(&[1.0 + 2e-8, 1.0 + 5e-9, 1.0], &[1.0, 0.0]);
    for rule in [FarRule::RankRound, FarRule::RankFloor] {
        let point = at(&s, 0.0, rule);
        assert_eq!(point.threshold, Some(1.0 + 1e-8));
        assert_eq!((point.tar, point.far), (1.0 / 3.0, 0.0));
    }
}

#[test]
fn products_are_floored_in_double_precision() {
    let impostor: Vec<f64> = (0..100).map(|i| f64::from(100 - i)).collect();
    let s = scores(&[0.0], &impostor);
    assert_eq!(at(&s, 0.29, FarRule::RankFloor).threshold, Some(impostor[27]));
    assert_eq!(at(&s, 0.29, FarRule::NextStrict).threshold, Some(impostor[28]));
    assert_eq!(at(&s, 0.29, FarRule::RankRound).threshold, Some(impostor[28]));
}

#[test]
fn ties_at_the_threshold() {
    let s = scores(&[3.0, 2.0, 1.0], &[2.0, 2.0, 2.0, 0.0]);
    let inclusive = at(&s, 0.25, FarRule::RankFloor);
    assert_eq!((inclusive.tar, inclusive.far), (2.0 / 3.0, 0.75));
    let strict = at(&s, 0.25, FarRule::NextStrict);
    assert_eq!((strict.tar, strict.far, strict.threshold), (1.0 / 3.0, 0.0, Some(2.0)));
    let at_least_one = at(&s, 0.0, FarRule::AtLeastOne);
    assert_eq!((at_least_one.tar, at_least_one.far, at_least_one.threshold), (1.0 / 3.0, 0.0, Some(2.0)));
    let everybody = at(&s, 1.0, FarRule::NextStrict);
    assert_eq!((everybody.tar, everybody.far), (1.0, 1.0));
    assert_eq!(everybody.threshold, Some(f64::NEG_INFINITY));
}

#[test]
fn nearest_takes_only_corners() {
    // Three impostors in a row make a straight piece from (0, 1/2) to (3/4, 1/2): its inner points are dropped.
    let s = scores(&[9.0, 1.0], &[8.0, 7.0, 6.0, 0.5]);
    let all = s.roc_curve(false);
    assert_eq!(all.far, [0.0, 0.0, 0.25, 0.5, 0.75, 0.75, 1.0]);
    let corners = s.roc_curve(true);
    assert_eq!(corners.far, [0.0, 0.0, 0.75, 0.75, 1.0]);
    assert_eq!(corners.tar, [0.0, 0.5, 0.5, 1.0, 1.0]);
    assert_eq!(corners.threshold, [f64::INFINITY, 9.0, 6.0, 1.0, 0.5]);
    let point = at(&s, 0.25, FarRule::Nearest);
    assert_eq!((point.far, point.tar), (0.0, 0.5));
}

#[test]
fn nearest_prefers_the_larger_rate() {
    // 0.375 lies half way between the corners at 0 and 0.75; at 0.75 there are two, with TAR 0.5 and 1.
    let s = scores(&[9.0, 1.0], &[8.0, 7.0, 6.0, 0.5]);
    let point = at(&s, 0.375, FarRule::Nearest);
    assert_eq!((point.far, point.tar, point.threshold), (0.75, 1.0, Some(1.0)));
}

#[test]
fn histogram_gives_up_far_from_the_target() {
    // The one impostor bin near the top jumps from 0 to 1/2; 1/16 and less is 8 times below that.
    let impostor = [0.0, 9.0];
    let genuine: Vec<f64> = (0..=10).map(f64::from).collect();
    let s = scores(&genuine, &impostor);
    assert_eq!(at(&s, 0.0625, FarRule::Histogram).tar, 0.0);
    let read = at(&s, 0.0626, FarRule::Histogram);
    assert!(read.tar > 0.09 && read.tar < 0.19, "{read:?}");
    assert_eq!((read.far, read.threshold), (0.0626, None));
}

#[test]
fn histogram_between_equal_rates() {
    // Every impostor shares the largest score, so all bins accept all of them and no line leads to 1/2.
    // The last bin but one, which also holds 1.998, is where the search ends.
    let s = scores(&[2.0, 1.998, 0.0, 0.0], &[2.0, 2.0]);
    assert_eq!(at(&s, 0.5, FarRule::Histogram).tar, 0.5);
    // Above the rate of the first bin the line is prolonged; a rate that a bin has is read there.
    let s = scores(&[3.0, 1.0, 0.0], &[2.0, 0.0]);
    assert_eq!(at(&s, 0.5, FarRule::Histogram).tar, 1.0 / 3.0);
}

#[test]
fn histogram_needs_bins_and_a_positive_rate() {
    let s = scores(&[1.0], &[0.0]);
    assert!(s.tar_at_far(&[0.0], FarRule::Histogram).is_err());
    assert!(s.tar_at_far_by_histogram(&[0.1], 1).is_err());
    assert!(s.tar_at_far_by_histogram(&[0.1], 2).is_ok());
}

#[test]
fn equal_error_rate_scans_both_ways() {
    // FRR - FAR is 1, 1/2, -1/2, -1 at the thresholds inf, 4, 2, 1: two minimisers, 4 and 2.
    let s = scores(&[4.0, 2.0], &[2.0, 1.0]);
    assert_eq!(s.equal_error(Scan::Falling), EqualError { rate: 0.25, threshold: 4.0 });
    assert_eq!(s.equal_error(Scan::Rising), EqualError { rate: 0.25, threshold: 2.0 });
    // All alike: accepting everybody or nobody.
    let s = scores(&[1.0], &[1.0]);
    assert_eq!(s.equal_error(Scan::Falling), EqualError { rate: 0.5, threshold: f64::INFINITY });
    assert_eq!(s.equal_error(Scan::Rising), EqualError { rate: 0.5, threshold: 1.0 });
    let s = scores(&[0.0], &[1.0]);
    assert_eq!(s.equal_error(Scan::Rising).threshold, 1.0);
    assert_eq!(s.equal_error(Scan::Rising).rate, 1.0);
}

#[test]
fn rounding_decides_between_equal_errors() {
    // At 9 and at 8 the rates differ by 1/30 on paper, in double precision by slightly less at 8.
    let genuine = [vec![9.0; 12], vec![8.0], vec![0.0; 2]].concat();
    let impostor = [vec![9.0; 5], vec![0.0; 25]].concat();
    let (first, second): (f64, f64) = (3.0 / 15.0 - 5.0 / 30.0, 2.0 / 15.0 - 5.0 / 30.0);
    assert!(second.abs() < first.abs() && first - second.abs() < 1e-15, "{first} {second}");
    assert_eq!(scores(&genuine, &impostor).equal_error(Scan::Falling).threshold, 8.0);
}

#[test]
fn refuses_bad_input() {
    let class = |genuine: &[f64], impostor: &[f64]| PairScores::from_classes(genuine.into(), impostor.into());
    assert_eq!(
        class(&[], &[1.0]).unwrap_err().to_string(),
        "no pairs of the same person among the scores; the protocol needs some"
    );
    assert!(matches!(class(&[1.0], &[]), Err(MetricError::MissingClass { .. })));
    assert!(matches!(class(&[1.0], &[0.0, f64::NAN]), Err(MetricError::NotFinite { index: 1, .. })));
    assert!(matches!(PairScores::new(&[1.0], &[true, false]), Err(MetricError::Length { .. })));
    for far in [-0.1, 1.1, f64::NAN] {
        let error = scores(&[1.0], &[0.0]).tar_at_far(&[far], FarRule::RankRound);
        assert!(matches!(error, Err(MetricError::Setting { .. })), "{far}");
    }
    assert!("rank_round".parse::<FarRule>().is_err());
    assert_eq!("next-strict".parse::<FarRule>().unwrap(), FarRule::NextStrict);
}

#[test]
fn zeros_of_both_signs_are_one_score() {
    let s = scores(&[0.0, -0.0], &[-0.0, 0.0]);
    assert_eq!(s.auc(), 0.5);
    assert_eq!(s.roc_curve(false).far, [0.0, 1.0]);
    assert_eq!(at(&s, 1.0, FarRule::RankFloor).tar, 1.0);
}

/// Few distinct values, so that ties abound.
fn tied() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-3i32..4).prop_map(f64::from), 1..12)
}

proptest! {
    #[test]
    fn auc_is_the_share_of_won_pairs(genuine in tied(), impostor in tied()) {
        let mut wins = 0.0;
        for g in &genuine {
            for i in &impostor {
                wins += if g > i { 1.0 } else if g == i { 0.5 } else { 0.0 };
            }
        }
        let auc = scores(&genuine, &impostor).auc();
        prop_assert_eq!(auc, wins / (genuine.len() * impostor.len()) as f64);
    }

    #[test]
    fn roc_points_are_counts_at_their_thresholds(genuine in tied(), impostor in tied()) {
        let s = scores(&genuine, &impostor);
        let share = |v: &[f64], t: f64| v.iter().filter(|x| **x >= t).count() as f64 / v.len() as f64;
        for drop_collinear in [false, true] {
            let curve = s.roc_curve(drop_collinear);
            for (i, &t) in curve.threshold.iter().enumerate() {
                prop_assert_eq!((curve.far[i], curve.tar[i]), (share(&impostor, t), share(&genuine, t)));
            }
            prop_assert_eq!((curve.far.last(), curve.tar.last()), (Some(&1.0), Some(&1.0)));
        }
    }

    #[test]
    fn dropping_corners_keeps_the_area(genuine in tied(), impostor in tied()) {
        let s = scores(&genuine, &impostor);
        let area = |c: RocCurve| -> f64 {
            (1..c.far.len()).map(|i| (c.far[i] - c.far[i - 1]) * (c.tar[i] + c.tar[i - 1]) / 2.0).sum()
        };
        prop_assert!((area(s.roc_curve(true)) - s.auc()).abs() < 1e-12);
        prop_assert!((area(s.roc_curve(false)) - s.auc()).abs() < 1e-12);
    }

    #[test]
    fn rules_agree_on_distinct_scores(shuffle in Just((0..40).collect::<Vec<_>>()).prop_shuffle(), far in 0.0..1.0) {
        let split: Vec<f64> = shuffle.into_iter().map(f64::from).collect();
        let s = scores(&split[..15], &split[15..]);
        let [floor, strict] = [FarRule::RankFloor, FarRule::NextStrict].map(|rule| at(&s, far, rule));
        prop_assert_eq!(floor.far, strict.far);
        prop_assert!(strict.tar >= floor.tar, "no impostor, but perhaps a genuine pair lies between the thresholds");
        prop_assert!(at(&s, far, FarRule::AtLeastOne).tar <= floor.tar);
    }

    #[test]
    fn the_equal_error_is_least(genuine in tied(), impostor in tied()) {
        let s = scores(&genuine, &impostor);
        let (n, m) = (genuine.len() as f64, impostor.len() as f64);
        let gap = |t: f64| {
            let frr = genuine.iter().filter(|x| **x < t).count() as f64 / n;
            let far = impostor.iter().filter(|x| **x >= t).count() as f64 / m;
            (frr - far).abs()
        };
        for &scan in Scan::ALL {
            let found = gap(s.equal_error(scan).threshold);
            let all = genuine.iter().chain(&impostor).copied().chain([f64::INFINITY]);
            prop_assert!(all.map(gap).all(|g| found <= g + 1e-12));
        }
    }
}

use super::*;
use crate::MetricError;
use proptest::prelude::*;

fn folds(count: usize) -> KFoldOptions {
    KFoldOptions { folds: count, ..KFoldOptions::default() }
}

fn run(variant: LfwVariant, values: &[f64], same: &[bool], count: usize) -> KFold {
    k_fold(variant, values, same, &folds(count)).unwrap()
}

#[test]
fn first_folds_are_longer() {
    assert_eq!(fold_ranges(11, 4), [0..3, 3..6, 6..9, 9..11]);
    assert_eq!(fold_ranges(8, 2), [0..4, 4..8]);
    assert_eq!(fold_ranges(3, 5), [0..1, 1..2, 2..3, 3..3, 3..3]);
}

#[test]
fn range_is_that_of_the_other_folds() {
    // The first fold holds the extremes; its thresholds still span the second fold's 0 to 1.
    let values = [100.0, -100.0, 1.0, 0.0];
    let same = [true, false, true, false];
    for variant in [LfwVariant::NpcFace, LfwVariant::SearchSoftmax, LfwVariant::IrSoftmax] {
        let report = run(variant, &values, &same, 2);
        assert!((0.0..=1.0).contains(&report.fold_threshold[0]), "{variant}: {report:?}");
        assert_eq!(report.fold_accuracy[0], 1.0);
    }
    assert_eq!(run(LfwVariant::NpcFace, &values, &same, 2).fold_threshold[0], 0.001);
    assert_eq!(run(LfwVariant::IrSoftmax, &values, &same, 2).fold_threshold, [1.0, 100.0]);
}

#[test]
fn equal_scores_are_wrong_for_npcface() {
    // The other fold's scores are all 1, so every candidate is 1; both pairs of the first fold lie on it.
    let report = run(LfwVariant::NpcFace, &[1.0, 1.0, 1.0, 1.0], &[true, false, true, false], 2);
    assert_eq!(report.fold_threshold, [1.0, 1.0]);
    assert_eq!(report.fold_accuracy, [0.0, 0.0]);
    // The other two accept the pair of the same person.
    for variant in [LfwVariant::IrSoftmax, LfwVariant::SearchSoftmax] {
        let report = run(variant, &[1.0, 1.0, 1.0, 1.0], &[true, false, true, false], 2);
        assert_eq!(report.fold_accuracy, [0.5, 0.5], "{variant}");
    }
}

#[test]
fn shifted_bins_unshifted_decision() {
    // The second fold spans 0 to 1: thresholds 0.5 and 1, bins from 0.25 and 0.75 (+ 2e-6). From 0.25 on lie both
    // genuine pairs and one impostor, from 0.75 on one genuine pair: equal quality, so the first threshold is taken.
    // Counted from the thresholds themselves, 1 would be better.
    let values = [0.4, 0.1, 0.4, 0.1, 0.4, 1.0, 0.0, 0.6];
    let same = [true, false, true, false, true, true, false, false];
    let options = KFoldOptions { num_thresholds: 2, ..folds(2) };
    let report = k_fold(LfwVariant::SearchSoftmax, &values, &same, &options).unwrap();
    assert_eq!(report.fold_threshold[0], 0.5);
    // A score on the very edge is inside.
    let edge = EvenlySpaced::over([0.0, 1.0].into_iter(), 2).bin_edges()[0];
    let on_edge = [0.4, 0.1, 0.4, 0.1, edge, 1.0, 0.0, 0.6];
    let again = k_fold(LfwVariant::SearchSoftmax, &on_edge, &same, &options).unwrap();
    assert_eq!(again.fold_threshold[0], 0.5);
    // The genuine pairs at 0.4 lie in the chosen bin, but below the threshold.
    assert_eq!(report.fold_accuracy[0], 0.5);
}

#[test]
fn rates_without_pairs_are_zero() {
    // The second fold has no pair of different people: its rate is 0 and halves the mean.
    let distances = [0.5, 1.5, 0.6, 0.7];
    let same = [true, false, true, true];
    let report = k_fold_distances(&distances, &same, &folds(2)).unwrap();
    let last = report.thresholds.len() - 1;
    assert_eq!((report.mean_tpr[last], report.mean_fpr[last]), (1.0, 0.5));
    assert_eq!(report.mean_tpr[0], 0.0);
}

#[test]
fn equal_distance_is_no_false_reject() {
    let grid = ThresholdGrid { start: 1.0, stop: 2.0, step: 1.0 };
    let options = KFoldOptions { distance_grid: grid, ..folds(2) };
    let distances = [1.0, 1.5, 0.5, 3.0];
    let report = k_fold_distances(&distances, &[true, true, true, false], &options).unwrap();
    assert_eq!(report.accuracy.fold_threshold, [1.0, 1.0]);
    assert_eq!(report.accuracy.fold_accuracy, [0.0, 1.0]);
    assert_eq!(report.false_reject_pairs, [1]);
}

#[test]
fn one_class_in_the_other_folds() {
    let values = [0.9, 0.1, 0.8, 0.7];
    let same = [true, false, true, true];
    for variant in [LfwVariant::NpcFace, LfwVariant::SearchSoftmax] {
        let error = k_fold(variant, &values, &same, &folds(2)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no pairs of different people among the folds other than fold 1; the protocol needs some"
        );
    }
    assert!(k_fold(LfwVariant::IrSoftmax, &values, &same, &folds(2)).is_ok());
}

#[test]
fn the_spread_follows_the_variant() {
    // Accuracies 1 and 0.5 whichever threshold in between is chosen.
    let values = [0.9, 0.1, 0.8, 0.85];
    let same = [true, false, true, false];
    let ir = run(LfwVariant::IrSoftmax, &values, &same, 2);
    let search = run(LfwVariant::SearchSoftmax, &values, &same, 2);
    for (report, ddof) in [(ir, 1.0), (search, 0.0)] {
        let [a, b] = report.fold_accuracy[..] else { panic!("two folds") };
        assert_ne!(a, b);
        let deviation = ((a - b).powi(2) / 2.0 / (2.0 - ddof)).sqrt();
        assert!((report.standard_error - deviation / 2f64.sqrt()).abs() < 1e-15);
    }
}

#[test]
fn the_grid_is_numpys() {
    let grid = KFoldOptions::default().distance_grid.thresholds().unwrap();
    assert_eq!(grid.len(), 400);
    assert_eq!((grid[0], grid[35], grid[399]), (0.0, 0.35000000000000003, 3.99));
    for (start, stop, step) in
        [(0.0, 4.0, 0.0), (0.0, 4.0, -1.0), (4.0, 0.0, 0.01), (0.0, 4.0, f64::NAN), (0.0, 1.0, 1e-9)]
    {
        assert!(ThresholdGrid { start, stop, step }.thresholds().is_err(), "{start} {stop} {step}");
    }
}

#[test]
fn refuses_bad_input() {
    let attempt = |values: &[f64], same: &[bool], count| {
        k_fold(LfwVariant::CurricularFace, values, same, &folds(count)).unwrap_err()
    };
    assert!(matches!(attempt(&[1.0, 2.0], &[true], 2), MetricError::Length { .. }));
    assert!(matches!(attempt(&[1.0, f64::NAN], &[true, false], 2), MetricError::NotFinite { index: 1, .. }));
    assert!(matches!(attempt(&[1.0, 2.0], &[true, false], 3), MetricError::Empty { wanted: 3, .. }));
    assert!(matches!(attempt(&[1.0, 2.0], &[true, false], 1), MetricError::Setting { .. }));
    assert!(matches!(attempt(&[1.0, 2.0], &[true, true], 2), MetricError::MissingClass { .. }));
    assert!(matches!(attempt(&[], &[], 2), MetricError::Empty { .. }));
    let none = KFoldOptions { num_thresholds: 0, ..folds(2) };
    assert!(k_fold(LfwVariant::NpcFace, &[0.0, 1.0, 0.0, 1.0], &[true, false, true, false], &none).is_err());
}

#[test]
fn variants_go_by_name() {
    for &variant in LfwVariant::ALL {
        assert_eq!(variant.to_string().parse::<LfwVariant>().unwrap(), variant);
    }
    assert_eq!(LfwVariant::default(), LfwVariant::ALL[0]);
    assert!("lfw".parse::<LfwVariant>().is_err());
}

#[test]
fn balanced_accuracy_needs_no_folds() {
    let scores = PairScores::from_classes(vec![3.0, 2.0], vec![2.0, 1.0, 0.0, 0.0]).unwrap();
    // At 2 both genuine pass and three of four impostors are refused; at 3 half and all.
    assert_eq!(balanced_accuracy(&scores), BalancedAccuracy { accuracy: 0.875, threshold: 2.0 });
}

/// The evaluators as one would write them from their description, with a loop over pairs for each candidate.
fn by_definition(variant: LfwVariant, values: &[f64], same: &[bool], options: &KFoldOptions) -> Vec<f64> {
    fold_ranges(values.len(), options.folds)
        .into_iter()
        .map(|fold| {
            let others: Vec<usize> = (0..values.len()).filter(|i| !fold.contains(i)).collect();
            let accuracy =
                |t: f64| others.iter().filter(|&&i| variant.is_correct(values[i], same[i], t)).count() as f64;
            let mut distinct: Vec<f64> = others.iter().map(|&i| values[i]).collect();
            distinct.sort_by(f64::total_cmp);
            let even = EvenlySpaced::over(distinct.iter().copied(), options.num_thresholds);
            let share = |class: bool, accept: &dyn Fn(f64) -> bool| {
                let members: Vec<_> = others.iter().filter(|&&i| same[i] == class).collect();
                members.iter().filter(|&&&i| accept(values[i])).count() as f64 / members.len() as f64
            };
            let grid = options.distance_grid.thresholds().unwrap();
            let (candidates, quality): (Vec<f64>, Vec<f64>) = match variant {
                LfwVariant::CurricularFace => grid.into_iter().map(|t| (t, accuracy(t))).unzip(),
                LfwVariant::IrSoftmax => distinct.into_iter().map(|t| (t, accuracy(t))).unzip(),
                LfwVariant::NpcFace => (even.thresholds.iter())
                    .map(|&t| (t, share(true, &|s| s > t) - share(false, &|s| s > t)))
                    .unzip(),
                LfwVariant::SearchSoftmax => (even.thresholds.iter().zip(even.bin_edges()))
                    .map(|(&t, e)| (t, (share(true, &|s| s >= e) + 1.0 - share(false, &|s| s >= e)) / 2.0))
                    .unzip(),
            };
            candidates[first_maximum(quality.iter())]
        })
        .collect()
}

proptest! {
    #[test]
    fn fast_choices_are_those_of_the_definition(
        values in prop::collection::vec((0i32..40).prop_map(|v| f64::from(v) / 10.0), 12..40),
        flips in prop::collection::vec(any::<bool>(), 40),
        count in 2usize..5,
        num_thresholds in 1usize..30,
    ) {
        let mut same = flips[..values.len()].to_vec();
        // Both classes in at least two folds.
        let last = same.len() - 1;
        (same[0], same[1], same[last - 1], same[last]) = (true, false, true, false);
        let grid = ThresholdGrid { start: 0.0, stop: 4.0, step: 0.1 };
        let options = KFoldOptions { folds: count, distance_grid: grid, num_thresholds };
        for &variant in LfwVariant::ALL {
            let report = k_fold(variant, &values, &same, &options).unwrap();
            prop_assert_eq!(&report.fold_threshold, &by_definition(variant, &values, &same, &options));
        }
    }
}

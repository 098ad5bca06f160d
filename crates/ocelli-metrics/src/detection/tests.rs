//! The quirks of COCO and LVIS on examples small enough to be worked out by hand.

use proptest::prelude::*;

use super::coco::{CocoOptions, Fidelity, Shape};
use super::lvis::{Knowledge, LvisOptions, Tail};
use super::*;
use crate::MetricError;

type BoxOf = [f64; 4];
type TruthBox = (Truth, BoxOf);
type FoundBox = (Found, BoxOf);

/// A square of 10 pixels a side at x; its area counts as `area`.
fn at(x: f64) -> BoxOf {
    [x, 0.0, 10.0, 10.0]
}

fn object(bbox: BoxOf) -> TruthBox {
    let area = bbox[2] * bbox[3];
    (Truth { category: 0, area, ignore: false, crowd: false, unnoticed: false }, bbox)
}

fn found(score: f64, bbox: BoxOf) -> FoundBox {
    (Found { category: 0, score, area: bbox[2] * bbox[3] }, bbox)
}

fn record(matcher: &Matcher, image: i64, truth: &[TruthBox], dets: &[FoundBox]) -> ImageRecord {
    let (truth, truth_boxes): (Vec<Truth>, Vec<BoxOf>) = truth.iter().copied().unzip();
    let (dets, det_boxes): (Vec<Found>, Vec<BoxOf>) = dets.iter().copied().unzip();
    let geometry = Geometry::Boxes { truth: &truth_boxes, found: &det_boxes };
    let picture = Picture { image, truth: &truth, found: &dets, geometry };
    matcher.image(&picture, |_| Unmatched::Counts).unwrap()
}

/// The metrics of pictures with truth and detections under `options`.
fn score(options: &CocoOptions, images: &[(&[TruthBox], &[FoundBox])]) -> Vec<(String, f64)> {
    let matcher = options.matcher().unwrap();
    let records = (1..).zip(images).map(|(id, (truth, dets))| record(&matcher, id, truth, dets)).collect();
    let ranking = options.rank(records, 3).unwrap();
    let all: Vec<usize> = (0..images.len()).collect();
    options.metrics(&ranking.measure(&all))
}

fn value(metrics: &[(String, f64)], name: &str) -> f64 {
    metrics.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name} in {metrics:?}")).1
}

fn official() -> CocoOptions {
    CocoOptions::official(Shape::Boxes)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn truth_against_itself_is_perfect() {
    let truth = [object(at(0.0)), object(at(50.0)), object([0.0, 0.0, 200.0, 100.0])];
    let dets = truth.map(|(_, bbox)| found(1.0, bbox));
    let metrics = score(&official(), &[(&truth, &dets)]);
    for name in ["AP", "AP50", "AP75", "APs", "APl", "AR@10", "AR@100", "ARs@100", "ARl@100"] {
        assert!(close(value(&metrics, name), 1.0), "{name}: {metrics:?}");
    }
    assert_eq!((value(&metrics, "APm"), value(&metrics, "ARm@100")), (-1.0, -1.0));
    assert!(close(value(&metrics, "AR@1"), 1.0 / 3.0));
    assert_eq!(metrics.len(), 12);
}

#[test]
fn precision_is_the_best_further_down() {
    // Right, wrong, right of three objects: precision 1 up to recall 1/3 (34 points), 2/3 up to recall 2/3 (33 points).
    let truth = [object(at(0.0)), object(at(50.0)), object(at(90.0))];
    let dets = [found(0.9, at(0.0)), found(0.8, at(200.0)), found(0.7, at(50.0))];
    let metrics = score(&official(), &[(&truth, &dets)]);
    assert!(close(value(&metrics, "AP"), (34.0 + 33.0 * 2.0 / 3.0) / 101.0), "{metrics:?}");
    assert!(close(value(&metrics, "AR@100"), 2.0 / 3.0));
}

#[test]
fn ap_is_read_at_a_hundred_detections() {
    let truth = [object(at(0.0))];
    let dets = [found(0.9, at(0.0))];
    let options = CocoOptions { limits: vec![1, 10, 300], ..official() };
    let metrics = score(&options, &[(&truth, &dets)]);
    assert_eq!((value(&metrics, "AP"), value(&metrics, "AP50") > 0.99), (-1.0, true));
    let mended = CocoOptions { fidelity: Fidelity::Corrected, ..options };
    assert!(close(value(&score(&mended, &[(&truth, &dets)]), "AP"), 1.0));
    for limits in [vec![], vec![0], vec![10, 10], vec![10, 1]] {
        assert!(CocoOptions { limits, ..official() }.matcher().is_err());
    }
}

#[test]
fn an_object_of_number_zero_cannot_be_found() {
    assert!(official().overlooks(0) && !official().overlooks(1));
    assert!(!CocoOptions { fidelity: Fidelity::Corrected, ..official() }.overlooks(0));
    let mut truth = [object(at(0.0))];
    truth[0].0.unnoticed = true;
    // The first detection uses the object up without finding it, so both are false alarms.
    let dets = [found(0.9, at(0.0)), found(0.8, at(0.0))];
    let matcher = official().matcher().unwrap();
    let record = record(&matcher, 1, &truth, &dets);
    assert!(record.outcomes.iter().all(|o| o.hits[0] == 0 && o.misses[0] == 0x3ff));
    assert_eq!(value(&score(&official(), &[(&truth, &dets)]), "AP"), 0.0);
}

#[test]
fn ignore_is_forgotten_unless_corrected() {
    let mended = CocoOptions { fidelity: Fidelity::Corrected, ..official() };
    assert!(!official().ignores(false, true, None) && mended.ignores(false, true, None));
    assert!(official().ignores(true, false, None));
}

#[test]
fn the_later_of_equal_overlaps_is_taken() {
    // Both objects overlap the first detection alike; the second detection reaches only the earlier one.
    let truth = [object(at(0.0)), object(at(4.0))];
    let dets = [found(0.9, at(2.0)), found(0.8, at(0.0))];
    assert_eq!(box_iou(&dets[0].1, &truth[0].1, false), box_iou(&dets[0].1, &truth[1].1, false));
    let metrics = score(&official(), &[(&truth, &dets)]);
    assert!(close(value(&metrics, "AP50"), 1.0), "{metrics:?}");
}

#[test]
fn an_ignored_object_is_the_second_choice() {
    let mut truth = [object(at(0.0)), object(at(3.0))];
    truth[0].0.ignore = true;
    let record = record(&official().matcher().unwrap(), 1, &truth, &[found(0.9, at(0.0))]);
    // Up to 0.5 the object that counts is near enough; beyond, the ignored one makes the detection not count.
    assert_eq!((record.outcomes[0].hits[0], record.outcomes[0].misses[0]), (1, 0));
    assert_eq!(record.positives[0].counts[0], 1);
}

#[test]
fn a_crowd_swallows_detections() {
    let mut crowd = object([0.0, 0.0, 100.0, 10.0]);
    (crowd.0.crowd, crowd.0.ignore) = (true, true);
    let truth = [crowd, object(at(500.0))];
    let dets = [found(0.9, at(0.0)), found(0.8, at(20.0)), found(0.7, at(500.0)), found(0.6, at(300.0))];
    assert_eq!(box_iou(&dets[0].1, &crowd.1, true), 1.0);
    let record = record(&official().matcher().unwrap(), 1, &truth, &dets);
    let bits: Vec<_> = record.outcomes.iter().map(|o| (o.hits[0] != 0, o.misses[0] != 0)).collect();
    assert_eq!(bits, [(false, false), (false, false), (true, false), (false, true)]);
}

#[test]
fn areas_at_the_ends_of_ranges_are_in_both() {
    let truth = [object([0.0, 0.0, 32.0, 32.0]), object([100.0, 0.0, 96.0, 96.0])];
    let record = record(&official().matcher().unwrap(), 1, &truth, &[]);
    assert_eq!(record.positives[0].counts, [2, 1, 2, 1]);
    assert!(
        AreaRange::ALL.contains(1e10) && !AreaRange::ALL.contains(1.1e10) && !AreaRange::ALL.contains(-1.0)
    );
}

#[test]
fn thresholds_end_below_one() {
    let options = CocoOptions { thresholds: vec![0.5, 1.0], ..official() };
    let truth = [object([0.1, 0.1, 0.7, 0.7])];
    // Not quite 1 for rounding.
    let dets = [found(0.9, [0.1, 0.1, 0.7, 0.7 + 1e-12])];
    assert!(box_iou(&dets[0].1, &truth[0].1, false) < 1.0);
    assert!(close(value(&score(&options, &[(&truth, &dets)]), "AP"), 1.0));
    for thresholds in [vec![], vec![0.6, 0.5], vec![f64::NAN], vec![0.5; 17]] {
        assert!(Matcher::new(thresholds, official().areas(), 100).is_err());
    }
}

#[test]
fn categories_without_objects_are_left_out() {
    let mut other = found(0.9, at(0.0));
    other.0.category = 1;
    let mut unfound = object(at(0.0));
    unfound.0.category = 2;
    let truth = [object(at(0.0)), unfound];
    let metrics = score(&official(), &[(&truth, &[found(0.9, at(0.0)), other])]);
    assert!(close(value(&metrics, "AP"), 0.5), "{metrics:?}");
    let nothing = score(&official(), &[(&[], &[other])]);
    assert!(nothing.iter().all(|(_, v)| *v == -1.0));
}

#[test]
fn limits_hold_for_each_category() {
    let mut other = object(at(50.0));
    other.0.category = 1;
    let mut of_other = found(0.1, at(50.0));
    of_other.0.category = 1;
    let truth = [object(at(0.0)), object(at(90.0)), other];
    let dets = [found(0.9, at(0.0)), found(0.8, at(90.0)), of_other];
    let metrics = score(&official(), &[(&truth, &dets)]);
    assert!(close(value(&metrics, "AR@1"), 0.75) && close(value(&metrics, "AR@10"), 1.0), "{metrics:?}");
    let few = CocoOptions { limits: vec![1], ..official() };
    let records = record(&few.matcher().unwrap(), 1, &truth, &dets);
    assert_eq!(records.outcomes.len(), 2);
}

#[test]
fn equal_scores_keep_the_order_of_pictures() {
    let (truth, right, wrong) = ([object(at(0.0))], [found(0.5, at(0.0))], [found(0.5, at(80.0))]);
    let right_first = score(&official(), &[(&truth, &right), (&[], &wrong)]);
    let wrong_first = score(&official(), &[(&[], &wrong), (&truth, &right)]);
    assert!(close(value(&right_first, "AP"), 1.0) && close(value(&wrong_first, "AP"), 0.5));
    // Records may come in any order; the pictures' numbers decide. Zero is zero, whatever its sign.
    let matcher = official().matcher().unwrap();
    let (zero, minus) = ([found(0.0, at(0.0))], [found(-0.0, at(80.0))]);
    let records = [record(&matcher, 2, &[], &minus), record(&matcher, 1, &truth, &zero)];
    let ranking = official().rank(records.into_iter().collect(), 1).unwrap();
    assert!(close(value(&official().metrics(&ranking.measure(&[0, 1])), "AP"), 1.0));
}

#[test]
fn people_without_keypoints_are_ignored() {
    let options = CocoOptions::official(Shape::Keypoints);
    assert!(options.ignores(false, false, Some(0)) && !options.ignores(false, false, Some(1)));
    let sigmas = [0.05, 0.1];
    let truth = PointObject { points: &[[5.0, 5.0, 0.0], [6.0, 6.0, 0.0]], bbox: at(0.0), area: 100.0 };
    let oks = |p: [f64; 2]| object_keypoint_similarity(&[[p[0], p[1], 1.0]; 2], &truth, &sigmas).unwrap();
    assert_eq!((oks([-10.0, -10.0]), oks([20.0, 20.0])), (1.0, 1.0));
    assert!(oks([-15.0, 0.0]) < 1.0);
    assert!(object_keypoint_similarity(&[[0.0; 3]], &truth, &sigmas).is_err());
}

#[test]
fn keypoints_are_compared_where_visible() {
    let sigmas = [0.05, 0.1];
    let truth = PointObject { points: &[[5.0, 5.0, 2.0], [6.0, 6.0, 0.0]], bbox: at(0.0), area: 100.0 };
    let oks = object_keypoint_similarity(&[[8.0, 9.0, 1.0], [90.0, 90.0, 1.0]], &truth, &sigmas).unwrap();
    assert!(close(oks, (-25.0f64 / 0.01 / 100.0 / 2.0).exp()));
}

#[test]
fn recall_is_compared_as_rounded() {
    // Hit 57 of 100 reaches recall 0.57, which lies below 57 * 0.01 as the tool rounds it: the point reads hit 58.
    assert!(57.0 / 100.0 < recall_points()[57]);
    let truth: Vec<_> = (0..100).map(|i| object(at(f64::from(i) * 20.0))).collect();
    let mut dets: Vec<_> = truth[..57].iter().map(|&(_, bbox)| found(0.9, bbox)).collect();
    dets.extend([found(0.5, at(9000.0)), found(0.4, truth[57].1)]);
    let matcher = official().matcher().unwrap();
    let records = [record(&matcher, 1, &truth, &dets)].into_iter().collect();
    let curve = official().rank(records, 1).unwrap().curve(0, 0, 0).unwrap();
    assert!(close(curve[56].1, 1.0) && close(curve[57].1, 58.0 / 59.0) && curve[59].1 == 0.0, "{curve:?}");
}

#[test]
fn scores_that_are_no_numbers_are_refused() {
    let matcher = official().matcher().unwrap();
    let dets = [found(0.5, at(0.0)).0, found(f64::NAN, at(0.0)).0];
    let geometry = Geometry::Boxes { truth: &[], found: &[at(0.0), at(0.0)] };
    let picture = Picture { image: 1, truth: &[], found: &dets, geometry };
    let error = matcher.image(&picture, |_| Unmatched::Counts).unwrap_err();
    assert!(matches!(error, MetricError::NotFinite { index: 1, .. }));
    let picture = Picture { found: &dets[..1], ..picture };
    assert!(matches!(matcher.image(&picture, |_| Unmatched::Counts), Err(MetricError::Length { .. })));
}

fn lvis_kept(options: &LvisOptions, found: &[Found], truth: &[Truth], known: &Knowledge<'_>) -> Vec<usize> {
    options.detections_kept(found, truth, known)
}

#[test]
fn the_limit_comes_first() {
    let options = LvisOptions { max_dets: 2, ..LvisOptions::default() };
    // Of equal scores the earlier stay.
    assert_eq!(options.within_limit(&[0.1, 0.9, 0.9, 0.9]), [1, 2]);
    assert_eq!(options.within_limit(&[0.1, 0.9]), [0, 1]);
    assert!(LvisOptions { max_dets: 0, ..LvisOptions::default() }.matcher().is_err());
}

#[test]
fn only_known_categories_count() {
    let of = |category| Found { category, score: 0.5, area: 1.0 };
    let known = Knowledge { negative: &[2], not_exhaustive: &[3] };
    let kept =
        lvis_kept(&LvisOptions::default(), &[of(0), of(1), of(2), of(3)], &[object(at(0.0)).0], &known);
    assert_eq!(kept, [0, 2]);
}

#[test]
fn false_alarms_pass_where_annotation_is_not_exhaustive() {
    let known = Knowledge { negative: &[], not_exhaustive: &[0] };
    assert_eq!((known.unmatched(0), known.unmatched(1)), (Unmatched::Passes, Unmatched::Counts));
    let (truth, boxes) = object(at(0.0));
    let (dets, det_boxes): (Vec<_>, Vec<_>) = [found(0.9, at(0.0)), found(0.8, at(50.0))].into_iter().unzip();
    let geometry = Geometry::Boxes { truth: &[boxes], found: &det_boxes };
    let picture = Picture { image: 1, truth: &[truth], found: &dets, geometry };
    let matcher = LvisOptions::default().matcher().unwrap();
    let record = matcher.image(&picture, |category| known.unmatched(category)).unwrap();
    assert!(record.outcomes[0].hits[0] != 0 && record.outcomes[1].hits[0] == 0);
    assert_eq!(record.outcomes[1].misses, [0; 4]);
}

#[test]
fn empty_objects_are_dropped() {
    let options = LvisOptions::default();
    let empty = object([5.0, 5.0, 0.0, 3.0]).0;
    assert_eq!(options.objects_kept(&[empty, object(at(0.0)).0]), [1]);
    let dets = [Found { category: 0, score: 0.5, area: 0.0 }, Found { category: 0, score: 0.5, area: 1.0 }];
    assert_eq!(lvis_kept(&options, &dets, &[object(at(0.0)).0], &Knowledge::default()), [1]);
    assert!(lvis_kept(&options, &dets, &[], &Knowledge::default()).is_empty());
}

#[test]
fn ignore_is_honoured() {
    let mut truth = [object(at(0.0))];
    truth[0].0.ignore = true;
    let record = record(&LvisOptions::default().matcher().unwrap(), 1, &truth, &[found(0.9, at(0.0))]);
    assert_eq!((record.positives[0].counts[0], record.outcomes[0].misses[0]), (0, 0));
}

#[test]
fn an_object_of_number_zero_cannot_be_found_in_lvis() {
    assert!(LvisOptions::default().overlooks(0));
    assert!(!LvisOptions { fidelity: Fidelity::Corrected, ..LvisOptions::default() }.overlooks(0));
}

#[test]
fn frequencies_group_the_categories() {
    let mut other = object(at(50.0));
    other.0.category = 1;
    let options = LvisOptions::default();
    let records = [record(&options.matcher().unwrap(), 1, &[object(at(0.0)), other], &[found(0.9, at(0.0))])];
    let ranking = options.rank(records.into_iter().collect(), 2).unwrap();
    let tails = [Some(Tail::Frequent), Some(Tail::Rare)];
    let metrics = options.metrics(&ranking.measure(&[0]), &tails);
    let of = |name| value(&metrics, name);
    assert!(close(of("APf"), 1.0) && of("APr") == 0.0 && of("APc") == -1.0 && close(of("AR@300"), 0.5));
    assert_eq!(metrics.len(), 13);
}

#[test]
fn mistakes_name_what_was_missed_and_what_was_false() {
    let matcher = official().matcher().unwrap();
    let records = [
        record(
            &matcher,
            7,
            &[object(at(0.0)), object(at(50.0))],
            &[found(0.9, at(0.0)), found(0.2, at(90.0))],
        ),
        record(&matcher, 3, &[], &[found(0.9, at(0.0))]),
    ];
    let ranking = official().rank(records.into_iter().collect(), 1).unwrap();
    assert_eq!((ranking.images(), ranking.mistakes(0, 0)), (&[3, 7][..], vec![[0, 1], [1, 1]]));
}

/// Pictures of small boxes on a coarse grid, so that overlaps and scores are often equal.
fn pictures() -> impl Strategy<Value = Vec<(Vec<TruthBox>, Vec<FoundBox>)>> {
    let bbox = || (0u8..6, 0u8..4, 1u8..40, 1u8..40).prop_map(|(x, y, w, h)| [x, y, w, h].map(f64::from));
    let truth = (bbox(), 0u32..3, 0u8..6).prop_map(|(bbox, category, kind)| {
        let area = bbox[2] * bbox[3];
        (Truth { category, area, ignore: kind < 2, crowd: kind == 0, unnoticed: kind == 5 }, bbox)
    });
    let dets = (bbox(), 0u32..3, 0u8..5).prop_map(|(bbox, category, score)| {
        (Found { category, score: f64::from(score) / 4.0, area: bbox[2] * bbox[3] }, bbox)
    });
    let picture = (proptest::collection::vec(truth, 0..5), proptest::collection::vec(dets, 0..8));
    proptest::collection::vec(picture, 1..6)
}

proptest! {
    #[test]
    fn shards_merge_to_the_single_pass_in_any_order(pictures in pictures(), cut in 0usize..6, swap: bool) {
        let matcher = official().matcher().unwrap();
        let records: Vec<ImageRecord> =
            (0..).zip(&pictures).map(|(id, (truth, dets))| record(&matcher, id, truth, dets)).collect();
        let all: Vec<usize> = (0..pictures.len()).collect();
        let whole = official().rank(records.iter().cloned().collect(), 3).unwrap().measure(&all);
        let (left, right) = records.split_at(cut.min(records.len()));
        let parts = [left, right].map(|part| part.iter().cloned().collect::<Records>());
        let [a, b] = if swap { let [a, b] = parts; [b, a] } else { parts };
        let merged = Records::new().merge(a.clone()).merge(b.clone());
        prop_assert_eq!(&official().rank(merged, 3).unwrap().measure(&all), &whole);
        let otherwise = Records::new().merge(a.merge(b));
        prop_assert_eq!(&official().rank(otherwise, 3).unwrap().measure(&all), &whole);
        let twice: Records = records.iter().chain(&records[..1]).cloned().collect();
        let is_repeated = matches!(official().rank(twice, 3), Err(MetricError::Repeated { .. }));
        prop_assert!(is_repeated);
    }

    #[test]
    fn a_sample_is_measured_as_if_its_pictures_were_there(pictures in pictures(), draws in proptest::collection::vec(0usize..6, 1..8)) {
        let matcher = official().matcher().unwrap();
        let mut sample: Vec<usize> = draws.into_iter().map(|d| d % pictures.len()).collect();
        sample.sort_unstable();
        let of = |id: i64, place: usize| record(&matcher, id, &pictures[place].0, &pictures[place].1);
        let records = (0..pictures.len()).map(|i| of(i as i64, i)).collect();
        let sampled = official().rank(records, 3).unwrap().measure(&sample);
        let copies = sample.iter().enumerate().map(|(i, &place)| of(i as i64, place)).collect();
        let all: Vec<usize> = (0..sample.len()).collect();
        prop_assert_eq!(official().rank(copies, 3).unwrap().measure(&all), sampled);
    }
}

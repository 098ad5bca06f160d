use super::ranked::eleven_points;
use super::*;
use crate::segment::{ScoredSegment, Segment};
use proptest::prelude::*;

fn instance(class: u32, start: f64, end: f64) -> Instance {
    Instance { class: Some(class), segment: Segment::new(start, end) }
}

fn ambiguous(start: f64, end: f64) -> Instance {
    Instance { class: None, segment: Segment::new(start, end) }
}

fn detection(class: u32, start: f64, end: f64, score: f64) -> Detection {
    Detection { class, scored: ScoredSegment { segment: Segment::new(start, end), score } }
}

fn options(variant: TemporalVariant, thresholds: &[f64]) -> TemporalOptions {
    TemporalOptions { variant, thresholds: thresholds.to_vec(), classes: 3 }
}

type Video<'a> = (&'a [Instance], &'a [Detection]);

fn records(videos: &[Video<'_>], options: &TemporalOptions) -> DetectionRecords {
    let mut records = DetectionRecords::new(options.clone()).unwrap();
    videos.iter().for_each(|(t, d)| records.push(JudgedVideo::new(t, d, options).unwrap()));
    records
}

fn map(videos: &[Video<'_>], variant: TemporalVariant, threshold: f64) -> f64 {
    records(videos, &options(variant, &[threshold])).ranked().summary().unwrap().average_map
}

use TemporalVariant::{ActivityNet, Thumos, ThumosKit};

#[test]
fn variants_differ_on_one_video() {
    let truth = [instance(0, 0.0, 10.0), instance(0, 20.0, 30.0)];
    let found = [detection(0, 50.0, 60.0, 0.9), detection(0, 0.0, 9.0, 0.8), detection(0, 20.0, 29.0, 0.7)];
    let video: Video<'_> = (&truth, &found);
    assert!((map(&[video], ActivityNet, 0.5) - 2.0 / 3.0).abs() < 1e-15);
    assert!((map(&[video], Thumos, 0.5) - (1.0 / 2.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
    assert!((map(&[video], ThumosKit, 0.5) - 2.0 / 3.0).abs() < 1e-15);
}

#[test]
fn a_taken_segment_lets_the_next_best_be_hit() {
    let truth = [instance(0, 0.0, 10.0), instance(0, 2.0, 12.0)];
    let found = [detection(0, 0.0, 10.0, 0.9), detection(0, 0.5, 10.5, 0.8)];
    assert_eq!(map(&[(&truth, &found)], ActivityNet, 0.5), 1.0);
    assert_eq!(map(&[(&truth, &found)], ActivityNet, 0.9), 0.5);
}

#[test]
fn of_equal_overlaps_the_later_is_taken() {
    // The first detection overlaps both segments by 6/14; the second one reaches only the first segment.
    let truth = [instance(0, 0.0, 10.0), instance(0, 8.0, 18.0)];
    let first = detection(0, 4.0, 14.0, 0.9);
    assert_eq!(truth[0].segment.tiou(first.scored.segment), truth[1].segment.tiou(first.scored.segment));
    assert_eq!(map(&[(&truth, &[first, detection(0, 0.0, 9.0, 0.8)])], ActivityNet, 0.4), 1.0);
    assert_eq!(map(&[(&truth, &[first, detection(0, 9.0, 18.0, 0.8)])], ActivityNet, 0.4), 0.5);
}

#[test]
fn detections_elsewhere_are_false() {
    let truth = [instance(0, 0.0, 10.0)];
    let found = [detection(0, 0.0, 10.0, 0.5)];
    let stray = [detection(0, 0.0, 10.0, 0.9)];
    assert_eq!(map(&[(&truth, &found), (&[], &stray)], ActivityNet, 0.5), 0.5);
    assert_eq!(map(&[(&truth, &found), (&[instance(1, 0.0, 10.0)], &stray)], ActivityNet, 0.5), 0.25);
}

#[test]
fn classes_without_truth_are_out_of_the_mean() {
    let truth = [instance(0, 0.0, 10.0), instance(2, 0.0, 10.0)];
    let found = [detection(0, 0.0, 10.0, 0.5), detection(1, 0.0, 10.0, 0.9)];
    let set = records(&[(&truth, &found)], &options(ActivityNet, &[0.5, 0.6]));
    let summary = set.ranked().summary().unwrap();
    assert_eq!(summary.average_precision, [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
    assert_eq!((summary.positives, summary.map), (vec![1, 0, 1], vec![0.5, 0.5]));
}

#[test]
fn two_empty_segments_are_no_hit() {
    let truth = [instance(0, 5.0, 5.0)];
    assert_eq!(map(&[(&truth, &[detection(0, 5.0, 5.0, 0.5)])], ActivityNet, 0.5), 0.0);
    assert_eq!(map(&[(&truth, &[detection(0, 9.0, 9.0, 0.5)])], Thumos, 0.5), 0.0);
}

#[test]
fn equal_scores_keep_their_order() {
    let truth = [instance(0, 0.0, 10.0)];
    let (hit, miss) = (detection(0, 0.0, 10.0, 0.5), detection(0, 50.0, 60.0, 0.5));
    assert_eq!(map(&[(&truth, &[hit, miss])], ActivityNet, 0.5), 1.0);
    assert_eq!(map(&[(&truth, &[miss, hit])], ActivityNet, 0.5), 0.5);
    assert_eq!(map(&[(&[], &[miss]), (&truth, &[hit])], ActivityNet, 0.5), 0.5);
    let zero = |sign: f64| detection(0, 50.0, 60.0, 0.0 * sign);
    assert_eq!(map(&[(&truth, &[zero(-1.0), detection(0, 0.0, 10.0, 0.0)])], ActivityNet, 0.5), 0.5);
}

#[test]
fn the_kit_lets_segments_choose() {
    // The surer detection overlaps less: ActivityNet gives it the segment, the kit does not.
    let truth = [instance(0, 0.0, 10.0)];
    let found = [detection(0, 0.0, 7.0, 0.9), detection(0, 0.0, 10.0, 0.1)];
    assert_eq!(map(&[(&truth, &found)], ActivityNet, 0.5), 1.0);
    assert!((map(&[(&truth, &found)], ThumosKit, 0.5) - 0.5).abs() < 1e-15);
}

#[test]
fn at_the_threshold_only_the_kit_refuses() {
    let truth = [instance(0, 0.0, 10.0)];
    let found = [detection(0, 0.0, 5.0, 0.9)];
    assert_eq!(map(&[(&truth, &found)], ActivityNet, 0.5), 1.0);
    assert_eq!(map(&[(&truth, &found)], Thumos, 0.5), 1.0);
    assert_eq!(map(&[(&truth, &found)], ThumosKit, 0.5), 0.0);
}

#[test]
fn the_kit_ranks_hits_before_equal_scores() {
    let truth = [instance(0, 0.0, 10.0)];
    let found = [detection(0, 50.0, 60.0, 0.5), detection(0, 0.0, 10.0, 0.5)];
    assert_eq!(map(&[(&truth, &found)], Thumos, 0.5), 0.5);
    assert!((map(&[(&truth, &found)], ThumosKit, 0.5) - 1.0).abs() < 1e-15);
}

#[test]
fn what_touches_the_ambiguous_is_never_false() {
    let truth = [instance(0, 0.0, 10.0), ambiguous(40.0, 55.0)];
    let found = [detection(0, 50.0, 60.0, 0.9), detection(0, 0.0, 10.0, 0.5)];
    for (variant, wanted) in [(ActivityNet, 0.5), (Thumos, 1.0), (ThumosKit, 1.0)] {
        assert!((map(&[(&truth, &found)], variant, 0.5) - wanted).abs() < 1e-15, "{variant}");
    }
    // One that is a hit at the low threshold counts there, and nowhere else.
    let truth = [instance(0, 0.0, 10.0), ambiguous(0.0, 2.0)];
    let found = [detection(0, 0.0, 6.0, 0.9), detection(0, 0.0, 10.0, 0.5)];
    let set = records(&[(&truth, &found)], &options(Thumos, &[0.5, 0.8]));
    assert_eq!(set.ranked().summary().unwrap().map, [1.0, 1.0]);
}

#[test]
fn the_eleven_recalls_are_matlabs() {
    // 7 of 10 found: 0.7 is reached, for MATLAB's 0.7 is 1 - 3 * 0.1; NumPy's 7 * 0.1 is a little more.
    let ranks: Vec<usize> = (1..=7).collect();
    assert!(std::hint::black_box(7.0) * 0.1 > 0.7);
    assert!((eleven_points(&ranks, 10) - 8.0 / 11.0).abs() < 1e-15);
    // 3 of 10 do not reach 3 * 0.1.
    assert!((eleven_points(&[1, 2, 3], 10) - 3.0 / 11.0).abs() < 1e-15);
    assert_eq!(eleven_points(&[], 10), 0.0);
}

#[test]
fn curves_end_at_the_recall() {
    let truth = [instance(0, 0.0, 10.0), instance(0, 20.0, 30.0)];
    let found = [detection(0, 50.0, 60.0, 0.9), detection(0, 0.0, 9.0, 0.8)];
    let ranked = records(&[(&truth, &found)], &options(ActivityNet, &[0.5])).ranked();
    assert_eq!(ranked.precision_recall(0, 0), [(0.5, 0.5)]);
}

#[test]
fn refuses_bad_input() {
    let known = options(ActivityNet, &[0.5]);
    let judge = |truth: &[Instance], found: &[Detection]| JudgedVideo::new(truth, found, &known);
    assert!(judge(&[instance(0, f64::NAN, 1.0)], &[]).is_err());
    assert!(judge(&[], &[detection(0, 0.0, f64::INFINITY, 1.0)]).is_err());
    assert!(
        judge(&[], &[detection(0, 0.0, 1.0, f64::NAN)]).unwrap_err().to_string().contains("scores[0] is NaN")
    );
    assert!(judge(&[instance(3, 0.0, 1.0)], &[]).unwrap_err().to_string().contains("class = 3"));
    assert!(DetectionRecords::new(options(ActivityNet, &[])).is_err());
    assert!(DetectionRecords::new(options(ActivityNet, &[0.5; 65])).is_err());
    assert!(DetectionRecords::new(TemporalOptions { classes: 0, ..known.clone() }).is_err());
    let mut set = DetectionRecords::new(known.clone()).unwrap();
    assert!(set.merge(DetectionRecords::new(options(Thumos, &[0.5])).unwrap()).is_err());
    assert!(set.ranked().summary().unwrap_err().to_string().contains("no segments of the truth"));
    assert!(set.ranked().summary_of(&[1]).is_err());
}

fn any_video() -> impl Strategy<Value = (Vec<Instance>, Vec<Detection>)> {
    // Whole seconds and few scores, so that overlaps and scores are often equal.
    let bounds = || (0u32..3, 0u32..12, 1u32..6);
    let truth = bounds().prop_map(|(c, s, l)| instance(c, f64::from(s), f64::from(s + l)));
    let found = (bounds(), 0u32..5)
        .prop_map(|((c, s, l), score)| detection(c, f64::from(s), f64::from(s + l), f64::from(score)));
    (prop::collection::vec(truth, 1..5), prop::collection::vec(found, 0..8))
}

proptest! {
    #[test]
    fn merged_parts_are_the_single_pass(
        videos in prop::collection::vec(any_video(), 1..8),
        cuts in (0usize..8, 0usize..8),
        variant in prop::sample::select(TemporalVariant::ALL),
    ) {
        let options = options(variant, &[0.3, 0.5, 0.7]);
        let videos: Vec<Video<'_>> = videos.iter().map(|(t, d)| (&t[..], &d[..])).collect();
        let mut cuts = [cuts.0.min(videos.len()), cuts.1.min(videos.len())];
        cuts.sort_unstable();
        let part = |range: std::ops::Range<usize>| records(&videos[range], &options);
        let (mut left, mut right) = (part(0..cuts[0]), part(cuts[0]..cuts[1]));
        right.merge(part(cuts[1]..videos.len())).unwrap();
        left.merge(right).unwrap();
        let whole = records(&videos, &options);
        prop_assert_eq!(&left, &whole);
        prop_assert_eq!(left.ranked().summary(), whole.ranked().summary());
    }

    /// A video counted twice is the video listed twice. (With equal scores its copies take turns detection by detection.)
    #[test]
    fn copies_are_videos_listed_again(
        videos in prop::collection::vec(any_video(), 1..5),
        variant in prop::sample::select(TemporalVariant::ALL),
    ) {
        let options = options(variant, &[0.3, 0.5]);
        let mut videos = videos;
        let all = videos.iter_mut().flat_map(|(_, found)| found);
        all.zip(1..).for_each(|(d, i)| d.scored.score = f64::from(i * 7919 % 1009));
        let once: Vec<Video<'_>> = videos.iter().map(|(t, d)| (&t[..], &d[..])).collect();
        let twice: Vec<Video<'_>> = once.iter().flat_map(|v| [*v, *v]).collect();
        let a = records(&once, &options).ranked().summary_of(&vec![2; once.len()]).unwrap();
        let b = records(&twice, &options).ranked().summary().unwrap();
        prop_assert_eq!(a, b);
    }
}

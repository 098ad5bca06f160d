use super::*;
use proptest::prelude::*;

fn row(frame: i64, id: i64, x: f64) -> BoxRow {
    BoxRow { frame, id, xywh: [x, 0.0, 10.0, 10.0] }
}

fn record(truth: &[BoxRow], pred: &[BoxRow]) -> SequenceRecord {
    SequenceRecord::new(&Sequence::new(truth, pred).unwrap(), 0.5).unwrap()
}

#[test]
fn a_perfect_track_has_perfect_measures() {
    let rows: Vec<BoxRow> = (0..6).flat_map(|t| [row(t, 1, t as f64), row(t, 2, 50.0)]).collect();
    let found = record(&rows, &rows);
    assert_eq!((found.motmetrics.mota(), found.motmetrics.motp()), (1.0, 0.0));
    assert_eq!((found.clear.mota(), found.identity.idf1()), (1.0, 1.0));
    let report = found.hota.report();
    for measure in [report.hota, report.ass_pr, report.loc_a, report.det_re] {
        assert_eq!(measure, [1.0; ALPHAS]);
    }
}

#[test]
fn an_assignment_is_kept_over_gaps() {
    // Track 7 comes back after a gap, beside track 8 which lies better.
    let truth: Vec<BoxRow> = (0..5).map(|t| row(t, 1, 0.0)).collect();
    let pred = [row(0, 7, 0.0), row(4, 7, 2.0), row(4, 8, 0.0)];
    let found = record(&truth, &pred);
    assert_eq!((found.motmetrics.switches, found.motmetrics.false_positives), (0, 1));
    // Empty frames do not count for the other tool, which also looks at its previous frame only.
    assert_eq!(found.clear.idsw, 0);
    let truth: Vec<BoxRow> = (0..5).flat_map(|t| [row(t, 1, 0.0), row(t, 2, 90.0)]).collect();
    let pred = [row(0, 7, 0.0), row(1, 9, 90.0), row(4, 7, 2.0), row(4, 8, 0.0)];
    let found = record(&truth, &pred);
    assert_eq!((found.motmetrics.switches, found.clear.idsw), (0, 1));
}

#[test]
fn precision_is_distance_or_overlap() {
    let found = record(&[row(0, 1, 0.0)], &[row(0, 1, 2.5)]);
    // 7.5 of 12.5.
    assert!((found.clear.motp() - 0.6).abs() < 1e-12 && (found.motmetrics.motp() - 0.4).abs() < 1e-12);
}

#[test]
fn shares_at_the_limits() {
    // Objects of ten frames, matched in eight, two and one of them.
    let truth: Vec<BoxRow> =
        (0..10).flat_map(|t| [row(t, 1, 0.0), row(t, 2, 50.0), row(t, 3, 90.0), row(t, 4, 900.0)]).collect();
    let mut pred: Vec<BoxRow> = (0..8).map(|t| row(t, 1, 0.0)).collect();
    pred.extend((0..2).map(|t| row(t, 2, 50.0)));
    pred.push(row(0, 3, 90.0));
    let found = record(&truth, &pred);
    let Motmetrics { mostly_tracked, mostly_lost, .. } = found.motmetrics;
    assert_eq!((mostly_tracked, mostly_lost, found.motmetrics.partially_tracked()), (1, 2, 1));
    let Clear { mostly_tracked, partially_tracked, mostly_lost, .. } = found.clear;
    assert_eq!((mostly_tracked, partially_tracked, mostly_lost), (0, 2, 2));
}

#[test]
fn an_empty_frame_keeps_the_previous_pairs() {
    let truth = [row(0, 1, 0.0), row(1, 1, 0.0), row(2, 1, 0.0)];
    let pred = [row(0, 7, 0.0), row(2, 7, 3.0), row(2, 8, 0.0)];
    let found = record(&truth, &pred);
    // Still preferred after the frame without predictions, and not taken up again.
    assert_eq!((found.clear.idsw, found.clear.frag), (0, 0));
}

#[test]
fn an_overlap_at_the_threshold_matches() {
    // 6 of 12: exactly a half.
    let truth = [BoxRow { frame: 0, id: 1, xywh: [0.0, 0.0, 12.0, 1.0] }];
    let pred = [BoxRow { frame: 0, id: 1, xywh: [0.0, 0.0, 6.0, 1.0] }];
    let found = record(&truth, &pred);
    assert_eq!((found.clear.tp, found.motmetrics.detections, found.identity.idtp), (1, 1, 1));
    assert_eq!((found.hota.tp[9], found.hota.tp[10]), (1.0, 0.0));
}

#[test]
fn equal_distances_are_told_apart_in_the_matrix_of_all_boxes() {
    // In frame 1 object 2 lies between tracks 8 and 9 while object 1 keeps track 7. By themselves, 8 would be taken.
    let truth = [row(0, 1, 500.0), row(1, 1, 500.0), row(1, 2, 0.0), row(2, 2, 0.0)];
    let pred = [row(0, 7, 500.0), row(1, 8, 2.0), row(1, 7, 500.0), row(1, 9, -2.0), row(2, 8, 0.0)];
    assert_eq!(record(&truth, &pred).motmetrics.switches, 1);
    let alone = |rows: &[BoxRow]| rows.iter().filter(|row| row.xywh[0] < 500.0).copied().collect::<Vec<_>>();
    assert_eq!(record(&alone(&truth), &alone(&pred)).motmetrics.switches, 0);
}

#[test]
fn nothing_found_is_located_perfectly() {
    let found = record(&[row(0, 1, 0.0)], &[]).hota.report();
    assert_eq!((found.hota[0], found.loc_a[0], found.det_a[0]), (0.0, 1.0, 0.0));
    let found = record(&[], &[row(0, 1, 0.0)]);
    assert_eq!((found.clear.fp, found.identity.idfp), (1, 1));
    assert!(found.motmetrics.mota().is_nan());
}

#[test]
fn records_add_up() {
    let a = record(&[row(0, 1, 0.0), row(1, 1, 0.0)], &[row(0, 1, 0.0), row(1, 2, 0.0)]);
    let b = record(&[row(0, 1, 0.0)], &[row(0, 1, 3.0)]);
    let c = record(&[row(0, 1, 0.0)], &[row(0, 1, 80.0)]);
    let sum = |records: &[&SequenceRecord]| {
        let mut total = SequenceRecord::default();
        records.iter().for_each(|r| total.merge(r));
        total
    };
    assert_eq!(sum(&[&sum(&[&a, &b]), &c]), sum(&[&a, &sum(&[&b, &c])]));
    let both = sum(&[&a, &b]);
    let (left, right) = (a.hota.report(), b.hota.report());
    let weighted = (left.ass_a[0] * 2.0 + right.ass_a[0]) / 3.0;
    assert!((both.hota.report().ass_a[0] - weighted).abs() < 1e-12);
    assert_eq!(both.clear.idsw, 1);
}

#[test]
fn a_family_is_the_same_alone() {
    let rows: Vec<BoxRow> = (0..6).flat_map(|t| [row(t, 1, t as f64), row(t, 2 + t % 2, 9.0)]).collect();
    let sequence = Sequence::new(&rows, &rows[1..]).unwrap();
    let all = SequenceRecord::new(&sequence, 0.5).unwrap();
    let none = Families { motmetrics: false, clear: false, identity: false, hota: false };
    let of = |wanted| SequenceRecord::of(wanted, &sequence, 0.5).unwrap();
    assert_eq!(of(none), SequenceRecord::default());
    let mut sum = of(Families { motmetrics: true, ..none });
    sum.merge(&of(Families { clear: true, ..none }));
    sum.merge(&of(Families { identity: true, ..none }));
    sum.merge(&of(Families { hota: true, ..none }));
    assert_eq!(sum, all);
}

#[test]
fn impossible_rows_are_named() {
    let twice = Sequence::new(&[row(3, 1, 0.0), row(3, 1, 5.0)], &[]).unwrap_err().to_string();
    assert!(twice.contains("id 1") && twice.contains("frame 3"), "{twice}");
    assert!(Sequence::new(&[row(0, 1, f64::NAN)], &[]).is_err());
    let negative = BoxRow { frame: 0, id: 1, xywh: [0.0, 0.0, -1.0, 1.0] };
    assert!(Sequence::new(&[], &[negative]).is_err());
    let empty = Sequence::new(&[], &[]).unwrap();
    assert!(SequenceRecord::new(&empty, 0.0).is_err() && SequenceRecord::new(&empty, 0.5).is_ok());
}

proptest! {
    #[test]
    fn counts_are_consistent(truth in prop::collection::vec((0i64..5, 0i64..3, 0.0..30.0f64), 0..15),
                             pred in prop::collection::vec((0i64..5, 0i64..3, 0.0..30.0f64), 0..15)) {
        let unique = |rows: Vec<(i64, i64, f64)>| {
            let mut rows: Vec<BoxRow> = rows.into_iter().map(|(f, i, x)| row(f, i, x)).collect();
            rows.sort_by_key(|r| (r.frame, r.id));
            rows.dedup_by_key(|r| (r.frame, r.id));
            rows
        };
        let (truth, pred) = (unique(truth), unique(pred));
        let found = record(&truth, &pred);
        let (n, m) = (truth.len() as u64, pred.len() as u64);
        prop_assert_eq!(found.clear.tp + found.clear.fn_, n);
        prop_assert_eq!(found.clear.tp + found.clear.fp, m);
        prop_assert_eq!(found.motmetrics.detections + found.motmetrics.misses, n);
        prop_assert_eq!(found.identity.idtp + found.identity.idfp, m);
        let report = found.hota.report();
        for measure in [report.hota, report.det_a, report.ass_a, report.ass_re, report.ass_pr, report.loc_a] {
            prop_assert!(measure.iter().all(|v| (0.0..=1.0 + 1e-12).contains(v)));
        }
    }
}

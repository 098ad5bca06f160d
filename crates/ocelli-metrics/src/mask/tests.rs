use proptest::prelude::*;

use super::*;

fn drawn(rows: &[&str]) -> Rle {
    let mask: Vec<u8> = rows.iter().flat_map(|row| row.bytes().map(|b| u8::from(b == b'#'))).collect();
    Rle::from_pixels([rows.len() as u32, rows[0].len() as u32], &mask).unwrap()
}

#[test]
fn runs_go_down_the_columns() {
    let mask = drawn(&["..#", ".##"]);
    assert_eq!(mask.counts(), [3, 3]);
    assert_eq!((mask.area(), mask.bbox()), (3, [1.0, 0.0, 2.0, 2.0]));
    let full = drawn(&["##", "##"]);
    assert_eq!((full.counts(), full.bbox()), (&[0, 4][..], [0.0, 0.0, 2.0, 2.0]));
    let empty = drawn(&["..", ".."]);
    assert_eq!((empty.counts(), empty.area(), empty.bbox()), (&[4][..], 0, [0.0; 4]));
}

#[test]
fn a_polygon_counts_the_pixels_whose_columns_it_crosses() {
    let square = Rle::from_polygon([4, 5], &[1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]).unwrap();
    assert_eq!(square, drawn(&[".....", ".###.", ".###.", "....."]));
    assert_eq!(square, Rle::from_box([4, 5], [1.0, 1.0, 3.0, 2.0]).unwrap());
    // Almost half of the pixels' width on either side: no centre of a column is reached.
    assert_eq!(Rle::from_polygon([4, 5], &[1.6, 1.0, 2.4, 1.0, 2.4, 3.0, 1.6, 3.0]).unwrap().area(), 0);
}

#[test]
fn polygons_are_clipped_at_the_border() {
    let beyond = Rle::from_polygon([3, 3], &[-9.7, -9.7, 2.0, -9.7, 2.0, 50.0, -9.7, 50.0]).unwrap();
    assert_eq!(beyond, drawn(&["##.", "##.", "##."]));
    for far in [1e7, f64::NAN, f64::NEG_INFINITY] {
        assert!(Rle::from_polygon([3, 3], &[0.0, 0.0, far, 1.0, 1.0, 1.0]).is_err());
    }
    assert!(Rle::from_polygon([3, 3], &[1.0]).is_err());
    assert!(Rle::from_polygon([0, 3], &[1.0, 1.0]).is_err());
}

#[test]
fn four_numbers_are_a_box() {
    let boxes = union_of_polygons([4, 4], &[vec![0.0, 0.0, 2.0, 2.0], vec![2.0, 2.0, 2.0, 1.0]]).unwrap();
    assert_eq!(boxes, drawn(&["##..", "##..", "..##", "...."]));
    let mixed = [vec![0.0, 0.0, 2.0, 2.0], vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.0]];
    assert!(union_of_polygons([4, 4], &mixed).unwrap_err().to_string().contains("4 numbers a box"));
    let odd = union_of_polygons([4, 4], &[vec![0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 0.0, 2.0, 9.0]]).unwrap();
    assert_eq!(odd, drawn(&["##..", "##..", "....", "...."]));
    assert!(union_of_polygons([4, 4], &[]).is_err());
    assert!(union_of_polygons([4, 4], &[vec![1.0, 2.0]]).is_err());
}

#[test]
fn runs_must_fit_the_picture() {
    assert_eq!(Rle::from_counts([2, 2], vec![1, 2]).unwrap().to_pixels(), [0, 1, 1, 0]);
    let error = Rle::from_counts([2, 2], vec![1, 4]).unwrap_err().to_string();
    assert!(error.contains("runs over 5 pixels") && error.contains("at most the 4 pixels"), "{error}");
    assert!(Rle::from_counts([65536, 65536], vec![]).is_err());
}

#[test]
fn text_survives_a_round_trip() {
    // Long runs, equal runs, falling runs: one and several letters, positive and negative differences.
    let counts = vec![0, 1, 31, 40_000, 2, 2, 1_000_000, 1];
    let mask = Rle::from_counts([2000, 2000], counts).unwrap();
    assert_eq!(Rle::from_text([2000, 2000], &mask.to_text()).unwrap(), mask);
    // Of pycocotools.
    let small = drawn(&["..#", ".##"]);
    assert_eq!(small.to_text(), "33");
    for damaged in ["3~", "é", "3Q", "oooooooooooooooooooo", "N"] {
        assert!(Rle::from_text([2, 3], damaged).is_err(), "{damaged}");
    }
}

#[test]
fn overlaps_are_those_of_the_pixels() {
    let (a, b) = (drawn(&["##..", "##.."]), drawn(&[".###", "...."]));
    assert_eq!(a.iou(&b, false), 1.0 / 6.0);
    assert_eq!((a.iou(&b, true), b.iou(&a, true)), (1.0 / 4.0, 1.0 / 3.0));
    assert_eq!(a.iou(&drawn(&["##.", "##."]), false), -1.0);
    assert_eq!(a.iou(&drawn(&["....", "...."]), false), 0.0);
}

fn masks() -> impl Strategy<Value = ([u32; 2], Vec<u8>, Vec<u8>)> {
    (1u32..9, 1u32..9).prop_flat_map(|(h, w)| {
        let pixels = || proptest::collection::vec(0u8..2, (h * w) as usize);
        (Just([h, w]), pixels(), pixels())
    })
}

proptest! {
    #[test]
    fn runs_compute_what_pixels_would((size, a, b) in masks()) {
        let [x, y] = [&a, &b].map(|m| Rle::from_pixels(size, m).unwrap());
        prop_assert_eq!(&x.to_pixels(), &a);
        prop_assert_eq!(&Rle::from_text(size, &x.to_text()).unwrap(), &x);
        let both = [x.clone(), y.clone()];
        let pairs = || a.iter().zip(&b);
        let union: Vec<u8> = pairs().map(|(a, b)| a | b).collect();
        let common: Vec<u8> = pairs().map(|(a, b)| a & b).collect();
        prop_assert_eq!(Rle::merged(&both, Combine::Union).unwrap().to_pixels(), union.clone());
        prop_assert_eq!(Rle::merged(&both, Combine::Intersection).unwrap().to_pixels(), common.clone());
        let count = |m: &[u8]| m.iter().map(|&v| f64::from(v)).sum::<f64>();
        let wanted = if count(&common) == 0.0 { 0.0 } else { count(&common) / count(&union) };
        prop_assert_eq!(x.iou(&y, false), wanted);
    }

    #[test]
    fn no_text_and_no_polygon_causes_a_panic(
        text in "[0-o~é]{0,30}",
        xy in proptest::collection::vec(-30.0f64..30.0, 0..12),
    ) {
        let _ = Rle::from_text([7, 9], &text);
        if let Ok(mask) = Rle::from_polygon([7, 9], &xy) {
            prop_assert_eq!(mask.counts().iter().sum::<u32>(), 63);
        }
    }
}

use super::*;

fn options(variant: SsimVariant) -> SsimOptions {
    SsimOptions { variant, window: 3, ..SsimOptions::default() }
}

fn picture(shape: [usize; 3], value: impl Fn(usize, usize, usize) -> f64) -> Picture {
    let [c, h, w] = shape;
    let pixels = (0..c).flat_map(|c| (0..h).flat_map(move |y| (0..w).map(move |x| (c, y, x))));
    let values: Vec<f64> = pixels.map(|(c, y, x)| value(c, y, x)).collect();
    Picture::planar("picture", &values, shape).unwrap()
}

/// Something without symmetry, in [0, 1].
fn pattern(c: usize, y: usize, x: usize) -> f64 {
    ((7 * c + 3 * y + 5 * x) % 11) as f64 / 11.0
}

#[test]
fn moments_are_biased() {
    // One window of 3 x 3 with all weights alike: sigma far beyond the window.
    let (a, b) = (picture([1, 3, 3], pattern), picture([1, 3, 3], |c, y, x| pattern(c, x, y)));
    let got = ssim(&a, &b, &SsimOptions { sigma: 1e9, ..options(SsimVariant::Valid) }).unwrap();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / 9.0;
    let (ma, mb) = (mean(&a.planes), mean(&b.planes));
    let moment = |x: &Picture, y: &Picture, mx: f64, my: f64| {
        x.planes.iter().zip(&y.planes).map(|(p, q)| (p - mx) * (q - my)).sum::<f64>() / 9.0
    };
    let (va, vb, cov) = (moment(&a, &a, ma, ma), moment(&b, &b, mb, mb), moment(&a, &b, ma, mb));
    let want = (2.0 * ma * mb + 1e-4) * (2.0 * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4));
    assert!((got - want).abs() < 1e-12, "{got} against {want}");
}

#[test]
fn equal_pictures() {
    let a = picture([3, 12, 13], pattern);
    for variant in SsimVariant::ALL {
        let found = evaluate(&a, &a, &options(*variant)).unwrap();
        assert!((found.ssim - 1.0).abs() < 1e-12, "{variant}: {}", found.ssim);
        assert_eq!((found.mse, found.psnr), (0.0, f64::INFINITY));
    }
    let other = picture([3, 12, 13], |c, y, x| 0.9 * pattern(c, y, x));
    let records = [&a, &other].map(|p| evaluate(p, &a, &options(SsimVariant::Valid)).unwrap());
    assert_eq!(mean(&records).unwrap().psnr, f64::INFINITY);
}

#[test]
fn means_are_of_decibels() {
    let record = |mse: f64| PictureQuality { mse, psnr: decibels(mse, 1.0), ssim: 0.5 };
    let found = mean(&[record(0.1), record(0.001)]).unwrap();
    assert!((found.psnr - 20.0).abs() < 1e-12);
    assert!((found.mse - 0.0505).abs() < 1e-15);
    assert!(mean(&[]).is_err());
}

#[test]
fn parts_merge_to_the_whole() {
    let reference = picture([1, 6, 6], pattern);
    let records: Vec<_> = (1..7)
        .map(|k| picture([1, 6, 6], |c, y, x| pattern(c, y, x) / f64::from(k)))
        .map(|p| evaluate(&p, &reference, &options(SsimVariant::Valid)).unwrap())
        .collect();
    let part = |r: std::ops::Range<usize>| Enhancement { records: records[r].to_vec() };
    let mut merged = part(0..2);
    merged.merge(part(2..5));
    merged.merge(part(5..6));
    assert_eq!(merged, part(0..6));
    assert_eq!(merged.mean(), part(0..6).mean());
}

#[test]
fn borders_tell_the_variants_apart() {
    // Only a corner pixel differs.
    let a = picture([1, 8, 8], pattern);
    let b = picture([1, 8, 8], |c, y, x| if (y, x) == (0, 0) { 1.0 } else { pattern(c, y, x) });
    let loss = |variant| 1.0 - ssim(&a, &b, &options(variant)).unwrap();
    // The window covers it at 1 of 36 positions, or at 4 of 64 with most of its weight.
    assert!(loss(SsimVariant::Replicate) > 3.0 * loss(SsimVariant::Valid));
    assert!(loss(SsimVariant::Valid) > 0.0);
}

#[test]
fn grey_is_rounded_half_up() {
    let colours =
        Picture::interleaved("rgb", &[255.0, 255.0, 255.0, 0.0, 0.0, 4.0, 1.0, 1.0, 0.0], [1, 3, 3]);
    let colours = colours.unwrap();
    // 0.298936 + 0.587043 + 0.114021 = 1; 4 of blue are 0.456; 1 of red and green 0.886.
    assert_eq!(colours.grey(255.0).unwrap().planes, [255.0, 0.0, 1.0]);
    // A half goes up: 0.5 / 0.298936 of red alone.
    let half = Picture::planar("rgb", &[0.5 / 0.298936, 0.0, 0.0], [3, 1, 1]).unwrap();
    assert_eq!(half.grey(255.0).unwrap().planes, [1.0]);
    let unit = Picture::planar("rgb", &[1.0; 3], [3, 1, 1]).unwrap();
    assert!((unit.grey(1.0).unwrap().planes[0] - 1.0).abs() < 1e-12);
    let two = picture([2, 8, 8], pattern);
    let message = ssim(&two, &two, &options(SsimVariant::Gray)).unwrap_err().to_string();
    assert!(message.starts_with("channels = 2"), "{message}");
}

#[test]
fn a_volume_mixes_colours() {
    let flat = |values: [f64; 3]| picture([3, 5, 5], move |c, _, _| values[c]);
    let a = flat([0.2, 0.4, 0.6]);
    let loss = |b: Picture| 1.0 - ssim(&a, &b, &options(SsimVariant::Volume)).unwrap();
    let (red, green) = (loss(flat([0.3, 0.4, 0.6])), loss(flat([0.2, 0.5, 0.6])));
    assert!(red > 0.0 && green > 0.0 && (red - green).abs() > 1e-4, "{red} {green}");
    // One channel is repeated outwards: nothing is left of the third dimension.
    let (one, other) = (picture([1, 9, 9], pattern), picture([1, 9, 9], |c, y, x| pattern(c, x, y)));
    let by = |variant| ssim(&one, &other, &options(variant)).unwrap();
    assert!((by(SsimVariant::Volume) - by(SsimVariant::Replicate)).abs() < 1e-12);
}

#[test]
fn replicated_borders_are_those_of_a_padded_picture() {
    let (h, w, pad) = (6usize, 7usize, 2usize);
    let rotated = |c, y: usize, x: usize| pattern(c, x, y);
    let padded = |f: &dyn Fn(usize, usize, usize) -> f64| {
        let inside = |at: usize, length: usize| at.saturating_sub(pad).min(length - 1);
        picture([1, h + 2 * pad, w + 2 * pad], |c, y, x| f(c, inside(y, h), inside(x, w)))
    };
    let by = |a: &Picture, b: &Picture, variant| {
        ssim(a, b, &SsimOptions { variant, window: 5, ..SsimOptions::default() }).unwrap()
    };
    let all = by(&picture([1, h, w], pattern), &picture([1, h, w], rotated), SsimVariant::Replicate);
    let inside = by(&padded(&pattern), &padded(&rotated), SsimVariant::Valid);
    assert!((all - inside).abs() < 1e-12, "{all} against {inside}");
}

#[test]
fn the_range_is_a_unit() {
    let (a, b) = (picture([3, 12, 12], pattern), picture([3, 12, 12], |c, y, x| pattern(c, x, y)));
    let scaled = |p: &Picture| picture([3, 12, 12], |c, y, x| 255.0 * p.planes[(c * 12 + y) * 12 + x]);
    let bytes = SsimOptions { range: 255.0, ..options(SsimVariant::Valid) };
    let (unit, byte) = (
        evaluate(&a, &b, &options(SsimVariant::Valid)).unwrap(),
        evaluate(&scaled(&a), &scaled(&b), &bytes).unwrap(),
    );
    assert!((unit.ssim - byte.ssim).abs() < 1e-12 && (unit.psnr - byte.psnr).abs() < 1e-9);
}

#[test]
fn refuses_bad_input() {
    let a = picture([1, 4, 6], pattern);
    let fails = |b: &Picture, change: SsimOptions| ssim(&a, b, &change).unwrap_err().to_string();
    let good = options(SsimVariant::Valid);
    assert_eq!(
        fails(&a, SsimOptions { window: 5, ..good }),
        "window = 5 is not allowed; wanted at most 4 pixels, the picture's smaller side"
    );
    assert!(fails(&a, SsimOptions { window: 0, ..good }).starts_with("window = 0"));
    assert!(fails(&a, SsimOptions { window: 4, ..options(SsimVariant::Replicate) }).contains("odd"));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(fails(&a, SsimOptions { sigma: bad, ..good }).starts_with("sigma"));
        assert!(fails(&a, SsimOptions { range: bad, ..good }).starts_with("range"));
        assert!(psnr(&a, &a, bad).is_err());
    }
    let message = fails(&picture([1, 6, 4], pattern), good);
    assert!(message.contains("4 x 6 pixels of 1 channels") && message.contains("6 x 4"), "{message}");
    assert!(Picture::planar("p", &[1.0; 5], [1, 2, 3]).is_err());
    assert!(Picture::planar("p", &[], [3, 0, 4]).is_err());
    assert!(Picture::planar("p", &[f64::NAN], [1, 1, 1]).is_err());
    assert!(Picture::interleaved("p", &[1.0; 5], [1, 2, 3]).is_err());
    assert!(Picture::interleaved("p", &[], [0, 2, 0]).is_err());
    assert!(Picture::planar("p", &[1.0], [usize::MAX, 2, 2]).is_err());
}

#[test]
fn names_are_known() {
    assert_eq!("volume".parse(), Ok(SsimVariant::Volume));
    assert!(
        "matlab".parse::<SsimVariant>().unwrap_err().to_string().contains("valid, replicate, gray, volume")
    );
}

//! Faces keep their promises: the same bytes everywhere, labels that agree with the picture, and no input that
//! breaks them.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use ocelli_world::faces::{
    ALIGNED_TEMPLATE, Canvas, Covering, Eyewear, Face, FaceWorld, Framing, Hardness, Identity, IdentitySpace,
    Obstacle, Part, Pose, Shot, ShotSpace, Spectrum, Traits, render, render_lit, render_picture,
};
use ocelli_world::render::light::Light;
use proptest::prelude::*;

fn world() -> FaceWorld {
    FaceWorld { seed: 11, ..FaceWorld::default() }
}

fn studio(identity: u64, size: u32, pose: Pose) -> Face {
    let shot = Shot { pose, ..Shot::studio() };
    render(&world().identity(identity), &shot, &Canvas::around_box(size, 0.3)).unwrap()
}

fn part_at(face: &Face, at: [f32; 2]) -> Part {
    let (x, y) = (at[0] as usize, at[1] as usize);
    Part::from_class(face.labels.parts[y * face.labels.size + x]).unwrap()
}

/// Mean position of a part's pixels.
fn centre(face: &Face, part: Part) -> [f32; 2] {
    let l = &face.labels;
    let (mut sum, mut n) = ([0.0; 2], 0.0);
    for (i, _) in l.parts.iter().enumerate().filter(|(_, p)| **p == part as u8) {
        sum = [sum[0] + (i % l.size) as f32 + 0.5, sum[1] + (i / l.size) as f32 + 0.5];
        n += 1.0;
    }
    assert!(n > 0.0, "no {part:?} in the picture");
    sum.map(|s| s / n)
}

#[test]
fn the_same_bytes_on_any_number_of_threads() {
    let world = FaceWorld { canvas: Canvas::aligned(64), ..world() };
    let pairs: Vec<(u64, u64)> = (0..60).map(|i| (i % 7, i / 7)).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| world.render_all(&pairs).unwrap())
    };
    let (one, many) = (on(1), on(5));
    assert_eq!(one, many);
    // A picture does not depend on which others were asked for, nor on whether its labels were.
    assert_eq!(world.render_picture(3, 2).unwrap(), one[2 * 7 + 3].picture);
    assert_ne!(one[0].picture, one[1].picture);
    let other = FaceWorld { seed: 12, ..world };
    assert_ne!(other.render_picture(0, 0).unwrap(), one[0].picture);
}

#[test]
fn a_frontal_face_shows_every_part_where_the_landmarks_are() {
    for identity in 0..12 {
        let mut shot = Shot::studio();
        shot.expression.mouth_open = 0.6;
        let person =
            Identity { traits: Traits { fringe: 0.0, ..world().identity(identity).traits }, marks: 1 };
        let face = render(&person, &shot, &Canvas::around_box(224, 0.3)).unwrap();
        let l = &face.labels;
        for class in 0..Part::PARSING_COUNT as u8 {
            let part = Part::from_class(class).unwrap();
            assert!(l.shows(part), "person {identity} shows no {part:?}");
        }
        let mean = |range: std::ops::Range<usize>| {
            let n = range.len() as f32;
            let sum =
                l.landmarks[range].iter().fold([0.0; 2], |s, m| [s[0] + m.position[0], s[1] + m.position[1]]);
            sum.map(|s| s / n)
        };
        for (range, part, tolerance) in [
            (17..22, Part::LeftBrow, 5.0),
            (22..27, Part::RightBrow, 5.0),
            (36..42, Part::LeftEye, 3.0),
            (42..48, Part::RightEye, 3.0),
        ] {
            let (points, pixels) = (mean(range), centre(&face, part));
            let distance = (points[0] - pixels[0]).hypot(points[1] - pixels[1]);
            assert!(distance < tolerance, "person {identity}: {part:?} is {distance} pixels off");
        }
        assert_eq!(part_at(&face, l.landmarks[30].position), Part::Nose);
        assert_eq!(part_at(&face, mean(61..68)), Part::InnerMouth);
        assert_eq!(part_at(&face, mean(37..42)), Part::LeftEye);
        assert!(l.landmarks[17..68].iter().all(|m| m.visible), "person {identity}: {:?}", l.landmarks);
    }
}

#[test]
fn landmarks_lie_in_the_box_and_the_frontal_nose_is_nearest() {
    for identity in 0..20 {
        let face = studio(identity, 128, Pose::default());
        let l = &face.labels;
        let [x0, y0, x1, y1] = l.box_xyxy;
        for m in &l.landmarks {
            let [x, y] = m.position;
            assert!(x >= x0 && x <= x1 && y >= y0 && y <= y1, "{:?} outside {:?}", m.position, l.box_xyxy);
        }
        let nose = l.landmarks[30].depth;
        assert!(l.landmarks.iter().all(|m| m.depth >= nose - 1.0), "person {identity}");
        // The label's depth is the surface's.
        let [x, y] = l.landmarks[30].position;
        let seen = l.depth[y as usize * l.size + x as usize];
        assert!((seen - nose).abs() < 2.5, "person {identity}: {seen} {nose}");
        let nearness = l.nearness();
        assert!(nearness[y as usize * l.size + x as usize] > 0.9);
        assert_eq!(nearness[0], 0.0);
    }
}

#[test]
fn maps_are_sound_and_agree_with_each_other() {
    let space = ShotSpace { hard_share: 0.5, ..ShotSpace::default() };
    let world = FaceWorld { shots: space, canvas: Canvas::around_box(72, 0.5), ..world() };
    for i in 0..40 {
        let l = world.render(i, i).unwrap().labels;
        for k in 0..l.parts.len() {
            let length = l.normals[k].iter().map(|v| v * v).sum::<f32>().sqrt();
            if l.depth[k].is_finite() {
                assert!((length - 1.0).abs() < 1e-3, "normal of length {length}");
                assert!(l.alpha[k] >= 127);
            } else {
                assert_eq!(length, 0.0);
                assert!(matches!(Part::from_class(l.parts[k]), Some(Part::Background | Part::Occluder)));
            }
            assert!(!l.depth[k].is_nan());
        }
        let light = l.light_direction.iter().map(|v| v * v).sum::<f32>();
        assert!((light - 1.0).abs() < 1e-3);
        assert!(l.parsing_mask().iter().all(|&c| c <= 10));
    }
}

#[test]
fn turning_the_head_hides_the_far_side() {
    let face = studio(2, 160, Pose { yaw: 65.0, ..Pose::default() });
    let l = &face.labels;
    // Turned to the picture's right: the jaw on the right is hidden, the one on the left is seen.
    assert!(l.landmarks[12..16].iter().all(|m| !m.visible), "{:?}", &l.landmarks[12..16]);
    assert!(l.landmarks[3..7].iter().all(|m| m.visible));
    let box_middle = 0.5 * (l.box_xyxy[0] + l.box_xyxy[2]);
    assert!(l.landmarks[30].position[0] > box_middle);
    let profile = studio(2, 160, Pose { yaw: 90.0, ..Pose::default() });
    assert!(
        profile.labels.shows(Part::LeftEye) != profile.labels.shows(Part::RightEye),
        "one eye in a profile"
    );
}

#[test]
fn aligned_crops_put_the_five_points_on_the_template() {
    for size in [112u32, 56] {
        let canvas = Canvas::aligned(size);
        let (mut worst, scale) = (0.0f32, size as f32 / 112.0);
        for i in 0..30 {
            let mut shot = world().shot(i, 0);
            shot.crop = Default::default();
            shot.pose = Pose { roll: 30.0 - 2.0 * i as f32, ..Pose::default() };
            let l = render(&world().identity(i), &shot, &canvas).unwrap().labels;
            for (m, t) in l.five_points.iter().zip(ALIGNED_TEMPLATE) {
                worst = worst.max((m.position[0] - t[0] * scale).hypot(m.position[1] - t[1] * scale) / scale);
            }
        }
        assert!(worst < 9.0, "{worst} pixels of 112 from the template");
    }
}

#[test]
fn accessories_cover_what_they_should() {
    let person = world().identity(1);
    let canvas = Canvas::around_box(128, 0.3);
    let with = |change: &dyn Fn(&mut Shot)| {
        let mut shot = Shot::studio();
        change(&mut shot);
        render(&person, &shot, &canvas).unwrap().labels
    };
    let dark = with(&|s| s.occlusion.eyewear = Eyewear::Sunglasses);
    assert!(!dark.shows(Part::LeftEye) && dark.landmarks[36..48].iter().all(|m| !m.visible));
    assert!(dark.landmarks[48..68].iter().all(|m| m.visible));
    let clear = with(&|s| s.occlusion.eyewear = Eyewear::Glasses);
    assert!(clear.shows(Part::LeftEye) && clear.shows(Part::Occluder));
    for covering in [Covering::Mask, Covering::Scarf] {
        let covered = with(&|s| s.occlusion.covering = covering);
        assert!(!covered.shows(Part::UpperLip) && covered.landmarks[48..68].iter().all(|m| !m.visible));
        assert!(covered.landmarks[36..48].iter().all(|m| m.visible), "{covering:?}");
    }
    let hat = with(&|s| s.occlusion.hat = true);
    let hair = |l: &ocelli_world::faces::Labels| l.parts.iter().filter(|p| **p == Part::Hair as u8).count();
    assert!(hair(&hat) < hair(&clear));
    let wall = Obstacle::Rectangle { centre: [0.5; 2], size: [2.0; 2], colour: [0.1; 3] };
    let hidden = with(&|s| s.occlusion.obstacle = Some(wall));
    assert!(
        hidden.parts.iter().all(|p| *p == Part::Occluder as u8)
            && hidden.landmarks.iter().all(|m| !m.visible)
    );
    let hand = Obstacle::Hand { centre: [0.5, 0.7], size: 0.3, angle: 0.0, colour: [0.5; 3] };
    let waved = with(&|s| s.occlusion.obstacle = Some(hand));
    assert!(waved.shows(Part::Occluder) && waved.shows(Part::Skin));
}

#[test]
fn light_adds_up_and_comes_from_where_it_stands() {
    let (person, canvas) = (world().identity(4), Canvas::around_box(96, 0.1));
    let mut shot = Shot::studio();
    shot.illumination.lights.clear();
    let sides = [-1.0, 1.0].map(|x| {
        let face =
            render_lit(&person, &shot, &canvas, &[Light { direction: [x, 0.0, 0.2], colour: [0.7; 3] }])
                .unwrap();
        assert!((face.labels.light_direction[0] - x * 0.98).abs() < 0.01);
        let half = |left: bool| -> f64 {
            let skin = face.picture.enumerate_pixels().filter(|(x, y, _)| {
                face.labels.parts[*y as usize * 96 + *x as usize] == Part::Skin as u8 && (*x < 48) == left
            });
            skin.map(|(_, _, p)| f64::from(p.0[0])).sum()
        };
        half(true) / half(false)
    });
    assert!(sides[0] > 1.3 && sides[1] < 0.77, "left to right: {sides:?}");
    let red = render_lit(&person, &shot, &canvas, &[Light::frontal([0.6, 0.0, 0.0])]).unwrap();
    let plain = render_lit(&person, &shot, &canvas, &[]).unwrap();
    let nose = plain.labels.landmarks[30].position;
    let at = |f: &Face| f.picture.get_pixel(nose[0] as u32, nose[1] as u32).0;
    assert!(at(&red)[0] > at(&plain)[0] + 20 && at(&red)[1] == at(&plain)[1] && at(&red)[2] == at(&plain)[2]);
}

#[test]
fn infrared_pictures_are_grey() {
    let mut shot = world().shot(3, 3);
    shot.spectrum = Spectrum::NearInfrared;
    let picture = render_picture(&world().identity(3), &shot, &Canvas::aligned(48)).unwrap();
    assert!(picture.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]));
}

#[test]
fn hard_shots_are_what_they_are_called() {
    let world = world();
    let mut seen = [0; 4];
    for j in 0..800 {
        for way in world.shot(0, j).hard {
            seen[way as usize] += 1;
        }
    }
    assert!(seen.iter().all(|&n| n > 10), "{seen:?}");
    let brightness = |j: u64| -> f64 {
        let picture = world.render_picture(0, j).unwrap();
        picture.as_raw().iter().map(|&b| f64::from(b)).sum::<f64>() / picture.as_raw().len() as f64
    };
    let of = |hard: &dyn Fn(&[Hardness]) -> bool| {
        let shots: Vec<u64> = (0..800).filter(|&j| hard(&world.shot(0, j).hard)).take(15).collect();
        shots.iter().map(|&j| brightness(j)).sum::<f64>() / shots.len() as f64
    };
    let (dark, usual) = (of(&|h| h == [Hardness::Light]), of(&|h| h.is_empty()));
    assert!(dark < 0.75 * usual, "{dark} {usual}");
}

#[test]
fn bad_requests_are_refused_with_a_reason() {
    let message = |world: FaceWorld| world.render(0, 0).unwrap_err().to_string();
    assert!(message(FaceWorld { canvas: Canvas::aligned(8), ..world() }).contains("8 pixels"));
    assert!(message(FaceWorld { canvas: Canvas::around_box(64, f32::NAN), ..world() }).contains("margin"));
    let spread = IdentitySpace { spread: -1.0, ..IdentitySpace::default() };
    assert!(message(FaceWorld { identities: spread, ..world() }).contains("identities.spread"));
    let mut shot = Shot::studio();
    shot.pose.yaw = f32::NAN;
    let error = render(&Identity::average(), &shot, &Canvas::default()).unwrap_err();
    assert!(error.to_string().contains("pose.yaw"), "{error}");
}

#[test]
fn recipes_set_a_world_and_misspelt_keys_are_refused() {
    let recipe = r#"
        seed = 5
        [identities]
        families = 20
        [shots]
        hard_share = 0.4
        yaw = { usual = 10, hard = 60 }
        spectrum = "near-infrared"
        [canvas]
        size = 48
        framing = { box = { margin = 0.25 } }
    "#;
    let world: FaceWorld = toml::from_str(recipe).unwrap();
    assert_eq!((world.seed, world.identities.families, world.shots.yaw.hard), (5, 20, 60.0));
    assert_eq!(world.canvas.framing, Framing::Box { margin: 0.25 });
    assert_eq!(world.shots.pitch, ShotSpace::default().pitch);
    assert_eq!(world.render_picture(0, 0).unwrap().dimensions(), (48, 48));
    let error = toml::from_str::<FaceWorld>("[shots]\nhardshare = 0.4").unwrap_err().to_string();
    assert!(error.contains("hardshare"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_person_and_no_shot_breaks_the_renderer(
        traits in proptest::collection::vec(-30.0f32..30.0, Traits::COUNT),
        yaw in -180.0f32..180.0, pitch in -90.0f32..90.0, roll in -180.0f32..180.0,
        smile in -1.0f32..1.0, open in 0.0f32..1.0, closure in 0.0f32..1.0,
        zoom in 0.1f32..10.0, shift in -2.0f32..2.0, aligned: bool, size in 16u32..80, covering in 0usize..3,
    ) {
        let identity = Identity { traits: Traits::from_array(traits.try_into().unwrap()), marks: 3 };
        let mut shot = Shot::studio();
        shot.pose = Pose { yaw, pitch, roll };
        (shot.expression.smile, shot.expression.mouth_open, shot.expression.eye_closure) = (smile, open, closure);
        (shot.crop.zoom, shot.crop.shift) = (zoom, [shift, -shift]);
        shot.occlusion.hat = aligned;
        shot.occlusion.eyewear = Eyewear::Sunglasses;
        shot.occlusion.covering = [Covering::None, Covering::Mask, Covering::Scarf][covering];
        let canvas = if aligned { Canvas::aligned(size) } else { Canvas::around_box(size, 0.1) };
        let face = render(&identity, &shot, &canvas).unwrap();
        let l = &face.labels;
        prop_assert_eq!(face.picture.dimensions(), (size, size));
        prop_assert!(l.landmarks.iter().chain(&l.five_points).all(|m| m.position.iter().all(|v| v.is_finite()) && m.depth.is_finite()));
        prop_assert!(l.box_xyxy.iter().all(|v| v.is_finite()) && l.box_xyxy[0] < l.box_xyxy[2] && l.box_xyxy[1] < l.box_xyxy[3]);
        prop_assert!(l.depth.iter().all(|d| !d.is_nan()) && l.normals.iter().flatten().all(|v| v.is_finite()));
    }
}

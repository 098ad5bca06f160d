//! Draws a sheet of faces: people down, shots across, then the same face's labels.
//!
//! `cargo run --release -p ocelli-world --example contact_sheet -- OUT.png [people|shots|poses|hard|labels|lights]`

use image::{Rgb, RgbImage, imageops};
use ocelli_world::faces::{
    Canvas, Covering, Expression, Eyewear, Face, FaceWorld, Hardness, IdentitySpace, Obstacle, Part, Pose,
    Shot, ShotSpace, Spectrum, render, render_lit,
};
use ocelli_world::render::light::Light;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name the PNG file to write")?;
    let kind = arguments.next().unwrap_or_else(|| "shots".into());
    let rows = match kind.as_str() {
        "people" => people()?,
        "shots" => shots(FaceWorld { seed: 1, ..FaceWorld::default() })?,
        "families" => shots(FaceWorld {
            seed: 1,
            identities: IdentitySpace { families: 2, spread: 0.35, ..IdentitySpace::default() },
            shots: ShotSpace::enrolment(),
            ..FaceWorld::default()
        })?,
        "poses" => poses()?,
        "hard" => hard()?,
        "labels" => labels()?,
        "lights" => lights()?,
        other => return Err(format!("no such sheet: {other}").into()),
    };
    sheet(&rows).save(path)?;
    Ok(())
}

type Rows = Result<Vec<Vec<RgbImage>>, Box<dyn std::error::Error>>;

/// Forty-eight people in the studio.
fn people() -> Rows {
    let world = FaceWorld { seed: 1, ..FaceWorld::default() };
    let canvas = Canvas::around_box(160, 0.28);
    let picture = |i| Ok(render(&world.identity(i), &Shot::studio(), &canvas)?.picture);
    (0..6).map(|r| (0..8).map(|c| picture(8 * r + c)).collect()).collect()
}

/// Eight people, ten shots each.
fn shots(world: FaceWorld) -> Rows {
    (0..8).map(|i| (0..10).map(|j| Ok(world.render_picture(i, j)?)).collect()).collect()
}

/// Yaw across; people and pitch down.
fn poses() -> Rows {
    let world = FaceWorld { seed: 1, ..FaceWorld::default() };
    let canvas = Canvas::around_box(160, 0.28);
    let picture = |i, yaw, pitch| {
        let shot = Shot { pose: Pose { yaw, pitch, roll: 0.0 }, ..Shot::studio() };
        Ok(render(&world.identity(i), &shot, &canvas)?.picture)
    };
    let yaws = [-90.0, -60.0, -30.0, 0.0, 30.0, 60.0, 90.0, 135.0];
    [(0, 0.0), (1, 0.0), (4, 0.0), (5, 0.0), (2, 25.0), (3, -25.0)]
        .into_iter()
        .map(|(i, pitch)| yaws.iter().map(|&yaw| picture(i, yaw, pitch)).collect())
        .collect()
}

/// Everything worn and done, and hard shots of each kind.
fn hard() -> Rows {
    let world = FaceWorld { seed: 1, ..FaceWorld::default() };
    let canvas = Canvas::around_box(160, 0.2);
    let mut variants: Vec<Shot> = Vec::new();
    let mut add = |change: &dyn Fn(&mut Shot)| {
        let mut shot = Shot::studio();
        shot.pose.yaw = 22.0;
        shot.occlusion.colour = [0.25, 0.08, 0.06];
        change(&mut shot);
        variants.push(shot);
    };
    add(&|s| s.occlusion.eyewear = Eyewear::Glasses);
    add(&|s| s.occlusion.eyewear = Eyewear::Sunglasses);
    add(&|s| s.occlusion.covering = Covering::Mask);
    add(&|s| s.occlusion.covering = Covering::Scarf);
    add(&|s| s.occlusion.hat = true);
    let colour = [0.6, 0.36, 0.26];
    add(&|s| {
        s.occlusion.obstacle = Some(Obstacle::Hand { centre: [0.5, 0.8], size: 0.25, angle: 20.0, colour })
    });
    add(&|s| s.expression = Expression { smile: 1.0, mouth_open: 0.35, ..Expression::default() });
    add(&|s| s.expression = Expression { mouth_open: 1.0, brow_raise: 1.0, ..Expression::default() });
    add(&|s| s.expression = Expression { smile: -0.8, brow_raise: -1.0, ..Expression::default() });
    add(&|s| s.expression = Expression { eye_closure: 1.0, gaze: [1.0, 0.0], ..Expression::default() });
    add(&|s| s.spectrum = Spectrum::NearInfrared);
    let worn = |i: u64| variants.iter().map(move |s| (world.identity(i), s.clone()));
    let mut rows: Vec<Vec<RgbImage>> = Vec::new();
    for i in 0..3 {
        rows.push(
            worn(i)
                .map(|(who, s)| Ok(render(&who, &s, &canvas)?.picture))
                .collect::<Result<_, ocelli_world::faces::SpaceError>>()?,
        );
    }
    for kind in [Hardness::Pose, Hardness::Light, Hardness::Blur, Hardness::Occlusion] {
        let found = (0..3000).map(|j| world.shot(1, j)).filter(|s| s.hard.as_slice() == [kind]).take(11);
        rows.push(
            found
                .map(|s| Ok(render(&world.identity(1), &s, &canvas)?.picture))
                .collect::<Result<_, ocelli_world::faces::SpaceError>>()?,
        );
    }
    Ok(rows)
}

/// Picture, landmarks, parts, depth, normals.
fn labels() -> Rows {
    let world = FaceWorld { seed: 1, canvas: Canvas::around_box(200, 0.2), ..FaceWorld::default() };
    (0..5).map(|i| Ok(overlays(&world.render(i, i)?))).collect()
}

fn overlays(face: &Face) -> Vec<RgbImage> {
    let l = &face.labels;
    let side = l.size as u32;
    let map = |colour: &dyn Fn(usize) -> [u8; 3]| {
        RgbImage::from_fn(side, side, |x, y| Rgb(colour((y * side + x) as usize)))
    };
    let mut marked = face.picture.clone();
    let [x0, y0, x1, y1] = l.box_xyxy;
    for i in 0..side {
        for (x, y) in [(i as f32, y0), (i as f32, y1), (x0, i as f32), (x1, i as f32)] {
            if x >= x0 && x <= x1 && y >= y0 && y <= y1 {
                dot(&mut marked, x, y, 0, [60, 120, 255]);
            }
        }
    }
    for m in &l.landmarks {
        let colour = if m.visible { [0, 255, 60] } else { [255, 40, 40] };
        dot(&mut marked, m.position[0], m.position[1], 1, colour);
    }
    for m in &l.five_points {
        dot(&mut marked, m.position[0], m.position[1], 1, [255, 255, 0]);
    }
    const PALETTE: [[u8; 3]; Part::COUNT] = [
        [0, 0, 0],
        [240, 190, 150],
        [120, 60, 0],
        [180, 100, 0],
        [0, 80, 255],
        [0, 200, 255],
        [255, 220, 60],
        [255, 0, 80],
        [120, 0, 60],
        [255, 110, 160],
        [90, 90, 30],
        [200, 140, 255],
        [170, 120, 90],
        [60, 160, 90],
        [150, 150, 150],
    ];
    let nearness = l.nearness();
    vec![
        face.picture.clone(),
        marked,
        map(&|i| PALETTE[l.parts[i] as usize]),
        map(&|i| [(nearness[i] * 255.0) as u8; 3]),
        map(&|i| l.normals[i].map(|v| ((v * 0.5 + 0.5) * 255.0) as u8)),
        map(&|i| [l.alpha[i]; 3]),
    ]
}

fn dot(picture: &mut RgbImage, x: f32, y: f32, radius: i32, colour: [u8; 3]) {
    for dy in -radius..=radius {
        for dx in -radius..=radius {
            let (px, py) = (x.floor() as i32 + dx, y.floor() as i32 + dy);
            if px >= 0 && py >= 0 && px < picture.width() as i32 && py < picture.height() as i32 {
                picture.put_pixel(px as u32, py as u32, Rgb(colour));
            }
        }
    }
}

/// One face under coloured screens and under lights from around.
fn lights() -> Rows {
    let world = FaceWorld { seed: 1, ..FaceWorld::default() };
    let canvas = Canvas::around_box(160, 0.2);
    let mut dim = Shot::studio();
    dim.illumination.ambient = [0.1; 3];
    dim.illumination.lights.clear();
    let colours = [[0.8, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 0.8], [0.8, 0.8, 0.0], [0.0; 3]];
    let directions = [[-1.0, 0.0, 0.3], [1.0, 0.0, 0.3], [0.0, 1.0, 0.3], [0.0, -1.0, 0.3], [0.5, 0.8, 1.0]];
    let mut rows = Vec::new();
    for i in [0, 5] {
        let who = world.identity(i);
        let screen = colours.map(Light::frontal).into_iter();
        let around = directions.map(|direction| Light { direction, colour: [0.8; 3] }).into_iter();
        rows.push(
            screen
                .chain(around)
                .map(|light| Ok(render_lit(&who, &dim, &canvas, &[light])?.picture))
                .collect::<Result<_, ocelli_world::faces::SpaceError>>()?,
        );
    }
    Ok(rows)
}

/// Puts pictures of one size side by side.
fn sheet(rows: &[Vec<RgbImage>]) -> RgbImage {
    const GAP: u32 = 2;
    let (w, h) = rows[0][0].dimensions();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let mut out = RgbImage::new(columns * (w + GAP), rows.len() as u32 * (h + GAP));
    for (r, row) in rows.iter().enumerate() {
        for (c, picture) in row.iter().enumerate() {
            let (x, y) = (c as i64 * i64::from(w + GAP), r as i64 * i64::from(h + GAP));
            imageops::replace(&mut out, picture, x, y);
        }
    }
    out
}

//! The studio: places the camera, lights the scene, takes the picture and writes down the labels.

use image::RgbImage;
use ocelli_method::random::stream;
use serde::{Deserialize, Serialize};

use super::anatomy::Anatomy;
use super::background;
use super::error::{SpaceError, check_range};
use super::head::{Attitude, Object, fill_scene};
use super::identity::Identity;
use super::labels::{Face, Labels, Landmark};
use super::landmarks::{LANDMARK_COUNT, five_points, landmarks};
use super::looks::Looks;
use super::overlay::{Glasses, Layer, obstacle};
use super::paint::Painter;
use super::part::Part;
use super::shot::{Shot, Spectrum};
use crate::render::camera::Camera;
use crate::render::film::Film;
use crate::render::geometry::{Rgb, Rotation, Vec3, add, mix, scale, vec3};
use crate::render::light::{Light, Lighting, Material};
use crate::render::mesh::Scene;
use crate::render::raster::Visibility;

/// Smallest side of a picture in pixels.
pub const MIN_SIZE: u32 = 16;
/// Largest side of a picture in pixels.
pub const MAX_SIZE: u32 = 1024;

/// Where the five points fall in an aligned crop of 112 × 112 pixels: left eye, right eye (the viewer's), tip of the
/// nose, left and right corner of the mouth.
pub const ALIGNED_TEMPLATE: [[f32; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// What of the person is in the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Framing {
    /// The crop of face recognition: the five points as near as a similarity brings them to [`ALIGNED_TEMPLATE`].
    #[default]
    Aligned,
    /// The face's box in the middle, upright camera.
    Box {
        /// Space on each side, as a share of the box's longer side; in `[-0.4, 20]`.
        margin: f32,
    },
}

/// Size and framing of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Canvas {
    /// Side in pixels, from 16 to 1024; default 112.
    pub size: u32,
    /// What is in the picture; default aligned.
    pub framing: Framing,
}

impl Default for Canvas {
    fn default() -> Self {
        Canvas { size: 112, framing: Framing::Aligned }
    }
}

impl Canvas {
    /// An aligned crop of `size` pixels a side.
    pub fn aligned(size: u32) -> Canvas {
        Canvas { size, framing: Framing::Aligned }
    }

    /// A crop around the face's box.
    pub fn around_box(size: u32, margin: f32) -> Canvas {
        Canvas { size, framing: Framing::Box { margin } }
    }

    /// Checks size and margin.
    pub fn validate(&self) -> Result<(), SpaceError> {
        if !(MIN_SIZE..=MAX_SIZE).contains(&self.size) {
            return Err(SpaceError::Size { size: self.size, min: MIN_SIZE, max: MAX_SIZE });
        }
        match self.framing {
            Framing::Aligned => Ok(()),
            Framing::Box { margin } => check_range("canvas.framing.box.margin", margin, -0.4, 20.0),
        }
    }
}

/// Renders a person in a shot, with labels.
///
/// # Errors
/// When the canvas or a number of the shot lies outside its range.
pub fn render(identity: &Identity, shot: &Shot, canvas: &Canvas) -> Result<Face, SpaceError> {
    render_lit(identity, shot, canvas, &[])
}

/// As [`render`], with `extra` lights added to the shot's own: a screen's flash, say, while the room's light stays.
///
/// In linear light the picture is the sum of the pictures under each light, and the noise is the same for the same
/// shot, so differences between frames are the reflected extra light alone. Change `shot.noise_seed` for fresh noise.
pub fn render_lit(
    identity: &Identity,
    shot: &Shot,
    canvas: &Canvas,
    extra: &[Light],
) -> Result<Face, SpaceError> {
    Studio::default().render_lit(identity, shot, canvas, extra)
}

/// The picture alone, which is quicker.
pub fn render_picture(identity: &Identity, shot: &Shot, canvas: &Canvas) -> Result<RgbImage, SpaceError> {
    Studio::default().render_picture(identity, shot, canvas)
}

/// Memory that is used again from picture to picture: quicker than the free functions, with the same results.
#[derive(Debug, Default)]
pub struct Studio {
    scene: Scene,
    visibility: Visibility,
}

impl Studio {
    /// As the function [`render`].
    pub fn render(&mut self, identity: &Identity, shot: &Shot, canvas: &Canvas) -> Result<Face, SpaceError> {
        self.render_lit(identity, shot, canvas, &[])
    }

    /// As the function [`render_lit`].
    pub fn render_lit(
        &mut self,
        identity: &Identity,
        shot: &Shot,
        canvas: &Canvas,
        extra: &[Light],
    ) -> Result<Face, SpaceError> {
        let set = Set::new(self, identity, shot, canvas, extra)?;
        let mut labels = set.empty_labels();
        let film = set.expose(Some(&mut labels));
        set.label_points(&mut labels);
        Ok(Face { picture: set.develop(film), labels })
    }

    /// As the function [`render_picture`].
    pub fn render_picture(
        &mut self,
        identity: &Identity,
        shot: &Shot,
        canvas: &Canvas,
    ) -> Result<RgbImage, SpaceError> {
        let set = Set::new(self, identity, shot, canvas, &[])?;
        Ok(set.develop(set.expose(None)))
    }
}

/// Everything that is ready before the shutter opens.
struct Set<'a> {
    shot: &'a Shot,
    size: usize,
    anatomy: Anatomy,
    looks: Looks,
    head: Rotation,
    camera: Camera,
    lighting: Lighting,
    strongest: Option<Light>,
    glasses: Option<Glasses>,
    scene: &'a Scene,
    visibility: &'a Visibility,
    points: [Vec3; LANDMARK_COUNT],
    box_xyxy: [f32; 4],
}

impl<'a> Set<'a> {
    fn new(
        studio: &'a mut Studio,
        identity: &Identity,
        shot: &'a Shot,
        canvas: &Canvas,
        extra: &[Light],
    ) -> Result<Set<'a>, SpaceError> {
        canvas.validate()?;
        shot.validate()?;
        let anatomy = Anatomy::new(identity, &shot.expression);
        let looks = Looks::new(identity, shot.spectrum);
        let pose = shot.pose;
        let attitude = Attitude {
            head: Rotation::from_degrees(pose.yaw, pose.pitch, pose.roll),
            torso: Rotation::from_degrees(0.45 * pose.yaw, 0.0, 0.2 * pose.roll),
        };
        let points = landmarks(&anatomy);
        let outline = face_outline(&anatomy, &points, &attitude.head);
        let camera = place_camera(canvas, shot, &points, &outline, &attitude.head);
        fill_scene(&mut studio.scene, &anatomy, &looks, &shot.occlusion, &attitude, &camera);
        let size = canvas.size as usize;
        studio.visibility.render(&studio.scene, size, size);
        let lights: Vec<Light> = shot.illumination.lights.iter().chain(extra).copied().collect();
        let brightness = |l: &Light| l.colour.iter().sum::<f32>();
        Ok(Set {
            shot,
            size,
            glasses: Glasses::new(&anatomy, &shot.occlusion, attitude.head, camera),
            box_xyxy: extent(outline.iter().map(|p| camera.project(*p))),
            strongest: lights.iter().copied().max_by(|a, b| brightness(a).total_cmp(&brightness(b))),
            lighting: Lighting::new(shot.illumination.ambient, &lights),
            head: attitude.head,
            anatomy,
            looks,
            camera,
            scene: &studio.scene,
            visibility: &studio.visibility,
            points,
        })
    }

    fn empty_labels(&self) -> Labels {
        let pixels = self.size * self.size;
        let light = self.strongest.unwrap_or(Light { direction: [0.0; 3], colour: [0.0; 3] });
        let [x, y, z] = light.direction;
        let towards = if self.strongest.is_some() { vec3(x, y, z).unit() } else { vec3(0.0, 0.0, 0.0) };
        Labels {
            size: self.size,
            landmarks: [Landmark::default(); LANDMARK_COUNT],
            five_points: [Landmark::default(); 5],
            box_xyxy: self.box_xyxy,
            parts: vec![Part::Background as u8; pixels],
            depth: vec![f32::INFINITY; pixels],
            normals: vec![[0.0; 3]; pixels],
            alpha: vec![0; pixels],
            light_direction: [towards.x, towards.y, towards.z],
            light_colour: light.colour,
        }
    }

    /// Shades every pixel; fills the maps of `labels` on the way.
    fn expose(&self, mut labels: Option<&mut Labels>) -> Film {
        let pixel = 1.0 / self.camera.pixels_per_unit();
        let painter = Painter::new(&self.anatomy, &self.looks, &self.shot.occlusion, pixel);
        let mut pixels = Vec::with_capacity(self.size * self.size);
        for y in 0..self.size {
            for x in 0..self.size {
                let mut pixel = self.shade(&painter, x, y);
                self.overlay(x, y, &mut pixel);
                if let Some(labels) = labels.as_deref_mut() {
                    pixel.write(labels, y * self.size + x);
                }
                pixels.push(pixel.light);
            }
        }
        Film { width: self.size, height: self.size, pixels }
    }

    /// One pixel of subject and background.
    fn shade(&self, painter: &Painter<'_>, x: usize, y: usize) -> Pixel {
        let mut pixel = Pixel::default();
        let mut largest = 0.0;
        let behind = self.visibility.fragments(self.scene, x, y, |f| {
            let paint = painter.paint(Object::from_tag(f.object), f.local);
            let light = self.lighting.shade(&paint.material(), f.normal, paint.openness.clamp(0.0, 1.0));
            pixel.light = add(pixel.light, scale(light, f.share));
            if f.share > largest {
                largest = f.share;
                (pixel.part, pixel.depth, pixel.normal) = (paint.part, f.depth, f.normal);
            }
        });
        if behind > 0.0 {
            let share = |v: usize| (v as f32 + 0.5) / self.size as f32;
            let light = background::colour(&self.shot.background, share(x), share(y));
            pixel.light = add(pixel.light, scale(light, behind));
            if behind > 0.5 {
                (pixel.part, pixel.depth, pixel.normal) =
                    (Part::Background, f32::INFINITY, vec3(0.0, 0.0, 0.0));
            }
        }
        pixel.alpha = 1.0 - behind;
        pixel
    }

    /// Glasses and obstacles over one pixel.
    fn overlay(&self, x: usize, y: usize, pixel: &mut Pixel) {
        let at = [x as f32 + 0.5, y as f32 + 0.5];
        if let Some(glasses) = &self.glasses {
            let mut layers: [Option<Layer>; 3] = [None; 3];
            let mut count = 0;
            glasses.layers(at, |layer| {
                layers[count] = Some(layer);
                count += 1;
            });
            layers.sort_by(|a, b| {
                let depth = |l: &Option<Layer>| l.map_or(f32::NEG_INFINITY, |l| l.depth);
                depth(b).total_cmp(&depth(a))
            });
            let depth = pixel.depth;
            for layer in layers.into_iter().flatten().filter(|l| l.depth < depth) {
                let material = Material { albedo: layer.colour, gloss: 0.04, polish: 6 };
                pixel.cover(self.lighting.shade(&material, layer.normal, 1.0), layer.alpha);
            }
        }
        if let Some(o) = &self.shot.occlusion.obstacle {
            let side = self.size as f32;
            if let Some((light, alpha)) =
                obstacle(o, [at[0] / side, at[1] / side], 1.0 / side, &self.lighting)
            {
                pixel.cover(light, alpha);
            }
        }
    }

    /// From light to bytes.
    fn develop(&self, mut film: Film) -> RgbImage {
        let (e, side) = (&self.shot.exposure, self.size as f32);
        if self.shot.spectrum == Spectrum::NearInfrared {
            for pixel in &mut film.pixels {
                *pixel = [0.5 * pixel[0] + 0.35 * pixel[1] + 0.15 * pixel[2]; 3];
            }
        }
        film.blur(e.blur * side);
        film.smear(e.motion * side, e.motion_angle);
        film.coarsen(e.resolution);
        let mut rng = stream(self.shot.noise_seed, "faces.noise", 0);
        film.develop(e.gain, e.gamma, e.noise, self.shot.spectrum == Spectrum::NearInfrared, &mut rng)
    }

    /// Projects the landmarks and tests what hides them.
    fn label_points(&self, labels: &mut Labels) {
        let mark = |p: Vec3| {
            let [x, y, depth] = self.camera.project(self.head.apply(p));
            let tolerance = 0.07 * self.camera.pixels_per_unit() + 0.5;
            let visible = self.visibility.farthest_depth_near([x, y]).is_some_and(|seen| {
                let class = labels.parts
                    [(y as usize).min(self.size - 1) * self.size + (x as usize).min(self.size - 1)];
                depth <= seen + tolerance && class != Part::Occluder as u8 && class != Part::Hair as u8
            });
            Landmark { position: [x, y], depth, visible }
        };
        let marks = self.points.map(mark);
        let five = five_points(&self.points).map(mark);
        (labels.landmarks, labels.five_points) = (marks, five);
    }
}

/// One pixel on its way to film and labels.
#[derive(Clone, Copy)]
struct Pixel {
    light: Rgb,
    alpha: f32,
    part: Part,
    depth: f32,
    normal: Vec3,
}

impl Default for Pixel {
    fn default() -> Self {
        let nowhere = vec3(0.0, 0.0, 0.0);
        Pixel { light: [0.0; 3], alpha: 0.0, part: Part::Background, depth: f32::INFINITY, normal: nowhere }
    }
}

impl Pixel {
    fn cover(&mut self, light: Rgb, alpha: f32) {
        self.light = mix(self.light, light, alpha);
        self.alpha += (1.0 - self.alpha) * alpha;
        if alpha > 0.5 {
            self.part = Part::Occluder;
        }
    }

    fn write(&self, labels: &mut Labels, index: usize) {
        labels.parts[index] = self.part as u8;
        labels.depth[index] = self.depth;
        labels.normals[index] = [self.normal.x, self.normal.y, self.normal.z];
        labels.alpha[index] = (self.alpha * 255.0 + 0.5) as u8;
    }
}

/// Points whose extent is the face's box: the front of the head from chin to hairline, in camera axes.
fn face_outline(a: &Anatomy, points: &[Vec3; LANDMARK_COUNT], head: &Rotation) -> Vec<Vec3> {
    const STEPS: usize = 8;
    let mut outline: Vec<Vec3> = points.iter().map(|p| head.apply(*p)).collect();
    for i in 0..=STEPS {
        let s = 2.0 * i as f32 / STEPS as f32 - 1.0;
        let depth = a.section_depth(s);
        for j in 0..=STEPS {
            let row = a.row_at(a.chin + 0.01 + (0.62 - a.chin) * j as f32 / STEPS as f32);
            outline.push(head.apply(a.front_of(&row, s, depth)));
        }
    }
    outline
}

/// x0, y0, x1, y1 of projected points.
fn extent(points: impl Iterator<Item = [f32; 3]>) -> [f32; 4] {
    let nothing = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
    points.fold(nothing, |b, [x, y, _]| [b[0].min(x), b[1].min(y), b[2].max(x), b[3].max(y)])
}

fn place_camera(
    canvas: &Canvas,
    shot: &Shot,
    points: &[Vec3; LANDMARK_COUNT],
    outline: &[Vec3],
    head: &Rotation,
) -> Camera {
    let size = canvas.size as f32;
    let middle = [0.5 * size; 2];
    let framed = match canvas.framing {
        Framing::Aligned => {
            let five = five_points(points).map(|p| head.apply(p));
            let targets = ALIGNED_TEMPLATE.map(|t| t.map(|v| v * size / 112.0));
            let usual = 55.0 * size / 112.0;
            let camera = Camera::fit(&five, &targets).unwrap_or_else(|| Camera::level(usual, middle));
            // Points that nearly coincide (a face seen from far below) must not fill the picture.
            let limit = camera.pixels_per_unit().clamp(0.6 * usual, 1.6 * usual);
            camera.adjusted(limit / camera.pixels_per_unit().max(1e-6), middle, [0.0; 2])
        }
        Framing::Box { margin } => {
            let [x0, y0, x1, y1] = extent(outline.iter().map(|p| [p.x, -p.y, 0.0]));
            let scale = size / ((x1 - x0).max(y1 - y0) * (1.0 + 2.0 * margin));
            Camera::level(scale, [0.5 * (size - scale * (x0 + x1)), 0.5 * (size - scale * (y0 + y1))])
        }
    };
    framed.adjusted(shot.crop.zoom, middle, shot.crop.shift.map(|s| s * size))
}

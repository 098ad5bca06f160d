//! A rendered face and everything that is known about it.

use image::RgbImage;

use super::landmarks::LANDMARK_COUNT;
use super::part::Part;

/// A landmark in the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Landmark {
    /// x and y in pixels (pixel `(0, 0)` covers `[0, 1) × [0, 1)`); may lie outside the picture.
    pub position: [f32; 2],
    /// Depth in pixels relative to the middle of the head, growing away from the camera.
    pub depth: f32,
    /// Whether it lies in the picture and is hidden neither by the head, nor by hair, nor by an occluder.
    pub visible: bool,
}

/// Labels of a face. Maps are row-major, of the picture's size.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// Side of the maps in pixels.
    pub size: usize,
    /// The 68 landmarks in iBUG order, from the picture's left at frontal pose: jaw 0–16, brows 17–26, nose 27–35,
    /// eyes 36–47, lips 48–67. Fixed points of the head: the far side of a turned jaw is hidden, not moved.
    pub landmarks: [Landmark; LANDMARK_COUNT],
    /// The five points of alignment: left eye, right eye (the viewer's), tip of the nose, left and right corner of
    /// the mouth.
    pub five_points: [Landmark; 5],
    /// The face from chin to hairline and from side to side: x0, y0, x1, y1 in pixels; may leave the picture.
    pub box_xyxy: [f32; 4],
    /// Class of each pixel: [`Part`] as a number.
    pub parts: Vec<u8>,
    /// Depth of the subject in pixels relative to the middle of the head, growing away from the camera;
    /// infinite where there is no subject. Objects held before the face do not count.
    pub depth: Vec<f32>,
    /// Unit normals of the subject in the picture's axes (x right, y up, z towards the camera); zero where there is
    /// no subject.
    pub normals: Vec<[f32; 3]>,
    /// Share of each pixel that subject and occluders cover, 0 to 255: for pasting the face into a scene.
    pub alpha: Vec<u8>,
    /// Direction (unit, camera axes: x right, y up, z towards the camera) of the strongest light; zero if there is
    /// none.
    pub light_direction: [f32; 3],
    /// Linear colour of the strongest light.
    pub light_colour: [f32; 3],
}

impl Labels {
    /// The eleven-class mask of face parsing (Helen, LaPa): ears, neck, clothes and occluders are background.
    pub fn parsing_mask(&self) -> Vec<u8> {
        self.parts.iter().map(|&p| Part::from_class(p).map_or(0, Part::parsing_class)).collect()
    }

    /// Nearness in `[0, 1]`: 1 at the nearest point of the subject, falling to 0 over one face length away from it;
    /// 0 where there is no subject. This is the depth target of liveness methods.
    pub fn nearness(&self) -> Vec<f32> {
        let nearest = self.depth.iter().copied().fold(f32::INFINITY, f32::min);
        let reach = (self.box_xyxy[3] - self.box_xyxy[1]).max(self.box_xyxy[2] - self.box_xyxy[0]).max(1.0);
        self.depth
            .iter()
            .map(|&d| if d.is_finite() { (1.0 - (d - nearest) / reach).clamp(0.0, 1.0) } else { 0.0 })
            .collect()
    }

    /// Whether a part is seen at all.
    pub fn shows(&self, part: Part) -> bool {
        self.parts.contains(&(part as u8))
    }
}

/// A picture of a face with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// The picture.
    pub picture: RgbImage,
    /// Everything known about it.
    pub labels: Labels,
}

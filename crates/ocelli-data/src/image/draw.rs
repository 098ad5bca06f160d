//! Drawing on pictures for reports and predictions: lines, boxes, points, small text.
//!
//! Coordinates are pixels, `(0, 0)` the centre of the upper left one. Whatever lies outside the picture is cut off,
//! and shapes with a coordinate that is no finite number are left out.

use ::image::{Rgb, RgbImage};

use super::font::{self, GLYPH_HEIGHT, GLYPH_WIDTH};

/// Red, green, blue.
pub type Colour = [u8; 3];

/// The `index`-th of ten well distinguishable colours, then the same again.
pub fn palette(index: usize) -> Colour {
    const COLOURS: [Colour; 10] = [
        [230, 60, 60],
        [60, 170, 80],
        [70, 110, 230],
        [240, 180, 40],
        [150, 80, 200],
        [60, 190, 200],
        [240, 120, 40],
        [220, 90, 170],
        [150, 190, 50],
        [150, 110, 80],
    ];
    COLOURS[index % COLOURS.len()]
}

/// A picture to draw on.
///
/// ```
/// use ocelli_data::image::{Canvas, RgbImage, palette};
///
/// let mut picture = RgbImage::new(120, 80);
/// Canvas::new(&mut picture).rectangle([10.0, 20.0, 60.0, 70.0], palette(0), 2).text(10, 4, "face 0.98", palette(0), 1);
/// ```
pub struct Canvas<'a> {
    picture: &'a mut RgbImage,
}

impl<'a> Canvas<'a> {
    /// Draws on `picture`.
    pub fn new(picture: &'a mut RgbImage) -> Self {
        Self { picture }
    }

    /// Fills the pixels of columns `x0..x1` and rows `y0..y1`.
    pub fn fill(&mut self, x0: i64, y0: i64, x1: i64, y1: i64, colour: Colour) -> &mut Self {
        let columns = x0.clamp(0, self.picture.width().into())..x1.clamp(0, self.picture.width().into());
        let rows = y0.clamp(0, self.picture.height().into())..y1.clamp(0, self.picture.height().into());
        for y in rows {
            for x in columns.clone() {
                self.picture.put_pixel(x as u32, y as u32, Rgb(colour));
            }
        }
        self
    }

    /// A square dot of `size` pixels about `point` (`[x, y]`).
    pub fn point(&mut self, point: [f32; 2], colour: Colour, size: u32) -> &mut Self {
        if point.iter().all(|v| v.is_finite()) {
            self.dot(point[0].round() as i64, point[1].round() as i64, colour, size);
        }
        self
    }

    fn dot(&mut self, x: i64, y: i64, colour: Colour, size: u32) {
        let size = i64::from(size.max(1));
        let (x0, y0) = (x.saturating_sub((size - 1) / 2), y.saturating_sub((size - 1) / 2));
        self.fill(x0, y0, x0.saturating_add(size), y0.saturating_add(size), colour);
    }

    /// The outline of a box `[x0, y0, x1, y1]`, `thickness` pixels strong.
    pub fn rectangle(&mut self, box_xyxy: [f32; 4], colour: Colour, thickness: u32) -> &mut Self {
        let [x0, y0, x1, y1] = box_xyxy;
        self.polyline(&[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], colour, thickness)
    }

    /// A line through all points (`[x, y]`) in turn.
    pub fn polyline(&mut self, points: &[[f32; 2]], colour: Colour, thickness: u32) -> &mut Self {
        for pair in points.windows(2) {
            self.line(pair[0], pair[1], colour, thickness);
        }
        self
    }

    /// A line between two points (`[x, y]`), `thickness` pixels strong.
    pub fn line(&mut self, from: [f32; 2], to: [f32; 2], colour: Colour, thickness: u32) -> &mut Self {
        // Cut to the picture first, so that a far end costs no time.
        let margin = thickness as f32 + 1.0;
        let high = [self.picture.width() as f32 + margin, self.picture.height() as f32 + margin];
        let Some((from, to)) = clip(from, to, -margin, high) else { return self };
        let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil().max(1.0);
        for step in 0..=steps as u32 {
            let t = step as f32 / steps;
            let at = [0, 1].map(|i| (from[i] + t * (to[i] - from[i])).round() as i64);
            self.dot(at[0], at[1], colour, thickness);
        }
        self
    }

    /// Text with its upper left corner at `(x, y)`, every font pixel `scale` pixels large. Letters are capitals;
    /// characters the font does not know are drawn as boxes; a newline starts a new line.
    pub fn text(&mut self, x: i64, y: i64, text: &str, colour: Colour, scale: u32) -> &mut Self {
        let scale = i64::from(scale.max(1));
        for (row, line) in (0i64..).zip(text.lines()) {
            let top = y.saturating_add(row * (GLYPH_HEIGHT + 2) * scale);
            for (column, letter) in (0i64..).zip(line.chars()) {
                let left = x.saturating_add(column * (GLYPH_WIDTH + 1) * scale);
                self.letter(left, top, letter, colour, scale);
            }
        }
        self
    }

    fn letter(&mut self, left: i64, top: i64, letter: char, colour: Colour, scale: i64) {
        for (row, bits) in (0i64..).zip(font::glyph(letter)) {
            for column in (0..GLYPH_WIDTH).filter(|c| bits >> (GLYPH_WIDTH - 1 - c) & 1 == 1) {
                let (x, y) = (left.saturating_add(column * scale), top.saturating_add(row * scale));
                self.fill(x, y, x.saturating_add(scale), y.saturating_add(scale), colour);
            }
        }
    }

    /// Width and height in pixels of what [`Canvas::text`] draws.
    pub fn text_size(text: &str, scale: u32) -> [u32; 2] {
        let columns = text.lines().map(|l| l.chars().count()).max().unwrap_or(0) as u32;
        let rows = text.lines().count() as u32;
        let extent = |n: u32, step: i64, gap: u32| (n * step as u32).saturating_sub(gap) * scale.max(1);
        [extent(columns, GLYPH_WIDTH + 1, 1), extent(rows, GLYPH_HEIGHT + 2, 2)]
    }
}

/// The part of a line inside the box from `(low, low)` to `high` (Liang and Barsky), if any.
fn clip(from: [f32; 2], to: [f32; 2], low: f32, high: [f32; 2]) -> Option<([f32; 2], [f32; 2])> {
    if from.iter().chain(&to).any(|v| !v.is_finite()) {
        return None;
    }
    // Beyond some millions of pixels the ends' exact places no longer matter, but their rounding errors would.
    let [from, to] = [from, to].map(|p| p.map(|v| f64::from(v).clamp(-1e7, 1e7)));
    let (mut enter, mut leave) = (0.0f64, 1.0f64);
    for axis in 0..2 {
        let delta = to[axis] - from[axis];
        for (distance, slope) in
            [(from[axis] - f64::from(low), -delta), (f64::from(high[axis]) - from[axis], delta)]
        {
            if slope == 0.0 {
                if distance < 0.0 {
                    return None;
                }
            } else if slope < 0.0 {
                enter = enter.max(distance / slope);
            } else {
                leave = leave.min(distance / slope);
            }
        }
    }
    let at = |t: f64| [0, 1].map(|i| (from[i] + t * (to[i] - from[i])) as f32);
    (enter <= leave).then(|| (at(enter), at(leave)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Colour = [255; 3];

    fn painted(width: u32, height: u32, draw: impl FnOnce(&mut Canvas<'_>)) -> Vec<String> {
        let mut picture = RgbImage::new(width, height);
        draw(&mut Canvas::new(&mut picture));
        (0..height)
            .map(|y| (0..width).map(|x| if picture.get_pixel(x, y).0 == WHITE { '#' } else { '.' }).collect())
            .collect()
    }

    #[test]
    fn shapes_cover_their_pixels() {
        let rectangle = painted(6, 5, |c| _ = c.rectangle([1.0, 1.0, 4.0, 3.0], WHITE, 1));
        assert_eq!(rectangle, ["......", ".####.", ".#..#.", ".####.", "......"]);
        let line = painted(4, 4, |c| _ = c.line([0.0, 0.0], [3.0, 3.0], WHITE, 1));
        assert_eq!(line, ["#...", ".#..", "..#.", "...#"]);
        let point = painted(4, 3, |c| _ = c.point([1.2, 0.9], WHITE, 2));
        assert_eq!(point, ["....", ".##.", ".##."]);
    }

    #[test]
    fn text_is_readable_and_measured() {
        let text = painted(11, 7, |c| _ = c.text(0, 0, "1t", WHITE, 1));
        assert_eq!(
            text,
            [
                "..#...#####",
                ".##.....#..",
                "..#.....#..",
                "..#.....#..",
                "..#.....#..",
                "..#.....#..",
                ".###....#.."
            ]
        );
        assert_eq!(Canvas::text_size("1t", 1), [11, 7]);
        assert_eq!(Canvas::text_size("ab\nc", 2), [22, 32]);
        assert_eq!(Canvas::text_size("", 1), [0, 0]);
    }

    #[test]
    fn far_and_senseless_coordinates_cost_nothing() {
        let far = painted(5, 3, |c| {
            c.line([-1e30, 1.0], [1e30, 1.0], WHITE, 1)
                .line([f32::NAN, 0.0], [1.0, 0.0], WHITE, 1)
                .rectangle([f32::INFINITY; 4], WHITE, 3)
                .point([f32::NEG_INFINITY, 0.0], WHITE, 9)
                .text(i64::MAX, i64::MIN, "far\naway", WHITE, u32::MAX)
                .fill(i64::MIN, 9, i64::MAX, i64::MAX, WHITE);
        });
        assert_eq!(far, [".....", "#####", "....."]);
    }
}

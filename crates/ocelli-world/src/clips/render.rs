//! Small films with subtitles: the scripts of [`EmotionClips`] played by a drawn figure.
//!
//! A film shows one figure before a plain background. In the windows of its script the figure's face has the expression of
//! the emotion, and the subtitle of the segment a word that says it; where a script has a distractor, a sign hangs beside
//! the figure, or another word is said. The figure walks, jumps and comes nearer for stretches of its own, and the
//! background changes at cuts, where nothing else need begin or end.
//!
//! ```
//! use ocelli_world::clips::render::Films;
//!
//! let film = Films::default().film(0)?;
//! assert_eq!((film.frames.len(), film.subtitles.len()), (64, 16));
//! assert_eq!(film.frames[0].dimensions(), (64, 48));
//! # Ok::<(), String>(())
//! ```

use image::{Rgb, RgbImage};
use ocelli_method::random::{Generator, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::emotion::{EmotionClips, Script, Stretch};

/// A world of films; film `index` is a pure function of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Films {
    /// Writes the scripts.
    pub scripts: EmotionClips,
    /// Width and height of a frame in pixels.
    pub size: [u32; 2],
    /// Frames of a segment.
    pub frames: usize,
    /// Frames a second.
    pub rate: f64,
    /// Actions of a film.
    pub actions: usize,
    /// Changes of the background.
    pub cuts: usize,
    /// Standard deviation of the noise on each channel of a pixel, of 255.
    pub grain: f32,
}

impl Default for Films {
    fn default() -> Self {
        let scripts = EmotionClips::default();
        Self { scripts, size: [64, 48], frames: 4, rate: 4.0, actions: 2, cuts: 2, grain: 4.0 }
    }
}

/// What a figure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To one side, to the other, and back.
    Walk,
    /// Up and down.
    Jump,
    /// Nearer and away again.
    Approach,
}

const ACTIONS: [Action; 3] = [Action::Walk, Action::Jump, Action::Approach];

impl Action {
    /// The action that a [`Stretch`] of actions calls by its class.
    pub fn of(stretch: &Stretch) -> Self {
        ACTIONS[stretch.class % ACTIONS.len()]
    }
}

/// A line of the subtitles.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// When it appears, in seconds.
    pub start: f64,
    /// When it goes.
    pub end: f64,
    /// What is said.
    pub text: String,
}

/// A film.
#[derive(Clone, Debug, PartialEq)]
pub struct Film {
    /// All frames.
    pub frames: Vec<RgbImage>,
    /// A line for each segment.
    pub subtitles: Vec<Line>,
    /// Which emotions are shown when, and what deceives.
    pub script: Script,
    /// Which actions are made when; see [`Action::of`].
    pub actions: Vec<Stretch>,
    /// The segments that begin with a change of the background.
    pub cuts: Vec<usize>,
}

impl Films {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no film could be made with.
    pub fn validate(&self) -> Result<(), String> {
        if self.size.iter().any(|side| !(16..=2048).contains(side)) {
            return Err(format!("size: {:?} is outside 16 to 2048", self.size));
        }
        if !(1..=1000).contains(&self.frames) {
            return Err(format!("frames: {} is outside 1 to 1000", self.frames));
        }
        if !(self.rate.is_finite() && self.rate > 0.0) {
            return Err(format!("rate: {} is not above 0", self.rate));
        }
        match self.grain.is_finite() && self.grain >= 0.0 {
            true => Ok(()),
            false => Err(format!("grain: {} is below 0", self.grain)),
        }
    }

    /// A film.
    ///
    /// # Errors
    /// When [`Films::validate`] refuses the settings.
    pub fn film(&self, index: u64) -> Result<Film, String> {
        self.validate()?;
        let (seed, segments) = (self.scripts.seed, self.scripts.segments);
        let g = &mut stream(seed, "clips.film", index);
        let script = self.scripts.script(index);
        let actions = (0..self.actions).filter_map(|_| action(segments, g)).collect::<Vec<_>>();
        let mut cuts: Vec<usize> =
            (0..if segments > 1 { self.cuts } else { 0 }).map(|_| g.random_range(1..segments)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let scenes: Vec<[f32; 3]> =
            (0..=cuts.len()).map(|_| [0; 3].map(|_| 60.0 + 120.0 * g.random::<f32>())).collect();
        let mut frames = Vec::with_capacity(segments * self.frames);
        for segment in 0..segments {
            let scene = scenes[cuts.iter().filter(|cut| **cut <= segment).count()];
            for frame in 0..self.frames {
                let time = segment as f32 + frame as f32 / self.frames as f32;
                frames.push(self.draw(&script, &pose(&actions, time), segment, scene, g));
            }
        }
        let seconds = self.frames as f64 / self.rate;
        let line = |segment: usize| Line {
            start: segment as f64 * seconds,
            end: (segment + 1) as f64 * seconds,
            text: self.said(&script, segment, g),
        };
        let subtitles = (0..segments).map(line).collect();
        Ok(Film { frames, subtitles, script, actions, cuts })
    }

    /// What is said in a segment: three words of everyday speech, and one for whatever is there.
    fn said(&self, script: &Script, segment: usize, g: &mut Generator) -> String {
        let mut words: Vec<String> = (0..3).map(|_| word("speech", g.random_range(0..40))).collect();
        for (kind, stretches) in [("window", &script.windows), ("distractor", &script.heard)] {
            for stretch in stretches.iter().filter(|s| s.holds(segment)) {
                // Three words to say it with.
                let number = 3 * stretch.class as u64 + g.random_range(0..3);
                words.insert(g.random_range(0..=words.len()), word(kind, number));
            }
        }
        words.join(" ")
    }

    fn draw(
        &self,
        script: &Script,
        pose: &Pose,
        segment: usize,
        scene: [f32; 3],
        g: &mut Generator,
    ) -> RgbImage {
        let here = |stretches: &[Stretch]| -> Vec<Look> {
            stretches.iter().filter(|s| s.holds(segment)).map(|s| Look::of(s.class)).collect()
        };
        let (faces, signs) = (here(&script.windows), here(&script.seen));
        let [width, height] = self.size.map(|side| side as f32);
        let mut picture = RgbImage::new(self.size[0], self.size[1]);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            // Across the frame from -1 to 1, in squares of the height.
            let at = [(2.0 * x as f32 + 1.0 - width) / height, (2.0 * y as f32 + 1.0 - height) / height];
            let mut colour = scene.map(|c| c * (1.0 - 0.2 * at[1]));
            for (number, look) in signs.iter().enumerate() {
                let corner = [width / height - 0.25, -0.75 + 0.5 * number as f32];
                if look.sign([at[0] - corner[0], at[1] - corner[1]]) {
                    colour = look.colour;
                }
            }
            let own = [(at[0] - pose.x) / pose.scale, (at[1] - pose.y) / pose.scale];
            if let Some(figure) = figure(own, &faces) {
                colour = figure;
            }
            let noisy = colour.map(|c| c + self.grain * (g.random::<f32>() - 0.5) * 12f32.sqrt());
            *pixel = Rgb(noisy.map(|c| c.round().clamp(0.0, 255.0) as u8));
        }
        picture
    }
}

/// An action of two to five segments at a random place; none in a clip without segments.
fn action(segments: usize, g: &mut Generator) -> Option<Stretch> {
    let length = g.random_range(2..=5usize).min(segments);
    let class = g.random_range(0..ACTIONS.len());
    let first = g.random_range(0..=segments - length);
    (length > 0).then(|| Stretch { class, first, last: first + length - 1 })
}

/// Where the figure is, and how large.
struct Pose {
    x: f32,
    y: f32,
    scale: f32,
}

/// The pose at a time in segments. An action begins and ends where the figure stands without one.
fn pose(actions: &[Stretch], time: f32) -> Pose {
    let mut pose = Pose { x: 0.0, y: 0.15, scale: 1.0 };
    for stretch in actions {
        let (start, end) = (stretch.first as f32, (stretch.last + 1) as f32);
        if (start..end).contains(&time) {
            let turn = std::f32::consts::TAU * (time - start) / (end - start);
            match Action::of(stretch) {
                Action::Walk => pose.x += 0.5 * turn.sin(),
                Action::Jump => pose.y -= 0.4 * turn.sin().abs(),
                Action::Approach => pose.scale *= 1.0 + 0.25 * (1.0 - turn.cos()),
            }
        }
    }
    pose
}

/// What an emotion looks like.
#[derive(Clone, Copy)]
struct Look {
    /// From -1, corners down, to 1, corners up.
    smile: f32,
    /// How far the mouth is open.
    open: f32,
    /// From -1, inner ends up, to 1, inner ends down.
    brows: f32,
    /// Of the sign that goes along with it.
    colour: [f32; 3],
    /// Corners of that sign: a power, from a diamond to a square.
    power: f32,
}

impl Look {
    /// Neighbouring numbers look apart: multiples of irrational numbers spread evenly.
    fn of(class: usize) -> Self {
        let spread = |step: f32| (0.5 + class as f32 * step).fract();
        Self {
            smile: 2.0 * spread(0.618_034) - 1.0,
            open: spread(0.414_214),
            brows: 2.0 * spread(0.732_051) - 1.0,
            colour: [0.236_068, 0.645_751, 0.316_625].map(|step| 255.0 * spread(step)),
            power: 0.7 + 4.0 * spread(0.302_776),
        }
    }

    fn sign(&self, [x, y]: [f32; 2]) -> bool {
        (x.abs() / 0.2).powf(self.power) + (y.abs() / 0.2).powf(self.power) < 1.0
    }
}

/// The colour of the figure at a place, in heads of radius a half; nothing beside it. Two emotions at a time share the face.
fn figure([x, y]: [f32; 2], faces: &[Look]) -> Option<[f32; 3]> {
    let disc = |cx: f32, cy: f32, r: f32| (x - cx).powi(2) + (y - cy).powi(2) < r * r;
    if !disc(0.0, -0.15, 0.5) {
        // Shoulders below the head.
        return (x.abs() < 0.45 && y > 0.3).then_some([70.0, 90.0, 150.0]);
    }
    let mean = |value: fn(&Look) -> f32| faces.iter().map(value).sum::<f32>() / faces.len().max(1) as f32;
    let (smile, open, brows) = (mean(|l| l.smile), mean(|l| l.open), mean(|l| l.brows));
    let dark = [40.0, 20.0, 20.0];
    let side = x.abs();
    let mouth = 0.12 + smile * (0.06 - 1.2 * x * x);
    let brow = -0.42 + 0.5 * brows * (0.2 - side);
    let drawn = disc(-0.2, -0.25, 0.07)
        || disc(0.2, -0.25, 0.07)
        || (side < 0.25 && (y - mouth).abs() < 0.03 + 0.1 * open * (1.0 - 16.0 * x * x).max(0.0))
        || ((0.08..0.32).contains(&side) && (y - brow).abs() < 0.03);
    Some(if drawn { dark } else { [230.0, 190.0, 160.0] })
}

/// A word that means nothing: the one with this number in a vocabulary.
fn word(vocabulary: &str, number: u64) -> String {
    let g = &mut stream(0, &format!("clips.words.{vocabulary}"), number);
    let mut letter = |letters: &[u8]| char::from(letters[g.random_range(0..letters.len())]);
    let mut word = String::new();
    for _ in 0..3 {
        word.extend([letter(b"bdfgklmnprstvz"), letter(b"aeiou")]);
    }
    word
}

/// A film as features: a row for each segment.
#[derive(Clone, Debug, PartialEq)]
pub struct FilmFeatures {
    /// Of what is seen, `[T, VIDEO_DIMS]`.
    pub video: Vec<f32>,
    /// Of what is said, `[T, text_dims]`.
    pub text: Vec<f32>,
}

/// Cells of the grid that a segment's frames are averaged in.
const GRID: [usize; 2] = [16, 12];
/// Elements of a film's video feature: colour and motion of each cell.
pub const VIDEO_DIMS: usize = GRID[0] * GRID[1] * 4;

impl Film {
    /// Features that take no training: of what is seen the mean colour of each cell of a grid and how much it changes from
    /// frame to frame, in [0, 1]; of what is said the words, each counted in one of `text_dims` places.
    pub fn features(&self, text_dims: usize) -> FilmFeatures {
        let each = self.frames.len() / self.subtitles.len().max(1);
        let video = self.frames.chunks(each.max(1)).flat_map(seen).collect();
        let text = self.subtitles.iter().flat_map(|line| heard(&line.text, text_dims)).collect();
        FilmFeatures { video, text }
    }
}

fn seen(frames: &[RgbImage]) -> Vec<f32> {
    let mut row = vec![0.0; VIDEO_DIMS];
    for (number, frame) in frames.iter().enumerate() {
        let before = &frames[number.saturating_sub(1)];
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let pixels = (width * height * frames.len()) as f32 / (GRID[0] * GRID[1]) as f32;
        for ((x, y, pixel), earlier) in frame.enumerate_pixels().zip(before.pixels()) {
            let cell = (y as usize * GRID[1] / height) * GRID[0] + x as usize * GRID[0] / width;
            for (channel, (now, then)) in pixel.0.into_iter().zip(earlier.0).enumerate() {
                row[4 * cell + channel] += f32::from(now) / 255.0 / pixels;
                row[4 * cell + 3] += f32::from(now.abs_diff(then)) / (3.0 * 255.0) / pixels;
            }
        }
    }
    row
}

fn heard(text: &str, dims: usize) -> Vec<f32> {
    let mut row = vec![0.0; dims];
    for word in text.split_whitespace() {
        if dims > 0 {
            let place = stream(0, word, 0).random_range(0..dims);
            row[place] += 1.0;
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Films {
        Films { grain: 0.0, actions: 0, cuts: 0, ..Films::default() }
    }

    #[test]
    fn films_are_the_same_each_time() {
        let films = Films::default();
        assert_eq!(films.film(3).unwrap(), films.film(3).unwrap());
        assert_ne!(films.film(3).unwrap().frames, films.film(4).unwrap().frames);
        let film = films.film(3).unwrap();
        assert_eq!(film.script, films.scripts.script(3));
        assert_eq!((film.subtitles[2].start, film.subtitles[2].end), (2.0, 3.0));
    }

    /// Frames of a still film differ exactly where the script does.
    #[test]
    fn what_is_seen_follows_the_script() {
        let mut changes = 0;
        for index in 0..10 {
            let film = quiet().film(index).unwrap();
            let at = |segment: usize| {
                let classes = |stretches: &[Stretch]| -> Vec<usize> {
                    stretches.iter().filter(|s| s.holds(segment)).map(|s| s.class).collect()
                };
                (classes(&film.script.windows), classes(&film.script.seen))
            };
            for segment in 1..16 {
                let same = film.frames[4 * segment] == film.frames[4 * segment - 1];
                assert_eq!(same, at(segment) == at(segment - 1), "film {index}, segment {segment}");
                changes += usize::from(!same);
            }
        }
        assert!(changes > 30, "{changes}");
    }

    #[test]
    fn expressions_and_signs_can_be_told_apart() {
        let figures = |class: usize| {
            let at = |i: usize| [(i % 64) as f32 / 32.0 - 1.0, (i / 64) as f32 / 32.0 - 1.0];
            let face: Vec<_> = (0..64 * 64).map(|i| figure(at(i), &[Look::of(class)])).collect();
            (face, Look::of(class).colour.map(|c| c as u8))
        };
        let all: Vec<_> = (0..18).map(figures).collect();
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other.0 != one.0 && other.1 != one.1), "{i}");
        }
    }

    #[test]
    fn what_is_said_follows_the_script() {
        let film = Films::default().film(1).unwrap();
        for (segment, line) in film.subtitles.iter().enumerate() {
            let words: Vec<&str> = line.text.split(' ').collect();
            let cues = |kind: &str, stretches: &[Stretch]| {
                let here: Vec<&Stretch> = stretches.iter().filter(|s| s.holds(segment)).collect();
                let said = |s: &&Stretch| {
                    (0..3).any(|n| words.contains(&word(kind, 3 * s.class as u64 + n).as_str()))
                };
                assert!(here.iter().all(said), "{segment}: {}", line.text);
                here.len()
            };
            let found = cues("window", &film.script.windows) + cues("distractor", &film.script.heard);
            assert_eq!(words.len(), 3 + found);
        }
    }

    #[test]
    fn actions_move_the_figure_and_cuts_change_the_scene() {
        let film = Films { grain: 0.0, ..Films::default() }.film(2).unwrap();
        assert!(!film.cuts.is_empty() && !film.actions.is_empty());
        let corner = |segment: usize| film.frames[4 * segment].get_pixel(0, 0).0;
        for segment in 1..16 {
            assert_eq!(corner(segment) != corner(segment - 1), film.cuts.contains(&segment), "{segment}");
        }
        for action in &film.actions {
            let frames = &film.frames[4 * action.first..4 * (action.last + 1)];
            assert!(frames.windows(2).any(|pair| pair[0] != pair[1]), "{action:?}");
        }
        let still = pose(&film.actions, -1.0);
        let start = pose(&film.actions[..1], film.actions[0].first as f32);
        assert_eq!((start.x, start.y, start.scale), (still.x, still.y, still.scale));
    }

    #[test]
    fn features_see_motion_and_count_words() {
        let film = quiet().film(0).unwrap();
        let features = film.features(50);
        assert_eq!((features.video.len(), features.text.len()), (16 * VIDEO_DIMS, 16 * 50));
        assert!(features.video.iter().skip(3).step_by(4).all(|motion| *motion == 0.0), "nothing moves");
        assert!(features.video.iter().all(|v| (0.0..=1.0).contains(v)));
        for (row, line) in features.text.chunks(50).zip(&film.subtitles) {
            assert_eq!(row.iter().sum::<f32>(), line.text.split(' ').count() as f32);
        }
        let moving = Films { actions: 9, ..quiet() }.film(0).unwrap().features(1);
        assert!(moving.video.iter().skip(3).step_by(4).any(|motion| *motion > 0.0));
    }

    #[test]
    fn impossible_settings_are_named() {
        let wrong = |films: Films| films.film(0).unwrap_err();
        assert_eq!(wrong(Films { size: [8, 48], ..Films::default() }), "size: [8, 48] is outside 16 to 2048");
        assert!(wrong(Films { frames: 0, ..Films::default() }).starts_with("frames:"));
        assert!(wrong(Films { rate: f64::NAN, ..Films::default() }).starts_with("rate:"));
        let short = EmotionClips { segments: 1, ..EmotionClips::default() };
        assert_eq!(Films { scripts: short, ..Films::default() }.film(0).unwrap().frames.len(), 4);
    }
}

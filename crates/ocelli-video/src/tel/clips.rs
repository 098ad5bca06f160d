//! Clips as the network takes them.

use burn::tensor::{Device, Tensor};
use ocelli_metrics::segment::Segment;
use ocelli_nn::tensor::from_values;
use ocelli_world::clips::emotion::EmotionClips;

use super::mask::Mask;
use super::network::TelShape;

/// A clip with the features of its segments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clip {
    /// Its name.
    pub name: String,
    /// What is seen in each segment, `[T, Dv]`.
    pub video: Vec<f32>,
    /// What is said, `[T, Dt]`.
    pub text: Vec<f32>,
    /// When each segment is, in seconds: the times of the subtitles.
    pub times: Vec<Segment>,
    /// Emotions of the whole clip, as numbers of classes.
    pub labels: Vec<usize>,
    /// When they are shown, where that is known.
    pub truth: Vec<(usize, Segment)>,
}

impl Clip {
    /// A clip of the built-in world, whose segments last a second each.
    pub fn of_world(world: &EmotionClips, index: u64) -> Self {
        let clip = world.clip(index);
        let second = |t: usize| Segment::new(t as f64, t as f64 + 1.0);
        let truth = clip.script.windows.iter();
        let truth: Vec<_> =
            truth.map(|w| (w.class, Segment::new(w.first as f64, w.last as f64 + 1.0))).collect();
        Self {
            name: format!("clip-{index:06}"),
            video: clip.video,
            text: clip.text,
            times: (0..world.segments).map(second).collect(),
            labels: truth.iter().map(|(class, _)| *class).collect(),
            truth,
        }
    }

    /// Says why a network of this shape cannot take the clip.
    ///
    /// # Errors
    /// No segment, features that do not fit network or times, one that is no number, an unknown class.
    pub fn check(&self, shape: &TelShape) -> Result<(), String> {
        let segments = self.times.len();
        if segments == 0 {
            return Err("it has no segment".to_owned());
        }
        let parts =
            [("video", &self.video, "d_video", shape.d_video), ("text", &self.text, "d_text", shape.d_text)];
        for (name, rows, key, dims) in parts {
            if rows.len() != segments * dims {
                let found = rows.len();
                return Err(format!(
                    "{segments} segments of {key} = {dims} want {} values of `{name}`, found {found}",
                    segments * dims
                ));
            }
            if let Some(at) = rows.iter().position(|v| !v.is_finite()) {
                let (segment, element) = (at / dims, at % dims);
                return Err(format!("element {element} of `{name}` is {} in segment {segment}", rows[at]));
            }
        }
        let classes = self.labels.iter().chain(self.truth.iter().map(|(class, _)| class));
        match classes.copied().find(|c| *c >= shape.classes) {
            Some(class) => Err(format!("class {class} is none of {}", shape.classes)),
            None => Ok(()),
        }
    }
}

/// Clips side by side, padded to the longest.
#[derive(Clone, Debug)]
pub struct ClipBatch {
    /// `[B, T, Dv]`.
    pub video: Tensor<3>,
    /// `[B, T, Dt]`.
    pub text: Tensor<3>,
    /// Which segments are real.
    pub mask: Mask,
    /// 1 for each emotion of a clip, else 0: `[B, C]`.
    pub labels: Tensor<2>,
}

impl ClipBatch {
    /// A batch of clips that [`Clip::check`] lets pass.
    pub fn new(clips: &[&Clip], shape: &TelShape, device: &Device) -> Self {
        let lengths: Vec<usize> = clips.iter().map(|c| c.times.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let padded = |rows: fn(&Clip) -> &Vec<f32>, dims: usize| {
            let mut all = Vec::with_capacity(clips.len() * longest * dims);
            for (number, clip) in clips.iter().enumerate() {
                all.extend_from_slice(rows(clip));
                all.resize((number + 1) * longest * dims, 0.0);
            }
            from_values(all, [clips.len(), longest, dims], device)
        };
        let mut labels = vec![0.0; clips.len() * shape.classes];
        for (row, clip) in labels.chunks_exact_mut(shape.classes).zip(clips) {
            clip.labels.iter().for_each(|&class| row[class] = 1.0);
        }
        Self {
            video: padded(|c| &c.video, shape.d_video),
            text: padded(|c| &c.text, shape.d_text),
            mask: Mask::of_lengths(&lengths, device),
            labels: from_values(labels, [clips.len(), shape.classes], device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::values;

    const SHAPE: TelShape = TelShape { d_video: 2, d_text: 1, dim: 4, levels: 1, heads: 1, classes: 3 };

    fn clip(segments: usize, value: f32, labels: &[usize]) -> Clip {
        Clip {
            video: vec![value; 2 * segments],
            text: vec![-value; segments],
            times: vec![Segment::default(); segments],
            labels: labels.to_vec(),
            ..Clip::default()
        }
    }

    #[test]
    fn shorter_clips_are_padded() {
        let device = ocelli_nn::device("cpu").unwrap();
        let (a, b) = (clip(1, 5.0, &[2]), clip(2, 7.0, &[0, 1]));
        let batch = ClipBatch::new(&[&a, &b], &SHAPE, &device);
        assert_eq!(values(batch.video), [5.0, 5.0, 0.0, 0.0, 7.0, 7.0, 7.0, 7.0]);
        assert_eq!(values(batch.text), [-5.0, 0.0, -7.0, -7.0]);
        assert_eq!(values(batch.mask.beside()), [1.0, 0.0, 1.0, 1.0]);
        assert_eq!(values(batch.labels), [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn what_is_wrong_with_a_clip_is_named() {
        assert_eq!(clip(2, 1.0, &[1]).check(&SHAPE), Ok(()));
        assert_eq!(clip(0, 1.0, &[]).check(&SHAPE).unwrap_err(), "it has no segment");
        assert_eq!(clip(1, 1.0, &[3]).check(&SHAPE).unwrap_err(), "class 3 is none of 3");
        let message = Clip { video: vec![0.0; 3], ..clip(2, 1.0, &[]) }.check(&SHAPE).unwrap_err();
        assert_eq!(message, "2 segments of d_video = 2 want 4 values of `video`, found 3");
        let message = Clip { text: vec![0.0, f32::NAN], ..clip(2, 1.0, &[]) }.check(&SHAPE).unwrap_err();
        assert_eq!(message, "element 0 of `text` is NaN in segment 1");
    }
}

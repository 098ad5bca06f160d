//! Which frames of a clip are looked at: samplers, all of which count from 0.
//!
//! Random ones take a function that draws from [0, 1), so that a generator, or the draws of a reference, decide.

/// A random frame from each of `wanted` equal parts of `frames` frames (Wang et al. 2016, TSN); where there are fewer than
/// wanted, the first again and again.
pub fn segments(frames: usize, wanted: usize, mut draw: impl FnMut() -> f64) -> Vec<usize> {
    match frames / wanted.max(1) {
        0 => vec![0; wanted],
        each => (0..wanted).map(|part| part * each + below(each, draw())).collect(),
    }
}

/// A whole number below `bound` by a draw from [0, 1).
fn below(bound: usize, draw: f64) -> usize {
    ((draw * bound as f64) as usize).min(bound.saturating_sub(1))
}

/// The middle frame of each of `wanted` equal parts; frames repeat where there are fewer than wanted.
pub fn middles(frames: usize, wanted: usize) -> Vec<usize> {
    let each = frames as f64 / wanted.max(1) as f64;
    (0..wanted).map(|part| (each / 2.0 + each * part as f64) as usize).collect()
}

/// The first frame of each of `wanted` equal parts; beside [`middles`] a second clip for testing.
pub fn starts(frames: usize, wanted: usize) -> Vec<usize> {
    let each = frames as f64 / wanted.max(1) as f64;
    (0..wanted).map(|part| (each * part as f64) as usize).collect()
}

/// As [`middles`], but where there are no more frames than wanted, all of them, and the last again and again; with the
/// number of frames that are no repetition.
pub fn middles_or_all(frames: usize, wanted: usize) -> (Vec<usize>, usize) {
    if frames > wanted {
        return (middles(frames, wanted), wanted);
    }
    ((0..wanted).map(|i| i.min(frames.saturating_sub(1))).collect(), frames)
}

/// `wanted` frames evenly spread over `span` consecutive ones from `start` on (dense sampling); past the end it goes on from
/// the beginning.
pub fn dense(frames: usize, wanted: usize, span: usize, start: usize) -> Vec<usize> {
    let stride = span / wanted.max(1);
    (0..wanted).map(|i| (start + i * stride) % frames.max(1)).collect()
}

/// The last place where `span` frames fit, 0 where they do not.
fn last_start(frames: usize, span: usize) -> usize {
    frames.saturating_sub(span.max(1))
}

/// A random start for [`dense`]: before the last of the places where `span` frames fit.
pub fn dense_start(frames: usize, span: usize, mut draw: impl FnMut() -> f64) -> usize {
    let last = last_start(frames, span);
    if last == 0 {
        return 0;
    }
    below(last, draw())
}

/// `clips` starts for [`dense`], spread evenly over the places where `span` frames fit: how dense sampling is tested.
pub fn dense_starts(frames: usize, span: usize, clips: usize) -> Vec<usize> {
    let last = last_start(frames, span);
    let step = last as f64 / clips.saturating_sub(1).max(1) as f64;
    (0..clips).map(|i| if i > 0 && i + 1 == clips { last } else { (i as f64 * step) as usize }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Draws in the order of a list.
    fn drawn(list: &[f64]) -> impl FnMut() -> f64 {
        let mut list = list.iter().copied();
        move || list.next().unwrap()
    }

    // Values of TEINet's sampling in its reference code.
    #[test]
    fn parts_are_sampled_as_in_the_reference() {
        let u = [0.31129, 0.64329, 0.91286, 0.98521, 0.58299, 0.67487, 0.64348, 0.3729];
        assert_eq!(segments(100, 8, drawn(&u)), [3, 19, 34, 47, 54, 68, 79, 88]);
        let u = [0.23243, 0.59769, 0.95977, 0.61291, 0.00882, 0.44871, 0.77685, 0.60185];
        assert_eq!(segments(11, 8, drawn(&u)), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(segments(5, 8, drawn(&[])), [0; 8]);
        assert_eq!(middles(100, 8), [6, 18, 31, 43, 56, 68, 81, 93]);
        assert_eq!(middles(11, 8), [0, 2, 3, 4, 6, 7, 8, 10]);
        assert_eq!(middles(5, 8), [0, 0, 1, 2, 2, 3, 4, 4]);
        assert_eq!(starts(100, 8), [0, 12, 25, 37, 50, 62, 75, 87]);
        assert_eq!(starts(5, 8), [0, 0, 1, 1, 2, 3, 3, 4]);
    }

    #[test]
    fn dense_clips_are_sampled_as_in_the_reference() {
        assert_eq!(dense_starts(100, 64, 10), [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]);
        assert_eq!(dense_starts(11, 64, 10), [0; 10]);
        assert_eq!(dense(100, 8, 64, 36), [36, 44, 52, 60, 68, 76, 84, 92]);
        assert_eq!(dense(11, 8, 64, 0), [0, 8, 5, 2, 10, 7, 4, 1]);
        assert_eq!([0.0, 0.999].map(|u| dense_start(100, 64, || u)), [0, 35]);
        assert_eq!(dense_start(64, 64, || 0.9), 0);
    }

    // Values of CenterCLIP's test-time sampling in its reference code.
    #[test]
    fn short_clips_repeat_their_last_frame() {
        assert_eq!(middles_or_all(100, 12).0, [4, 12, 20, 29, 37, 45, 54, 62, 70, 79, 87, 95]);
        assert_eq!(middles_or_all(13, 12).0, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]);
        assert_eq!(middles_or_all(5, 12), (vec![0, 1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 4], 5));
        assert_eq!(middles_or_all(12, 12), ((0..12).collect(), 12));
    }

    proptest! {
        #[test]
        fn samplers_stay_within_the_clip(frames in 1usize..300, wanted in 0usize..40, span in 0usize..100, u in 0.0f64..1.0) {
            let all = [
                segments(frames, wanted, || u),
                middles(frames, wanted),
                starts(frames, wanted),
                middles_or_all(frames, wanted).0,
                dense(frames, wanted, span, dense_start(frames, span, || u)),
            ];
            for chosen in all {
                prop_assert_eq!(chosen.len(), wanted);
                prop_assert!(chosen.iter().all(|&i| i < frames), "{:?}", chosen);
            }
            prop_assert!(dense_starts(frames, span, wanted).iter().all(|&s| s < frames));
        }
    }
}

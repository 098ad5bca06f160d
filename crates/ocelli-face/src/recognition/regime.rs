//! How training pictures are spread over people, and how good they are: deep, shallow, imbalanced, degraded.
//!
//! The regimes of the literature, made of any set of pictures: two pictures a person (Du et al. 2020), a long tail of
//! people with few (Zhu et al. 2020), a share of them small or blurred (Yin et al. 2020; Huang et al. 2020). What is
//! left out or degraded depends on the recipe's seed alone. Test pictures stay as they are.

use image::RgbImage;
use ocelli_data::DataError;
use ocelli_data::augment::gaussian_blur;
use ocelli_data::image::{Filter, resize};
use ocelli_method::random::stream;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// A recipe's section `data.regime`. The default is deep: all pictures as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegimeConfig {
    /// Pictures kept of each person at most, drawn at random; 0 keeps all, 2 is the shallow regime.
    pub pictures: usize,
    /// Imbalance: the person who comes r-th in a random order keeps the share decay^r of their pictures; 1 is balanced.
    pub decay: f64,
    /// Pictures that imbalance leaves to each person at least.
    pub least: usize,
    /// Share of the pictures that are degraded, from 0 to 1.
    pub degraded: f64,
    /// A degraded picture is reduced to a side of so many pixels, drawn evenly between the two, and enlarged again.
    pub sides: [u32; 2],
    /// It is then blurred by a Gaussian of a standard deviation drawn evenly between 0 and this many pixels; 0 does not.
    pub blur: f64,
}

impl Default for RegimeConfig {
    fn default() -> Self {
        Self { pictures: 0, decay: 1.0, least: 2, degraded: 0.0, sides: [8, 24], blur: 0.0 }
    }
}

impl RegimeConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        if !(self.decay > 0.0 && self.decay <= 1.0) {
            return Err(format!("data.regime.decay: {} is not above 0 and at most 1", self.decay));
        }
        if self.least == 0 {
            return Err("data.regime.least: must be at least 1".to_owned());
        }
        if !(0.0..=1.0).contains(&self.degraded) {
            return Err(format!("data.regime.degraded: {} is outside 0 to 1", self.degraded));
        }
        let [low, high] = self.sides;
        if low == 0 || low > high {
            return Err(format!("data.regime.sides: {low} to {high} pixels is no range above 0"));
        }
        match self.blur.is_finite() && self.blur >= 0.0 {
            true => Ok(()),
            false => Err(format!("data.regime.blur: {} is below 0", self.blur)),
        }
    }

    /// Which pictures are kept, rising, of those with these labels (identities from 0).
    pub fn keep(&self, labels: &[usize], seed: u64) -> Vec<usize> {
        let identities = labels.iter().max().map_or(0, |&last| last + 1);
        let mut members = vec![Vec::new(); identities];
        labels.iter().enumerate().for_each(|(picture, &label)| members[label].push(picture));
        let mut ranks: Vec<usize> = (0..identities).collect();
        ranks.shuffle(&mut stream(seed, "regime rank", 0));
        let mut kept = Vec::with_capacity(labels.len());
        for (identity, mut own) in members.into_iter().enumerate() {
            let count = self.count(own.len(), ranks[identity]);
            own.shuffle(&mut stream(seed, "regime", identity as u64));
            kept.extend_from_slice(&own[..count]);
        }
        kept.sort_unstable();
        kept
    }

    /// Pictures kept of `own` by the person at place `rank`.
    fn count(&self, own: usize, rank: usize) -> usize {
        let most = if self.pictures == 0 { own } else { own.min(self.pictures) };
        let share = (most as f64 * self.decay.powf(rank as f64)).floor() as usize;
        share.max(self.least).min(most)
    }

    /// How these many pictures are degraded; nothing where none is.
    pub fn degradation(&self, pictures: usize, seed: u64) -> Option<Degradation> {
        let drawn = |i: u64| stream(seed, "degraded", i).random::<f64>() < self.degraded;
        let hard: Vec<bool> = (0..pictures as u64).map(drawn).collect();
        let (sides, blur) = (self.sides, self.blur);
        hard.contains(&true).then_some(Degradation { hard, sides, blur, seed })
    }
}

/// Which pictures are degraded, and how.
#[derive(Clone, Debug)]
pub struct Degradation {
    hard: Vec<bool>,
    sides: [u32; 2],
    blur: f64,
    seed: u64,
}

impl Degradation {
    /// Whether each picture is.
    pub fn hard(&self) -> &[bool] {
        &self.hard
    }

    /// The picture `index` as it is seen, degraded or not; always the same way.
    ///
    /// # Errors
    /// When a picture has no pixels.
    pub fn apply(&self, index: usize, picture: RgbImage) -> Result<RgbImage, DataError> {
        if !self.hard.get(index).copied().unwrap_or(false) {
            return Ok(picture);
        }
        let rng = &mut stream(self.seed, "degrade", index as u64);
        let side = rng.random_range(self.sides[0]..=self.sides[1]);
        let (width, height) = picture.dimensions();
        let small = resize(&picture, side.min(height), side.min(width), Filter::Bicubic)?;
        let seen = resize(&small, height, width, Filter::Bicubic)?;
        let sigma = self.blur * rng.random::<f64>();
        // Three standard deviations on either side, as far as the mirrored border reaches.
        let half = ((3.0 * sigma).ceil() as u32).min(width.min(height).saturating_sub(1));
        if half == 0 { Ok(seen) } else { gaussian_blur(&seen, 2 * half + 1, sigma) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [usize; 12] = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2];

    fn counts(config: &RegimeConfig) -> [usize; 3] {
        let kept = config.keep(&LABELS, 5);
        assert!(kept.is_sorted());
        [0, 1, 2].map(|label| kept.iter().filter(|&&i| LABELS[i] == label).count())
    }

    #[test]
    fn pictures_are_kept_as_the_regime_says() {
        let all = RegimeConfig::default();
        assert_eq!(counts(&all), [6, 4, 2]);
        assert_eq!(counts(&RegimeConfig { pictures: 3, ..all.clone() }), [3, 3, 2]);
        let tail = RegimeConfig { decay: 0.1, least: 1, ..all.clone() };
        let mut kept = counts(&tail);
        kept.sort_unstable();
        // The one who comes first keeps all, the others the least.
        assert_eq!(kept[..2], [1, 1]);
        assert!(kept[2] > 1);
        assert_eq!(tail.keep(&LABELS, 5), tail.keep(&LABELS, 5));
    }

    #[test]
    fn degraded_pictures_are_a_share_and_always_alike() {
        let config = RegimeConfig { degraded: 0.5, sides: [4, 6], blur: 1.5, ..RegimeConfig::default() };
        let degradation = config.degradation(400, 3).unwrap();
        let share = degradation.hard().iter().filter(|&&h| h).count();
        assert!((150..250).contains(&share), "{share}");
        let picture =
            RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 8) as u8, (y * 8) as u8, ((x ^ y) * 8) as u8]));
        for index in 0..20 {
            let seen = degradation.apply(index, picture.clone()).unwrap();
            assert_eq!(seen != picture, degradation.hard()[index]);
            assert_eq!(seen, degradation.apply(index, picture.clone()).unwrap());
        }
        assert!(RegimeConfig::default().degradation(400, 3).is_none());
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let all = RegimeConfig::default();
        let wrong = [
            RegimeConfig { decay: 0.0, ..all.clone() },
            RegimeConfig { decay: f64::NAN, ..all.clone() },
            RegimeConfig { least: 0, ..all.clone() },
            RegimeConfig { degraded: 1.5, ..all.clone() },
            RegimeConfig { sides: [9, 8], ..all.clone() },
            RegimeConfig { blur: -1.0, ..all.clone() },
        ];
        for (config, key) in wrong.iter().zip(["decay", "decay", "least", "degraded", "sides", "blur"]) {
            let reason = config.validate().unwrap_err();
            assert!(reason.starts_with(&format!("data.regime.{key}: ")), "{reason}");
        }
        assert_eq!(all.validate(), Ok(()));
    }
}

//! Liveness (presentation attack detection): error rates of attacks and of live people, at fixed and at chosen thresholds.
//!
//! Two conventions are in use, mirror images of each other but for what happens at the threshold itself:
//!
//! | variant | a large score means | at threshold t | threshold of the equal error rate, of equals |
//! |---|---|---|---|
//! | [`attack`](LivenessVariant::Attack) (CelebA-Spoof) | an attack | attack when s > t; for HTER when s ≥ t | tried downwards: the largest |
//! | [`live`](LivenessVariant::Live) (Aurora Guard) | a live person | accepted when s ≥ t | tried upwards: the smallest |
//!
//! APCER is the share of attacks taken for live, BPCER that of live people taken for attacks, ACER their mean at a fixed
//! threshold, HTER their mean at one chosen elsewhere. A sample is a score, whether it is an attack, and the attack's type;
//! merging parts of a set is listing their samples.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | PAD-1 | attack: APCER and BPCER call an attack what is above the threshold, HTER what is at least it | strict | `the_threshold_itself` |
//! | PAD-2 | live: a score equal to the threshold is accepted, in ACER and in HTER | strict | `the_threshold_itself` |
//! | PAD-3 | the worst APCER is taken over the types that occur, however rare | strict | `the_worst_type_is_the_largest` |
//! | PAD-4 | recall at FPR is strict: of heavy ties at the threshold none is recalled | strict | `recall_is_strict` |
//! | PAD-5 | recall at FPR f is read at the live score of rank max(1, ⌊f n⌋), so f = 0 is never reached | strict | `recall_is_strict` |
//! | PAD-6 | without attacks the recall is 0 | strict | `recall_without_attacks_is_zero` |
//! | PAD-7 | live: HTER takes its threshold from the first samples, in file order, and its rates from the rest | strict | `hter_is_of_the_rest` |

use crate::named::named_variants;
use crate::roc::{EqualError, FarRule, OperatingPoint, PairScores, Scan};
use crate::{MetricError, Result, check};
use serde::Serialize;

/// What a large score means; see the [module's table](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LivenessVariant {
    /// An attack.
    #[default]
    Attack,
    /// A live person.
    Live,
}

named_variants!(LivenessVariant, "liveness variant", { Attack => "attack", Live => "live" });

/// One judged picture or session.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LivenessSample {
    /// The score, of the variant's direction.
    pub score: f64,
    /// The kind of attack; `None` for a live person.
    pub attack: Option<i64>,
}

/// Error rates at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ErrorRates {
    /// Share of attacks taken for live.
    pub apcer: f64,
    /// Share of live people taken for attacks.
    pub bpcer: f64,
}

impl ErrorRates {
    /// Their mean: ACER at a fixed threshold, HTER at one chosen elsewhere.
    pub fn mean(&self) -> f64 {
        (self.apcer + self.bpcer) / 2.0
    }
}

/// Samples, sorted out.
#[derive(Clone, Debug)]
pub struct Liveness {
    variant: LivenessVariant,
    samples: Vec<LivenessSample>,
}

/// Whether a score equal to the threshold is on its upper side.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Above,
    Below,
}

impl Liveness {
    /// Fails on scores that are not finite.
    pub fn new(samples: Vec<LivenessSample>, variant: LivenessVariant) -> Result<Self> {
        check::at_least("samples", samples.len(), 1)?;
        if let Some(index) = samples.iter().position(|s| !s.score.is_finite()) {
            return Err(MetricError::NotFinite { name: "scores", index, value: samples[index].score });
        }
        Ok(Self { variant, samples })
    }

    /// APCER and BPCER at a fixed threshold.
    pub fn rates(&self, threshold: f64) -> Result<ErrorRates> {
        let at = if self.variant == LivenessVariant::Attack { At::Below } else { At::Above };
        self.rates_of(&self.samples, threshold, at)
    }

    /// APCER and BPCER at a threshold chosen elsewhere; their mean is the HTER.
    pub fn half_total_rates(&self, threshold: f64) -> Result<ErrorRates> {
        self.rates_of(&self.samples, threshold, At::Above)
    }

    /// HTER on all samples but the first `development`, at the threshold of equal errors on those.
    pub fn development_hter(&self, development: usize) -> Result<f64> {
        if development >= self.samples.len() {
            let wanted = format!("fewer than the {} samples", self.samples.len());
            return Err(check::setting("development", development, &wanted));
        }
        let (development, rest) = self.samples.split_at(development);
        let threshold = self.scores_of(development)?.equal_error(self.scan()).threshold;
        Ok(self.rates_of(rest, threshold, At::Above)?.mean())
    }

    /// The largest APCER over the types of attack that occur.
    pub fn worst_apcer(&self, threshold: f64) -> Result<f64> {
        let by_type = self.apcer_by_type(threshold);
        let worst = by_type.iter().map(|(_, apcer)| *apcer).reduce(f64::max);
        worst.ok_or_else(|| missing("attacks"))
    }

    /// The APCER of each type of attack that occurs, by type.
    pub fn apcer_by_type(&self, threshold: f64) -> Vec<(i64, f64)> {
        let mut counts = std::collections::BTreeMap::<i64, (usize, usize)>::new();
        let at = if self.variant == LivenessVariant::Attack { At::Below } else { At::Above };
        for sample in &self.samples {
            let Some(kind) = sample.attack else { continue };
            let (missed, total) = counts.entry(kind).or_default();
            *missed += usize::from(!self.is_attack(sample.score, threshold, at));
            *total += 1;
        }
        counts.into_iter().map(|(kind, (missed, total))| (kind, missed as f64 / total as f64)).collect()
    }

    /// Where the two errors are equally frequent. Fails when a class is missing.
    pub fn equal_error(&self) -> Result<EqualError> {
        Ok(self.scores_of(&self.samples)?.equal_error(self.scan()))
    }

    /// Area under the ROC.
    pub fn auc(&self) -> Result<f64> {
        Ok(self.scores_of(&self.samples)?.auc())
    }

    /// The ROC's class that a large score means against the other.
    pub fn scores(&self) -> Result<PairScores> {
        self.scores_of(&self.samples)
    }

    /// Share of the class that a large score means whose scores are above the threshold that lets a share `f` of the
    /// other class through. For [`LivenessVariant::Attack`]: attacks caught while a share f of live people is refused,
    /// by [`FarRule::AtLeastOne`]. For [`LivenessVariant::Live`]: live people accepted while a share f of attacks is,
    /// by [`FarRule::NextStrict`].
    pub fn recall_at_fpr(&self, fprs: &[f64]) -> Result<Vec<OperatingPoint>> {
        let rule = match self.variant {
            LivenessVariant::Attack => FarRule::AtLeastOne,
            LivenessVariant::Live => FarRule::NextStrict,
        };
        let no_attacks = self.samples.iter().all(|s| s.attack.is_none());
        if self.variant == LivenessVariant::Attack && no_attacks {
            // The tool's answer; a stand-in that no threshold lets through asks only where the threshold is.
            let live = self.samples.iter().map(|s| s.score).collect();
            return PairScores::from_classes(vec![f64::MIN], live)?.tar_at_far(fprs, rule);
        }
        self.scores()?.tar_at_far(fprs, rule)
    }

    fn scan(&self) -> Scan {
        match self.variant {
            LivenessVariant::Attack => Scan::Falling,
            LivenessVariant::Live => Scan::Rising,
        }
    }

    fn scores_of(&self, samples: &[LivenessSample]) -> Result<PairScores> {
        let of = |attack: bool| -> Vec<f64> {
            samples.iter().filter(|s| s.attack.is_some() == attack).map(|s| s.score).collect()
        };
        let (attacks, live) = (of(true), of(false));
        check_classes(attacks.len(), live.len())?;
        match self.variant {
            LivenessVariant::Attack => PairScores::from_classes(attacks, live),
            LivenessVariant::Live => PairScores::from_classes(live, attacks),
        }
    }

    fn is_attack(&self, score: f64, threshold: f64, at: At) -> bool {
        let above = score > threshold || (score == threshold && at == At::Above);
        above == (self.variant == LivenessVariant::Attack)
    }

    fn rates_of(&self, samples: &[LivenessSample], threshold: f64, at: At) -> Result<ErrorRates> {
        let (mut attacks, mut live) = ((0usize, 0usize), (0usize, 0usize));
        for sample in samples {
            let called_attack = self.is_attack(sample.score, threshold, at);
            let (wrong, total) = if sample.attack.is_some() { &mut attacks } else { &mut live };
            *wrong += usize::from(called_attack != sample.attack.is_some());
            *total += 1;
        }
        check_classes(attacks.1, live.1)?;
        let share = |(wrong, total): (usize, usize)| wrong as f64 / total as f64;
        Ok(ErrorRates { apcer: share(attacks), bpcer: share(live) })
    }
}

fn check_classes(attacks: usize, live: usize) -> Result<()> {
    match (attacks, live) {
        (0, _) => Err(missing("attacks")),
        (_, 0) => Err(missing("live people")),
        _ => Ok(()),
    }
}

fn missing(class: &'static str) -> MetricError {
    MetricError::MissingClass { class, within: "the samples".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positive types are attacks, 0 is live.
    fn samples(list: &[(f64, i64)]) -> Vec<LivenessSample> {
        list.iter()
            .map(|&(score, kind)| LivenessSample { score, attack: (kind > 0).then_some(kind) })
            .collect()
    }

    fn liveness(list: &[(f64, i64)], variant: LivenessVariant) -> Liveness {
        Liveness::new(samples(list), variant).unwrap()
    }

    #[test]
    fn the_threshold_itself() {
        let list = [(0.5, 1), (0.9, 1), (0.5, 0), (0.1, 0)];
        let attack = liveness(&list, LivenessVariant::Attack);
        let live = liveness(&list, LivenessVariant::Live);
        let both = |rates: ErrorRates| [rates.apcer, rates.bpcer];
        assert_eq!(both(attack.rates(0.5).unwrap()), [0.5, 0.0]);
        assert_eq!(both(attack.half_total_rates(0.5).unwrap()), [0.0, 0.5]);
        assert_eq!(both(live.rates(0.5).unwrap()), [1.0, 0.5]);
        assert_eq!(both(live.half_total_rates(0.5).unwrap()), [1.0, 0.5]);
        assert_eq!(attack.rates(0.5).unwrap().mean(), 0.25);
    }

    #[test]
    fn the_worst_type_is_the_largest() {
        let list = [(0.9, 1), (0.8, 1), (0.2, 1), (0.1, 7), (0.0, 0)];
        let found = liveness(&list, LivenessVariant::Attack);
        assert_eq!(found.apcer_by_type(0.5), [(1, 1.0 / 3.0), (7, 1.0)]);
        assert_eq!((found.worst_apcer(0.5).unwrap(), found.rates(0.5).unwrap().apcer), (1.0, 0.5));
        assert!(liveness(&[(0.1, 0)], LivenessVariant::Attack).worst_apcer(0.5).is_err());
    }

    #[test]
    fn recall_is_strict() {
        let list = [(0.9, 1), (0.7, 1), (0.7, 0), (0.6, 0), (0.1, 0)];
        let points = liveness(&list, LivenessVariant::Attack).recall_at_fpr(&[0.0, 0.7]).unwrap();
        assert_eq!((points[0].tar, points[0].threshold), (0.5, Some(0.7)));
        assert_eq!((points[1].tar, points[1].threshold), (1.0, Some(0.6)));
    }

    #[test]
    fn recall_without_attacks_is_zero() {
        let points = liveness(&[(0.3, 0), (0.6, 0)], LivenessVariant::Attack).recall_at_fpr(&[0.5]).unwrap();
        assert_eq!((points[0].tar, points[0].threshold), (0.0, Some(0.6)));
        assert!(liveness(&[(0.3, 0)], LivenessVariant::Live).recall_at_fpr(&[0.5]).is_err());
    }

    #[test]
    fn hter_is_of_the_rest() {
        // The first four separate at 0.6; of the rest one attack of two is accepted, no live person is refused.
        let list = [(0.1, 1), (0.2, 1), (0.6, 0), (0.9, 0), (0.7, 2), (0.1, 2), (0.8, 0)];
        let found = liveness(&list, LivenessVariant::Live);
        assert_eq!(found.development_hter(4).unwrap(), 0.25);
        assert!(found.development_hter(7).is_err());
        assert!(found.development_hter(0).is_err());
    }

    #[test]
    fn separated_scores_are_perfect() {
        for (variant, attack, live) in
            [(LivenessVariant::Attack, 0.9, 0.1), (LivenessVariant::Live, 0.1, 0.9)]
        {
            let found = liveness(&[(attack, 1), (live, 0)], variant);
            assert_eq!((found.equal_error().unwrap().rate, found.auc().unwrap()), (0.0, 1.0));
            assert_eq!(found.rates(0.5).unwrap().mean(), 0.0);
            assert_eq!(found.recall_at_fpr(&[0.01]).unwrap()[0].tar, 1.0);
        }
    }

    #[test]
    fn refuses_bad_input() {
        assert!(Liveness::new(vec![], LivenessVariant::Attack).is_err());
        assert!(Liveness::new(samples(&[(f64::NAN, 1)]), LivenessVariant::Attack).is_err());
        let error = liveness(&[(0.5, 1)], LivenessVariant::Attack).rates(0.5).unwrap_err().to_string();
        assert_eq!(error, "no live people among the samples; the protocol needs some");
    }
}

//! Who found what: the greedy matching of a picture's detections with its truth.

use super::keypoints::{PointObject, similarity};
use super::records::all_thresholds;
use super::{AreaRange, ImageRecord, MAX_AREAS, MAX_THRESHOLDS, Outcome, Positives, box_iou};
use crate::mask::Region;
use crate::{MetricError, Result, check};

/// An object of the truth, but for its outline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// Its category.
    pub category: u32,
    /// Its area in pixels.
    pub area: f64,
    /// Neither to be found nor to be missed.
    pub ignore: bool,
    /// Many objects as one: any number of detections may find it, and overlap is measured by theirs.
    pub crowd: bool,
    /// A match with it goes unnoticed (quirk COCO-2).
    pub unnoticed: bool,
}

/// A detection, but for its outline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its category.
    pub category: u32,
    /// The more, the surer.
    pub score: f64,
    /// Its area in pixels.
    pub area: f64,
}

/// The outlines of a picture's objects and detections, in their order.
#[derive(Clone, Copy, Debug)]
pub enum Geometry<'a> {
    /// Boxes `[x, y, width, height]`.
    Boxes {
        /// Of the truth.
        truth: &'a [[f64; 4]],
        /// Of the detections.
        found: &'a [[f64; 4]],
    },
    /// Masks.
    Masks {
        /// Of the truth.
        truth: &'a [Region],
        /// Of the detections.
        found: &'a [Region],
    },
    /// Keypoints, compared by [`super::object_keypoint_similarity`].
    Keypoints {
        /// Of the truth.
        truth: &'a [PointObject<'a>],
        /// Of the detections, `[x, y, score]` each.
        found: &'a [&'a [[f64; 3]]],
        /// Of each keypoint.
        sigmas: &'a [f64],
    },
}

impl Geometry<'_> {
    fn overlap(&self, found_index: usize, truth_index: usize, crowd: bool) -> f64 {
        match self {
            Self::Boxes { truth, found } => box_iou(&found[found_index], &truth[truth_index], crowd),
            Self::Masks { truth, found } => found[found_index].overlap(&truth[truth_index], crowd),
            Self::Keypoints { truth, found, sigmas } => {
                similarity(found[found_index], &truth[truth_index], sigmas)
            }
        }
    }

    fn check(&self, truth_count: usize, found_count: usize) -> Result<()> {
        let (truth_outlines, found_outlines) = match self {
            Self::Boxes { truth, found } => (truth.len(), found.len()),
            Self::Masks { truth, found } => (truth.len(), found.len()),
            Self::Keypoints { truth, found, sigmas } => {
                check::at_least("sigmas", sigmas.len(), 1)?;
                for object in *truth {
                    check::same_length(
                        "keypoints of the truth",
                        object.points.len(),
                        "sigmas",
                        sigmas.len(),
                    )?;
                }
                for points in *found {
                    check::same_length("keypoints found", points.len(), "sigmas", sigmas.len())?;
                }
                (truth.len(), found.len())
            }
        };
        check::same_length("outlines of the truth", truth_outlines, "the truth", truth_count)?;
        check::same_length("outlines of the detections", found_outlines, "the detections", found_count)
    }
}

/// A picture.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Its number.
    pub image: i64,
    /// Its objects in file order.
    pub truth: &'a [Truth],
    /// Its detections in file order.
    pub found: &'a [Found],
    /// Their outlines.
    pub geometry: Geometry<'a>,
}

/// What becomes of a detection that found nothing although its area counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// It is a false alarm.
    Counts,
    /// It does not count, for not all objects of its category are annotated.
    Passes,
}

/// The greedy matching: each detection, the surest first, takes the object it overlaps most with that is still free; one
/// that counts is preferred to one to be ignored; of equal overlaps the later object wins.
#[derive(Clone, Debug)]
pub struct Matcher {
    thresholds: Vec<f64>,
    areas: Vec<AreaRange>,
    /// Detections of a category and picture that are looked at.
    limit: usize,
}

impl Matcher {
    /// For these overlaps and ranges of areas; only the `limit` surest detections of a category and picture are looked
    /// at.
    ///
    /// # Errors
    /// [`MetricError::Setting`] for none or too many of them, thresholds that are no numbers or do not rise.
    pub fn new(thresholds: Vec<f64>, areas: Vec<AreaRange>, limit: usize) -> Result<Self> {
        if thresholds.is_empty() || thresholds.len() > MAX_THRESHOLDS {
            return Err(check::setting("thresholds", thresholds.len(), "1 to 16 of them"));
        }
        if thresholds.iter().any(|t| t.is_nan()) || !thresholds.is_sorted() {
            return Err(check::setting("thresholds", format!("{thresholds:?}"), "rising numbers"));
        }
        if areas.is_empty() || areas.len() > MAX_AREAS {
            return Err(check::setting("areas", areas.len(), "1 to 4 of them"));
        }
        // What cannot be reached for numerical reasons alone is not asked for.
        let thresholds = thresholds.into_iter().map(|t| t.min(1.0 - 1e-10)).collect();
        Ok(Self { thresholds, areas, limit })
    }

    /// Matches a picture; `unmatched` says for a category what becomes of detections that found nothing.
    ///
    /// # Errors
    /// [`MetricError::Length`] when outlines are missing, [`MetricError::NotFinite`] for a score that is no number.
    pub fn image(&self, picture: &Picture<'_>, unmatched: impl Fn(u32) -> Unmatched) -> Result<ImageRecord> {
        let Picture { image, truth, found, geometry } = picture;
        geometry.check(truth.len(), found.len())?;
        if let Some(index) = found.iter().position(|f| !f.score.is_finite()) {
            return Err(MetricError::NotFinite { name: "scores", index, value: found[index].score });
        }
        let mut objects: Vec<u32> = (0..truth.len() as u32).collect();
        objects.sort_by_key(|&i| truth[i as usize].category);
        let mut detections: Vec<u32> = (0..found.len() as u32).collect();
        detections.sort_by(|&a, &b| {
            let (a, b) = (&found[a as usize], &found[b as usize]);
            // Compared as numbers, for zero has two signs; all are finite.
            a.category
                .cmp(&b.category)
                .then(b.score.partial_cmp(&a.score).unwrap_or(std::cmp::Ordering::Equal))
        });
        let mut record = ImageRecord {
            image: *image,
            outcomes: Vec::with_capacity(detections.len()),
            positives: Vec::new(),
        };
        let (mut objects, mut detections) = (&objects[..], &detections[..]);
        while let Some(category) = next_category(picture, objects, detections) {
            let own = objects.partition_point(|&i| truth[i as usize].category == category);
            let (group_objects, rest) = objects.split_at(own);
            objects = rest;
            let own = detections.partition_point(|&i| found[i as usize].category == category);
            let (group_detections, rest) = detections.split_at(own);
            detections = rest;
            let group = Group {
                picture,
                objects: group_objects,
                detections: &group_detections[..own.min(self.limit)],
                passes: unmatched(category) == Unmatched::Passes,
            };
            self.group(&group, category, &mut record);
        }
        Ok(record)
    }

    /// Adds the outcomes of one category.
    fn group(&self, group: &Group<'_>, category: u32, record: &mut ImageRecord) {
        let Group { picture, objects, detections, .. } = *group;
        let start = record.outcomes.len();
        let every = all_thresholds(self.thresholds.len());
        record.outcomes.extend(detections.iter().enumerate().map(|(rank, &i)| {
            let Found { score, area, .. } = picture.found[i as usize];
            let mut misses = [0; MAX_AREAS];
            for (misses, range) in misses.iter_mut().zip(&self.areas) {
                *misses = if group.passes || !range.contains(area) { 0 } else { every };
            }
            Outcome { category, rank: rank as u32, score, hits: [0; MAX_AREAS], misses }
        }));
        if objects.is_empty() {
            return;
        }
        let overlaps = group.overlaps(self.thresholds[0]);
        let mut positives = Positives { category, counts: [0; MAX_AREAS] };
        for (a, range) in self.areas.iter().enumerate() {
            let ignored = |i: u32| {
                let object = &picture.truth[i as usize];
                object.ignore || !range.contains(object.area)
            };
            let mut order: Vec<(u32, bool)> =
                objects.iter().enumerate().map(|(k, &i)| (k as u32, ignored(i))).collect();
            order.sort_by_key(|&(_, ignored)| ignored);
            positives.counts[a] = order.iter().filter(|(_, ignored)| !ignored).count() as u32;
            if overlaps.any {
                self.greedy(group, &overlaps, &order, &mut record.outcomes[start..], a);
            }
        }
        record.positives.push(positives);
    }

    /// Matches at every threshold for range of areas number `a`. `order` has the objects, those to be ignored last.
    fn greedy(
        &self,
        group: &Group<'_>,
        overlaps: &Overlaps,
        order: &[(u32, bool)],
        outcomes: &mut [Outcome],
        a: usize,
    ) {
        let mut taken = vec![0u16; order.len()];
        for (d, outcome) in outcomes.iter_mut().enumerate() {
            if !overlaps.reaches[d] {
                continue;
            }
            for (t, &threshold) in self.thresholds.iter().enumerate() {
                let bit = 1 << t;
                let (mut best, mut at_least): (Option<(usize, bool)>, f64) = (None, threshold);
                for (place, &(k, ignored)) in order.iter().enumerate() {
                    let object = group.object(k);
                    if taken[place] & bit != 0 && !object.crowd {
                        continue;
                    }
                    if ignored && best.is_some_and(|(_, ignored)| !ignored) {
                        break;
                    }
                    let overlap = overlaps.get(d, k);
                    if overlap >= at_least {
                        at_least = overlap;
                        best = Some((place, ignored));
                    }
                }
                let Some((place, ignored)) = best else { continue };
                taken[place] |= bit;
                let noticed = !group.object(order[place].0).unnoticed;
                if ignored {
                    outcome.misses[a] &= !bit;
                } else if noticed {
                    outcome.misses[a] &= !bit;
                    outcome.hits[a] |= bit;
                }
            }
        }
    }
}

/// The least category that is still to come.
fn next_category(picture: &Picture<'_>, objects: &[u32], detections: &[u32]) -> Option<u32> {
    let of_object = objects.first().map(|&i| picture.truth[i as usize].category);
    let of_detection = detections.first().map(|&i| picture.found[i as usize].category);
    of_object.into_iter().chain(of_detection).min()
}

/// Objects and detections of one category in a picture.
struct Group<'a> {
    picture: &'a Picture<'a>,
    objects: &'a [u32],
    /// Surest first.
    detections: &'a [u32],
    passes: bool,
}

impl Group<'_> {
    fn object(&self, k: u32) -> &Truth {
        &self.picture.truth[self.objects[k as usize] as usize]
    }

    fn overlaps(&self, least: f64) -> Overlaps {
        let columns = self.objects.len();
        let mut values = Vec::with_capacity(columns * self.detections.len());
        for &d in self.detections {
            values.extend(self.objects.iter().map(|&k| {
                let crowd = self.picture.truth[k as usize].crowd;
                self.picture.geometry.overlap(d as usize, k as usize, crowd)
            }));
        }
        let reaches: Vec<bool> =
            values.chunks_exact(columns).map(|row| row.iter().any(|&v| v >= least)).collect();
        Overlaps { any: reaches.contains(&true), values, columns, reaches }
    }
}

/// The overlap of each detection with each object of a group.
struct Overlaps {
    values: Vec<f64>,
    columns: usize,
    /// Whether a detection reaches the lowest threshold with any object.
    reaches: Vec<bool>,
    any: bool,
}

impl Overlaps {
    fn get(&self, detection: usize, object: u32) -> f64 {
        self.values[detection * self.columns + object as usize]
    }
}

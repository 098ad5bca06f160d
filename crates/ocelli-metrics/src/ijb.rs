//! Verification between templates, several pictures and videos of a person each: the 1:1 protocol of IJB-B and IJB-C.
//!
//! The features of a template are pooled: the frames of one video (a *medium*) are averaged, media are summed, the sum is
//! scaled to unit length. The score of a pair of templates is the inner product; true-accept rates follow the rule
//! [`nearest`](FarRule::Nearest).
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | IJB-1 | a medium counts as one picture, however many frames it has | strict | `media_count_once` |
//! | IJB-2 | mirrored features are added, not concatenated; without the flip test they are ignored | strict | `switches_change_the_features` |
//! | IJB-3 | the switch named "norm score" turns the normalisation of pictures *off*, so that the norm weighs them | strict, named [`keep_norms`](TemplateOptions::keep_norms) | `switches_change_the_features` |
//! | IJB-4 | a template whose pooled feature is zero (all detector scores 0) stays zero and scores 0 everywhere | strict | `empty_templates_score_zero` |
//! | IJB-5 | a picture whose feature is zero becomes NaN and spoils its template | corrected: an error | `refuses_bad_input` |
//! | IJB-6 | templates are numbered by rising id, whatever their order in the list | strict | `templates_are_sorted_by_id` |

use crate::roc::{FarRule, OperatingPoint, PairScores};
use crate::similarity::{dot, unit_rows};
use crate::{Matrix, MetricError, Result, check};
use serde::Serialize;

/// Switches of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TemplateOptions {
    /// Add the features of the mirrored picture (`use_flip_test`).
    pub flip: bool,
    /// Do not scale the features of a picture to unit length (`use_norm_score`).
    pub keep_norms: bool,
    /// Multiply the features of a picture by its detector score (`use_detector_score`).
    pub detector_score: bool,
}

/// The pictures of all templates.
#[derive(Clone, Copy, Debug)]
pub struct TemplatePictures<'a> {
    /// `[N, 2F]`: features of each picture, then those of the mirrored picture.
    pub features: Matrix<'a>,
    /// `[N]`: detector score of each picture.
    pub detector_scores: &'a [f64],
    /// `[N]`: the template each picture belongs to.
    pub templates: &'a [i64],
    /// `[N]`: the medium (video or single picture) each comes from.
    pub media: &'a [i64],
}

/// Pairs of templates to compare.
#[derive(Clone, Copy, Debug)]
pub struct TemplatePairs<'a> {
    /// `[Q]`: id of the first template.
    pub first: &'a [i64],
    /// `[Q]`: id of the second template.
    pub second: &'a [i64],
    /// `[Q]`: whether both show the same person.
    pub same: &'a [bool],
}

/// One pooled feature a template.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TemplateFeatures {
    /// Ids of the templates, rising.
    pub ids: Vec<i64>,
    /// `[ids, F]`, row-major, rows of unit length (or zero).
    pub features: Vec<f64>,
    /// F.
    pub columns: usize,
}

/// Result of [`evaluate`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IjbReport {
    /// The pooled templates.
    pub templates: TemplateFeatures,
    /// Score of each pair.
    pub scores: Vec<f64>,
    /// True-accept rate at each false-accept rate asked for.
    pub points: Vec<OperatingPoint>,
}

/// Pools templates, compares pairs of them and reads the true-accept rates at `fars`.
pub fn evaluate(
    pictures: TemplatePictures<'_>,
    pairs: TemplatePairs<'_>,
    options: TemplateOptions,
    fars: &[f64],
) -> Result<IjbReport> {
    check::same_length("same", pairs.same.len(), "pairs", pairs.first.len())?;
    let templates = TemplateFeatures::pool(pictures, options)?;
    let scores = templates.scores(pairs.first, pairs.second)?;
    let points = PairScores::new(&scores, pairs.same)?.tar_at_far(fars, FarRule::Nearest)?;
    Ok(IjbReport { templates, scores, points })
}

impl TemplateFeatures {
    /// Pools the pictures of each template.
    pub fn pool(pictures: TemplatePictures<'_>, options: TemplateOptions) -> Result<Self> {
        let TemplatePictures { features, detector_scores, templates, media } = pictures;
        let count = features.rows();
        check::same_length("detector_scores", detector_scores.len(), "pictures", count)?;
        check::same_length("templates", templates.len(), "pictures", count)?;
        check::same_length("media", media.len(), "pictures", count)?;
        check::finite("detector_scores", detector_scores)?;

        let columns = features.columns() / 2;
        let rows = picture_features(features, detector_scores, options)?;
        let row = |i: usize| &rows[i * columns..(i + 1) * columns];

        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|&i| (templates[i], media[i]));
        let mut pooled = Self { ids: Vec::new(), features: Vec::new(), columns };
        for template in order.chunk_by(|&a, &b| templates[a] == templates[b]) {
            let mut sum = vec![0.0; columns];
            for medium in template.chunk_by(|&a, &b| media[a] == media[b]) {
                let mut frames = vec![0.0; columns];
                medium.iter().for_each(|&i| add(&mut frames, row(i)));
                frames.iter_mut().for_each(|v| *v /= medium.len() as f64);
                add(&mut sum, &frames);
            }
            let norm = dot(&sum, &sum).sqrt();
            let scale = if norm == 0.0 { 1.0 } else { norm };
            pooled.ids.push(templates[template[0]]);
            pooled.features.extend(sum.iter().map(|v| v / scale));
        }
        Ok(pooled)
    }

    /// Inner product of each pair of templates, named by id.
    pub fn scores(&self, first: &[i64], second: &[i64]) -> Result<Vec<f64>> {
        check::same_length("second", second.len(), "first", first.len())?;
        let row = |pair: usize, template: i64| -> Result<&[f64]> {
            let index = self.ids.binary_search(&template);
            let index = index.map_err(|_| MetricError::UnknownTemplate { pair, template })?;
            Ok(&self.features[index * self.columns..(index + 1) * self.columns])
        };
        let score = |(pair, (a, b)): (usize, (&i64, &i64))| Ok(dot(row(pair, *a)?, row(pair, *b)?));
        first.iter().zip(second).enumerate().map(score).collect()
    }
}

/// `[N, F]`: the halves of the features joined, normalised and weighed as the options say.
fn picture_features(
    features: Matrix<'_>,
    detector_scores: &[f64],
    options: TemplateOptions,
) -> Result<Vec<f64>> {
    if !features.columns().is_multiple_of(2) {
        let wanted = "an even number: the picture's features, then the mirrored picture's".to_owned();
        return Err(MetricError::Columns { name: features.name(), found: features.columns(), wanted });
    }
    let half = features.columns() / 2;
    let mut rows = Vec::with_capacity(features.rows() * half);
    for row in features.iter() {
        let (picture, mirrored) = row.split_at(half);
        if options.flip {
            rows.extend(picture.iter().zip(mirrored).map(|(a, b)| a + b));
        } else {
            rows.extend_from_slice(picture);
        }
    }
    if !options.keep_norms {
        rows = unit_rows(Matrix::new(features.name(), &rows, [features.rows(), half])?)?;
    }
    if options.detector_score {
        for (row, score) in rows.chunks_exact_mut(half).zip(detector_scores) {
            row.iter_mut().for_each(|v| *v *= score);
        }
    }
    Ok(rows)
}

fn add(sum: &mut [f64], row: &[f64]) {
    sum.iter_mut().zip(row).for_each(|(s, v)| *s += v);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(
        features: &[f64],
        detector_scores: &[f64],
        [templates, media]: [&[i64]; 2],
        options: TemplateOptions,
    ) -> Result<TemplateFeatures> {
        let features =
            Matrix::new("features", features, [templates.len(), features.len() / templates.len()])?;
        TemplateFeatures::pool(TemplatePictures { features, detector_scores, templates, media }, options)
    }

    const NORMED: TemplateOptions = TemplateOptions { flip: false, keep_norms: false, detector_score: false };

    #[test]
    fn media_count_once() {
        // Two frames along x in medium 5, one picture along y: the sum is (1, 1), not (2, 1).
        let features = [1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0];
        let pooled = pool(&features, &[1.0; 3], [&[9; 3], &[5, 5, 6]], NORMED).unwrap();
        let half = 0.5f64.sqrt();
        assert!(pooled.features.iter().all(|v| (v - half).abs() < 1e-15), "{pooled:?}");
        let apart = pool(&features, &[1.0; 3], [&[9; 3], &[5, 4, 6]], NORMED).unwrap();
        assert!((apart.features[0] - 2.0 / 5f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn switches_change_the_features() {
        // One template of two media: (3, 0 | 0, 3) with detector score 0.5 and (0, 1 | 0, 0) with score 1.
        let features = [3.0, 0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0];
        let slope = |flip, keep_norms, detector_score| {
            let options = TemplateOptions { flip, keep_norms, detector_score };
            let pooled = pool(&features, &[0.5, 1.0], [&[1, 1], &[1, 2]], options).unwrap();
            pooled.features[1] / pooled.features[0]
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} and {b}");
        close(slope(false, false, false), 1.0);
        close(slope(false, true, false), 1.0 / 3.0);
        close(slope(false, true, true), 1.0 / 1.5);
        close(slope(true, true, false), 4.0 / 3.0);
        close(slope(true, false, false), (0.5f64.sqrt() + 1.0) / 0.5f64.sqrt());
    }

    #[test]
    fn empty_templates_score_zero() {
        let options = TemplateOptions { detector_score: true, ..NORMED };
        let pooled = pool(&[1.0, 0.0, 1.0, 0.0], &[0.0, 1.0], [&[1, 2], &[1, 1]], options).unwrap();
        assert_eq!(pooled.features, [0.0, 1.0]);
        assert_eq!(pooled.scores(&[1, 2], &[2, 2]).unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn templates_are_sorted_by_id() {
        let features = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0];
        let pooled = pool(&features, &[1.0; 3], [&[30, 4, 30], &[1, 1, 1]], NORMED).unwrap();
        assert_eq!(pooled.ids, [4, 30]);
        assert_eq!(pooled.features, [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn evaluates_pairs() {
        let features =
            Matrix::new("features", &[1.0, 0.0, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], [3, 4]);
        let pictures = TemplatePictures {
            features: features.unwrap(),
            detector_scores: &[1.0; 3],
            templates: &[1, 2, 3],
            media: &[1, 2, 3],
        };
        let pairs = TemplatePairs { first: &[1, 1], second: &[2, 3], same: &[true, false] };
        let report = evaluate(pictures, pairs, NORMED, &[1e-4]).unwrap();
        assert_eq!((report.scores[1], report.points[0].tar), (0.0, 1.0));
        let one_class = TemplatePairs { same: &[true, true], ..pairs };
        assert!(matches!(
            evaluate(pictures, one_class, NORMED, &[0.1]),
            Err(MetricError::MissingClass { .. })
        ));
        let short = TemplatePairs { same: &[true], ..pairs };
        assert!(matches!(evaluate(pictures, short, NORMED, &[0.1]), Err(MetricError::Length { .. })));
    }

    #[test]
    fn refuses_bad_input() {
        let zero = pool(&[0.0, 0.0, 1.0, 1.0], &[1.0], [&[1], &[1]], NORMED);
        assert!(matches!(zero, Err(MetricError::ZeroNorm { row: 0, .. })));
        let odd = pool(&[1.0, 0.0, 0.0], &[1.0], [&[1], &[1]], NORMED);
        assert!(matches!(odd, Err(MetricError::Columns { found: 3, .. })));
        assert!(pool(&[1.0, 0.0], &[], [&[1], &[1]], NORMED).is_err());
        assert!(pool(&[1.0, 0.0], &[f64::NAN], [&[1], &[1]], NORMED).is_err());
        assert!(pool(&[1.0, 0.0], &[1.0], [&[1], &[]], NORMED).is_err());
        let pooled = pool(&[1.0, 0.0], &[1.0], [&[1], &[1]], NORMED).unwrap();
        assert_eq!(
            pooled.scores(&[1, 1], &[1, 8]).unwrap_err().to_string(),
            "pair 1 names template 8, which has no picture"
        );
    }
}

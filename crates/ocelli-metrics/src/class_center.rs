//! Class center distance: how compact the classes of a set of features are, and how far apart (FADA, section on the
//! class center distance).
//!
//! With S_i the features of class i and mu_i their mean, CCD(i) is the mean over the other classes j of
//! [ mean over S_i of ‖x - mu_i‖² ] / ‖mu_i - mu_j‖². Lower is better.
//!
//! A part of the set is summarised by its [`ClassMoments`]; parts are merged by listing them one after the other.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | CCD-1 | classes without features have 0 in the table and are in no mean, neither over j nor over i | strict | `absent_classes_take_no_part` |
//! | CCD-2 | two classes with one center divide by 0 | strict: infinite | `equal_centers_are_infinitely_bad` |
//! | CCD-3 | a single class has nobody to be compared with | 0 | `absent_classes_take_no_part` |

use crate::similarity::squared_distance;
use crate::{Matrix, MetricError, Result, check};
use serde::Serialize;

/// Count, mean and scatter of the features of each class in one part of a set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassMoments {
    width: usize,
    classes: Vec<Moments>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Moments {
    count: f64,
    mean: Vec<f64>,
    /// Sum of squared distances to the mean.
    scatter: f64,
}

/// Class center distances.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassCenterReport {
    /// Of each class; 0 for those without features.
    pub ccd: Vec<f64>,
    /// Mean over the classes with features; NaN without any.
    pub mean: f64,
}

impl ClassMoments {
    /// Of `features` `[N, D]` with a label each, in `0..classes` or `ignore`.
    pub fn new(features: Matrix<'_>, labels: &[i64], classes: usize, ignore: Option<i64>) -> Result<Self> {
        check::same_length("labels", labels.len(), features.name(), features.rows())?;
        let width = features.columns();
        let mut moments = vec![Moments::default(); classes];
        let of = |label: i64| (ignore != Some(label)).then_some(label as usize);
        for (index, (row, &class)) in features.iter().zip(labels).enumerate() {
            let Some(k) = of(class) else { continue };
            let Some(class) = moments.get_mut(k) else {
                return Err(MetricError::Class { name: "labels", index, class, classes });
            };
            class.mean.resize(width, 0.0);
            class.count += 1.0;
            class.mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
        }
        for class in &mut moments {
            class.mean.iter_mut().for_each(|m| *m /= class.count);
        }
        for (row, &label) in features.iter().zip(labels) {
            if let Some(class) = of(label) {
                moments[class].scatter += squared_distance(row, &moments[class].mean);
            }
        }
        Ok(Self { width, classes: moments })
    }
}

/// Class center distances of a set given in parts, which must agree in classes and width.
pub fn report<'a>(parts: impl IntoIterator<Item = &'a ClassMoments>) -> Result<ClassCenterReport> {
    let parts: Vec<&ClassMoments> = parts.into_iter().collect();
    check::at_least("parts", parts.len(), 1)?;
    let (classes, width) = (parts[0].classes.len(), parts[0].width);
    if let Some(odd) = parts.iter().find(|p| (p.classes.len(), p.width) != (classes, width)) {
        let wanted = format!("{width} for {classes} classes, as the first part has");
        return Err(MetricError::Columns { name: "a part", found: odd.width, wanted });
    }
    let whole: Vec<Moments> =
        (0..classes).map(|k| join(parts.iter().map(|p| &p.classes[k]), width)).collect();
    let present: Vec<usize> = (0..classes).filter(|&k| whole[k].count > 0.0).collect();
    let mut ccd = vec![0.0; classes];
    for &i in &present {
        let spread = whole[i].scatter / whole[i].count;
        let others = present.iter().filter(|&&j| j != i);
        let sum: f64 = others.map(|&j| spread / squared_distance(&whole[i].mean, &whole[j].mean)).sum();
        ccd[i] = sum / (present.len() - 1).max(1) as f64;
    }
    let mean = present.iter().map(|&i| ccd[i]).sum::<f64>() / present.len() as f64;
    Ok(ClassCenterReport { ccd, mean })
}

/// One class over all parts: the scatter about the common mean is that inside the parts and that between them.
fn join<'a>(parts: impl Iterator<Item = &'a Moments> + Clone, width: usize) -> Moments {
    let filled = || parts.clone().filter(|p| p.count > 0.0);
    let count: f64 = filled().map(|p| p.count).sum();
    let mut mean = vec![0.0; width];
    for part in filled() {
        mean.iter_mut().zip(&part.mean).for_each(|(m, v)| *m += v * (part.count / count));
    }
    let scatter = filled().map(|p| p.scatter + p.count * squared_distance(&p.mean, &mean)).sum();
    Moments { count, mean, scatter }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64], labels: &[i64], classes: usize) -> ClassMoments {
        let features = Matrix::new("features", values, [labels.len(), values.len() / labels.len()]).unwrap();
        ClassMoments::new(features, labels, classes, Some(255)).unwrap()
    }

    #[test]
    fn absent_classes_take_no_part() {
        // Class 0: -1 and 1; class 2: 9 and 11 (distance of centers 10); class 1 is absent, one feature is ignored.
        let found = report([&moments(&[-1.0, 1.0, 9.0, 11.0, 77.0], &[0, 0, 2, 2, 255], 3)]).unwrap();
        assert_eq!((found.ccd, found.mean), (vec![0.01, 0.0, 0.01], 0.01));
        assert_eq!(report([&moments(&[1.0, 3.0], &[0, 0], 2)]).unwrap().mean, 0.0);
        assert!(report([&moments(&[1.0], &[255], 2)]).unwrap().mean.is_nan());
    }

    #[test]
    fn equal_centers_are_infinitely_bad() {
        let found = report([&moments(&[-1.0, 1.0, -2.0, 2.0], &[0, 0, 1, 1], 2)]).unwrap();
        assert_eq!(found.ccd, [f64::INFINITY, f64::INFINITY]);
    }

    #[test]
    fn parts_join_to_the_whole() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i * i % 17) + f64::from(i % 3) * 5.0).collect();
        let labels: Vec<i64> = (0..30).map(|i| i * 7 % 4).collect();
        let whole = report([&moments(&values, &labels, 4)]).unwrap();
        let parts = [moments(&values[..22], &labels[..11], 4), moments(&values[22..], &labels[11..], 4)];
        let joined = report(&parts).unwrap();
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12 * a;
        assert!(whole.ccd.iter().zip(&joined.ccd).all(close), "{whole:?} {joined:?}");
        // Listing the records of two shards is the single pass, exactly.
        let (first, second) = parts.split_at(1);
        assert_eq!(report(first.iter().chain(second)).unwrap(), joined);
    }

    #[test]
    fn refuses_bad_input() {
        let features = Matrix::new("features", &[1.0, 2.0], [2, 1]).unwrap();
        assert!(matches!(
            ClassMoments::new(features, &[0, 5], 2, None),
            Err(MetricError::Class { index: 1, .. })
        ));
        assert!(matches!(ClassMoments::new(features, &[0, -1], 2, None), Err(MetricError::Class { .. })));
        assert!(ClassMoments::new(features, &[0], 2, None).is_err());
        assert!(report([]).is_err());
        assert!(report([&moments(&[1.0], &[0], 2), &moments(&[1.0, 2.0], &[0], 2)]).is_err());
    }
}

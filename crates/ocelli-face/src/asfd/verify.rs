//! Reference-case components.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::detection::wider_face::{ScoreRange, WiderOptions};
use serde::Deserialize;

use crate::wider::{CountFrom, Names, records};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.ap", run: average_precision }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    images: usize,
    iou_threshold: f64,
    steps: usize,
}

fn average_precision(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Config { images, iou_threshold, steps } = case.config()?;
    let options = WiderOptions { overlap: iou_threshold, steps, range: ScoreRange::MinMax };
    let names = Names { joint: ".", subsets: &["keep"], count_from: CountFrom::Zero };
    let records = records(case, images, names, &options)?;
    let all: Vec<usize> = (0..images).collect();
    let curve = options.measure(&records, 0, &all);
    Ok(Outputs::new()
        .with("ap", curve.average_precision)
        .with("precision", Array::vector_f64(curve.precision))
        .with("recall", Array::vector_f64(curve.recall)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ocelli_method::verify::{Folder, Selection, Status, verify};

    #[test]
    fn reference_cases_of_face_detection_pass() {
        let cases = Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens"));
        let selection = Selection { device: "cpu".to_owned(), ..Selection::default() };
        let methods = [&super::super::METHOD, &crate::hambox::METHOD];
        let replayed = verify(&methods, &cases, &cases, &selection, &mut |_| ()).unwrap();
        let own: Vec<_> =
            replayed.results.iter().filter(|r| ["asfd", "hambox"].contains(&r.method.as_str())).collect();
        assert_eq!(own.len(), 3);
        for result in own {
            assert!(matches!(result.status, Status::Pass), "{}: {}", result.case, result.reason);
        }
    }
}

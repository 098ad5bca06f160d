//! Methods on single pictures: detection, segmentation, enhancement, few-shot learning, hashing.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod concurrent_softmax;
pub mod eql;
mod rows;
pub mod vdd;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&concurrent_softmax::METHOD, &eql::METHOD, &vdd::METHOD];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ocelli_method::verify::{Folder, Selection, Status, verify};

    #[test]
    fn reference_cases_pass() {
        let cases = Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens"));
        for (method, count) in [("concurrent-softmax", 4), ("vdd", 2)] {
            let selection = Selection { device: "cpu".to_owned(), ..Selection::default() };
            let replayed = verify(super::METHODS, &cases, &cases, &selection, &mut |_| ()).unwrap();
            let own: Vec<_> = replayed.results.iter().filter(|r| r.method == method).collect();
            assert_eq!(own.len(), count, "{method}");
            for result in own {
                assert!(matches!(result.status, Status::Pass), "{}: {}", result.case, result.reason);
            }
        }
    }
}

//! Methods on video: actions, moments, optical flow, tracking, detection in video.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod anet2020_tal;
pub mod dbg;
mod moments;
pub mod ssvd;
pub mod tel;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&anet2020_tal::METHOD, &dbg::METHOD, &ssvd::METHOD, &tel::METHOD];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ocelli_method::verify::{Folder, Selection, Status, verify};

    #[test]
    fn reference_cases_of_detection_pass() {
        let cases = Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens"));
        let selection = Selection { device: "cpu".to_owned(), ..Selection::default() };
        let replayed = verify(&[&super::ssvd::METHOD], &cases, &cases, &selection, &mut |_| ()).unwrap();
        let own: Vec<_> = replayed.results.iter().filter(|r| r.method == "ssvd").collect();
        assert_eq!(own.len(), 2);
        for result in own {
            assert!(matches!(result.status, Status::Pass), "{}: {}", result.case, result.reason);
        }
    }
}

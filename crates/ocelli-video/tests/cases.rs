//! The reference cases of this crate's methods, replayed without the command.

use std::path::Path;

use ocelli_method::verify::{Folder, Selection, Status, verify};

#[test]
fn every_reference_case_passes() {
    let goldens = Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens"));
    let methods = ocelli_video::METHODS.iter().map(|m| m.card.slug.to_owned()).collect();
    let selection = Selection { methods, device: "cpu".to_owned(), ..Selection::default() };
    let replayed = verify(ocelli_video::METHODS, &goldens, &goldens, &selection, &mut |_| ());
    let replayed = replayed.expect("the cases can be read");
    let failed = replayed.results.iter().filter(|o| o.status != Status::Pass);
    let faults: Vec<String> =
        failed.map(|o| format!("{} {} {}: {}", o.method, o.component, o.case, o.reason)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(replayed.passed >= ocelli_video::METHODS.len());
}

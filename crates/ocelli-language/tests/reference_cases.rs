//! The reference cases of caption evaluators, replayed without the program that carries all methods.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use ocelli_language::{auto_captions, captioning_challenge};
use ocelli_method::verify::{Folder, Selection, Status, verify};
use std::path::PathBuf;

#[test]
fn caption_evaluators_pass_their_cases() {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../goldens");
    let methods = vec!["auto-captions".to_owned(), "captioning-challenge".to_owned()];
    // METEOR's own files, where a developer has them: `METEOR_FOLDER=…/pycocoevalcap/meteor`.
    let tables =
        std::env::var_os("METEOR_FOLDER").map(|folder| ("meteor_tables".to_owned(), PathBuf::from(folder)));
    let selection = Selection {
        methods,
        device: "cpu".to_owned(),
        resources: tables.into_iter().collect(),
        component: None,
    };
    let known = [&auto_captions::METHOD, &captioning_challenge::METHOD];
    let source = Folder(cases);
    let result = verify(&known, &source, &source, &selection, &mut |_| ()).unwrap();
    let wrong: Vec<_> =
        result.results.iter().filter(|r| !matches!(r.status, Status::Pass | Status::Skipped)).collect();
    assert!(wrong.is_empty() && result.passed >= 18, "{} passed, {wrong:#?}", result.passed);
}

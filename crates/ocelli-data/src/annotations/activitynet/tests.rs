use super::*;
use crate::error::DataError;
use proptest::prelude::*;
use std::path::PathBuf;

fn put(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.json");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn read<T>(text: impl AsRef<[u8]>, read: impl Fn(PathBuf) -> Result<T, DataError>) -> Result<T, DataError> {
    let (_folder, path) = put(text);
    read(path)
}

const OFFICIAL: &str = r#"{"version": "1.3", "taxonomy": [{"nodeId": 1}], "database": {
    "abc": {"subset": "validation", "duration": 12.5, "url": "…", "annotations": [
        {"segment": [1, 2.5], "label": "Surfing"}, {"segment": [3.0, 4.0], "label": "Tango \"slow\""}]},
    "def": {"subset": "testing", "annotations": []}}}"#;

#[test]
fn both_forms_of_annotations_are_read() {
    let all = read(OFFICIAL, Annotations::read).unwrap();
    assert_eq!(all.labels, ["Surfing", "Tango \"slow\""]);
    assert_eq!((all.videos[0].subset.as_deref(), all.videos[0].duration), (Some("validation"), Some(12.5)));
    assert_eq!(all.videos[0].segments[1], LabelledSegment { segment: [3.0, 4.0], label: 1 });
    assert!(all.videos[1].segments.is_empty());

    let flat = r#"{"license": "none", "v_abc": {"duration_second": 3.5, "duration_frame": 9, "feature_frame": 8,
        "annotations": [{"segment": [0.5, 1.5], "label": "Surfing"}]}, "years": [2016], "count": 1}"#;
    let all = read(flat, Annotations::read).unwrap();
    assert_eq!((all.videos.len(), all.videos[0].name.as_str()), (1, "v_abc"));
    assert_eq!((all.videos[0].duration, &all.videos[0].subset), (Some(3.5), &None));
}

#[test]
fn annotations_survive_a_round_trip() {
    let all = read(OFFICIAL, Annotations::read).unwrap();
    let (_folder, path) = put("");
    all.write(&path).unwrap();
    assert_eq!(Annotations::read(&path).unwrap(), all);
}

const RESULTS: &str = r#"{"version": "VERSION 1.3", "results": {
    "abc": [{"score": 0.5, "segment": [1, 2.25], "label": "Surfing"}, {"segment": [9.0, 3.0], "score": 1e-3, "label": "Tango"}],
    "def": [], "ghi": [{"score": 1, "segment": [0.0, 1.0]}]}, "external_data": {"used": false}}"#;

#[test]
fn results_survive_a_round_trip() {
    let all = read(RESULTS, Results::read).unwrap();
    assert_eq!(all.labels, ["Surfing", "Tango"]);
    assert_eq!(all.of(&all.videos[0])[1], Predicted { segment: [9.0, 3.0], score: 1e-3, label: Some(1) });
    assert_eq!((all.videos[1].range.len(), all.of(&all.videos[2])[0].label), (0, None));
    let (_folder, path) = put("");
    all.write(&path).unwrap();
    assert_eq!(Results::read(&path).unwrap(), all);
}

#[test]
fn errors_name_line_video_and_entry() {
    for (text, wanted) in [
        ("", "file.json:1: EOF"),
        ("[]", "expected an object with `results`"),
        ("{}", "the file has no `results`"),
        ("{\"results\": []}", "expected an object of lists by video"),
        ("{\"results\": {\n\"abc\": 3}}", "file.json:2: invalid type: integer `3`, expected a list"),
        (
            "{\"results\": {\"abc\": [\n{\"segment\": [1, 2]}]}}",
            "missing field `score` at line 2 column 19 (video `abc`, entry 1)",
        ),
        ("{\"results\": {\"abc\": [{\"score\": 1}]}}", "missing field `segment`"),
        ("{\"results\": {\"abc\": [{\"score\": NaN, \"segment\": [1, 2]}]}}", "(video `abc`, entry 1)"),
        ("{\"results\": {\"abc\": [{\"score\": 1e999, \"segment\": [1, 2]}]}}", "number out of range"),
        ("{\"results\": {\"abc\": [{\"score\": 1, \"segment\": [1]}]}}", "invalid length 1"),
        ("{\"results\": {\"abc\": [{\"score\": 1, \"segment\": [1, 2, 3]}]}}", "(video `abc`, entry 1)"),
        ("{\"results\": {\"abc\": [], \"abc\": []}}", "the video has two lists"),
        (
            "{\"results\": {\"abc\": [{\"score\": 1, \"segment\": [1, 2]}, {\"sc",
            "EOF while parsing a string at line 1 column 58 (video `abc`, entry 2)",
        ),
        ("{\"results\": {}} {}", "trailing characters"),
    ] {
        let message = read(text, Results::read).unwrap_err().to_string();
        assert!(message.contains(wanted), "{text}: {message}");
    }
    for (text, wanted) in [
        ("{\"version\": \"1.3\"}", "no video is annotated"),
        ("{\"v_a\": {\"duration\": 3}}", "missing field `annotations` at line 1 column 23 (video `v_a`)"),
        ("{\"database\": {\"a\": {\"annotations\": [{\"segment\": [1, 2]}]}}}", "missing field `label`"),
        ("{\"database\": {\"a\": {\"annotations\": []}, \"a\": {\"annotations\": []}}}", "annotated twice"),
        ("{\"database\": {\"a\": {\"annotations\": [", "EOF while parsing a list"),
    ] {
        let message = read(text, Annotations::read).unwrap_err().to_string();
        assert!(message.contains(wanted), "{text}: {message}");
    }
    assert!(matches!(Results::read("/absent/file"), Err(DataError::Read { .. })));
}

#[test]
fn tables_of_videos_survive_a_round_trip() {
    let text = "video,numFrame,seconds,fps,rfps,subset,featureFrame\nv_abc,418,14.07,30.0,29.7085998579,training,400\n";
    let rows = read(text, read_video_info).unwrap();
    assert_eq!((rows[0].frames, rows[0].seconds, rows[0].subset.as_str()), (418, 14.07, "training"));
    let (_folder, path) = put("");
    write_video_info(&path, &rows).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let message = read(format!("{text}v_def,x,1,1,1,testing,1\n"), read_video_info).unwrap_err().to_string();
    assert!(message.contains("file.json:3:"), "{message}");
    assert!(read("video\n", read_video_info).is_err());
    assert!(read("", read_video_info).unwrap_err().to_string().contains("empty"));
    assert_eq!(read("\u{feff}[\"a\", \"b\"]", read_names).unwrap(), ["a", "b"]);
    assert!(read("[1]", read_names).is_err());
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..150, flip in any::<u8>()) {
        let _ = read(&bytes, Results::read);
        for text in [OFFICIAL, RESULTS] {
            let mut text = text.as_bytes().to_vec();
            text[at] ^= flip;
            let _ = (read(&text, Results::read), read(&text, Annotations::read), read(&text, read_video_info));
            let _ = (read(&text[..at], Results::read), read(&text[..at], Annotations::read));
        }
    }

    #[test]
    fn any_results_come_back(segments in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>()), 0..9)) {
        let finite = segments.into_iter().filter(|(a, b, c)| [a, b, c].iter().all(|v| v.is_finite()));
        let mut results = Results::default();
        results.push("a \"name\"", finite.map(|(a, b, score)| Predicted { segment: [a, b], score, label: None }));
        let (_folder, path) = put("");
        results.write(&path).unwrap();
        prop_assert_eq!(Results::read(&path).unwrap(), results);
    }
}

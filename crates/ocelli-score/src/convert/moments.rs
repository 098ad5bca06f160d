//! Moments of videos that sentences describe: Charades-STA's lines and the JSON of Charades-CG and ActivityNet Captions.

use std::collections::HashMap;
use std::path::Path;

use ocelli_data::annotations::charades_cg::{DescribedMoment, DescribedVideo, Novelty};
use ocelli_data::annotations::charades_sta::{self, GroundedSentence};

use crate::Result;

/// Reads Charades-STA; videos come in the order of their first line.
pub(super) fn read_sta(path: &Path) -> Result<Vec<DescribedVideo>> {
    let mut videos: Vec<DescribedVideo> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for GroundedSentence { video, sentence, segment } in charades_sta::read(path)? {
        let place = *places.entry(video).or_insert_with_key(|name| {
            videos.push(DescribedVideo { name: name.clone(), ..DescribedVideo::default() });
            videos.len() - 1
        });
        let novelty = Novelty::Unsaid;
        videos[place].sentences.push(DescribedMoment { sentence, segment, novelty });
    }
    Ok(videos)
}

/// Writes Charades-STA, a line a sentence.
pub(super) fn write_sta(path: &Path, videos: &[DescribedVideo]) -> Result<()> {
    let line = |video: &DescribedVideo, moment: &DescribedMoment| GroundedSentence {
        video: video.name.clone(),
        sentence: one_line(&moment.sentence),
        segment: moment.segment,
    };
    let lines: Vec<GroundedSentence> =
        videos.iter().flat_map(|video| video.sentences.iter().map(|moment| line(video, moment))).collect();
    Ok(charades_sta::write(path, &lines)?)
}

/// Some captions of ActivityNet go over several lines.
fn one_line(sentence: &str) -> String {
    if sentence.contains(['\n', '\r']) {
        sentence.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        sentence.to_owned()
    }
}

/// What Charades-STA cannot hold of some videos, in words.
pub(super) fn lost_in_sta(videos: &[DescribedVideo]) -> Vec<String> {
    let moments = |lost: fn(&DescribedMoment) -> bool| {
        videos.iter().flat_map(|video| &video.sentences).filter(|moment| lost(moment)).count()
    };
    let lost = [
        (
            videos.iter().filter(|video| video.duration.is_some()).count(),
            "video",
            "with a duration: it is lost",
        ),
        (
            videos.iter().filter(|video| video.sentences.is_empty()).count(),
            "video",
            "without sentences: left out",
        ),
        (moments(|m| m.novelty != Novelty::Unsaid), "sentence", "with what is new in it: that is lost"),
        (
            moments(|m| m.sentence.contains(['\n', '\r'])),
            "sentence",
            "of several lines: blanks part them now",
        ),
    ];
    let told = lost.into_iter().filter(|(count, ..)| *count > 0);
    told.map(|(count, what, fate)| format!("{count} {what}{} {fate}", if count == 1 { "" } else { "s" }))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::convert::{Converted, Request, convert};
    use crate::{Result, ScoreError};
    use std::path::Path;

    const SPLIT: &str = r#"{"A": {"sentences": ["x ##1", "y\n z"], "timestamps": [[0.5, 2], [1, 3.25]], "duration": 9.5,
        "news": [{"NOUN": ["x"]}, {}]}, "B": {"sentences": [], "timestamps": []}}"#;

    fn turn(folder: &Path, [from, input]: [&str; 2], [to, output]: [&str; 2]) -> Result<Converted> {
        let (input, output) = (folder.join(input), folder.join(output));
        convert(&Request { from: from.to_owned(), to: to.to_owned(), input, output, pictures: None })
    }

    #[test]
    fn lines_become_videos_and_lines_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::write(at.join("a.txt"), "V2 0.5 2.0##one\nV1 1.0 3.25##two.\nV2 4.0 5.0##\"three\"\n")
            .unwrap();
        let done = turn(at, ["charades-sta", "a.txt"], ["charades-cg", "b.json"]).unwrap();
        assert_eq!((done.images, done.objects, done.losses.len()), (2, 3, 0));
        let json = std::fs::read_to_string(at.join("b.json")).unwrap();
        assert!(
            json.starts_with(r#"{"V2":{"sentences":["one","\"three\""],"timestamps":[[0.5,2.0],"#),
            "{json}"
        );
        turn(at, ["charades-cg", "b.json"], ["charades-sta", "c.txt"]).unwrap();
        let lines = std::fs::read_to_string(at.join("c.txt")).unwrap();
        assert_eq!(lines, "V2 0.5 2.0##one\nV2 4.0 5.0##\"three\"\nV1 1.0 3.25##two.\n");
    }

    #[test]
    fn what_lines_cannot_hold_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::write(at.join("a.json"), SPLIT).unwrap();
        let done = turn(at, ["charades-cg", "a.json"], ["charades-sta", "b.txt"]).unwrap();
        let wanted = [
            "1 video with a duration: it is lost",
            "1 video without sentences: left out",
            "2 sentences with what is new in it: that is lost",
            "1 sentence of several lines: blanks part them now",
        ];
        assert_eq!(done.losses, wanted);
        let lines = std::fs::read_to_string(at.join("b.txt")).unwrap();
        assert_eq!(lines, "A 0.5 2.0##x ##1\nA 1.0 3.25##y z\n");
        // The form itself has room for all of it.
        let same = turn(at, ["charades-cg", "a.json"], ["charades-cg", "c.json"]).unwrap();
        assert!(same.losses.is_empty());
    }

    #[test]
    fn names_that_would_not_be_read_back_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::write(at.join("a.json"), SPLIT.replace("\"A\"", "\"A b\"")).unwrap();
        let refused = turn(at, ["charades-cg", "a.json"], ["charades-sta", "b.txt"]).unwrap_err();
        assert!(refused.to_string().contains("`A b`") && !at.join("b.txt").exists(), "{refused}");
        let other = turn(at, ["charades-cg", "a.json"], ["activitynet", "b.json"]).unwrap_err();
        assert!(matches!(other, ScoreError::Files(_)));
    }

    #[test]
    fn real_lines_survive() {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/data/charades-sta/charades_sta_test.txt");
        if !shared.exists() {
            eprintln!("skipped: no file {}", shared.display());
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = shared.to_string_lossy();
        let there = turn(folder.path(), ["charades-sta", &path], ["charades-cg", "a.json"]).unwrap();
        let back = turn(folder.path(), ["charades-cg", "a.json"], ["charades-sta", "b.txt"]).unwrap();
        assert_eq!((back.images, back.objects), (there.images, there.objects));
        let lines = |path: &Path| {
            let mut all = ocelli_data::annotations::charades_sta::read(path).unwrap();
            all.sort_by(|a, b| a.video.cmp(&b.video));
            all
        };
        assert_eq!(lines(&folder.path().join("b.txt")), lines(&shared));
    }
}

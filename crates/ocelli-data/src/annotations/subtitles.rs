//! Subtitles: what is said in a film, and when. SubRip (`.srt`), WebVTT (`.vtt`) and JSON.
//!
//! Both text forms are read alike: a cue is a line with `start --> end` and the lines below it up to an empty one; a
//! number or name may stand above it. WebVTT's header, notes, styles and regions are passed over, and so are the settings
//! behind a cue's times. JSON is a list of `{"start", "end", "text"}` with times in seconds or as `HH:MM:SS.mmm`, or the
//! object of the movie-emotion splits, `{"time": ["start-->end"], "dialog": [text]}`.
//!
//! Lines keep the order of the file, in which features of them stand. They may touch and overlap. One that ends before it
//! starts is refused.

use std::io::Write;
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::json::{Place, fault};
use super::read_text;
use crate::error::DataError;

/// A line of the subtitles.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SubtitleLine {
    /// When it appears, in seconds.
    pub start: f64,
    /// When it goes.
    pub end: f64,
    /// What is said, with its markup; lines are separated by line feeds.
    pub text: String,
}

/// A form of subtitle file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubtitleFormat {
    /// SubRip.
    Srt,
    /// WebVTT.
    Vtt,
    /// JSON.
    Json,
}

impl SubtitleFormat {
    /// By the ending of a path.
    ///
    /// # Errors
    /// [`DataError::Content`] for another ending.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("srt") => Ok(Self::Srt),
            Some("vtt") => Ok(Self::Vtt),
            Some("json") => Ok(Self::Json),
            _ => Err(DataError::content(path, "no subtitle file: .srt, .vtt or .json is expected")),
        }
    }
}

impl SubtitleLine {
    /// The text without markup: tags such as `<i>` and `{\an8}` go, and all white space becomes single blanks.
    pub fn plain(&self) -> String {
        let mut plain = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find(['<', '{']) {
            plain.push_str(&rest[..at]);
            let close = if rest[at..].starts_with('<') { '>' } else { '}' };
            // Without its end it is no tag but a sign.
            match rest[at..].find(close).filter(|_| is_tag(&rest[at..])) {
                Some(length) => rest = &rest[at + length + 1..],
                None => {
                    plain.push_str(&rest[at..=at]);
                    rest = &rest[at + 1..];
                }
            }
        }
        plain.push_str(rest);
        plain.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Whether a text that starts with a bracket starts with a tag: `<i>`, `</i>`, `<v Ann>`, `<00:01.000>`, `{\an8}`.
fn is_tag(text: &str) -> bool {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some('<'), Some(next)) => next.is_ascii_alphanumeric() || next == '/',
        (Some('{'), Some(next)) => next == '\\',
        _ => false,
    }
}

/// Reads subtitles of either form, which the ending of the path tells.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] naming line and reason; [`DataError::Content`] for another ending, or when
/// there is no line at all.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<SubtitleLine>, DataError> {
    let path = path.as_ref();
    let format = SubtitleFormat::of(path)?;
    let text = read_text(path)?;
    let lines = match format {
        SubtitleFormat::Srt | SubtitleFormat::Vtt => cues(path, &text, format)?,
        SubtitleFormat::Json => from_json(path, &text)?,
    };
    if lines.is_empty() {
        return Err(DataError::content(path, "there are no subtitles in it"));
    }
    Ok(lines)
}

/// A time of the form `[HH:]MM:SS[.mmm]`, with point or comma, in seconds.
pub fn parse_time(text: &str) -> Option<f64> {
    let (clock, fraction) = match text.split_once([',', '.']) {
        Some((clock, fraction)) => (clock, fraction),
        None => (text, "0"),
    };
    let digits = |text: &str, most: usize| {
        let fine = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fine.then(|| text.parse::<u64>().ok()).flatten()
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [h, m, s] => (digits(h, 6)?, digits(m, 2)?, digits(s, 2)?),
        [m, s] => (0, digits(m, 2)?, digits(s, 2)?),
        _ => return None,
    };
    let thousandths = digits(fraction, 9)? as f64 * 10f64.powi(3 - fraction.len() as i32);
    let whole = (minutes < 60 && seconds < 60).then_some((hours * 60 + minutes) * 60 + seconds)?;
    // One division, so that a time in thousandths is the number nearest to it.
    Some((whole as f64 * 1000.0 + thousandths) / 1000.0)
}

/// Two times with an arrow between them; settings may follow.
///
/// # Errors
/// In words, what is wrong with it.
pub fn parse_span(text: &str) -> Result<[f64; 2], String> {
    let wrong = || format!("`start --> end` expected, found `{}`", text.trim());
    let (start, end) = text.split_once("-->").ok_or_else(wrong)?;
    let end = end.split_whitespace().next().unwrap_or_default();
    let [start, end] = [start.trim(), end].map(parse_time);
    let (start, end) = start.zip(end).ok_or_else(wrong)?;
    if end < start {
        return Err(format!("the line ends before it starts: `{}`", text.trim()));
    }
    Ok([start, end])
}

/// The cues of a text file.
fn cues(path: &Path, text: &str, format: SubtitleFormat) -> Result<Vec<SubtitleLine>, DataError> {
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line)).peekable();
    if format == SubtitleFormat::Vtt {
        match lines.next() {
            Some((_, first)) if first.split_whitespace().next() == Some("WEBVTT") => {}
            _ => return Err(DataError::line(path, 1, "the first line of WebVTT is `WEBVTT`")),
        }
        // What stands below it belongs to the header.
        while lines.next_if(|(_, line)| !line.trim().is_empty() && !line.contains("-->")).is_some() {}
    }
    let mut found = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if line.contains("-->") {
            let [start, end] = parse_span(line).map_err(|reason| DataError::line(path, number, reason))?;
            let mut said = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
                said.push(line.trim_end());
            }
            found.push(SubtitleLine { start, end, text: said.join("\n") });
        } else if lines.peek().is_some_and(|(_, next)| next.contains("-->")) {
            // The cue's number or name.
        } else if format == SubtitleFormat::Vtt {
            // A note, a style, a region, or a name without a cue, which the standard passes over.
            while lines.next_if(|(_, line)| !line.trim().is_empty()).is_some() {}
        } else {
            let reason = format!("a cue's number or its times are expected, found `{}`", line.trim());
            return Err(DataError::line(path, number, reason));
        }
    }
    Ok(found)
}

/// Either JSON form.
fn from_json(path: &Path, text: &str) -> Result<Vec<SubtitleLine>, DataError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Seconds(f64),
        Text(String),
    }
    #[derive(Deserialize)]
    struct Line {
        start: Time,
        end: Time,
        text: String,
    }
    #[derive(Deserialize)]
    struct Split {
        #[serde(alias = "dialog_name")]
        time: Vec<String>,
        dialog: Vec<String>,
    }
    let wrong = |e: serde_json::Error| fault(path, &e, &Place::default());
    if text.trim_start().starts_with('{') {
        let split: Split = serde_json::from_str(text).map_err(wrong)?;
        return of_split(&split.time, &split.dialog).map_err(|reason| DataError::content(path, reason));
    }
    let lines: Vec<Line> = serde_json::from_str(text).map_err(wrong)?;
    let seconds = |time: &Time| match time {
        Time::Seconds(seconds) if seconds.is_finite() && *seconds >= 0.0 => Ok(*seconds),
        Time::Seconds(seconds) => Err(format!("{seconds} is no time in seconds")),
        Time::Text(text) => parse_time(text.trim()).ok_or_else(|| format!("`{text}` is no time")),
    };
    let line = |(number, line): (usize, Line)| {
        let at = |reason: String| DataError::content(path, format!("subtitle {}: {reason}", number + 1));
        let (start, end) = (seconds(&line.start).map_err(at)?, seconds(&line.end).map_err(at)?);
        match end < start {
            true => Err(at(format!("it ends before it starts: {start} to {end}"))),
            false => Ok(SubtitleLine { start, end, text: line.text }),
        }
    };
    lines.into_iter().enumerate().map(line).collect()
}

/// The lines of a clip of the movie-emotion splits.
pub(super) fn of_split(times: &[String], dialog: &[String]) -> Result<Vec<SubtitleLine>, String> {
    if times.len() != dialog.len() {
        return Err(format!("{} times for {} lines of dialog", times.len(), dialog.len()));
    }
    let line = |(number, (time, text)): (usize, (&String, &String))| {
        let span = parse_span(time).map_err(|reason| format!("subtitle {}: {reason}", number + 1))?;
        Ok(SubtitleLine { start: span[0], end: span[1], text: text.clone() })
    };
    times.iter().zip(dialog).enumerate().map(line).collect()
}

/// A time as `HH:MM:SS.mmm`, with another sign before the thousandths if need be.
pub(super) fn format_time(seconds: f64, point: char) -> String {
    let thousandths = (seconds.max(0.0) * 1000.0).round() as u64;
    let (seconds, rest) = (thousandths / 1000, thousandths % 1000);
    format!("{:02}:{:02}:{:02}{point}{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Writes subtitles in the form that the ending of the path tells. The text forms know thousandths of a second and no
/// empty lines within a text.
///
/// # Errors
/// [`DataError::Write`]; [`DataError::Content`] for another ending.
pub fn write(path: impl AsRef<Path>, lines: &[SubtitleLine]) -> Result<(), DataError> {
    let path = path.as_ref();
    let format = SubtitleFormat::of(path)?;
    let write = |out: &mut dyn Write| {
        match format {
            SubtitleFormat::Json => return Ok(serde_json::to_writer_pretty(out, lines)?),
            SubtitleFormat::Vtt => writeln!(out, "WEBVTT\n")?,
            SubtitleFormat::Srt => {}
        }
        let point = if format == SubtitleFormat::Srt { ',' } else { '.' };
        for (number, line) in lines.iter().enumerate() {
            if format == SubtitleFormat::Srt {
                writeln!(out, "{}", number + 1)?;
            }
            let [start, end] = [line.start, line.end].map(|t| format_time(t, point));
            writeln!(out, "{start} --> {end}")?;
            let mut said = line.text.lines().map(str::trim_end).filter(|said| !said.is_empty());
            said.try_for_each(|said| writeln!(out, "{said}"))?;
            writeln!(out)?;
        }
        Ok(())
    };
    write_atomically(path, write).map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_as(name: &str, text: impl AsRef<[u8]>) -> Result<Vec<SubtitleLine>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    fn line(start: f64, end: f64, text: &str) -> SubtitleLine {
        SubtitleLine { start, end, text: text.to_owned() }
    }

    #[test]
    fn times_are_read_as_they_are_written_anywhere() {
        for (text, want) in [
            ("00:00:03.963", 3.963),
            ("01:02:03,004", 3723.004),
            ("100:00:00.5", 360_000.5),
            ("59:59.1234", 3599.1234),
            ("00:07", 7.0),
        ] {
            assert_eq!(parse_time(text), Some(want), "{text}");
        }
        for wrong in ["", "7", "00:60", "60:00", "1:2:3:4", "00:00:-1", "00:00:01.", "aa:bb", "00:00:01.12x"]
        {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn subrip_and_webvtt_are_read_alike() {
        let want = [line(1.0, 2.5, "Hello."), line(2.5, 4.0, "- Two\n- lines")];
        let srt = "\u{feff}1\r\n00:00:01,000 --> 00:00:02,500 X1:40 X2:600\r\nHello.\r\n\r\n2\r\n00:00:02,500 --> 00:00:04,000\r\n- Two\r\n- lines\r\n";
        assert_eq!(read_as("a.srt", srt).unwrap(), want);
        let vtt = "WEBVTT - a title\nKind: captions\n\nNOTE a --\nof two lines\n\nSTYLE\n::cue { color: red }\n\nintro\n00:01.000 --> 00:02.500 align:start\nHello.\n\n00:00:02.500 --> 00:00:04.000\n- Two\n- lines";
        assert_eq!(read_as("a.VTT", vtt).unwrap(), want);
    }

    #[test]
    fn both_forms_of_json_are_read() {
        let want = [line(1.0, 2.5, "Hello."), line(3.0, 4.0, "")];
        let list = r#"[{"start": 1, "end": "00:00:02.500", "text": "Hello."}, {"start": 3.0, "end": 4, "text": ""}]"#;
        assert_eq!(read_as("a.json", list).unwrap(), want);
        for key in ["time", "dialog_name"] {
            let split = r#"{"emo": {}, "KEY": ["00:00:01.000-->00:00:02.500", "00:00:03.000-->00:00:04.000"], "dialog": ["Hello.", ""]}"#;
            assert_eq!(read_as("a.json", split.replace("KEY", key)).unwrap(), want);
        }
    }

    #[test]
    fn markup_can_be_taken_off() {
        for (text, want) in [
            ("<i>- Hey!\n- Hi.</i>", "- Hey! - Hi."),
            ("{\\an8}<v Ann Lee>So <00:01.000>it is", "So it is"),
            ("I < 3 {really} <- now >", "I < 3 {really} <- now >"),
            ("  a\t b ", "a b"),
        ] {
            assert_eq!(line(0.0, 1.0, text).plain(), want);
        }
    }

    #[test]
    fn errors_name_line_and_reason() {
        for (name, text, wanted) in [
            ("a.srt", "", "there are no subtitles in it"),
            (
                "a.srt",
                "1\n00:00:01,000 -> 00:00:02,000\nHi",
                "a.srt:1: a cue's number or its times are expected",
            ),
            (
                "a.srt",
                "1\n00:00:01,000 --> 00:00:71,000\nHi",
                "a.srt:2: `start --> end` expected, found `00:00:01,000 -->",
            ),
            ("a.srt", "1\n00:00:02,000 --> 00:00:01,000\nHi", "a.srt:2: the line ends before it starts"),
            ("a.vtt", "1\n00:01.000 --> 00:02.000\nHi", "a.vtt:1: the first line of WebVTT"),
            (
                "a.json",
                "[{\"start\": 1, \"end\": -2, \"text\": \"\"}]",
                "subtitle 1: -2 is no time in seconds",
            ),
            (
                "a.json",
                "[{\"start\": 3, \"end\": 2, \"text\": \"\"}]",
                "subtitle 1: it ends before it starts",
            ),
            ("a.json", "[\n{\"start\": 1}]", "a.json:2: "),
            ("a.json", "{\"time\": [], \"dialog\": [\"a\"]}", "0 times for 1 lines of dialog"),
            ("a.txt", "", "no subtitle file"),
        ] {
            let message = read_as(name, text).unwrap_err().to_string();
            assert!(message.contains(wanted) && !message.contains('\n'), "{message}");
        }
    }

    /// Lines that every form can hold: thousandths, and texts without empty lines or arrows.
    fn anything() -> impl Strategy<Value = Vec<SubtitleLine>> {
        let text =
            prop::collection::vec("[a-zA-Z0-9<>/{}\\\\äé'\",.?!♪-]([a-zA-Z0-9 <>/{}äé]{0,12}[a-z])?", 0..3);
        let text = text.prop_map(|lines| lines.join("\n")).prop_filter("an arrow", |t| !t.contains("-->"));
        let one = (0u64..400_000_000, 0u64..100_000, text).prop_map(|(start, length, text)| SubtitleLine {
            start: start as f64 / 1000.0,
            end: (start + length) as f64 / 1000.0,
            text,
        });
        prop::collection::vec(one, 1..6)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(lines in anything()) {
            let folder = tempfile::tempdir().unwrap();
            for name in ["a.srt", "a.vtt", "a.json"] {
                let path = folder.path().join(name);
                write(&path, &lines).unwrap();
                prop_assert_eq!(&read(&path).unwrap(), &lines);
            }
        }

        #[test]
        fn no_bytes_cause_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            text in "(WEBVTT\n\n)?([0-9]{0,2}\n)?[0-9:,.]{0,12} ?-->[0-9:,. ]{0,14}\n.{0,9}\n?",
            json in "[\\[{]{0,2}\"(start|time|text)\":[\\[0-9.\"e-]{0,6}[\\]}]{0,3}",
        ) {
            for name in ["a.srt", "a.vtt", "a.json"] {
                for content in [&bytes[..], text.as_bytes(), json.as_bytes()] {
                    let _ = read_as(name, content);
                }
            }
            let _ = line(0.0, 0.0, &text).plain();
        }
    }
}

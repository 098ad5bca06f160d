use std::path::PathBuf;

use ::image::codecs::gif::GifEncoder;
use ::image::{Delay, DynamicImage, Frame, Rgb};

use super::*;
use crate::image::save;

/// Frames that differ everywhere, in colours that a palette can hold.
fn frames(n: u8, width: u32, height: u32) -> Vec<RgbImage> {
    let frame =
        |k: u8| RgbImage::from_fn(width, height, move |x, _| Rgb([k * 20, (x % 4) as u8 * 60, 255 - k]));
    (0..n).map(frame).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn write_frames(folder: &Path, prefix: &str, first: usize, frames: &[RgbImage]) {
    for (i, frame) in frames.iter().enumerate() {
        save(folder.join(format!("{prefix}{:05}.png", first + i)), frame).unwrap();
    }
}

fn gif(frames: &[RgbImage], milliseconds: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for frame in frames {
        let picture = DynamicImage::from(frame.clone()).into_rgba8();
        let frame = Frame::from_parts(picture, 0, 0, Delay::from_numer_denom_ms(milliseconds, 1));
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    bytes
}

fn open(path: &Path) -> Result<FrameSource, DataError> {
    FrameSource::open(path, &FrameOptions::default())
}

fn message(result: Result<impl std::fmt::Debug, DataError>) -> String {
    let message = result.unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn a_folder_gives_its_frames_in_order_of_their_numbers() {
    let folder = folder();
    let frames = frames(12, 4, 3);
    write_frames(folder.path(), "img_", 1, &frames);
    std::fs::write(folder.path().join("notes.txt"), "no frame").unwrap();
    let source = open(folder.path()).unwrap();
    assert_eq!((source.len(), source.rate(), source.is_empty()), (12, None, false));
    // Numbers of frames count from 0, whatever their names do.
    assert_eq!(source.read(&[11, 0, 0]).unwrap(), [&frames[11], &frames[0], &frames[0]].map(Clone::clone));
    assert!(message(source.read(&[12])).contains("12 is none of 12, counted from 0"));
}

#[test]
fn the_kind_of_frames_is_found_or_asked_for() {
    let folder = folder();
    let (rgb, flow) = (frames(3, 4, 3), frames(2, 6, 3));
    write_frames(folder.path(), "x_", 0, &flow);
    write_frames(folder.path(), "y_", 0, &flow);
    assert!(message(open(folder.path())).contains("names begin with `x_`, `y_`"));
    write_frames(folder.path(), "img_", 0, &rgb);
    assert_eq!(open(folder.path()).unwrap().len(), 3);
    let asked = |prefix: &str| {
        let options = FrameOptions { prefix: Some(prefix.to_owned()), ..FrameOptions::default() };
        FrameSource::open(folder.path(), &options)
    };
    assert_eq!(asked("y_").unwrap().read(&[1]).unwrap(), flow[1..]);
    assert!(message(asked("z_")).contains("no picture's name is `z_` and a number; there are `img_`"));
}

#[test]
fn what_is_wrong_with_a_folder_is_named() {
    let empty = folder();
    assert!(message(open(empty.path())).contains("there are no numbered pictures"));
    assert!(message(open(&empty.path().join("absent"))).contains("absent"));
    let gap = folder();
    write_frames(gap.path(), "", 1, &frames(2, 4, 3));
    write_frames(gap.path(), "", 7, &frames(1, 4, 3));
    assert!(message(open(gap.path())).contains("between frames 2 and 7 some are missing"));
    let twice = folder();
    write_frames(twice.path(), "", 1, &frames(1, 4, 3));
    save(twice.path().join("1.png"), &frames(1, 4, 3)[0]).unwrap();
    assert!(message(open(twice.path())).contains("are of one number"));
    let mixed = folder();
    write_frames(mixed.path(), "", 0, &frames(2, 4, 3));
    write_frames(mixed.path(), "", 2, &frames(1, 5, 3));
    assert!(
        message(open(mixed.path()).unwrap().read(&[1, 2])).contains("frame 2 is 5 x 3, frame 1 is 4 x 3")
    );
}

#[test]
fn an_animation_gives_all_its_frames() {
    let folder = folder();
    let path = folder.path().join("moving.gif");
    let frames = frames(5, 8, 6);
    std::fs::write(&path, gif(&frames, 40)).unwrap();
    let source = open(&path).unwrap();
    assert_eq!((source.len(), source.rate()), (5, Some(25.0)));
    assert_eq!(source.read(&[4, 1]).unwrap(), [frames[4].clone(), frames[1].clone()]);
    std::fs::write(&path, gif(&frames, 0)).unwrap();
    assert_eq!(open(&path).unwrap().rate(), None);
}

#[test]
fn an_animation_cut_short_or_too_large_is_refused() {
    let folder = folder();
    let path = folder.path().join("cut.gif");
    let whole = gif(&frames(5, 8, 6), 40);
    for length in [4, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(message(open(&path)).contains("cannot decode"), "{length}");
    }
    std::fs::write(&path, &whole).unwrap();
    let limits = DecodeLimits { max_memory_bytes: 4 * 8 * 6 * 3, ..DecodeLimits::default() };
    let options = FrameOptions { limits, ..FrameOptions::default() };
    assert!(FrameSource::open(&path, &options).is_err());
    let limits = DecodeLimits { max_pixels: 40, ..DecodeLimits::default() };
    let options = FrameOptions { limits, ..FrameOptions::default() };
    assert!(message(FrameSource::open(&path, &options)).contains("48 pixels"));
    std::fs::write(&path, "").unwrap();
    assert!(message(open(&path)).contains("the file is empty"));
}

#[test]
fn without_ffmpeg_a_video_says_what_it_takes() {
    let folder = folder();
    let path = folder.path().join("film.mp4");
    std::fs::write(&path, "some bytes").unwrap();
    let options = FrameOptions { ffmpeg: Some(folder.path().to_owned()), ..FrameOptions::default() };
    let message = message(FrameSource::open(&path, &options));
    assert!(message.contains("takes the programs ffmpeg and ffprobe, which are not in"), "{message}");
}

/// Stand-ins for the executables, whose answers are known.
#[cfg(unix)]
mod stand_in {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ANSWER: &str =
        r#"{"streams": [{"width": 2, "height": 1, "avg_frame_rate": "30000/1001", "nb_read_packets": "4"}]}"#;

    /// A folder with the executables, `ffmpeg` a script of these lines, and a file that is opened with them.
    fn tools(probe: &str, ffmpeg: &str) -> (tempfile::TempDir, PathBuf, FrameOptions) {
        let folder = folder();
        for (name, script) in
            [("ffprobe", format!("#!/bin/sh\n{probe}\n")), ("ffmpeg", format!("#!/bin/sh\n{ffmpeg}\n"))]
        {
            let path = folder.path().join(name);
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = folder.path().join("-strange $(name).mp4");
        std::fs::write(&path, "video").unwrap();
        let options = FrameOptions { ffmpeg: Some(folder.path().to_owned()), ..FrameOptions::default() };
        (folder, path, options)
    }

    fn answer() -> String {
        format!("echo '{ANSWER}'")
    }

    #[test]
    fn frames_are_cut_out_of_the_stream() {
        let (_folder, path, options) = tools(&answer(), "printf 'abcdefghijklmnopqrstuvwx'");
        let source = FrameSource::open(&path, &options).unwrap();
        assert_eq!((source.len(), source.rate()), (4, Some(30000.0 / 1001.0)));
        let read = source.read(&[2, 0, 2]).unwrap();
        let raw: Vec<&[u8]> = read.iter().map(|f| f.as_raw().as_slice()).collect();
        assert_eq!(raw, [b"mnopqr", b"abcdef", b"mnopqr"]);
    }

    /// The path comes as one argument, with nothing in it taken for more than a name.
    #[test]
    fn no_shell_sees_the_path() {
        let script =
            r#"for a in "$@"; do case "$a" in file:*) test -f "${a#file:}" && printf 'abcdef';; esac; done"#;
        let (_folder, path, options) = tools(&answer(), script);
        assert_eq!(FrameSource::open(&path, &options).unwrap().read(&[0]).unwrap()[0].as_raw(), b"abcdef");
    }

    #[test]
    fn an_endless_or_talkative_decoder_does_no_harm() {
        let (_folder, path, options) =
            tools(&answer(), "while :; do echo complaint >&2; printf 'abcdef'; done");
        assert_eq!(FrameSource::open(&path, &options).unwrap().read(&[3]).unwrap().len(), 1);
    }

    #[test]
    fn older_versions_know_another_option() {
        let script = r#"case "$*" in *fps_mode*) echo "Unrecognized option 'fps_mode'." >&2; exit 1;; *) printf 'abcdef';; esac"#;
        let (_folder, path, options) = tools(&answer(), script);
        assert_eq!(FrameSource::open(&path, &options).unwrap().read(&[0]).unwrap().len(), 1);
    }

    #[test]
    fn what_the_programs_complain_about_is_told() {
        let broken = |probe: &str, ffmpeg: &str| {
            let (_folder, path, options) = tools(probe, ffmpeg);
            message(FrameSource::open(&path, &options).and_then(|source| source.read(&[1])))
        };
        for (message, wanted) in [
            (
                broken("echo 'moov atom not found' >&2; exit 1", ""),
                "finds no video in it: moov atom not found",
            ),
            (broken("echo '{\"streams\": []}'", ""), "it has no video stream"),
            (broken("echo '{}'", ""), "it has no video stream"),
            (broken("echo nonsense", ""), "ffprobe's answer cannot be read"),
            (broken(&answer().replace("\"4\"", "\"0\""), ""), "it has no frame"),
            (broken(&answer().replace("\"width\": 2", "\"width\": 0"), ""), "tells no size"),
            (broken(&answer().replace("\"width\": 2", "\"width\": 99999999"), ""), "99999999 pixels"),
            (
                broken(&answer(), "printf 'abcdefgh'; echo 'corrupt packet' >&2"),
                "frame 1 is wanted, but decoding ends after 1 frames: corrupt packet",
            ),
        ] {
            assert!(message.contains(wanted), "{message}");
        }
    }
}

/// The executables themselves, where they are installed: a video without loss comes back to the bit.
#[test]
fn ffmpeg_gives_the_frames_of_a_video() {
    let Some(_) = Ffmpeg::find(None) else {
        eprintln!("SKIPPED: no ffmpeg and ffprobe in PATH");
        return;
    };
    let folder = folder();
    let frames = frames(7, 32, 16);
    write_frames(folder.path(), "f", 1, &frames);
    let video = folder.path().join("it's 100% a film.mkv");
    let mut encode = std::process::Command::new("ffmpeg");
    encode.args(["-v", "error", "-framerate", "12.5", "-i"]).arg(folder.path().join("f%05d.png"));
    encode.args(["-c:v", "ffv1", "-pix_fmt", "bgr0"]).arg(&video);
    assert!(encode.status().unwrap().success());
    let source = open(&video).unwrap();
    assert_eq!((source.len(), source.rate()), (7, Some(12.5)));
    assert_eq!(source.read(&[6, 2]).unwrap(), [frames[6].clone(), frames[2].clone()]);
    // What is no video, and one that is cut short.
    let broken = folder.path().join("broken.mkv");
    std::fs::write(&broken, "no video at all").unwrap();
    assert!(message(open(&broken)).contains("finds no video in it"));
    let bytes = std::fs::read(&video).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    assert!(open(&broken).and_then(|source| source.read(&[6])).is_err());
}

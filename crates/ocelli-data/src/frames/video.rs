//! Videos, through the executables `ffmpeg` and `ffprobe`.
//!
//! No library is linked and no shell is asked: the programs are started with their arguments one by one, see files only,
//! and hand over raw pixels through a pipe.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ::image::RgbImage;
use serde::Deserialize;

use super::{FrameOptions, check_memory};
use crate::error::DataError;
use crate::image::DecodeLimits;

/// The executables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ffmpeg {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
}

impl Ffmpeg {
    /// The executables of a folder, or the first in `PATH`; nothing where one of them is not there.
    pub fn find(folder: Option<&Path>) -> Option<Self> {
        let find = |name: &str| {
            let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = match folder {
                Some(folder) => vec![folder.to_owned()],
                None => std::env::split_paths(&path).filter(|p| p.is_absolute()).collect(),
            };
            folders.into_iter().map(|folder| folder.join(&name)).find(|file| file.is_file())
        };
        Some(Self { ffmpeg: find("ffmpeg")?, ffprobe: find("ffprobe")? })
    }
}

/// A video file.
#[derive(Clone, Debug)]
pub struct Video {
    path: PathBuf,
    tools: Ffmpeg,
    size: (u32, u32),
    frames: usize,
    rate: Option<f64>,
    limits: DecodeLimits,
}

/// What `ffprobe` tells.
#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    width: Option<u32>,
    height: Option<u32>,
    avg_frame_rate: Option<String>,
    nb_read_packets: Option<String>,
}

impl Video {
    /// Looks at a video: size, rate and number of frames of its first video stream.
    ///
    /// # Errors
    /// [`DataError::Content`] when the executables are not there, or find no video in the file; [`DataError::TooLarge`].
    pub fn open(path: impl AsRef<Path>, options: &FrameOptions) -> Result<Self, DataError> {
        let path = path.as_ref();
        let wrong = |reason: String| DataError::content(path, reason);
        let tools = Ffmpeg::find(options.ffmpeg.as_deref()).ok_or_else(|| {
            let place = match &options.ffmpeg {
                Some(folder) => format!("in {}", folder.display()),
                None => "in PATH".to_owned(),
            };
            wrong(format!(
                "it is neither a GIF nor a folder of frames; to read a video takes the programs ffmpeg and ffprobe, which \
                 are not {place}"
            ))
        })?;
        let mut probe = Command::new(&tools.ffprobe);
        probe.args(["-v", "error", "-protocol_whitelist", "file,pipe", "-select_streams", "v:0"]);
        probe.args(["-count_packets", "-show_entries"]);
        probe.args(["stream=width,height,avg_frame_rate,nb_read_packets", "-of", "json"]);
        probe.arg(as_file(path)).stdin(Stdio::null());
        let output = probe.output().map_err(|source| DataError::read(&tools.ffprobe, source))?;
        if !output.status.success() {
            let said = first_line(&output.stderr);
            return Err(wrong(format!("ffprobe finds no video in it: {said}")));
        }
        let found: Probe = serde_json::from_slice(&output.stdout)
            .map_err(|e| wrong(format!("ffprobe's answer cannot be read: {e}")))?;
        let stream = found.streams.into_iter().next();
        let stream = stream.ok_or_else(|| wrong("it has no video stream".to_owned()))?;
        let size = stream.width.zip(stream.height).filter(|(w, h)| *w > 0 && *h > 0);
        let size = size.ok_or_else(|| wrong("ffprobe tells no size of its frames".to_owned()))?;
        let pixels = u64::from(size.0) * u64::from(size.1);
        if pixels > options.limits.max_pixels {
            let (name, limit) = (path.display().to_string(), options.limits.max_pixels);
            return Err(DataError::TooLarge { name, what: "pixels", found: pixels, limit });
        }
        let frames = stream.nb_read_packets.and_then(|n| n.parse().ok()).filter(|n| *n > 0);
        let frames = frames.ok_or_else(|| wrong("it has no frame".to_owned()))?;
        let rate = stream.avg_frame_rate.as_deref().and_then(fraction);
        Ok(Self { path: path.to_owned(), tools, size, frames, rate, limits: options.limits })
    }

    /// Number of frames, as the file's packets say.
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Whether there is no frame. An opened video has one.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Width and height in pixels, as stored: a turn that the file asks for is not made.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Frames a second, on average.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Decodes from the beginning up to the last frame wanted.
    pub(super) fn read(&self, numbers: &[usize]) -> Result<Vec<RgbImage>, DataError> {
        check_memory(&self.path, numbers.len(), self.size, &self.limits)?;
        let Some(last) = numbers.iter().copied().max() else { return Ok(Vec::new()) };
        // Newer versions call it fps_mode, older ones know vsync alone.
        match self.decode(numbers, last, "-fps_mode")? {
            Decoded::Frames(frames) => Ok(frames),
            Decoded::UnknownOption => match self.decode(numbers, last, "-vsync")? {
                Decoded::Frames(frames) => Ok(frames),
                Decoded::UnknownOption => {
                    Err(DataError::content(&self.tools.ffmpeg, "it knows neither -fps_mode nor -vsync"))
                }
            },
        }
    }

    fn decode(&self, numbers: &[usize], last: usize, timing: &str) -> Result<Decoded, DataError> {
        let mut command = Command::new(&self.tools.ffmpeg);
        command.args(["-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-noautorotate", "-i"]);
        command.arg(as_file(&self.path));
        // Every frame as it is, none twice and none left out to keep a rate.
        command.args(["-map", "0:v:0", timing, "passthrough"]);
        command.args(["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |source| DataError::read(&self.tools.ffmpeg, source);
        let mut child = Running(command.spawn().map_err(failed)?);
        let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
        let (Some(mut stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(failed(ErrorKind::BrokenPipe.into()));
        };
        // Read beside the frames, or a talkative decoder would wait for ever.
        let listener = std::thread::spawn(move || listen(stderr));
        let mut wanted: Vec<Option<RgbImage>> = vec![None; last + 1];
        let mut remaining: Vec<usize> = vec![0; last + 1];
        numbers.iter().for_each(|&n| remaining[n] += 1);
        let length = 3 * self.size.0 as usize * self.size.1 as usize;
        let mut read = 0;
        while read <= last {
            let mut pixels = vec![0; length];
            match stdout.read_exact(&mut pixels) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => break,
                Err(e) => return Err(failed(e)),
            }
            if remaining[read] > 0 {
                wanted[read] = RgbImage::from_raw(self.size.0, self.size.1, pixels);
            }
            read += 1;
        }
        drop(stdout);
        drop(child);
        let said = listener.join().unwrap_or_default();
        if read <= last {
            if read == 0 && timing == "-fps_mode" && said.contains("fps_mode") {
                return Ok(Decoded::UnknownOption);
            }
            let said = first_line(said.as_bytes());
            let said = if said.is_empty() { String::new() } else { format!(": {said}") };
            let reason = format!("frame {last} is wanted, but decoding ends after {read} frames{said}");
            return Err(DataError::content(&self.path, reason));
        }
        let frames = numbers.iter().filter_map(|&n| {
            remaining[n] -= 1;
            // The last time it is asked for it need not be copied.
            if remaining[n] == 0 { wanted[n].take() } else { wanted[n].clone() }
        });
        Ok(Decoded::Frames(frames.collect()))
    }
}

/// What came out of a run of `ffmpeg`.
enum Decoded {
    Frames(Vec<RgbImage>),
    UnknownOption,
}

/// A process that does not outlive its use.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The beginning of what a process complains about; the rest is read and forgotten.
fn listen(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let _ = stderr.by_ref().take(4096).read_to_end(&mut kept);
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// A path that cannot be taken for an option, a protocol or a pattern.
fn as_file(path: &Path) -> std::ffi::OsString {
    let mut name = std::ffi::OsString::from("file:");
    name.push(path);
    name
}

/// A rate such as `30000/1001`.
fn fraction(text: &str) -> Option<f64> {
    let (above, below) = text.split_once('/').unwrap_or((text, "1"));
    let rate = above.parse::<f64>().ok()? / below.parse::<f64>().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

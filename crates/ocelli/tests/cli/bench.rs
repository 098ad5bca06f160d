//! A folder to work in, a recipe small enough to train in a blink, and what a command said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use image::{Rgb, RgbImage};
use ocelli::nn::weights::safetensors::{self, Contents};
use serde_json::Value;
use tempfile::TempDir;

/// Six procedural people to train on and two to verify, three steps an epoch.
const RECIPE: &str = r#"
task = "face-recognition"

[data.world]
people = 8
pictures = 4

[backbone]
input_size = 32
embedding = 16
widths = [4, 8, 8, 8]

[schedule]
epochs = 2

[train]
batch_size = 8

[evaluate]
folds = 2
"#;

/// A fresh folder with the recipe in it, in which commands are run.
pub(crate) struct Bench(TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        bench.write("tiny.toml", RECIPE);
        bench
    }

    /// With a finished run in the folder `run`.
    pub(crate) fn trained() -> Self {
        let bench = Self::new();
        bench.ocelli("train tiny.toml --out run").succeeded();
        bench
    }

    /// With a finished run of the recipe `NAME.toml` in the folder `run`, whose report has all of `parts`. The recipe that
    /// the run saved holds every key: it trains the same network again.
    pub(crate) fn trained_twice(name: &str, recipe: &str, parts: &[&str]) -> Self {
        let bench = Self::new();
        bench.write(&format!("{name}.toml"), recipe);
        bench.ocelli(&format!("train {name}.toml --out run")).succeeded();
        let files = ["checkpoint", "metrics.jsonl", "recipe.toml", "report.html", "weights.safetensors"];
        assert_eq!(bench.names("run"), files);
        let report = bench.text("run/report.html");
        parts.iter().for_each(|part| assert!(report.contains(part), "{name}: no {part} in the report"));
        bench.ocelli("train run/recipe.toml --out again").succeeded();
        for file in ["recipe.toml", "weights.safetensors"] {
            assert_eq!(bench.read(&format!("run/{file}")), bench.read(&format!("again/{file}")), "{name}");
        }
        bench
    }

    /// Fails unless each command is refused with all of its parts, by the program in a line or by its usage, and leaves no
    /// folder or file `x` behind.
    #[track_caller]
    pub(crate) fn refuses(&self, commands: &[(&str, &[&str])]) {
        for (arguments, parts) in commands {
            let said = self.ocelli(arguments);
            if said.code == Some(2) {
                assert!(parts.iter().all(|part| said.err.contains(part)), "{arguments}: {}", said.err);
            } else {
                said.refused(parts);
            }
            assert!(!self.exists("x"), "{arguments}");
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Names in a folder, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn safetensors(&self, name: &str) -> Contents {
        safetensors::read(&self.path(name)).unwrap()
    }

    /// The command with arguments that are parted by blanks, ready to be run in the folder.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn ocelli(&self, arguments: &str) -> Said {
        Said::new(arguments, self.command(arguments).output().expect("the command starts"))
    }

    /// A folder with one folder a person. A person is a colour and a pattern; their pictures differ in light.
    pub(crate) fn people(&self, folder: &str, people: u32, pictures: u32) {
        for person in 0..people {
            for number in 0..pictures {
                let path = self.path(&format!("{folder}/p{person}/{number}.png"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                picture(person, number).save(path).unwrap();
            }
        }
    }

    /// Cuts a file short.
    pub(crate) fn truncate(&self, name: &str, share: f64) {
        let bytes = self.read(name);
        self.write(name, &bytes[..(bytes.len() as f64 * share) as usize]);
    }
}

/// A picture of a person: number by number a little lighter.
pub(crate) fn picture(person: u32, number: u32) -> RgbImage {
    RgbImage::from_fn(32, 32, |x, y| {
        let wave = (x * (person + 1) + y * (person + 3)) % 32 * 4;
        let light = 40 + number % 60 + wave;
        Rgb([light as u8, (light + 30 * (person % 3)) as u8, (light / (1 + person % 2)) as u8])
    })
}

/// How a command ended, and what it said.
pub(crate) struct Said {
    pub(crate) arguments: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn new(arguments: &str, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            arguments: arguments.to_owned(),
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "ocelli {}\n{}", self.arguments, self.err);
        self
    }

    /// Fails unless the command was refused in one line that has all of `parts`; nothing but `notes` came before it.
    #[track_caller]
    fn error_line(&self, parts: &[&str]) -> usize {
        let Self { arguments, code, err, .. } = self;
        assert_eq!(*code, Some(1), "ocelli {arguments}\n{err}");
        assert!(!err.contains("panicked"), "ocelli {arguments}\n{err}");
        let errors: Vec<&str> = err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "ocelli {arguments}\n{err}");
        assert_eq!(err.lines().last(), Some(errors[0]), "ocelli {arguments}\n{err}");
        for part in parts {
            assert!(errors[0].contains(part), "ocelli {arguments}\nwants `{part}` in\n{err}");
        }
        // A cause that the message tells already is not told again.
        let clauses: Vec<&str> = errors[0].split(": ").collect();
        assert!(clauses.windows(2).all(|pair| pair[0] != pair[1]), "told twice: {err}");
        err.lines().count()
    }

    /// Fails unless the command ended with one line on standard error, which has all of `parts`.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) {
        assert_eq!(self.error_line(parts), 1, "ocelli {}\n{}", self.arguments, self.err);
    }

    /// As [`Said::refused`], where notes may come before the error.
    #[track_caller]
    pub(crate) fn stopped(&self, parts: &[&str]) {
        self.error_line(parts);
    }

    /// The JSON document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

/// Fails unless the object has all these fields.
#[track_caller]
pub(crate) fn assert_fields(object: &Value, fields: &[&str]) {
    for field in fields {
        assert!(object.get(field).is_some(), "no field {field} in {object}");
    }
}

/// The folder of real data sets beside the repository, if it is there.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name);
    path.canonicalize().ok()
}

//! METEOR's tables of synonyms and paraphrases for English, as METEOR 1.5 and pycocoevalcap come with them.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::error::DataError;

/// What the files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeteorFiles {
    /// Base forms with their irregular forms, separated by blanks.
    pub irregular: Vec<(String, String)>,
    /// Words with the numbers of their sets of synonyms.
    pub synonyms: Vec<(String, Vec<u32>)>,
    /// Phrases with a paraphrase.
    pub paraphrases: Vec<(String, String)>,
}

const JAR: &str = "meteor-1.5.jar";
const EXCEPTIONS: &str = "english.exceptions";
const SETS: &str = "english.synsets";
const PARAPHRASES: &str = "paraphrase-en.gz";

/// Reads the tables from METEOR's folder: `meteor-1.5.jar`, or `english.exceptions` and `english.synsets` taken out of it
/// (in `synonym/` or beside), and `data/paraphrase-en.gz` (or beside). Of the five million paraphrases those are kept
/// whose words are all in `wanted`.
///
/// # Errors
/// [`DataError::Content`] names the file that is missing; [`DataError::Read`]; [`DataError::Line`] for a line that does
/// not belong into its file.
pub fn read_meteor_tables(
    folder: impl AsRef<Path>,
    wanted: &HashSet<String>,
) -> Result<MeteorFiles, DataError> {
    let folder = folder.as_ref();
    let [exceptions, sets] = synonym_files(folder)?;
    let (path, text) = exceptions;
    let irregular =
        pairs(&path, &text)?.map(|(_, base, forms)| (base.to_owned(), forms.to_owned())).collect();
    let (path, text) = sets;
    let numbers = |(line, word, sets): (usize, &str, &str)| {
        let parsed: Result<Vec<u32>, _> = sets.split_ascii_whitespace().map(str::parse).collect();
        let parsed = parsed
            .map_err(|_| DataError::line(&path, line + 1, format!("numbers expected, found `{sets}`")))?;
        Ok((word.to_owned(), parsed))
    };
    let synonyms = pairs(&path, &text)?.map(numbers).collect::<Result<_, DataError>>()?;
    Ok(MeteorFiles {
        irregular,
        synonyms,
        paraphrases: paraphrases(&find(folder, "data", PARAPHRASES)?, wanted)?,
    })
}

/// A file of METEOR's folder, or of one beneath it.
fn find(folder: &Path, beneath: &str, name: &str) -> Result<PathBuf, DataError> {
    let places = [folder.join(name), folder.join(beneath).join(name)];
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let reason =
            format!("no `{name}` here or in `{beneath}`; give METEOR's folder, such as pycocoevalcap/meteor");
        DataError::content(folder, reason)
    })
}

/// Exceptions and sets, each with where it was found.
fn synonym_files(folder: &Path) -> Result<[(PathBuf, String); 2], DataError> {
    let jar = folder.join(JAR);
    if !jar.is_file() {
        let read = |name| {
            let path = find(folder, "synonym", name)?;
            let text = super::read_text(&path)?;
            Ok((path, text))
        };
        return Ok([read(EXCEPTIONS)?, read(SETS)?]);
    }
    let file = std::fs::File::open(&jar).map_err(|source| DataError::read(&jar, source))?;
    let damaged = |e: zip::result::ZipError| DataError::content(&jar, format!("no readable archive: {e}"));
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let mut read = |name: &str| {
        let entry = archive.by_name(&format!("synonym/{name}")).map_err(damaged)?;
        let mut text = String::new();
        let limit = entry.take(LARGEST).read_to_string(&mut text);
        limit.map_err(|source| DataError::read(jar.join(name), source))?;
        Ok((jar.join(name), text))
    };
    Ok([read(EXCEPTIONS)?, read(SETS)?])
}

/// More than any of the files has, so that a forged archive cannot fill the memory.
const LARGEST: u64 = 1 << 28;

/// Lines two by two, with the number of the first.
fn pairs<'a>(
    path: &Path,
    text: &'a str,
) -> Result<impl Iterator<Item = (usize, &'a str, &'a str)>, DataError> {
    let lines: Vec<&str> = text.lines().collect();
    if !lines.len().is_multiple_of(2) {
        return Err(DataError::line(
            path,
            lines.len(),
            "the file ends between a word and what belongs to it",
        ));
    }
    let pair = |(i, pair): (usize, [&'a str; 2])| (2 * i + 1, pair[0], pair[1]);
    let found: Vec<[&str; 2]> = lines.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
    Ok(found.into_iter().enumerate().map(pair))
}

/// Entries of three lines: a probability, which METEOR does not use, a phrase, and its paraphrase.
fn paraphrases(path: &Path, wanted: &HashSet<String>) -> Result<Vec<(String, String)>, DataError> {
    let file = std::fs::File::open(path).map_err(|source| DataError::read(path, source))?;
    let mut reader = BufReader::with_capacity(1 << 20, GzDecoder::new(BufReader::new(file)));
    let mut found = Vec::new();
    let mut entry = [String::new(), String::new(), String::new()];
    for line in (1..).step_by(3) {
        for (i, text) in entry.iter_mut().enumerate() {
            text.clear();
            let read = reader
                .by_ref()
                .take(LARGEST)
                .read_line(text)
                .map_err(|source| DataError::read(path, source))?;
            match (read, i) {
                (0, 0) => return Ok(found),
                (0, _) => return Err(DataError::line(path, line + i, "the file ends within an entry")),
                _ => {}
            }
        }
        let [_, phrase, paraphrase] = &entry;
        let mut words = phrase.split_ascii_whitespace().chain(paraphrase.split_ascii_whitespace());
        if words.all(|word| wanted.contains(word)) {
            found.push((phrase.trim_end().to_owned(), paraphrase.trim_end().to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(path: &Path, text: &str) {
        let mut out =
            flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap();
    }

    #[test]
    fn tables_are_read_from_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = ["a", "lot", "many"].map(str::to_owned).into();
        let error = read_meteor_tables(folder.path(), &wanted).unwrap_err().to_string();
        assert!(error.contains("no `english.exceptions` here or in `synonym`"), "{error}");
        std::fs::write(folder.path().join(EXCEPTIONS), "go\nwent gone\n").unwrap();
        std::fs::write(folder.path().join(SETS), "go\n5 7\n").unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        gzip(&folder.path().join("data").join(PARAPHRASES), "0.1\na lot\nmany\n0.2\na lot\nnumerous\n");
        let tables = read_meteor_tables(folder.path(), &wanted).unwrap();
        assert_eq!(tables.irregular, [("go".to_owned(), "went gone".to_owned())]);
        assert_eq!(tables.synonyms, [("go".to_owned(), vec![5, 7])]);
        assert_eq!(tables.paraphrases, [("a lot".to_owned(), "many".to_owned())]);

        std::fs::write(folder.path().join(SETS), "go\n5 x\n").unwrap();
        let error = read_meteor_tables(folder.path(), &wanted).unwrap_err().to_string();
        assert!(error.contains("english.synsets:2: numbers expected"), "{error}");
        std::fs::write(folder.path().join(SETS), "go\n").unwrap();
        assert!(read_meteor_tables(folder.path(), &wanted).unwrap_err().to_string().contains("ends between"));
        std::fs::write(folder.path().join(SETS), "").unwrap();
        gzip(&folder.path().join("data").join(PARAPHRASES), "0.1\na lot\n");
        assert!(read_meteor_tables(folder.path(), &wanted).unwrap_err().to_string().contains("ends within"));
    }
}

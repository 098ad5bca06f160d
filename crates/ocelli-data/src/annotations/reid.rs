//! Re-identification lists: who and where each picture was taken.
//!
//! A line a picture, in one of four forms: COCAS+ queries `image template person clothes camera` and gallery
//! `image person clothes camera`, the plain `image person camera`, or a file name of Market-1501 alone, such as
//! `0002_c1s1_000451_03.jpg` (person 2, camera 1; -1 is junk).

use std::path::Path;

use super::{filled_lines, number, read_text};
use crate::error::DataError;
use crate::image::write_atomically;

/// A picture of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonPicture {
    /// The picture, as in the file.
    pub image: String,
    /// The picture of the clothes looked for, of COCAS+ queries.
    pub template: Option<String>,
    /// Who it is.
    pub person: i64,
    /// Which clothes are worn.
    pub clothes: Option<i64>,
    /// Which camera took it.
    pub camera: i64,
}

/// Reads a list.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] names the first line of none of the forms; [`DataError::Content`] when there
/// is none.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<PersonPicture>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let pictures: Vec<PersonPicture> =
        filled_lines(&text).map(|(line, text)| picture(path, line, text)).collect::<Result<_, _>>()?;
    match pictures.is_empty() {
        true => Err(DataError::content(path, "the list is empty; a line a picture is expected")),
        false => Ok(pictures),
    }
}

fn picture(path: &Path, line: usize, text: &str) -> Result<PersonPicture, DataError> {
    let id = |what: &str, field: &str| number::<i64>(path, line, what, field);
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (image, template, person, clothes, camera) = match fields[..] {
        [image] => {
            let (person, camera) = market(image).ok_or_else(|| {
                let form = "`0002_c1s1_000451_03.jpg`";
                DataError::line(path, line, format!("a name such as {form} expected, found `{image}`"))
            })?;
            return Ok(PersonPicture { image: image.to_owned(), person, camera, ..PersonPicture::default() });
        }
        [image, person, camera] => (image, None, person, None, camera),
        [image, person, clothes, camera] => (image, None, person, Some(clothes), camera),
        [image, template, person, clothes, camera] => (image, Some(template), person, Some(clothes), camera),
        _ => {
            let reason = "`image [template] person [clothes] camera` or a Market-1501 file name is expected";
            return Err(DataError::line(path, line, reason));
        }
    };
    Ok(PersonPicture {
        image: image.to_owned(),
        template: template.map(str::to_owned),
        person: id("a person's number", person)?,
        clothes: clothes.map(|c| id("a number of clothes", c)).transpose()?,
        camera: id("a camera's number", camera)?,
    })
}

/// Person and camera from a Market-1501 (or DukeMTMC) file name.
fn market(name: &str) -> Option<(i64, i64)> {
    let name = name.rsplit(['/', '\\']).next()?;
    let (person, rest) = name.split_once("_c")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((person.parse().ok()?, rest[..digits].parse().ok()?))
}

/// Writes a list, each picture in the shortest form that holds it.
///
/// # Errors
/// [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, pictures: &[PersonPicture]) -> Result<(), DataError> {
    let line = |p: &PersonPicture| match (&p.template, p.clothes) {
        (Some(template), clothes) => {
            format!("{} {template} {} {} {}\n", p.image, p.person, clothes.unwrap_or(-1), p.camera)
        }
        (None, Some(clothes)) => format!("{} {} {clothes} {}\n", p.image, p.person, p.camera),
        (None, None) => format!("{} {} {}\n", p.image, p.person, p.camera),
    };
    write_atomically(path, pictures.iter().map(line).collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_forms_are_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("query.txt");
        std::fs::write(&path, "q.jpg t.jpg 7 2 3\ng.jpg 7 1 4\np.jpg 9 5\nd/-1_c6s2_07_1.jpg\n").unwrap();
        let read_back = read(&path).unwrap();
        let short: Vec<_> = read_back.iter().map(|p| (p.person, p.clothes, p.camera)).collect();
        assert_eq!(short, [(7, Some(2), 3), (7, Some(1), 4), (9, None, 5), (-1, None, 6)]);
        assert_eq!(read_back[0].template.as_deref(), Some("t.jpg"));
        write(&path, &read_back).unwrap();
        assert_eq!(read(&path).unwrap(), read_back);
    }

    #[test]
    fn errors_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("query.txt");
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path).unwrap_err().to_string()
        };
        assert!(message("a.jpg 1 2\nb.jpg x 2\n").contains("query.txt:2: a person's number"));
        assert!(message("a.jpg\n").contains("query.txt:1: a name such as"));
        assert!(message("a b\n").contains("query.txt:1: `image"));
        assert!(message("\n").contains("empty"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a0-9_cs. \n-]{0,40}") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("q.txt");
            std::fs::write(&path, text).unwrap();
            let _ = read(&path);
        }
    }
}

//! WIDER FACE: `wider_face_*_bbx_gt.txt` of all pictures, and a text file of predictions a picture in a folder an event.
//!
//! A picture's lines are its path (`event/name.jpg`), the number of faces, and a face each, `x y w h blur expression
//! illumination invalid occlusion pose`; a picture without faces still has a line of zeros. The six attributes are kept, and
//! `invalid` is the model's `ignore`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ocelli_method::files::write_atomically;

use super::detection::{Attribute, Detection, DetectionSet, Flags, ImageEntry, Object, categories_of, stem};
use super::mat::{self, Value};
use super::pictures::{files_below, place_below};
use super::{filled_lines, finites, number, read_text};
use crate::error::DataError;

/// What every object is.
pub const CATEGORY: &str = "face";
/// The attributes of a face in their order; the fourth is kept as a flag.
const ATTRIBUTES: [&str; 6] = ["blur", "expression", "illumination", "invalid", "occlusion", "pose"];
const INVALID: usize = 3;

/// Reads the file of all pictures.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first line that is not so; [`DataError::Content`] for no picture.
pub fn read(path: impl AsRef<Path>) -> Result<DetectionSet, DataError> {
    let path = path.as_ref();
    parse(path, &read_text(path)?)
}

fn parse(path: &Path, text: &str) -> Result<DetectionSet, DataError> {
    let mut set = DetectionSet { categories: categories_of([CATEGORY]), ..DetectionSet::default() };
    let mut lines = filled_lines(text).peekable();
    while let Some((line, name)) = lines.next() {
        let ended =
            |what: &str| DataError::line(path, line, format!("the file ends before the {what} of `{name}`"));
        let (count_line, count) = lines.next().ok_or_else(|| ended("number of faces"))?;
        let count: usize = number(path, count_line, "a number of faces", count)?;
        let image = set.images.len() as u32;
        let id = i64::from(image) + 1;
        set.images.push(ImageEntry { id, file_name: name.to_owned(), ..ImageEntry::default() });
        if count == 0 {
            // The line of zeros; some copies leave it out.
            lines.next_if(|(_, text)| text.split_whitespace().all(|word| word == "0"));
        }
        for _ in 0..count {
            let (line, text) = lines.next().ok_or_else(|| ended("faces"))?;
            set.objects.push(Object { image, ..face(path, line, text)? });
        }
    }
    if set.images.is_empty() {
        return Err(DataError::content(
            path,
            "no picture; its path, the number of faces and a line a face are expected",
        ));
    }
    set.number_objects();
    Ok(set)
}

fn face(path: &Path, line: usize, text: &str) -> Result<Object, DataError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ([x, y, width, height], rest) = match words[..] {
        [x, y, width, height, ref rest @ ..] if rest.is_empty() || rest.len() >= ATTRIBUTES.len() => {
            ([x, y, width, height], rest)
        }
        _ => {
            let reason = format!("`x y w h` and six attributes expected, found `{text}`");
            return Err(DataError::line(path, line, reason));
        }
    };
    let bbox = finites(path, line, "a number", [x, y, width, height])?;
    let mut attributes = BTreeMap::new();
    let mut flags = Flags::default();
    for (place, (name, text)) in ATTRIBUTES.iter().zip(rest).enumerate() {
        let value: u32 = number(path, line, name, text)?;
        if place == INVALID {
            flags.ignore = value != 0;
        } else if value != 0 {
            attributes.insert((*name).to_owned(), Attribute::Number(f64::from(value)));
        }
    }
    Ok(Object { bbox, flags, attributes, ..Object::default() })
}

/// Writes the file of all pictures. Categories are not written: whatever stands in the set is a face.
///
/// # Errors
/// [`DataError::Setting`] for an object whose picture is not there, or a picture without name; [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, set: &DetectionSet) -> Result<(), DataError> {
    let path = path.as_ref();
    let mut faces: Vec<Vec<String>> = vec![Vec::new(); set.images.len()];
    for object in &set.objects {
        let own = faces.get_mut(object.image as usize);
        own.ok_or_else(|| {
            DataError::setting("detection set", format!("picture {} is not there", object.image))
        })?
        .push(face_text(object));
    }
    if let Some(index) = set.images.iter().position(|image| image.file_name.is_empty()) {
        return Err(DataError::setting("file_name", format!("picture {index} has none")));
    }
    write_atomically(path, |out| {
        for (image, faces) in set.images.iter().zip(&faces) {
            writeln!(out, "{}\n{}", image.file_name, faces.len())?;
            faces.iter().try_for_each(|face| writeln!(out, "{face}"))?;
            if faces.is_empty() {
                writeln!(out, "0 0 0 0 0 0 0 0 0 0")?;
            }
        }
        Ok(())
    })
    .map_err(|source| DataError::write(path, source))
}

fn face_text(object: &Object) -> String {
    let [x, y, width, height] = object.bbox;
    let mut text = format!("{x} {y} {width} {height}");
    for (place, name) in ATTRIBUTES.iter().enumerate() {
        let value = match object.attributes.get(*name) {
            _ if place == INVALID => u32::from(object.flags.ignore),
            Some(Attribute::Number(value)) => *value as u32,
            Some(Attribute::Flag(value)) => u32::from(*value),
            _ => 0,
        };
        text += &format!(" {value}");
    }
    text
}

/// Reads a folder of predictions: a folder an event, in it a text file a picture with its name, the number of boxes, and
/// lines `x y w h score`. A picture without file has no predictions.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for lines that are not so; [`DataError::Content`] for a file of a picture that
/// the truth does not have, and for no file at all.
pub fn read_results(folder: impl AsRef<Path>, set: &DetectionSet) -> Result<Vec<Detection>, DataError> {
    let folder = folder.as_ref();
    let images = set
        .images_by_stem()
        .map_err(|_| DataError::content(folder, "two pictures of the truth have one name"))?;
    let files = files_below(folder, "txt")?;
    if files.is_empty() {
        return Err(DataError::content(folder, "no text file of predictions was found"));
    }
    let mut detections = Vec::new();
    for (name, path) in files {
        let image = *images.get(stem(&name)).ok_or_else(|| {
            DataError::content(&path, format!("the truth has no picture `{}`", stem(&name)))
        })?;
        results(&path, &read_text(&path)?, image, &mut detections)?;
    }
    Ok(detections)
}

fn results(path: &Path, text: &str, image: u32, detections: &mut Vec<Detection>) -> Result<(), DataError> {
    let mut lines = filled_lines(text).skip(1);
    let count: usize = match lines.next() {
        Some((line, text)) => number(path, line, "a number of boxes", text)?,
        None => {
            return Err(DataError::content(path, "the picture's name and the number of boxes are expected"));
        }
    };
    let before = detections.len();
    for (line, text) in lines {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [x, y, w, h, score] = words[..] else {
            return Err(DataError::line(path, line, format!("`x y w h score` expected, found `{text}`")));
        };
        let [x, y, w, h, score] = finites(path, line, "a number", [x, y, w, h, score])?;
        detections.push(Detection { image, score, bbox: Some([x, y, w, h]), ..Detection::default() });
    }
    match detections.len() - before {
        found if found == count => Ok(()),
        found => Err(DataError::content(path, format!("{count} boxes announced, {found} found"))),
    }
}

/// Writes predictions into a folder, a file a picture, which is made.
///
/// # Errors
/// [`DataError::Setting`] for a detection without box or whose picture is not there, and for pictures without a plain
/// name; [`DataError::Write`].
pub fn write_results(
    folder: impl AsRef<Path>,
    set: &DetectionSet,
    detections: &[Detection],
) -> Result<(), DataError> {
    let mut texts: Vec<Vec<String>> = vec![Vec::new(); set.images.len()];
    for (index, detection) in detections.iter().enumerate() {
        let (Some(own), Some([x, y, w, h])) = (texts.get_mut(detection.image as usize), detection.bbox)
        else {
            let reason = format!("detection {index} has no box, or a picture that is not in the set");
            return Err(DataError::setting("detections", reason));
        };
        own.push(format!("{x} {y} {w} {h} {}\n", detection.score));
    }
    for (image, text) in set.images.iter().zip(texts) {
        let name = stem(&image.file_name);
        let path = place_below(folder.as_ref(), &format!("{name}.txt"))?;
        let own = name.rsplit('/').next().unwrap_or(name);
        write_atomically(&path, |out| write!(out, "{own}\n{}\n{}", text.len(), text.concat()))
            .map_err(|source| DataError::write(&path, source))?;
    }
    Ok(())
}

/// Reads a subset of the faces: one of the official `wider_*_val.mat`, or text: a picture's path (with or without ending),
/// the number of its faces that count, and their places, from 1, a line each. Places come back from 0, by picture.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] or [`DataError::Content`] for what is not so and pictures that the truth does
/// not have.
pub fn read_subset(path: impl AsRef<Path>, set: &DetectionSet) -> Result<Vec<Vec<usize>>, DataError> {
    let path = path.as_ref();
    let images: HashMap<&str, u32> = set
        .images_by_stem()
        .map_err(|_| DataError::content(path, "two pictures of the truth have one name"))?;
    let place_of =
        |name: &str| images.get(name).or_else(|| images.get(stem(name))).map(|image| *image as usize);
    let members = vec![Vec::new(); set.images.len()];
    if path.extension().is_some_and(|ending| ending == "mat") {
        let variables = mat::read(path)?;
        return subset_of_cells(&variables, place_of, members)
            .map_err(|reason| DataError::content(path, reason));
    }
    subset_of_text(path, &read_text(path)?, place_of, members)
}

fn subset_of_text(
    path: &Path,
    text: &str,
    place_of: impl Fn(&str) -> Option<usize>,
    mut members: Vec<Vec<usize>>,
) -> Result<Vec<Vec<usize>>, DataError> {
    let mut lines = filled_lines(text);
    while let Some((line, name)) = lines.next() {
        let unknown = || DataError::line(path, line, format!("the truth has no picture `{name}`"));
        let own = &mut members[place_of(name).ok_or_else(unknown)?];
        let ended = || DataError::line(path, line, format!("the file ends before the faces of `{name}`"));
        let (line, count) = lines.next().ok_or_else(ended)?;
        let count: usize = number(path, line, "a number of faces", count)?;
        for _ in 0..count {
            let (line, text) = lines.next().ok_or_else(ended)?;
            let place: usize = number(path, line, "the place of a face", text)?;
            own.push(place.checked_sub(1).ok_or_else(|| DataError::line(path, line, "places count from 1"))?);
        }
    }
    Ok(members)
}

/// The official files have three lists of an entry an event: `event_list` of names, `file_list` of lists of pictures'
/// names, `gt_list` of lists of the places of faces.
fn subset_of_cells(
    variables: &[(String, Value)],
    place_of: impl Fn(&str) -> Option<usize>,
    mut members: Vec<Vec<usize>>,
) -> Result<Vec<Vec<usize>>, String> {
    let list = |name: &str| match variables.iter().find(|(own, _)| own == name) {
        Some((_, Value::Cells(cells))) => Ok(cells),
        _ => Err(format!("no cell array `{name}`; event_list, file_list and gt_list are expected")),
    };
    let (events, files, places) = (list("event_list")?, list("file_list")?, list("gt_list")?);
    if files.len() != events.len() || places.len() != events.len() {
        let counts = format!("{}, {} and {}", events.len(), files.len(), places.len());
        return Err(format!("event_list, file_list and gt_list have {counts} entries, not equally many"));
    }
    for ((event, files), places) in events.iter().zip(files).zip(places) {
        let (Value::Text(event), Value::Cells(files), Value::Cells(places)) = (event, files, places) else {
            return Err("an event is not a name, pictures and faces".to_owned());
        };
        if files.len() != places.len() {
            let counts = format!("{} pictures, but faces of {}", files.len(), places.len());
            return Err(format!("the event `{event}` has {counts}"));
        }
        for (file, places) in files.iter().zip(places) {
            let (Value::Text(file), Value::Numbers(places)) = (file, places) else {
                return Err(format!("a picture of the event `{event}` is not a name and numbers"));
            };
            let name = format!("{event}/{file}");
            let own = place_of(&name).ok_or_else(|| format!("the truth has no picture `{name}`"))?;
            for place in places {
                if !(*place >= 1.0 && place.fract() == 0.0) {
                    return Err(format!("`{name}`: places are whole and count from 1, found {place}"));
                }
                members[own].push(*place as usize - 1);
            }
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "0--Parade/a.jpg\n2\n1 2 3 4 0 0 0 1 0 0\n5 6 7.5 8 2 0 0 0 1 0 \n1--X/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n1--X/c.jpg\n0\n";

    #[test]
    fn files_are_read_and_written_back() {
        let set = parse(Path::new("x"), SMALL).unwrap();
        assert_eq!((set.images.len(), set.objects.len()), (3, 2));
        assert!(set.objects[0].flags.ignore && !set.objects[1].flags.ignore);
        assert_eq!(set.objects[1].bbox, [5.0, 6.0, 7.5, 8.0]);
        assert_eq!(set.objects[1].attributes["blur"], Attribute::Number(2.0));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.txt");
        write(&path, &set).unwrap();
        assert_eq!(read(&path).unwrap(), set);
        let found = Detection { score: 0.5, bbox: Some([1.0, 2.0, 3.0, 4.0]), ..Detection::default() };
        let results = folder.path().join("results");
        write_results(&results, &set, std::slice::from_ref(&found)).unwrap();
        assert_eq!(read_results(&results, &set).unwrap(), [found]);
        std::fs::write(&path, "0--Parade/a\n1\n2\n").unwrap();
        assert_eq!(read_subset(&path, &set).unwrap(), [vec![1], vec![], vec![]]);
    }

    #[test]
    fn subsets_come_in_the_official_form() {
        let text = |text: &str| Value::Text(text.to_owned());
        let numbers = |numbers: &[f64]| Value::Numbers(numbers.to_vec());
        let files = |events: Vec<Vec<Value>>| Value::Cells(events.into_iter().map(Value::Cells).collect());
        let of = |places: Value| {
            let names = files(vec![vec![text("b"), text("c.v2")], vec![text("a")]]);
            let events = Value::Cells(vec![text("1--X"), text("0--Parade")]);
            let all = [("file_list", names), ("event_list", events), ("gt_list", places)];
            let place_of =
                |name: &str| ["0--Parade/a", "1--X/b", "1--X/c.v2"].iter().position(|own| *own == name);
            subset_of_cells(&all.map(|(name, value)| (name.to_owned(), value)), place_of, vec![Vec::new(); 3])
        };
        let found = of(files(vec![vec![numbers(&[]), numbers(&[3.0, 1.0])], vec![numbers(&[2.0])]]));
        assert_eq!(found.unwrap(), [vec![1], vec![], vec![2, 0]]);
        for (places, wanted) in [
            (files(vec![vec![], vec![]]), "`1--X` has 2 pictures, but faces of 0"),
            (files(vec![vec![]]), "have 2, 2 and 1 entries"),
            (numbers(&[]), "no cell array `gt_list`"),
            (Value::Cells(vec![numbers(&[]), numbers(&[])]), "an event is not"),
            (files(vec![vec![numbers(&[]), text("x")], vec![]]), "a picture of the event `1--X`"),
            (files(vec![vec![numbers(&[0.0]), numbers(&[])], vec![numbers(&[])]]), "found 0"),
            (files(vec![vec![numbers(&[1.5]), numbers(&[])], vec![numbers(&[])]]), "found 1.5"),
        ] {
            let message = of(places).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
        assert!(subset_of_cells(&[], |_| None, Vec::new()).is_err());
    }

    #[test]
    fn mistakes_are_named() {
        let path = Path::new("x.txt");
        for (text, wanted) in [
            ("", "no picture"),
            ("a.jpg", "x.txt:1: the file ends before the number of faces of `a.jpg`"),
            ("a.jpg\ntwo\n", "x.txt:2: a number of faces expected"),
            ("a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", "ends before the faces"),
            ("a.jpg\n1\n1 2 3\n", "x.txt:3: `x y w h` and six attributes expected"),
            ("a.jpg\n1\n1 2 3 inf 0 0 0 0 0 0\n", "a number expected, found `inf`"),
        ] {
            let error = parse(path, text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}\nwanted {wanted}");
        }
        for (text, wanted) in [
            ("a", "number of boxes are expected"),
            ("a\n2\n1 2 3 4 0.5\n", "2 boxes announced, 1 found"),
            ("a\n1\n1 2 3 4\n", "x.txt:3: `x y w h score` expected"),
            ("a\n1\n1 2 3 4 nan\n", "found `nan`"),
        ] {
            let error = results(path, text, 0, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}\nwanted {wanted}");
        }
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "[a\n0-9 .-]{0,60}") {
            let _ = parse(Path::new("x"), &text);
            let _ = results(Path::new("x"), &text, 0, &mut Vec::new());
        }
    }
}

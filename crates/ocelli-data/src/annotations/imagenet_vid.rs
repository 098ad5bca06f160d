//! ImageNet VID: lists of frames, VOC-like XML files with tracks, and results as lines `frame class score xmin ymin xmax
//! ymax`, classes from 1.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ocelli_method::files::write_atomically;

use super::detection::{Detection, DetectionSet, categories_of};
use super::voc::{Annotation, collect, read_annotation};
use super::{filled_lines, finites, number, read_text};
use crate::error::DataError;

/// The 30 classes in their order: WordNet number and name.
pub const CLASSES: [(&str, &str); 30] = [
    ("n02691156", "airplane"),
    ("n02419796", "antelope"),
    ("n02131653", "bear"),
    ("n02834778", "bicycle"),
    ("n01503061", "bird"),
    ("n02924116", "bus"),
    ("n02958343", "car"),
    ("n02402425", "cattle"),
    ("n02084071", "dog"),
    ("n02121808", "domestic_cat"),
    ("n02503517", "elephant"),
    ("n02118333", "fox"),
    ("n02510455", "giant_panda"),
    ("n02342885", "hamster"),
    ("n02374451", "horse"),
    ("n02129165", "lion"),
    ("n01674464", "lizard"),
    ("n02484322", "monkey"),
    ("n03790512", "motorcycle"),
    ("n02324045", "rabbit"),
    ("n02509815", "red_panda"),
    ("n02411705", "sheep"),
    ("n01726692", "snake"),
    ("n02355227", "squirrel"),
    ("n02129604", "tiger"),
    ("n04468005", "train"),
    ("n01662784", "turtle"),
    ("n04530566", "watercraft"),
    ("n02062744", "whale"),
    ("n02391049", "zebra"),
];

/// Reads the frames of a list such as `VID_val_all.txt` (`path number …` a line) from the folder of the XML files. The
/// frames' numbers become the pictures' `id`; categories are [`CLASSES`]; objects keep their `trackid`.
///
/// # Errors
/// As [`read_annotation`]; [`DataError::Line`] for lines that are not so, [`DataError::Content`] for other categories,
/// numbers that are there twice and an empty list.
pub fn read(folder: impl AsRef<Path>, list: impl AsRef<Path>) -> Result<DetectionSet, DataError> {
    let (folder, list) = (folder.as_ref(), list.as_ref());
    let text = read_text(list)?;
    let mut numbers = Vec::new();
    let mut files: Vec<(String, Annotation)> = Vec::new();
    for (line, text) in filled_lines(&text) {
        let mut words = text.split_whitespace();
        let (Some(name), Some(frame)) = (words.next(), words.next()) else {
            return Err(DataError::line(list, line, format!("`path number` expected, found `{text}`")));
        };
        numbers.push(number::<i64>(list, line, "the number of a frame", frame)?);
        let path = folder.join(format!("{name}.xml"));
        let annotation = read_annotation(&path)?;
        let is_known = |name: &str| CLASSES.iter().any(|(id, class)| *id == name || *class == name);
        if let Some(other) = annotation.objects.iter().find(|object| !is_known(&object.name)) {
            let reason = format!("`{}` is none of the 30 classes of ImageNet VID", other.name);
            return Err(DataError::content(&path, reason));
        }
        files.push((name.to_owned(), annotation));
    }
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(DataError::content(list, format!("frame {} is there twice", pair[0])));
    }
    if files.is_empty() {
        return Err(DataError::content(list, "the list is empty; `path number` a line is expected"));
    }
    let mut set = collect(files);
    let place = |name: &str| CLASSES.iter().position(|(id, class)| *id == name || *class == name);
    let places: Vec<u32> = set.categories.iter().filter_map(|c| place(&c.name)).map(|p| p as u32).collect();
    for object in &mut set.objects {
        object.category = places[object.category as usize];
    }
    set.categories = categories_of(CLASSES.map(|(id, _)| id));
    for (image, number) in set.images.iter_mut().zip(numbers) {
        image.id = number;
    }
    Ok(set)
}

/// Reads results for a truth; several files are parts of one.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for lines that are not so, frames that the truth does not have, and classes
/// that are not between 1 and their number.
pub fn read_results(paths: &[PathBuf], set: &DetectionSet) -> Result<Vec<Detection>, DataError> {
    let frames: HashMap<i64, u32> = set.images.iter().map(|image| image.id).zip(0..).collect();
    let mut detections = Vec::new();
    for path in paths {
        for (line, text) in filled_lines(&read_text(path)?) {
            let words: Vec<&str> = text.split_whitespace().collect();
            let [frame, class, score, x1, y1, x2, y2] = words[..] else {
                let reason = format!("`frame class score xmin ymin xmax ymax` expected, found `{text}`");
                return Err(DataError::line(path, line, reason));
            };
            let frame: i64 = number(path, line, "the number of a frame", frame)?;
            let class: usize = number(path, line, "a class", class)?;
            let [score, left, top, right, bottom] = finites(path, line, "a number", [score, x1, y1, x2, y2])?;
            let image = *frames
                .get(&frame)
                .ok_or_else(|| DataError::line(path, line, format!("the truth has no frame {frame}")))?;
            if !(1..=set.categories.len()).contains(&class) {
                let reason = format!("class {class} is not between 1 and {}", set.categories.len());
                return Err(DataError::line(path, line, reason));
            }
            let bbox = Some([left, top, right - left, bottom - top]);
            detections.push(Detection {
                image,
                category: class as u32 - 1,
                score,
                bbox,
                ..Detection::default()
            });
        }
    }
    Ok(detections)
}

/// Writes results for a truth.
///
/// # Errors
/// [`DataError::Setting`] for a detection without box or whose frame is not there; [`DataError::Write`].
pub fn write_results(
    path: impl AsRef<Path>,
    set: &DetectionSet,
    detections: &[Detection],
) -> Result<(), DataError> {
    let path = path.as_ref();
    let line = |(index, detection): (usize, &Detection)| {
        let (Some(image), Some([x, y, w, h])) = (set.images.get(detection.image as usize), detection.bbox)
        else {
            let reason = format!("detection {index} has no box, or a frame that is not in the set");
            return Err(DataError::setting("detections", reason));
        };
        let Detection { category, score, .. } = detection;
        Ok(format!("{} {} {score} {x} {y} {} {}", image.id, category + 1, x + w, y + h))
    };
    let lines: Vec<String> = detections.iter().enumerate().map(line).collect::<Result<_, _>>()?;
    write_atomically(path, |out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))
        .map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::detection::Attribute;

    const FRAME: &str = "<annotation><object><trackid>3</trackid><name>n02691156</name><bndbox><xmax>20</xmax>\
        <xmin>10</xmin><ymax>40</ymax><ymin>30</ymin></bndbox></object></annotation>";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("v")).unwrap();
        std::fs::write(folder.path().join("v/000000.xml"), FRAME).unwrap();
        std::fs::write(folder.path().join("v/000001.xml"), "<annotation/>").unwrap();
        std::fs::write(folder.path().join("list.txt"), "v/000001 5 2 1 1\nv/000000 4 2 0 0\n").unwrap();
        folder
    }

    #[test]
    fn frames_and_results_are_read() {
        let folder = folder();
        let set = read(folder.path(), folder.path().join("list.txt")).unwrap();
        assert_eq!(set.images.iter().map(|i| i.id).collect::<Vec<_>>(), [5, 4]);
        let plane = &set.objects[0];
        assert_eq!((plane.image, plane.category, plane.bbox), (1, 0, [10.0, 30.0, 10.0, 10.0]));
        assert_eq!(plane.attributes["trackid"], Attribute::Text("3".into()));
        let found =
            Detection { image: 1, category: 29, score: 0.5, bbox: Some(plane.bbox), ..Detection::default() };
        let path = folder.path().join("results.txt");
        write_results(&path, &set, std::slice::from_ref(&found)).unwrap();
        assert_eq!(read_results(&[path], &set).unwrap(), [found]);
    }

    #[test]
    fn mistakes_are_named() {
        let folder = folder();
        let list = folder.path().join("list.txt");
        let set = read(folder.path(), &list).unwrap();
        for (text, wanted) in [
            ("v/000000\n", "list.txt:1: `path number` expected"),
            ("v/000000 1\nv/000001 1\n", "frame 1 is there twice"),
            ("v/000009 1\n", "cannot read"),
            ("", "the list is empty"),
        ] {
            std::fs::write(&list, text).unwrap();
            let error = read(folder.path(), &list).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        for (text, wanted) in [
            ("7 1 0.5 1 2 3 4", "the truth has no frame 7"),
            ("4 31 0.5 1 2 3 4", "class 31 is not between 1 and 30"),
            ("4 1 0.5 1 2 3", "`frame class score xmin ymin xmax ymax` expected"),
            ("4 1 nan 1 2 3 4", "list.txt:1: a number expected, found `nan`"),
        ] {
            std::fs::write(&list, text).unwrap();
            let error = read_results(std::slice::from_ref(&list), &set).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        std::fs::write(folder.path().join("v/000000.xml"), FRAME.replace("n02691156", "dragon")).unwrap();
        std::fs::write(&list, "v/000000 1\n").unwrap();
        let error = read(folder.path(), &list).unwrap_err().to_string();
        assert!(error.contains("`dragon` is none of the 30 classes"), "{error}");
    }
}

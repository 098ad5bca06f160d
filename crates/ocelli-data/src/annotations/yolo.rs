//! YOLO (Darknet): a text file a picture with lines `class cx cy width height`, shares of the picture, beside a file of the
//! classes' names; results have a score behind.
//!
//! The names are in `obj.names`, `classes.txt` or `classes.names` in the folder; sizes in pixels come from the pictures.

use std::path::{Path, PathBuf};

use ocelli_method::files::write_atomically;

use super::detection::{Detection, DetectionSet, ImageEntry, Object, categories_of, stem};
use super::pictures::{files_below, fill_sizes, find_picture, place_below, required_size};
use super::{filled_lines, finites, number, read_text};
use crate::error::DataError;

/// Files that may hold the names of the classes.
const NAME_FILES: [&str; 3] = ["obj.names", "classes.txt", "classes.names"];
/// Text files beside the labels that hold none.
const LISTS: [&str; 5] = ["classes.txt", "train.txt", "valid.txt", "val.txt", "test.txt"];

/// A line of a file of labels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Label {
    class: u32,
    /// Centre, width and height.
    shares: [f64; 4],
    score: Option<f64>,
}

/// Reads a folder of labels; `pictures` is the folder of the pictures, otherwise they stand beside the labels or, as in
/// most layouts, under `images` where the labels stand under `labels`.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for lines that are not so; [`DataError::Content`] when names or pictures are
/// missing.
pub fn read(folder: impl AsRef<Path>, pictures: Option<&Path>) -> Result<DetectionSet, DataError> {
    let folder = folder.as_ref();
    let names = NAME_FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let names = names.ok_or_else(|| {
        DataError::content(folder, "no names of the classes; `obj.names` or `classes.txt` is expected")
    })?;
    let mut set = DetectionSet::default();
    let text = read_text(&names)?;
    set.categories = categories_of(filled_lines(&text).map(|(_, line)| line));
    for (name, path) in label_files(folder)? {
        let image = set.images.len() as u32;
        let mut entry = entry(&path, &name, pictures);
        entry.id = i64::from(image) + 1;
        let mut own = DetectionSet { images: vec![entry], ..DetectionSet::default() };
        let labels = read_labels(&path)?;
        if own.images[0].size.is_none()
            && let Some(pictures) = pictures
        {
            fill_sizes(&mut own, pictures)?;
        }
        let entry = own.images.remove(0);
        for (line, label) in labels {
            if label.class as usize >= set.categories.len() {
                let reason = format!("class {} of {}, counted from 0", label.class, set.categories.len());
                return Err(DataError::line(&path, line, reason));
            }
            let bbox = to_pixels(label.shares, required_size(&path, &entry)?);
            set.objects.push(Object { image, category: label.class, bbox, ..Object::default() });
        }
        set.images.push(entry);
    }
    set.number_objects();
    Ok(set)
}

/// The files of labels by name relative to the innermost folder that holds all.
fn label_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut files = files_below(folder, "txt")?;
    files.retain(|(name, _)| !LISTS.contains(&name.as_str()));
    if files.is_empty() {
        return Err(DataError::content(folder, "no text file of labels in the folder"));
    }
    // `obj_train_data/a.txt` is the label of `a.jpg`.
    while let Some((first, _)) = files[0].0.split_once('/') {
        let prefix = format!("{first}/");
        if !files.iter().all(|(name, _)| name.starts_with(&prefix)) {
            break;
        }
        files.iter_mut().for_each(|(name, _)| *name = name[prefix.len()..].to_owned());
    }
    Ok(files)
}

/// The picture of a file of labels, with its size where the picture is found.
fn entry(path: &Path, name: &str, pictures: Option<&Path>) -> ImageEntry {
    let file_stem = stem(name);
    let own = stem(path.to_str().unwrap_or_default()).to_owned();
    let beside = || find_picture(Path::new(""), &own);
    let parallel = || {
        let at = own.rfind("/labels/")?;
        find_picture(Path::new(""), &format!("{}/images/{}", &own[..at], &own[at + "/labels/".len()..]))
    };
    let found = match pictures {
        Some(folder) => find_picture(folder, file_stem),
        None => beside().or_else(parallel),
    };
    let ending = found.as_ref().and_then(|p| p.extension()).map_or("jpg".into(), |e| e.to_string_lossy());
    ImageEntry {
        file_name: format!("{file_stem}.{ending}"),
        size: found.as_ref().and_then(|picture| super::pictures::size_of(picture).ok()),
        ..ImageEntry::default()
    }
}

/// The labels of a file, with their lines.
fn read_labels(path: &Path) -> Result<Vec<(usize, Label)>, DataError> {
    let text = read_text(path)?;
    filled_lines(&text).map(|(line, text)| Ok((line, label(path, line, text)?))).collect()
}

fn label(path: &Path, line: usize, text: &str) -> Result<Label, DataError> {
    let (class, [x, y, width, height], score) = match text.split_whitespace().collect::<Vec<_>>()[..] {
        [class, x, y, width, height] => (class, [x, y, width, height], None),
        [class, x, y, width, height, score] => (class, [x, y, width, height], Some(score)),
        _ => {
            let reason = format!("`class cx cy width height [score]` expected, found `{text}`");
            return Err(DataError::line(path, line, reason));
        }
    };
    let score = score.map(|score| finites(path, line, "a score", [score])).transpose()?;
    Ok(Label {
        class: number(path, line, "a class from 0", class)?,
        shares: finites(path, line, "a share of the picture", [x, y, width, height])?,
        score: score.map(|[score]| score),
    })
}

fn to_pixels([x, y, width, height]: [f64; 4], [image_width, image_height]: [f64; 2]) -> [f64; 4] {
    let (w, h) = (width * image_width, height * image_height);
    [x * image_width - w / 2.0, y * image_height - h / 2.0, w, h]
}

fn to_shares([x, y, width, height]: [f64; 4], [image_width, image_height]: [f64; 2]) -> [f64; 4] {
    [
        (x + width / 2.0) / image_width,
        (y + height / 2.0) / image_height,
        width / image_width,
        height / image_height,
    ]
}

/// Reads a folder of results for a truth, lines `class cx cy width height score`.
///
/// # Errors
/// As [`read`]; and for pictures or classes that the truth does not have, or lines without score.
pub fn read_results(folder: impl AsRef<Path>, set: &DetectionSet) -> Result<Vec<Detection>, DataError> {
    let folder = folder.as_ref();
    let images = set
        .images_by_stem()
        .map_err(|_| DataError::content(folder, "two pictures of the truth have one name"))?;
    let mut detections = Vec::new();
    for (name, path) in label_files(folder)? {
        let image = images.get(stem(&name)).copied().ok_or_else(|| {
            DataError::content(&path, format!("the truth has no picture `{}`", stem(&name)))
        })?;
        let size = required_size(&path, &set.images[image as usize])?;
        for (line, Label { class, shares, score }) in read_labels(&path)? {
            let score = score.ok_or_else(|| DataError::line(&path, line, "a score is missing"))?;
            if class as usize >= set.categories.len() {
                return Err(DataError::line(&path, line, format!("the truth has no class {class}")));
            }
            let bbox = Some(to_pixels(shares, size));
            detections.push(Detection { image, category: class, score, bbox, ..Detection::default() });
        }
    }
    Ok(detections)
}

/// Writes a file of labels a picture, and `obj.names`, into a folder, which is made.
///
/// # Errors
/// [`DataError::Content`] for a picture of unknown size that has objects; as [`super::voc::write`].
pub fn write(folder: impl AsRef<Path>, set: &DetectionSet) -> Result<(), DataError> {
    let boxes = set.objects.iter().map(|o| (o.image, o.category, o.bbox, None));
    write_lines(folder.as_ref(), set, boxes)?;
    let path = place_below(folder.as_ref(), NAME_FILES[0])?;
    write_atomically(&path, |out| set.categories.iter().try_for_each(|c| writeln!(out, "{}", c.name)))
        .map_err(|source| DataError::write(&path, source))
}

/// Writes a file of results a picture into a folder, which is made.
///
/// # Errors
/// As [`write()`], and for detections without box.
pub fn write_results(
    folder: impl AsRef<Path>,
    set: &DetectionSet,
    detections: &[Detection],
) -> Result<(), DataError> {
    if let Some(index) = detections.iter().position(|d| d.bbox.is_none()) {
        return Err(DataError::setting("detections", format!("detection {index} has no box")));
    }
    let boxes = detections.iter().filter_map(|d| Some((d.image, d.category, d.bbox?, Some(d.score))));
    write_lines(folder.as_ref(), set, boxes)
}

fn write_lines(
    folder: &Path,
    set: &DetectionSet,
    boxes: impl Iterator<Item = (u32, u32, [f64; 4], Option<f64>)>,
) -> Result<(), DataError> {
    let mut texts = vec![String::new(); set.images.len()];
    for (image, class, bbox, score) in boxes {
        let entry = set.images.get(image as usize).filter(|_| (class as usize) < set.categories.len());
        let entry = entry.ok_or_else(|| {
            DataError::setting("detection set", format!("picture {image} or category {class} is not there"))
        })?;
        let [x, y, width, height] = to_shares(bbox, required_size(folder, entry)?);
        let score = score.map(|score| format!(" {score}")).unwrap_or_default();
        texts[image as usize] += &format!("{class} {x} {y} {width} {height}{score}\n");
    }
    for (image, text) in set.images.iter().zip(texts) {
        let path = place_below(folder, &format!("{}.txt", stem(&image.file_name)))?;
        write_atomically(&path, |out| out.write_all(text.as_bytes()))
            .map_err(|source| DataError::write(&path, source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(labels: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("obj.names"), "cat\ndog\n").unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("data/a.txt"), labels).unwrap();
        image::RgbImage::new(40, 20).save(folder.path().join("data/a.png")).unwrap();
        folder
    }

    #[test]
    fn labels_and_results_are_read_and_written_back() {
        let folder = folder("1 0.5 0.5 0.25 0.5\n");
        let set = read(folder.path(), None).unwrap();
        assert_eq!((set.images[0].file_name.as_str(), set.images[0].size), ("a.png", Some([40, 20])));
        assert_eq!((set.objects[0].category, set.objects[0].bbox), (1, [15.0, 5.0, 10.0, 10.0]));
        let again = folder.path().join("again");
        write(&again, &set).unwrap();
        assert_eq!(read(&again, Some(&folder.path().join("data"))).unwrap(), set);
        let found = Detection {
            category: 1,
            score: 0.5,
            bbox: Some([15.0, 5.0, 10.0, 10.0]),
            ..Detection::default()
        };
        write_results(&again, &set, std::slice::from_ref(&found)).unwrap();
        assert_eq!(read_results(&again, &set).unwrap(), [found]);
    }

    #[test]
    fn mistakes_are_named() {
        for (labels, wanted) in [
            ("0 0.5 0.5 0.5", "a.txt:1: `class cx cy width height [score]` expected"),
            ("\n2 0.5 0.5 0.5 0.5", "a.txt:2: class 2 of 2"),
            ("-1 0.5 0.5 0.5 0.5", "a class from 0 expected"),
            ("0 0.5 x 0.5 0.5", "a share of the picture expected, found `x`"),
        ] {
            let error = read(folder(labels).path(), None).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let bare = folder("0 0.5 0.5 0.5 0.5");
        std::fs::remove_file(bare.path().join("data/a.png")).unwrap();
        assert!(read(bare.path(), None).unwrap_err().to_string().contains("size of a.jpg is not known"));
        std::fs::remove_file(bare.path().join("obj.names")).unwrap();
        assert!(read(bare.path(), None).unwrap_err().to_string().contains("no names of the classes"));
    }
}

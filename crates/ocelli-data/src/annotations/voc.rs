//! PASCAL VOC: an XML file a picture, and the devkit's text files of results.
//!
//! Corners stand in the files as `xmin`, `ymin`, `xmax`, `ymax`; the model's box is their plain difference,
//! `[xmin, ymin, xmax - xmin, ymax - ymin]`, so that nothing is lost on the way back. VOC itself counts pixels from 1 and
//! includes the last one, which is left to its evaluator.
//!
//! A picture's number is its place among the files, sorted by name, and a category's that among the names, sorted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use ocelli_method::files::write_atomically;
use roxmltree::{Document, Node};

use super::detection::{Attribute, Detection, DetectionSet, Flags, ImageEntry, Object, categories_of, stem};
use super::pictures::{files_below, place_below};
use super::{filled_lines, finite, finites, read_text};
use crate::error::DataError;

/// What an XML file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// The picture's file name, where given.
    pub file_name: Option<String>,
    /// Width and height, where given and not 0.
    pub size: Option<[u32; 2]>,
    /// The objects in file order.
    pub objects: Vec<NamedObject>,
}

/// An object of an XML file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedObject {
    /// Its category.
    pub name: String,
    /// `[xmin, ymin, xmax, ymax]`.
    pub corners: [f64; 4],
    /// `difficult`, `truncated` and `occluded`.
    pub flags: Flags,
    /// `pose`, and `trackid` in videos.
    pub attributes: BTreeMap<String, Attribute>,
}

/// Reads one XML file.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for what is no XML, and for objects without name or box.
pub fn read_annotation(path: impl AsRef<Path>) -> Result<Annotation, DataError> {
    let path = path.as_ref();
    parse(path, &read_text(path)?)
}

fn parse(path: &Path, text: &str) -> Result<Annotation, DataError> {
    let document =
        Document::parse(text).map_err(|e| DataError::line(path, e.pos().row as usize, e.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name("annotation") {
        let found = root.tag_name().name();
        return Err(DataError::content(path, format!("<annotation> expected, found <{found}>")));
    }
    let reader = Reader { path, document: &document };
    let size = child(root, "size").and_then(|size| {
        let side = |name: &str| text_of(size, name)?.parse::<u32>().ok().filter(|side| *side > 0);
        Some([side("width")?, side("height")?])
    });
    let objects = root.children().filter(|n| n.has_tag_name("object")).map(|n| reader.object(n));
    Ok(Annotation {
        file_name: text_of(root, "filename").map(str::to_owned),
        size,
        objects: objects.collect::<Result<_, _>>()?,
    })
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|n| n.has_tag_name(name))
}

/// The text of a child, without space around it; none if it is empty.
fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim).filter(|text| !text.is_empty())
}

struct Reader<'a> {
    path: &'a Path,
    document: &'a Document<'a>,
}

impl Reader<'_> {
    fn line(&self, node: Node<'_, '_>) -> usize {
        self.document.text_pos_at(node.range().start).row as usize
    }

    fn object(&self, node: Node<'_, '_>) -> Result<NamedObject, DataError> {
        let lacks =
            |what: &str| DataError::line(self.path, self.line(node), format!("<object> without <{what}>"));
        let name = text_of(node, "name").ok_or_else(|| lacks("name"))?;
        let bbox = child(node, "bndbox").ok_or_else(|| lacks("bndbox"))?;
        let mut corners = [0.0; 4];
        for (value, side) in corners.iter_mut().zip(["xmin", "ymin", "xmax", "ymax"]) {
            let text = text_of(bbox, side).ok_or_else(|| lacks(side))?;
            *value = finite(self.path, self.line(bbox), &format!("a number in <{side}>"), text)?;
        }
        let flag = |name: &str| text_of(node, name).is_some_and(|text| text != "0");
        let attribute = |name: &str| {
            let text = text_of(node, name).filter(|text| *text != "Unspecified")?;
            Some((name.to_owned(), Attribute::Text(text.to_owned())))
        };
        Ok(NamedObject {
            name: name.to_owned(),
            corners,
            flags: Flags {
                difficult: flag("difficult"),
                truncated: flag("truncated"),
                occluded: flag("occluded"),
                ..Flags::default()
            },
            attributes: ["pose", "trackid"].into_iter().filter_map(attribute).collect(),
        })
    }
}

/// Reads a folder of XML files, or the folder above it, whose `Annotations` are then read; pictures in the order of their
/// names.
///
/// # Errors
/// As [`read_annotation`]; [`DataError::Content`] for a folder without XML files.
pub fn read(folder: impl AsRef<Path>) -> Result<DetectionSet, DataError> {
    let folder = annotations_of(folder.as_ref());
    let files = files_below(&folder, "xml")?;
    if files.is_empty() {
        return Err(DataError::content(&folder, "no XML file in the folder; one a picture is expected"));
    }
    let named = files.iter().map(|(name, path)| Ok((stem(name).to_owned(), read_annotation(path)?)));
    Ok(collect(named.collect::<Result<_, DataError>>()?))
}

/// Reads the XML files of these pictures, names without ending as lists in `ImageSets/Main` have them, in their order.
///
/// # Errors
/// As [`read_annotation`].
pub fn read_listed(folder: impl AsRef<Path>, names: &[String]) -> Result<DetectionSet, DataError> {
    let folder = annotations_of(folder.as_ref());
    let one = |name: &String| Ok((name.clone(), read_annotation(folder.join(format!("{name}.xml")))?));
    Ok(collect(names.iter().map(one).collect::<Result<_, DataError>>()?))
}

/// The names of a list of pictures: the first word of each line. Lists by category say in a second one whether the picture
/// shows it.
///
/// # Errors
/// [`DataError::Read`].
pub fn read_list(path: impl AsRef<Path>) -> Result<Vec<String>, DataError> {
    let text = read_text(path.as_ref())?;
    Ok(filled_lines(&text)
        .filter_map(|(_, line)| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

fn annotations_of(folder: &Path) -> PathBuf {
    let inner = folder.join("Annotations");
    if inner.is_dir() { inner } else { folder.to_owned() }
}

/// One set of many files, by the names of the files without ending.
pub(super) fn collect(files: Vec<(String, Annotation)>) -> DetectionSet {
    let names: BTreeSet<String> =
        files.iter().flat_map(|(_, file)| &file.objects).map(|object| object.name.clone()).collect();
    let place: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let mut set = DetectionSet { categories: categories_of(&names), ..DetectionSet::default() };
    for (image, (name, file)) in (0u32..).zip(&files) {
        let own = file.file_name.as_deref().unwrap_or_default();
        let ending = own[stem(own).len()..].strip_prefix('.').unwrap_or("jpg");
        set.images.push(ImageEntry {
            id: i64::from(image) + 1,
            file_name: format!("{name}.{ending}"),
            size: file.size,
            ..ImageEntry::default()
        });
        set.objects.extend(file.objects.iter().map(|object| {
            let [left, top, right, bottom] = object.corners;
            Object {
                image,
                category: place[object.name.as_str()],
                bbox: [left, top, right - left, bottom - top],
                flags: object.flags,
                attributes: object.attributes.clone(),
                ..Object::default()
            }
        }));
    }
    set.number_objects();
    set
}

/// Writes an XML file a picture into a folder, which is made.
///
/// # Errors
/// [`DataError::Setting`] for a picture without a plain file name, or an object whose picture or category is not there;
/// [`DataError::Write`].
pub fn write(folder: impl AsRef<Path>, set: &DetectionSet) -> Result<(), DataError> {
    let mut texts: Vec<String> = set.images.iter().map(head).collect();
    for object in &set.objects {
        let text = texts.get_mut(object.image as usize);
        let category = set.categories.get(object.category as usize);
        let (Some(text), Some(category)) = (text, category) else {
            let reason = format!("object {} is of a picture or category that is not in the set", object.id);
            return Err(DataError::setting("detection set", reason));
        };
        text.push_str(&object_text(&category.name, object));
    }
    for (image, text) in set.images.iter().zip(texts) {
        let path = place_below(folder.as_ref(), &format!("{}.xml", stem(&image.file_name)))?;
        write_atomically(&path, |out| writeln!(out, "{text}</annotation>"))
            .map_err(|source| DataError::write(&path, source))?;
    }
    Ok(())
}

fn head(image: &ImageEntry) -> String {
    let mut text = format!("<annotation>\n\t<filename>{}</filename>\n", escape(&image.file_name));
    if let Some([width, height]) = image.size {
        text += &format!(
            "\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        );
    }
    text + "\t<segmented>0</segmented>\n"
}

fn object_text(category: &str, object: &Object) -> String {
    let attribute = |name: &str| match object.attributes.get(name) {
        Some(Attribute::Text(text)) => Some(escape(text)),
        Some(Attribute::Number(value)) => Some(value.to_string()),
        _ => None,
    };
    let track = attribute("trackid").map(|id| format!("\t\t<trackid>{id}</trackid>\n")).unwrap_or_default();
    let flag = |set: bool| u8::from(set);
    let Flags { difficult, truncated, occluded, .. } = object.flags;
    let [x, y, width, height] = object.bbox;
    format!(
        "\t<object>\n{track}\t\t<name>{}</name>\n\t\t<pose>{}</pose>\n\t\t<truncated>{}</truncated>\n\
         \t\t<occluded>{}</occluded>\n\t\t<difficult>{}</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{x}</xmin>\n\
         \t\t\t<ymin>{y}</ymin>\n\t\t\t<xmax>{}</xmax>\n\t\t\t<ymax>{}</ymax>\n\t\t</bndbox>\n\t</object>\n",
        escape(category),
        attribute("pose").unwrap_or_else(|| "Unspecified".to_owned()),
        flag(truncated),
        flag(occluded),
        flag(difficult),
        x + width,
        y + height,
    )
}

/// A text as XML has it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Reads the devkit's results: files named `…_CATEGORY.txt` of lines `image score xmin ymin xmax ymax`; or files named
/// after a picture of lines `category score xmin ymin xmax ymax`, where a category may be its place, from 0, among the
/// sorted names. A folder stands for all text files in it. Detections of categories that the truth does not have are
/// passed over;
/// their number comes second.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for lines that are not so and for pictures that the truth does not have;
/// [`DataError::Content`] for a file named after neither, and for no file at all.
pub fn read_results(paths: &[PathBuf], set: &DetectionSet) -> Result<(Vec<Detection>, usize), DataError> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(files_below(path, "txt")?.into_iter().map(|(_, path)| path)),
            false => files.push(path.clone()),
        }
    }
    let first = paths.first().map_or(Path::new("results"), PathBuf::as_path);
    if files.is_empty() {
        return Err(DataError::content(first, "no text file of results was found"));
    }
    let twice = |_| DataError::content(first, "two pictures or categories of the truth have one name");
    let reader = ResultReader {
        images: set.images_by_stem().map_err(twice)?,
        categories: set.categories_by_name().map_err(twice)?,
    };
    let (mut detections, mut strangers) = (Vec::new(), 0);
    for file in files {
        strangers += reader.file(&file, &mut detections)?;
    }
    Ok((detections, strangers))
}

struct ResultReader<'a> {
    images: HashMap<&'a str, u32>,
    categories: HashMap<&'a str, u32>,
}

impl ResultReader<'_> {
    /// Adds a file's detections; the number of those passed over comes back.
    fn file(&self, path: &Path, detections: &mut Vec<Detection>) -> Result<usize, DataError> {
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let own_image = self.images.get(name.as_str()).copied();
        let own_category = name.rsplit_once('_').map(|(_, category)| category);
        if own_image.is_none() && own_category.is_none() {
            return Err(DataError::content(
                path,
                "the file's name gives neither a category (`comp4_det_test_car.txt`) nor a picture of the truth",
            ));
        }
        let mut passed = 0;
        for (line, text) in filled_lines(&read_text(path)?) {
            let [key, score, x1, y1, x2, y2] = text.split_whitespace().collect::<Vec<_>>()[..] else {
                let reason = format!("`name score xmin ymin xmax ymax` expected, found `{text}`");
                return Err(DataError::line(path, line, reason));
            };
            let [score, left, top, right, bottom] = finites(path, line, "a number", [score, x1, y1, x2, y2])?;
            let image = match own_image {
                Some(image) => image,
                None => *self.images.get(key).ok_or_else(|| {
                    DataError::line(path, line, format!("the truth has no picture `{key}`"))
                })?,
            };
            let category = if own_image.is_some() {
                self.category(key)
            } else {
                own_category.and_then(|c| self.category(c))
            };
            let Some(category) = category else {
                passed += 1;
                continue;
            };
            let bbox = Some([left, top, right - left, bottom - top]);
            detections.push(Detection { image, category, score, bbox, ..Detection::default() });
        }
        Ok(passed)
    }

    /// A category by name, or by its place among the sorted names.
    fn category(&self, text: &str) -> Option<u32> {
        self.categories.get(text).copied().or_else(|| {
            let place: usize = text.parse().ok()?;
            let mut names: Vec<(&&str, &u32)> = self.categories.iter().collect();
            names.sort();
            names.get(place).map(|(_, category)| **category)
        })
    }
}

/// Writes results as the devkit has them, a file `comp4_det_test_CATEGORY.txt` a category into a folder, which is made.
///
/// # Errors
/// [`DataError::Setting`] for a detection without box, or whose picture or category is not there; [`DataError::Write`].
pub fn write_results(
    folder: impl AsRef<Path>,
    set: &DetectionSet,
    detections: &[Detection],
) -> Result<(), DataError> {
    let mut texts = vec![String::new(); set.categories.len()];
    for (index, detection) in detections.iter().enumerate() {
        let image = set.images.get(detection.image as usize);
        let text = texts.get_mut(detection.category as usize);
        let (Some(image), Some(text), Some([x, y, width, height])) = (image, text, detection.bbox) else {
            let reason =
                format!("detection {index} has no box, or a picture or category that is not in the set");
            return Err(DataError::setting("detections", reason));
        };
        let (score, right, bottom) = (detection.score, x + width, y + height);
        *text += &format!("{} {score} {x} {y} {right} {bottom}\n", stem(&image.file_name));
    }
    for (category, text) in set.categories.iter().zip(texts) {
        let path = place_below(folder.as_ref(), &format!("comp4_det_test_{}.txt", category.name))?;
        write_atomically(&path, |out| out.write_all(text.as_bytes()))
            .map_err(|source| DataError::write(&path, source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "<annotation>\n<filename>a.png</filename><size><width>40</width><height>30</height></size>\n\
        <object><name>dog</name><pose>Left</pose><truncated>1</truncated><difficult>1</difficult>\n\
        <bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax>11</xmax><ymax>22.5</ymax></bndbox></object>\n\
        <object><name>cat</name><pose>Unspecified</pose><trackid>7</trackid>\n\
        <bndbox><ymin>0</ymin><xmin>0</xmin><xmax>3</xmax><ymax>4</ymax></bndbox></object>\n</annotation>";

    fn folder() -> (tempfile::TempDir, DetectionSet) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b.xml"), SMALL).unwrap();
        std::fs::write(folder.path().join("a.xml"), "<annotation/>").unwrap();
        let set = read(folder.path()).unwrap();
        (folder, set)
    }

    #[test]
    fn files_are_read_and_written_back() {
        let (folder, set) = folder();
        let names: Vec<&str> = set.images.iter().map(|i| i.file_name.as_str()).collect();
        assert_eq!((names, set.images[1].size), (vec!["a.jpg", "b.png"], Some([40, 30])));
        let categories: Vec<&str> = set.categories.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(categories, ["cat", "dog"]);
        let dog = &set.objects[0];
        assert_eq!((dog.image, dog.category, dog.bbox), (1, 1, [1.0, 2.5, 10.0, 20.0]));
        assert!(dog.flags.difficult && dog.flags.truncated && !dog.flags.occluded);
        assert_eq!(set.objects[1].attributes["trackid"], Attribute::Text("7".into()));
        let again = folder.path().join("again/Annotations");
        write(&again, &set).unwrap();
        assert_eq!(read(folder.path().join("again")).unwrap(), set);
        let listed = read_listed(folder.path(), &["b".to_owned()]).unwrap();
        assert_eq!((listed.images.len(), listed.objects.len()), (1, 2));
    }

    #[test]
    fn results_are_read_and_written_back() {
        let (folder, set) = folder();
        let results = folder.path().join("results");
        std::fs::create_dir(&results).unwrap();
        std::fs::write(results.join("comp3_det_val_dog.txt"), "b 0.5 1 2 11 22\n\na 1e-3 0 0 1 1\n").unwrap();
        std::fs::write(results.join("x_cow.txt"), "b 0.5 1 2 11 22\n").unwrap();
        let (detections, strangers) = read_results(std::slice::from_ref(&results), &set).unwrap();
        assert_eq!((detections.len(), strangers), (2, 1));
        assert_eq!(detections[0].bbox, Some([1.0, 2.0, 10.0, 20.0]));
        let again = folder.path().join("again");
        write_results(&again, &set, &detections).unwrap();
        assert_eq!(read_results(&[again], &set).unwrap(), (detections.clone(), 0));
        // A file a picture, categories by name or place.
        let own = folder.path().join("b.txt");
        std::fs::write(&own, "dog 0.5 1 2 11 22\n0 0.25 1 2 11 22\n9 1 0 0 1 1").unwrap();
        let (by_picture, strangers) = read_results(&[own], &set).unwrap();
        assert_eq!((by_picture.len(), by_picture[1].category, strangers), (2, 0, 1));
        assert_eq!(by_picture[0], detections[0]);
    }

    #[test]
    fn mistakes_are_named() {
        let path = Path::new("x.xml");
        for (text, wanted) in [
            ("", "x.xml:1"),
            ("<a/>", "<annotation> expected, found <a>"),
            (&SMALL[..SMALL.len() - 20], "x.xml:"),
            (&SMALL.replace("<name>dog</name>", ""), "x.xml:3: <object> without <name>"),
            (&SMALL.replace("<xmax>11</xmax>", ""), "<object> without <xmax>"),
            (&SMALL.replace("<xmax>11<", "<xmax>nan<"), "x.xml:4: a number in <xmax> expected, found `nan`"),
        ] {
            let error = parse(path, text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}\nwanted {wanted}");
        }
        let (folder, set) = folder();
        for (text, wanted) in [
            ("c 0.5 1 2 3 4", "f_dog.txt:1: the truth has no picture `c`"),
            ("b 0.5 1 2 3", "`name score xmin ymin xmax ymax` expected"),
            ("b inf 1 2 3 4", "a number expected, found `inf`"),
        ] {
            let file = folder.path().join("f_dog.txt");
            std::fs::write(&file, text).unwrap();
            let error = read_results(&[file], &set).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(read(empty.path()).unwrap_err().to_string().contains("no XML file"));
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(at in 0usize..SMALL.len(), letter in "[<>a-z/!?=\"&;0-9é]") {
            let mut text = SMALL.to_owned();
            text.replace_range(at..=at, &letter);
            let _ = parse(Path::new("x"), &text);
            let _ = parse(Path::new("x"), &SMALL[..at]);
        }
    }
}

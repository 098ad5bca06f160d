//! Open Images: CSV tables of boxes, verified labels and predictions, the names of the categories and their hierarchy.
//!
//! Columns are found by the names of the header, in any order and spelling of letters' case: `ImageID`, `LabelName`,
//! `XMin`, `XMax`, `YMin`, `YMax` as shares of the picture, flags such as `IsGroupOf` (1, 0, or -1 and empty for
//! unknown), `Confidence` or `Score`. A decimal comma is
//! understood as a point.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::Deserialize;

use super::detection::{Detection, DetectionSet, Flags, ImageEntry, Object, categories_of, stem};
use super::pictures::{fill_sizes, required_size};
use super::read_text;
use crate::error::DataError;

/// A row of a table of boxes or predictions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoxRow {
    /// The picture, as the table names it.
    pub image: String,
    /// The category's label, such as `/m/01g317`.
    pub label: String,
    /// `[x1, y1, x2, y2]` as shares of the picture.
    pub corners: [f64; 4],
    /// The score of a prediction, the confidence of a box; none where the field is empty.
    pub score: Option<f64>,
    /// `occluded`, `truncated` and `group_of`.
    pub flags: Flags,
}

/// A row of a table of verified labels.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRow {
    /// The picture.
    pub image: String,
    /// The category's label.
    pub label: String,
    /// Whether the picture shows it.
    pub present: bool,
}

/// The columns of a table by name.
struct Table<'a> {
    path: &'a Path,
    header: Vec<String>,
    records: csv::Reader<&'a [u8]>,
}

/// A row with its line.
struct Row<'a> {
    table: &'a Path,
    header: &'a [String],
    record: &'a csv::StringRecord,
    line: usize,
}

impl<'a> Table<'a> {
    fn new(path: &'a Path, text: &'a str) -> Result<Self, DataError> {
        let mut records = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = records.headers().map_err(|e| DataError::content(path, e.to_string()))?;
        let header = header.iter().map(str::to_ascii_lowercase).collect();
        Ok(Self { path, header, records })
    }

    fn has(&self, column: &str) -> bool {
        self.header.iter().any(|name| name.eq_ignore_ascii_case(column))
    }

    /// That these columns are there.
    fn require(&self, columns: &[&str]) -> Result<(), DataError> {
        match columns.iter().find(|column| !self.has(column)) {
            None => Ok(()),
            Some(column) => Err(DataError::line(self.path, 1, format!("no column `{column}` in the header"))),
        }
    }

    fn rows<T>(mut self, row: impl Fn(&Row<'_>) -> Result<T, DataError>) -> Result<Vec<T>, DataError> {
        let mut rows = Vec::new();
        let mut record = csv::StringRecord::new();
        loop {
            let more = self.records.read_record(&mut record).map_err(|e| {
                let line = e.position().map_or(1, csv::Position::line);
                DataError::line(self.path, line as usize, e.to_string())
            })?;
            if !more {
                return Ok(rows);
            }
            let line = record.position().map_or(1, csv::Position::line) as usize;
            rows.push(row(&Row { table: self.path, header: &self.header, record: &record, line })?);
        }
    }
}

impl Row<'_> {
    /// A field; empty where the column or the field is missing.
    fn field(&self, column: &str) -> &str {
        let place = self.header.iter().position(|name| name.eq_ignore_ascii_case(column));
        place.and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    fn name(&self, column: &str) -> Result<String, DataError> {
        match self.field(column) {
            "" => Err(DataError::line(self.table, self.line, format!("`{column}` is empty"))),
            name => Ok(name.to_owned()),
        }
    }

    fn number(&self, column: &str) -> Result<f64, DataError> {
        let text = self.field(column);
        let point = if text.contains(',') { Cow::Owned(text.replace(',', ".")) } else { Cow::Borrowed(text) };
        match point.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => {
                let reason = format!("`{column}`: a number expected, found `{text}`");
                Err(DataError::line(self.table, self.line, reason))
            }
        }
    }

    fn corners(&self) -> Result<[f64; 4], DataError> {
        Ok([self.number("XMin")?, self.number("YMin")?, self.number("XMax")?, self.number("YMax")?])
    }
}

const BOX_COLUMNS: [&str; 6] = ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"];

/// Reads a table of boxes.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for missing columns and for fields that are no numbers.
pub fn read_boxes(path: impl AsRef<Path>) -> Result<Vec<BoxRow>, DataError> {
    let path = path.as_ref();
    boxes(path, &read_text(path)?)
}

fn boxes(path: &Path, text: &str) -> Result<Vec<BoxRow>, DataError> {
    let table = Table::new(path, text)?;
    table.require(&BOX_COLUMNS)?;
    table.rows(|row| {
        let flag = |column: &str| row.field(column) == "1";
        let score = (!row.field("Confidence").is_empty()).then(|| row.number("Confidence"));
        Ok(BoxRow {
            image: row.name("ImageID")?,
            label: row.name("LabelName")?,
            corners: row.corners()?,
            score: score.transpose()?,
            flags: Flags {
                occluded: flag("IsOccluded"),
                truncated: flag("IsTruncated"),
                group_of: flag("IsGroupOf"),
                ..Flags::default()
            },
        })
    })
}

/// Reads a table of predictions: `ImageID`, `LabelName`, `Score` (or `Confidence`) and the box.
///
/// # Errors
/// As [`read_boxes`].
pub fn read_predictions(path: impl AsRef<Path>) -> Result<Vec<BoxRow>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let table = Table::new(path, &text)?;
    let score = if table.has("Score") { "Score" } else { "Confidence" };
    table.require(&BOX_COLUMNS)?;
    table.require(&[score])?;
    table.rows(|row| {
        Ok(BoxRow {
            image: row.name("ImageID")?,
            label: row.name("LabelName")?,
            corners: row.corners()?,
            score: Some(row.number(score)?),
            flags: Flags::default(),
        })
    })
}

/// Reads a table of verified labels: `ImageID`, `LabelName`, `Confidence`.
///
/// # Errors
/// As [`read_boxes`].
pub fn read_labels(path: impl AsRef<Path>) -> Result<Vec<LabelRow>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let table = Table::new(path, &text)?;
    table.require(&["ImageID", "LabelName", "Confidence"])?;
    table.rows(|row| {
        let present = row.number("Confidence")? > 0.0;
        Ok(LabelRow { image: row.name("ImageID")?, label: row.name("LabelName")?, present })
    })
}

/// Whether a file is a table of boxes; otherwise one of labels.
///
/// # Errors
/// [`DataError::Read`].
pub fn holds_boxes(path: impl AsRef<Path>) -> Result<bool, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    Ok(Table::new(path, &text)?.has("XMin"))
}

/// A node of the hierarchy.
#[derive(Deserialize)]
struct Node {
    #[serde(rename = "LabelName")]
    label: String,
    #[serde(rename = "Subcategory", default)]
    kinds: Vec<Node>,
}

/// Reads `bbox_labels_*_hierarchy.json` as pairs of a label and one of its parents. The root stands for everything and is
/// nobody's parent; parts (`Part`) are no kinds.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Line`].
pub fn read_hierarchy(path: impl AsRef<Path>) -> Result<Vec<(String, String)>, DataError> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let root: Node =
        serde_json::from_str(&text).map_err(|e| DataError::line(path, e.line(), e.to_string()))?;
    let mut pairs = Vec::new();
    let mut open: Vec<Node> = root.kinds;
    while let Some(node) = open.pop() {
        pairs.extend(node.kinds.iter().map(|kind| (kind.label.clone(), node.label.clone())));
        open.extend(node.kinds);
    }
    Ok(pairs)
}

/// Reads boxes as a data set: categories are the labels, sorted, and pictures in the order of the table. `pictures` is the
/// folder of the pictures, whose sizes are needed.
///
/// # Errors
/// As [`read_boxes`]; [`DataError::Content`] without a folder of pictures.
pub fn read(path: impl AsRef<Path>, pictures: Option<&Path>) -> Result<DetectionSet, DataError> {
    let path = path.as_ref();
    let rows = read_boxes(path)?;
    let labels: BTreeSet<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    let places: HashMap<&str, u32> = labels.iter().copied().zip(0..).collect();
    let mut set = DetectionSet { categories: categories_of(labels), ..DetectionSet::default() };
    let mut images: HashMap<&str, u32> = HashMap::new();
    for row in &rows {
        images.entry(&row.image).or_insert_with(|| {
            let id = set.images.len() as i64 + 1;
            let file_name =
                if stem(&row.image) == row.image { format!("{}.jpg", row.image) } else { row.image.clone() };
            set.images.push(ImageEntry { id, file_name, ..ImageEntry::default() });
            set.images.len() as u32 - 1
        });
    }
    if let Some(folder) = pictures {
        fill_sizes(&mut set, folder)?;
    }
    for row in &rows {
        let image = images[row.image.as_str()];
        let [width, height] = required_size(path, &set.images[image as usize])?;
        let [x1, y1, x2, y2] = row.corners;
        set.objects.push(Object {
            image,
            category: places[row.label.as_str()],
            bbox: [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height],
            flags: row.flags,
            ..Object::default()
        });
    }
    set.number_objects();
    Ok(set)
}

/// Writes a table of boxes; pictures are named without ending.
///
/// # Errors
/// [`DataError::Content`] for a picture of unknown size that has objects, [`DataError::Setting`] for an object whose
/// picture or category is not there, [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, set: &DetectionSet) -> Result<(), DataError> {
    let path = path.as_ref();
    let flag = |set: bool| u8::from(set).to_string();
    let rows = set.objects.iter().map(|object| {
        let mut row = fields(path, set, object.image, object.category, object.bbox)?;
        let Flags { occluded, truncated, group_of, .. } = object.flags;
        row.splice(1..1, ["xclick".to_owned()]);
        row.splice(3..3, ["1".to_owned()]);
        row.extend([flag(occluded), flag(truncated), flag(group_of), flag(false), flag(false)]);
        Ok(row)
    });
    let header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside";
    write_table(path, header, rows)
}

/// Writes a table of predictions.
///
/// # Errors
/// As [`write()`], and for detections without box.
pub fn write_predictions(
    path: impl AsRef<Path>,
    set: &DetectionSet,
    detections: &[Detection],
) -> Result<(), DataError> {
    let path = path.as_ref();
    let rows = detections.iter().enumerate().map(|(index, detection)| {
        let bbox = detection
            .bbox
            .ok_or_else(|| DataError::setting("detections", format!("detection {index} has no box")))?;
        let mut row = fields(path, set, detection.image, detection.category, bbox)?;
        row.splice(2..2, [detection.score.to_string()]);
        Ok(row)
    });
    write_table(path, "ImageID,LabelName,Score,XMin,XMax,YMin,YMax", rows)
}

/// Picture, label and box.
fn fields(
    path: &Path,
    set: &DetectionSet,
    image: u32,
    category: u32,
    [x, y, width, height]: [f64; 4],
) -> Result<Vec<String>, DataError> {
    let (entry, category) = (set.images.get(image as usize), set.categories.get(category as usize));
    let (Some(entry), Some(category)) = (entry, category) else {
        return Err(DataError::setting(
            "detection set",
            format!("picture {image} or its category is not there"),
        ));
    };
    let [image_width, image_height] = required_size(path, entry)?;
    let shares = [x / image_width, (x + width) / image_width, y / image_height, (y + height) / image_height];
    let names = [stem(&entry.file_name).to_owned(), category.name.clone()];
    Ok(names.into_iter().chain(shares.iter().map(f64::to_string)).collect())
}

fn write_table(
    path: &Path,
    header: &str,
    rows: impl Iterator<Item = Result<Vec<String>, DataError>>,
) -> Result<(), DataError> {
    let rows: Vec<Vec<String>> = rows.collect::<Result<_, _>>()?;
    write_atomically(path, |out| {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(header.split(','))?;
        rows.iter().try_for_each(|row| table.write_record(row))?;
        table.flush()
    })
    .map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf\n\
        a,x,/m/1,1,0.25,0.5,0.5,1,1,0,-1\nb.png,,/m/0,,\"0,5\",1,0,0.5,,,1\n";

    fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn tables_are_read_and_written_back() {
        let (folder, path) = file("boxes.csv", SMALL);
        for name in ["a.jpg", "b.png"] {
            image::RgbImage::new(40, 20).save(folder.path().join(name)).unwrap();
        }
        let set = read(&path, Some(folder.path())).unwrap();
        assert_eq!((set.objects[0].bbox, set.objects[0].category), ([10.0, 10.0, 10.0, 10.0], 1));
        assert!(set.objects[0].flags.occluded && !set.objects[0].flags.group_of);
        assert_eq!((set.objects[1].bbox, set.objects[1].flags.group_of), ([20.0, 0.0, 20.0, 10.0], true));
        let again = folder.path().join("again.csv");
        write(&again, &set).unwrap();
        assert_eq!(read(&again, Some(folder.path())).unwrap().objects, set.objects);
        assert!(read(&path, None).unwrap_err().to_string().contains("name the folder of the pictures"));
        let found = Detection { score: 0.5, bbox: Some([20.0, 0.0, 20.0, 10.0]), ..Detection::default() };
        write_predictions(&again, &set, &[found]).unwrap();
        let rows = read_predictions(&again).unwrap();
        let wanted = BoxRow {
            image: "a".into(),
            label: "/m/0".into(),
            corners: [0.5, 0.0, 1.0, 0.5],
            score: Some(0.5),
            flags: Flags::default(),
        };
        assert_eq!(rows, [wanted]);
    }

    #[test]
    fn labels_and_hierarchy_are_read() {
        let (_folder, path) =
            file("labels.csv", "ImageID,Source,LabelName,Confidence\na,v,/m/1,0\na,v,/m/2,1.0\n");
        let labels = read_labels(&path).unwrap();
        assert_eq!(labels.iter().map(|l| l.present).collect::<Vec<_>>(), [false, true]);
        assert!(!holds_boxes(&path).unwrap());
        let tree = r#"{"LabelName": "root", "Subcategory": [{"LabelName": "a", "Subcategory": [{"LabelName": "b"}],
            "Part": [{"LabelName": "p"}]}]}"#;
        let (_folder, path) = file("tree.json", tree);
        assert_eq!(read_hierarchy(path).unwrap(), [("b".to_owned(), "a".to_owned())]);
    }

    #[test]
    fn mistakes_are_named() {
        let path = Path::new("x.csv");
        for (text, wanted) in [
            ("", "x.csv:1: no column `ImageID`"),
            (&SMALL.replace("XMax", "Right"), "x.csv:1: no column `XMax`"),
            (&SMALL.replace("0.25", "left"), "x.csv:2: `XMin`: a number expected, found `left`"),
            (&SMALL.replace("0.25", "NaN"), "found `NaN`"),
            (&SMALL.replace("b.png", ""), "x.csv:3: `ImageID` is empty"),
            (&SMALL.replace(",1,0,-1", ""), "x.csv:2"),
        ] {
            let error = boxes(path, text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}\nwanted {wanted}");
        }
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(at in 0usize..SMALL.len(), letter in "[a-z,\"\n0-9.é]") {
            let mut text = SMALL.to_owned();
            text.replace_range(at..=at, &letter);
            let _ = boxes(Path::new("x"), &text);
        }
    }
}

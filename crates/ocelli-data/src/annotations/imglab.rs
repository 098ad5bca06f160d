//! dlib's imglab XML: boxes and named parts (68 landmarks) of pictures.
//!
//! ```xml
//! <image file='a.jpg'><box top='90' left='194' width='37' height='37'><part name='00' x='201' y='107'/></box></image>
//! ```
//!
//! The reader knows just enough XML for that: tags with quoted attributes, comments, declarations, entities in values.
//! Unknown tags and attributes are passed over.

use std::path::{Path, PathBuf};

use crate::align::Point;
use crate::error::DataError;

/// A picture with its boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct ImglabImage {
    /// The picture file, joined to the folder of the XML file.
    pub file: PathBuf,
    /// The boxes in file order.
    pub boxes: Vec<ImglabBox>,
}

/// An object in a picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImglabBox {
    /// `[left, top, width, height]` in pixels.
    pub xywh: [f32; 4],
    /// Whether detectors should neither find nor miss it.
    pub ignore: bool,
    /// The object's kind or name.
    pub label: Option<String>,
    /// Named points `(name, [x, y])` in pixels, sorted by name.
    pub parts: Vec<(String, Point)>,
}

impl ImglabBox {
    /// The 68 landmarks of iBUG 300-W, if the parts are named `00` to `67`.
    pub fn landmarks_68(&self) -> Option<[Point; 68]> {
        let in_order = self.parts.iter().enumerate().all(|(i, (name, _))| name.parse() == Ok(i));
        let points: Vec<Point> = self.parts.iter().map(|(_, point)| *point).collect();
        points.try_into().ok().filter(|_| in_order)
    }
}

/// Reads an imglab file. Picture names are taken relative to its folder.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] names the first line that cannot be understood; [`DataError::Content`] when
/// the file names no picture.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<ImglabImage>, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    // The files claim ISO-8859-1 and are mostly ASCII.
    let text = String::from_utf8_lossy(&bytes);
    let images = parse(&text, path.parent().unwrap_or(Path::new("")))
        .map_err(|(line, reason)| DataError::line(path, line, reason))?;
    if images.is_empty() {
        return Err(DataError::content(path, "no <image> found; an imglab XML file is expected"));
    }
    Ok(images)
}

/// A line and what is wrong there.
type Fault = (usize, String);

fn parse(text: &str, folder: &Path) -> Result<Vec<ImglabImage>, Fault> {
    let mut images: Vec<ImglabImage> = Vec::new();
    let mut label_open = false;
    let mut tags = Tags { text, at: 0, lines: 0, counted: 0 };
    while let Some(tag) = tags.next_tag()? {
        let fault = |reason: String| (tag.line, reason);
        if label_open && tag.name == "/label" {
            label_open = false;
            if let Some(object) = images.last_mut().and_then(|image| image.boxes.last_mut()) {
                object.label = Some(unescape(tag.before.trim()));
            }
        }
        match tag.name {
            "image" => {
                let file = tag.attribute("file").ok_or_else(|| fault("<image> without file".into()))?;
                images.push(ImglabImage { file: folder.join(file), boxes: Vec::new() });
            }
            "box" => {
                let mut xywh = [0.0; 4];
                for (value, name) in xywh.iter_mut().zip(["left", "top", "width", "height"]) {
                    *value = tag.number(name)?;
                }
                let image = images.last_mut().ok_or_else(|| fault("<box> outside of an <image>".into()))?;
                let ignore = tag.attribute("ignore").is_some_and(|v| v == "1" || v == "true");
                image.boxes.push(ImglabBox { xywh, ignore, ..ImglabBox::default() });
            }
            "part" => {
                let name = tag.attribute("name").ok_or_else(|| fault("<part> without name".into()))?;
                let point = [tag.number("x")?, tag.number("y")?];
                let object = images.last_mut().and_then(|image| image.boxes.last_mut());
                object.ok_or_else(|| fault("<part> outside of a <box>".into()))?.parts.push((name, point));
            }
            "label" => label_open = true,
            _ => {}
        }
    }
    for object in images.iter_mut().flat_map(|image| &mut image.boxes) {
        object.parts.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Ok(images)
}

struct Tag<'a> {
    /// The tag's name, with the slash of a closing tag.
    name: &'a str,
    /// What stands between name and bracket.
    attributes: &'a str,
    /// The text before the tag.
    before: &'a str,
    line: usize,
}

impl Tag<'_> {
    fn attribute(&self, wanted: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let (value, after) = after[1..].split_once(quote)?;
            if name.trim() == wanted {
                return Some(unescape(value));
            }
            rest = after;
        }
    }

    fn number(&self, name: &str) -> Result<f32, Fault> {
        let value = self.attribute(name).unwrap_or_default();
        match value.trim().parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err((self.line, format!("<{}> needs a number `{name}`, found `{value}`", self.name))),
        }
    }
}

struct Tags<'a> {
    text: &'a str,
    at: usize,
    /// Line breaks before `counted`.
    lines: usize,
    counted: usize,
}

impl<'a> Tags<'a> {
    fn next_tag(&mut self) -> Result<Option<Tag<'a>>, Fault> {
        let start = self.at;
        loop {
            let Some(open) = self.text[self.at..].find('<').map(|i| self.at + i) else { return Ok(None) };
            let rest = &self.text[open..];
            let line = self.line(open);
            let unclosed = || (line, "a tag is not closed".to_owned());
            // Comments and declarations may hold brackets of their own.
            let skipped =
                [("<!--", "-->"), ("<?", "?>"), ("<!", ">")].iter().find(|(from, _)| rest.starts_with(from));
            if let Some((_, end)) = skipped {
                self.at = open + rest.find(end).ok_or_else(unclosed)? + end.len();
                continue;
            }
            let close = closing_bracket(rest).ok_or_else(unclosed)?;
            self.at = open + close + 1;
            let inside = rest[1..close].trim_end_matches('/');
            let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
            return Ok(Some(Tag { name, attributes, before: &self.text[start..open], line }));
        }
    }

    /// The line of a position that is not before the last one asked for.
    fn line(&mut self, at: usize) -> usize {
        self.lines += self.text[self.counted..at].bytes().filter(|&b| b == b'\n').count();
        self.counted = at;
        self.lines + 1
    }
}

/// The first `>` outside of quotes.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut quote = None;
    for (i, letter) in text.char_indices() {
        match quote {
            Some(open) if open == letter => quote = None,
            Some(_) => {}
            None if letter == '>' => return Some(i),
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            None => {}
        }
    }
    None
}

fn unescape(text: &str) -> String {
    // The ampersand last, so that `&amp;lt;` stays `&lt;`.
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "<?xml version='1.0' encoding='ISO-8859-1'?>\n<!-- <image file='no.jpg'> -->\n<dataset>\n\
        <comment>boxes > points</comment>\n<images>\n  <image file='a &amp; b.jpg' width='5'>\n\
        <box top='9' left=\"-4.5\" width='37' height='38' ignore='1'><label>face &lt;1&gt;</label>\n\
        <part name='01' x='2' y='3'/><part y='1' x='0' name='00' /></box>\n</image>\n\
        <image file='c.jpg'></image>\n</images></dataset>";

    #[test]
    fn boxes_and_parts_are_read() {
        let images = parse(SMALL, Path::new("photos")).unwrap();
        assert_eq!(images.len(), 2);
        assert_eq!(images[0].file, Path::new("photos/a & b.jpg"));
        let parts = vec![("00".to_owned(), [0.0, 1.0]), ("01".to_owned(), [2.0, 3.0])];
        let wanted =
            ImglabBox { xywh: [-4.5, 9.0, 37.0, 38.0], ignore: true, label: Some("face <1>".into()), parts };
        assert_eq!(images[0].boxes, [wanted]);
        assert!(images[0].boxes[0].landmarks_68().is_none());
        assert!(images[1].boxes.is_empty());
    }

    #[test]
    fn sixty_eight_parts_in_order_are_landmarks() {
        let parts = (0..68).map(|i| (format!("{i:02}"), [i as f32, 0.0])).collect();
        let mut object = ImglabBox { parts, ..ImglabBox::default() };
        assert_eq!(object.landmarks_68().unwrap()[67], [67.0, 0.0]);
        object.parts[3].0 = "nose".into();
        assert!(object.landmarks_68().is_none());
    }

    #[test]
    fn errors_name_the_line() {
        for (text, wanted) in [
            ("\n<image>", (2, "<image> without file")),
            ("<box top='1' left='1' width='2' height='2'>", (1, "<box> outside")),
            ("<image file='a'>\n<box top='1' left='x'>", (2, "<box> needs a number `left`, found `x`")),
            ("<image file='a'>\n\n<part name='0' x='1' y='1'/>", (3, "<part> outside")),
            ("<image file='a'><box top='nan' left='1' width='1' height='1'>", (1, "number `top`")),
            ("<image file='a'>\n<box top='1", (2, "not closed")),
        ] {
            let (line, reason) = parse(text, Path::new("")).unwrap_err();
            assert!(line == wanted.0 && reason.contains(wanted.1), "{line}: {reason}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.xml");
        std::fs::write(&path, "<dataset/>").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no <image>"));
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "[<>a-z/!?='\" \\-&;0-9é\n]{0,80}", cut in 0usize..400) {
            let _ = parse(&text, Path::new(""));
            let mut end = cut.min(SMALL.len());
            while !SMALL.is_char_boundary(end) { end -= 1; }
            let _ = parse(&SMALL[..end], Path::new(""));
        }
    }
}

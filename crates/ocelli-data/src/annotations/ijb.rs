//! The two lists of the IJB-B and IJB-C verification protocol (1:1, templates).

use std::path::Path;

use super::{filled_lines, number, read_text};
use crate::error::DataError;

/// Pictures with their template and medium (`ijbb_face_tid_mid.txt`), columns by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateMedia {
    /// Picture names, as in the file.
    pub names: Vec<String>,
    /// Template of each picture.
    pub templates: Vec<i64>,
    /// Medium of each picture: the photo or video it is taken from.
    pub media: Vec<i64>,
}

/// Pairs of templates to compare (`ijbb_template_pair_label.txt`), columns by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplatePairs {
    /// The first template of each pair.
    pub left: Vec<i64>,
    /// The second template of each pair.
    pub right: Vec<i64>,
    /// Whether both are of the same person.
    pub same: Vec<bool>,
}

/// Reads `name template medium` lines.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] names the first line that is not so; [`DataError::Content`] when there is
/// none.
pub fn read_template_media(path: impl AsRef<Path>) -> Result<TemplateMedia, DataError> {
    let path = path.as_ref();
    let mut read = TemplateMedia::default();
    each_triple(path, "name template medium", |line, [name, template, medium]| {
        read.names.push(name.to_owned());
        read.templates.push(number(path, line, "a template's number", template)?);
        read.media.push(number(path, line, "a medium's number", medium)?);
        Ok(())
    })?;
    Ok(read)
}

/// Reads `template1 template2 label` lines, label 1 for the same person and 0 for two.
///
/// # Errors
/// As [`read_template_media`].
pub fn read_template_pairs(path: impl AsRef<Path>) -> Result<TemplatePairs, DataError> {
    let path = path.as_ref();
    let mut read = TemplatePairs::default();
    each_triple(path, "template1 template2 label", |line, [left, right, label]| {
        read.left.push(number(path, line, "a template's number", left)?);
        read.right.push(number(path, line, "a template's number", right)?);
        read.same.push(match label {
            "0" => false,
            "1" => true,
            _ => return Err(DataError::line(path, line, format!("label 0 or 1 expected, found `{label}`"))),
        });
        Ok(())
    })?;
    Ok(read)
}

fn each_triple(
    path: &Path,
    form: &str,
    mut take: impl FnMut(usize, [&str; 3]) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let text = read_text(path)?;
    let mut count = 0;
    for (line, text) in filled_lines(&text) {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let Ok(fields) = <[&str; 3]>::try_from(fields) else {
            return Err(DataError::line(path, line, format!("`{form}` expected, found `{text}`")));
        };
        take(line, fields)?;
        count += 1;
    }
    if count == 0 {
        return Err(DataError::content(path, format!("the file is empty; `{form}` lines are expected")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_and_errors_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.txt");
        let put = |text: &str| std::fs::write(&path, text).unwrap();

        put("1.jpg 7 69544\n2.jpg 7 69545\n");
        let media = read_template_media(&path).unwrap();
        assert_eq!((media.names[1].as_str(), media.templates[1], media.media[1]), ("2.jpg", 7, 69545));
        assert!(read_template_pairs(&path).unwrap_err().to_string().contains("meta.txt:1: a template's"));

        put("7 11065 1\n7 11066 0\n");
        let pairs = read_template_pairs(&path).unwrap();
        assert_eq!(
            (pairs.left, pairs.right, pairs.same),
            (vec![7, 7], vec![11065, 11066], vec![true, false])
        );

        put("7 11065 1\n7 11066 2\n");
        assert!(read_template_pairs(&path).unwrap_err().to_string().contains("meta.txt:2: label 0 or 1"));
        put("7 11065\n");
        assert!(read_template_pairs(&path).unwrap_err().to_string().contains("`template1 template2 label`"));
        put("\n");
        assert!(read_template_media(&path).unwrap_err().to_string().contains("empty"));
    }
}

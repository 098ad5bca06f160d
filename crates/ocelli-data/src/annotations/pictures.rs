//! What formats need that keep a file a picture: the files of a folder, safe names in it, and the sizes of the pictures.

use std::path::{Component, Path, PathBuf};

use super::detection::{DetectionSet, ImageEntry, stem};
use crate::error::DataError;

/// The endings of picture files that are looked for.
const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "bmp", "webp", "gif", "JPG", "JPEG"];

/// All files below a folder of this ending (in lower case), sorted, with their names relative to it, `/` between folders.
///
/// # Errors
/// [`DataError::Read`].
pub fn files_below(folder: &Path, ending: &str) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|source| DataError::read(&folder, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| DataError::read(&folder, source))?;
            let path = entry.path();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if path.is_dir() {
                open.push((format!("{name}/"), path));
            } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending)) {
                found.push((name, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Where a file named after a picture goes below `folder`; its folders are made.
///
/// # Errors
/// [`DataError::Setting`] for a name that is empty or leads out of the folder, [`DataError::Write`].
pub fn place_below(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    let relative = Path::new(name);
    if name.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        let reason = format!("`{name}` names no file inside of a folder; pictures need plain file names");
        return Err(DataError::setting("file_name", reason));
    }
    let path = folder.join(relative);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|source| DataError::write(parent, source))?;
    }
    Ok(path)
}

/// The picture file that a name without ending stands for in a folder, where there is one.
pub fn find_picture(folder: &Path, stem: &str) -> Option<PathBuf> {
    let candidates = ENDINGS.iter().map(|ending| folder.join(format!("{stem}.{ending}")));
    candidates.into_iter().find(|path| path.is_file())
}

/// Width and height of a picture file, from its header.
///
/// # Errors
/// [`DataError::Decode`] when it is no picture or cannot be read.
pub fn size_of(path: &Path) -> Result<[u32; 2], DataError> {
    let (width, height) = image::image_dimensions(path)
        .map_err(|e| DataError::Decode { name: path.display().to_string(), reason: e.to_string() })?;
    Ok([width, height])
}

/// Gives pictures without size that of their files in `folder`, and pictures whose name has no ending the name of the
/// file.
///
/// # Errors
/// [`DataError::Content`] when there is no such file; as [`size_of`].
pub fn fill_sizes(set: &mut DetectionSet, folder: &Path) -> Result<(), DataError> {
    for image in set.images.iter_mut().filter(|image| image.size.is_none()) {
        fill_size(image, folder)?;
    }
    Ok(())
}

fn fill_size(image: &mut ImageEntry, folder: &Path) -> Result<(), DataError> {
    let own = folder.join(&image.file_name);
    let found = if own.is_file() { Some(own) } else { find_picture(folder, stem(&image.file_name)) };
    let file = found.ok_or_else(|| {
        DataError::content(folder, format!("there is no picture `{}`, whose size is needed", image.name()))
    })?;
    image.size = Some(size_of(&file)?);
    Ok(())
}

/// The size of a picture that must have one.
///
/// # Errors
/// [`DataError::Content`] that says how to give it.
pub fn required_size(path: &Path, image: &ImageEntry) -> Result<[f64; 2], DataError> {
    match image.size {
        Some([width, height]) if width > 0 && height > 0 => Ok([f64::from(width), f64::from(height)]),
        _ => Err(DataError::content(
            path,
            format!(
                "the size of {} is not known, which boxes in shares of the picture need; name the folder of the pictures",
                image.name()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(place_below(folder.path(), "a/b.txt").unwrap().parent().unwrap().is_dir());
        for name in ["", "../b.txt", "/b.txt", "a/../../b.txt"] {
            assert!(
                place_below(folder.path(), name).unwrap_err().to_string().contains("file_name"),
                "{name}"
            );
        }
        std::fs::write(folder.path().join("a/c.TXT"), "").unwrap();
        std::fs::write(folder.path().join("d.txt"), "").unwrap();
        let names: Vec<String> =
            files_below(folder.path(), "txt").unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a/c.TXT", "d.txt"]);
    }

    #[test]
    fn sizes_come_from_the_files() {
        let folder = tempfile::tempdir().unwrap();
        image::RgbImage::new(7, 5).save(folder.path().join("a.png")).unwrap();
        let entry = |name: &str| ImageEntry { id: 1, file_name: name.to_owned(), ..ImageEntry::default() };
        let mut set = DetectionSet { images: vec![entry("a")], ..DetectionSet::default() };
        assert!(required_size(folder.path(), &set.images[0]).is_err());
        fill_sizes(&mut set, folder.path()).unwrap();
        assert_eq!(required_size(folder.path(), &set.images[0]).unwrap(), [7.0, 5.0]);
        set.images = vec![entry("b.png")];
        assert!(fill_sizes(&mut set, folder.path()).unwrap_err().to_string().contains("no picture `b.png`"));
    }
}

//! Using a trained recogniser: are two photographs of one person, and who of a gallery is in a photograph?

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use ocelli_data::DataError;
use ocelli_data::annotations::FolderDataset;
use ocelli_data::annotations::folder::natural;
use ocelli_data::image::{Canvas, Colour};
use rayon::prelude::*;
use serde::Serialize;

use super::recognizer::{Embeddings, Recognizer, RecognizerError, dot};

/// Whether two photographs show one person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first photograph.
    pub left: PathBuf,
    /// The second photograph.
    pub right: PathBuf,
    /// Cosine of their embeddings, from -1 to 1.
    pub cosine: f64,
    /// Cosine from which on they count as one person.
    pub threshold: f64,
    /// The verdict.
    pub same: bool,
}

/// Who is in a photograph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Identification {
    /// The photograph.
    pub path: PathBuf,
    /// The best person of the gallery if the cosine reaches the threshold.
    pub identity: Option<String>,
    /// Cosine from which on a person counts as found.
    pub threshold: f64,
    /// The best people, each with their closest picture, best first.
    pub candidates: Vec<Candidate>,
}

/// A person of the gallery, as close to a photograph as their closest picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Name of the person: the folder.
    pub identity: String,
    /// Cosine of the closest picture.
    pub cosine: f64,
    /// That picture.
    pub picture: PathBuf,
}

/// Reads and prepares photographs, in parallel.
///
/// # Errors
/// The first that cannot be read, by name.
pub fn read(recognizer: &Recognizer, paths: &[PathBuf]) -> Result<Vec<RgbImage>, DataError> {
    let preparation = recognizer.preparation();
    paths.par_iter().map(|path| preparation.open(path)).collect()
}

/// All pictures at the given places: files as they are, folders with all they hold, in natural order.
///
/// # Errors
/// When a place does not exist or a folder holds no file.
pub fn expand(places: &[PathBuf]) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for place in places {
        if place.is_dir() {
            let before = files.len();
            walk(place, &mut files)?;
            if files.len() == before {
                return Err(DataError::Content { path: place.clone(), reason: "holds no file".to_owned() });
            }
            files[before..].sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
        } else {
            std::fs::metadata(place).map_err(|source| DataError::Read { path: place.clone(), source })?;
            files.push(place.clone());
        }
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let wrap = |source| DataError::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(wrap)? {
        let path = entry.map_err(wrap)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        match path.is_dir() {
            _ if hidden => {}
            true => walk(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// Compares two photographs.
///
/// # Errors
/// When a photograph cannot be read or the network gives no numbers.
pub fn compare(
    recognizer: &Recognizer,
    left: &Path,
    right: &Path,
    threshold: f64,
) -> Result<Comparison, RecognizerError> {
    let paths = [left.to_owned(), right.to_owned()];
    let embeddings = recognizer.embed(&read(recognizer, &paths)?, true)?;
    let cosine = embeddings.cosine(0, 1);
    let [left, right] = paths;
    Ok(Comparison { left, right, cosine, threshold, same: cosine >= threshold })
}

/// People to look for.
#[derive(Debug)]
pub struct Gallery {
    people: FolderDataset,
    embeddings: Embeddings,
}

impl Gallery {
    /// Embeds the pictures of a folder with one folder a person.
    ///
    /// # Errors
    /// When the folder holds nobody or a picture cannot be read.
    pub fn open(recognizer: &Recognizer, folder: &Path) -> Result<Self, RecognizerError> {
        let people = FolderDataset::open(folder)?;
        let embeddings = recognizer.embed(&read(recognizer, &people.files)?, true)?;
        Ok(Self { people, embeddings })
    }

    /// The `top` people closest to a photograph, given by its embedding.
    pub fn candidates(&self, embedding: &[f32], top: usize) -> Vec<Candidate> {
        let cosine = |i: usize| dot(self.embeddings.row(i), embedding);
        let mut best: Vec<Option<(f64, usize)>> = vec![None; self.people.identities.len()];
        for (i, &label) in self.people.labels.iter().enumerate() {
            let c = cosine(i);
            if best[label].is_none_or(|(known, _)| c > known) {
                best[label] = Some((c, i));
            }
        }
        let candidate = |(label, best): (usize, Option<(f64, usize)>)| {
            let (cosine, picture) = best?;
            let picture = self.people.files[picture].clone();
            Some(Candidate { identity: self.people.identities[label].clone(), cosine, picture })
        };
        let mut candidates: Vec<Candidate> = best.into_iter().enumerate().filter_map(candidate).collect();
        candidates.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        candidates.truncate(top.max(1));
        candidates
    }

    /// Says who is in each photograph.
    ///
    /// # Errors
    /// When a photograph cannot be read or the network gives no numbers.
    pub fn identify(
        &self,
        recognizer: &Recognizer,
        photos: &[PathBuf],
        threshold: f64,
        top: usize,
    ) -> Result<Vec<Identification>, RecognizerError> {
        let embeddings = recognizer.embed(&read(recognizer, photos)?, true)?;
        let identify = |(i, path): (usize, &PathBuf)| {
            let candidates = self.candidates(embeddings.row(i), top);
            let found = candidates.first().filter(|c| c.cosine >= threshold);
            Identification {
                path: path.clone(),
                identity: found.map(|c| c.identity.clone()),
                threshold,
                candidates,
            }
        };
        Ok(photos.iter().enumerate().map(identify).collect())
    }
}

/// Two pictures side by side over a line of text: green where they count as one person, else red.
pub fn draw(left: &RgbImage, right: &RgbImage, same: bool, text: &str) -> RgbImage {
    const SIDE: u32 = 160;
    const MARGIN: u32 = 8;
    const FOOT: u32 = 24;
    const GREEN: Colour = [34, 139, 34];
    const RED: Colour = [190, 30, 45];
    let fit = |p: &RgbImage| image::imageops::resize(p, SIDE, SIDE, image::imageops::FilterType::Triangle);
    let colour = if same { GREEN } else { RED };
    let mut page = RgbImage::from_pixel(2 * SIDE + 3 * MARGIN, SIDE + 2 * MARGIN + FOOT, Rgb([255; 3]));
    let (near, far, below) = (i64::from(MARGIN), i64::from(2 * MARGIN + SIDE), i64::from(SIDE + 2 * MARGIN));
    image::imageops::replace(&mut page, &fit(left), near, near);
    image::imageops::replace(&mut page, &fit(right), far, near);
    let (width, height) = page.dimensions();
    let mut canvas = Canvas::new(&mut page);
    canvas.rectangle([0.0, 0.0, width as f32 - 1.0, height as f32 - 1.0], colour, 3);
    canvas.text(near, below, text, colour, 2);
    page
}

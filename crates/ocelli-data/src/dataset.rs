//! Numbered items that a loader can fetch: pictures in memory, pictures in files, pictures changed at random.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::image::RgbImage;
use ocelli_method::random::{Generator, stream};
use rayon::prelude::*;

use crate::augment::Augment;
use crate::error::DataError;
use crate::image::Preparation;

/// Numbered items. Whatever is random in an item comes from the generator that is handed in.
pub trait Dataset: Send + Sync {
    /// What an item is.
    type Item: Send;

    /// Number of items.
    fn len(&self) -> usize;

    /// Whether there is no item.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item `index`.
    ///
    /// # Errors
    /// Whatever is wrong with the item, its file named.
    fn get(&self, index: usize, rng: &mut Generator) -> Result<Self::Item, DataError>;

    /// What an item is called in messages: its file, where it has one.
    fn name(&self, index: usize) -> String {
        format!("item {index}")
    }
}

/// A picture and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The picture.
    pub picture: RgbImage,
    /// Its class or identity.
    pub label: usize,
    /// Its number in the data set.
    pub index: usize,
}

fn known(index: usize, len: usize) -> Result<(), DataError> {
    if index < len {
        return Ok(());
    }
    Err(DataError::setting("index", format!("{index} asked of a data set of {len} items")))
}

fn same_number(pictures: usize, labels: usize) -> Result<(), DataError> {
    if pictures == labels {
        return Ok(());
    }
    let (wanted, found) = (format!("one a picture ({pictures})"), labels.to_string());
    Err(DataError::Shape { what: "labels", wanted, found })
}

/// Labelled pictures in memory.
#[derive(Clone, Debug)]
pub struct MemoryDataset {
    pictures: Vec<RgbImage>,
    labels: Vec<usize>,
}

impl MemoryDataset {
    /// Takes pictures and their labels.
    ///
    /// # Errors
    /// [`DataError::Shape`] when their numbers differ.
    pub fn new(pictures: Vec<RgbImage>, labels: Vec<usize>) -> Result<Self, DataError> {
        same_number(pictures.len(), labels.len())?;
        Ok(Self { pictures, labels })
    }

    /// The pictures.
    pub fn pictures(&self) -> &[RgbImage] {
        &self.pictures
    }

    /// The label of each picture.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }
}

impl Dataset for MemoryDataset {
    type Item = Sample;

    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn get(&self, index: usize, _: &mut Generator) -> Result<Sample, DataError> {
        known(index, self.len())?;
        Ok(Sample { picture: self.pictures[index].clone(), label: self.labels[index], index })
    }

    fn name(&self, index: usize) -> String {
        format!("picture {index}")
    }
}

/// Labelled picture files, decoded and prepared when asked for, or kept in memory.
#[derive(Clone, Debug)]
pub struct PictureFiles {
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    preparation: Preparation,
    /// Prepared pictures, where they are kept.
    kept: Vec<Option<RgbImage>>,
}

impl PictureFiles {
    /// Takes files and their labels. No file is opened.
    ///
    /// # Errors
    /// [`DataError::Shape`] when their numbers differ.
    pub fn new(files: Vec<PathBuf>, labels: Vec<usize>, preparation: Preparation) -> Result<Self, DataError> {
        same_number(files.len(), labels.len())?;
        Ok(Self::paired(files, labels, preparation))
    }

    /// As [`PictureFiles::new`], of lists known to be of one length.
    pub(crate) fn paired(files: Vec<PathBuf>, labels: Vec<usize>, preparation: Preparation) -> Self {
        debug_assert_eq!(files.len(), labels.len());
        let kept = vec![None; files.len()];
        Self { files, labels, preparation, kept }
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The label of each file.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The prepared picture of a file.
    ///
    /// # Errors
    /// See [`Preparation::open`].
    pub fn picture(&self, index: usize) -> Result<RgbImage, DataError> {
        known(index, self.files.len())?;
        match &self.kept[index] {
            Some(picture) => Ok(picture.clone()),
            None => self.preparation.open(&self.files[index]),
        }
    }

    /// Decodes every file on all cores and keeps prepared pictures of up to `keep_bytes` in memory.
    pub fn scan(&mut self, keep_bytes: u64) -> Scan {
        let left = AtomicU64::new(keep_bytes);
        let this = &*self;
        let checked: Vec<Result<Option<RgbImage>, String>> = (0..this.files.len())
            .into_par_iter()
            .map(|index| {
                let picture = this.picture(index).map_err(|e| e.to_string())?;
                let bytes = picture.as_raw().len() as u64;
                // Which pictures are kept depends on the order of threads; what a caller gets does not.
                let fits = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(bytes));
                Ok(fits.is_ok().then_some(picture))
            })
            .collect();
        let mut scan = Scan::default();
        for (index, result) in checked.into_iter().enumerate() {
            match result {
                Ok(picture) => {
                    self.kept[index] = picture;
                    scan.good.push(index);
                }
                Err(reason) => scan.bad.push(BadItem { index, name: self.name(index), reason }),
            }
        }
        scan
    }

    /// Scans all files, fails if more than a share of `max_bad_share` is unreadable, else leaves the unreadable ones out.
    ///
    /// # Errors
    /// [`DataError::TooManyBad`]; also when no file is left.
    pub fn load(mut self, max_bad_share: f64, keep_bytes: u64) -> Result<(Self, Scan), DataError> {
        let scan = self.scan(keep_bytes);
        scan.check(max_bad_share)?;
        if scan.bad.is_empty() {
            return Ok((self, scan));
        }
        for bad in &scan.bad {
            tracing::warn!(reason = bad.reason, "left out {}", bad.name);
        }
        let mut good = scan.good.iter().peekable();
        let is_good: Vec<bool> =
            (0..self.files.len()).map(|i| good.next_if(|&&next| next == i).is_some()).collect();
        fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            values.retain(|_| keep.next().copied().unwrap_or(false));
        }
        retain(&mut self.files, &is_good);
        retain(&mut self.labels, &is_good);
        retain(&mut self.kept, &is_good);
        Ok((self, scan))
    }
}

impl Dataset for PictureFiles {
    type Item = Sample;

    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, index: usize, _: &mut Generator) -> Result<Sample, DataError> {
        Ok(Sample { picture: self.picture(index)?, label: self.labels[index], index })
    }

    fn name(&self, index: usize) -> String {
        self.files.get(index).map_or_else(|| format!("item {index}"), |file| file.display().to_string())
    }
}

/// A shared data set is one too.
impl<D: Dataset> Dataset for Arc<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.as_ref().len()
    }

    fn get(&self, index: usize, rng: &mut Generator) -> Result<Self::Item, DataError> {
        self.as_ref().get(index, rng)
    }

    fn name(&self, index: usize) -> String {
        self.as_ref().name(index)
    }
}

/// The pictures of another data set, changed at random.
#[derive(Clone, Debug)]
pub struct Augmented<D> {
    inner: D,
    augment: Augment,
}

impl<D> Augmented<D> {
    /// Changes the pictures of `inner` by `augment`.
    ///
    /// # Errors
    /// [`DataError::Setting`] when a setting of `augment` is impossible.
    pub fn new(inner: D, augment: Augment) -> Result<Self, DataError> {
        augment.check()?;
        Ok(Self { inner, augment })
    }

    /// The data set behind.
    pub fn inner(&self) -> &D {
        &self.inner
    }
}

impl<D: Dataset<Item = Sample>> Dataset for Augmented<D> {
    type Item = Sample;

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn get(&self, index: usize, rng: &mut Generator) -> Result<Sample, DataError> {
        let mut sample = self.inner.get(index, rng)?;
        sample.picture = self.augment.apply(&sample.picture, rng)?;
        Ok(sample)
    }

    fn name(&self, index: usize) -> String {
        self.inner.name(index)
    }
}

/// An item that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BadItem {
    /// Its number in the data set.
    pub index: usize,
    /// Its name: the file.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Which items of a data set can be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Numbers of the readable items, rising.
    pub good: Vec<usize>,
    /// The others, by rising number.
    pub bad: Vec<BadItem>,
}

impl Scan {
    /// Fails when more than a share of `max_bad_share` (0 to 1) of the items is unreadable, or all are.
    ///
    /// # Errors
    /// [`DataError::TooManyBad`] counts them and names the first.
    pub fn check(&self, max_bad_share: f64) -> Result<(), DataError> {
        check_share(&self.bad, self.good.len() + self.bad.len(), max_bad_share)
    }
}

/// Fetches every item once, on all cores.
pub fn scan<D: Dataset>(dataset: &D) -> Scan {
    let results: Vec<_> = (0..dataset.len())
        .into_par_iter()
        .map(|index| dataset.get(index, &mut stream(0, "scan", index as u64)).err())
        .collect();
    let mut scan = Scan::default();
    for (index, error) in results.into_iter().enumerate() {
        match error {
            None => scan.good.push(index),
            Some(e) => scan.bad.push(BadItem { index, name: dataset.name(index), reason: e.to_string() }),
        }
    }
    scan
}

/// Fails when `bad` is more than a share of `allowed` of `total` items, or all of them.
pub(crate) fn check_share(bad: &[BadItem], total: usize, allowed: f64) -> Result<(), DataError> {
    const LISTED: usize = 5;
    let within = bad.len() as f64 <= allowed * total as f64 && bad.len() < total;
    if bad.is_empty() || within {
        return Ok(());
    }
    let mut listed: Vec<String> = bad.iter().take(LISTED).map(described).collect();
    if bad.len() > LISTED {
        listed.push(format!("and {} more", bad.len() - LISTED));
    }
    Err(DataError::TooManyBad { bad: bad.len(), total, allowed, listed: listed.join("; ") })
}

/// The reason, with the name in front unless it is in there already.
fn described(bad: &BadItem) -> String {
    if bad.reason.contains(&bad.name) { bad.reason.clone() } else { format!("{}: {}", bad.name, bad.reason) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::image::{jpeg_bytes, save};
    use ::image::Rgb;

    fn plain(value: u8) -> RgbImage {
        RgbImage::from_pixel(10, 8, Rgb([value; 3]))
    }

    /// Ten pictures; number 3 is a truncated JPEG, 7 no picture.
    fn files(folder: &Path, bad: bool) -> PictureFiles {
        let paths: Vec<PathBuf> = (0..10).map(|i| folder.join(format!("{i}.png"))).collect();
        for (i, path) in paths.iter().enumerate() {
            save(path, &plain(i as u8)).unwrap();
        }
        if bad {
            let jpeg = jpeg_bytes(&plain(9), 90).unwrap();
            std::fs::write(&paths[3], &jpeg[..jpeg.len() - 10]).unwrap();
            std::fs::write(&paths[7], "no picture").unwrap();
        }
        PictureFiles::new(paths, (0..10).collect(), Preparation::default()).unwrap()
    }

    #[test]
    fn bad_files_are_named_left_out_or_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path(), true);
        let scanned = files.scan(0);
        assert_eq!(scanned.good, [0, 1, 2, 4, 5, 6, 8, 9]);
        assert!(scanned.bad[0].name.ends_with("3.png") && scanned.bad[0].reason.contains("truncated"));
        assert_eq!(scan(&files), scanned);

        let message = files.clone().load(0.1, 0).unwrap_err().to_string();
        assert!(
            message.starts_with("2 of 10 items are unreadable, more than the allowed share of 0.1"),
            "{message}"
        );
        assert!(message.contains("3.png") && message.contains("7.png"), "{message}");

        let (kept, scan) = files.load(0.2, u64::MAX).unwrap();
        assert_eq!((kept.len(), scan.bad.len()), (8, 2));
        assert_eq!(kept.labels(), [0, 1, 2, 4, 5, 6, 8, 9]);
        for index in 0..kept.len() {
            let sample = kept.get(index, &mut stream(0, "", 0)).unwrap();
            assert_eq!(usize::from(sample.picture.get_pixel(0, 0).0[0]), sample.label);
        }
    }

    #[test]
    fn all_bad_is_never_allowed_and_none_bad_always() {
        let bad = vec![BadItem { index: 0, name: "a".into(), reason: "b".into() }];
        assert!(Scan { good: vec![], bad }.check(1.0).is_err());
        assert!(Scan { good: vec![0], bad: vec![] }.check(0.0).is_ok());
        assert!(Scan::default().check(0.0).is_ok());
    }

    #[test]
    fn kept_pictures_need_no_file_and_the_budget_holds() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path(), false);
        assert!(files.scan(3 * 80 * 4 + 1).bad.is_empty());
        assert_eq!(files.kept.iter().flatten().count(), 4);
        files.scan(u64::MAX);
        drop(folder);
        assert_eq!(files.picture(9).unwrap(), plain(9));
    }

    #[test]
    fn wrong_numbers_are_errors() {
        assert!(MemoryDataset::new(vec![plain(0)], vec![]).is_err());
        assert!(PictureFiles::new(vec!["a".into()], vec![0, 1], Preparation::default()).is_err());
        let memory = MemoryDataset::new(vec![plain(0)], vec![5]).unwrap();
        assert!(memory.get(1, &mut stream(0, "", 0)).is_err());
        assert_eq!(memory.get(0, &mut stream(0, "", 0)).unwrap().label, 5);
    }

    #[test]
    fn augmented_pictures_follow_the_generator() {
        let left_white = RgbImage::from_fn(4, 1, |x, _| Rgb([if x < 2 { 255 } else { 0 }; 3]));
        let memory = MemoryDataset::new(vec![left_white], vec![0]).unwrap();
        let flipping = Augmented::new(memory.clone(), Augment { flip: 1.0, ..Augment::default() }).unwrap();
        let sample = flipping.get(0, &mut stream(0, "", 0)).unwrap();
        assert_eq!(sample.picture.get_pixel(0, 0).0, [0; 3]);
        assert!(Augmented::new(memory, Augment { flip: 2.0, ..Augment::default() }).is_err());
    }
}

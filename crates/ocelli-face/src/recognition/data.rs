//! Pictures of people: procedural, in folders, or in lists; those to train on and those to measure by.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::lfw::PairList;
use ocelli_data::annotations::{FolderDataset, ImageList, split_identities};
use ocelli_data::dataset::{BadItem, MemoryDataset, PictureFiles, Sample, Scan};
use ocelli_data::image::Preparation;
use ocelli_data::sample::{PairOptions, PairSampler, VerificationPair};
use ocelli_data::{DataError, Dataset};
use ocelli_method::random::Generator;
use ocelli_world::faces::{Canvas, FaceWorld, SpaceError};
use thiserror::Error;

use super::recipe::{DataConfig, EvaluateConfig, WORLD, WorldConfig};
use super::regime::Degradation;

/// Why pictures of people cannot be had.
#[derive(Debug, Error)]
pub enum FaceDataError {
    /// A file or folder is at fault.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The procedural world is at fault.
    #[error(transparent)]
    World(#[from] SpaceError),
    /// There are too few people.
    #[error("{source_name}: {reason}")]
    TooFew {
        /// Where the people come from.
        source_name: String,
        /// How many there are, and how many are needed.
        reason: String,
    },
}

/// Labelled pictures, in memory or in files, some of them perhaps degraded.
#[derive(Debug)]
pub struct Pictures {
    source: Source,
    degradation: Option<Degradation>,
}

#[derive(Debug)]
enum Source {
    /// Rendered pictures.
    Memory(MemoryDataset),
    /// Files, those that fit kept in memory once they are decoded.
    Files(PictureFiles),
}

impl From<Source> for Pictures {
    fn from(source: Source) -> Self {
        Self { source, degradation: None }
    }
}

impl Pictures {
    /// The identity of every picture.
    pub fn labels(&self) -> &[usize] {
        match &self.source {
            Source::Memory(m) => m.labels(),
            Source::Files(f) => f.labels(),
        }
    }

    /// Number of identities.
    pub fn identities(&self) -> usize {
        self.labels().iter().max().map_or(0, |&last| last + 1)
    }

    /// Whether each picture is degraded; nothing where none is.
    pub fn degraded(&self) -> Option<&[bool]> {
        self.degradation.as_ref().map(Degradation::hard)
    }
}

impl Dataset for Pictures {
    type Item = Sample;

    fn len(&self) -> usize {
        self.labels().len()
    }

    fn get(&self, index: usize, generator: &mut Generator) -> Result<Sample, DataError> {
        let mut sample = match &self.source {
            Source::Memory(m) => m.get(index, generator),
            Source::Files(f) => f.get(index, generator),
        }?;
        if let Some(degradation) = &self.degradation {
            sample.picture = degradation.apply(index, sample.picture)?;
        }
        Ok(sample)
    }

    fn name(&self, index: usize) -> String {
        match &self.source {
            Source::Memory(m) => m.name(index),
            Source::Files(f) => f.name(index),
        }
    }
}

/// Pictures to measure a recogniser by, with the pairs to compare.
#[derive(Debug)]
pub struct TestSet {
    /// The pictures.
    pub pictures: Pictures,
    /// Which are compared.
    pub pairs: Vec<VerificationPair>,
    /// Folds of the pairs.
    pub folds: usize,
}

/// Everything a training needs to see.
#[derive(Debug)]
pub struct FaceData {
    /// Pictures to train on.
    pub train: Pictures,
    /// Pictures of other people.
    pub test: TestSet,
    /// Files that could not be read, of both parts.
    pub bad: Vec<BadItem>,
}

/// Decoded pictures that are kept in memory, at most.
const KEEP_BYTES: u64 = 4 << 30;

/// Makes or reads the pictures that a recipe asks for, prepared for a network of `size` pixels a side.
///
/// # Errors
/// [`FaceDataError`] naming the folder, file or setting.
pub fn load(
    config: &DataConfig,
    evaluate: &EvaluateConfig,
    preparation: &Preparation,
    seed: u64,
) -> Result<FaceData, FaceDataError> {
    let size = preparation.size.map_or(0, |[h, _]| h);
    let regime = &config.regime;
    let (mut train, test, mut bad) = if config.train == WORLD {
        let (train, test) = world_people(config)?;
        let keep = |labels: &[usize]| regime.keep(labels, seed);
        let train = render(&config.world, size, train, keep)?;
        (train, render(&config.world, size, test, everything)?, Vec::new())
    } else {
        let people = People::open(&config.train, &config.root)?;
        let whole = people.whole;
        let (train, test) = people.split(config, seed)?;
        let kept = regime.keep(&train.labels, seed);
        let (train, mut bad) = train.pick(&kept).load(preparation, config.max_bad_share)?;
        let (test, more) = match test {
            Some(test) => test.load(preparation, config.max_bad_share)?,
            None => (Source::Memory(MemoryDataset::new(Vec::new(), Vec::new())?).into(), Vec::new()),
        };
        bad.extend(more);
        check_bad(&bad, whole, config.max_bad_share)?;
        (train, test, bad)
    };
    train.degradation = regime.degradation(train.len(), seed);
    let test = if config.test.is_empty() {
        test_set(test, evaluate, seed, &config.train)?
    } else {
        let (test, more) = load_test(config, evaluate, preparation, seed)?;
        bad.extend(more);
        test
    };
    Ok(FaceData { train, test, bad })
}

/// Makes or reads the pictures to measure by: `data.test`, or the people held out of `data.train`.
///
/// # Errors
/// As [`load`].
pub fn load_test(
    config: &DataConfig,
    evaluate: &EvaluateConfig,
    preparation: &Preparation,
    seed: u64,
) -> Result<(TestSet, Vec<BadItem>), FaceDataError> {
    if config.test.is_empty() && config.train == WORLD {
        let size = preparation.size.map_or(0, |[h, _]| h);
        let test = render(&config.world, size, world_people(config)?.1, everything)?;
        return Ok((test_set(test, evaluate, seed, WORLD)?, Vec::new()));
    }
    let (name, people) = match config.test.is_empty() {
        true => (&config.train, People::open(&config.train, &config.root)?.split(config, seed)?.1),
        false => (&config.test, Some(People::open(&config.test, &config.root)?)),
    };
    let people = people.ok_or_else(|| too_few(name, "no people are held out"))?;
    let (test, bad) = people.load(preparation, config.max_bad_share)?;
    Ok((test_set(test, evaluate, seed, name)?, bad))
}

/// Pairs to compare, in LFW's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairSource {
    /// The list, such as `pairs.txt`.
    pub list: PathBuf,
    /// The folder with one folder a person.
    pub root: PathBuf,
    /// Ending of the picture files, such as `jpg`.
    pub ending: String,
}

/// Reads the pictures of a pair list.
///
/// # Errors
/// As [`load`].
pub fn load_pairs(source: &PairSource, preparation: &Preparation) -> Result<TestSet, FaceDataError> {
    let pairs = PairList::read(&source.list, &source.root, &source.ending)?;
    let mut files: Vec<PathBuf> =
        pairs.pairs.iter().flat_map(|p| [p.left.clone(), p.right.clone()]).collect();
    files.sort();
    files.dedup();
    let place = |file: &PathBuf| files.binary_search(file).unwrap_or_default();
    let compared = pairs.pairs.iter().map(|p| VerificationPair {
        left: place(&p.left),
        right: place(&p.right),
        same: p.same,
        fold: p.fold,
    });
    let compared = compared.collect();
    let labels = vec![0; files.len()];
    let people = People { whole: files.len(), files, labels };
    // A pair without its picture would change the protocol: nothing may be left out.
    let (pictures, _) = people.load(preparation, 0.0)?;
    Ok(TestSet { pictures, pairs: compared, folds: pairs.folds })
}

/// Picture files of people, not opened yet.
#[derive(Debug)]
struct People {
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    /// Files of the folder or list that these are a part of.
    whole: usize,
}

impl People {
    fn open(name: &str, root: &str) -> Result<Self, FaceDataError> {
        let path = Path::new(name);
        if path.is_dir() {
            let folder = FolderDataset::open(path)?;
            folder.require_identities(2)?;
            return Ok(Self { whole: folder.files.len(), files: folder.files, labels: folder.labels });
        }
        if !path.exists() {
            let reason = "no such folder or list; give a folder with one folder a person, or `world`";
            return Err(too_few(name, reason));
        }
        let root = if root.is_empty() { path.parent().unwrap_or(Path::new("")) } else { Path::new(root) };
        let list = ImageList::read(path, root)?;
        Ok(Self { whole: list.files.len(), files: list.files, labels: list.labels })
    }

    fn identities(&self) -> usize {
        self.labels.iter().max().map_or(0, |&last| last + 1)
    }

    /// Those to train on, and those held out unless there is a test set of its own.
    fn split(self, config: &DataConfig, seed: u64) -> Result<(Self, Option<Self>), FaceDataError> {
        if !config.test.is_empty() {
            return Ok((self, None));
        }
        let held_out = held_out(config, self.identities());
        let split = split_identities(self.identities(), held_out, Some(seed))?;
        let (train, test) = (self.only(&split.train), self.only(&split.held_out));
        Ok((train, Some(test)))
    }

    /// The pictures of some identities, renumbered from 0.
    fn only(&self, identities: &[usize]) -> Self {
        let kept = self
            .labels
            .iter()
            .zip(&self.files)
            .filter_map(|(label, file)| Some((identities.binary_search(label).ok()?, file.clone())));
        let (labels, files) = kept.unzip();
        Self { files, labels, whole: self.whole }
    }

    /// Some of the files, by number.
    fn pick(self, kept: &[usize]) -> Self {
        let files = kept.iter().map(|&i| self.files[i].clone()).collect();
        Self { files, labels: kept.iter().map(|&i| self.labels[i]).collect(), whole: self.whole }
    }

    fn load(
        self,
        preparation: &Preparation,
        max_bad_share: f64,
    ) -> Result<(Pictures, Vec<BadItem>), FaceDataError> {
        let list = ImageList { files: self.files, labels: self.labels };
        // Only a part that is unreadable altogether is refused here: the share is one of the whole.
        let (files, scan) = list.into_files(preparation.clone()).load(1.0, KEEP_BYTES)?;
        check_bad(&scan.bad, self.whole, max_bad_share)?;
        Ok((Source::Files(files).into(), scan.bad))
    }
}

/// Fails when more than a share of `max_bad_share` of `whole` files is unreadable.
fn check_bad(bad: &[BadItem], whole: usize, max_bad_share: f64) -> Result<(), DataError> {
    let good = (0..whole.saturating_sub(bad.len())).collect();
    Scan { good, bad: bad.to_vec() }.check(max_bad_share)
}

fn too_few(name: &str, reason: impl Into<String>) -> FaceDataError {
    FaceDataError::TooFew { source_name: name.to_owned(), reason: reason.into() }
}

/// People held out: as many as said, else a quarter.
fn held_out(config: &DataConfig, identities: usize) -> usize {
    match config.held_out {
        0 => (identities / 4).max(2),
        said => said,
    }
}

/// Numbers of the people to train on, and of those held out.
fn world_people(config: &DataConfig) -> Result<(Vec<u64>, Vec<u64>), FaceDataError> {
    let people = usize::try_from(config.world.people).unwrap_or(usize::MAX);
    let split = split_identities(people, held_out(config, people), None)?;
    let numbers = |list: Vec<usize>| list.into_iter().map(|i| i as u64).collect();
    Ok((numbers(split.train), numbers(split.held_out)))
}

/// The numbers of all pictures.
fn everything(labels: &[usize]) -> Vec<usize> {
    (0..labels.len()).collect()
}

/// Renders the pictures that `keep` picks, by number, of all of some people of the world.
fn render(
    config: &WorldConfig,
    size: u32,
    people: Vec<u64>,
    keep: impl Fn(&[usize]) -> Vec<usize>,
) -> Result<Pictures, FaceDataError> {
    let world = FaceWorld {
        seed: config.seed,
        identities: config.identities,
        shots: config.shots,
        canvas: Canvas::aligned(size),
    };
    let all: Vec<(u64, u64)> =
        people.iter().flat_map(|&person| (0..config.pictures).map(move |shot| (person, shot))).collect();
    let labels: Vec<usize> =
        (0..people.len()).flat_map(|label| (0..config.pictures).map(move |_| label)).collect();
    let (wanted, labels): (Vec<_>, Vec<_>) = keep(&labels).iter().map(|&i| (all[i], labels[i])).unzip();
    Ok(Source::Memory(MemoryDataset::new(world.render_pictures(&wanted)?, labels)?).into())
}

fn test_set(
    pictures: Pictures,
    evaluate: &EvaluateConfig,
    seed: u64,
    name: &str,
) -> Result<TestSet, FaceDataError> {
    if pictures.identities() < 2 {
        let reason = format!("verification needs 2 people or more, found {}", pictures.identities());
        return Err(too_few(name, reason));
    }
    let options = PairOptions { folds: evaluate.folds, seed, ..PairOptions::default() };
    let pairs = PairSampler::new(pictures.labels(), options)?.pairs()?;
    Ok(TestSet { pictures, pairs: pairs.pairs, folds: pairs.folds })
}

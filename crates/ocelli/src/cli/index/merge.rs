//! `ocelli index merge`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use ocelli_vectors::hamming::HammingIndex;
use ocelli_vectors::index::{Index, Rows, Storage};

use super::files::At;
use super::open::{Opened, alike, files, open};
use super::options::store_of;
use crate::cli::Ended;
use crate::cli::output;

/// Bring several indexes together in one file.
///
/// The first lends its centres and codewords; the vectors that the others keep are added to it under their ids, which must
/// not clash. What others keep as f16 or int8 comes as rounded as it is kept there; of what keeps no vectors nothing can be
/// taken.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The index to write.
    out: PathBuf,
    /// The indexes, or folders of shards.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Merge {
    pub(super) fn run(self) -> Ended {
        let paths = files(&self.files)?;
        ensure!(paths.len() > 1, "name at least two indexes to bring together");
        let mut others = paths[1..].iter();
        let count = match open(&paths[0], false)? {
            Opened::Vectors(mut index) => {
                others.try_for_each(|path| add(&mut index, &paths[0], path))?;
                index.compact();
                index.save(&self.out)?;
                index.count()
            }
            Opened::Codes(index) => {
                let index = others.try_fold(index, |index, path| append(index, path))?;
                index.save(&self.out)?;
                index.codes().len()
            }
        };
        output::line(format!("{}: {count} of {} indexes", self.out.display(), paths.len()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn add(index: &mut Index, of: &Path, path: &Path) -> anyhow::Result<()> {
    let Opened::Vectors(other) = open(path, false)? else {
        bail!("{}: an index of binary codes, {} one of vectors", path.display(), of.display())
    };
    alike(index, of, &other, path)?;
    let kept = other.vectors();
    let (vectors, ids) = kept.with_context(|| {
        format!("{}: keeps no vectors (--store none), so nothing can be taken from it", path.display())
    })?;
    if ids.is_empty() {
        return Ok(());
    }
    if other.storage() != Storage::F32 {
        let store = store_of(other.storage());
        output::note(format!(
            "{}: its vectors are added as it keeps them, rounded to {store}",
            path.display()
        ));
    }
    let rows = Rows::new("the vectors to add", &vectors, other.dim()).at(path)?;
    index.add(rows, &ids).at(path)?;
    match other.metadata() {
        Some(metadata) => index.add_metadata(&ids, metadata.of(&ids)).at(path),
        None => Ok(()),
    }
}

fn append(index: HammingIndex, path: &Path) -> anyhow::Result<HammingIndex> {
    match open(path, false)? {
        Opened::Codes(other) => index.with(other.codes(), other.ids()).at(path),
        Opened::Vectors(_) => bail!("{}: an index of vectors among those of binary codes", path.display()),
    }
}

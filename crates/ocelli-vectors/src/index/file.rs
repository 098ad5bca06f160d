//! Indexes as files: sections of a [`Container`], mapped when they are opened.
//!
//! | section | shape | what |
//! |---|---|---|
//! | `centers` | `[K, dim]` f32 | centres of partitions |
//! | `words` | `[dim, 16]` or `[dim, 256]` f32 | codewords |
//! | `ends` | `[B]` u32 | where blocks end |
//! | `grid` | `[2, dim]` f32 | instead of these two, where elements have a byte each: the lowest value of each, and how far the next lies apart |
//! | `<i>.codes` | bytes | packed codes of segment i |
//! | `<i>.firsts`, `<i>.units` | `[K + 1]` u32 | first position and unit of each partition |
//! | `<i>.members` | positions, u32 | the row at each position, where vectors are in two partitions |
//! | `<i>.halves`, `<i>.bias` | rows, positions; f32 | `-abs(x)^2 / 2`, for distances |
//! | `<i>.rows`, `<i>.rows.scales` | `[N, dim]`, `[N]` | vectors for exact scores |
//! | `<i>.ids` | `[N]` u32 or u64 | ids |
//! | `<i>.deleted` | u32 | rows that are deleted, rising |
//! | `metadata.…` | | [what else is known](super::Metadata) |

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::books::Books;
use super::data::Ids;
use super::grid::Grid;
use super::import::Package;
use super::metadata::{self, ColumnText};
use super::partition::Centers;
use super::rows::{Storage, Stored};
use super::segment::{Scoring, Segment, Shared};
use super::{Codes, Index, SearchParams, Similarity, Spill};
use crate::container::{Column, Container, ContainerError, ContainerWriter, Element};
use crate::kernels::lut::{BYTE_WORDS, MOST_ELEMENTS, UNIT, WORDS};
use crate::score_aware_quantization::Eta;

/// The kind of container that holds an index.
pub const KIND: &str = "vector-index";

/// Why an index cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is no readable container, or a section is missing or of another type.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Sections that contradict each other.
    #[error("{path}: section `{section}`: {reason}; build the index again", path = path.display())]
    Section {
        /// The file.
        path: std::path::PathBuf,
        /// The section.
        section: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    similarity: Similarity,
    #[serde(default)]
    scoring: Scoring,
    #[serde(default)]
    length: Option<f32>,
    dim: usize,
    partitions: usize,
    eta: EtaText,
    spill: Option<Spill>,
    storage: Storage,
    #[serde(default)]
    rough: bool,
    #[serde(default)]
    package: Option<Package>,
    #[serde(default)]
    cut: bool,
    #[serde(default)]
    codes: Codes,
    segments: Vec<SegmentText>,
    defaults: Option<SearchParams>,
    #[serde(default)]
    columns: Vec<ColumnText>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SegmentText {
    rows: usize,
    positions: usize,
    members: bool,
    halves: bool,
    bias: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EtaText {
    Nearest,
    Exact(f64),
    Limit(f64),
    Fixed(f64),
}

impl From<Eta> for EtaText {
    fn from(eta: Eta) -> Self {
        match eta {
            Eta::Nearest => Self::Nearest,
            Eta::Exact(threshold) => Self::Exact(threshold),
            Eta::Limit(threshold) => Self::Limit(threshold),
            Eta::Fixed(ratio) => Self::Fixed(ratio),
        }
    }
}

impl From<EtaText> for Eta {
    fn from(eta: EtaText) -> Self {
        match eta {
            EtaText::Nearest => Self::Nearest,
            EtaText::Exact(threshold) => Self::Exact(threshold),
            EtaText::Limit(threshold) => Self::Limit(threshold),
            EtaText::Fixed(ratio) => Self::Fixed(ratio),
        }
    }
}

/// A section of this shape.
pub(super) fn column<T: Element>(
    container: &Arc<Container>,
    name: &str,
    shape: &[usize],
) -> Result<Column<T>, OpenError> {
    let column = Column::open(container, name)?;
    let found = &container.section(name)?.shape;
    if found != shape {
        return Err(wrong(container, name, format!("its shape is {found:?}, wanted {shape:?}")));
    }
    Ok(column)
}

pub(super) fn wrong(container: &Container, section: &str, reason: impl Into<String>) -> OpenError {
    OpenError::Section { path: container.path().to_owned(), section: section.into(), reason: reason.into() }
}

impl Index {
    /// Writes the index beside its place and puts it there when it is whole.
    ///
    /// # Errors
    /// [`ContainerError`]; what was there before then stays.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ContainerError> {
        let shared = &self.shared;
        let dim = self.dim();
        let text = |segment: &Segment| SegmentText {
            rows: segment.ids.count(),
            positions: segment.positions(),
            members: segment.members.is_some(),
            halves: segment.halves.is_some(),
            bias: segment.bias.is_some(),
        };
        let mut writer = ContainerWriter::create(path, KIND)?;
        writer.metadata(&Metadata {
            similarity: shared.similarity,
            scoring: shared.scoring,
            length: shared.length,
            dim,
            partitions: self.partitions(),
            eta: shared.eta.into(),
            spill: shared.spill,
            storage: shared.storage,
            rough: shared.rough,
            package: shared.package,
            cut: shared.books.cut,
            codes: if shared.books.grid.is_some() { Codes::Sq8 } else { Codes::Pq4 },
            segments: self.segments.iter().map(text).collect(),
            defaults: self.defaults,
            columns: self.metadata.as_ref().map(metadata::Metadata::texts).unwrap_or_default(),
        })?;
        writer.section("centers", &[self.partitions(), dim], &shared.centers.data)?;
        shared.books.save(&mut writer, dim)?;
        for (number, segment) in self.segments.iter().enumerate() {
            segment.save(&mut writer, number, dim)?;
        }
        if let Some(metadata) = &self.metadata {
            metadata.save(&mut writer)?;
        }
        writer.finish()
    }

    /// Opens an index, mapped into memory: at once, whatever its size. Sections that say where others begin are looked
    /// through; checksums of all are compared by [`Container::verify`], which [`Index::open_verified`] calls.
    ///
    /// # Errors
    /// [`OpenError`] naming the file and the section.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::from_container(&Arc::new(Container::open(path)?))
    }

    /// The same, after all checksums have been compared.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_verified(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let container = Container::open(path)?;
        container.verify()?;
        Self::from_container(&Arc::new(container))
    }

    /// An index in an opened container.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn from_container(container: &Arc<Container>) -> Result<Self, OpenError> {
        container.expect_kind(KIND)?;
        let metadata: Metadata = container.metadata()?;
        let (dim, partitions) = (metadata.dim, metadata.partitions);
        let centers: Column<f32> = column(container, "centers", &[partitions, dim])?;
        if dim == 0 || partitions == 0 {
            return Err(wrong(container, "centers", format!("{partitions} partitions of {dim} elements")));
        }
        let shared = Shared {
            similarity: metadata.similarity,
            scoring: metadata.scoring,
            length: metadata.length.filter(|length| *length > 0.0),
            centers: Centers::new(centers.to_vec(), dim),
            books: Books::open(container, dim, &metadata)?,
            eta: metadata.eta.into(),
            spill: metadata.spill,
            storage: metadata.storage,
            rough: metadata.rough,
            package: metadata.package.filter(Package::is_sound),
        };
        let mut segments = Vec::with_capacity(metadata.segments.len());
        let mut base = 0u32;
        for (number, text) in metadata.segments.iter().enumerate() {
            let segment = Segment::open(container, &shared, number, *text, base)?;
            let end = u32::try_from(text.positions).ok().and_then(|positions| base.checked_add(positions));
            base = end.ok_or_else(|| wrong(container, "metadata", "more positions than 32 bits count"))?;
            segments.push(segment);
        }
        let columns = metadata::Metadata::open(container, &metadata.columns)?;
        Ok(Self { shared, segments, defaults: metadata.defaults, metadata: columns })
    }
}

impl Books {
    fn save(&self, writer: &mut ContainerWriter, dim: usize) -> Result<(), ContainerError> {
        if let Some(grid) = &self.grid {
            return writer.section("grid", &[2, dim], &[grid.lowest.as_slice(), &grid.steps].concat());
        }
        match self.byte_words.as_flattened() {
            [] => writer.section("words", &[dim, WORDS], self.words.as_flattened())?,
            words => writer.section("words", &[dim, BYTE_WORDS], words)?,
        }
        let ends: Vec<u32> = self.ends.iter().map(|&end| end as u32).collect();
        writer.section("ends", &[ends.len()], &ends)
    }

    fn open(container: &Arc<Container>, dim: usize, metadata: &Metadata) -> Result<Self, OpenError> {
        if metadata.codes == Codes::Sq8 {
            let grid: Column<f32> = column(container, "grid", &[2, dim])?;
            if dim > MOST_ELEMENTS {
                let reason = format!("{dim} elements, at most {MOST_ELEMENTS} can have a byte each");
                return Err(wrong(container, "grid", reason));
            }
            let (lowest, steps) = grid.split_at(dim);
            let sound = |(low, step): (&f32, &f32)| low.is_finite() && step.is_finite() && *step >= 0.0;
            if let Some(element) = lowest.iter().zip(steps).position(|pair| !sound(pair)) {
                let reason = format!(
                    "element {element} begins at {} with steps of {}",
                    lowest[element], steps[element]
                );
                return Err(wrong(container, "grid", reason));
            }
            return Ok(Self::of_grid(Grid::new(lowest.to_vec(), steps.to_vec())));
        }
        let of_bytes = container.section("words")?.shape.last() == Some(&BYTE_WORDS);
        let number = if of_bytes { BYTE_WORDS } else { WORDS };
        let words: Column<f32> = column(container, "words", &[dim, number])?;
        let ends: Column<u32> = Column::open(container, "ends")?;
        let rising = ends.iter().zip(ends.iter().skip(1)).all(|(a, b)| a < b);
        if !rising || ends.first().is_none_or(|end| *end == 0) || ends.last() != Some(&(dim as u32)) {
            return Err(wrong(container, "ends", format!("blocks do not divide {dim} elements")));
        }
        Ok(Self {
            ends: ends.iter().map(|&end| end as usize).collect(),
            words: if of_bytes { Vec::new() } else { words.as_chunks::<WORDS>().0.to_vec() },
            cut: metadata.cut,
            byte_words: if of_bytes { words.as_chunks::<BYTE_WORDS>().0.to_vec() } else { Vec::new() },
            grid: None,
        })
    }
}

impl Segment {
    fn save(&self, writer: &mut ContainerWriter, number: usize, dim: usize) -> Result<(), ContainerError> {
        let name = |section: &str| format!("{number}.{section}");
        writer.section(&name("codes"), &[self.codes.len()], &self.codes)?;
        writer.section(&name("firsts"), &[self.firsts.len()], &self.firsts)?;
        writer.section(&name("units"), &[self.units.len()], &self.units)?;
        if let Some(members) = &self.members {
            writer.section(&name("members"), &[members.len()], members)?;
        }
        for (section, values) in [("halves", &self.halves), ("bias", &self.bias)] {
            if let Some(values) = values {
                writer.section(&name(section), &[values.len()], values)?;
            }
        }
        self.rows.save(writer, &name("rows"), dim)?;
        self.ids.save(writer, &name("ids"))?;
        let deleted: Vec<u32> = self.deleted.rows().collect();
        writer.section(&name("deleted"), &[deleted.len()], &deleted)
    }

    fn open(
        container: &Arc<Container>,
        shared: &Shared,
        number: usize,
        text: SegmentText,
        base: u32,
    ) -> Result<Self, OpenError> {
        let name = |section: &str| format!("{number}.{section}");
        let partitions = shared.centers.count();
        let firsts: Column<u32> = column(container, &name("firsts"), &[partitions + 1])?;
        let units: Column<u32> = column(container, &name("units"), &[partitions + 1])?;
        let mut unit = 0;
        for (i, pair) in firsts.windows(2).enumerate() {
            if pair[0] > pair[1] {
                return Err(wrong(
                    container,
                    &name("firsts"),
                    format!("partition {i} ends before it begins"),
                ));
            }
            if units[i] != unit {
                return Err(wrong(container, &name("units"), format!("partition {i} begins elsewhere")));
            }
            unit += (pair[1] - pair[0]).div_ceil(UNIT as u32);
        }
        let ends = (firsts[0], firsts[partitions] as usize, units[partitions]);
        if ends != (0, text.positions, unit) || (!text.members && text.rows != text.positions) {
            let reason = format!("partitions do not hold the {} positions", text.positions);
            return Err(wrong(container, &name("firsts"), reason));
        }
        let bytes = unit as usize * shared.books.layout().unit_bytes();
        let optional = |section: &str, there: bool, count: usize| {
            there.then(|| column::<f32>(container, &name(section), &[count])).transpose()
        };
        let members = match text.members {
            true => Some(column::<u32>(container, &name("members"), &[text.positions])?),
            false => None,
        };
        let deleted: Column<u32> = Column::open(container, &name("deleted"))?;
        for (section, listed) in [("members", members.as_ref()), ("deleted", Some(&deleted))] {
            if let Some(row) = listed.and_then(|rows| rows.iter().find(|row| **row as usize >= text.rows)) {
                let reason = format!("row {row} is not one of {}", text.rows);
                return Err(wrong(container, &name(section), reason));
            }
        }
        let ids = Ids::open(container, &name("ids"))?;
        if ids.count() != text.rows {
            let reason = format!("{} ids for {} rows", ids.count(), text.rows);
            return Err(wrong(container, &name("ids"), reason));
        }
        Ok(Self {
            codes: column(container, &name("codes"), &[bytes])?,
            firsts,
            units,
            members,
            halves: optional("halves", text.halves, text.rows)?,
            bias: optional("bias", text.bias, text.positions)?,
            rows: Stored::open(container, &name("rows"), shared.storage, [text.rows, shared.centers.dim])?,
            ids,
            deleted: deleted.iter().copied().collect(),
            base,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BuildConfig, Rows};
    use super::*;

    #[test]
    fn grids_that_no_vectors_make_are_refused() {
        let data: Vec<f32> = (0..60).map(|i| ((i * 37 % 101) as f32).sin()).collect();
        let config = BuildConfig { codes: Codes::Sq8, partitions: Some(2), ..BuildConfig::default() };
        let index = Index::build(Rows::new("rows", &data, 6).unwrap(), None, &config).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forged.index");
        let open = |change: &dyn Fn(&mut Grid)| {
            let mut index = index.clone();
            change(index.shared.books.grid.as_mut().unwrap());
            index.save(&path).unwrap();
            Index::open_verified(&path).map_err(|error| error.to_string())
        };
        assert_eq!(open(&|_| ()).unwrap().coding(), "sq8");
        for (change, said) in [
            (&(|grid: &mut Grid| grid.steps[3] = f32::NAN) as &dyn Fn(&mut Grid), "element 3"),
            (&|grid: &mut Grid| grid.steps[1] = -1.0, "element 1"),
            (&|grid: &mut Grid| grid.lowest[0] = f32::INFINITY, "element 0"),
        ] {
            let refused = open(change).unwrap_err();
            assert!(refused.contains("`grid`") && refused.contains(said), "{refused}");
        }
    }
}

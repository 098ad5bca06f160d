//! Files of the search benchmark [ANN-Benchmarks](https://ann-benchmarks.com): vectors, queries, true neighbours.
//!
//! An HDF5 file with `train` `[N, D]`, `test` `[Q, D]`, `neighbors` `[Q, K]` (rows of `train`, nearest first),
//! `distances` `[Q, K]`, and the attribute `distance`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use hdf5_pure::{AttrValue, FileBuilder};
use ocelli_method::Data;

use super::hdf5::{self, Hdf5};
use super::set::VectorSet;
use crate::error::DataError;

/// How a benchmark measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// 1 − cosine.
    Angular,
    /// The Euclidean distance (not squared).
    Euclidean,
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Angular => "angular",
            Self::Euclidean => "euclidean",
        })
    }
}

impl FromStr for Distance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "angular" => Ok(Self::Angular),
            "euclidean" => Ok(Self::Euclidean),
            other => Err(format!("distance `{other}` is not supported; angular and euclidean are")),
        }
    }
}

/// A benchmark: what is searched, what for, and what should be found.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnBenchmark {
    /// How distances are measured.
    pub distance: Distance,
    /// What is searched, `[N, D]`.
    pub train: VectorSet,
    /// What is searched for, `[Q, D]`.
    pub test: VectorSet,
    /// True neighbours of each query, `K`.
    pub k: usize,
    /// Rows of `train`, nearest first, `[Q, K]`.
    pub neighbors: Vec<u32>,
    /// Their distances, `[Q, K]`; a few files lack them.
    pub distances: Option<Vec<f32>>,
}

impl AnnBenchmark {
    /// Reads a file.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Content`] when a part is missing, damaged or does not fit the others.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::from_hdf5(&Hdf5::open(path)?)
    }

    /// Takes the benchmark out of an open file.
    ///
    /// # Errors
    /// As [`AnnBenchmark::read`].
    pub fn from_hdf5(file: &Hdf5) -> Result<Self, DataError> {
        let distance = file.text_attribute("distance")?;
        let distance = distance.ok_or_else(|| file.fail("the attribute `distance` is missing".into()))?;
        let distance = distance.parse().map_err(|reason| file.fail(reason))?;
        let (train, test) = (file.features("train")?, file.features("test")?);
        let neighbors = file.read("neighbors")?;
        let [_, k] = neighbors.dims::<2>().map_err(|e| file.fail(format!("dataset `neighbors`: {e}")))?;
        let shape = neighbors.shape().to_owned();
        let Data::I64(rows) = neighbors.into_parts().1 else {
            return Err(file.fail("dataset `neighbors`: whole numbers expected".into()));
        };
        let rows: Result<Vec<u32>, i64> = rows.into_iter().map(|r| u32::try_from(r).map_err(|_| r)).collect();
        let neighbors =
            rows.map_err(|r| file.fail(format!("dataset `neighbors`: {r} is no row of `train`")))?;
        let distances = match file.contains("distances") {
            false => None,
            true => {
                let array = file.read("distances")?;
                if array.shape() != shape {
                    let found = array.shape();
                    return Err(file.fail(format!("`distances` are {found:?}, `neighbors` {shape:?}")));
                }
                VectorSet::from_array(array).map(|set| Some(set.rows)).map_err(|reason| file.fail(reason))?
            }
        };
        let benchmark = Self { distance, train, test, k, neighbors, distances };
        benchmark.check().map_err(|reason| file.fail(reason))?;
        Ok(benchmark)
    }

    /// Whether the parts fit each other.
    fn check(&self) -> Result<(), String> {
        self.train.check().map_err(|e| format!("`train`: {e}"))?;
        self.test.check().map_err(|e| format!("`test`: {e}"))?;
        if self.train.dim != self.test.dim {
            return Err(format!("`train` has dimension {}, `test` {}", self.train.dim, self.test.dim));
        }
        let wanted = self.test.len().checked_mul(self.k).filter(|n| *n > 0);
        if wanted != Some(self.neighbors.len()) {
            let (n, q, k) = (self.neighbors.len(), self.test.len(), self.k);
            return Err(format!("`neighbors` are {n} in all, where {q} queries have {k} each"));
        }
        if let Some(at) = self.neighbors.iter().position(|r| *r as usize >= self.train.len()) {
            let (query, rank, row) = (at / self.k, at % self.k, self.neighbors[at]);
            return Err(format!("`neighbors`: {row} (query {query}, rank {rank}) is no row of `train`"));
        }
        let distances = self.distances.as_deref().unwrap_or_default();
        if self.distances.is_some() && distances.len() != self.neighbors.len() {
            return Err(format!("{} `distances` for {} `neighbors`", distances.len(), self.neighbors.len()));
        }
        match distances.iter().position(|d| !d.is_finite()) {
            Some(at) => {
                Err(format!("`distances`: {} (query {}, rank {})", distances[at], at / self.k, at % self.k))
            }
            None => Ok(()),
        }
    }

    /// Writes a file as the benchmark's own scripts do; ids and metadata of the vectors have no place in it.
    ///
    /// # Errors
    /// [`DataError::Content`] when the parts do not fit each other; [`DataError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        let fail = |reason: String| DataError::content(path, reason);
        self.check().map_err(fail)?;
        let rows: Result<Vec<i32>, _> = self.neighbors.iter().map(|r| i32::try_from(*r)).collect();
        let rows = rows.map_err(|_| fail("rows beyond 31 bits cannot be written".into()))?;
        // Of variable length: Python gets text of fixed length as bytes, in which no distance is called so.
        let text = |text: &str| AttrValue::VarLenString(text.to_owned());
        let mut builder = FileBuilder::new();
        builder.set_attr("type", text("dense"));
        builder.set_attr("distance", text(&self.distance.to_string()));
        builder.set_attr("dimension", AttrValue::I64(self.train.dim as i64));
        builder.set_attr("point_type", text("float"));
        for (name, set) in [("train", &self.train), ("test", &self.test)] {
            let shape = [set.len() as u64, set.dim as u64];
            builder.create_dataset(name).with_f32_data(&set.rows).with_shape(&shape);
        }
        let shape = [self.test.len() as u64, self.k as u64];
        builder.create_dataset("neighbors").with_i32_data(&rows).with_shape(&shape);
        if let Some(distances) = &self.distances {
            builder.create_dataset("distances").with_f32_data(distances).with_shape(&shape);
        }
        hdf5::save(path, builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> AnnBenchmark {
        AnnBenchmark {
            distance: Distance::Euclidean,
            train: VectorSet::new(2, vec![0.0, 0.0, 3.0, 4.0, 6.0, 8.0]),
            test: VectorSet::new(2, vec![0.0, 0.0]),
            k: 2,
            neighbors: vec![0, 1],
            distances: Some(vec![0.0, 5.0]),
        }
    }

    #[test]
    fn a_benchmark_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.hdf5");
        for distances in [Some(vec![0.0, 5.0]), None] {
            let benchmark = AnnBenchmark { distances, ..small() };
            benchmark.write(&path).unwrap();
            assert_eq!(AnnBenchmark::read(&path).unwrap(), benchmark);
        }
        // As a plain set of vectors it is what is searched.
        let set = super::super::read(&path, &Default::default()).unwrap();
        assert_eq!(set, small().train);
    }

    #[test]
    fn parts_that_do_not_fit_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.hdf5");
        let nan = Some(vec![0.0, f32::NAN]);
        for (wrong, words) in [
            (AnnBenchmark { neighbors: vec![0, 3], ..small() }, "3 (query 0, rank 1) is no row of `train`"),
            (AnnBenchmark { neighbors: vec![0], ..small() }, "1 in all, where 1 queries have 2"),
            (AnnBenchmark { k: 0, neighbors: vec![], distances: None, ..small() }, "0 in all"),
            (AnnBenchmark { test: VectorSet::new(1, vec![0.0]), ..small() }, "dimension 2, `test` 1"),
            (AnnBenchmark { distances: nan, ..small() }, "`distances`: NaN (query 0, rank 1)"),
            (AnnBenchmark { distances: Some(vec![]), ..small() }, "0 `distances` for 2 `neighbors`"),
        ] {
            let message = wrong.write(&path).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
        assert!("hamming".parse::<Distance>().unwrap_err().contains("hamming"));
        let array = ocelli_method::Array::f32([1, 2], vec![0.0; 2]).unwrap();
        for (attribute, words) in
            [(("distance", "jaccard"), "jaccard"), (("type", "x"), "attribute `distance` is missing")]
        {
            hdf5::write(&path, &[("train", &array)], &[attribute]).unwrap();
            let message = AnnBenchmark::read(&path).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
        hdf5::write(&path, &[("train", &array)], &[("distance", "angular")]).unwrap();
        assert!(AnnBenchmark::read(&path).unwrap_err().to_string().contains("`test`"));
    }
}

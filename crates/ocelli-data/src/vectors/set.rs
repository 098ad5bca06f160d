//! What all formats are read into: rows, ids, metadata.

use ocelli_method::{Array, Data};

use super::ids::Ids;

/// Rows of single precision, perhaps with an id and further values for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorSet {
    /// Elements in a row, `D`.
    pub dim: usize,
    /// `[N, D]`, row-major.
    pub rows: Vec<f32>,
    /// An id for each row.
    pub ids: Option<Ids>,
    /// What else is known of the rows, in the file's order of columns.
    pub metadata: Vec<Column>,
}

/// A column of metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name in the file.
    pub name: String,
    /// A value, or none, for each row.
    pub values: Values,
}

/// The values of a column; an absent one is `None`.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Whole numbers; booleans are 0 and 1.
    Integers(Vec<Option<i64>>),
    /// Other numbers.
    Numbers(Vec<Option<f64>>),
    /// Text.
    Texts(Vec<Option<String>>),
}

impl Values {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(v) => v.len(),
            Self::Numbers(v) => v.len(),
            Self::Texts(v) => v.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row's value as text: empty where there is none.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn text(&self, row: usize) -> String {
        match self {
            Self::Integers(v) => v[row].map(|x| x.to_string()),
            Self::Numbers(v) => v[row].map(|x| x.to_string()),
            Self::Texts(v) => v[row].clone(),
        }
        .unwrap_or_default()
    }

    fn into_texts(self) -> Vec<Option<String>> {
        match self {
            Self::Integers(v) => v.into_iter().map(|v| v.map(|x| x.to_string())).collect(),
            Self::Numbers(v) => v.into_iter().map(|v| v.map(|x| x.to_string())).collect(),
            Self::Texts(v) => v,
        }
    }
}

impl VectorSet {
    /// Rows alone.
    pub fn new(dim: usize, rows: Vec<f32>) -> Self {
        Self { dim, rows, ids: None, metadata: Vec::new() }
    }

    /// The number of rows, `N`.
    pub fn len(&self) -> usize {
        self.rows.len().checked_div(self.dim).unwrap_or(0)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.dim..][..self.dim]
    }

    /// The metadata column of this name.
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.metadata.iter().find(|c| c.name == name).map(|c| &c.values)
    }

    /// Appends rows of the same dimension and the same columns. Ids that are numbers here and names there become names,
    /// values of different types text.
    pub(super) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.ids = match (self.ids.take(), other.ids) {
            (Some(Ids::Numbers(mut a)), Some(Ids::Numbers(b))) => {
                a.extend(b);
                Some(Ids::Numbers(a))
            }
            (Some(a), Some(b)) => {
                let mut names = a.into_names();
                names.extend(b.into_names());
                Some(Ids::Names(names))
            }
            _ => None,
        };
        for (column, other) in self.metadata.iter_mut().zip(other.metadata) {
            match (&mut column.values, other.values) {
                (Values::Integers(a), Values::Integers(b)) => a.extend(b),
                (Values::Numbers(a), Values::Numbers(b)) => a.extend(b),
                (Values::Texts(a), b) => a.extend(b.into_texts()),
                (a, b) => {
                    let mut texts = std::mem::replace(a, Values::Texts(Vec::new())).into_texts();
                    texts.extend(b.into_texts());
                    *a = Values::Texts(texts);
                }
            }
        }
    }

    /// Holds the set against what [`super::read`] promises: a row at least, rows of one length, finite values, as many
    /// ids and metadata as rows. Equal ids are no matter here; see [`Ids::duplicate`].
    ///
    /// # Errors
    /// In words, what is wrong; rows and columns are counted from 0.
    pub fn check(&self) -> Result<(), String> {
        if self.dim == 0 {
            return Err("vectors of dimension 0 hold nothing".into());
        }
        if !self.rows.len().is_multiple_of(self.dim) {
            return Err(format!("{} values are no whole number of rows of {}", self.rows.len(), self.dim));
        }
        if self.is_empty() {
            return Err("there is no vector".into());
        }
        if let Some(at) = self.rows.iter().position(|v| !v.is_finite()) {
            let (row, column, value) = (at / self.dim, at % self.dim, self.rows[at]);
            return Err(format!(
                "row {row}, column {column} (counted from 0) is {value} in single precision"
            ));
        }
        let ids = self.ids.iter().map(|ids| ("ids", ids.len()));
        let columns = self.metadata.iter().map(|c| (c.name.as_str(), c.values.len()));
        match ids.chain(columns).find(|(_, n)| *n != self.len()) {
            Some((name, n)) => Err(format!("{} rows, but {n} values of `{name}`", self.len())),
            None => Ok(()),
        }
    }

    /// The rows of an array `[N, D]`; numbers of other types are rounded to single precision.
    pub(super) fn from_array(array: Array) -> Result<Self, String> {
        let [_, dim] = array.dims::<2>().map_err(|e| format!("an array of rows and columns: {e}"))?;
        let rows = match array.into_parts().1 {
            Data::F32(v) => v,
            Data::F64(v) => v.into_iter().map(|x| x as f32).collect(),
            Data::I64(v) => v.into_iter().map(|x| x as f32).collect(),
            Data::U8(v) => v.into_iter().map(f32::from).collect(),
        };
        Ok(Self::new(dim, rows))
    }

    /// The array `[N, D]` of the rows.
    pub(super) fn to_array(&self) -> Result<Array, String> {
        Array::f32([self.len(), self.dim], self.rows.clone()).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let good = VectorSet::new(2, vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(good.check(), Ok(()));
        let wrong = |set: VectorSet, words: &str| {
            let message = set.check().unwrap_err();
            assert!(message.contains(words), "{message}");
        };
        wrong(VectorSet::default(), "dimension 0");
        wrong(VectorSet::new(2, vec![]), "no vector");
        wrong(VectorSet::new(2, vec![1.0; 3]), "no whole number of rows");
        wrong(VectorSet::new(2, vec![1.0, 2.0, 3.0, f32::NAN]), "row 1, column 1 (counted from 0) is NaN");
        wrong(VectorSet::new(2, vec![1.0, f32::NEG_INFINITY]), "row 0, column 1 (counted from 0) is -inf");
        wrong(
            VectorSet { ids: Some(Ids::Numbers(vec![1])), ..good.clone() },
            "2 rows, but 1 values of `ids`",
        );
        let column = Column { name: "year".into(), values: Values::Integers(vec![Some(1), None, None]) };
        wrong(VectorSet { metadata: vec![column], ..good }, "2 rows, but 3 values of `year`");
    }

    #[test]
    fn arrays_of_all_types_become_rows() {
        for data in [Data::U8(vec![1, 2]), Data::I64(vec![1, 2]), Data::F64(vec![1.0, 2.0])] {
            let set = VectorSet::from_array(Array::new([1, 2], data).unwrap()).unwrap();
            assert_eq!(set, VectorSet::new(2, vec![1.0, 2.0]));
        }
        assert!(VectorSet::from_array(Array::vector([1.0])).is_err());
        // What does not fit into single precision is infinite, and refused as such.
        let large = VectorSet::from_array(Array::f64([1, 1], vec![1e300]).unwrap()).unwrap();
        assert!(large.check().unwrap_err().contains("is inf"));
    }
}

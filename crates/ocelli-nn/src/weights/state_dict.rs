//! Named arrays in the order of their file.

use std::collections::HashMap;

use ocelli_method::{Array, Data};
use thiserror::Error;

/// The weights and buffers of a network: an insertion-ordered map from names to arrays.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    entries: Vec<(String, Array)>,
    /// Name to place in `entries`; looked up, never iterated.
    places: HashMap<String, usize>,
}

/// A name that is already taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("two tensors are named `{0}`")]
pub struct DuplicateName(pub String);

/// The numbers of one tensor that are not finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// Name of the tensor.
    pub name: String,
    /// How many elements are not a number.
    pub nan: usize,
    /// How many elements are infinite.
    pub infinite: usize,
}

impl StateDict {
    /// An empty state dict.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an array.
    ///
    /// # Errors
    /// [`DuplicateName`] when the name is taken; nothing changes then.
    pub fn insert(&mut self, name: impl Into<String>, array: Array) -> Result<(), DuplicateName> {
        let name = name.into();
        if self.places.contains_key(&name) {
            return Err(DuplicateName(name));
        }
        self.places.insert(name.clone(), self.entries.len());
        self.entries.push((name, array));
        Ok(())
    }

    /// The array of that name.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.places.get(name).map(|&place| &self.entries[place].1)
    }

    /// Whether there is an array of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Number of arrays.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no array.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of elements of all arrays together.
    pub fn elements(&self) -> usize {
        self.entries.iter().map(|(_, array)| array.len()).sum()
    }

    /// Names and arrays, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Array)> {
        self.entries.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// Names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Builds a state dict from pairs, in their order.
    ///
    /// # Errors
    /// [`DuplicateName`] when a name comes twice.
    pub fn from_pairs<N: Into<String>>(
        pairs: impl IntoIterator<Item = (N, Array)>,
    ) -> Result<Self, DuplicateName> {
        let mut state = Self::new();
        for (name, array) in pairs {
            state.insert(name, array)?;
        }
        Ok(state)
    }

    /// Floating-point tensors that hold numbers which are not finite, in order.
    ///
    /// Readers let such numbers through, because a checkpoint may be asked for for its other tensors; whoever trains
    /// or predicts with them should say so.
    pub fn non_finite(&self) -> Vec<NonFinite> {
        self.iter().filter_map(|(name, array)| non_finite(name, array.data())).collect()
    }
}

/// Counts what is not finite; `None` where all is.
fn non_finite(name: &str, data: &Data) -> Option<NonFinite> {
    let (nan, infinite) = match data {
        Data::F32(v) => {
            (v.iter().filter(|x| x.is_nan()).count(), v.iter().filter(|x| x.is_infinite()).count())
        }
        Data::F64(v) => {
            (v.iter().filter(|x| x.is_nan()).count(), v.iter().filter(|x| x.is_infinite()).count())
        }
        Data::I64(_) | Data::U8(_) => (0, 0),
    };
    (nan + infinite > 0).then(|| NonFinite { name: name.to_owned(), nan, infinite })
}

impl PartialEq for StateDict {
    /// Equal names and arrays in equal order.
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Array);
    type IntoIter = std::vec::IntoIter<(String, Array)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_refuses_duplicates() {
        let mut state = StateDict::new();
        for name in ["z", "a", "m"] {
            state.insert(name, Array::vector([1.0])).unwrap();
        }
        assert_eq!(state.insert("a", Array::vector([2.0])), Err(DuplicateName("a".into())));
        assert_eq!(state.names().collect::<Vec<_>>(), ["z", "a", "m"]);
        assert_eq!(state.get("a"), Some(&Array::vector([1.0])));
        assert_eq!(state.get("b"), None);
        assert_eq!(state.elements(), 3);
    }

    #[test]
    fn counts_what_is_not_finite() {
        let state = StateDict::from_pairs([
            ("fine", Array::vector([1.0, -1.0])),
            ("bad", Array::vector([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0])),
            ("count", Array::integers([1])),
            ("double", Array::vector_f64([f64::NAN])),
        ])
        .unwrap();
        assert_eq!(
            state.non_finite(),
            [
                NonFinite { name: "bad".into(), nan: 1, infinite: 2 },
                NonFinite { name: "double".into(), nan: 1, infinite: 0 }
            ]
        );
    }
}

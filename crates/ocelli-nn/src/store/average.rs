//! Networks that follow another one: moving averages of stores.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::{Entry, Role, Store, StoreError};

/// A store's own entry and that of another store.
type Pair = (Arc<Entry>, Arc<Entry>);

impl Store {
    /// Moves every value towards that of the same place in `other`: `own <- momentum · own + (1 - momentum) · other`.
    ///
    /// Buffers are copied: an average of running statistics is none. Both stores must hold the same network.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Shape`] when the networks differ.
    pub fn average_from(&self, other: &Store, momentum: f64) -> Result<(), StoreError> {
        for (own, from) in self.paired(other)? {
            own.set(match own.role {
                Role::Buffer => from.plain(),
                _ => own.blend(&from, momentum),
            });
        }
        Ok(())
    }

    /// Moves every parameter as [`Store::average_from`] does and leaves the buffers alone, for a network that keeps
    /// statistics of its own.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Shape`] when the networks differ.
    pub fn average_parameters_from(&self, other: &Store, momentum: f64) -> Result<(), StoreError> {
        for (own, from) in self.paired(other)?.into_iter().filter(|(own, _)| own.role != Role::Buffer) {
            own.set(own.blend(&from, momentum));
        }
        Ok(())
    }

    /// The entries of both stores, place by place.
    fn paired(&self, other: &Store) -> Result<Vec<Pair>, StoreError> {
        let theirs = other.entries();
        let pair = |(i, own): (usize, Arc<Entry>)| {
            let from = theirs.get(i).ok_or_else(|| StoreError::Missing(own.name.clone()))?;
            if from.shape != own.shape {
                let (expected, found) = (own.shape.clone(), from.shape.clone());
                return Err(StoreError::Shape { name: own.name.clone(), expected, found });
            }
            Ok((own, from.clone()))
        };
        self.entries().into_iter().enumerate().map(pair).collect()
    }
}

impl Entry {
    /// `momentum · own + (1 - momentum) · from`, flat.
    fn blend(&self, from: &Entry, momentum: f64) -> Tensor<1> {
        self.plain().mul_scalar(momentum).add(from.plain().mul_scalar(1.0 - momentum))
    }
}

#[cfg(test)]
mod tests {
    use ocelli_method::Array;

    use super::*;
    use crate::{Init, device};

    fn store() -> Store {
        Store::new(&device("cpu").unwrap(), 7)
    }

    #[test]
    fn averaging_moves_parameters_and_copies_buffers() {
        let (a, b) = (store(), store());
        for (s, init) in [(&a, Init::Zeros), (&b, Init::Ones)] {
            s.root().param("w", &[1], init, Role::Kernel);
            s.root().buffer("mean", &[1], init);
        }
        a.average_from(&b, 0.75).unwrap();
        assert_eq!(a.find("w").unwrap().to_array().to_f32(), [0.25]);
        assert_eq!(a.find("mean").unwrap().to_array().to_f32(), [1.0]);
        a.find("mean").unwrap().set_array(&Array::vector([5.0])).unwrap();
        a.average_parameters_from(&b, 0.75).unwrap();
        assert_eq!(a.find("w").unwrap().to_array().to_f32(), [0.4375]);
        assert_eq!(a.find("mean").unwrap().to_array().to_f32(), [5.0], "each keeps its own statistics");
        a.root().param("more", &[1], Init::Zeros, Role::Kernel);
        let more = StoreError::Missing("more".into());
        assert_eq!(a.average_parameters_from(&b, 0.5).unwrap_err(), more);
        assert_eq!(a.find("w").unwrap().to_array().to_f32(), [0.4375], "all or nothing");
    }
}

//! Values that come from elsewhere: all or none of them are put in.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use burn::tensor::Device;
use ocelli_method::{Array, Data};

use super::{Entry, Store, StoreError};

impl Store {
    /// An empty store for a network whose weights are loaded next: kernels ([`Role::Kernel`](super::Role::Kernel)) start
    /// without values, so that nothing is drawn and held for nothing. Until they are loaded they are as if released.
    pub fn for_loading(device: &Device) -> Self {
        Self::make(device, 0, "", true)
    }

    /// Puts values in by name. All of them must exist here with that shape; what is not named keeps its value.
    ///
    /// Nothing is changed when an error is returned.
    ///
    /// # Errors
    /// [`StoreError`] naming the parameter; [`StoreError::Released`] if one would be left without values.
    pub fn load<'a>(&self, state: impl IntoIterator<Item = (&'a str, &'a Array)>) -> Result<(), StoreError> {
        for (entry, array) in self.checked(state)? {
            entry.set_array(array)?;
        }
        Ok(())
    }

    /// Puts values in like [`Store::load`], and gives back each array's memory as its values are taken over.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load_owned(&self, state: impl IntoIterator<Item = (String, Array)>) -> Result<(), StoreError> {
        for (entry, array) in self.checked(state)? {
            match array.into_parts() {
                (_, Data::F32(values)) => entry.set_values(values),
                (shape, data) => entry.set_array(&Array::new(shape, data)?)?,
            }
        }
        Ok(())
    }

    /// Puts values in by name like [`Store::load`], and insists that every parameter is given.
    ///
    /// Counters of batches may be missing: old checkpoints lack them.
    ///
    /// # Errors
    /// [`StoreError`] naming the parameter.
    pub fn load_all(&self, state: &[(String, Array)]) -> Result<(), StoreError> {
        let given: HashSet<&str> = state.iter().map(|(n, _)| n.as_str()).collect();
        let missing = self.entries().into_iter().find(|e| !e.integer && !given.contains(e.name.as_str()));
        if let Some(entry) = missing {
            return Err(StoreError::Missing(entry.name.clone()));
        }
        self.load(state.iter().map(|(n, a)| (n.as_str(), a)))
    }

    /// Arrays with the entries that they fit.
    fn checked<N: AsRef<str>, A: Borrow<Array>>(
        &self,
        state: impl IntoIterator<Item = (N, A)>,
    ) -> Result<Vec<(Arc<Entry>, A)>, StoreError> {
        let entries = self.entries();
        let by_name: HashMap<&str, &Arc<Entry>> = entries.iter().map(|e| (e.name.as_str(), e)).collect();
        let mut given = HashSet::new();
        let mut checked = Vec::new();
        for (name, array) in state {
            let name = name.as_ref();
            let entry = *by_name.get(name).ok_or_else(|| StoreError::Unknown(name.to_owned()))?;
            entry.check(array.borrow())?;
            given.insert(entry.name.as_str());
            checked.push((entry.clone(), array));
        }
        // Half of a network cannot be packed anew.
        match entries.iter().find(|e| e.is_released() && !given.contains(e.name.as_str())) {
            Some(entry) => Err(StoreError::Released(entry.name.clone())),
            None => Ok(checked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Init, Role, device};

    #[test]
    fn values_are_taken_over() {
        let s = Store::for_loading(&device("cpu").unwrap());
        let a = s.root().param("a", &[2], Init::Ones, Role::Kernel);
        let b = s.root().param("b", &[1], Init::Ones, Role::Bias);
        assert!(a.entry().is_released() && !b.entry().is_released());
        let some = [("b".to_owned(), Array::vector([3.0]))];
        assert_eq!(s.load_owned(some.clone()).unwrap_err(), StoreError::Released("a".into()));
        assert_eq!(b.entry().to_array().to_f32(), [1.0], "all or nothing");
        let double = Array::vector_f64([1.0, 2.0]);
        s.load_owned(some.into_iter().chain([("a".to_owned(), double)])).unwrap();
        assert_eq!(a.entry().to_array().to_f32(), [1.0, 2.0]);
        assert_eq!(b.entry().to_array().to_f32(), [3.0]);
        assert!(s.check_held().is_ok());
    }
}

//! Giving values away: what a layer has packed for inference need not be held a second time.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use burn::tensor::Tensor;

use super::{Entry, Param, Store, StoreError};

impl Store {
    /// Whether all parameters have values, so that they can be saved or trained.
    ///
    /// # Errors
    /// [`StoreError::Released`] naming the first that has none.
    pub fn check_held(&self) -> Result<(), StoreError> {
        match self.entries().iter().find(|entry| entry.is_released()) {
            Some(entry) => Err(StoreError::Released(entry.name.clone())),
            None => Ok(()),
        }
    }
}

impl Entry {
    /// Whether it has no values: they were given away in a pass that seals ([`Pass::sealed_in`](crate::Pass::sealed_in)), or
    /// are still to be loaded ([`Store::for_loading`]). Asking for them is a panic that says so.
    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}

impl Param {
    /// Gives the values away, if nobody but this handle and the store holds them; else `None`, and they stay.
    ///
    /// The version stays too: what was derived from the values is still right.
    pub(crate) fn release(&self) -> Option<Vec<f32>> {
        let entry = &self.entry;
        let owners = 1 + usize::from(entry.store.strong_count() > 0);
        if entry.is_released() || self.is_tracked() || Arc::strong_count(entry) > owners {
            return None;
        }
        let mut value = entry.value.write().unwrap_or_else(PoisonError::into_inner);
        let nothing = Tensor::empty([0], &value.device());
        let values = std::mem::replace(&mut *value, nothing);
        entry.released.store(true, Ordering::Release);
        drop(value);
        Some(crate::tensor::values(values))
    }
}

#[cfg(test)]
mod tests {
    use ocelli_method::Array;

    use super::*;
    use crate::{Init, Role, device};

    #[test]
    fn what_is_given_away_cannot_be_read() {
        let store = Store::new(&device("cpu").unwrap(), 0);
        let w = store.root().param("w", &[2], Init::Ones, Role::Kernel);
        let clone = w.clone();
        assert!(w.release().is_none(), "two handles");
        drop(clone);
        store.track();
        assert!(w.release().is_none(), "recorded");
        store.untrack();
        let version = w.entry().version();
        assert_eq!(w.release().unwrap(), [1.0; 2]);
        assert!(w.release().is_none(), "only once");
        assert_eq!(w.entry().version(), version);
        let refusal = "parameter `w` holds no values: they were released when its layer was packed for inference, or \
                       never loaded; load all weights";
        assert_eq!(store.check_held().unwrap_err().to_string(), refusal);
        for work in
            [|s: &Store| drop(s.state()), |s: &Store| s.track(), |s: &Store| drop(s.entries()[0].take())]
        {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&store))).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), refusal);
        }
        store.load([("w", &Array::vector([3.0, 4.0]))]).unwrap();
        assert_eq!(w.entry().to_array().to_f32(), [3.0, 4.0]);
        assert!(store.check_held().is_ok() && w.entry().version() > version);
    }

    #[test]
    fn the_store_may_be_gone() {
        let store = Store::new(&device("cpu").unwrap(), 0);
        let w = store.root().param("w", &[1], Init::Ones, Role::Kernel);
        drop(store);
        let shared = w.clone();
        assert!(w.release().is_none(), "another layer holds it");
        drop(shared);
        assert_eq!(w.release().unwrap(), [1.0]);
    }
}

//! Computing with tracked parameters as constants.

use std::sync::PoisonError;

use super::Store;

impl Store {
    /// Runs `work` with all parameters as constants while recording goes on: what it computes is not walked back. For
    /// passes that only move running statistics.
    pub fn unrecorded<R>(&self, work: impl FnOnce() -> R) -> R {
        let leaf = |entry: &super::Entry| entry.leaf.write().unwrap_or_else(PoisonError::into_inner).take();
        let entries = self.entries();
        let leaves: Vec<_> = entries.iter().map(|entry| leaf(entry)).collect();
        let result = work();
        for (entry, leaf) in entries.iter().zip(leaves) {
            *entry.leaf.write().unwrap_or_else(PoisonError::into_inner) = leaf;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use crate::tensor::values;
    use crate::{Init, Role, Store, device};

    #[test]
    fn what_is_not_recorded_gets_no_gradient() {
        let store = Store::new(&device("cpu").unwrap(), 0);
        let w = store.root().param("w", &[2], Init::Ones, Role::Kernel);
        store.track();
        let recorded = w.value::<1>().mul_scalar(3.0);
        let constant = store.unrecorded(|| w.value::<1>().mul_scalar(4.0));
        assert!(!constant.is_autodiff() && w.value::<1>().is_autodiff());
        let gradients = store.backward(&(recorded + constant).sum());
        assert_eq!(values::<1>(gradients.get("w").unwrap().clone()), [3.0; 2]);
    }
}

//! What fused passes run in place of a layer.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ocelli_kernels::{Activation, ConvParts, PackedConv, Precision};

use crate::pass::Pass;
use crate::store::{Entry, Param};

/// The numbers of a parameter.
pub(super) fn values(param: &Param) -> Vec<f32> {
    crate::tensor::values(param.entry().plain())
}

/// What fused passes run in place of a layer, kept until a parameter that went into it changes. Clones of a layer share
/// it, as they share the parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared(Arc<Mutex<Option<Kept>>>);

#[derive(Debug)]
struct Kept {
    form: Form,
    /// The parameters that went into it, as they were. They are not held: who alone holds one may release it.
    made_of: Vec<(Weak<Entry>, u64)>,
    packed: PackedConv,
}

/// How the parameters of a block are put together.
#[derive(Debug, PartialEq)]
pub(super) struct Form {
    /// Of the filters.
    pub(super) shape: [usize; 4],
    /// Whether there is one before, and after.
    pub(super) norms: [bool; 2],
    /// Without learned slopes.
    pub(super) activation: Activation,
    pub(super) precision: Precision,
}

impl Prepared {
    /// What was kept, if it is made in this form of these parameters as they are now, or else of `parts` with the kernel's
    /// values. `None` while a parameter's gradient is recorded.
    ///
    /// A pass that seals takes the values out of the kernel.
    pub(super) fn get(
        &self,
        kernel: &Param,
        others: &[&Param],
        form: Form,
        pass: &Pass,
        parts: impl FnOnce(&Form, Vec<f32>) -> ConvParts,
    ) -> Option<PackedConv> {
        let params = || [kernel].into_iter().chain(others.iter().copied());
        if params().any(Param::is_tracked) {
            return None;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_of(params(), &form)) {
            if pass.seals() {
                kernel.release();
            }
            return Some(kept.packed.clone());
        }
        // Versions are read before the values: a change between the two is noticed the next time.
        let made_of =
            params().map(|param| (Arc::downgrade(param.entry()), param.entry().version())).collect();
        let weight = if pass.seals() { kernel.release() } else { None };
        let weight = weight.unwrap_or_else(|| values(kernel));
        // What was kept is of no use any more, and would only take memory from what comes.
        *kept = None;
        let packed = PackedConv::new(parts(&form, weight));
        let packed = packed.unwrap_or_else(|error| panic!("cannot fuse a layer: {error}"));
        *kept = Some(Kept { form, made_of, packed: packed.clone() });
        Some(packed)
    }
}

impl Kept {
    fn is_of<'a>(&self, params: impl Iterator<Item = &'a Param>, form: &Form) -> bool {
        let now = params.map(|param| (Arc::as_ptr(param.entry()), param.entry().version()));
        self.form == *form && self.made_of.iter().map(|(entry, version)| (entry.as_ptr(), *version)).eq(now)
    }
}

//! Identities to train on and identities to test on, disjoint.

use ocelli_method::random::stream;
use rand::seq::SliceRandom;

use crate::error::DataError;

/// Identities by number, each in one of the parts, both in rising order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySplit {
    /// Identities to train on.
    pub train: Vec<usize>,
    /// Identities never trained on.
    pub held_out: Vec<usize>,
}

/// Holds out `held_out` of `identities` identities: random ones under a seed, the last ones without.
///
/// # Errors
/// [`DataError::Setting`] when a part would be empty.
pub fn split_identities(
    identities: usize,
    held_out: usize,
    seed: Option<u64>,
) -> Result<IdentitySplit, DataError> {
    if held_out == 0 || held_out >= identities {
        let reason = format!("must leave identities on both sides: {held_out} of {identities}");
        return Err(DataError::setting("held_out", reason));
    }
    let mut order: Vec<usize> = (0..identities).collect();
    if let Some(seed) = seed {
        order.shuffle(&mut stream(seed, "split", 0));
    }
    let mut held_out = order.split_off(identities - held_out);
    order.sort_unstable();
    held_out.sort_unstable();
    Ok(IdentitySplit { train: order, held_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_a_seed_the_last_are_held_out() {
        let split = split_identities(5, 2, None).unwrap();
        assert_eq!((split.train, split.held_out), (vec![0, 1, 2], vec![3, 4]));
        assert!(split_identities(5, 0, None).is_err());
        assert!(split_identities(5, 5, Some(1)).is_err());
    }

    proptest! {
        #[test]
        fn parts_are_disjoint_and_whole(n in 2usize..60, share in 0.0f64..1.0, seed in any::<u64>()) {
            let count = 1 + (share * (n - 2) as f64) as usize;
            let split = split_identities(n, count, Some(seed)).unwrap();
            prop_assert_eq!(split.held_out.len(), count);
            let mut all = [split.train.clone(), split.held_out.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..n).collect::<Vec<_>>());
            prop_assert_eq!(split_identities(n, count, Some(seed)).unwrap(), split);
        }
    }

    #[test]
    fn seeds_differ() {
        let held_out = |seed| split_identities(40, 10, Some(seed)).unwrap().held_out;
        assert_ne!(held_out(1), held_out(2));
    }
}

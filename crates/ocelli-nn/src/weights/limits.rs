//! How much a file may ask for.

use super::error::Problem;

/// Caps on what reading one weight file may take, so that a damaged or hostile file ends in an error and never in a
/// machine without memory.
///
/// The default admits every published checkpoint of tens of gigabytes. What is allocated is also held in proportion to
/// the size of the file, by [`Limits::expansion`].
///
/// ```
/// use ocelli_nn::weights::Limits;
///
/// let careful = Limits { total_bytes: 256 << 20, ..Limits::default() };
/// assert!(careful.total_bytes < Limits::default().total_bytes);
/// ```
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nesting of dictionaries and lists.
    pub depth: usize,
    /// Instructions of one pickle.
    pub opcodes: u64,
    /// Objects of one pickle.
    pub objects: u64,
    /// Bytes of one string or byte string of a pickle.
    pub string_bytes: u64,
    /// Elements of one tensor.
    pub tensor_elements: u64,
    /// Bytes of everything read and decoded in one go.
    pub total_bytes: u64,
    /// Bytes read and decoded for each byte of the file, beyond [`Limits::slack`]. Stored tensors need 3 (half
    /// precision becomes single), tensors under several names more.
    pub expansion: u64,
    /// Bytes that are granted whatever the size of the file.
    pub slack: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            opcodes: 1 << 28,
            objects: 1 << 26,
            string_bytes: 1 << 34,
            tensor_elements: 1 << 34,
            total_bytes: 1 << 37,
            expansion: 16,
            slack: 64 << 20,
        }
    }
}

/// Largest number of dimensions of a tensor (NumPy allows 64).
pub(super) const MAX_DIMS: usize = 64;

impl Limits {
    /// The byte budget of a file of `file_bytes` bytes.
    pub(super) fn budget(&self, file_bytes: u64) -> Budget {
        let granted =
            self.slack.saturating_add(self.expansion.saturating_mul(file_bytes)).min(self.total_bytes);
        Budget { left: granted, granted, file_bytes }
    }
}

/// Bytes that may still be allocated.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: u64,
    granted: u64,
    file_bytes: u64,
}

impl Budget {
    /// A capacity to start with for `bytes` announced bytes: what lies uncompressed in the file cannot be longer than
    /// the file, and what is compressed grows as it arrives.
    pub(super) fn capacity(&self, bytes: u64) -> usize {
        bytes.min(self.file_bytes) as usize
    }

    /// Takes `bytes` from the budget.
    ///
    /// # Errors
    /// [`Problem::TooLarge`] when less is left.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Problem> {
        self.left = self.left.checked_sub(bytes).ok_or(Problem::TooLarge {
            what: "the number of bytes that the tensors decode to",
            limit: self.granted,
        })?;
        Ok(())
    }
}

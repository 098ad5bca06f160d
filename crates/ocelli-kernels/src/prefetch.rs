//! Asking for memory before it is needed: where many streams are read at once, processors do not guess what comes next.

/// Numbers of a cache line.
pub(crate) const LINE: usize = 16;

macro_rules! asking {
    ($(#[$doc:meta])* $name:ident, $hint:ident) => {
        $(#[$doc])*
        #[inline(always)]
        #[allow(unsafe_code)] // an instruction
        pub(crate) fn $name(at: *const f32) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: every x86-64 has the instruction, or does nothing in its place, and it never faults.
            unsafe {
                use std::arch::x86_64::{$hint, _mm_prefetch};
                _mm_prefetch::<$hint>(at.cast());
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = at;
        }
    };
}

asking! {
    /// Asks for the cache line of a number that will be read. Any address will do.
    read, _MM_HINT_T0
}

asking! {
    /// Asks for the cache line of a number that will be read after many others: it is kept out of the first cache, where it
    /// would not last. Any address will do.
    soon, _MM_HINT_T1
}

asking! {
    /// Asks for the cache line of a number that will be written. Any address will do.
    write, _MM_HINT_ET0
}

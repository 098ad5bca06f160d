//! What becomes of freed memory.

/// Asks the system's allocator to keep freed memory instead of handing it back, and returns whether it will.
///
/// A tensor of more than 32 MB is otherwise mapped anew at every operation, and its pages are cleared one fault at a time:
/// on a 51 MB activation, a rectifier then takes several times as long. Call it once, before the first tensor is made. The
/// process holds on to the most memory it ever used. Only the GNU C library on Linux is asked; elsewhere nothing
/// happens.
pub fn retain_freed_memory() -> bool {
    retain()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // a call into the C library
fn retain() -> bool {
    use std::ffi::c_int;

    /// Free memory at the top of the heap beyond which it is handed back (`malloc.h`).
    const TRIM_THRESHOLD: c_int = -1;
    /// How many blocks may be mapped on their own.
    const MAPPED_BLOCKS: c_int = -4;

    // SAFETY: the signature is that of `malloc.h`.
    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
    // SAFETY: `mallopt` takes the allocator's lock, and knows both parameters; it returns 0 if it refuses.
    unsafe { mallopt(MAPPED_BLOCKS, 0) != 0 && mallopt(TRIM_THRESHOLD, c_int::MAX) != 0 }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn retain() -> bool {
    false
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn the_allocator_agrees() {
        assert!(super::retain_freed_memory());
    }
}

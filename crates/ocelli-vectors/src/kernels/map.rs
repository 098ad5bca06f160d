//! A file's bytes without reading them: the one call to the system that Rust cannot vouch for.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps a whole file for reading. The caller sees to it that the file is not empty, and passes the warning on: nobody may
/// shorten or overwrite the file while it is mapped.
///
/// # Errors
/// When the system refuses.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read only, so this program cannot change the bytes behind the slice through it, and the system
    // keeps the file's content alive while it is mapped, also when its name is removed or given to another file. What
    // remains is somebody who changes this very file in place: bytes would change behind a shared slice, and behind a
    // cut file the system ends the program (SIGBUS). No check here could prevent that, since it can happen at any later
    // moment. It does not happen by way of this crate: files are written beside their place and renamed
    // (`ocelli_method::files::AtomicFile`), never in place. All that is read from a map are plain numbers, of which
    // any bytes make a value, and places are checked against lengths that were copied, so changed bytes give wrong
    // results but no access outside the map. The documentation of `Container::open` says so and names
    // `Container::read`, which copies, for files in other hands.
    #[allow(unsafe_code)]
    unsafe {
        Mmap::map(file)
    }
}

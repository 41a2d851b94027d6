//! Pinned maps, opened with as many rights as their file system gives.

use std::path::Path;

use aya::maps::{MapData, MapError};

use crate::kernel::syscall;

/// Opens the map pinned to `path`: to read only where the file system is read-only, so that what is loaded can be
/// shown there.
pub(super) fn open(path: &Path) -> Result<MapData, MapError> {
    match MapData::from_pin(path) {
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::EROFS) =>
        {
            let Ok(fd) = syscall::open_pin_to_read(path) else {
                return Err(MapError::SyscallError(error));
            };
            MapData::from_fd(fd)
        }
        opened => opened,
    }
}

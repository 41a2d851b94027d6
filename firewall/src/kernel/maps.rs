//! Pinned maps, on file systems of any kind.

use std::{io, path::Path};

use aya::maps::{MapData, MapError};

use crate::kernel::syscall;

/// Opens the map pinned to `path`. A read-only file system gives it to read only, and then without its memory
/// (`bpf_map_mmap`, `kernel/bpf/syscall.c`); by its number it is opened as elsewhere.
pub(super) fn open(path: &Path) -> Result<MapData, MapError> {
    match MapData::from_pin(path) {
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::EROFS) =>
        {
            let Ok(fd) = syscall::open_pin_to_read(path) else {
                return Err(MapError::SyscallError(error));
            };
            MapData::from_id(MapData::from_fd(fd)?.info()?.id())
        }
        opened => opened,
    }
}

/// The same; `None` when nothing is pinned there.
pub(super) fn find(path: &Path) -> Result<Option<MapData>, MapError> {
    match open(path) {
        Ok(map) => Ok(Some(map)),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

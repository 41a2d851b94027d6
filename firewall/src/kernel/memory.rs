//! Array maps as memory: `mmap` of an array map's value (`BPF_F_MMAPABLE`, Linux 5.5).

#![expect(unsafe_code, reason = "mapped memory is raw")]

use std::{
    io,
    num::NonZeroUsize,
    os::fd::BorrowedFd,
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
    unistd::{SysconfVar, sysconf},
};

/// Writes `bytes` to the start of the map's value.
///
/// # Errors
///
/// When the kernel does not map the memory, as for a map that is frozen or shorter than `bytes`.
pub(super) fn write(map: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let Some(length) = NonZeroUsize::new(bytes.len()) else {
        return Ok(());
    };
    let mapping = Mapping::new(map, 0, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
    // SAFETY: the mapping is writable and as long as `bytes`, and nothing in this process refers
    // to it.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), mapping.start.as_ptr(), length.get());
    }
    Ok(())
}

/// Copies `length` bytes from `offset` on out of the map's value.
///
/// # Errors
///
/// When the kernel does not map the memory, as when the range leaves the map.
pub(super) fn read(map: BorrowedFd<'_>, offset: usize, length: usize) -> io::Result<Vec<u8>> {
    let page = page_size()?;
    let before = offset % page;
    let Some(mapped) = NonZeroUsize::new(before.saturating_add(length)) else {
        return Ok(Vec::new());
    };
    let mapping = Mapping::new(map, offset - before, mapped, ProtFlags::PROT_READ)?;
    let mut bytes = vec![0; length];
    // SAFETY: the mapping is readable from its start on for `before + length` bytes. It is copied
    // without making a reference to it, since another process could write to it.
    unsafe {
        ptr::copy_nonoverlapping(
            mapping.start.as_ptr().add(before),
            bytes.as_mut_ptr(),
            length,
        );
    }
    Ok(bytes)
}

/// The values of an array map as words, shared with the kernel and with every other process that
/// maps them.
pub(super) struct Words {
    mapping: Mapping,
    count: usize,
}

// SAFETY: the mapping is valid in every thread, and its words are reached as atomics only.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Maps the first `count` words.
    ///
    /// # Errors
    ///
    /// When the kernel does not map the memory, as for a map that is frozen or shorter.
    pub(super) fn map(map: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        let length = count.saturating_mul(size_of::<u64>());
        let length = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let mapping = Mapping::new(map, 0, length, protection)?;
        Ok(Self { mapping, count })
    }

    /// Stores a byte of the words, and nothing beside it.
    pub(super) fn set_byte(&self, index: usize, byte: u8) {
        if index >= self.count * size_of::<u64>() {
            return;
        }
        // SAFETY: the byte lies in the mapping, which is writable and lives as long as `self`. It is reached as an
        // atomic byte, and as a part of an atomic word elsewhere, which the machines do not mind.
        let byte_of_map = unsafe { AtomicU8::from_ptr(self.mapping.start.as_ptr().add(index)) };
        byte_of_map.store(byte, Ordering::Release);
    }

    /// The words.
    pub(super) fn as_slice(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, that many words long, writable, and lives as long
        // as `self`.
        unsafe { slice::from_raw_parts(self.mapping.start.as_ptr().cast(), self.count) }
    }
}

struct Mapping {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

impl Mapping {
    fn new(
        map: BorrowedFd<'_>,
        offset: usize,
        length: NonZeroUsize,
        protection: ProtFlags,
    ) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs no other memory.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, offset) }?;
        Ok(Self {
            start: start.cast(),
            length,
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nothing refers to it any more.
        let unmapped = unsafe { munmap(self.start.cast(), self.length.get()) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can be unmapped");
    }
}

fn page_size() -> io::Result<usize> {
    sysconf(SysconfVar::PAGE_SIZE)?
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| io::ErrorKind::Unsupported.into())
}

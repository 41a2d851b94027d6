//! A pinned number: state for the next process that must become valid at the same moment as other
//! rules come into force.

use std::{os::fd::AsFd as _, path::Path};

use aya::maps::MapData;
use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type};

use crate::kernel::{
    images::ImageError,
    maps, memory,
    pins::{self, PinError},
};

/// The size of a note in bytes.
const LENGTH: usize = size_of::<u64>();

/// A number in a map of its own.
pub(crate) struct Note {
    map: MapData,
}

impl Note {
    /// Makes a note.
    pub(crate) fn create(number: u64) -> Result<Self, ImageError> {
        let definition = aya_obj::Map::new_from_params(
            bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
            size_of::<u32>() as u32,
            LENGTH as u32,
            1,
            BPF_F_MMAPABLE,
        );
        let map =
            MapData::create(definition, "note", None).map_err(|source| ImageError::Create {
                bytes: LENGTH as u32,
                source,
            })?;
        memory::write(map.fd().as_fd(), &number.to_ne_bytes()).map_err(ImageError::Write)?;
        Ok(Self { map })
    }

    /// Reads the note pinned to `path`; `None` when nothing is.
    pub(crate) fn read(path: &Path) -> Result<Option<u64>, ImageError> {
        let Some(map) = maps::find(path).map_err(ImageError::Open)? else {
            return Ok(None);
        };
        let bytes = memory::read(map.fd().as_fd(), 0, LENGTH).map_err(ImageError::Read)?;
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        Ok(Some(u64::from_ne_bytes(bytes)))
    }

    /// Pins the note.
    pub(crate) fn pin(&self, path: &Path) -> Result<(), PinError> {
        pins::pin(self.map.fd().as_fd(), path)
    }
}

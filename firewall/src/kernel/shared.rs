//! Maps that are created once for an instance, pinned, and shared by all its programs.

use std::{os::fd::AsFd as _, path::PathBuf};

use aya::maps::{MapData, MapError};
use aya_obj::generated::bpf_map_type;

use crate::kernel::{
    maps,
    pins::{self, PinError, Pins, Shared},
};

/// Why a map could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    /// The kernel did not make it.
    #[error("no map `{name}` of {entries} elements")]
    Create {
        /// Its name.
        name: &'static str,
        /// The requested number of elements.
        entries: u32,
        /// What the kernel answered.
        source: Box<MapError>,
    },
    /// It could not be pinned.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// Why a map could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the map at `{}` could not be opened", path.display())]
pub(crate) struct OpenError {
    /// Its pin.
    pub(super) path: PathBuf,
    /// What the kernel answered.
    pub(super) source: Box<MapError>,
}

/// The properties of a map.
pub(super) struct Spec {
    pub(super) object: Shared,
    pub(super) kind: bpf_map_type,
    pub(super) key: usize,
    pub(super) value: usize,
    pub(super) entries: u32,
    pub(super) flags: u32,
}

/// Creates and pins maps; returns whether one of them is new. Pinned ones are kept.
pub(super) fn make(pins: &Pins, specs: &[Spec]) -> Result<bool, MakeError> {
    let mut is_new = false;
    for spec in specs {
        is_new |= make_one(pins, spec)?;
    }
    Ok(is_new)
}

fn make_one(pins: &Pins, spec: &Spec) -> Result<bool, MakeError> {
    let path = pins.shared(spec.object);
    if pins::open(&path)?.is_some() {
        return Ok(false);
    }
    let name = spec.object.map();
    let definition = aya_obj::Map::new_from_params(
        spec.kind as u32,
        spec.key as u32,
        spec.value as u32,
        spec.entries,
        spec.flags,
    );
    let made = MapData::create(definition, name, None).map_err(|source| MakeError::Create {
        name,
        entries: spec.entries,
        source: Box::new(source),
    })?;
    pins::pin(made.fd().as_fd(), &path)?;
    Ok(true)
}

/// Opens a map.
pub(super) fn open(pins: &Pins, object: Shared) -> Result<MapData, OpenError> {
    let path = pins.shared(object);
    maps::open(&path).map_err(|source| OpenError {
        path,
        source: Box::new(source),
    })
}

/// Removes the pins of all shared maps.
pub(crate) fn unpin(pins: &Pins) -> Result<(), PinError> {
    Shared::ALL
        .into_iter()
        .try_for_each(|object| pins::unpin(&pins.shared(object)))
}

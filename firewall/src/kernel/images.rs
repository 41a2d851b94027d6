//! Images in the kernel: one map for each, and the array whose element 0 is the image in force.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use aya::maps::{ArrayOfMaps, Map, MapData, MapError};
use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type};
use firewall_ebpf::image::{Header, MAGIC, Memory as _, is_magic};

use crate::kernel::{
    image_size::ImageSize,
    info::{self, InfoError, MapFacts},
    maps, memory,
    pins::{self, PinError},
    syscall,
};

/// The index of the image in force.
const IN_FORCE: u32 = 0;

/// Why an image could not be brought into the kernel or read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// The kernel did not make the map of an image.
    #[error("no map of {bytes} bytes for the image")]
    Create {
        /// The bytes asked for.
        bytes: u32,
        /// What the kernel answered.
        source: MapError,
    },
    /// The kernel did not make the array of images.
    #[error("no array of images")]
    CreateArray(#[source] io::Error),
    /// The image could not be written to its map.
    #[error("the image could not be written to its map")]
    Write(#[source] io::Error),
    /// The image could not be put in force.
    #[error("the image could not be put in force")]
    Switch(#[source] MapError),
    /// The image in force could not be opened.
    #[error("the image in force could not be opened")]
    Open(#[source] MapError),
    /// The image in force could not be read.
    #[error("the image in force could not be read")]
    Read(#[source] io::Error),
    /// An image does not have the layout of this version.
    #[error("the image has another layout: it starts with `{magic:#010x}`")]
    Layout {
        /// The first word.
        magic: u32,
    },
}

impl ImageError {
    /// How to fix it.
    pub(crate) fn help(&self) -> Option<String> {
        let Self::Create {
            source: MapError::CreateError { io_error, .. },
            ..
        } = self
        else {
            return None;
        };
        match io_error.raw_os_error() {
            // `KMALLOC_MAX_SIZE`, on Linux 5.10 (`array_map_alloc_check`, kernel/bpf/arraymap.c).
            Some(libc::E2BIG) => Some(
                "this kernel takes images of at most 4 MiB, about 400,000 addresses; Linux 6.1 and \
                 newer take larger ones"
                    .into(),
            ),
            Some(libc::ENOMEM) => {
                Some("the machine, or the control group, is out of memory".into())
            }
            Some(_) | None => None,
        }
    }
}

/// An image in a map of its own.
pub(crate) struct Image {
    map: MapData,
}

impl Image {
    /// Makes a map of `size`, writes `bytes` to it and forbids later changes.
    pub(crate) fn create(size: ImageSize, bytes: &[u8]) -> Result<Self, ImageError> {
        let definition = aya_obj::Map::new_from_params(
            bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
            size_of::<u32>() as u32,
            size.bytes(),
            1,
            BPF_F_MMAPABLE,
        );
        let map =
            MapData::create(definition, "image", None).map_err(|source| ImageError::Create {
                bytes: size.bytes(),
                source,
            })?;
        memory::write(map.fd().as_fd(), bytes).map_err(ImageError::Write)?;
        syscall::freeze_map(map.fd().as_fd()).map_err(ImageError::Write)?;
        Ok(Self { map })
    }

    /// Opens the image pinned to `path`; `None` when nothing is.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, ImageError> {
        let map = maps::find(path).map_err(ImageError::Open)?;
        Ok(map.map(|map| Self { map }))
    }

    /// Pins the image.
    pub(crate) fn pin(&self, path: &Path) -> Result<(), PinError> {
        pins::pin(self.map.fd().as_fd(), path)
    }

    /// The image's head and its metadata, whatever its layout.
    pub(crate) fn describe(&self) -> Result<Description, ImageError> {
        let map = self.map.fd().as_fd();
        let head = memory::read(map, 0, size_of::<Header>()).map_err(ImageError::Read)?;
        let word = |offset: usize| head.u32(u32::try_from(offset).unwrap_or(u32::MAX));
        let magic = word(std::mem::offset_of!(Header, magic));
        if !is_magic(magic) {
            return Err(ImageError::Layout { magic });
        }
        let metadata = memory::read(
            map,
            word(std::mem::offset_of!(Header, metadata)) as usize,
            word(std::mem::offset_of!(Header, metadata_length)) as usize,
        )
        .map_err(ImageError::Read)?;
        Ok(Description {
            magic,
            length: word(std::mem::offset_of!(Header, length)),
            drops: word(std::mem::offset_of!(Header, drops)),
            drops_out: word(std::mem::offset_of!(Header, drops_out)),
            metadata,
        })
    }

    /// The bytes of the image.
    ///
    /// # Errors
    ///
    /// When it has another layout than those of this version, or cannot be read.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, ImageError> {
        let description = self.describe()?;
        if !description.has_own_layout() {
            let magic = description.magic;
            return Err(ImageError::Layout { magic });
        }
        let length = description.length as usize;
        memory::read(self.map.fd().as_fd(), 0, length).map_err(ImageError::Read)
    }

    /// The map.
    pub(crate) fn facts(&self) -> Result<MapFacts, InfoError> {
        info::map_of(&self.map)
    }

    /// The kernel's number for the map.
    pub(crate) fn id(&self) -> Result<u32, ImageError> {
        Ok(self.map.info().map_err(ImageError::Open)?.id())
    }
}

/// The properties of an image that user space needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    /// The first word.
    magic: u32,
    /// The bytes in use.
    pub(crate) length: u32,
    /// Bit `r` is set when packets in that are classified by reason `r` are dropped.
    pub(crate) drops: u32,
    /// The same for packets out.
    pub(crate) drops_out: u32,
    /// The metadata bytes that the compiler embedded.
    pub(crate) metadata: Vec<u8>,
}

impl Description {
    /// Whether the image has the layout of this version.
    pub(crate) fn has_own_layout(&self) -> bool {
        self.magic == MAGIC
    }
}

/// The array whose element 0 is the image in force.
pub(crate) struct Images {
    map: ArrayOfMaps<MapData, MapData>,
    /// The same map: `ArrayOfMaps` keeps its own descriptor to itself.
    fd: OwnedFd,
}

impl Images {
    /// Makes an array with `image` in force; every later image must have its size.
    pub(crate) fn create(name: &CStr, image: &Image) -> Result<Self, ImageError> {
        let fd = syscall::create_array_of_maps(name, 1, image.map.fd().as_fd())
            .map_err(ImageError::CreateArray)?;
        let mut images = Self::from_map(MapData::from_fd(fd)).map_err(ImageError::Open)?;
        images.put_in_force(image)?;
        Ok(images)
    }

    /// Opens the array pinned to `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, ImageError> {
        Self::from_map(maps::open(path)).map_err(ImageError::Open)
    }

    /// Puts `image` in force for every packet from now on, and waits until no packet is classified
    /// by the previous one: after a change of an array of maps by a system call the kernel waits
    /// for the programs that run (`maybe_wait_bpf_programs`, `kernel/bpf/syscall.c`, Linux 5.0).
    pub(crate) fn put_in_force(&mut self, image: &Image) -> Result<(), ImageError> {
        self.map
            .set(IN_FORCE, &image.map, 0)
            .map_err(ImageError::Switch)
    }

    /// The image in force; `None` when there is none.
    pub(crate) fn in_force(&self) -> Result<Option<Image>, ImageError> {
        loop {
            match self.map.get(&IN_FORCE, 0) {
                Ok(map) => return Ok(Some(Image { map })),
                Err(MapError::KeyNotFound) => return Ok(None),
                // Another image came into force after the number was read, and the map of that
                // number is gone.
                Err(error) if info::is_freed(&error) => {}
                Err(error) => return Err(ImageError::Open(error)),
            }
        }
    }

    /// Removes the image in force.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        match syscall::delete_element(self.fd.as_fd(), IN_FORCE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            answer => answer,
        }
    }

    /// Pins the array.
    pub(crate) fn pin(&self, path: &Path) -> Result<(), PinError> {
        pins::pin(self.fd.as_fd(), path)
    }

    fn from_map(map: Result<MapData, MapError>) -> Result<Self, MapError> {
        let map = map?;
        let fd = map.fd().as_fd().try_clone_to_owned()?;
        let map = ArrayOfMaps::try_from(Map::ArrayOfMaps(map))?;
        Ok(Self { map, fd })
    }
}

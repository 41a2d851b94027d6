//! The loaded generation, read from the pins only, whether or not a daemon runs.

use crate::{
    config::Config,
    error::UserError,
    generation::metadata::{Metadata, MetadataError},
    kernel::{
        host::{self, HostError},
        images::{Description, Image, ImageError, Images},
        pins::{self, PinError, PinnedObject},
    },
};

/// The image in force.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// Its metadata.
    pub(crate) metadata: Metadata,
    /// Its length, and its verdicts for packets that no rule decides.
    pub(crate) description: Description,
    /// The kernel's number for its map.
    pub(crate) image: u32,
}

impl Loaded {
    /// The image in force, which this process holds.
    ///
    /// # Errors
    ///
    /// When the image cannot be read.
    pub(crate) fn held(metadata: &Metadata, image: &Image) -> Result<Self, ImageError> {
        Ok(Self {
            metadata: metadata.clone(),
            description: image.describe()?,
            image: image.id()?,
        })
    }
}

/// Why the loaded generation cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadedError {
    /// Nothing is loaded.
    #[error("nothing is loaded for instance `{0}`")]
    Nothing(String),
    /// The machine does not meet the requirements.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The pins.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Its metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl LoadedError {
    /// Whether a pin cannot be read, which says nothing of the others.
    pub(crate) fn is_of_pins(&self) -> bool {
        match self {
            Self::Pin(_) => true,
            Self::Image(error) => !matches!(error, ImageError::Layout { .. }),
            Self::Nothing(_) | Self::Host(_) | Self::Metadata(_) => false,
        }
    }
}

impl UserError for LoadedError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Nothing(_) => Some(
                "`firewall apply FILE` loads rules; `--instance` names another instance".into(),
            ),
            Self::Host(error) => error.help(),
            Self::Image(ImageError::Layout { .. })
            | Self::Metadata(MetadataError::OtherVersion { .. }) => {
                Some("use the version of this program that loaded it".into())
            }
            Self::Pin(_) | Self::Image(_) | Self::Metadata(_) => None,
        }
    }
}

/// Checks that pins can be opened.
pub(crate) fn require_access(config: &Config) -> Result<(), HostError> {
    host::require_privileges()?;
    host::require_bpffs(&config.bpffs)
}

/// Reads the loaded generation.
pub(crate) fn read(config: &Config) -> Result<Loaded, LoadedError> {
    open(config).map(|(loaded, _)| loaded)
}

/// Reads the loaded generation, with the bytes of its image.
pub(crate) fn read_whole(config: &Config) -> Result<(Loaded, Vec<u8>), LoadedError> {
    let (loaded, image) = open(config)?;
    let bytes = image.bytes()?;
    Ok((loaded, bytes))
}

fn open(config: &Config) -> Result<(Loaded, Image), LoadedError> {
    require_access(config)?;
    let nothing = || LoadedError::Nothing(config.instance.clone());
    let path = config.pins.object(PinnedObject::Images);
    if pins::open_to_read(&path)?.is_none() {
        return Err(nothing());
    }
    let image = Images::open(&path)?.in_force()?.ok_or_else(nothing)?;
    let description = image.describe()?;
    let loaded = Loaded {
        metadata: Metadata::from_bytes(&description.metadata)?,
        description,
        image: image.id()?,
    };
    Ok((loaded, image))
}

//! Why bans cannot be changed or shown.

use std::io;

use crate::{
    error::UserError,
    interfaces::list::ListError,
    kernel::bans::BanMapsError,
    text::format::{counted, grouped},
};

/// Why bans cannot be changed or shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BansError {
    /// Some bans or removals were refused; these are printed.
    #[error("{} of {} refused", grouped(*.refused), grouped(*.all))]
    Refused {
        /// The number of refused ones.
        refused: u64,
        /// The number requested.
        all: u64,
    },
    /// The input cannot be read.
    #[error("cannot read stdin")]
    Input(#[source] io::Error),
    /// The addresses of this machine cannot be listed.
    #[error("the addresses of this machine cannot be listed")]
    Addresses(#[source] nix::Error),
    /// The gateways of this machine cannot be listed.
    #[error("the gateways of this machine cannot be listed")]
    Gateways(#[source] ListError),
    /// The input of `--replace` has far fewer bans than there are.
    #[error(
        "the input has {} for `{source_name}`, which has {} now",
        counted(usize::try_from(*.after).unwrap_or(usize::MAX), "ban"),
        grouped(*.before)
    )]
    Shrinks {
        /// The reason.
        source_name: String,
        /// The number of its bans.
        before: u64,
        /// The number of bans in the input.
        after: u64,
    },
    /// The maps.
    #[error(transparent)]
    Maps(#[from] BanMapsError),
}

impl UserError for BansError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Maps(error) => error.help(),
            Self::Shrinks { .. } => {
                Some("the input may be cut off: `--force` replaces the bans by it".into())
            }
            Self::Refused { .. } | Self::Input(_) | Self::Addresses(_) | Self::Gateways(_) => None,
        }
    }
}

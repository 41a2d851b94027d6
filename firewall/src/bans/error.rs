//! Why bans cannot be changed or shown.

use std::io;

use crate::{error::UserError, kernel::bans::BanMapsError, text::format::grouped};

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
    /// The maps.
    #[error(transparent)]
    Maps(#[from] BanMapsError),
}

impl UserError for BansError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Maps(error) => error.help(),
            Self::Refused { .. } | Self::Input(_) | Self::Addresses(_) => None,
        }
    }
}

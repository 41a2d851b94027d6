//! Why bans cannot be changed or shown.

use std::io;

use crate::{error::UserError, kernel::bans::BanMapsError, text::format::grouped};

/// Why bans cannot be changed or shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BansError {
    /// Not all that was asked for was done; what was not is printed.
    #[error("{} of {} refused", grouped(*.refused), grouped(*.all))]
    Refused {
        /// How many were not.
        refused: u64,
        /// How many were asked for.
        all: u64,
    },
    /// The input cannot be read.
    #[error("cannot read stdin")]
    Input(#[source] io::Error),
    /// The addresses of this machine are unknown.
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

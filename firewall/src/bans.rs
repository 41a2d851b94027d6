//! Bans: sources whose packets are dropped before any rule is asked, for a time or for good.
//!
//! They lie in maps that outlive programs, rules and the daemon ([`firewall_ebpf::bans`] says how).
//! The daemon alone writes them ([`register`]), asked over the control socket ([`desk`]); everybody
//! who may read the pins reads them ([`listing`]). The program itself compares the end of a ban with
//! the clock, so that it is over in time whatever became of the daemon.

mod board;
pub(crate) mod command;
pub(crate) mod desk;
mod guard;
mod input;
pub(crate) mod listing;
mod prefix;
mod reasons;
mod register;
mod term;

use std::{fmt, io};

use firewall_ebpf::bans::FILTER_LINES;

use self::{board::filter_lines, term::Term};
use crate::{kernel::bans::BanMapsError, text::grouped};

/// How many bans there can be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxBans(u32);

impl MaxBans {
    /// Without a word about it.
    pub(crate) const DEFAULT: Self = Self(1_000_000);

    /// The most that can be asked for.
    const LARGEST: u32 = 16_000_000;

    /// Reads a number.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if (1..=Self::LARGEST).contains(&number) => Ok(Self(number)),
            Ok(_) | Err(_) => Err(format!(
                "expected a number of bans, from 1 to {}",
                Self::LARGEST
            )),
        }
    }

    /// What a map that exists has room for.
    pub(crate) fn of_map(bans: u32) -> Self {
        Self(bans)
    }

    /// The number.
    pub(crate) fn bans(self) -> u32 {
        self.0
    }

    /// The lines of a board with room for two filters of so many bans.
    pub(crate) fn board_lines(self) -> u32 {
        FILTER_LINES + 2 * filter_lines(self.0)
    }
}

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

impl BansError {
    /// What the user can do.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Maps(error) => error.help(),
            Self::Refused { .. } | Self::Input(_) | Self::Addresses(_) => None,
        }
    }
}

/// Checks the text of a length of time.
pub(crate) fn term_text(text: &str) -> Result<String, String> {
    Term::parse(text).map(|_| text.to_owned())
}

impl fmt::Display for MaxBans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&grouped(self.0.into()))
    }
}

//! What a client may ask for.

use std::os::fd::AsFd as _;

use tokio::net::UnixStream;

use crate::{control::protocol::Request, kernel::peer};

/// What a client may ask for, by the user and the groups that it had when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientRole {
    /// Anything: it is root, or the user of the daemon.
    Orders,
    /// What is loaded, and nothing that changes it: it is a member of the group of readers.
    Reads,
    /// Nothing.
    None,
}

impl ClientRole {
    /// The role of the client at the other end; `readers` is the group of readers.
    pub(super) fn of(stream: &UnixStream, user: u32, group: u32, readers: Option<u32>) -> Self {
        if user == 0 || user == nix::unistd::geteuid().as_raw() {
            return Self::Orders;
        }
        let Some(readers) = readers else {
            return Self::None;
        };
        let is_member = || peer::groups(stream.as_fd()).is_ok_and(|all| all.contains(&readers));
        if group == readers || is_member() {
            Self::Reads
        } else {
            Self::None
        }
    }

    /// Whether it may ask for this.
    pub(super) fn may(self, request: &Request) -> bool {
        match self {
            Self::Orders => true,
            Self::Reads => request.only_reads(),
            Self::None => false,
        }
    }
}

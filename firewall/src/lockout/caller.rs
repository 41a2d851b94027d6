//! The caller of a command: the SSH session in which it runs.

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
};

use procfs::{ProcResult, process::Process};
use serde::{Deserialize, Serialize};

/// The maximum number of ancestors of a process to search.
const ANCESTORS: usize = 64;

/// The SSH session of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Caller {
    /// The far end.
    pub(crate) peer: SocketAddr,
    /// The near end.
    pub(crate) local: SocketAddr,
}

impl Caller {
    /// The session of this process, from its environment or those of its ancestors: `sudo` and `su`
    /// remove it from the environment of their children.
    pub(crate) fn of_this_process() -> Option<Self> {
        let mut process = Process::myself();
        for _ in 0..ANCESTORS {
            let (found, parent) = look(&process.ok()?);
            if found.is_some() {
                return found;
            }
            process = Process::new(parent?);
        }
        None
    }

    /// Parses `SSH_CONNECTION`: address and port of the far end, then of the near one.
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut end = || {
            // The scope of a link-local address is of no use to another process.
            let address = words.next()?.split('%').next()?.parse::<IpAddr>().ok()?;
            let port = words.next()?.parse().ok()?;
            Some(SocketAddr::new(address.to_canonical(), port))
        };
        Some(Self {
            peer: end()?,
            local: end()?,
        })
    }
}

/// The session in the environment of a process, and the ID of its parent; `None` for what cannot be
/// read.
fn look(process: &Process) -> (Option<Caller>, Option<i32>) {
    let session: ProcResult<Option<OsString>> = process
        .environ()
        .map(|mut environment| environment.remove(&OsString::from("SSH_CONNECTION")));
    let session = session.ok().flatten();
    let caller = session.and_then(|text| Caller::read(text.to_str()?));
    let parent = process.stat().ok().map(|stat| stat.ppid);
    (caller, parent.filter(|parent| *parent > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_two_ends() {
        let read = |text| Caller::read(text).map(|caller| (caller.peer, caller.local));
        let ends = |peer: &str, local: &str| Some((peer.parse().unwrap(), local.parse().unwrap()));
        assert_eq!(
            read("203.0.113.9 50112 192.0.2.1 22"),
            ends("203.0.113.9:50112", "192.0.2.1:22")
        );
        assert_eq!(
            read("fe80::2%eth0 50112 fe80::1%eth0 22"),
            ends("[fe80::2]:50112", "[fe80::1]:22")
        );
        assert_eq!(
            read("::ffff:203.0.113.9 1 ::ffff:192.0.2.1 2"),
            ends("203.0.113.9:1", "192.0.2.1:2")
        );
        for bad in ["", "203.0.113.9 1 192.0.2.1", "a 1 b 2"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

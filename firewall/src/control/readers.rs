//! The group whose members may ask the daemon what is loaded, and give it no orders.
//!
//! What the daemon makes has that group, since it is the effective group of the process: changing the group of a file
//! would need a capability that the daemon gives up.

use std::{fs, io};

use nix::unistd::{Gid, getegid, setegid};
use rules::text::escaped;

use crate::error::UserError;

/// Where groups are listed. The name service is not asked: it may be on the network, which is not filtered yet.
const GROUPS: &str = "/etc/group";

/// Why the group cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadersError {
    /// There is no group of this name.
    #[error("there is no group `{}`", escaped(name))]
    Unknown {
        /// The name.
        name: String,
    },
    /// The list of groups cannot be read.
    #[error("cannot read `{GROUPS}`")]
    Groups(#[source] io::Error),
    /// The kernel does not let this process have the group.
    #[error("this process cannot have the group {group}")]
    Refused {
        /// The group.
        group: u32,
        /// Why.
        source: io::Error,
    },
}

impl UserError for ReadersError {}

/// The number of a group, which may be given as a number.
///
/// # Errors
///
/// When there is no group of the name.
pub(crate) fn find(name: &str) -> Result<u32, ReadersError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string(GROUPS).map_err(ReadersError::Groups)?;
    number_of(name, &groups).ok_or_else(|| ReadersError::Unknown {
        name: name.to_owned(),
    })
}

/// The number of a group in the lines of `group(5)`.
fn number_of(name: &str, groups: &str) -> Option<u32> {
    let mut lines = groups.lines();
    lines.find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

/// Makes the group that of all files that this process makes from now on.
///
/// # Errors
///
/// When the kernel refuses.
pub(crate) fn enter(group: u32) -> Result<(), ReadersError> {
    let gid = Gid::from_raw(group);
    if getegid() == gid {
        return Ok(());
    }
    setegid(gid).map_err(|errno| ReadersError::Refused {
        group,
        source: errno.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_number_of_its_line() {
        let groups = "root:x:0:\nfirewall-x:x:7:\nbroken\nfirewall:x:998:a,b\n";
        assert_eq!(number_of("firewall", groups), Some(998));
        assert_eq!(number_of("root", groups), Some(0));
        for none in ["x", "broken", "", "fire"] {
            assert_eq!(number_of(none, groups), None, "{none}");
        }
        assert_eq!(find("4242").unwrap(), 4242);
    }
}

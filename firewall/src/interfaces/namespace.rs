//! Network namespaces, each with its inode and, if `ip netns` made it, its name.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Where `ip netns` has the namespaces that it made (`ip-netns(8)`).
const NAMED: &str = "/run/netns";

/// The network namespace of this process.
const OWN: &str = "/proc/self/ns/net";

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkNamespace {
    /// The inode, which `readlink /proc/PID/ns/net` shows.
    pub(crate) inode: u64,
    /// The name, if it has one.
    pub(crate) name: Option<String>,
}

impl NetworkNamespace {
    /// That of this process.
    pub(crate) fn own() -> io::Result<Self> {
        Self::at(Path::new(OWN))
    }

    /// That of a process.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        Self::at(&PathBuf::from(format!("/proc/{process}/ns/net")))
    }

    /// The one with this inode, which may be gone.
    pub(crate) fn with_inode(inode: u64) -> Self {
        let own = fs::metadata(OWN);
        // The device is that of all namespaces.
        let name = own.ok().and_then(|own| name(own.dev(), inode));
        Self { inode, name }
    }

    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            inode: found.ino(),
            name: name(found.dev(), found.ino()),
        })
    }
}

/// The inode of the network namespace of this process.
///
/// # Errors
///
/// When `/proc` does not show it.
pub(crate) fn own_inode() -> io::Result<u64> {
    Ok(fs::metadata(OWN)?.ino())
}

/// The name of a namespace.
fn name(device: u64, inode: u64) -> Option<String> {
    let is_same = |entry: &fs::DirEntry| {
        let named = fs::metadata(entry.path());
        named.is_ok_and(|named| (named.dev(), named.ino()) == (device, inode))
    };
    let mut named = fs::read_dir(NAMED).into_iter().flatten().flatten();
    named.find(is_same)?.file_name().into_string().ok()
}

impl fmt::Display for NetworkNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{name}` ({})", self.inode),
            None => write!(f, "{}", self.inode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_the_namespace_that_its_link_shows() {
        let link = fs::read_link("/proc/self/ns/net").unwrap();
        let own = NetworkNamespace::own().unwrap();
        assert_eq!(link.to_str().unwrap(), format!("net:[{}]", own.inode));
        assert_eq!(NetworkNamespace::of(std::process::id()).unwrap(), own);
        assert_eq!(NetworkNamespace::with_inode(own.inode), own);
        assert_eq!(own_inode().unwrap(), own.inode);
        let named = NetworkNamespace {
            inode: 7,
            name: Some("blue".to_owned()),
        };
        assert_eq!(named.to_string(), "`blue` (7)");
    }
}

//! Features that not every supported kernel has: the version that introduced each, and the
//! behaviour of the firewall without it. Tests expect a feature from that version on, and skip
//! nothing on newer kernels.

use std::fs;

use anyhow::{Context as _, Result};

/// A feature of newer kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Test runs of programs of traffic control on packets that arrived on an interface of choice.
    TestRunForwarded,
    /// Test runs of XDP programs on packets that arrive on an interface of choice.
    TestRunInterfaces,
    /// The count of verified instructions.
    VerifiedInstructions,
    /// Frames in several buffers, for programs that ask for them.
    Frags,
    /// Maps whose values are longer than 4 MiB.
    LargeImages,
    /// Frames in several buffers from virtio network cards.
    DriverFrags,
    /// TCP packets that are longer than an IP header can state, of both families.
    BigTcp,
    /// Links for programs at the hooks of traffic control.
    TcxLinks,
}

impl Feature {
    /// The first version of Linux that has it.
    #[must_use]
    pub const fn since(self) -> (u32, u32) {
        match self {
            Self::TestRunForwarded => (5, 11),
            Self::TestRunInterfaces => (5, 15),
            Self::VerifiedInstructions => (5, 16),
            Self::Frags => (5, 18),
            Self::LargeImages => (6, 1),
            Self::DriverFrags | Self::BigTcp => (6, 3),
            Self::TcxLinks => (6, 6),
        }
    }

    /// The behaviour of the firewall without it.
    #[must_use]
    pub const fn without(self) -> &'static str {
        match self {
            Self::TestRunForwarded => {
                "the tests of rule files run forwarded packets in user space only"
            }
            Self::TestRunInterfaces => {
                "the tests of rule files run in the kernel as if packets arrived on the loopback \
                 interface"
            }
            Self::VerifiedInstructions => "`firewall status` does not say how many were verified",
            Self::Frags => "the driver takes only an MTU for which a frame fits in one buffer",
            Self::LargeImages => "images above 4 MiB are refused",
            Self::DriverFrags => "a virtio card with a large MTU takes generic mode",
            Self::TcxLinks => "filters of traffic control take the place of links",
            Self::BigTcp => "no host makes IPv4 packets of more than 65,535 bytes",
        }
    }

    /// Whether this kernel must have it.
    ///
    /// # Errors
    ///
    /// If the version of the kernel cannot be read.
    pub fn is_expected(self) -> Result<bool> {
        Ok(version()? >= self.since())
    }

    /// The message of a test that needs it if it is not expected; `None` if it is.
    ///
    /// # Errors
    ///
    /// If the version of the kernel cannot be read.
    pub fn lacking(self) -> Result<Option<String>> {
        let (major, minor) = self.since();
        Ok((!self.is_expected()?)
            .then(|| format!("before Linux {major}.{minor}: {}", self.without())))
    }
}

/// The version of the kernel.
fn version() -> Result<(u32, u32)> {
    let path = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    parse(&release).with_context(|| format!("`{}` is no release of a kernel", release.trim()))
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert_eq!(parse("6.12.94+deb13-cloud-amd64\n"), Some((6, 12)));
        assert_eq!(parse("5.10.0-45-amd64"), Some((5, 10)));
        assert_eq!(parse("7-rc1"), None);
        assert!(parse("6.2") > Some(Feature::LargeImages.since()));
    }
}

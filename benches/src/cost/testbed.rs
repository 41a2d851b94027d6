//! A testbed for one firewall: its own test network, and a count of the frames that reached it.

use std::fs;

use anyhow::{Context as _, Result};

use super::{object_file::ObjectFile, offload};
use crate::network::{End, Network};

/// A test network whose host accepts frames sent by XDP, whatever firewall guards it.
#[derive(Debug)]
pub struct Testbed {
    network: Network,
    /// Drops the packets that an XDP program passes.
    sink: Option<ObjectFile>,
}

impl Testbed {
    /// Creates a testbed.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, usually for lack of privilege.
    pub fn new() -> Result<Self> {
        let network = Network::new()?;
        let host = network.link().host.interface.clone();
        network.host.run(|| offload::switch_gro_on(&host))??;
        Ok(Self {
            network,
            sink: None,
        })
    }

    /// Creates a testbed for an XDP program: a packet that it passes becomes a packet buffer of the
    /// kernel, and is dropped before the network stack processes it. So the cost of a passed packet
    /// does not depend on its contents.
    ///
    /// # Errors
    ///
    /// As for [`Self::new`].
    pub fn with_sink() -> Result<Self> {
        let mut testbed = Self::new()?;
        let mut sink = ObjectFile::load(1, &[])?;
        sink.drop_passed(&testbed.network.host, testbed.host())?;
        testbed.sink = Some(sink);
        Ok(testbed)
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The end that is guarded.
    #[must_use]
    pub fn host(&self) -> &End {
        &self.network.link().host
    }

    /// The end from which the packets come.
    #[must_use]
    pub fn peer(&self) -> &End {
        &self.network.link().peer
    }

    /// The number of frames that the guarded end has received, whatever the verdict: veth counts a
    /// frame before an XDP program is run on it.
    ///
    /// # Errors
    ///
    /// If the kernel does not report it.
    pub fn received(&self) -> Result<u64> {
        let name = &self.host().interface;
        let text = self
            .network
            .host
            .run(|| fs::read_to_string("/proc/thread-self/net/dev"))?
            .context("cannot read `/proc/thread-self/net/dev`")?;
        text.lines()
            .find_map(|line| {
                let (interface, counts) = line.split_once(':')?;
                // Bytes, packets, errors, ...
                let packets = counts.split_whitespace().nth(1)?;
                (interface.trim() == name).then(|| packets.parse().ok())?
            })
            .with_context(|| format!("the kernel has no counts of `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs root"]
    fn a_new_testbed_has_received_nothing() {
        assert_eq!(Testbed::new().unwrap().received().unwrap(), 0);
    }
}

//! Where a firewall is measured: a test network of its own, and a count of the frames that
//! reached it.

use std::fs;

use anyhow::{Context as _, Result};

use super::{object_file::ObjectFile, offload};
use crate::network::{End, Network};

/// A test network whose host takes frames sent by XDP, whatever firewall guards it.
#[derive(Debug)]
pub struct Testbed {
    network: Network,
    /// Drops what an XDP program passes, while it lives.
    sink: Option<ObjectFile>,
}

impl Testbed {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, for lack of privilege most of the time.
    pub fn new() -> Result<Self> {
        let network = Network::new()?;
        let host = network.link().host.interface.clone();
        network.host.run(|| offload::switch_gro_on(&host))??;
        Ok(Self {
            network,
            sink: None,
        })
    }

    /// Makes one for an XDP program: what it passes becomes a packet buffer of the kernel, and is
    /// dropped before the network stack looks at it. So what a passed packet costs does not depend
    /// on what is in it.
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

    /// How many frames the guarded end has taken, whatever became of them: veth counts a frame
    /// before an XDP program is run on it.
    ///
    /// # Errors
    ///
    /// If the kernel does not say.
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

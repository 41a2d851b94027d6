//! Test networks: two temporary namespaces joined by veth pairs.
//!
//! Nothing exists outside the two namespaces, which are held by descriptors and have no names: they
//! disappear with the value, and with the process however it ends. The links are silent: the kernel
//! sends nothing on them of its own accord, so that packets can be counted exactly.

mod end;
mod link;
mod namespace;
mod tun;
mod veth;

use anyhow::{Context as _, Result, ensure};

pub use self::{end::End, link::Link, namespace::Namespace, tun::Tun};

/// The maximum number of links of one network: each takes 16 of the 256 addresses of its IPv4
/// prefix.
pub const MAX_LINKS: usize = 16;

/// Two namespaces and the links between them.
#[derive(Debug)]
pub struct Network {
    /// The namespace of the host that a firewall guards.
    pub host: Namespace,
    /// The namespace of the peer that sends to the host.
    pub peer: Namespace,
    links: Vec<Link>,
}

impl Network {
    /// Makes a network of one link.
    ///
    /// # Errors
    ///
    /// As for [`Self::with_links`].
    pub fn new() -> Result<Self> {
        Self::with_links(1)
    }

    /// Makes a network of `count` links, at most [`MAX_LINKS`].
    ///
    /// # Errors
    ///
    /// If the kernel refuses a namespace or a veth pair, usually for lack of privilege.
    pub fn with_links(count: usize) -> Result<Self> {
        ensure!(
            (1..=MAX_LINKS).contains(&count),
            "a test network has 1 to {MAX_LINKS} links, not `{count}`"
        );
        let mut network = Self {
            host: Namespace::new()?,
            peer: Namespace::new()?,
            links: Vec::new(),
        };
        for number in (0..).take(count) {
            let mut link = Link::plan(number);
            veth::create(&network.host, &network.peer, &mut link)
                .with_context(|| format!("cannot make the veth pair `{}`", link.host.interface))?;
            network.links.push(link);
        }
        network.wait_for_carrier()?;
        Ok(network)
    }

    /// The first link.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a network has at least one link")]
    pub fn link(&self) -> &Link {
        &self.links[0]
    }

    /// All links.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Deletes both ends of a link.
    ///
    /// # Errors
    ///
    /// If it does not exist.
    pub fn delete(&self, link: &Link) -> Result<()> {
        veth::delete(&self.host, &link.host)
    }

    /// Creates a deleted link again, with the same names and addresses, but other interface
    /// indexes.
    ///
    /// # Errors
    ///
    /// If it exists, or there is no link with this number.
    pub fn make_again(&mut self, number: usize) -> Result<()> {
        let link = self.links.get_mut(number);
        let link = link.with_context(|| format!("there is no link {number}"))?;
        veth::create(&self.host, &self.peer, link)?;
        self.wait_for_carrier()
    }

    /// The id of the XDP program on an end in the host's namespace, if there is one.
    ///
    /// # Errors
    ///
    /// If the kernel does not know the interface.
    pub fn xdp_program(&self, end: &End) -> Result<Option<u32>> {
        veth::xdp_program(&self.host, end)
    }

    /// Waits until frames can pass: a frame sent before both ends are up is lost.
    fn wait_for_carrier(&self) -> Result<()> {
        for link in &self.links {
            veth::wait_for_carrier(&self.host, &link.host)?;
            veth::wait_for_carrier(&self.peer, &link.peer)?;
        }
        Ok(())
    }
}

impl Drop for Network {
    /// Deletes the links at once; otherwise they would disappear a little later with the
    /// namespaces.
    fn drop(&mut self) {
        for link in &self.links {
            // A missing link is not an error, and there is no caller to report another error to.
            let _ = veth::delete(&self.host, &link.host);
        }
    }
}

//! veth pairs over netlink.

use std::{
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use netlink_packet_route::{
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags},
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute, LinkFlags,
        LinkMessage, LinkXdp, State,
    },
};
use nix::net::if_::if_nametoindex;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::{End, Link, Namespace};

/// The timeout for the kernel to bring up a new veth pair.
const CARRIER_TIMEOUT: Duration = Duration::from_secs(30);

impl End {
    /// Brings up an existing interface, as silent as those of a [`Network`](super::Network), with
    /// the addresses of this end, and fills in its index.
    ///
    /// # Errors
    ///
    /// If the interface does not exist or does not come up.
    pub fn put_up(&mut self, namespace: &Namespace, other: &Self, mtu: u32) -> Result<()> {
        adopt(namespace, self, other, mtu)?;
        wait_for_carrier(namespace, self)
    }

    /// Has the TCP of a namespace send packets of up to this many bytes on this end, for the other
    /// one to take apart, or not.
    ///
    /// # Errors
    ///
    /// If the kernel knows no such setting (IPv4: Linux 6.3).
    pub fn send_packets_of(&self, namespace: &Namespace, bytes: u32) -> Result<()> {
        with_netlink(namespace, async |netlink| {
            let long = LinkUnspec::new_with_index(self.index)
                .append_extra_attribute(LinkAttribute::GsoMaxSize(bytes))
                .append_extra_attribute(LinkAttribute::GsoIpv4MaxSize(bytes))
                .build();
            netlink.link().change(long).execute().await?;
            Ok(())
        })
    }
}

/// Makes the veth pair that `link` describes, brings up both ends, and fills in their indexes.
pub(super) fn create(host: &Namespace, peer: &Namespace, link: &mut Link) -> Result<()> {
    let peer_fd = peer.as_fd().as_raw_fd();
    with_netlink(host, async |netlink| {
        let far = shape(LinkMessageBuilder::<LinkUnspec>::new(), &link.peer)
            .name(&link.peer.interface)
            .setns_by_fd(peer_fd)
            .build();
        let near = LinkVeth::new(&link.host.interface, &link.peer.interface)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)));
        let near = shape(near, &link.host).build();
        netlink.link().add(near).execute().await?;
        Ok(())
    })?;
    set_up(host, &mut link.host, &link.peer)?;
    set_up(peer, &mut link.peer, &link.host)?;
    Ok(())
}

/// Configures an existing interface as [`create`] configures new ones.
fn adopt(namespace: &Namespace, end: &mut End, other: &End, mtu: u32) -> Result<()> {
    end.index = index(namespace, end)?;
    with_netlink(namespace, async |netlink| {
        let silent = LinkUnspec::new_with_index(end.index).arp(false).mtu(mtu);
        netlink.link().change(silent.build()).execute().await?;
        Ok(())
    })?;
    set_up(namespace, end, other)
}

/// Deletes a link by one of its ends.
pub(super) fn delete(namespace: &Namespace, end: &End) -> Result<()> {
    with_netlink(namespace, async |netlink| {
        netlink.link().del(end.index).execute().await?;
        Ok(())
    })
}

/// Waits until an interface can send and receive.
pub(super) fn wait_for_carrier(namespace: &Namespace, end: &End) -> Result<()> {
    let begin = Instant::now();
    while !is_running(namespace, end)? {
        ensure!(
            begin.elapsed() < CARRIER_TIMEOUT,
            "the interface `{}` did not come up within {CARRIER_TIMEOUT:?}",
            end.interface
        );
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether an interface can send and receive.
fn is_running(namespace: &Namespace, end: &End) -> Result<bool> {
    let message = read(namespace, end)?;
    let is_operational = message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, LinkAttribute::OperState(State::Up)));
    Ok(is_operational && message.header.flags.contains(LinkFlags::LowerUp))
}

/// The id of the XDP program on an interface, in any mode.
pub(super) fn xdp_program(namespace: &Namespace, end: &End) -> Result<Option<u32>> {
    let message = read(namespace, end)?;
    Ok(message.attributes.iter().find_map(|attribute| {
        let LinkAttribute::Xdp(entries) = attribute else {
            return None;
        };
        entries.iter().find_map(|entry| {
            let LinkXdp::ProgId(id) = entry else {
                return None;
            };
            Some(*id)
        })
    }))
}

/// The kernel's description of an interface.
fn read(namespace: &Namespace, end: &End) -> Result<LinkMessage> {
    with_netlink(namespace, async |netlink| {
        let mut messages = netlink.link().get().match_index(end.index).execute();
        let message = messages.try_next().await?;
        message.with_context(|| format!("there is no interface `{}`", end.interface))
    })
}

/// The properties that an end needs from its creation.
///
/// With one queue, packets arrive in the order in which they were sent. Without ARP, the kernel
/// neither looks for neighbors nor joins the multicast groups of its IPv6 addresses, which it
/// would report on the link.
fn shape<T>(builder: LinkMessageBuilder<T>, end: &End) -> LinkMessageBuilder<T> {
    builder
        .address(end.mac.octets().to_vec())
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
        .arp(false)
}

/// Gives an end its addresses and the hardware address of `other`, and brings it up.
fn set_up(namespace: &Namespace, end: &mut End, other: &End) -> Result<()> {
    end.index = index(namespace, end)?;
    let end = &*end;
    with_netlink(namespace, async |netlink| {
        // Without a link-local address there are no router solicitations (RFC 4861 section 6.3.7).
        let no_link_local =
            AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let quiet = LinkUnspec::new_with_index(end.index)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![no_link_local]))
            .build();
        netlink.link().change(quiet).execute().await?;
        let up = LinkUnspec::new_with_index(end.index).up().build();
        netlink.link().change(up).execute().await?;
        for (address, prefix_len) in [(IpAddr::V4(end.ipv4), 28), (IpAddr::V6(end.ipv6), 64)] {
            let mut request = netlink
                .address()
                .add(end.index, address, prefix_len)
                .replace();
            let message = request.message_mut();
            message.header.flags |= AddressHeaderFlags::Nodad;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
            request
                .execute()
                .await
                .with_context(|| format!("cannot add the address `{address}`"))?;
        }
        for address in [IpAddr::V4(other.ipv4), IpAddr::V6(other.ipv6)] {
            netlink
                .neighbours()
                .add(end.index, address)
                .link_layer_address(&other.mac.octets())
                .replace()
                .execute()
                .await
                .with_context(|| format!("cannot add the neighbor `{address}`"))?;
        }
        Ok(())
    })
}

fn index(namespace: &Namespace, end: &End) -> Result<u32> {
    namespace
        .run(|| if_nametoindex(end.interface.as_str()))?
        .with_context(|| format!("there is no interface `{}`", end.interface))
}

/// Runs `work` with a netlink socket of the namespace.
fn with_netlink<T: Send>(
    namespace: &Namespace,
    work: impl AsyncFnOnce(Handle) -> Result<T> + Send,
) -> Result<T> {
    namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("cannot start a runtime for netlink")?;
        runtime.block_on(async {
            let (connection, handle, _) =
                rtnetlink::new_connection().context("cannot open a netlink socket")?;
            tokio::spawn(connection);
            work(handle).await
        })
    })?
}

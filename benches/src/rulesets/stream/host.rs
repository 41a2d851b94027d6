//! Packets between hosts, as the kernel hands them on.

use std::net::IpAddr;

use crate::tuple::Tuple;

/// The packet with its IPv6 addresses moved into 2000::/3: others, which are no host's, the kernel
/// drops before it hands them to the hooks of nftables and iptables (`ip6_rcv_core`,
/// `net/ipv6/ip6_input.c`).
#[must_use]
pub fn between_hosts(tuple: Tuple) -> Tuple {
    Tuple {
        src: of_a_host(tuple.src),
        dst: of_a_host(tuple.dst),
        ..tuple
    }
}

fn of_a_host(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) << 3 >> 3 | 1 << 125).into()),
    }
}

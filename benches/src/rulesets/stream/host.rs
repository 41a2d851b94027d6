//! Packets between hosts, which the kernel does not drop early.

use std::net::IpAddr;

use crate::tuple::Tuple;

/// The packet with its IPv6 addresses moved into 2000::/3: the kernel drops packets with other
/// addresses, which no host has, before the hooks of nftables and iptables (`ip6_rcv_core`,
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

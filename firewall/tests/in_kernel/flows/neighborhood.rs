//! Neighbors and routers are heard under every sample policy, whatever states these ask for.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    path::Path,
};

use benches::network::{End, Namespace};
use rules::packet::{MacAddr, Packet};

use super::counted;
use crate::{
    machine::{Machine, Said, said, wait_until},
    neighbors::forget_neighbors,
};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/samples");

/// The addresses of the ends on their link.
const OWN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const FAR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The prefix that a router announces.
const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 0, 0, 0, 0);

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;

/// A sample, for the interfaces of a test network.
fn sample(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.replace("eth0", "fw-host0")
        .replace("eth1", "fw-host1")
        .replace("eth2", "fw-host2")
        .replace("wg0", "fw-host3")
        .replace("\"en*\"", "\"fw-host0\"")
}

/// Runs `ip` in a namespace.
fn ip(machine: &Machine, namespace: &Namespace, words: &str) -> Said {
    let mut command = machine.command("ip");
    command
        .args(words.split(' '))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = namespace.spawn(&mut command).unwrap();
    let said = said(child.wait_with_output().unwrap());
    assert!(said.status.success(), "ip {words}: {said:?}");
    said
}

/// An end finds another one.
fn resolve(machine: &Machine, namespace: &Namespace, end: &End, other: IpAddr) {
    let to = match other {
        IpAddr::V4(_) => SocketAddr::new(other, 9),
        IpAddr::V6(other) => SocketAddrV6::new(other, 9, 0, end.index).into(),
    };
    let any: IpAddr = match other {
        IpAddr::V4(_) => super::Family::Ipv4.any(),
        IpAddr::V6(_) => super::Family::Ipv6.any(),
    };
    let send = || UdpSocket::bind((any, 0)).unwrap().send_to(b"ask", to);
    namespace.run(send).unwrap().unwrap();
    let words = format!("neighbor show {other} dev {}", end.interface);
    wait_until(&format!("{other} is found from {}", end.interface), || {
        ip(machine, namespace, &words).stdout.contains("lladdr")
    });
}

/// A router's advertisement of a prefix that is on the link for ever (RFC 4861, sections 4.2 and 4.6.2).
fn advertisement(end: &End) -> Vec<u8> {
    const ON_LINK: u8 = 0x80;
    let times = [0; 8];
    let mut prefix = vec![3, 4, 64, ON_LINK];
    prefix.extend([0xff; 8]);
    prefix.extend([0; 4]);
    prefix.extend(PREFIX.octets());
    Packet::ipv6(FAR, ALL_NODES)
        .macs(end.mac, MacAddr::new(0x33, 0x33, 0, 0, 0, 1))
        .icmpv6(ADVERTISEMENT, 0)
        .ttl(255)
        .payload(&[&times[..], &prefix].concat())
        .build()
}

/// A solicitation of an advertisement by a host with this address, or with none.
fn solicitation(end: &End, from: Ipv6Addr) -> Vec<u8> {
    Packet::ipv6(from, ALL_ROUTERS)
        .macs(end.mac, MacAddr::new(0x33, 0x33, 0, 0, 0, 2))
        .icmpv6(SOLICITATION, 0)
        .ttl(255)
        .build()
}

fn hear_each_other(path: &Path) {
    let machine = Machine::with_links(4);
    let lists = machine.folder.path().join("lists");
    fs::create_dir(&lists).unwrap();
    for list in fs::read_dir(format!("{SAMPLES}/lists")).unwrap() {
        let list = list.unwrap();
        fs::copy(list.path(), lists.join(list.file_name())).unwrap();
    }
    let _daemon = machine.apply(&machine.write_file(&sample(path)));
    let (network, link) = (&machine.network, machine.network.link());
    let (host, peer) = (&network.host, &network.peer);
    for (namespace, end, address) in [(host, &link.host, OWN), (peer, &link.peer, FAR)] {
        forget_neighbors(&machine, namespace, end);
        let words = format!("address add {address}/64 dev {} nodad", end.interface);
        ip(&machine, namespace, &words);
    }
    for (own, far) in [
        (IpAddr::V4(link.host.ipv4), IpAddr::V4(link.peer.ipv4)),
        (link.host.ipv6.into(), link.peer.ipv6.into()),
        (OWN.into(), FAR.into()),
    ] {
        resolve(&machine, host, &link.host, far);
        resolve(&machine, peer, &link.peer, own);
    }
    // Somebody without an address asks whether this one is taken.
    let address = format!("{}/64 dev {}", link.host.ipv6, link.peer.interface);
    ip(&machine, peer, &format!("-6 address add {address}"));
    let words = format!("-6 address show dev {}", link.peer.interface);
    wait_until("the host has defended its address", || {
        ip(&machine, peer, &words).stdout.contains("dadfailed")
    });
    let accept = format!("/proc/sys/net/ipv6/conf/{}/accept_ra", link.host.interface);
    host.run(|| fs::write(accept, "2")).unwrap().unwrap();
    let words = format!("-6 route show dev {}", link.host.interface);
    let announced = format!("{PREFIX}/64");
    assert!(!ip(&machine, host, &words).stdout.contains(&announced));
    machine.send_frame(&advertisement(&link.peer));
    wait_until("the prefix of the router is known", || {
        ip(&machine, host, &words).stdout.contains(&announced)
    });
    // A router hears hosts, also those without an address.
    for from in [FAR, Ipv6Addr::UNSPECIFIED] {
        let passed = counted(&machine, "neighbor");
        machine.send_frame(&solicitation(&link.peer, from));
        wait_until("the solicitation passes", || {
            counted(&machine, "neighbor") > passed
        });
    }
}

#[test]
#[ignore = "needs root"]
fn neighbors_and_routers_are_heard_under_every_sample_policy() {
    let mut heard = 0;
    for entry in fs::read_dir(SAMPLES).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            println!("{}", path.display());
            hear_each_other(&path);
            heard += 1;
        }
    }
    assert!(heard >= 6, "{heard}");
}

//! Devices that carry packets inside others, or over others, are filtered in both directions, with
//! exact counts: those with an Ethernet header by XDP and at the egress hook, those without one at the
//! hooks of traffic control.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use benches::network::{End, Namespace};
use nix::sys::signal::Signal;
use vm_tests::{TUNNEL_MODULES, report::Outcome};

use crate::{
    datagrams::{self, COUNT, DROPPED, IPV4_LENGTH, IPV6_LENGTH},
    firewall::{Count, Firewall, PATIENCE, wait_until},
    scene::Scene,
    system, tool,
};

/// A device.
struct Device {
    name: &'static str,
    /// The length of its link-layer header in bytes; of Ethernet, if it is not 0.
    header: u64,
    /// What precedes the IP header of packets out, in bytes, and is counted with them.
    outer: u64,
    /// Whether it carries IPv6 here.
    takes_ipv6: bool,
    /// The number of its prefixes.
    number: u8,
}

const fn device(name: &'static str, header: u64, number: u8) -> Device {
    Device {
        name,
        header,
        outer: header,
        takes_ipv6: true,
        number,
    }
}

const DEVICES: [Device; 6] = [
    device(WIREGUARD, 0, 1),
    device(GRE, 0, 2),
    // The outer headers are its link-layer header: IPv4, and GRE with a key.
    Device {
        outer: 20 + 8,
        takes_ipv6: false,
        ..device(MULTIPOINT_GRE, 0, 3)
    },
    Device {
        takes_ipv6: false,
        ..device(IP_IN_IP, 0, 4)
    },
    device(VLAN, 14, 5),
    device(BOND, 14, 6),
];

const WIREGUARD: &str = "fw-wg";
const GRE: &str = "fw-gre";
const MULTIPOINT_GRE: &str = "fw-mgre";
const IP_IN_IP: &str = "fw-ipip";
const VLAN: &str = "fw-vlan";
const BOND: &str = "fw-bond";

/// The private and the public key of the WireGuard devices, made with `wg`.
const KEYS: [(&str, &str); 2] = [
    (
        "QEzoh9a+T6e6vdzYSw7gCjHUhal1zFhsFNxzsUyxKms=",
        "MDAHlrhAPGJX2bcp/MtLu0hyPoyB0jHx4r0nL3ThLVI=",
    ),
    (
        "6G50qVfP1UIp2xWGSjkCja2Q0GyJ/k5QIKF4Um//SXU=",
        "lpjD/JOVhwyUSkdvvddY13NVnJ9+jhci6LP7VGchKxc=",
    ),
];

/// The ends of the devices: the host's and the peer's.
const HOST: u8 = 1;
const PEER: u8 = 2;

impl Device {
    fn ipv4(&self, end: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, end)
    }

    fn ipv6(&self, end: u8) -> Ipv6Addr {
        let (number, end) = (self.number.into(), end.into());
        Ipv6Addr::new(0x2001, 0xdb8, 0x100, number, 0, 0, 0, end)
    }

    /// The addresses of an end.
    fn addresses(&self, end: u8) -> Vec<IpAddr> {
        let mut addresses = vec![self.ipv4(end).into()];
        addresses.extend(self.takes_ipv6.then_some(IpAddr::from(self.ipv6(end))));
        addresses
    }

    /// The packets that a rule drops in a direction, of which each has `header` bytes before its IP header.
    fn dropped(&self, header: u64) -> Count {
        let mut lengths = vec![IPV4_LENGTH];
        lengths.extend(self.takes_ipv6.then_some(IPV6_LENGTH));
        let bytes: u64 = lengths.iter().map(|length| header + length).sum();
        (COUNT * lengths.len() as u64, COUNT * bytes)
    }

    /// Gives an end its addresses, and brings it up under this name.
    fn put_up(&self, namespace: &Namespace, name: &str, end: u8) -> Result<()> {
        let ipv4 = format!("addr add {}/30 dev {name}", self.ipv4(end));
        tool::ip(namespace, &ipv4)?;
        if self.takes_ipv6 {
            let ipv6 = format!("addr add {}/64 dev {name} nodad", self.ipv6(end));
            tool::ip(namespace, &ipv6)?;
        }
        tool::ip(namespace, &format!("link set {name} up"))
    }
}

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    system::load_modules(TUNNEL_MODULES)?;
    make(scene)?;
    let rules = scene.write_file("rules.toml", &rules())?;
    let firewall = scene.firewall();
    let daemon = firewall.apply(&rules)?;
    let network = &scene.network;
    for device in &DEVICES {
        check_hooks(&firewall, device)?;
        for address in device.addresses(PEER) {
            let sent = datagrams::exchange(&network.host, &network.peer, address);
            sent.with_context(|| format!("out of `{}`", device.name))?;
        }
        for address in device.addresses(HOST) {
            let sent = datagrams::exchange(&network.peer, &network.host, address);
            sent.with_context(|| format!("into `{}`", device.name))?;
        }
    }
    let [wireguard, ..] = &DEVICES;
    upload(&network.host, &network.peer, wireguard.ipv4(PEER))?;
    upload(&network.peer, &network.host, wireguard.ipv4(HOST))?;
    let counters = firewall.counters()?;
    check_upload(&counters)?;
    for device in &DEVICES {
        for (direction, header) in [("in", device.header), ("out", device.outer)] {
            let expected = device.dropped(header);
            let name = format!("{direction} {}", device.name);
            let counted = counters.get(&name).copied();
            ensure!(
                counted == Some(expected),
                "the rule `{name}` has counted {counted:?}, not {expected:?}: {counters:?}"
            );
        }
    }
    for device in &DEVICES {
        tool::ip(&network.host, &format!("link del {}", device.name))?;
    }
    wait_until("the status says that the devices are gone", || {
        let status = firewall.status()?;
        let is_empty = |key: &str| status[key].as_array().is_none_or(Vec::is_empty);
        Ok(is_empty("traffic_control") && hooks_of_xdp(&status).is_empty())
    })?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}

/// The bytes of an upload, its port, and the most that a packet on a WireGuard device carries of it.
const UPLOAD: usize = 1 << 18;
const UPLOAD_PORT: u16 = 7;
const SEGMENT: u64 = 1_380;

/// Uploads to an address of another namespace.
fn upload(from: &Namespace, to: &Namespace, address: Ipv4Addr) -> Result<()> {
    let place = (address, UPLOAD_PORT);
    let listener = to.run(|| TcpListener::bind(place))??;
    let mut sender = from.run(|| TcpStream::connect(place))??;
    let (mut receiver, _) = listener.accept()?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    let sending = thread::spawn(move || sender.write_all(&vec![1; UPLOAD]));
    let received = receiver.read_to_end(&mut Vec::new())?;
    sending
        .join()
        .map_err(|_| anyhow!("the sender panicked"))??;
    ensure!(received == UPLOAD, "{received} bytes were received");
    Ok(())
}

/// Checks that the packets of uploads are counted, and their lengths matched, as they are on the wire: the
/// kernel cuts those out after the hook, and has put those in together before it.
fn check_upload(counters: &BTreeMap<String, Count>) -> Result<()> {
    let least = UPLOAD as u64 / SEGMENT;
    for direction in ["in", "out"] {
        let packets = |what: &str| {
            let counted = counters.get(&format!("{what} {direction}"));
            counted.map_or(0, |(packets, _)| *packets)
        };
        let (upload, full, long) = (packets("upload"), packets("full"), packets("long"));
        ensure!(
            upload >= least && full >= least / 2 && long == 0,
            "of an upload of at least {least} packets {direction} {upload} were counted, {full} as long as \
             the MTU, {long} longer"
        );
    }
    Ok(())
}

/// Rules that drop datagrams in each direction of each device, and count uploads.
fn rules() -> String {
    let names = DEVICES.map(|device| format!("\"{}\"", device.name));
    let mut rules = format!(
        "[firewall]\ninterfaces = [{}]\nmode = \"auto\"\n",
        names.join(", ")
    );
    for Device { name, .. } in &DEVICES {
        for direction in ["in", "out"] {
            // Writing to a string cannot fail.
            let _ = write!(
                rules,
                "[[rule]]\nname = \"{direction} {name}\"\naction = \"drop\"\n\
                 direction = \"{direction}\"\ninterface = \"{name}\"\nproto = \"udp\"\n\
                 dport = {DROPPED}\n"
            );
        }
    }
    for direction in ["in", "out"] {
        for (what, matches) in [
            ("upload", ""),
            ("full", "length = 1420\n"),
            ("long", "length = \"1421-65535\"\n"),
        ] {
            let _ = write!(
                rules,
                "[[rule]]\nname = \"{what} {direction}\"\naction = \"count\"\n\
                 direction = \"{direction}\"\ninterface = \"{WIREGUARD}\"\nproto = \"tcp\"\n\
                 dport = {UPLOAD_PORT}\n{matches}"
            );
        }
    }
    rules
}

/// Checks at which hooks a device is filtered.
fn check_hooks(firewall: &Firewall<'_>, device: &Device) -> Result<()> {
    let status = firewall.status()?;
    let at_hooks = status["traffic_control"].as_array().into_iter().flatten();
    let mut hooks: Vec<&str> = at_hooks
        .filter(|at| at["interface"] == device.name && at["state"] == "attached")
        .filter_map(|at| at["hook"].as_str())
        .collect();
    hooks.extend(
        hooks_of_xdp(&status)
            .contains(&device.name)
            .then_some("xdp"),
    );
    hooks.sort_unstable();
    let expected = if device.header == 0 {
        ["egress", "ingress"]
    } else {
        ["egress", "xdp"]
    };
    ensure!(
        hooks == expected,
        "`{}` is filtered at {hooks:?}: {status}",
        device.name
    );
    Ok(())
}

/// The interfaces with an XDP program.
fn hooks_of_xdp(status: &serde_json::Value) -> Vec<&str> {
    let interfaces = status["interfaces"].as_array().into_iter().flatten();
    interfaces
        .filter(|one| one["state"] == "attached" && one["mode"].is_string())
        .filter_map(|one| one["name"].as_str())
        .collect()
}

/// Makes the devices.
fn make(scene: &Scene) -> Result<()> {
    let network = &scene.network;
    let [carrier, bonded] = network.links() else {
        anyhow::bail!("there are {} links", network.links().len());
    };
    let (host, peer) = (&network.host, &network.peer);
    let [ours, theirs] = KEYS;
    make_over(
        scene,
        host,
        (&carrier.host, &carrier.peer),
        (ours.0, theirs.1),
        HOST,
    )?;
    make_over(
        scene,
        peer,
        (&carrier.peer, &carrier.host),
        (theirs.0, ours.1),
        PEER,
    )?;
    let [.., bond] = &DEVICES;
    let slave = &bonded.host.interface;
    tool::ip(
        host,
        &format!("link add {BOND} type bond mode active-backup miimon 10"),
    )?;
    tool::ip(host, &format!("link set {slave} down"))?;
    tool::ip(host, &format!("link set {slave} master {BOND}"))?;
    tool::ip(host, &format!("link set {slave} up"))?;
    bond.put_up(host, BOND, HOST)?;
    let far = &bonded.peer.interface;
    tool::ip(peer, &format!("link set {far} arp on"))?;
    bond.put_up(peer, far, PEER)?;
    wait_until("the bond has a carrier", || {
        let shown = tool::run(host, "ip", &format!("link show {BOND}"))?;
        Ok(shown.contains("state UP"))
    })
}

/// Makes one end of each device that the first link carries.
fn make_over(
    scene: &Scene,
    namespace: &Namespace,
    (near, far): (&End, &End),
    (private, public): (&str, &str),
    end: u8,
) -> Result<()> {
    let [wireguard, gre, multipoint, ip_in_ip, vlan, _] = &DEVICES;
    let key = scene.write_file("key", private)?;
    tool::ip(namespace, &format!("link add {WIREGUARD} type wireguard"))?;
    let words = format!(
        "set {WIREGUARD} listen-port 51820 private-key {} peer {public} endpoint {}:51820 \
         allowed-ips 0.0.0.0/0,::/0",
        key.display(),
        far.ipv4
    );
    tool::run(namespace, "wg", &words)?;
    wireguard.put_up(namespace, WIREGUARD, end)?;
    for (device, kind) in [(gre, "gre"), (ip_in_ip, "ipip")] {
        let words = format!(
            "link add {} type {kind} local {} remote {}",
            device.name, near.ipv4, far.ipv4
        );
        tool::ip(namespace, &words)?;
        device.put_up(namespace, device.name, end)?;
    }
    let words = format!(
        "link add {MULTIPOINT_GRE} type gre local {} key 7",
        near.ipv4
    );
    tool::ip(namespace, &words)?;
    multipoint.put_up(namespace, MULTIPOINT_GRE, end)?;
    let neighbor = format!(
        "neigh add {} lladdr {} dev {MULTIPOINT_GRE}",
        multipoint.ipv4(HOST + PEER - end),
        far.ipv4
    );
    tool::ip(namespace, &neighbor)?;
    let words = format!(
        "link add link {} name {VLAN} type vlan id 5",
        near.interface
    );
    tool::ip(namespace, &words)?;
    // Unlike the link below it, whose neighbors are fixed.
    tool::ip(namespace, &format!("link set {VLAN} arp on"))?;
    vlan.put_up(namespace, VLAN, end)
}

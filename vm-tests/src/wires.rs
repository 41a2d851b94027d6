//! Wires between two guests: one through a Unix socket, which needs no privilege but gives a card
//! only one queue, and one through a bridge of the host, with several queues.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use vm_tests::wire::{CARDS, Cable, Card};

use crate::machine::escaped;

/// The longest frames: those of an MTU of 9,000 and VLAN tags.
const MTU: &str = "9216";

/// The maximum number of packets that wait for a guest: more than one burst.
const QUEUE: &str = "20000";

/// The timeout until QEMU listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// The wires between two guests.
pub(crate) struct Wires {
    name: String,
    folder: PathBuf,
}

impl Wires {
    /// Creates the wires in the network namespace of this process. The number distinguishes those
    /// of several pairs; the sockets are in `folder`.
    pub(crate) fn new(number: usize, folder: &Path) -> Result<Self> {
        let wires = Self {
            name: format!("w{number}"),
            folder: folder.to_owned(),
        };
        // A path of a socket has at most 107 bytes (`unix(7)`), and a leftover socket blocks its
        // path.
        for socket in [wires.cable(), wires.talk()] {
            if socket.exists() {
                fs::remove_file(&socket)?;
            }
        }
        for card in CARDS.iter().filter(|card| card.cable == Cable::Bridge) {
            wires.make_bridge(card)?;
        }
        Ok(wires)
    }

    /// The arguments of QEMU for the guest that filters.
    pub(crate) fn guarded(&self) -> Vec<String> {
        let mut arguments = self.talking(",server=on,wait=off");
        for card in &CARDS {
            let queues = match card.cable {
                Cable::Socket => {
                    arguments.extend(self.stream(card, true));
                    1
                }
                Cable::Bridge => {
                    let tap = self.interface(card, 'g');
                    arguments.extend(tapped(card, &tap, card.queues));
                    card.queues
                }
            };
            let several = format!(",mq=on,vectors={}", 2 * queues + 2);
            let several = if queues > 1 { several.as_str() } else { "" };
            let fixed = if card.offloads_are_fixed {
                ",ctrl_guest_offloads=off"
            } else {
                ""
            };
            arguments.extend(device(card, card.guarded_mac, &format!("{several}{fixed}")));
        }
        arguments
    }

    /// The arguments of QEMU for the guest that sends, once the other listens.
    pub(crate) fn peer(&self) -> Vec<String> {
        let mut arguments = self.talking("");
        for card in CARDS.iter().filter(|card| card.is_wired()) {
            arguments.extend(match card.cable {
                Cable::Socket => self.stream(card, false),
                Cable::Bridge => tapped(card, &self.interface(card, 'p'), 1),
            });
            arguments.extend(device(card, card.peer_mac, ""));
        }
        arguments
    }

    /// Waits until the filtering guest accepts connections.
    pub(crate) fn await_listener(&self) -> Result<()> {
        let begin = Instant::now();
        while !(self.cable().exists() && self.talk().exists()) {
            ensure!(
                begin.elapsed() < PATIENCE,
                "QEMU made no socket within {PATIENCE:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn cable(&self) -> PathBuf {
        self.folder.join("cable")
    }

    fn talk(&self) -> PathBuf {
        self.folder.join("talk")
    }

    /// The QEMU arguments of the channel between the guests.
    fn talking(&self, options: &str) -> Vec<String> {
        let path = escaped(&self.talk());
        [
            "-device",
            "virtio-serial-pci",
            "-chardev",
            &format!("socket,id=talk,path={path}{options}"),
            "-device",
            "virtserialport,chardev=talk,name=talk",
        ]
        .map(str::to_owned)
        .into()
    }

    fn stream(&self, card: &Card, is_server: bool) -> Vec<String> {
        let server = if is_server { "on" } else { "off" };
        let path = escaped(&self.cable());
        let id = card.id;
        [
            "-netdev".to_owned(),
            format!("stream,id={id},server={server},addr.type=unix,addr.path={path}"),
        ]
        .into()
    }

    /// The interface of the host for one end.
    fn interface(&self, card: &Card, end: char) -> String {
        format!("{}{}{end}", self.name, card.id)
    }

    /// Creates a bridge with an interface for each end.
    fn make_bridge(&self, card: &Card) -> Result<()> {
        let bridge = self.interface(card, 'b');
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        silence(&bridge)?;
        let mut ends = vec![(self.interface(card, 'g'), card.queues > 1)];
        if card.is_wired() {
            ends.push((self.interface(card, 'p'), false));
        }
        for (tap, has_queues) in ends {
            let mut arguments = vec!["tuntap", "add", "mode", "tap", "name", &tap, "vnet_hdr"];
            if has_queues {
                arguments.push("multi_queue");
            }
            ip(&arguments)?;
            silence(&tap)?;
            ip(&["link", "set", &tap, "mtu", MTU, "txqueuelen", QUEUE])?;
            ip(&["link", "set", &tap, "master", &bridge])?;
            // Guests send from any hardware address, including each other's.
            ip(&[
                "link",
                "set",
                &tap,
                "type",
                "bridge_slave",
                "learning",
                "off",
            ])?;
            ip(&["link", "set", &tap, "up"])?;
        }
        ip(&["link", "set", &bridge, "mtu", MTU])?;
        ip(&["link", "set", &bridge, "up"])?;
        // If loaded, netfilter inspects packets that a bridge forwards, and drops malformed ones.
        for protocol in ["iptables", "ip6tables", "arptables"] {
            let path = format!("/proc/sys/net/bridge/bridge-nf-call-{protocol}");
            if Path::new(&path).exists() {
                fs::write(&path, "0").with_context(|| format!("cannot write `{path}`"))?;
            }
        }
        Ok(())
    }
}

impl Drop for Wires {
    /// Deletes the interfaces; otherwise they would disappear only with the namespace.
    fn drop(&mut self) {
        for card in CARDS.iter().filter(|card| card.cable == Cable::Bridge) {
            for end in ['g', 'p', 'b'] {
                let _ = ip(&["link", "delete", &self.interface(card, end)]);
            }
        }
    }
}

fn tapped(card: &Card, interface: &str, queues: u32) -> Vec<String> {
    let id = card.id;
    let several = format!(",queues={queues}");
    let several = if queues > 1 { several.as_str() } else { "" };
    [
        "-netdev".to_owned(),
        format!("tap,id={id},ifname={interface},script=no,downscript=no,vhost=off{several}"),
    ]
    .into()
}

fn device(card: &Card, mac: [u8; 6], options: &str) -> Vec<String> {
    let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        "-device".to_owned(),
        format!(
            "virtio-net-pci,netdev={},mac={},romfile={options}",
            card.id,
            mac.join(":")
        ),
    ]
    .into()
}

/// Keeps the host from sending packets of its own.
fn silence(interface: &str) -> Result<()> {
    ip(&[
        "link",
        "set",
        interface,
        "addrgenmode",
        "none",
        "arp",
        "off",
    ])
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .context("cannot start `ip`; run `apt-get install iproute2` as root")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`ip {}` failed: {}",
        arguments.join(" "),
        said.trim_end()
    );
    Ok(())
}

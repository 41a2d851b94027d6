//! The machine at the other end of a wire: sends packets on request.

use std::{convert::Infallible, sync::atomic::AtomicBool, time::Duration};

use anyhow::Result;
use benches::{
    mix::{Flow, Mix},
    network::{Link, Namespace},
    traffic::{Limit, Sender},
};
use vm_tests::wire::{Answer, Burst, Request};

use crate::{
    cards::{JUMBO_MTU, MTU, Side, Wired},
    fields,
    firewall::{Count, counts},
    talk::Talk,
};

/// The payload of a frame that does not fit into a buffer of one page.
const PAYLOAD: [u8; 8_000] = [7; 8_000];

/// Serves requests until the machine is ended.
pub(crate) fn serve() -> Result<Infallible> {
    let mut talk = Talk::open()?;
    loop {
        let request: Request = talk.hear(Duration::MAX)?;
        talk.say(&match send(&request) {
            Ok(sent) => Answer::Sent(sent),
            Err(error) => Answer::Failed(format!("{error:#}")),
        })?;
    }
}

fn send(request: &Request) -> Result<Vec<Count>> {
    let mtu = match request.burst {
        Burst::Verdicts => MTU,
        Burst::Jumbo => JUMBO_MTU,
    };
    let Wired { link, .. } = Wired::put_up(request.card, &Side::Peer, mtu)?;
    let mut mix = mix(request.burst, &link)?;
    let mut sender = Sender::open(&Namespace::own()?, &link.peer)?;
    let limit = Limit::Packets(request.packets);
    let stop = AtomicBool::new(false);
    Ok(counts(&sender.run(&mut mix, request.rate, limit, &stop)?))
}

/// The flows of a burst.
pub(crate) fn mix(burst: Burst, link: &Link) -> Result<Mix> {
    match burst {
        Burst::Verdicts => fields::mix(link),
        Burst::Jumbo => {
            let flow = |(name, packet): (&str, benches::packet::Packet)| {
                Flow::new(name).packet(packet.payload(&PAYLOAD))
            };
            let flows = [
                ("dropped, IPv4", link.ipv4().udp(1, DROPPED_PORT)),
                ("dropped, IPv6", link.ipv6().udp(1, DROPPED_PORT)),
                ("passed, IPv4", link.ipv4().udp(1, DROPPED_PORT + 1)),
                (
                    "passed, IPv6, tagged",
                    link.ipv6().vlan(7).udp(1, DROPPED_PORT + 1),
                ),
            ];
            Ok(Mix::new(1, flows.map(flow)))
        }
    }
}

/// The destination port of large frames that are dropped.
pub(crate) const DROPPED_PORT: u16 = 53;

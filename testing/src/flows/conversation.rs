//! Random packets in both directions, biased to what changes flows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rules::evaluator::flows::{Content, Datagram, FragmentHeader};

use crate::Random;

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A packet comes in.
    In(Datagram),
    /// A packet goes out.
    Out(Datagram),
    /// Seconds go by.
    Wait(u64),
}

/// Packets between the machine, hosts behind it and remote ones: few enough that their flows meet.
#[derive(Clone, Debug)]
pub struct Conversation {
    random: Random,
    recent: Vec<Datagram>,
    /// First fragments.
    first: Vec<Datagram>,
}

/// Times are multiples of the coarsest unit of the table, in which both clocks agree.
const UNIT: u64 = 32;

const FLAGS: [u8; 12] = [
    0x02, 0x12, 0x10, 0x18, 0x10, 0x11, 0x19, 0x04, 0x14, 0x01, 0x00, 0x29,
];

impl Conversation {
    /// Those of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            recent: Vec::new(),
            first: Vec::new(),
        }
    }

    /// The next turn.
    pub fn turn(&mut self) -> Turn {
        let odds = self.random.below(100);
        if odds < 4 {
            let long = self.random.percent(5);
            let most = if long { 3_000 } else { 30 };
            return Turn::Wait(UNIT * self.random.within(1, most) as u64);
        }
        let datagram = self.datagram();
        if !matches!(datagram.content, Content::Error(_)) {
            if self.recent.len() == 64 {
                self.recent.remove(0);
            }
            self.recent.push(datagram.clone());
        }
        let datagram = if self.random.percent(20) {
            self.fragment(datagram)
        } else {
            datagram
        };
        if self.random.percent(50) {
            Turn::In(datagram)
        } else {
            Turn::Out(datagram)
        }
    }

    fn datagram(&mut self) -> Datagram {
        if self.recent.is_empty() || self.random.percent(15) {
            return self.fresh();
        }
        let index = self.random.below(self.recent.len());
        let recent = self.recent[index].clone();
        match self.random.below(10) {
            0 => {
                let src = if self.random.percent(80) {
                    recent.dst
                } else {
                    self.address(recent.dst.is_ipv6())
                };
                let dst = if self.random.percent(90) {
                    recent.src
                } else {
                    self.address(recent.src.is_ipv6())
                };
                let about = Datagram {
                    fragment: None,
                    ..recent
                };
                Datagram {
                    src,
                    dst,
                    content: Content::Error(Some(Box::new(about))),
                    fragment: None,
                }
            }
            1..=6 => self.reversed(recent),
            _ => self.again(recent),
        }
    }

    fn reversed(&mut self, datagram: Datagram) -> Datagram {
        let Datagram {
            src, dst, content, ..
        } = datagram;
        let content = match content {
            Content::Tcp { sport, dport, .. } => Content::Tcp {
                sport: dport,
                dport: sport,
                flags: self.random.pick(FLAGS),
                numbers: Some(self.numbers()),
                payload: self.random.percent(40),
            },
            Content::Udp { sport, dport } => Content::Udp {
                sport: dport,
                dport: sport,
            },
            Content::Echo { id, asks } => Content::Echo {
                id,
                asks: asks == self.random.percent(15),
            },
            content @ (Content::Protocol(_) | Content::Error(_) | Content::Message) => content,
        };
        Datagram {
            src: dst,
            dst: src,
            content,
            fragment: None,
        }
    }

    fn again(&mut self, mut datagram: Datagram) -> Datagram {
        if let Content::Tcp {
            flags,
            numbers,
            payload,
            ..
        } = &mut datagram.content
        {
            *flags = self.random.pick(FLAGS);
            *numbers = Some(self.numbers());
            *payload = self.random.percent(40);
        }
        datagram
    }

    fn fresh(&mut self) -> Datagram {
        let is_ipv6 = self.random.percent(40);
        let src = self.address(is_ipv6);
        let mut dst = self.address(is_ipv6);
        while dst == src {
            dst = self.address(is_ipv6);
        }
        let (sport, dport) = (self.port(), self.port());
        let content = match self.random.below(10) {
            0..=4 => Content::Tcp {
                sport,
                dport,
                flags: self.random.pick(FLAGS),
                numbers: Some(self.numbers()),
                payload: self.random.percent(40),
            },
            5 | 6 => Content::Udp { sport, dport },
            7 => Content::Echo {
                id: self.port(),
                asks: self.random.percent(70),
            },
            8 => Content::Protocol(self.random.pick([47, 50, 103])),
            _ => Content::Message,
        };
        Datagram {
            src,
            dst,
            content,
            fragment: None,
        }
    }

    /// Makes a datagram a fragment, if the first fragment of such a datagram has all that its flow is known by.
    fn fragment(&mut self, datagram: Datagram) -> Datagram {
        let is_ipv6 = datagram.dst.is_ipv6();
        let protocol = match datagram.content {
            Content::Udp { .. } => 17,
            Content::Protocol(number) => number,
            Content::Echo { .. } if !is_ipv6 => 1,
            Content::Tcp { .. } | Content::Echo { .. } | Content::Error(_) | Content::Message => {
                return datagram;
            }
        };
        let fragment = FragmentHeader {
            id: self.random.pick([1, 2]),
            protocol: if is_ipv6 { 0 } else { protocol },
            is_later: false,
        };
        let first = Datagram {
            fragment: Some(fragment),
            ..datagram
        };
        match self.random.below(8) {
            0 => Self::later(first),
            1..=3 if !self.first.is_empty() => {
                let index = self.random.below(self.first.len());
                Self::later(self.first[index].clone())
            }
            _ => {
                if self.first.len() == 8 {
                    self.first.remove(0);
                }
                self.first.push(first.clone());
                first
            }
        }
    }

    /// A later fragment of the packet that one is the first fragment of.
    fn later(first: Datagram) -> Datagram {
        let content = match first.content {
            Content::Protocol(number) => Content::Protocol(number),
            Content::Udp { .. }
            | Content::Echo { .. }
            | Content::Tcp { .. }
            | Content::Error(_)
            | Content::Message => Content::Message,
        };
        let fragment = first.fragment.map(|fragment| FragmentHeader {
            is_later: true,
            ..fragment
        });
        Datagram {
            content,
            fragment,
            ..first
        }
    }

    /// A sequence number, and an acknowledgment number that often acknowledges another packet.
    fn numbers(&mut self) -> [u32; 2] {
        [
            self.random.pick([7, u32::MAX]),
            self.random.pick([8, 8, 0, 9]),
        ]
    }

    fn port(&mut self) -> u16 {
        self.random.pick([1, 53, 80, 443, 0x8000, 0xffff])
    }

    fn address(&mut self, is_ipv6: bool) -> IpAddr {
        let number = self.random.pick([1_u8, 2, 3, 0x80, 0xff]);
        if is_ipv6 {
            let high = self.random.pick([1_u16, 0xffff]);
            Ipv6Addr::new(0x2001, 0xdb8, high, 0, 0, 0, 0, number.into()).into()
        } else {
            Ipv4Addr::new(192, 0, self.random.pick([2, 0xfe]), number).into()
        }
    }
}

//! Builds frames from a description of their contents: a [`Recipe`] becomes bytes with consistent
//! lengths, unless it asks for others.
//!
//! [`rules::packet`] writes what hosts send: packets are valid, and it knows the meaning of
//! headers. Here each field is an independent number, so packets can be invalid in any way.

use super::random::Random;

/// The contents of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The destination MAC address; the lower 48 bits.
    pub dst_mac: u64,
    /// The source MAC address, like [`Self::dst_mac`].
    pub src_mac: u64,
    /// The EtherTypes of the VLAN tags and the two bytes after each, the outermost first.
    pub tags: Vec<(u16, u16)>,
    /// The PPPoE session in which the rest is, if it is in one.
    pub session: Option<Session>,
    /// The payload of the Ethernet frame.
    pub layer3: Layer3,
    /// The IPv4 type of service or the IPv6 traffic class.
    pub class: u8,
    /// The IPv4 time to live or the IPv6 hop limit.
    pub hop_limit: u8,
    /// The payload of the IP packet.
    pub upper: Upper,
    /// The bytes after the L4 header.
    pub payload: Vec<u8>,
    /// The difference between the length in the IP header and the actual length; if negative, the
    /// last bytes become padding.
    pub overstated: i32,
    /// The bytes after the packet.
    pub padding: Vec<u8>,
}

/// The headers of a PPPoE session and of PPP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Version and type, and the code.
    pub start: [u8; 2],
    /// Whether the PPP protocol takes one byte, if it can.
    pub short: bool,
    /// How much more than there is the header states as its length.
    pub overstated: i32,
}

impl Session {
    /// The headers in front of `length` bytes of this EtherType.
    fn bytes(&self, ethertype: u16, length: usize) -> Vec<u8> {
        let protocol = match (ethertype, self.short) {
            (0x0800, true) => vec![0x21],
            (0x0800, false) => vec![0, 0x21],
            (0x86dd, true) => vec![0x57],
            (0x86dd, false) => vec![0, 0x57],
            // Link control, whatever else it was to be.
            (_, _) => vec![0xc0, 0x21],
        };
        let [start, code] = self.start;
        let length = stated(length + protocol.len(), self.overstated).to_be_bytes();
        [&[start, code, 0x42, 0x42], &length[..], &protocol].concat()
    }
}

/// The payload of an Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer3 {
    /// A frame that is not IP.
    Other {
        /// The EtherType.
        ethertype: u16,
    },
    /// IPv4.
    Ipv4 {
        /// The source address.
        src: u32,
        /// The destination address.
        dst: u32,
        /// The options; padded with zeros to a multiple of 4 bytes, at most 40.
        options: Vec<u8>,
        /// The flags (more fragments is 0x2000) and the fragment offset, as in the header.
        fragment: u16,
    },
    /// IPv6.
    Ipv6 {
        /// The source address.
        src: u128,
        /// The destination address.
        dst: u128,
        /// The extension headers.
        extensions: Vec<Extension>,
    },
}

/// An IPv6 extension header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The number of the header: 0, 43, 44, 51 or 60.
    pub number: u8,
    /// The length field; the fragment header, 8 bytes long, has none and uses it as the reserved
    /// byte.
    pub length: u8,
    /// The first bytes after the length field; of a fragment header the first two are the fragment
    /// offset and the flag for more.
    pub body: Vec<u8>,
}

impl Extension {
    /// The length of the header in bytes, by the rule for its number.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self.number {
            44 => 8,
            51 => (usize::from(self.length) + 2) * 4,
            _ => (usize::from(self.length) + 1) * 8,
        }
    }
}

/// The header that an IP packet carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upper {
    /// The number of the protocol.
    pub protocol: u8,
    /// The source port, where the protocol has one.
    pub sport: u16,
    /// The destination port, where the protocol has one.
    pub dport: u16,
    /// The TCP flags.
    pub tcp_flags: u8,
    /// The TCP data offset, in words of 4 bytes.
    pub data_offset: u8,
    /// The ICMP message, `type << 8 | code`.
    pub icmp: u16,
}

impl Recipe {
    /// The bytes of the frame.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        for address in [self.dst_mac, self.src_mac] {
            let [_, _, bytes @ ..] = address.to_be_bytes();
            frame.extend(bytes);
        }
        for (kind, control) in &self.tags {
            frame.extend(kind.to_be_bytes());
            frame.extend(control.to_be_bytes());
        }
        let (ethertype, packet) = self.packet();
        if let Some(session) = &self.session {
            frame.extend([0x88, 0x64]);
            frame.extend(session.bytes(ethertype, packet.len()));
        } else {
            frame.extend(ethertype.to_be_bytes());
        }
        frame.extend(packet);
        frame.extend(&self.padding);
        frame
    }

    /// What is carried, and its EtherType.
    fn packet(&self) -> (u16, Vec<u8>) {
        let mut packet = Vec::new();
        let mut upper = self.upper.bytes();
        upper.extend(&self.payload);
        let ethertype = match &self.layer3 {
            Layer3::Other { ethertype } => *ethertype,
            Layer3::Ipv4 {
                src,
                dst,
                options,
                fragment,
            } => {
                let words = options.len().min(40).div_ceil(4);
                let mut options = options.clone();
                options.resize(words * 4, 0);
                let total = stated(20 + options.len() + upper.len(), self.overstated);
                packet.extend([0x45 + words as u8, self.class]);
                packet.extend(total.to_be_bytes());
                packet.extend([0xab, 0xcd]);
                packet.extend(fragment.to_be_bytes());
                packet.extend([self.hop_limit, self.upper.protocol, 0, 0]);
                packet.extend(src.to_be_bytes());
                packet.extend(dst.to_be_bytes());
                packet.extend(options);
                0x0800
            }
            Layer3::Ipv6 {
                src,
                dst,
                extensions,
            } => {
                packet.extend([0x60 | self.class >> 4, self.class << 4, 0, 0]);
                let length: usize = extensions.iter().map(Extension::bytes).sum();
                packet.extend(stated(length + upper.len(), self.overstated).to_be_bytes());
                let numbers = extensions.iter().map(|extension| extension.number);
                let mut next = numbers.chain([self.upper.protocol]);
                packet.extend(next.next());
                packet.push(self.hop_limit);
                packet.extend(src.to_be_bytes());
                packet.extend(dst.to_be_bytes());
                for (extension, next) in extensions.iter().zip(next) {
                    let mut bytes = vec![next, extension.length];
                    bytes.extend(&extension.body);
                    bytes.resize(extension.bytes(), 0);
                    packet.extend(bytes);
                }
                0x86dd
            }
        };
        packet.extend(upper);
        (ethertype, packet)
    }

    /// The bytes of the IP packet, or of what is in its stead.
    pub(super) fn length(&self) -> usize {
        self.packet().1.len()
    }
}

/// A length, and how much is added to it where a header states it.
fn stated(length: usize, overstated: i32) -> u16 {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    let stated = length.saturating_add(overstated).max(0);
    u16::try_from(stated).unwrap_or(u16::MAX)
}

impl Upper {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20);
        match self.protocol {
            1 | 58 => {
                bytes.extend(self.icmp.to_be_bytes());
                bytes.extend([0; 6]);
            }
            6 | 17 | 33 | 132 | 136 => {
                bytes.extend(self.sport.to_be_bytes());
                bytes.extend(self.dport.to_be_bytes());
                match self.protocol {
                    6 => {
                        bytes.extend([0; 8]);
                        bytes.extend([self.data_offset << 4, self.tcp_flags]);
                        bytes.extend([0xff, 0xff, 0, 0, 0, 0]);
                    }
                    33 | 132 => bytes.extend([0; 8]),
                    _ => bytes.extend([0; 4]),
                }
            }
            _ => {}
        }
        bytes
    }
}

/// Makes a random recipe; most frames are well-formed.
#[must_use]
pub fn recipe(random: &mut Random) -> Recipe {
    let protocol = random.pick([
        6, 6, 6, 6, 17, 17, 17, 1, 58, 132, 33, 136, 0, 41, 43, 44, 47, 50, 51, 59, 60, 135, 255,
    ]);
    let mut layer3 = match random.below(20) {
        0 => Layer3::Other {
            ethertype: other_ethertype(random),
        },
        1..9 => ipv4(random),
        _ => ipv6(random),
    };
    if let Layer3::Ipv6 { src, .. } = &mut layer3
        && random.below(4) == 0
    {
        *src = *src >> 10 | 0xfe80 << 112;
    }
    let payload = bytes(random, 24);
    let mut recipe = Recipe {
        dst_mac: random.pick([0x0200_0000_0002, 0x0200_0000_0002, 0xffff_ffff_ffff]),
        src_mac: 0x0200_0000_0001,
        tags: Vec::new(),
        session: None,
        layer3,
        class: random.byte() & random.pick([0, 0xff]),
        hop_limit: random.pick([64, 1, 255]),
        upper: Upper {
            protocol,
            sport: random.half(),
            dport: random.half(),
            tcp_flags: random.byte(),
            data_offset: 5,
            icmp: match random.below(4) {
                0 => random.pick([0x8200, 0x8500, 0x8700, 0x8900]),
                _ => random.half(),
            },
        },
        payload,
        overstated: 0,
        padding: Vec::new(),
    };
    if random.percent(20) {
        recipe.tags = tags(random);
    }
    if random.percent(4) {
        recipe.upper.data_offset = random.byte() & 15;
    }
    if random.percent(6) {
        recipe.overstated = random.within(0, 50) as i32 - 40;
    }
    if random.percent(20) {
        recipe.padding = bytes(random, 50);
    }
    if random.percent(1) {
        state_no_length(random, &mut recipe);
        if random.percent(20) {
            grow(random, &mut recipe);
        }
    }
    if random.percent(5) {
        recipe.session = Some(session(random));
    }
    recipe
}

/// Makes a packet about as long as an IP header can state, or longer, as kernels make them.
fn grow(random: &mut Random, recipe: &mut Recipe) {
    let wanted: usize = 65_535 + random.pick([0, 0, 1, 2, 39, 40, 41, 42, 1000]);
    let missing = wanted.saturating_sub(recipe.length());
    recipe.payload.resize(recipe.payload.len() + missing, 0);
}

fn session(random: &mut Random) -> Session {
    Session {
        start: random.pick([[0x11, 0], [0x11, 0], [0x21, 0xa7]]),
        short: random.percent(20),
        overstated: if random.percent(10) {
            random.within(0, 60) as i32 - 50
        } else {
            0
        },
    }
}

/// Makes the IP header state 0 as the length; in IPv6, adds a jumbo payload option or one that
/// almost is one.
fn state_no_length(random: &mut Random, recipe: &mut Recipe) {
    recipe.overstated = i32::MIN;
    if let Layer3::Ipv6 { extensions, .. } = &mut recipe.layer3 {
        let [high, low] = random.pick([0_u16, 1, u16::MAX]).to_be_bytes();
        let body = vec![
            random.pick([0xc2, 0xc2, 1]),
            random.pick([4, 4, 0]),
            high,
            low,
        ];
        let first = Extension {
            number: 0,
            length: 0,
            body,
        };
        extensions.insert(0, first);
    }
}

/// Up to 5 VLAN tags, one more than is allowed.
fn tags(random: &mut Random) -> Vec<(u16, u16)> {
    let count = random.pick([1, 1, 1, 2, 2, 3, 4, 5]);
    (0..count)
        .map(|_| {
            let kind = random.pick([0x8100, 0x8100, 0x88a8, 0x9100]);
            (kind, random.half())
        })
        .collect()
}

fn other_ethertype(random: &mut Random) -> u16 {
    let known = random.pick([
        0x0806, 0x0806, 0x88cc, 0x8864, 0x8847, 0x05ff, 0, 0xffff, 0x9200,
    ]);
    if random.percent(80) {
        known
    } else {
        random.half()
    }
}

fn ipv4(random: &mut Random) -> Layer3 {
    let options = match random.below(20) {
        0 => bytes(random, 40),
        1..3 => ip_options(random),
        _ => Vec::new(),
    };
    let fragment = match random.below(20) {
        0 => 0x2000,
        1 => random.half() & 0x1fff | 0x2000,
        2 => random.pick([1, 2, 0x1fff]),
        3 => random.half(),
        4..12 => 0x4000,
        _ => 0,
    };
    Layer3::Ipv4 {
        src: random.half().into(),
        dst: random.half().into(),
        options,
        fragment,
    }
}

/// IPv4 options with their lengths.
pub(super) fn ip_options(random: &mut Random) -> Vec<u8> {
    let mut options = Vec::new();
    for _ in 0..random.within(1, 5) {
        let option = random.pick([0, 1, 1, 1, 7, 68, 130, 131, 136, 137, 148, 255]);
        options.push(option);
        if option > 1 {
            let length = random.pick([2, 2, 3, 4, 7, 11]);
            options.push(length);
            options.extend((2..length).map(|_| random.byte()));
        }
    }
    options.truncate(40);
    options
}

fn ipv6(random: &mut Random) -> Layer3 {
    let count = match random.below(10) {
        0..6 => 0,
        6 => 1,
        7 => 2,
        _ => random.within(0, 9),
    };
    Layer3::Ipv6 {
        src: random.wide_bits(),
        dst: random.wide_bits(),
        extensions: (0..count).map(|_| extension(random)).collect(),
    }
}

fn extension(random: &mut Random) -> Extension {
    let number = random.pick([0, 0, 43, 44, 51, 60, 60]);
    let mut body = bytes(random, 24);
    if number == 44 {
        // Later fragments end the chain, so most are first fragments or atomic.
        let offset = if random.percent(25) {
            random.half() & !7
        } else {
            0
        };
        let fragment = offset | random.pick([0, 0, 1, 6]);
        body = fragment.to_be_bytes().to_vec();
    }
    Extension {
        number,
        length: random.pick([0, 0, 0, 1, 1, 2, 5]),
        body,
    }
}

fn bytes(random: &mut Random, most: usize) -> Vec<u8> {
    let count = random.within(0, most);
    (0..count).map(|_| random.byte()).collect()
}

//! A field, how packets get its values, and which packets lack it.

use rules::{Context, field::FieldName};

use super::matcher::{Aspect, Kind, Matcher, Operator, Packet, can_be};
use crate::{
    frames::{Extension, Layer3, Recipe, Session, Upper},
    probes::Probe,
};

/// The interface on which packets arrive.
pub(super) const ETH0: u32 = 2;

/// A packet without the value of the field so far.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) recipe: Recipe,
    pub(super) context: Context<u32>,
}

/// A field and the functions that make packets for it.
pub(super) struct Subject {
    pub(super) field: FieldName,
    /// The packets of a kind that get values.
    pub(super) drafts: fn(Kind) -> Vec<Draft>,
    /// Sets the value in a packet.
    pub(super) put: fn(&mut Draft, u128),
    /// The packets of a kind that lack the field.
    pub(super) lacking: fn(Kind) -> Vec<Draft>,
}

/// Values for packets of a kind: those that match, and those that do not.
pub(super) type Values<'a> = (Kind, &'a [u128], &'a [u128]);

impl Subject {
    /// A rule, and packets with values for it.
    pub(super) fn rule(
        &self,
        operator: Operator,
        rule: &'static str,
        values: &[Values<'_>],
    ) -> Matcher {
        let mut packets = Vec::new();
        for &kind in Kind::ALL {
            let mut add = |aspect, draft: &Draft| {
                packets.push(Packet {
                    kind,
                    aspect,
                    probe: draft.probe(),
                });
            };
            let of_kind = values.iter().filter(|(its, _, _)| *its == kind);
            for (aspect, value) in of_kind.flat_map(|(_, hits, misses)| {
                let hits = hits.iter().map(|value| (Aspect::Match, *value));
                hits.chain(misses.iter().map(|value| (Aspect::Miss, *value)))
            }) {
                for mut draft in (self.drafts)(kind) {
                    (self.put)(&mut draft, value);
                    add(aspect, &draft);
                }
            }
            for draft in (self.lacking)(kind) {
                add(Aspect::Absent, &draft);
            }
            packets.extend(self.truncated(kind, values));
        }
        Matcher {
            field: self.field,
            operator,
            rule,
            packets,
        }
    }

    /// A rule with the same values for packets of every kind that has the field.
    pub(super) fn alike(
        &self,
        operator: Operator,
        rule: &'static str,
        hits: &[u128],
        misses: &[u128],
    ) -> Matcher {
        let kinds = Kind::ALL.iter();
        let having = kinds.filter(|kind| can_be(self.field, **kind, Aspect::Match));
        let values: Vec<_> = having.map(|kind| (*kind, hits, misses)).collect();
        self.rule(operator, rule, &values)
    }

    /// A packet that would match, or at least one of the kind, truncated at every length.
    fn truncated(&self, kind: Kind, values: &[Values<'_>]) -> Vec<Packet> {
        let of_kind = values.iter().find(|(its, _, _)| *its == kind);
        let hit = of_kind.and_then(|(_, hits, _)| hits.first());
        let mut draft = (self.drafts)(kind)
            .into_iter()
            .next()
            .unwrap_or_else(|| plain(kind, UDP));
        if let Some(value) = hit {
            (self.put)(&mut draft, *value);
        }
        let whole = draft.probe();
        (0..whole.frame.len())
            .map(|length| Packet {
                kind,
                aspect: Aspect::Truncated,
                probe: Probe {
                    frame: whole.frame.iter().take(length).copied().collect(),
                    ..whole
                },
            })
            .collect()
    }
}

impl Draft {
    fn probe(&self) -> Probe {
        Probe {
            frame: self.recipe.bytes(),
            context: self.context,
        }
    }

    /// Inserts an outermost VLAN tag.
    pub(super) fn tag(&mut self, kind: u16, id: u16) {
        const PRIORITY: u16 = 5 << 13;
        self.recipe.tags.insert(0, (kind, PRIORITY | id));
    }

    /// Makes an IP packet a fragment; the offset is in units of 8 bytes.
    pub(super) fn fragment(&mut self, offset: u16, more: bool) {
        match &mut self.recipe.layer3 {
            Layer3::Other { .. } => {}
            Layer3::Ipv4 { fragment, .. } => *fragment = offset | if more { 0x2000 } else { 0 },
            Layer3::Ipv6 { extensions, .. } => extensions.push(Extension {
                number: 44,
                length: 0,
                body: (offset << 3 | u16::from(more)).to_be_bytes().to_vec(),
            }),
        }
    }
}

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const GRE: u8 = 47;
pub(super) const ICMPV6: u8 = 58;

/// A plain packet of an L4 protocol.
pub(super) fn plain(kind: Kind, protocol: u8) -> Draft {
    let layer3 = match kind {
        // LLDP.
        Kind::Other => Layer3::Other { ethertype: 0x88cc },
        Kind::Ipv4 => Layer3::Ipv4 {
            src: 0xc000_0201,
            dst: 0xc633_6402,
            options: Vec::new(),
            fragment: 0,
        },
        Kind::Ipv6 => Layer3::Ipv6 {
            src: 0x2001_0db8 << 96 | 1,
            dst: 0x2001_0db8 << 96 | 2,
            extensions: Vec::new(),
        },
    };
    let upper = match kind {
        Kind::Other => Upper::default(),
        Kind::Ipv4 | Kind::Ipv6 => Upper {
            protocol,
            sport: 4242,
            dport: 53,
            tcp_flags: 0x18,
            data_offset: 5,
            icmp: 0,
        },
    };
    Draft {
        recipe: Recipe {
            dst_mac: 0x0200_0000_0002,
            src_mac: 0x0200_0000_0001,
            tags: Vec::new(),
            session: None,
            layer3,
            class: 0,
            hop_limit: 64,
            upper,
            payload: Vec::new(),
            overstated: 0,
            padding: Vec::new(),
        },
        context: Context::arriving(ETH0),
    }
}

/// The packet with tags, plain, with padding, with options or extension headers, and in a PPPoE
/// session if it is IP.
pub(super) fn dressed(draft: Draft) -> Vec<Draft> {
    let mut tagged = draft.clone();
    tagged.tag(0x8100, 7);
    tagged.tag(0x88a8, 9);
    let mut padded = draft.clone();
    padded.recipe.padding = vec![0xff; 9];
    let mut longer = draft.clone();
    match &mut longer.recipe.layer3 {
        Layer3::Other { .. } => longer.recipe.payload = vec![0; 50],
        Layer3::Ipv4 { options, .. } => *options = vec![1; 12],
        Layer3::Ipv6 { extensions, .. } => {
            *extensions = [0, 60, 43]
                .map(|number| Extension {
                    number,
                    length: 1,
                    body: vec![0; 4],
                })
                .to_vec();
        }
    }
    let mut in_session = draft.clone();
    if !matches!(draft.recipe.layer3, Layer3::Other { .. }) {
        in_session.recipe.session = Some(Session {
            start: [0x11, 0],
            short: false,
            overstated: 0,
        });
    }
    vec![tagged, draft, padded, longer, in_session]
}

/// Packets of a kind in all these variants; IP packets contain UDP.
pub(super) fn of_kind(kind: Kind) -> Vec<Draft> {
    dressed(plain(kind, UDP))
}

/// Frames that are not IP, for fields that all IP packets have.
pub(super) fn not_ip(kind: Kind) -> Vec<Draft> {
    match kind {
        Kind::Ipv4 | Kind::Ipv6 => Vec::new(),
        Kind::Other => of_kind(kind),
    }
}

/// No packet, for fields that every frame has.
pub(super) fn none(_: Kind) -> Vec<Draft> {
    Vec::new()
}

//! A mix of flows, from which the next packet is drawn pseudo-randomly.

use crate::{mark::Mark, packet::Packet, random::Random};

/// Packets that belong together: counted together, and expected to get one verdict.
#[derive(Clone, Debug)]
pub struct Flow {
    name: String,
    weight: u32,
    packets: Vec<Packet>,
}

impl Flow {
    /// Starts a flow of weight 1 without packets.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            weight: 1,
            packets: Vec::new(),
        }
    }

    /// Sets the share of the flow in its mix, relative to that of the others.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Adds a packet. Each time the flow is drawn, one of its packets is sent.
    #[must_use]
    pub fn packet(mut self, packet: Packet) -> Self {
        self.packets.push(packet);
        self
    }

    /// Adds packets.
    #[must_use]
    pub fn packets(mut self, packets: impl IntoIterator<Item = Packet>) -> Self {
        self.packets.extend(packets);
        self
    }
}

/// A flow with its frames.
#[derive(Clone, Debug)]
struct Source {
    name: String,
    frames: Vec<Vec<u8>>,
    /// The sum of the weights up to and including this flow.
    limit: u64,
    sequence: u32,
}

/// Flows and the generator that draws from them.
///
/// The frames are built once, with a [`Mark`] at their end; a draw only renumbers one. Damaged
/// packets are marked before the damage, so a truncated one has no mark.
#[derive(Clone, Debug)]
pub struct Mix {
    sources: Vec<Source>,
    random: Random,
}

/// A frame drawn from a [`Mix`].
#[derive(Debug)]
pub struct Draw<'a> {
    /// The index of the flow, in the order in which flows were given.
    pub flow: usize,
    /// The frame to send.
    pub frame: &'a [u8],
}

impl Mix {
    /// Builds the frames of `flows`. A flow without packets or with weight 0 is never drawn.
    #[must_use]
    pub fn new(seed: u64, flows: impl IntoIterator<Item = Flow>) -> Self {
        let mut limit = 0;
        let sources = flows
            .into_iter()
            .zip(0..)
            .map(|(flow, number)| {
                let mark = Mark {
                    flow: number,
                    sequence: 0,
                };
                if !flow.packets.is_empty() {
                    limit += u64::from(flow.weight);
                }
                let build = |packet: Packet| packet.payload(&mark.encode()).build();
                Source {
                    name: flow.name,
                    frames: flow.packets.into_iter().map(build).collect(),
                    limit,
                    sequence: 0,
                }
            })
            .collect();
        Self {
            sources,
            random: Random::new(seed),
        }
    }

    /// The names of the flows, in the order given.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.sources.iter().map(|source| source.name.as_str())
    }

    /// The number of flows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are no flows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Draws the next frame, or `None` if no flow can be drawn.
    pub fn draw(&mut self) -> Option<Draw<'_>> {
        let total = self.sources.last()?.limit;
        let ticket = self.random.below(total);
        let flow = self
            .sources
            .partition_point(|source| source.limit <= ticket);
        let source = self.sources.get_mut(flow)?;
        let index = self.random.below(source.frames.len() as u64);
        let frame = source.frames.get_mut(usize::try_from(index).ok()?)?;
        if Mark::decode(frame).is_some() {
            Mark::renumber(frame, source.sequence);
        }
        source.sequence = source.sequence.wrapping_add(1);
        Some(Draw { flow, frame })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(port: u16) -> Packet {
        Packet::ipv4([192, 0, 2, 2].into(), [192, 0, 2, 1].into()).udp(port, port)
    }

    fn mix(seed: u64) -> Mix {
        Mix::new(
            seed,
            [
                Flow::new("empty").weight(5),
                Flow::new("one").packet(packet(1)),
                Flow::new("never").weight(0).packet(packet(2)),
                Flow::new("three").weight(3).packets([packet(3), packet(4)]),
            ],
        )
    }

    #[test]
    fn flows_are_drawn_by_weight_and_numbered_without_gaps() {
        let mut mix = mix(1);
        let mut drawn = [0u32; 4];
        for _ in 0..4000 {
            let Draw { flow, frame } = mix.draw().unwrap();
            let mark = Mark::decode(frame).unwrap();
            assert_eq!(mark.flow as usize, flow);
            assert_eq!(mark.sequence, drawn[flow]);
            drawn[flow] += 1;
        }
        assert_eq!((drawn[0], drawn[2]), (0, 0));
        assert!((900..1100).contains(&drawn[1]), "{drawn:?}");
    }

    #[test]
    fn the_same_seed_draws_the_same_frames() {
        let frames = |seed| {
            let mut mix = mix(seed);
            (0..100)
                .map(|_| mix.draw().unwrap().frame.to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(frames(7), frames(7));
        assert_ne!(frames(7), frames(8));
    }

    #[test]
    fn a_mix_of_nothing_draws_nothing() {
        assert!(Mix::new(1, []).draw().is_none());
        assert!(Mix::new(1, [Flow::new("empty")]).draw().is_none());
    }
}

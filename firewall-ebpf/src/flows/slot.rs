//! The two words of a flow.

use super::phase::Phase;

/// A flow in its slot.
///
/// Of IPv4 the slot has the whole tuple, of IPv6 104 bits of a keyed hash. The first word never
/// changes while the flow is there; what changes is in the second, so that one store changes it.
///
/// | word, bits | IPv4 | IPv6 |
/// | --- | --- | --- |
/// | 0, 0-1 | the number of the [`Protocol`](super::Protocol) | the same |
/// | 0, 2 | whether the second end began the flow | the same |
/// | 0, 3 | 0 | 1 |
/// | 0, 4 | whether a packet in began the flow | the same |
/// | 0, 5-15 | bits of the keyed hash of the tuple | hash |
/// | 0, 16-63 | port and address of the first end | hash |
/// | 1, 0-12 | the stamp | the same |
/// | 1, 13-15 | the number of the [`Phase`](super::Phase) | the same |
/// | 1, 16-63 | port and address of the second end | hash |
///
/// While the phase is [`Noted`](super::Phase::Noted), bits 16-47 of the second word are the sequence number of the SYN,ACK
/// instead. What is left identifies the flow all the same: the first word, 16 bits of the second, the tag and the line.
///
/// Two words that were written by two CPUs for two flows could be a third flow: the ends of one each. The bits of
/// the hash in the first word are those of the whole tuple, so that the pair matches no tuple, but by chance:
/// one in 2,048, and one in 256 that the tag is that of the tuple.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The word that says whose flow it is.
    pub first: u64,
    /// The word that says what has become of it.
    pub second: u64,
}

/// The addresses of an IPv6 flow, for those who list flows: a slot has only a hash of them. The
/// element of the slot's number in a map of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The address of the first end, in two words.
    pub first: [u64; 2],
    /// That of the second.
    pub second: [u64; 2],
    /// The port of the first end in bits 0-15, that of the second in bits 16-31.
    pub ports: u64,
}

const _: () = assert!(size_of::<Addresses>() == 40);

impl Slot {
    const BEGAN_SECOND: u64 = 1 << 2;
    const IPV6: u64 = 1 << 3;
    const BEGAN_OUTSIDE: u64 = 1 << 4;
    const BEGAN: u64 = Self::BEGAN_SECOND | Self::BEGAN_OUTSIDE;
    const LIFE: u64 = 0xffff;
    const NUMBER: u32 = 16;
    const NOTED: u32 = 48;

    #[inline(always)]
    pub(super) const fn ipv4(first: u64, second: u64, check: u32, protocol: u32) -> Self {
        Self {
            first: first << 16 | (check as u64 & 0x7ff) << 5 | protocol as u64,
            second: second << 16,
        }
    }

    #[inline(always)]
    pub(super) const fn ipv6(one: u64, other: u64, protocol: u32) -> Self {
        Self {
            first: one & !0x1f | Self::IPV6 | protocol as u64,
            second: other & !Self::LIFE,
        }
    }

    /// Whether the flow is that of a tuple, whose slot `other` is.
    #[inline(always)]
    pub(super) const fn is_of(self, other: Self) -> bool {
        let first = (self.first ^ other.first) & !Self::BEGAN;
        let second = self.second ^ other.second;
        let is_noted = self.life() >> 13 == Phase::Noted as u16;
        first | second >> 16 == 0 || is_noted && first | second >> Self::NOTED == 0
    }

    /// The same of a flow that a packet in has begun.
    #[inline(always)]
    pub(super) const fn begun_outside(self) -> Self {
        Self {
            first: self.first | Self::BEGAN_OUTSIDE,
            second: self.second,
        }
    }

    /// The same begun by the other end.
    #[inline(always)]
    pub(super) const fn begun_by_other(self) -> Self {
        Self {
            first: self.first ^ Self::BEGAN_SECOND,
            second: self.second,
        }
    }

    /// The same with the sequence number of the SYN,ACK.
    #[inline(always)]
    pub(super) const fn with_number(self, number: u32) -> Self {
        const NUMBERS: u64 = (u32::MAX as u64) << Slot::NUMBER;
        Self {
            first: self.first,
            second: self.second & !NUMBERS | (number as u64) << Self::NUMBER,
        }
    }

    /// The sequence number of the SYN,ACK, if the phase is [`Noted`](super::Phase::Noted).
    #[inline(always)]
    pub(super) const fn number(self) -> u32 {
        (self.second >> Self::NUMBER) as u32
    }

    /// The same with another life: the phase and the stamp.
    #[inline(always)]
    pub(super) const fn with_life(self, life: u16) -> Self {
        Self {
            first: self.first,
            second: self.second & !Self::LIFE | life as u64,
        }
    }

    /// The same of a flow that the first end has begun, begun by the second if `second` is 1, not 0.
    #[inline(always)]
    pub(super) const fn begun_by(self, second: u64) -> Self {
        Self {
            first: self.first | second << Self::BEGAN_SECOND.trailing_zeros(),
            second: self.second,
        }
    }

    /// The phase and the stamp.
    #[must_use]
    #[inline(always)]
    pub const fn life(self) -> u16 {
        self.second as u16
    }

    /// Whether the second end began the flow.
    #[must_use]
    #[inline(always)]
    pub const fn began_second(self) -> bool {
        self.first & Self::BEGAN_SECOND != 0
    }

    /// Whether a packet in began the flow.
    #[must_use]
    #[inline(always)]
    pub const fn began_outside(self) -> bool {
        self.first & Self::BEGAN_OUTSIDE != 0
    }

    /// Whether the flow is one of IPv6.
    #[must_use]
    #[inline(always)]
    pub const fn is_ipv6(self) -> bool {
        self.first & Self::IPV6 != 0
    }

    /// The number of the [`Protocol`](super::Protocol).
    #[must_use]
    #[inline(always)]
    pub const fn protocol(self) -> u32 {
        self.first as u32 & 3
    }

    /// The address and the port of both ends of an IPv4 flow. Of one that is [`Noted`](super::Phase::Noted), the second is not
    /// known but for the upper half of its address.
    #[must_use]
    pub const fn ends(self) -> [(u32, u16); 2] {
        [
            ((self.first >> 32) as u32, (self.first >> 16) as u16),
            ((self.second >> 32) as u32, (self.second >> 16) as u16),
        ]
    }
}

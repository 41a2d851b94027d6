//! What a flow has come to, and what a packet makes of it.

use super::transport::Transport;

/// What a flow has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Not answered yet.
    Unanswered = 0,
    /// Answered.
    Answered = 1,
    /// TCP: the first end has closed its direction.
    FirstClosed = 2,
    /// TCP: the second end has closed its direction.
    SecondClosed = 3,
    /// TCP: both have closed, or an end of which packets go out has reset.
    Closed = 4,
    /// TCP: a reset has come in, which anyone may have sent. The next packet out shows that the
    /// connection goes on.
    Doubtful = 5,
    /// Begun by a packet in, and not answered yet.
    Incoming = 6,
    /// TCP: begun by a packet in, and answered by a SYN,ACK, whose sequence number is in the slot. Only who has got the
    /// answer can acknowledge it.
    Noted = 7,
}

impl Phase {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Unanswered,
        Self::Answered,
        Self::FirstClosed,
        Self::SecondClosed,
        Self::Closed,
        Self::Doubtful,
        Self::Incoming,
        Self::Noted,
    ];

    /// The number.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// That in which an end has closed its direction, the second or the first.
    #[inline(always)]
    pub(super) const fn closed_by(second: bool) -> Self {
        if second {
            Self::SecondClosed
        } else {
            Self::FirstClosed
        }
    }

    /// Whether flows of a phase, given by its number, give way to others first.
    #[inline(always)]
    pub(super) const fn is_weak(phase: u32) -> bool {
        const WEAK: u32 = 1 << Phase::Unanswered.number()
            | 1 << Phase::Closed.number()
            | 1 << Phase::Doubtful.number()
            | Phase::WAITS;
        WEAK >> phase & 1 != 0
    }

    /// Whether a flow of a phase, given by its number, was begun by a packet in and waits for its answer, or for the proof
    /// that this has arrived.
    #[inline(always)]
    pub(super) const fn waits(phase: u32) -> bool {
        Self::WAITS >> phase & 1 != 0
    }

    const WAITS: u32 = 1 << Self::Incoming.number() | 1 << Self::Noted.number();
}

/// What a packet is to the flow that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Role {
    /// Whether it goes out.
    pub(super) is_out: bool,
    /// Whether the second end has sent it.
    pub(super) from_second: bool,
    /// Whether the end that began the flow has sent it.
    pub(super) from_beginner: bool,
}

/// The number of the phase that a packet makes of a phase.
#[inline(always)]
pub(super) const fn next(phase: u32, upper: Transport, step: Role) -> u32 {
    const UNANSWERED: u32 = Phase::Unanswered.number();
    const ANSWERED: u32 = Phase::Answered.number();
    const CLOSED: u32 = Phase::Closed.number();
    const DOUBTFUL: u32 = Phase::Doubtful.number();
    if !upper.is_tcp() {
        return if phase == UNANSWERED && step.from_beginner {
            UNANSWERED
        } else {
            ANSWERED
        };
    }
    if upper.has(Transport::RST) {
        return if step.is_out || phase == CLOSED {
            CLOSED
        } else {
            DOUBTFUL
        };
    }
    let phase = if phase == DOUBTFUL && step.is_out || phase == UNANSWERED && !step.from_beginner {
        ANSWERED
    } else {
        phase
    };
    if upper.has(Transport::FIN) && phase != UNANSWERED {
        let own = Phase::closed_by(step.from_second).number();
        let other = Phase::closed_by(!step.from_second).number();
        return if phase == other || phase == CLOSED {
            CLOSED
        } else if phase == DOUBTFUL {
            DOUBTFUL
        } else {
            own
        };
    }
    phase
}

/// Whether a packet that comes in keeps a flow of this phase from its end. What may be over is not
/// kept by packets that anyone may have sent, and what is not answered not by those that ask.
#[inline(always)]
pub(super) const fn is_kept_by_packets_in(phase: u32) -> bool {
    !Phase::is_weak(phase)
}

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
}

impl Phase {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Unanswered,
        Self::Answered,
        Self::FirstClosed,
        Self::SecondClosed,
        Self::Closed,
        Self::Doubtful,
    ];

    /// The number.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Whether flows of a phase, given by its number, give way to others first.
    #[inline(always)]
    pub(super) const fn is_weak(phase: u32) -> bool {
        const WEAK: u32 = 1 << Phase::Unanswered.number()
            | 1 << Phase::Closed.number()
            | 1 << Phase::Doubtful.number();
        WEAK >> phase & 1 != 0
    }
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
        let (own, other) = if step.from_second {
            (Phase::SecondClosed.number(), Phase::FirstClosed.number())
        } else {
            (Phase::FirstClosed.number(), Phase::SecondClosed.number())
        };
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

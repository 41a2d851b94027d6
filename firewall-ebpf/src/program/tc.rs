//! The programs at the traffic-control hooks: where a classification becomes an action of theirs.

#![forbid(unsafe_code)]

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use aya_log_ebpf::{debug, warn};
use firewall_ebpf::{
    abi::{Direction, Reason},
    image::{Drops, Header, Memory as _, RuleSlot},
    parse::parse,
    state::State,
    walk::{Classification, Hook, classify},
};

use super::{
    bans::ban_of,
    flows::{UNJUDGED, go_on_to_judge_bare, go_on_to_track, state_in},
    image::Image,
    skb::{self, Sent, Skb},
};

/// The target of messages, whichever module they come from.
const TARGET: &str = "firewall_tc";

/// Lets the programs that follow on the interface see the packet: another value ends the chain.
pub(super) const NEXT: i32 = TC_ACT_UNSPEC;

const SHOT: i32 = TC_ACT_SHOT as i32;

/// Classifies a packet that leaves.
#[classifier]
#[inline(always)]
fn firewall_egress(ctx: TcContext) -> i32 {
    filter::<false, true, false>(&ctx)
}

/// Classifies a packet that leaves through an interface without Ethernet header.
#[classifier]
#[inline(always)]
fn firewall_bare_egress(ctx: TcContext) -> i32 {
    filter::<true, true, false>(&ctx)
}

/// Classifies a packet that an interface without Ethernet header has received.
#[classifier]
#[inline(always)]
fn firewall_bare_ingress(ctx: TcContext) -> i32 {
    filter::<true, false, false>(&ctx)
}

/// Classifies a packet that leaves, and has its flow tracked.
#[classifier]
#[inline(always)]
fn flows_egress(ctx: TcContext) -> i32 {
    filter::<false, true, true>(&ctx)
}

/// Likewise through an interface without Ethernet header.
#[classifier]
#[inline(always)]
fn flows_bare_egress(ctx: TcContext) -> i32 {
    filter::<true, true, true>(&ctx)
}

/// Classifies a packet that an interface without Ethernet header has received by its state, too.
#[classifier]
#[inline(always)]
fn flows_bare_ingress(ctx: TcContext) -> i32 {
    filter::<true, false, true>(&ctx)
}

/// What is known of a packet at these hooks; `LEAVES` says at which. `FLOWS` makes it another type as in `xdp.rs`.
struct TcHook<'a, const LEAVES: bool, const FLOWS: bool> {
    ctx: &'a TcContext,
    state: u32,
}

impl<const LEAVES: bool, const FLOWS: bool> TcHook<'_, LEAVES, FLOWS> {
    const DIRECTION: Direction = if LEAVES {
        Direction::Out
    } else {
        Direction::In
    };
}

impl<const LEAVES: bool, const FLOWS: bool> Hook for TcHook<'_, LEAVES, FLOWS> {
    #[inline(always)]
    fn direction(&self) -> Direction {
        Self::DIRECTION
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        skb::interface(self.ctx)
    }

    #[inline(always)]
    fn in_interface(&self) -> u32 {
        skb::in_interface(self.ctx)
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        skb::mark(self.ctx)
    }

    #[inline(always)]
    fn state(&self) -> u32 {
        self.state
    }
}

/// Classifies a packet; `BARE` if the interface has no Ethernet header, `LEAVES` if the packet does.
/// If rules ask for states (`FLOWS`), a packet that is received is classified by its state, too, and the flow of one
/// that leaves is tracked.
#[inline(always)]
fn filter<const BARE: bool, const LEAVES: bool, const FLOWS: bool>(ctx: &TcContext) -> i32 {
    let direction = TcHook::<LEAVES, FLOWS>::DIRECTION;
    let mut counters = Sent::<BARE, LEAVES> { ctx };
    let Some(image) = Image::in_force() else {
        counters.add(Reason::NoImage.slot(direction, false));
        note(ctx, Reason::NoImage);
        return NEXT;
    };
    let skb = Skb::<BARE>::new(ctx, &image);
    let parsed = parse(&skb);
    if !LEAVES && let Some(reason) = parsed.as_ref().ok().and_then(ban_of) {
        counters.add_banned(reason);
        let slot = Reason::Banned.slot(direction, true);
        counters.add(slot);
        counters.dropped(RuleSlot::new(slot, false));
        return SHOT;
    }
    let classification = match parsed {
        Ok(headers) => {
            let headers = if FLOWS && !LEAVES {
                let mut state = state_in(&skb, &headers);
                if state == UNJUDGED {
                    go_on_to_judge_bare(ctx);
                    state = State::Invalid.number();
                }
                headers.with_state(state, &skb)
            } else {
                headers
            };
            let state = if FLOWS && !LEAVES {
                image.opaque_u32(headers.state())
            } else {
                0
            };
            let hook = TcHook::<LEAVES, FLOWS> { ctx, state };
            classify(&image, &skb, &headers, &hook, &mut counters)
        }
        Err(reason) => Classification::NoRule(reason),
    };
    let (slot, action) = match classification {
        Classification::Pass(slot) => (slot, NEXT),
        Classification::Drop(slot) => (slot, SHOT),
        Classification::NoRule(reason) => {
            note(ctx, reason);
            let drops = Drops::from_bits(image.u32(Header::drops_at(direction)));
            let dropped = drops.has(reason);
            let action = if dropped { SHOT } else { NEXT };
            (
                RuleSlot::new(reason.slot(direction, dropped), drops.logs(reason)),
                action,
            )
        }
    };
    counters.add(slot.number());
    if action == SHOT {
        counters.dropped(slot);
    } else {
        counters.passed(slot);
    }
    if FLOWS && LEAVES && action == NEXT {
        go_on_to_track(ctx, BARE);
    }
    action
}

/// Reports a packet that no rule could match to user space, at the log level that the program was
/// loaded with: defects as warnings, broken frames for debugging.
#[inline(always)]
fn note(ctx: &TcContext, reason: Reason) {
    match reason {
        Reason::Policy | Reason::Neighbor | Reason::UnknownEthertype | Reason::Banned => {}
        Reason::Malformed | Reason::Truncated | Reason::TooManyHeaders | Reason::TooManyTags => {
            debug!(
                ctx,
                target: TARGET,
                "a packet of {} bytes counts as reason {}",
                ctx.len(),
                reason.number()
            )
        }
        Reason::NoImage | Reason::BadImage => warn!(
            ctx,
            target: TARGET,
            "a packet of {} bytes met no usable image, reason {}",
            ctx.len(),
            reason.number()
        ),
    }
}

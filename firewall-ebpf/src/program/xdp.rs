//! The XDP program: the only place where a classification becomes an action of the kernel.

#![forbid(unsafe_code)]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
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
    counters::Counters,
    drops::dropped,
    flows::{UNJUDGED, go_on_to_judge, state_in},
    frame::{Frame, LateFrame, frame_len},
    image::Image,
    packet_log::passed,
};

/// The target of messages, whichever module they come from.
const TARGET: &str = "firewall_xdp";

/// Classifies one packet, in one buffer or several (Linux 5.18).
#[xdp(frags)]
#[inline(always)]
fn firewall(ctx: XdpContext) -> u32 {
    filter::<true, false>(&ctx)
}

/// Classifies one packet in one buffer, for kernels older than 5.18.
#[xdp]
#[inline(always)]
fn firewall_linear(ctx: XdpContext) -> u32 {
    filter::<false, false>(&ctx)
}

/// Classifies one packet by its state, too.
#[xdp(frags)]
#[inline(always)]
fn firewall_flows(ctx: XdpContext) -> u32 {
    filter::<true, true>(&ctx)
}

/// Likewise in one buffer.
#[xdp]
#[inline(always)]
fn flows_linear(ctx: XdpContext) -> u32 {
    filter::<false, true>(&ctx)
}

/// What is known of a frame at this hook.
///
/// `FLOWS` makes it another type in programs that have a state: code that two programs share is not inlined into either.
struct XdpHook<'a, const FLOWS: bool> {
    ctx: &'a XdpContext,
    state: u32,
}

impl<const FLOWS: bool> Hook for XdpHook<'_, FLOWS> {
    #[inline(always)]
    fn direction(&self) -> Direction {
        Direction::In
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn state(&self) -> u32 {
        self.state
    }
}

/// Classifies a packet; by its state, too, if rules ask for states (`FLOWS`).
#[inline(always)]
fn filter<const FRAGS: bool, const FLOWS: bool>(ctx: &XdpContext) -> u32 {
    let mut counters = Counters::<FRAGS>::new(ctx);
    let Some(image) = Image::in_force() else {
        counters.measure(Err(Reason::NoImage));
        counters.add(Reason::NoImage.slot(Direction::In, false));
        note::<FRAGS, FLOWS>(ctx, Reason::NoImage);
        return xdp_action::XDP_PASS;
    };
    let parsed = parse(&Frame::<FRAGS>::new(ctx, &image));
    // Before the length is measured: a number that is kept across the call doubles the
    // verifier's work on Linux 7.3.
    let ban = parsed.as_ref().ok().and_then(ban_of);
    let frame = LateFrame::<FRAGS>::new(ctx, &image);
    let parsed = match parsed {
        Ok(headers) if FLOWS && ban.is_none() => {
            let mut state = state_in(&frame, &headers);
            if state == UNJUDGED {
                go_on_to_judge(ctx);
                state = State::Invalid.number();
            }
            Ok(headers.with_state(state, &frame))
        }
        parsed => parsed,
    };
    counters.measure(parsed.as_ref().map_err(|reason| *reason));
    if let Some(reason) = ban {
        counters.add_banned(reason);
        let slot = Reason::Banned.slot(Direction::In, true);
        counters.add(slot);
        dropped::<FRAGS>(ctx, RuleSlot::new(slot, false));
        return xdp_action::XDP_DROP;
    }
    let classification = match parsed {
        Ok(headers) => {
            let state = if FLOWS {
                // Opaque, or else the compiler takes the mask away that bounds what follows from it.
                image.opaque_u32(headers.state())
            } else {
                0
            };
            let hook = XdpHook::<FLOWS> { ctx, state };
            classify(&image, &frame, &headers, &hook, &mut counters)
        }
        Err(reason) => Classification::NoRule(reason),
    };
    let (slot, action) = match classification {
        Classification::Pass(slot) => (slot, xdp_action::XDP_PASS),
        Classification::Drop(slot) => (slot, xdp_action::XDP_DROP),
        Classification::NoRule(reason) => {
            note::<FRAGS, FLOWS>(ctx, reason);
            let drops = Drops::from_bits(image.u32(Header::drops_at(Direction::In)));
            let dropped = drops.has(reason);
            let action = if dropped {
                xdp_action::XDP_DROP
            } else {
                xdp_action::XDP_PASS
            };
            (
                RuleSlot::new(reason.slot(Direction::In, dropped), drops.logs(reason)),
                action,
            )
        }
    };
    counters.add(slot.number());
    if action == xdp_action::XDP_DROP {
        dropped::<FRAGS>(ctx, slot);
    } else {
        passed::<FRAGS>(ctx, slot);
    }
    action
}

/// Reports a packet that no rule could match to user space, at the log level that the program was
/// loaded with: defects as warnings, broken frames for debugging.
#[inline(always)]
fn note<const FRAGS: bool, const FLOWS: bool>(ctx: &XdpContext, reason: Reason) {
    // Asking the kernel costs as much as an address search.
    let length = || frame_len::<FRAGS>(ctx);
    match reason {
        Reason::Policy | Reason::Neighbor | Reason::UnknownEthertype | Reason::Banned => {}
        Reason::Malformed | Reason::Truncated | Reason::TooManyHeaders | Reason::TooManyTags => {
            debug!(
                ctx,
                target: TARGET,
                "interface {}: a frame of {} bytes counts as reason {}",
                ctx.ingress_ifindex(),
                length(),
                reason.number()
            )
        }
        Reason::NoImage | Reason::BadImage => warn!(
            ctx,
            target: TARGET,
            "interface {}: a frame of {} bytes met no usable image, reason {}",
            ctx.ingress_ifindex(),
            length(),
            reason.number()
        ),
    }
}

//! The table of flows, as the programs find and change it.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{__sk_buff, xdp_md},
    btf_maps::{Array, PerCpuArray, ProgramArray},
    helpers::bpf_jiffies64,
    macros::{btf_map, xdp},
    programs::{TcContext, XdpContext},
};
use firewall_ebpf::{
    abi,
    flows::{
        self, Addresses, FlowEvent, FlowTable, Fragment, FragmentTable, InvokingPacket, Keys,
        LINE_BYTES, LINE_SLOTS, Message, Placed, Protocol, SETTINGS_WORDS, Seen, Settings,
        TAG_LINES, TIMEOUTS, Transport, Tuple, transport_of,
    },
    image::{Memory as _, Tracking},
    parse::{Headers, present},
    state::State,
};

use super::{frame::LateFrame, image::Image, map_flags::MMAPABLE, skb::Skb};

const LINE_WORDS: u32 = LINE_BYTES / 8;

/// The slots of the table. User space makes the maps as long as the table is.
#[btf_map]
static FLOW_LINES: Array<[u64; LINE_WORDS as usize], 1, MMAPABLE> = Array::new();

/// Their tags.
#[btf_map]
static FLOW_TAGS: Array<[u32; TAG_LINES as usize], 1, MMAPABLE> = Array::new();

/// The addresses of IPv6 flows, which no program reads.
#[btf_map]
static FLOW_ADDRESSES: Array<Addresses, 1, MMAPABLE> = Array::new();

#[btf_map]
static FLOW_SETTINGS: Array<[u64; SETTINGS_WORDS], 1, MMAPABLE> = Array::new();

#[btf_map]
static FLOW_EVENTS: PerCpuArray<u64, { FlowEvent::ALL.len() }> = PerCpuArray::new();

/// The fragmented packets whose first fragment was of a known flow. User space makes the map as long as
/// [`FRAGMENTS`](flows::FRAGMENTS) says.
#[btf_map]
static FLOW_FRAGMENTS: Array<u64, 1> = Array::new();

/// What the programs that filter leave to those that they go on with, and these to them, see [`Case`].
#[btf_map]
static FLOW_CASE: PerCpuArray<[u64; CASE_WORDS], 1> = PerCpuArray::new();

/// The programs at traffic-control hooks that others go on with: those that track flows, with and without Ethernet
/// header, the one that judges ICMP errors, the one that this goes back to, and the one that admits flows.
#[btf_map]
static FLOW_TRACKERS: ProgramArray<5> = ProgramArray::new();

/// The XDP program that judges ICMP errors, the one that it goes back to, and the one that admits flows.
#[btf_map]
static FLOW_ERRORS: ProgramArray<3> = ProgramArray::new();

/// The number of lines less one.
#[unsafe(no_mangle)]
static FLOW_LAST_LINE: Global<u32> = Global::new(0);

/// The lower half of the kernel's jiffies, for user space, which runs this with `BPF_PROG_TEST_RUN`.
#[xdp]
#[inline(always)]
fn firewall_clock(_ctx: XdpContext) -> u32 {
    // SAFETY: the helper (Linux 5.5) takes nothing.
    unsafe { bpf_jiffies64() as u32 }
}

/// A packet at a hook, for questions that need more of it than its headers. Each is a function of its own in the kernel.
pub(super) trait Received {
    /// The identifier of an echo message.
    fn echo_id(&self, message: u64) -> u32;

    /// The number of the state of a packet that has a flow.
    #[inline(always)]
    fn flow_state(&self, headers: &Headers, upper: Transport) -> u32 {
        seen_in(headers, upper)
    }

    /// The number of the state of an ICMP error for this destination, or [`UNJUDGED`].
    fn error_state(&self, message: u64, dst_high: u64, dst_low: u64) -> u32;

    /// The number of the state of a fragment, which is `state` by what is known of its flow.
    fn fragment_state(&self, fragment: u64, state: u32) -> u32;
}

/// Not the number of a state: that the packet is an ICMP error about one of no known flow, which a program of its own
/// judges.
pub(super) const UNJUDGED: u32 = State::ALL.len() as u32;

/// Likewise: that the packet is `new`, unless it acknowledges the answer to the SYN of its flow, which a program of its own
/// finds out.
pub(super) const UNPROVED: u32 = UNJUDGED + 1;

/// The number of the state of a packet that an interface has received, whose flow it changes; or [`UNJUDGED`], or
/// [`UNPROVED`].
#[inline(always)]
pub(super) fn state_in(packet: &impl Received, headers: &Headers) -> u32 {
    if headers.has(present::ICMP) {
        let message = Message::new(headers);
        if message.is_error() {
            return packet.error_state(message.bits(), headers.dst_high, headers.dst_low);
        }
    }
    let upper = upper(packet, headers);
    let state = if upper.has_flow() {
        packet.flow_state(headers, upper)
    } else {
        State::New.number()
    };
    if state == UNPROVED {
        return unproved(headers, upper);
    }
    if headers.has(present::FRAGMENT) {
        return packet.fragment_state(Fragment::new(headers).bits(), state);
    }
    state
}

/// The number of the state of a packet that leaves.
#[inline(always)]
pub(super) fn state_out<const BARE: bool>(skb: &Skb<'_, BARE>, headers: &Headers) -> u32 {
    if headers.has(present::ICMP) {
        let message = Message::new(headers);
        if message.is_error() {
            return skb.leaving_error_state(message.bits(), headers.dst_high, headers.dst_low);
        }
    }
    let upper = upper(skb, headers);
    let state = if upper.has_flow() {
        of_headers(flow_leaves, headers, upper)
    } else {
        State::New.number()
    };
    if headers.has(present::FRAGMENT) {
        return skb.fragment_state(Fragment::new(headers).bits(), state);
    }
    state
}

/// What a flow needs to know of a packet besides its addresses.
#[inline(always)]
pub(super) fn upper(packet: &impl Received, headers: &Headers) -> Transport {
    if headers.has(present::ICMP) {
        let message = Message::new(headers);
        message.echo(|| packet.echo_id(message.bits()) as u16)
    } else {
        transport_of(headers)
    }
}

impl<const FRAGS: bool> Received for LateFrame<'_, FRAGS> {
    #[inline(always)]
    fn echo_id(&self, message: u64) -> u32 {
        if FRAGS {
            frame_echo_id(self.context(), message)
        } else {
            linear_echo_id(self.context(), message)
        }
    }

    #[inline(always)]
    fn flow_state(&self, headers: &Headers, upper: Transport) -> u32 {
        if headers.has(present::IPV4) {
            ipv4_flow_in(headers.src_high, headers.dst_high, upper)
        } else {
            seen_in(headers, upper)
        }
    }

    #[inline(always)]
    fn error_state(&self, message: u64, dst_high: u64, dst_low: u64) -> u32 {
        if FRAGS {
            frame_error_state(self.context(), message, dst_high, dst_low)
        } else {
            linear_error_state(self.context(), message, dst_high, dst_low)
        }
    }

    #[inline(always)]
    fn fragment_state(&self, fragment: u64, state: u32) -> u32 {
        if FRAGS {
            frame_fragment_state(self.context(), fragment, state)
        } else {
            linear_fragment_state(self.context(), fragment, state)
        }
    }
}

impl<const BARE: bool> Received for Skb<'_, BARE> {
    #[inline(always)]
    fn echo_id(&self, message: u64) -> u32 {
        let ctx = self.ctx.as_ptr().cast();
        if BARE {
            bare_echo_id(ctx, message)
        } else {
            skb_echo_id(ctx, message)
        }
    }

    #[inline(always)]
    fn error_state(&self, message: u64, dst_high: u64, dst_low: u64) -> u32 {
        // What is filtered when it comes in at this hook has no Ethernet header.
        bare_error_state(self.ctx.as_ptr().cast(), message, dst_high, dst_low)
    }

    #[inline(always)]
    fn fragment_state(&self, fragment: u64, state: u32) -> u32 {
        let ctx = self.ctx.as_ptr().cast();
        if BARE {
            bare_fragment_state(ctx, fragment, state)
        } else {
            skb_fragment_state(ctx, fragment, state)
        }
    }
}

impl<const BARE: bool> Skb<'_, BARE> {
    /// The number of the state of an ICMP error that leaves for this destination.
    #[inline(always)]
    fn leaving_error_state(&self, message: u64, dst_high: u64, dst_low: u64) -> u32 {
        let ctx = self.ctx.as_ptr().cast();
        if BARE {
            bare_leaving_error(ctx, message, dst_high, dst_low)
        } else {
            skb_leaving_error(ctx, message, dst_high, dst_low)
        }
    }
}

/// Makes functions of their own in the kernel: global ones that take a context and numbers only, which the
/// verifier follows once and not for every path that leads to them (Linux 5.6).
macro_rules! echo_id {
    ($name:ident, $raw:ty, $context:ident, $packet:ty) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(ctx: *mut $raw, message: u64) -> u32 {
            let Some(image) = Image::in_force() else {
                return 0;
            };
            let context = $context::new(ctx);
            let packet = <$packet>::new(&context, &image);
            Message::from_bits(message).echo_id(&packet).into()
        }
    };
}

macro_rules! error_state {
    ($name:ident, $raw:ty, $context:ident, $packet:ty, |$about:ident| $unknown:expr) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(ctx: *mut $raw, message: u64, dst_high: u64, dst_low: u64) -> u32 {
            let Some(image) = Image::in_force() else {
                return State::Invalid.number();
            };
            let context = $context::new(ctx);
            let packet = <$packet>::new(&context, &image);
            let about = Message::from_bits(message).about(&packet, [dst_high, dst_low]);
            let Some($about) = about else {
                return State::Invalid.number();
            };
            let state = flow_error(
                $about.src[0],
                $about.src[1],
                $about.dst[0],
                $about.dst[1],
                $about.transport.bits(),
            );
            if state == State::Related.number() {
                return state;
            }
            $unknown
        }
    };
}

macro_rules! fragment_state {
    ($name:ident, $raw:ty, $context:ident, $packet:ty) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(ctx: *mut $raw, fragment: u64, state: u32) -> u32 {
            let (Some(image), Some(table)) = (Image::in_force(), Flows::open()) else {
                return state;
            };
            let context = $context::new(ctx);
            let packet = <$packet>::new(&context, &image);
            flows::see_fragment(&table, &packet, Fragment::from_bits(fragment), state)
        }
    };
}

/// The number of the state of an ICMP error about a packet of no known flow that has come in, or [`UNJUDGED`].
#[inline(always)]
fn judged(about: &InvokingPacket) -> u32 {
    match Case::open() {
        Some(case) => case.decision(about.to_words(), UNJUDGED),
        None => State::Invalid.number(),
    }
}

echo_id!(frame_echo_id, xdp_md, XdpContext, LateFrame::<'_, true>);
echo_id!(linear_echo_id, xdp_md, XdpContext, LateFrame::<'_, false>);
echo_id!(bare_echo_id, __sk_buff, TcContext, Skb::<'_, true>);
echo_id!(skb_echo_id, __sk_buff, TcContext, Skb::<'_, false>);

error_state!(
    frame_error_state,
    xdp_md,
    XdpContext,
    LateFrame::<'_, true>,
    |about| judged(&about)
);
error_state!(
    linear_error_state,
    xdp_md,
    XdpContext,
    LateFrame::<'_, false>,
    |about| judged(&about)
);
error_state!(
    bare_error_state,
    __sk_buff,
    TcContext,
    Skb::<'_, true>,
    |about| judged(&about)
);
error_state!(
    bare_leaving_error,
    __sk_buff,
    TcContext,
    Skb::<'_, true>,
    |about| State::Invalid.number()
);
error_state!(
    skb_leaving_error,
    __sk_buff,
    TcContext,
    Skb::<'_, false>,
    |about| State::Invalid.number()
);

fragment_state!(
    frame_fragment_state,
    xdp_md,
    XdpContext,
    LateFrame::<'_, true>
);
fragment_state!(
    linear_fragment_state,
    xdp_md,
    XdpContext,
    LateFrame::<'_, false>
);
fragment_state!(bare_fragment_state, __sk_buff, TcContext, Skb::<'_, true>);
fragment_state!(skb_fragment_state, __sk_buff, TcContext, Skb::<'_, false>);

/// The case of an ICMP error about a packet of no known flow, which one program leaves to another on the same CPU: the
/// decision, and that packet, in case the case of another error comes in between.
pub(super) struct Case(*mut [u64; CASE_WORDS]);

const CASE_WORDS: usize = 8;

/// What is in the place of the words that only an ICMP error needs if the case is one of a packet that may prove an answer.
const PROOF: u64 = u64::MAX;

impl Case {
    #[inline(always)]
    pub(super) fn open() -> Option<Self> {
        FLOW_CASE.get_ptr_mut(0).map(Self)
    }

    /// The packet that the error is about.
    #[inline(always)]
    pub(super) fn invoking_packet(&self) -> InvokingPacket {
        // SAFETY: the value of this CPU.
        let [_, a, b, c, d, e, f, _] = unsafe { self.0.read() };
        InvokingPacket::from_words([a, b, c, d, e, f])
    }

    /// Leaves a decision to the program that filters.
    #[inline(always)]
    pub(super) fn decide(&self, state: State) {
        // SAFETY: as above.
        unsafe { (*self.0)[0] = u64::from(state.number() + 1) }
    }

    /// Whether the case is that of a packet that may prove an answer, of which nothing is decided.
    #[inline(always)]
    pub(super) fn asks_for_proof(&self, headers: &Headers, upper: Transport) -> bool {
        // SAFETY: as above.
        let [decided, a, b, c, d, e, f, _] = unsafe { self.0.read() };
        let of_addresses = (headers.src_high ^ a)
            | (headers.src_low ^ b)
            | (headers.dst_high ^ c)
            | (headers.dst_low ^ d);
        decided | of_addresses | (upper.bits() ^ e) | (PROOF ^ f) == 0
    }

    /// Leaves the number of the state of a packet to the end of the program that filters: if it were kept across the
    /// classification, it would double the verifier's work on Linux 7.3.
    #[inline(always)]
    fn leave(&self, state: u32) {
        // SAFETY: as above.
        unsafe { (*self.0)[7] = state.into() }
    }

    #[inline(always)]
    fn is_new(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.0)[7] == u64::from(State::New.number()) }
    }

    /// Leaves nothing to decide, and nothing decided.
    #[inline(always)]
    pub(super) fn close(&self) {
        // SAFETY: as above.
        unsafe { self.0.write([0; CASE_WORDS]) }
    }

    /// Takes the number of the state that was decided on; if none was, `open`, with the packet left to the program that
    /// decides.
    #[inline(always)]
    fn decision(&self, words: [u64; 6], open: u32) -> u32 {
        // SAFETY: as above.
        let [decided, left @ .., _] = unsafe { self.0.read() };
        let is_same = words.iter().zip(left).all(|(word, left)| *word == left);
        let number = decided.wrapping_sub(1);
        if is_same && number < u64::from(UNJUDGED) {
            self.close();
            return number as u32;
        }
        let [a, b, c, d, e, f] = words;
        // SAFETY: as above.
        unsafe { self.0.write([0, a, b, c, d, e, f, 0]) };
        open
    }
}

/// Leaves the number of the state of a packet in for [`begins`], where flows that packets in begin are to be known.
#[inline(always)]
pub(super) fn leave_state(image: &Image, state: u32) {
    if knows_incoming(image)
        && let Some(case) = Case::open()
    {
        case.leave(image.opaque_u32(state));
    }
}

/// Whether a packet in that passes may begin a flow that is to be known.
#[inline(always)]
pub(super) fn begins(image: &Image) -> bool {
    knows_incoming(image) && Case::open().is_some_and(|case| case.is_new())
}

/// Whether flows that packets in begin are to be known.
#[inline(always)]
pub(super) fn knows_incoming(image: &Image) -> bool {
    Tracking::from_bits(image.u32(Tracking::AT)).has(Tracking::INCOMING)
}

/// Goes on with the program that admits the flow of a packet that passed as `new`, or finds out whether one proves an
/// answer; returns only if there is none.
#[inline(always)]
pub(super) fn go_on_to_admit(ctx: &XdpContext) {
    // SAFETY: nothing is left to drop.
    unsafe { FLOW_ERRORS.tail_call(ctx, abi::ADMIT) }
}

/// Likewise on an interface without Ethernet header.
#[inline(always)]
pub(super) fn go_on_to_admit_bare(ctx: &TcContext) {
    // SAFETY: as above.
    unsafe { FLOW_TRACKERS.tail_call(ctx, abi::BARE_ADMIT) }
}

/// Goes on with the program that judges ICMP errors; returns only if there is none.
#[inline(always)]
pub(super) fn go_on_to_judge(ctx: &XdpContext) {
    // SAFETY: nothing is left to drop.
    unsafe { FLOW_ERRORS.tail_call(ctx, abi::ERRORS[0]) }
}

/// Likewise on an interface without Ethernet header.
#[inline(always)]
pub(super) fn go_on_to_judge_bare(ctx: &TcContext) {
    // SAFETY: as above.
    unsafe { FLOW_TRACKERS.tail_call(ctx, abi::BARE_ERRORS[0]) }
}

/// Goes back to the XDP program that filters, which is always there.
#[inline(always)]
pub(super) fn go_back_to_xdp(ctx: &XdpContext) {
    // SAFETY: as above.
    unsafe { FLOW_ERRORS.tail_call(ctx, abi::ERRORS[1]) }
}

/// Likewise on an interface without Ethernet header.
#[inline(always)]
pub(super) fn go_back_to_bare_ingress(ctx: &TcContext) {
    // SAFETY: as above.
    unsafe { FLOW_TRACKERS.tail_call(ctx, abi::BARE_ERRORS[1]) }
}

/// A function of its own in the kernel, too, that takes a packet in five numbers: its addresses, and
/// [`Transport`].
macro_rules! of_flow {
    ($name:ident, $default:expr, |$table:ident, $src:ident, $dst:ident, $upper:ident| $what:expr) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(
            src_high: u64,
            src_low: u64,
            dst_high: u64,
            dst_low: u64,
            upper: u64,
        ) -> u32 {
            let Some($table) = Flows::open() else {
                return $default;
            };
            let ($src, $dst) = ([src_high, src_low], [dst_high, dst_low]);
            let $upper = Transport::from_bits(upper);
            $what
        }
    };
}

of_flow!(flow_in, State::New.number(), |table, src, dst, upper| {
    number_of(flows::see_in(&table, src, dst, upper))
});

/// The number of a state, or [`UNPROVED`].
#[inline(always)]
fn number_of(state: Option<State>) -> u32 {
    state.map_or(UNPROVED, State::number)
}

of_flow!(
    flow_unproved,
    State::New.number(),
    |_table, src, dst, upper| {
        let ([src_high, src_low], [dst_high, dst_low]) = (src, dst);
        let words = [src_high, src_low, dst_high, dst_low, upper.bits(), PROOF];
        Case::open().map_or(State::New.number(), |case| case.decision(words, UNPROVED))
    }
);

of_flow!(
    flow_leaves,
    State::New.number(),
    |table, src, dst, upper| { flows::state_out(&table, src, dst, upper).number() }
);

of_flow!(flow_admit, 0, |table, src, dst, upper| {
    if let Some(placed) = flows::admit(&table, src, dst, upper)
        && upper.is_ipv6()
    {
        note_addresses(placed, src, dst, upper);
    }
    0
});

of_flow!(flow_establish, 1, |table, src, dst, upper| {
    flows::establish(&table, src, dst, upper).into()
});

/// Functions likewise, one for each family, that take a TCP segment: its addresses, and in one word its ports and one of its
/// numbers, from bit 32 on.
macro_rules! of_segment {
    ($ipv4:ident, $ipv6:ident, |$table:ident, $src:ident, $dst:ident, $upper:ident, $number:ident| $what:expr) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $ipv4(src: u64, dst: u64, segment: u64) -> u32 {
            let Some($table) = Flows::open() else {
                return 0;
            };
            let ($src, $dst) = ([src, 0], [dst, 0]);
            let ($upper, $number) = segment_of(segment, false);
            $what
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $ipv6(
            src_high: u64,
            src_low: u64,
            dst_high: u64,
            dst_low: u64,
            segment: u64,
        ) -> u32 {
            let Some($table) = Flows::open() else {
                return 0;
            };
            let ($src, $dst) = ([src_high, src_low], [dst_high, dst_low]);
            let ($upper, $number) = segment_of(segment, true);
            $what
        }
    };
}

#[inline(always)]
const fn segment_of(word: u64, is_ipv6: bool) -> (Transport, u32) {
    let (sport, dport) = (word as u16, (word >> 16) as u16);
    let transport = Transport::new(Protocol::Tcp, sport, dport, is_ipv6);
    (transport, (word >> 32) as u32)
}

of_segment!(ipv4_note, ipv6_note, |table, src, dst, upper, sequence| {
    flows::note(&table, src, dst, upper, sequence);
    0
});

of_segment!(ipv4_prove, ipv6_prove, |table, src, dst, upper, number| {
    flows::prove(&table, src, dst, upper, number).into()
});

/// The state of an IPv4 packet, whose flow is found without a call: the return from one costs as much as the hash and the
/// table where returns are not predicted ("safe RET", `Documentation/admin-guide/hw-vuln/srso.rst`).
#[inline(always)]
fn ipv4_flow_in(src: u64, dst: u64, upper: Transport) -> u32 {
    let Some(table) = Flows::open() else {
        return State::New.number();
    };
    let tuple = || Tuple::ipv4(&table, src, dst, upper);
    number_of(flows::see_tuple_in(&table, upper, tuple))
}

of_flow!(
    flow_error,
    State::Invalid.number(),
    |table, src, dst, upper| { flows::see_error(&table, src, dst, upper).number() }
);

of_flow!(flow_out, Seen::Done as u32, |table, src, dst, upper| {
    flows::see_out(&table, src, dst, upper) as u32
});

of_flow!(flow_record, 0, |table, src, dst, upper| {
    let Some(placed) = flows::record(&table, src, dst, upper) else {
        return 0;
    };
    if upper.is_ipv6() {
        note_addresses(placed, src, dst, upper);
    }
    1
});

/// Writes the addresses of an IPv6 flow for those who list flows.
#[inline(always)]
fn note_addresses(placed: Placed, src: [u64; 2], dst: [u64; 2], upper: Transport) {
    let Some(addresses) = FLOW_ADDRESSES.get_ptr_mut(placed.slot) else {
        return;
    };
    let (sport, dport) = (upper.sport(), upper.dport());
    let (first, second, ports) = if placed.from_second {
        (dst, src, dport | sport << 16)
    } else {
        (src, dst, sport | dport << 16)
    };
    // SAFETY: an element of the map. Volatile, since others write and user space reads meanwhile.
    unsafe {
        (&raw mut (*addresses).first[0]).write_volatile(first[0]);
        (&raw mut (*addresses).first[1]).write_volatile(first[1]);
        (&raw mut (*addresses).second[0]).write_volatile(second[0]);
        (&raw mut (*addresses).second[1]).write_volatile(second[1]);
        (&raw mut (*addresses).ports).write_volatile(ports);
    }
}

/// Goes on with the program that tracks flows; returns only if there is none.
#[inline(always)]
pub(super) fn go_on_to_track(ctx: &TcContext, is_bare: bool) {
    // SAFETY: nothing is left to drop.
    unsafe { FLOW_TRACKERS.tail_call(ctx, is_bare.into()) }
}

/// Calls a function of its own in the kernel with a packet.
#[inline(always)]
fn of_headers(
    function: extern "C" fn(u64, u64, u64, u64, u64) -> u32,
    headers: &Headers,
    transport: Transport,
) -> u32 {
    function(
        headers.src_high,
        headers.src_low,
        headers.dst_high,
        headers.dst_low,
        transport.bits(),
    )
}

/// The number of the state of a packet that has come in, whose flow it changes.
#[inline(always)]
fn seen_in(headers: &Headers, upper: Transport) -> u32 {
    of_headers(flow_in, headers, upper)
}

/// The number of the state of a packet that may prove an answer, or [`UNPROVED`] if that is to be found out.
#[inline(always)]
fn unproved(headers: &Headers, upper: Transport) -> u32 {
    of_headers(flow_unproved, headers, upper)
}

/// What a packet that has gone out is to the flows, whose flow it changes: the number of a [`Seen`].
#[inline(always)]
pub(super) fn seen_out(headers: &Headers, upper: Transport) -> u32 {
    of_headers(flow_out, headers, upper)
}

/// Adds the flow that a packet out begins. If another CPU takes its slot, there is a second try, which finds another slot.
#[inline(always)]
pub(super) fn add(headers: &Headers, transport: Transport) {
    if of_headers(flow_record, headers, transport) == 0 {
        of_headers(flow_record, headers, transport);
    }
}

/// Adds the flow that a packet in begins.
#[inline(always)]
pub(super) fn admit(headers: &Headers, transport: Transport) {
    of_headers(flow_admit, headers, transport);
}

/// Makes the flow of a packet out, which shows that its connection is established, an answered one; returns whether there is
/// one.
#[inline(always)]
pub(super) fn establish(headers: &Headers, transport: Transport) -> bool {
    of_headers(flow_establish, headers, transport) != 0
}

/// Notes the sequence number of a packet out that answers a SYN.
#[inline(always)]
pub(super) fn note(headers: &Headers, transport: Transport, sequence: u32) {
    let segment = word_of(transport, sequence);
    if transport.is_ipv6() {
        ipv6_note(
            headers.src_high,
            headers.src_low,
            headers.dst_high,
            headers.dst_low,
            segment,
        );
    } else {
        ipv4_note(headers.src_high, headers.dst_high, segment);
    }
}

/// Whether the acknowledgment number of a packet in is that of the answer to the SYN of its flow, which is answered then.
#[inline(always)]
pub(super) fn prove(headers: &Headers, transport: Transport, acknowledgment: u32) -> bool {
    let segment = word_of(transport, acknowledgment);
    let is_proved = if transport.is_ipv6() {
        ipv6_prove(
            headers.src_high,
            headers.src_low,
            headers.dst_high,
            headers.dst_low,
            segment,
        )
    } else {
        ipv4_prove(headers.src_high, headers.dst_high, segment)
    };
    is_proved != 0
}

/// The ports of a TCP segment and one of its numbers in one word.
#[inline(always)]
const fn word_of(transport: Transport, number: u32) -> u64 {
    transport.sport() | transport.dport() << 16 | (number as u64) << 32
}

/// The lower bits of an index. In assembly, since the compiler takes a mask away that it can do without, and
/// verifiers before Linux 6.12 cannot.
#[inline(always)]
fn bounded<const MASK: u32>(index: u32) -> usize {
    let mut index = u64::from(index);
    // SAFETY: arithmetic.
    unsafe {
        asm!(
            "{index} &= {mask}",
            index = inout(reg) index,
            mask = const MASK,
            options(nostack, preserves_flags, pure, nomem),
        );
    }
    index as usize
}

/// The table.
struct Flows {
    settings: *const u64,
}

impl Flows {
    #[inline(always)]
    fn open() -> Option<Self> {
        let settings = FLOW_SETTINGS.get_ptr(0)?.cast();
        Some(Self { settings })
    }
}

impl Keys for Flows {
    #[inline(always)]
    fn key(&self, index: usize) -> u64 {
        // SAFETY: a word of the settings.
        unsafe { *self.settings.add(Settings::KEYS + index) }
    }

    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        // SAFETY: a word of the settings. Volatile, so that the compiler does not know it either.
        value ^ unsafe { self.settings.add(Settings::ZERO).read_volatile() }
    }
}

impl FlowTable for Flows {
    type Line = *mut u64;
    type Tags = *mut u32;

    #[inline(always)]
    fn last_line(&self) -> u32 {
        FLOW_LAST_LINE.load()
    }

    #[inline(always)]
    fn line(&self, number: u32) -> Option<*mut u64> {
        FLOW_LINES.get_ptr_mut(number).map(<*mut _>::cast)
    }

    #[inline(always)]
    fn word(&self, line: *mut u64, index: u32) -> u64 {
        let at = bounded::<{ LINE_WORDS - 1 }>(index);
        // SAFETY: the word lies in the line. Volatile, since other CPUs write meanwhile.
        unsafe { line.add(at).read_volatile() }
    }

    #[inline(always)]
    fn store(&self, line: *mut u64, index: u32, word: u64) {
        let at = bounded::<{ LINE_WORDS - 1 }>(index);
        // SAFETY: as above.
        unsafe { line.add(at).write_volatile(word) }
    }

    #[inline(always)]
    fn tags(&self, number: u32) -> Option<*mut u32> {
        let tags = FLOW_TAGS.get_ptr_mut(number / TAG_LINES)?;
        let at = bounded::<{ TAG_LINES - 1 }>(number);
        // SAFETY: the tags of the line lie in the element.
        Some(unsafe { tags.cast::<u32>().add(at) })
    }

    #[inline(always)]
    fn load_tags(&self, tags: *mut u32) -> u32 {
        // SAFETY: as above. The first slot's tag is the first byte.
        u32::from_le(unsafe { tags.read_volatile() })
    }

    #[inline(always)]
    fn store_tag(&self, tags: *mut u32, slot: u32, tag: u8) {
        // SAFETY: a byte of the four.
        unsafe {
            tags.cast::<u8>()
                .add(bounded::<{ LINE_SLOTS - 1 }>(slot))
                .write_volatile(tag)
        }
    }

    #[inline(always)]
    fn timeout(&self, index: u32) -> u32 {
        let index = bounded::<{ TIMEOUTS as u32 - 1 }>(index);
        // SAFETY: a timeout of the settings.
        let timeouts = unsafe { self.settings.byte_add(Settings::TIMEOUTS_AT).cast::<u16>() };
        u32::from(unsafe { timeouts.add(index).read() })
    }

    #[inline(always)]
    fn now(&self) -> u32 {
        // SAFETY: the helper (Linux 5.5) takes nothing.
        let mut now = unsafe { bpf_jiffies64() };
        // SAFETY: words of the settings, and arithmetic. In assembly, or else the compiler would put off the product, and keep
        // three numbers on the stack instead of one.
        unsafe {
            asm!(
                "{word} = *(u64 *)({settings} + {clock})",
                "{now} *= {word}",
                "{now} >>= 32",
                "{word} = *(u64 *)({settings} + {later})",
                "{now} += {word}",
                settings = in(reg) self.settings,
                word = out(reg) _,
                now = inout(reg) now,
                clock = const Settings::CLOCK * 8,
                later = const Settings::LATER * 8,
                options(nostack, preserves_flags),
            );
        }
        now as u32
    }

    #[inline(always)]
    fn count(&self, event: FlowEvent) {
        if let Some(count) = FLOW_EVENTS.get_ptr_mut(event as u32) {
            // SAFETY: the value of this CPU, which nothing else writes while the program runs.
            unsafe { *count = (*count).wrapping_add(1) }
        }
    }
}

impl FragmentTable for Flows {
    #[inline(always)]
    fn fragment(&self, index: u32) -> u64 {
        let entry = FLOW_FRAGMENTS.get_ptr_mut(index);
        // SAFETY: an element of the map. Volatile, since other CPUs write meanwhile.
        entry.map_or(0, |entry| unsafe { entry.read_volatile() })
    }

    #[inline(always)]
    fn store_fragment(&self, index: u32, word: u64) {
        if let Some(entry) = FLOW_FRAGMENTS.get_ptr_mut(index) {
            // SAFETY: as above.
            unsafe { entry.write_volatile(word) }
        }
    }
}

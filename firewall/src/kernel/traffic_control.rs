//! Filters of traffic control, by rtnetlink: how a program is attached where the kernel has no links
//! for that hook (before Linux 6.6).
//!
//! A filter outlives its process and has no pin. It is known by the number of its program, which is
//! pinned. It stands in the queueing discipline `clsact`, of which an interface has at most one
//! (`tc-bpf(8)`, `net/sched/cls_api.c`).

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    tc::{
        TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcHeader, TcMessage,
        TcOption,
    },
};
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader,
        NetlinkMessage, NetlinkPayload,
    },
    sys::{Socket, SocketAddr, protocols},
};

use crate::kernel::hook::Hook;

/// The name of the queueing discipline.
const CLSACT: &str = "clsact";

/// The parent and the handle of `clsact`, and the parents of its filters (`TC_H_CLSACT`,
/// `TC_H_MIN_INGRESS`, `TC_H_MIN_EGRESS`, `include/uapi/linux/pkt_sched.h`).
const ROOT: u32 = 0xffff_fff1;
const HANDLE: u32 = 0xffff_0000;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// `ETH_P_ALL` in network order: filters for packets of every protocol.
const ALL_PROTOCOLS: u32 = (libc::ETH_P_ALL as u16).to_be() as u32;

/// The highest priority that is tried: filters of lower ones come first.
const MOST: u32 = 0xffff;

/// The place of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    interface: u32,
    parent: u32,
    /// Priority and protocol.
    info: u32,
    handle: u32,
}

impl Place {
    /// The index of the interface.
    pub(super) fn interface(&self) -> u32 {
        self.interface
    }
}

/// A filter that runs a BPF program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProgramFilter {
    pub(super) place: Place,
    /// The kernel's number for the program.
    pub(super) program: u32,
}

fn parent(hook: Hook) -> u32 {
    if hook.is_egress() { EGRESS } else { INGRESS }
}

/// The filters with programs on an interface, in the order in which they run; none when it is gone.
pub(super) fn filters(interface: u32, hook: Hook) -> io::Result<Vec<ProgramFilter>> {
    let messages = all(interface, parent(hook))?;
    let mut filters: Vec<ProgramFilter> = messages.iter().filter_map(program_of).collect();
    filters.sort_by_key(|filter| filter.place.info >> 16);
    Ok(filters)
}

/// Adds a filter with a program, before all others if there is a priority for it. The interface
/// must have `clsact`.
pub(super) fn attach(
    interface: u32,
    hook: Hook,
    program: BorrowedFd<'_>,
    number: u32,
) -> io::Result<Place> {
    let parent = parent(hook);
    let priority = free_priority(&all(interface, parent)?);
    let place = Place {
        interface,
        parent,
        info: priority << 16 | ALL_PROTOCOLS,
        handle: 0,
    };
    let add = RouteNetlinkMessage::NewTrafficFilter(message(&place, Some(program)));
    request(add, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)?;
    // The kernel has chosen the handle.
    let filters = filters(interface, hook)?;
    let mut filters = filters.iter().filter(|filter| filter.program == number);
    let found = filters.find(|filter| filter.place.info == place.info);
    found
        .map(|filter| filter.place)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Replaces the program of a filter in one step.
pub(super) fn replace(place: &Place, program: BorrowedFd<'_>) -> io::Result<()> {
    let change = RouteNetlinkMessage::NewTrafficFilter(message(place, Some(program)));
    request(change, NLM_F_ACK).map(drop)
}

/// Removes a filter, if it is there.
pub(super) fn detach(place: &Place) -> io::Result<()> {
    let remove = RouteNetlinkMessage::DelTrafficFilter(message(place, None));
    match request(remove, NLM_F_ACK) {
        Err(error) if !is_gone(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Gives an interface `clsact`; returns whether it had none.
pub(super) fn add_clsact(interface: u32) -> io::Result<bool> {
    let add = RouteNetlinkMessage::NewQueueDiscipline(clsact(interface));
    match request(add, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an interface has filters, in either direction.
pub(super) fn has_filters(interface: u32) -> io::Result<bool> {
    Ok(!all(interface, INGRESS)?.is_empty() || !all(interface, EGRESS)?.is_empty())
}

/// Removes `clsact` from an interface unless it has filters.
pub(super) fn remove_unused_clsact(interface: u32) -> io::Result<()> {
    if has_filters(interface)? {
        return Ok(());
    }
    let remove = RouteNetlinkMessage::DelQueueDiscipline(clsact(interface));
    match request(remove, NLM_F_ACK) {
        Err(error) if !is_gone(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether the error says that what it is about is not there.
fn is_gone(error: &io::Error) -> bool {
    // `EINVAL` is the answer when the interface has no `clsact`.
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ENODEV | libc::EINVAL)
    )
}

/// Every filter of a parent; none when the interface is gone.
fn all(interface: u32, parent: u32) -> io::Result<Vec<TcMessage>> {
    let place = Place {
        interface,
        parent,
        info: 0,
        handle: 0,
    };
    let list =
        RouteNetlinkMessage::GetTrafficFilter(TcMessage::from_parts(header(&place), Vec::new()));
    match request(list, NLM_F_DUMP) {
        Ok(messages) => Ok(messages),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The lowest priority, from 1 on, that no filter has.
fn free_priority(filters: &[TcMessage]) -> u32 {
    let taken: BTreeSet<u32> = filters
        .iter()
        .map(|filter| filter.header.info >> 16)
        .collect();
    let mut priorities = 1..MOST;
    priorities
        .find(|priority| !taken.contains(priority))
        .unwrap_or(MOST)
}

fn program_of(message: &TcMessage) -> Option<ProgramFilter> {
    let options = message.attributes.iter().filter_map(|attribute| {
        if let TcAttribute::Options(options) = attribute {
            Some(options)
        } else {
            None
        }
    });
    let program = options.flatten().find_map(|option| {
        if let TcOption::Bpf(TcFilterBpfOption::ProgId(program)) = option {
            Some(*program)
        } else {
            None
        }
    })?;
    Some(ProgramFilter {
        place: Place {
            interface: u32::try_from(message.header.index).ok()?,
            parent: message.header.parent.into(),
            info: message.header.info,
            handle: message.header.handle.into(),
        },
        program,
    })
}

fn header(place: &Place) -> TcHeader {
    TcHeader {
        family: AddressFamily::Unspec,
        // The kernel keeps indexes as positive numbers of 31 bits.
        index: place.interface.cast_signed(),
        handle: TcHandle::from(place.handle),
        parent: TcHandle::from(place.parent),
        info: place.info,
    }
}

fn message(place: &Place, program: Option<BorrowedFd<'_>>) -> TcMessage {
    let mut message = TcMessage::from_parts(header(place), Vec::new());
    message
        .attributes
        .push(TcAttribute::Kind(TcFilterBpf::KIND.to_owned()));
    if let Some(program) = program {
        message.attributes.push(TcAttribute::Options(vec![
            // A descriptor is no negative number.
            TcOption::Bpf(TcFilterBpfOption::ProgFd(
                program.as_raw_fd().cast_unsigned(),
            )),
            TcOption::Bpf(TcFilterBpfOption::ProgName("firewall".to_owned())),
            TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
        ]));
    }
    message
}

fn clsact(interface: u32) -> TcMessage {
    let place = Place {
        interface,
        parent: ROOT,
        info: 0,
        handle: HANDLE,
    };
    let mut message = TcMessage::from_parts(header(&place), Vec::new());
    message
        .attributes
        .push(TcAttribute::Kind(CLSACT.to_owned()));
    message
}

/// Sends a request, and returns what the kernel answers.
fn request(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<TcMessage>> {
    let mut socket = Socket::new(protocols::NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = 1;
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while let Some(length) = rest.first_chunk().copied().map(u32::from_ne_bytes) {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let Some(bytes) = rest.get(..length).filter(|bytes| !bytes.is_empty()) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            // Messages are aligned to 4 bytes (`NLMSG_ALIGN`).
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            // A filter of another kind that is not understood is none of ours.
            let Ok(answer) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) else {
                continue;
            };
            if let NetlinkPayload::Error(error) = &answer.payload {
                return match error.code {
                    Some(code) => Err(io::Error::from_raw_os_error(-code.get())),
                    None => Ok(answers),
                };
            }
            if let NetlinkPayload::Done(_) = &answer.payload {
                return Ok(answers);
            }
            if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewTrafficFilter(filter)) =
                answer.payload
            {
                answers.push(filter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(priority: u32) -> TcMessage {
        let place = Place {
            interface: 1,
            parent: EGRESS,
            info: priority << 16,
            handle: 1,
        };
        TcMessage::from_parts(header(&place), Vec::new())
    }

    #[test]
    fn a_filter_goes_before_the_others_where_there_is_room() {
        assert_eq!(free_priority(&[]), 1);
        assert_eq!(free_priority(&[filter(2)]), 1);
        assert_eq!(free_priority(&[filter(1), filter(2), filter(4)]), 3);
    }
}

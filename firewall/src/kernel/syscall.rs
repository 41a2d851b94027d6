//! The `bpf` system call, for the commands that `aya` keeps private or wraps in a fallback.
//!
//! Links are made here because `aya` attaches by netlink when the kernel answers `EINVAL`, and
//! such an attachment outlives the process. Attributes are documented in
//! `include/uapi/linux/bpf.h`, `union bpf_attr`; the kernel takes any prefix of it and reads the
//! rest as 0.

#![expect(unsafe_code, reason = "the system call takes a raw attribute block")]

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    ptr,
};

use aya_obj::generated::{BPF_F_RDONLY, bpf_attach_type, bpf_cmd, bpf_link_type, bpf_map_type};

/// Creates an array of maps of the name given, with as many elements as `entries`; `template` has
/// the properties that every inner map must share.
pub(super) fn create_array_of_maps(
    name: &CStr,
    entries: u32,
    template: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    let mut attr = MapCreate {
        map_type: bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32,
        key_size: size_of::<u32>() as u32,
        value_size: size_of::<u32>() as u32,
        max_entries: entries,
        map_flags: 0,
        inner_map_fd: template.as_raw_fd(),
        numa_node: 0,
        map_name: [0; NAME_LEN],
    };
    // The last byte stays 0: the kernel wants a terminated name.
    for (to, from) in attr
        .map_name
        .iter_mut()
        .take(NAME_LEN - 1)
        .zip(name.to_bytes())
    {
        *to = *from;
    }
    new_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr)
}

/// Forbids every later change of the map's elements through system calls (Linux 5.2).
pub(super) fn freeze_map(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = One {
        fd: map.as_raw_fd(),
    };
    bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr).map(drop)
}

/// Deletes the element of `key`.
pub(super) fn delete_element(map: BorrowedFd<'_>, key: u32) -> io::Result<()> {
    let mut attr = Element {
        map_fd: map.as_raw_fd(),
        padding: 0,
        key: (&raw const key).expose_provenance() as u64,
        value: 0,
        flags: 0,
    };
    bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr).map(drop)
}

/// Copies as many elements of a hash map as fit into `keys` and `values`, in the order of its
/// buckets (Linux 5.6). `bucket` is where to begin, `None` at first, and where to go on afterwards,
/// `None` at the end. Returns how many were copied; `StorageFull` when one bucket has more.
pub(super) fn lookup_batch<K: Plain, V: Plain>(
    map: BorrowedFd<'_>,
    bucket: &mut Option<u32>,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<usize> {
    let room = keys.len().min(values.len());
    let begin = *bucket;
    let mut next = 0_u32;
    let mut attr = BatchAttribute {
        in_batch: begin
            .as_ref()
            .map_or(0, |begin| ptr::from_ref(begin).expose_provenance() as u64),
        out_batch: (&raw mut next).expose_provenance() as u64,
        keys: keys.as_mut_ptr().expose_provenance() as u64,
        values: values.as_mut_ptr().expose_provenance() as u64,
        count: u32::try_from(room).unwrap_or(u32::MAX),
        map_fd: map.as_raw_fd(),
        elem_flags: 0,
        flags: 0,
    };
    let answer = bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr);
    *bucket = match answer {
        Ok(_) => Some(next),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok((attr.count as usize).min(room))
}

/// Numbers side by side, which the kernel may write.
///
/// # Safety
///
/// The type has no padding, and every pattern of bits is a value of it.
pub(super) unsafe trait Plain {}

// SAFETY: an array of integers.
unsafe impl<const N: usize> Plain for [u64; N] {}

/// Waits until every program that runs now has ended: a grace period of RCU, in which BPF programs
/// run (`membarrier`, `kernel/sched/membarrier.c`).
pub(super) fn await_programs() -> io::Result<()> {
    let (flags, cpu) = (0, 0);
    // SAFETY: the call takes numbers only.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_membarrier,
            libc::MEMBARRIER_CMD_GLOBAL,
            flags,
            cpu,
        )
    };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Pins the map, program or link to `path`, which must not exist.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjectKind {
        pathname: path.as_ptr().expose_provenance() as u64,
        bpf_fd: object.as_raw_fd(),
        file_flags: 0,
    };
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop)
}

/// Opens the map, program or link pinned to `path`.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    open_pin_with(path, 0)
}

/// Opens the object pinned to `path` without the right to change it; links cannot be opened so.
pub(super) fn open_pin_to_read(path: &Path) -> io::Result<OwnedFd> {
    open_pin_with(path, BPF_F_RDONLY)
}

fn open_pin_with(path: &Path, file_flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjectKind {
        pathname: path.as_ptr().expose_provenance() as u64,
        bpf_fd: 0,
        file_flags,
    };
    new_fd(bpf_cmd::BPF_OBJ_GET, &mut attr)
}

/// Attaches an XDP program to an interface by a link (Linux 5.9); `flags` says in which mode.
pub(super) fn create_xdp_link(
    program: BorrowedFd<'_>,
    interface: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        prog_fd: program.as_raw_fd(),
        target_ifindex: interface,
        attach_type: bpf_attach_type::BPF_XDP as u32,
        flags,
    };
    new_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// Attaches a program to a traffic-control hook of an interface by a link, before all others
/// (Linux 6.6).
pub(super) fn create_tcx_link(
    program: BorrowedFd<'_>,
    interface: u32,
    hook: bpf_attach_type,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        prog_fd: program.as_raw_fd(),
        target_ifindex: interface,
        attach_type: hook as u32,
        flags: BPF_F_BEFORE,
    };
    new_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// A program at a traffic-control hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcxProgram {
    /// The kernel's number for it.
    pub(super) program: u32,
    /// The number of the link that attaches it, or 0.
    pub(super) link: u32,
}

/// The programs at a traffic-control hook of an interface, in the order in which they run (Linux
/// 6.6; earlier kernels answer `EINVAL`).
pub(super) fn tcx_programs(interface: u32, hook: bpf_attach_type) -> io::Result<Vec<TcxProgram>> {
    let mut programs = [0_u32; MAX_TCX];
    let mut links = [0_u32; MAX_TCX];
    let mut attr = Query {
        target_ifindex: interface,
        attach_type: hook as u32,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: programs.as_mut_ptr().expose_provenance() as u64,
        count: MAX_TCX as u32,
        padding: 0,
        prog_attach_flags: 0,
        link_ids: links.as_mut_ptr().expose_provenance() as u64,
        link_attach_flags: 0,
        revision: 0,
    };
    bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    let both = programs.into_iter().zip(links);
    let both = both.map(|(program, link)| TcxProgram { program, link });
    Ok(both.take(attr.count as usize).collect())
}

/// Replaces the program of a link in one step.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkUpdate {
        link_fd: link.as_raw_fd(),
        new_prog_fd: program.as_raw_fd(),
        flags: 0,
        old_prog_fd: 0,
    };
    bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr).map(drop)
}

/// Detaches a link at once, even if other processes hold it (Linux 5.9).
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = One {
        fd: link.as_raw_fd(),
    };
    bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr).map(drop)
}

/// The state of an XDP link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XdpLinkInfo {
    /// The program that runs.
    pub(crate) program: u32,
    /// The interface, or 0 once the link is detached or the interface is gone.
    pub(crate) interface: u32,
}

/// Queries a link; `InvalidData` when it is not an XDP link.
pub(super) fn xdp_link_info(link: BorrowedFd<'_>) -> io::Result<XdpLinkInfo> {
    let info = link_info(link, bpf_link_type::BPF_LINK_TYPE_XDP)?;
    Ok(XdpLinkInfo {
        program: info.prog_id,
        interface: info.ifindex,
    })
}

/// The state of a link at a traffic-control hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcxLinkInfo {
    /// The kernel's number for the link.
    pub(super) link: u32,
    /// The program that runs.
    pub(super) program: u32,
    /// The interface, or 0 once the link is detached or the interface is gone.
    pub(crate) interface: u32,
}

/// Queries a link; `InvalidData` when it is none of a traffic-control hook.
pub(super) fn tcx_link_info(link: BorrowedFd<'_>) -> io::Result<TcxLinkInfo> {
    let info = link_info(link, bpf_link_type::BPF_LINK_TYPE_TCX)?;
    Ok(TcxLinkInfo {
        link: info.id,
        program: info.prog_id,
        interface: info.ifindex,
    })
}

fn link_info(link: BorrowedFd<'_>, kind: bpf_link_type) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::default();
    let mut attr = Info {
        bpf_fd: link.as_raw_fd(),
        info_len: size_of::<LinkInfo>() as u32,
        info: (&raw mut info).expose_provenance() as u64,
    };
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    if info.kind != kind as u32 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(info)
}

/// The number of the link that follows `after` (Linux 5.8); `None` after the last. Needs
/// `CAP_SYS_ADMIN`.
pub(super) fn next_link(after: u32) -> io::Result<Option<u32>> {
    let mut attr = Id {
        id: after,
        next_id: 0,
        open_flags: 0,
    };
    match bpf(bpf_cmd::BPF_LINK_GET_NEXT_ID, &mut attr) {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens the link of this number.
pub(super) fn open_link(id: u32) -> io::Result<OwnedFd> {
    let mut attr = Id {
        id,
        next_id: 0,
        open_flags: 0,
    };
    new_fd(bpf_cmd::BPF_LINK_GET_FD_BY_ID, &mut attr)
}

/// `BPF_OBJ_NAME_LEN`.
const NAME_LEN: usize = 16;

/// Before the program given, or without one before all (`include/uapi/linux/bpf.h`).
const BPF_F_BEFORE: u32 = 1 << 3;

/// The most programs that a hook takes (`BPF_MPROG_MAX`, `include/linux/bpf_mprog.h`).
const MAX_TCX: usize = 64;

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: RawFd,
    numa_node: u32,
    map_name: [u8; NAME_LEN],
}

#[repr(C)]
struct Element {
    map_fd: RawFd,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct BatchAttribute {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: RawFd,
    elem_flags: u64,
    flags: u64,
}

#[repr(C)]
struct ObjectKind {
    pathname: u64,
    bpf_fd: RawFd,
    file_flags: u32,
}

#[repr(C)]
struct LinkCreate {
    prog_fd: RawFd,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

#[repr(C)]
struct LinkUpdate {
    link_fd: RawFd,
    new_prog_fd: RawFd,
    flags: u32,
    old_prog_fd: RawFd,
}

#[repr(C)]
struct Info {
    bpf_fd: RawFd,
    info_len: u32,
    info: u64,
}

#[repr(C)]
struct Id {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

#[repr(C)]
struct One {
    fd: RawFd,
}

/// `struct bpf_link_info` with the members `xdp` and `tcx` of its union, which is aligned to 8 bytes and
/// begins with the interface in both.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    prog_id: u32,
    padding: u32,
    ifindex: u32,
    rest: [u32; 3],
}

/// A prefix of `union bpf_attr`.
///
/// # Safety
///
/// The type is `repr(C)`, has no padding bytes, and lays its fields out as the member of the
/// union does; addresses in it are valid for the command it is used with.
unsafe trait BpfAttribute {}

macro_rules! attributes {
    ($($name:ident: $size:literal),+ $(,)?) => {
        $(
            const _: () = assert!(size_of::<$name>() == $size);
            // SAFETY: `repr(C)` of fixed-width fields whose sizes sum up to the size asserted.
            unsafe impl BpfAttribute for $name {}
        )+
    };
}

attributes! {
    MapCreate: 44,
    Element: 32,
    BatchAttribute: 56,
    ObjectKind: 16,
    LinkCreate: 16,
    Query: 64,
    LinkUpdate: 16,
    Info: 16,
    Id: 12,
    One: 4,
}

fn bpf<A: BpfAttribute>(command: bpf_cmd, attr: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads and writes `size_of::<A>()` bytes at `attr`; the functions above
    // keep what its addresses point to alive over the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            ptr::from_mut(attr),
            size_of::<A>(),
        )
    };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}

fn new_fd<A: BpfAttribute>(command: bpf_cmd, attr: &mut A) -> io::Result<OwnedFd> {
    let answer = bpf(command, attr)?;
    let fd = RawFd::try_from(answer).map_err(io::Error::other)?;
    // SAFETY: these commands answer with a file descriptor made for the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

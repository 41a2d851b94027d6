//! Programs of another owner at the hooks of traffic control (Linux 6.6).

#![expect(
    unsafe_code,
    reason = "the kernel takes addresses in raw blocks of attributes"
)]

use std::{
    fs,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use anyhow::{Context as _, Result};
use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_prog_type};

use crate::bpf::bpf;

/// The end of every program.
const EXIT: u64 = 0x95;

/// A register is set to a number.
const fn set(register: u8, number: u32) -> u64 {
    0xb7 | (register as u64) << 8 | (number as u64) << 32
}

/// A helper of the kernel is called (`enum bpf_func_id`, `include/uapi/linux/bpf.h`).
const fn call(helper: u32) -> u64 {
    0x85 | (helper as u64) << 32
}

const SKB_VLAN_PUSH: u32 = 18;
const REDIRECT: u32 = 23;

/// A program, attached until the value is dropped.
#[derive(Debug)]
pub struct Classifier {
    /// The kernel's number for it.
    pub id: u32,
    _program: OwnedFd,
    link: OwnedFd,
}

#[repr(C)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
struct LinkAttributes {
    program: RawFd,
    interface: u32,
    hook: u32,
    flags: u32,
}

impl Classifier {
    /// A program after all others at the egress hook of the interface of this index, which lets every packet go on
    /// to the next program (`TC_ACT_UNSPEC`).
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn attach(interface: u32) -> Result<Self> {
        let instructions = [set(0, u32::MAX), EXIT];
        Self::attach_to(interface, bpf_attach_type::BPF_TCX_EGRESS, &instructions)
    }

    /// A program at the ingress hook of an interface, which gives every packet a VLAN tag, beside the frame, and
    /// sends it by another interface.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn tagging(interface: u32, vlan: u16, to: u32) -> Result<Self> {
        let instructions = [
            // 802.1Q, in network order; the first register has the packet.
            set(2, u16::to_be(0x8100).into()),
            set(3, vlan.into()),
            call(SKB_VLAN_PUSH),
            set(1, to),
            set(2, 0),
            call(REDIRECT),
            EXIT,
        ];
        Self::attach_to(interface, bpf_attach_type::BPF_TCX_INGRESS, &instructions)
    }

    /// Whether it is attached still.
    ///
    /// # Errors
    ///
    /// If the kernel does not say.
    pub fn is_attached(&self) -> Result<bool> {
        let interface: u32 = fact(&self.link, "ifindex:")?;
        Ok(interface != 0)
    }

    fn attach_to(interface: u32, hook: bpf_attach_type, instructions: &[u64]) -> Result<Self> {
        let mut load = LoadAttributes {
            kind: bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32,
            count: instructions.len() as u32,
            instructions: instructions.as_ptr().expose_provenance() as u64,
            license: c"GPL".as_ptr().expose_provenance() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            version: 0,
            flags: 0,
            name: *b"another_one\0\0\0\0\0",
        };
        let program = fd(bpf_cmd::BPF_PROG_LOAD, &mut load).context("the program does not load")?;
        let mut link = LinkAttributes {
            program: program.as_raw_fd(),
            interface,
            hook: hook as u32,
            flags: 0,
        };
        let link =
            fd(bpf_cmd::BPF_LINK_CREATE, &mut link).context("the program is not attached")?;
        Ok(Self {
            id: fact(&program, "prog_id:")?,
            _program: program,
            link,
        })
    }
}

/// A number that the kernel tells of an open descriptor.
fn fact(of: &OwnedFd, name: &str) -> Result<u32> {
    let path = format!("/proc/self/fdinfo/{}", of.as_raw_fd());
    let info = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let mut lines = info.lines();
    let number = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    number.with_context(|| format!("`{path}` has no `{name}`"))
}

fn fd<T>(command: bpf_cmd, attributes: &mut T) -> Result<OwnedFd> {
    // SAFETY: both blocks begin as `union bpf_attr` does for their command, and their buffers live until it returns.
    let answer = unsafe { bpf(command, attributes) }?;
    let fd = RawFd::try_from(answer)?;
    // SAFETY: these commands answer with a file descriptor made for the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

//! A program of another owner at the egress hook of traffic control, which lets every packet go on to the
//! next program (Linux 6.6).

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

/// `r0 = -1; exit`: `TC_ACT_UNSPEC`.
const INSTRUCTIONS: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];

/// The program, attached until the value is dropped.
#[derive(Debug)]
pub struct Classifier {
    /// The kernel's number for it.
    pub id: u32,
    _program: OwnedFd,
    _link: OwnedFd,
}

#[repr(C)]
struct Load {
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
struct Link {
    program: RawFd,
    interface: u32,
    hook: u32,
    flags: u32,
}

impl Classifier {
    /// Loads the program and attaches it to the interface of this index, after all others.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn attach(interface: u32) -> Result<Self> {
        let mut load = Load {
            kind: bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32,
            count: INSTRUCTIONS.len() as u32,
            instructions: INSTRUCTIONS.as_ptr().expose_provenance() as u64,
            license: c"GPL".as_ptr().expose_provenance() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            version: 0,
            flags: 0,
            name: *b"another_one\0\0\0\0\0",
        };
        let program = fd(bpf_cmd::BPF_PROG_LOAD, &mut load).context("the program does not load")?;
        let mut link = Link {
            program: program.as_raw_fd(),
            interface,
            hook: bpf_attach_type::BPF_TCX_EGRESS as u32,
            flags: 0,
        };
        let link =
            fd(bpf_cmd::BPF_LINK_CREATE, &mut link).context("the program is not attached")?;
        let path = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
        let info = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        let mut lines = info.lines();
        let id = lines.find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
        Ok(Self {
            id: id.context("the program has no number")?,
            _program: program,
            _link: link,
        })
    }
}

fn fd<T>(command: bpf_cmd, attributes: &mut T) -> Result<OwnedFd> {
    // SAFETY: both blocks begin as `union bpf_attr` does for their command, and their buffers are
    // constants.
    let answer = unsafe { bpf(command, attributes) }?;
    let fd = RawFd::try_from(answer)?;
    // SAFETY: these commands answer with a file descriptor made for the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

//! The machine code of a program in the kernel: its addresses and its source.

#![expect(unsafe_code, reason = "system calls")]

use std::{
    io,
    ops::Range,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::ProgramFd;
use aya_obj::generated::{bpf_btf_info, bpf_cmd, bpf_line_info, bpf_prog_info};

use super::part::Part;
use crate::bpf::bpf;

/// The addresses of a program.
pub(super) struct Code {
    /// Its functions.
    functions: Vec<Range<u64>>,
    /// The start address of each part, ascending.
    parts: Vec<(u64, Part)>,
}

impl Code {
    /// The code of a program.
    pub(super) fn of(program: &ProgramFd) -> Result<Self> {
        let program = program.as_fd().as_raw_fd();
        let sizes: bpf_prog_info = info(program, zeroed_program())?;
        let mut starts = vec![0_u64; sizes.nr_jited_ksyms as usize];
        let mut lengths = vec![0_u32; sizes.nr_jited_func_lens as usize];
        let mut lines = vec![
            bpf_line_info {
                insn_off: 0,
                file_name_off: 0,
                line_off: 0,
                line_col: 0,
            };
            sizes.nr_line_info as usize
        ];
        let mut addresses = vec![0_u64; sizes.nr_jited_line_info as usize];
        info(
            program,
            bpf_prog_info {
                nr_jited_ksyms: sizes.nr_jited_ksyms,
                jited_ksyms: address_of(&mut starts),
                nr_jited_func_lens: sizes.nr_jited_func_lens,
                jited_func_lens: address_of(&mut lengths),
                nr_line_info: sizes.nr_line_info,
                line_info_rec_size: size_of::<bpf_line_info>() as u32,
                line_info: address_of(&mut lines),
                nr_jited_line_info: sizes.nr_jited_line_info,
                jited_line_info_rec_size: size_of::<u64>() as u32,
                jited_line_info: address_of(&mut addresses),
                ..zeroed_program()
            },
        )?;
        ensure!(
            !starts.is_empty() && starts.iter().all(|start| *start != 0),
            "the kernel does not say where it lies (`kernel.kptr_restrict`, `net.core.bpf_jit_enable`)"
        );
        let strings = Strings::of(sizes.btf_id)?;
        let mut files = Vec::with_capacity(addresses.len());
        for (address, line) in addresses.iter().zip(&lines) {
            files.push((*address, strings.at(line.file_name_off)));
        }
        let functions = starts.iter().zip(&lengths);
        Ok(Self {
            functions: functions
                .map(|(start, length)| *start..start + u64::from(*length))
                .collect(),
            parts: parts(files),
        })
    }

    /// The part that contains an address; `None` outside the program.
    pub(super) fn part(&self, address: u64) -> Option<Part> {
        if !self.functions.iter().any(|code| code.contains(&address)) {
            return None;
        }
        let behind = self.parts.partition_point(|(start, _)| *start <= address);
        let before = behind.checked_sub(1).and_then(|at| self.parts.get(at));
        Some(before.map_or(Part::Rest, |(_, part)| *part))
    }
}

/// The starts of parts, from the source file of each address. Addresses of no part belong to the
/// previous one.
fn parts(mut files: Vec<(u64, &str)>) -> Vec<(u64, Part)> {
    files.sort_unstable();
    let known = files.into_iter();
    known
        .filter_map(|(address, file)| Some((address, Part::of(file)?)))
        .collect()
}

/// The strings of a BTF (`Documentation/bpf/btf.rst`).
struct Strings(Vec<u8>);

impl Strings {
    /// The strings of the BTF with this id.
    fn of(id: u32) -> Result<Self> {
        let btf = open_btf(id).context("the program has no BTF")?;
        let empty = bpf_btf_info {
            btf: 0,
            btf_size: 0,
            id: 0,
            name: 0,
            name_len: 0,
            kernel_btf: 0,
        };
        let size = info(btf.as_raw_fd(), empty)?.btf_size;
        let mut bytes = vec![0_u8; size as usize];
        let wanted = bpf_btf_info {
            btf: address_of(&mut bytes),
            btf_size: size,
            ..empty
        };
        info(btf.as_raw_fd(), wanted)?;
        Self::read(&bytes).context("the BTF of the program is not understood")
    }

    fn read(btf: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(*btf.get(at..)?.first_chunk()?) as usize);
        // Magic number, version and flags, then lengths and offsets after the header.
        let start = word(4)?.checked_add(word(16)?)?;
        let end = start.checked_add(word(20)?)?;
        Some(Self(btf.get(start..end)?.to_vec()))
    }

    fn at(&self, offset: u32) -> &str {
        let bytes = self.0.get(offset as usize..).unwrap_or_default();
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
        str::from_utf8(&bytes[..length]).unwrap_or_default()
    }
}

/// The address of a buffer for the kernel to fill.
fn address_of<T>(buffer: &mut [T]) -> u64 {
    buffer.as_mut_ptr().expose_provenance() as u64
}

fn zeroed_program() -> bpf_prog_info {
    // SAFETY: a structure of integers.
    unsafe { std::mem::zeroed() }
}

/// Structures in which the kernel describes an object.
trait Info: Copy {}

impl Info for bpf_prog_info {}
impl Info for bpf_btf_info {}

/// Asks the kernel about an object. The kernel fills the buffers whose addresses and lengths are in
/// `wanted`.
fn info<T: Info>(object: RawFd, mut wanted: T) -> io::Result<T> {
    /// The members of `union bpf_attr` that the command reads.
    #[repr(C)]
    struct InfoAttributes {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut attributes = InfoAttributes {
        bpf_fd: object.cast_unsigned(),
        info_len: size_of::<T>() as u32,
        info: (&raw mut wanted).expose_provenance() as u64,
    };
    // SAFETY: the members of the command; `wanted` is a live structure of integers, and so are the
    // buffers that it has the addresses of.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(wanted)
}

fn open_btf(id: u32) -> io::Result<OwnedFd> {
    /// The members of `union bpf_attr` that the command reads.
    #[repr(C)]
    struct BtfAttributes {
        btf_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let mut attributes = BtfAttributes {
        btf_id: id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: the members of the command, which are numbers.
    let fd = unsafe { bpf(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attributes) }?;
    // SAFETY: a descriptor that the kernel has just made for the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

#[cfg(test)]
mod tests {
    use driver_ebpf::program;

    use super::*;
    use crate::cost::object_file::ObjectFile;

    #[test]
    #[ignore = "needs root"]
    fn a_program_in_the_kernel_says_where_it_lies() {
        let object = ObjectFile::load(1, &[program::DROP]).unwrap();
        let code = Code::of(&object.fd(program::DROP).unwrap()).unwrap();
        // The program is not part of the firewall.
        assert_eq!(code.parts, []);
        let [function] = &code.functions[..] else {
            panic!("{:?}", code.functions);
        };
        assert!(function.start < function.end);
        assert_eq!(code.part(function.start), Some(Part::Rest));
        assert_eq!(code.part(function.end), None);
    }

    #[test]
    fn what_is_of_no_part_is_of_the_one_before() {
        let file = |name: &str| format!("/x/firewall-ebpf/src/{name}");
        let (main, search, image) = (
            file("program/xdp.rs"),
            file("walk/search.rs"),
            file("program/image.rs"),
        );
        let code = Code {
            functions: vec![100..200, 300..400],
            parts: parts(vec![
                (300, &search),
                (100, &main),
                (110, &search),
                (120, &image),
                (130, "/core/src/cmp.rs"),
                (140, &main),
            ]),
        };
        let parts = [99, 100, 115, 125, 135, 199, 200, 310].map(|address| code.part(address));
        let (rest, search) = (Some(Part::Rest), Some(Part::Search));
        assert_eq!(
            parts,
            [None, rest, search, search, search, rest, None, search]
        );
    }

    #[test]
    fn strings_lie_behind_the_types() {
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        for word in [24_u32, 0, 4, 4, 6] {
            btf.extend(word.to_ne_bytes());
        }
        btf.extend(*b"type\0ab\0c\0");
        let strings = Strings::read(&btf).unwrap();
        assert_eq!(
            [0, 1, 4, 9].map(|offset| strings.at(offset)),
            ["", "ab", "c", ""]
        );
        assert!(Strings::read(&btf[..20]).is_none());
    }
}

//! The kernel side of the firewall as a library that also builds for the host: the ABI that the
//! XDP program and user space share, the packet parser and the image walker.
//!
//! The library never touches raw memory: the packet comes through [`packet::Packet`], the image
//! through [`image::Memory`], so that the kernel and user space run the same code.

#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
pub mod bans;
pub mod drop_capture;
pub mod field;
pub mod flows;
pub mod hash;
pub mod image;
pub mod packet;
pub mod packet_log;
pub mod parse;
pub mod state;
pub mod walk;

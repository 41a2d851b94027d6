//! Generic receive offload, which makes a veth end poll for frames (`veth_set_features`,
//! `drivers/net/veth.c`, Linux 5.13): otherwise an end without an XDP program does not accept
//! frames sent by XDP.

#![expect(
    unsafe_code,
    reason = "the ioctl takes a structure that refers to another"
)]

use std::{io, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

/// `ETHTOOL_SGRO` (`include/uapi/linux/ethtool.h`).
const SET_GRO: u32 = 0x2c;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Enables it for an interface in the network namespace of the calling thread.
pub(super) fn switch_gro_on(interface: &str) -> Result<()> {
    set(interface).with_context(|| {
        format!("cannot switch on generic receive offload of `{interface}` (Linux 5.13 or newer)")
    })
}

fn set(interface: &str) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut value = Value {
        command: SET_GRO,
        data: 1,
    };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: (&raw mut value).cast(),
        },
    };
    // The last byte stays 0, which ends the name.
    let places = request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1);
    for (to, from) in places.zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    // The C libraries disagree on the type of the number.
    let number = libc::SIOCETHTOOL as libc::Ioctl;
    // SAFETY: the kernel reads the request, and reads and writes the value to which it refers;
    // both live until the call is over.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut request) };
    Errno::result(result)?;
    Ok(())
}

//! An interface without Ethernet header, whose other end is this process.

#![expect(
    unsafe_code,
    reason = "the requests to the device take raw blocks of memory"
)]

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
};

use anyhow::{Context as _, Result};

/// An interface of the kind `tun`, which is there until the value is dropped. Its packets begin with
/// their IP header.
#[derive(Debug)]
pub struct Tun(File);

impl Tun {
    /// Makes an interface with this name in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, or the name is too long.
    pub fn new(name: &str) -> Result<Self> {
        const PATH: &str = "/dev/net/tun";
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK);
        let device = options.open(PATH);
        let device = device.with_context(|| format!("cannot open `{PATH}`"))?;
        // SAFETY: all zeros are a value of it.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let room = &mut request.ifr_name[..libc::IFNAMSIZ - 1];
        anyhow::ensure!(name.len() <= room.len(), "`{name}` is too long");
        for (to, from) in room.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the kernel reads and writes a `struct ifreq` there.
        let answer = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if answer < 0 {
            let error = io::Error::last_os_error();
            return Err(error).with_context(|| format!("there is no interface `{name}`"));
        }
        Ok(Self(device))
    }

    /// Says what its packets begin with, as one of `ARPHRD_*` (`include/uapi/linux/if_arp.h`). The
    /// interface must be down.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_link_layer(&self, kind: u16) -> Result<()> {
        let kind = libc::c_ulong::from(kind);
        // SAFETY: the request takes a number.
        let answer = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TUNSETLINK, kind) };
        if answer < 0 {
            return Err(io::Error::last_os_error()).context("the link layer is refused");
        }
        Ok(())
    }

    /// Has the machine receive a packet.
    ///
    /// # Errors
    ///
    /// If the interface is down.
    pub fn send(&mut self, packet: &[u8]) -> Result<()> {
        let sent = self.0.write(packet).context("cannot send")?;
        anyhow::ensure!(sent == packet.len(), "{sent} bytes are sent");
        Ok(())
    }

    /// The next packet that the machine has sent, if there is one.
    ///
    /// # Errors
    ///
    /// If the interface is down.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        let mut packet = vec![0; 1 << 16];
        match self.0.read(&mut packet) {
            Ok(length) => {
                packet.truncate(length);
                Ok(Some(packet))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("cannot receive"),
        }
    }
}

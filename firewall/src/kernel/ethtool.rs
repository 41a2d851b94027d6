//! Queries of drivers through `ioctl(SIOCETHTOOL)`, which need no privileges
//! (`dev_ethtool`, `net/ethtool/ioctl.c`). The structures are those of
//! `include/uapi/linux/ethtool.h`; each is a block of 32-bit words here, made as long as the
//! structure that is read from it by number.

#![expect(
    unsafe_code,
    reason = "the system call takes a pointer to a block of memory"
)]

use std::{
    collections::BTreeMap,
    io,
    net::UdpSocket,
    os::fd::{AsRawFd as _, OwnedFd},
};

const SIOCETHTOOL: libc::Ioctl = 0x8946;

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

const ETH_SS_FEATURES: u32 = 4;

/// `ETH_GSTRING_LEN`, in words.
const STRING: usize = 32 / 4;

/// `struct ethtool_drvinfo`, in words.
const DRIVER_INFO: usize = 196 / 4;

/// The maximum number of strings requested of a set.
const MAX_STRINGS: usize = 1024;

/// The queues of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Channels {
    /// The maximum number of queues that only receive.
    pub(crate) max_rx: u32,
    /// The maximum number of queues that only send.
    pub(crate) max_tx: u32,
    /// The maximum number of queues that do both.
    pub(crate) max_combined: u32,
    /// The queues that only receive.
    pub(crate) rx: u32,
    /// The queues that only send.
    pub(crate) tx: u32,
    /// The queues that do both.
    pub(crate) combined: u32,
}

/// A queried interface.
pub(crate) struct Ethtool {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Ethtool {
    /// For the interface called `name`.
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let mut bytes = [0; libc::IFNAMSIZ];
        if name.len() >= bytes.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        // Any socket will do.
        let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))?;
        Ok(Self {
            socket: socket.into(),
            name: bytes,
        })
    }

    /// The name of the driver.
    pub(crate) fn driver(&self) -> io::Result<String> {
        let mut block = vec![0; DRIVER_INFO];
        block[0] = ETHTOOL_GDRVINFO;
        self.ask(&mut block)?;
        Ok(text(&block[1..=STRING]))
    }

    /// The queues; an error when the driver does not report them.
    pub(crate) fn channels(&self) -> io::Result<Channels> {
        let mut block = vec![0; 9];
        block[0] = ETHTOOL_GCHANNELS;
        self.ask(&mut block)?;
        Ok(Channels {
            max_rx: block[1],
            max_tx: block[2],
            max_combined: block[4],
            rx: block[5],
            tx: block[6],
            combined: block[8],
        })
    }

    /// Whether each offload is on, by the name that `ethtool -k` has for it in the kernel.
    pub(crate) fn features(&self) -> io::Result<BTreeMap<String, bool>> {
        // A mask of string sets of 64 bits, followed by the length of each set.
        let mut block = vec![ETHTOOL_GSSET_INFO, 0, 0, 0, 0];
        let mask = (1_u64 << ETH_SS_FEATURES).to_ne_bytes();
        for (word, bytes) in block[2..4].iter_mut().zip(mask.as_chunks().0) {
            *word = u32::from_ne_bytes(*bytes);
        }
        self.ask(&mut block)?;
        let count = block[4];
        let length = (count as usize).min(MAX_STRINGS);

        let mut names = vec![0; 3 + length * STRING];
        names[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES, length as u32]);
        self.ask(&mut names)?;

        // For each 32 features one word each: available, requested, active, never changed.
        let blocks = length.div_ceil(32);
        let mut states = vec![0; 2 + blocks * 4];
        states[..2].copy_from_slice(&[ETHTOOL_GFEATURES, blocks as u32]);
        self.ask(&mut states)?;
        let is_on = |number: usize| states[2 + number / 32 * 4 + 2] & (1 << (number % 32)) != 0;
        Ok(names[3..]
            .chunks_exact(STRING)
            .enumerate()
            .map(|(number, name)| (text(name), is_on(number)))
            .filter(|(name, _)| !name.is_empty())
            .collect())
    }

    /// Executes a request; the kernel writes the answer into its block.
    fn ask(&self, block: &mut [u32]) -> io::Result<()> {
        #[repr(C)]
        struct EthtoolRequest {
            name: [libc::c_char; libc::IFNAMSIZ],
            data: *mut u32,
            rest: [usize; 2],
        }
        let mut request = EthtoolRequest {
            name: self.name,
            data: block.as_mut_ptr(),
            rest: [0; 2],
        };
        // SAFETY: the kernel reads a `struct ifreq`, of which `EthtoolRequest` has the beginning and at
        // least the size, and writes at `data` no more than what the command and the lengths in
        // the block say, for which the callers have made room.
        let answer = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if answer < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

/// The text in words, up to the first 0.
fn text(words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_tells_its_features() {
        let features = Ethtool::new("lo").unwrap().features().unwrap();
        assert!(features.contains_key("rx-gro"), "{features:?}");
        assert_eq!(features.get("loopback"), Some(&true));
    }

    #[test]
    fn there_is_no_interface_of_any_other_name() {
        let missing = Ethtool::new("fw-missing").unwrap().driver().unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENODEV));
        assert!(Ethtool::new("a name of more than 15 bytes").is_err());
    }
}

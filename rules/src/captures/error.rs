//! Why captures cannot be read.

/// Why a capture file, or a frame of it, cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CaptureError {
    /// It does not begin as capture files do.
    #[error("it is not a capture file, neither pcap nor pcapng")]
    NoCapture,
    /// A packet was captured on a link whose packets are not like those of Ethernet.
    #[error("packet {number} was captured on a link of type {link}, which cannot be read")]
    NotEthernet {
        /// The number of the packet in the file, counted from 1.
        number: usize,
        /// The number of the link type.
        link: i32,
    },
    /// A part of the file is damaged or missing.
    #[error("it is damaged or cut off after packet {number}")]
    Damaged {
        /// The number of the last packet that could be read; 0 for none.
        number: usize,
    },
    /// The file cannot be read any further.
    #[error("it cannot be read after packet {number}: {reason}")]
    Unreadable {
        /// The number of the last packet that could be read; 0 for none.
        number: usize,
        /// What the operating system or a decompressor says.
        reason: String,
    },
}

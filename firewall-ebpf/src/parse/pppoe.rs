//! PPPoE sessions (RFC 2516), which carry IP behind a header of PPP.

use super::{
    ethertype,
    headers::Headers,
    load::{NO_LIMIT, load},
};
use crate::{abi::Reason, packet::Packet};

/// The PPP protocols that carry IP (RFC 1332, RFC 5072).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// Reads the headers of a frame of [`ethertype::PPPOE`]. Returns where the IP packet in it begins
/// and where the session ends, and gives `headers` its EtherType; of anything else than IP the
/// given offset and no limit.
///
/// Linux looks at neither version, type nor code of a session frame, and takes a PPP protocol of
/// one byte, whether or not that was negotiated (`pppoe_rcv`, `ppp_decompress_proto`): what is
/// asked of a frame here must not be more.
#[inline(always)]
pub(super) fn parse_pppoe<P: Packet + ?Sized>(
    packet: &P,
    offset: u32,
    headers: &mut Headers,
) -> Result<(u32, u32), Reason> {
    let other = Ok((offset, NO_LIMIT));
    let (Ok(len), Ok([first])) = (load(packet, offset + 4), load(packet, offset + 6)) else {
        return other;
    };
    let (protocol, at) = if first & 1 != 0 {
        (first.into(), offset + 7)
    } else {
        let Ok([second]) = load(packet, offset + 7) else {
            return other;
        };
        (u16::from_be_bytes([first, second]), offset + 8)
    };
    let (kind, least) = match protocol {
        PPP_IPV4 => (ethertype::IPV4, 20),
        PPP_IPV6 => (ethertype::IPV6, 8),
        _ => return other,
    };
    let limit = offset + 6 + u32::from(u16::from_be_bytes(len));
    if at + least > limit {
        return Err(Reason::Truncated);
    }
    headers.ethertype = kind;
    Ok((at, limit))
}

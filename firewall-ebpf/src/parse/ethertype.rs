//! EtherTypes (IEEE 802 numbers registry).

/// IPv4.
pub const IPV4: u16 = 0x0800;
/// Address resolution.
pub const ARP: u16 = 0x0806;
/// A customer VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// IPv6.
pub const IPV6: u16 = 0x86dd;
/// A PPPoE session (RFC 2516).
pub const PPPOE: u16 = 0x8864;
/// A service VLAN tag (IEEE 802.1ad).
pub const SERVICE_VLAN: u16 = 0x88a8;
/// The tag of stacked VLANs before IEEE 802.1ad.
pub const OLD_QINQ: u16 = 0x9100;

/// Whether the EtherType is that of a tag, behind which another one follows.
#[must_use]
#[inline(always)]
pub const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, VLAN | SERVICE_VLAN | OLD_QINQ)
}

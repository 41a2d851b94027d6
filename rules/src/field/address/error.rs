//! Errors in the text form of addresses.

use crate::field::family::{Family, family_name};

/// The reason why a text is neither an address, a prefix nor a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has none of these forms.
    #[error("expected an address, a prefix or a range of addresses")]
    NotAnAddress,
    /// An IPv4 octet with a leading zero, which some readers take for octal.
    #[error("an octet has a leading zero")]
    LeadingZero,
    /// An IPv6 address with the name of a link.
    #[error("an address has no zone here")]
    Zone,
    /// The text after the slash is not a prefix length of the family.
    #[error("the length of an {} prefix is a number from 0 to {}", family_name(*.0), bits(*.0))]
    PrefixLength(Family),
    /// The netmask is invalid: its set bits are not contiguous from the highest one.
    #[error("the netmask is not a run of ones and then zeros")]
    Netmask,
    /// The second address is a netmask or the end of a range, and both are likely.
    #[error("the second address could be a netmask or the end of a range")]
    MaskOrEnd,
    /// The address has bits set that the prefix does not cover.
    #[error("the address has bits set behind the prefix length")]
    HostBits {
        /// The address.
        address: String,
        /// The prefix without those bits.
        prefix: String,
    },
    /// The range ends before it starts.
    #[error("the range ends before it starts")]
    Backwards,
    /// One end of the range is IPv4, the other is IPv6.
    #[error("the range starts in one address family and ends in the other")]
    MixedFamilies,
    /// All IPv4-mapped addresses: in lists of reserved addresses they mean IPv6 addresses, and
    /// would otherwise become all of IPv4.
    #[error("no packet has an IPv4-mapped IPv6 address")]
    MappedBlock,
}

impl AddressError {
    /// How to fix it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::LeadingZero => Some("write octets without leading zeros".to_owned()),
            Self::Zone => Some(
                "leave out the zone after `%`; a rule names the link with `interface`".to_owned(),
            ),
            Self::Netmask => Some("write the length of the prefix: `192.0.2.0/24`".to_owned()),
            Self::MaskOrEnd => Some(
                "write `0.0.0.0` for the single address, or `0.0.0.0/0` for every address"
                    .to_owned(),
            ),
            Self::HostBits { address, prefix } => Some(format!(
                "write `{prefix}` for the network or `{address}` for the single address"
            )),
            Self::Backwards => Some("write the lower address first".to_owned()),
            Self::MappedBlock => {
                Some("leave it out, or write `0.0.0.0/0` if every IPv4 address is meant".to_owned())
            }
            Self::NotAnAddress | Self::PrefixLength(_) | Self::MixedFamilies => None,
        }
    }
}

/// The number of bits of an address of the family.
pub(super) const fn bits(family: Family) -> u32 {
    match family {
        Family::Ipv4 => u32::BITS,
        Family::Ipv6 => u128::BITS,
    }
}

//! The hooks at which programs run.

use std::fmt;

/// A place in the path of packets at which a program of an instance runs, one program for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Hook {
    /// XDP: packets that are received, with their Ethernet header.
    Xdp,
    /// Traffic control: packets that are received by an interface without Ethernet header.
    BareIngress,
    /// Traffic control: packets that are sent.
    Egress,
    /// Traffic control: packets that are sent by an interface without Ethernet header.
    BareEgress,
}

impl Hook {
    /// Every hook.
    pub(crate) const ALL: [Self; 4] =
        [Self::Xdp, Self::BareIngress, Self::Egress, Self::BareEgress];

    /// Those of traffic control.
    pub(crate) const TRAFFIC_CONTROL: [Self; 3] =
        [Self::BareIngress, Self::Egress, Self::BareEgress];

    /// Whether packets that are sent pass it.
    pub(crate) const fn is_egress(self) -> bool {
        match self {
            Self::Xdp | Self::BareIngress => false,
            Self::Egress | Self::BareEgress => true,
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xdp => "xdp",
            Self::BareIngress => "ingress",
            Self::Egress | Self::BareEgress => "egress",
        })
    }
}

//! The kinds of subjects, by name.

/// A kind of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// An empty XDP program that drops everything.
    Baseline,
    /// An empty XDP program that passes everything.
    PassingBaseline,
    /// The `firewall` command.
    Firewall,
    /// nftables at the ingress hook of the interface.
    NftNetdev,
    /// nftables at the prerouting hook.
    NftInet,
    /// iptables, table `raw`.
    Iptables,
    /// iptables, table `raw`, with sets of ipset.
    IpSet,
    /// xdp-filter of xdp-tools.
    XdpFilter,
}

impl SubjectKind {
    /// The subjects compared on rule sets that drop every packet.
    pub const COMPARED: [Self; 7] = [
        Self::Baseline,
        Self::Firewall,
        Self::XdpFilter,
        Self::NftNetdev,
        Self::NftInet,
        Self::Iptables,
        Self::IpSet,
    ];

    /// The subjects that show the cost of `firewall` on rule sets that drop every packet.
    pub const DROPPING: [Self; 2] = [Self::Baseline, Self::Firewall];

    /// The subjects that show the cost of `firewall` on any rule file.
    pub const ALONE: [Self; 3] = [Self::Baseline, Self::PassingBaseline, Self::Firewall];

    /// Whether a measurement is meaningless without it, which is not the case for other firewalls.
    #[must_use]
    pub const fn is_essential(self) -> bool {
        match self {
            Self::Baseline | Self::PassingBaseline | Self::Firewall => true,
            Self::NftNetdev | Self::NftInet | Self::Iptables | Self::IpSet | Self::XdpFilter => {
                false
            }
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "empty XDP drop",
            Self::PassingBaseline => "empty XDP pass",
            Self::Firewall => "firewall",
            Self::NftNetdev => "nftables netdev ingress",
            Self::NftInet => "nftables inet prerouting",
            Self::Iptables => "iptables raw",
            Self::IpSet => "iptables raw, ipset",
            Self::XdpFilter => "xdp-filter",
        }
    }
}

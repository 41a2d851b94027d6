//! The shapes of random rule sets.

/// The shape of a random rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Up to 8 rules of every kind.
    Few,
    /// 100 to 300 rules of every kind over common networks.
    Hundreds,
    /// 1,000 to 10,000 rules, most of them with addresses and ports.
    Thousands,
    /// Prefixes of all lengths of one address, nested in each other.
    Nested,
    /// Single addresses, many of them adjacent.
    Singles,
    /// Rules that match everything except some addresses, ports, protocols and interfaces.
    Negatives,
    /// Rules that name interfaces.
    Interfaces,
    /// Up to 150 rules, nearly all of which only count.
    Counts,
    /// Rules that leave most fields open.
    Wildcards,
    /// Rules for ports, TCP flags and ICMP messages.
    Upper,
    /// Rules on rarely used fields: EtherTypes, tags, MAC addresses, lengths, hops, code points and
    /// fragments.
    Details,
    /// A few rules with thousands of addresses.
    Blocklist,
    /// A few rules with thousands of addresses in the same networks, and thousands of ports.
    Dense,
    /// A few rules with thousands of prefixes in as many networks.
    Scattered,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 14] = [
        Self::Few,
        Self::Hundreds,
        Self::Thousands,
        Self::Nested,
        Self::Singles,
        Self::Negatives,
        Self::Interfaces,
        Self::Counts,
        Self::Wildcards,
        Self::Upper,
        Self::Details,
        Self::Blocklist,
        Self::Dense,
        Self::Scattered,
    ];

    pub(super) const fn profile(self) -> Profile {
        match self {
            Self::Few => Profile {
                out: 40,
                ..Profile::COMMON
            },
            Self::Hundreds => Profile {
                rules: (100, 300),
                networks: 12,
                address: 85,
                upper: 85,
                services: 30,
                widest: 50,
                out: 30,
                ..Profile::COMMON
            },
            Self::Thousands => Profile {
                rules: (1000, 10_000),
                networks: 400,
                ranges: (1, 2),
                negatives: 1,
                address: 93,
                upper: 93,
                details: 0,
                services: 30,
                family: 2,
                interface: 2,
                count: 9,
                widest: 30,
                ..Profile::COMMON
            },
            Self::Nested => Profile {
                rules: (5, 60),
                networks: 1,
                ranges: (1, 1),
                address: 80,
                prefixes: 95,
                upper: 25,
                ..Profile::COMMON
            },
            Self::Singles => Profile {
                rules: (5, 120),
                networks: 3,
                ranges: (1, 6),
                address: 75,
                prefixes: 0,
                ..Profile::COMMON
            },
            Self::Negatives => Profile {
                rules: (2, 25),
                negatives: 70,
                ..Profile::COMMON
            },
            Self::Interfaces => Profile {
                rules: (4, 60),
                interface: 75,
                out: 50,
                ..Profile::COMMON
            },
            Self::Counts => Profile {
                rules: (20, 150),
                count: 93,
                details: 3,
                address: 30,
                upper: 30,
                negatives: 30,
                ..Profile::COMMON
            },
            Self::Wildcards => Profile {
                rules: (1, 20),
                address: 12,
                upper: 15,
                family: 25,
                interface: 8,
                out: 30,
                count: 60,
                ..Profile::COMMON
            },
            Self::Upper => Profile {
                rules: (5, 60),
                address: 15,
                upper: 95,
                ranges: (1, 8),
                ..Profile::COMMON
            },
            Self::Details => Profile {
                rules: (1, 25),
                address: 20,
                upper: 20,
                details: 90,
                ..Profile::COMMON
            },
            Self::Blocklist => Profile {
                rules: (2, 6),
                networks: 500,
                ranges: (50, 2000),
                address: 70,
                ..Profile::COMMON
            },
            Self::Dense => Profile {
                rules: (1, 4),
                networks: 2,
                ranges: (3000, 6000),
                address: 70,
                prefixes: 0,
                widest: 2,
                scatter: 0xffff,
                run: 0xf,
                ports: 3000,
                ..Profile::COMMON
            },
            Self::Scattered => Profile {
                rules: (1, 2),
                networks: 4000,
                ranges: (2400, 3000),
                negatives: 0,
                address: 70,
                prefixes: 100,
                widest: 30,
                count: 40,
                ..Profile::COMMON
            },
        }
    }
}

/// The parameters of a shape: probabilities in percent, and numbers.
#[derive(Clone, Copy)]
pub(super) struct Profile {
    pub(super) rules: (usize, usize),
    /// The addresses around which all address sets are built.
    pub(super) networks: usize,
    /// The minimum and maximum number of ranges of one set.
    pub(super) ranges: (usize, usize),
    /// The probability that a set is replaced by its complement or gets holes.
    pub(super) negatives: usize,
    /// The probability of a source set, and of a destination set.
    pub(super) address: usize,
    /// The probability that an address range is a prefix.
    pub(super) prefixes: usize,
    /// The number of last bits of an address that the widest range leaves open.
    pub(super) widest: usize,
    /// The last bits in which single addresses differ from their network.
    pub(super) scatter: u128,
    /// The bits in which the last address of such a range differs from the first one.
    pub(super) run: u128,
    /// The maximum number of ranges of a set of ports.
    pub(super) ports: usize,
    /// The probability of conditions on protocol, ports, flags or ICMP messages.
    pub(super) upper: usize,
    /// The probability of conditions on EtherType, tag, MAC address, length, hops, code point or
    /// fragments.
    pub(super) details: usize,
    /// The number of distinct L4 conditions that the rules share; 0 if each rule has its own.
    pub(super) services: usize,
    pub(super) family: usize,
    pub(super) interface: usize,
    /// The probability that a rule is for packets out.
    pub(super) out: usize,
    pub(super) count: usize,
}

impl Profile {
    const COMMON: Self = Self {
        rules: (0, 8),
        networks: 4,
        ranges: (1, 4),
        negatives: 10,
        address: 55,
        prefixes: 60,
        widest: 100,
        scatter: 0xff,
        run: 0,
        ports: 8,
        upper: 65,
        details: 8,
        services: 0,
        family: 10,
        interface: 10,
        out: 0,
        count: 20,
    };
}

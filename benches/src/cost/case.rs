//! A case: a rule set in the words of each firewall, and the packets that it is to judge.

use std::net::IpAddr;

use crate::tuple::Tuple;

/// In the words for a firewall, what stands for the name of the guarded interface.
pub const INTERFACE: &str = "@interface@";

/// The words for one firewall, or why there are none: a clause such as `it has no ports`.
pub type Words = Result<String, String>;

/// A rule set and packets.
///
/// To compare like with like, the words end with a rule or policy that drops what nothing matched,
/// so that each firewall drops every packet itself.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What it consists of, in a sentence.
    pub description: String,
    /// The packets, in order.
    pub packets: Vec<Tuple>,
    /// The rule set.
    pub config: Config,
}

/// A rule set in the words of each firewall.
///
/// nftables counts in every rule that decides, as the others do by themselves; a last rule without
/// a match counts what nothing else matched.
#[derive(Clone, Debug)]
pub struct Config {
    /// A rule file for `firewall`.
    pub toml: Words,
    /// The lists that the rule file names: file name and content.
    pub lists: Vec<(String, String)>,
    /// A script for `nft -f`, with a chain at the ingress hook of the interface.
    pub nft_netdev: Words,
    /// A script for `nft -f`, with a chain at the prerouting hook of family inet.
    pub nft_inet: Words,
    /// Input of `iptables-legacy-restore`: the table `raw`.
    pub iptables: Words,
    /// Input of `ipset restore` and of `iptables-legacy-restore`, the table `raw` with sets.
    pub ipset: Result<IpSet, String>,
    /// The source addresses to drop, for firewalls that know nothing else.
    pub addresses: Result<Addresses, String>,
}

/// A rule set for iptables that uses sets.
#[derive(Clone, Debug)]
pub struct IpSet {
    /// Input of `ipset restore`.
    pub sets: String,
    /// Input of `iptables-legacy-restore`.
    pub rules: String,
}

/// A rule set of nothing but source addresses.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The addresses.
    pub listed: Vec<IpAddr>,
    /// Whether the listed ones are dropped and the others passed, or the other way round.
    pub dropped: bool,
}

impl Config {
    /// A rule set for `firewall` alone.
    #[must_use]
    pub fn firewall_only(toml: String) -> Self {
        let none = || "it is a rule file of `firewall`".to_owned();
        Self {
            toml: Ok(toml),
            lists: Vec::new(),
            nft_netdev: Err(none()),
            nft_inet: Err(none()),
            iptables: Err(none()),
            ipset: Err(none()),
            addresses: Err(none()),
        }
    }
}

//! A case: a rule set, and the packets that each firewall classifies by it.

use crate::{
    rulesets::{
        AddressList, Family, ListPolicy, Origin, RuleSet,
        write::{firewall, list},
    },
    tuple::Tuple,
};

/// The placeholder in a rule file for the name of the guarded interface.
pub const INTERFACE: &str = "@interface@";

/// The list file that the rule files of lists name.
pub(super) const LIST_FILE: &str = "listed.txt";

/// Rules and packets.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// A sentence on its contents.
    pub description: String,
    /// The packets, in order.
    pub packets: Vec<Tuple>,
    /// Where the packets come from.
    pub packets_from: Origin,
    /// The rules.
    pub rules: Rules,
    /// Where the rules come from.
    pub rules_from: Origin,
}

/// Rules that can be written for firewalls.
///
/// For a fair comparison, each firewall should drop every packet itself.
#[derive(Clone, Debug)]
pub enum Rules {
    /// Rules on several fields.
    Set(RuleSet),
    /// A rule on source addresses.
    List(AddressList, ListPolicy),
    /// A rule file for `firewall` alone, with [`INTERFACE`] as the interface.
    File(String),
}

impl Rules {
    /// The families that the rules are for; none for a rule file.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        match self {
            Self::Set(set) => set.families(),
            Self::List(list, _) => list.families(),
            Self::File(_) => Vec::new(),
        }
    }

    /// The rule file for `firewall` on an interface, and the list file that it names.
    #[must_use]
    pub fn rule_file(&self, interface: &str) -> (String, Option<String>) {
        let settings = firewall::Settings {
            interface,
            mode: "native",
        };
        match self {
            Self::Set(set) => (firewall::rules(set, settings), None),
            Self::List(members, policy) => {
                let rules = firewall::list(LIST_FILE, *policy, settings);
                (rules, Some(list::list(members)))
            }
            Self::File(text) => (text.replace(INTERFACE, interface), None),
        }
    }
}

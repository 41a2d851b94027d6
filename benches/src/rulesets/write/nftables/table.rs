//! The table of a script, with the hook of its chain.

use std::fmt::{self, Write as _};

use crate::rulesets::Verdict;

/// The name of the table that the scripts make.
pub const TABLE: &str = "bench";

/// The hook at which packets are filtered.
#[derive(Clone, Copy, Debug)]
pub enum Hook<'a> {
    /// The ingress hook of a device, in a table of the family `netdev`.
    Ingress {
        /// The name of the device.
        device: &'a str,
    },
    /// The prerouting hook with the priority `raw`, before connections are tracked, in a table of
    /// the family `inet`.
    Prerouting,
}

/// Whether rules count the packets that they match, as those of this firewall always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters {
    /// They only decide.
    None,
    /// Each rule counts.
    PerRule,
    /// Each rule counts, and a last one counts the packets that none of them matches.
    PerRuleAndRest,
}

impl Counters {
    /// The statement before the verdict of a rule.
    pub(super) const fn statement(self) -> &'static str {
        match self {
            Self::None => "",
            Self::PerRule | Self::PerRuleAndRest => "counter ",
        }
    }
}

/// Writes the table: `sets` before a chain of that policy with the lines that `rules` writes, which
/// ends as `counters` say.
pub(super) fn table(
    hook: Hook<'_>,
    default: Verdict,
    counters: Counters,
    sets: &str,
    rules: impl FnOnce(&mut String) -> fmt::Result,
) -> String {
    let mut text = String::new();
    let (family, place) = match hook {
        Hook::Ingress { device } => ("netdev", format!("ingress device \"{device}\" priority 0")),
        Hook::Prerouting => ("inet", "prerouting priority raw".to_owned()),
    };
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "table {family} {TABLE} {{\n{sets}chain rules {{\ntype filter hook {place}; policy {};\n",
        word(default)
    );
    let _ = rules(&mut text);
    if counters == Counters::PerRuleAndRest {
        let _ = writeln!(text, "counter {}", word(default));
    }
    text.push_str("}\n}\n");
    text
}

/// The word for a verdict.
pub(super) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "accept",
        Verdict::Drop => "drop",
    }
}

//! Receiving interfaces: names, globs, and which of them match.

use std::fmt;

/// The name of the loopback interface (`loopback_net_init`, `drivers/net/loopback.c`).
pub const LOOPBACK: &str = "lo";

/// Which receiving interfaces match: any of the positives and none of the negatives; without
/// positives, all except the negatives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceMatch {
    /// The patterns of which one must fit.
    pub positives: Vec<InterfacePattern>,
    /// The patterns of which none may fit.
    pub negatives: Vec<InterfacePattern>,
}

impl InterfaceMatch {
    /// Whether the interface called `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let fits = |patterns: &[InterfacePattern]| patterns.iter().any(|p| p.matches(name));
        (self.positives.is_empty() || fits(&self.positives)) && !fits(&self.negatives)
    }
}

/// An interface name or a glob with `*` (any characters) and `?` (one character).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InterfacePattern(String);

impl InterfacePattern {
    /// The maximum length of an interface name in the kernel, in bytes (`IFNAMSIZ - 1`,
    /// `include/uapi/linux/if.h`).
    pub const MAX_NAME_LEN: usize = 15;

    /// Reads a pattern; `None` when it is empty, longer than [`Self::MAX_NAME_LEN`] bytes, `.`,
    /// `..`, or contains `/`, `:` or white space, which no interface name can (`dev_valid_name`,
    /// `net/core/dev.c`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = !text.is_empty()
            && text.len() <= Self::MAX_NAME_LEN
            && text != "."
            && text != ".."
            && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
        valid.then(|| Self(text.to_owned()))
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern can fit more than one name.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// Whether an interface called `name` is one to attach to: the pattern fits, and is more than a
    /// glob that also fits the loopback interface, through which all local services speak.
    #[must_use]
    pub fn selects(&self, name: &str) -> bool {
        self.matches(name) && (name != LOOPBACK || !self.is_glob())
    }

    /// Whether the pattern fits `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        glob(self.0.as_bytes(), name.as_bytes())
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((b'*', tail)), Some((_, name_tail))) => glob(tail, name) || glob(pattern, name_tail),
        (Some((b'*', tail)), None) => glob(tail, name),
        (Some((b'?', tail)), Some((_, name_tail))) => glob(tail, name_tail),
        (Some((want, tail)), Some((have, name_tail))) => want == have && glob(tail, name_tail),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_as_in_a_shell() {
        let fits =
            |pattern: &str, name: &str| InterfacePattern::parse(pattern).unwrap().matches(name);
        assert!(fits("eth0", "eth0"));
        assert!(!fits("eth0", "eth01"));
        assert!(fits("eth*", "eth"));
        assert!(fits("eth*", "eth12"));
        assert!(!fits("eth?", "eth"));
        assert!(fits("*0", "wlan0"));
        assert!(fits("e*1*", "enp1s0"));
        assert!(!fits("e*2", "enp1s0"));
    }

    #[test]
    fn only_its_name_selects_the_loopback_interface() {
        let selects =
            |pattern: &str, name: &str| InterfacePattern::parse(pattern).unwrap().selects(name);
        for glob in ["*", "l*", "?o", "lo*"] {
            assert!(!selects(glob, "lo"), "{glob}");
        }
        assert!(selects("lo", "lo"));
        assert!(selects("lo*", "lo1"));
        assert!(selects("*", "eth0"));
        assert!(!selects("lo", "eth0"));
    }

    #[test]
    fn names_that_the_kernel_refuses_are_no_patterns() {
        for text in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-letters!"] {
            assert_eq!(InterfacePattern::parse(text), None, "{text}");
        }
    }
}

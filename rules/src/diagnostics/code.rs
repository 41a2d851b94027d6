//! The kinds of findings, and their severities.

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rules can be loaded, but may not do what was intended.
    Warning,
    /// The rules are not loaded.
    Error,
}

impl Severity {
    /// The word that precedes a message.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $severity:ident;)*) => {
        /// The kind of a finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
            }

            /// The name of the code, which never changes once released.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The severity of findings of this kind.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    /// The rule file is not UTF-8.
    NotUtf8 = "not-utf-8", Error;
    /// The rule file is not TOML.
    Toml = "toml-syntax", Error;
    /// A key is given twice.
    DuplicateKey = "duplicate-key", Error;
    /// A key that the language does not have.
    UnknownKey = "unknown-key", Error;
    /// A required key is absent.
    MissingKey = "missing-key", Error;
    /// A value of the wrong TOML type.
    WrongType = "wrong-type", Error;
    /// A name with characters or a length that names cannot have.
    InvalidName = "invalid-name", Error;
    /// A name that another rule has.
    DuplicateName = "duplicate-name", Error;
    /// A value that its key does not accept.
    InvalidValue = "invalid-value", Error;
    /// A list without values.
    EmptyList = "empty-list", Error;
    /// A set without members.
    EmptySet = "empty-set", Error;
    /// A set of both addresses and ports.
    MixedSet = "mixed-set", Error;
    /// A reference to a set that is not defined.
    UnknownSet = "unknown-set", Error;
    /// A reference to a set whose members its key does not accept.
    WrongSet = "wrong-set", Error;
    /// A list file that could not be read.
    UnreadableFile = "unreadable-file", Error;
    /// An ICMP type number in a rule that does not determine whether ICMP or ICMPv6 is meant.
    AmbiguousIcmpType = "ambiguous-icmp-type", Error;
    /// A combination of fields that no packet has.
    Contradiction = "contradiction", Error;
    /// More groups of IPv4 options than rules may distinguish.
    TooManyOptions = "too-many-options", Error;
    /// A packet of a test that cannot be read.
    InvalidPacket = "invalid-packet", Error;
    /// A reference to a rule that is not defined.
    UnknownRule = "unknown-rule", Error;
    /// A test with another outcome than it expects.
    FailedTest = "failed-test", Error;
    /// A set that no rule uses.
    UnusedSet = "unused-set", Warning;
    /// A table of flows that no rule needs.
    UnusedFlows = "unused-flows", Warning;
    /// A rule that no packet can match.
    NeverMatches = "never-matches", Warning;
    /// A rule whose packets are all matched by earlier rules.
    Unreached = "unreached-rule", Warning;
    /// A member of a set or field that another member has.
    RedundantMember = "redundant-member", Warning;
    /// A member in the IPv6 form of an IPv4 address.
    MappedAddress = "mapped-address", Warning;
    /// A rule that drops, by a set, a large part of an address family or addresses of local
    /// networks.
    BroadDrop = "broad-drop", Warning;
    /// Lines of a list file that cannot be read and are skipped.
    SkippedLines = "skipped-lines", Warning;
    /// A list file without members.
    EmptyListFile = "empty-list-file", Warning;
    /// A protocol that IPv6 has as an extension header.
    ExtensionHeader = "extension-header", Warning;
    /// A rule that drops packets without which a link does not work.
    DropsNeighbors = "drops-neighbors", Warning;
    /// Answers to what the machine asks are dropped.
    DropsReplies = "drops-replies", Warning;
    /// ICMP messages are dropped that connections depend on.
    DropsIcmpErrors = "drops-icmp-errors", Warning;
    /// The first fragments of packets pass, and later ones are dropped.
    DropsFragments = "drops-fragments", Warning;
    /// Local services do not reach each other.
    DropsLoopback = "drops-loopback", Warning;
    /// What the machine asks others is dropped.
    DropsRequests = "drops-requests", Warning;
    /// Answers of DHCP are dropped on an interface that is configured by it.
    DropsDhcp = "drops-dhcp", Warning;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::quoted;

    #[test]
    fn codes_have_distinct_names() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn quoted_text_cannot_reach_the_terminal() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "`a\\u{1b}[2Jb`");
        assert_eq!(quoted(&"x".repeat(100)), format!("`{}…`", "x".repeat(72)));
    }
}

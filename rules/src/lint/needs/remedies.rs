//! The rules to add, as help texts.

/// Passes the answers to what the machine asks others.
pub(super) const REPLIES: &str = "add
  [[rule]]
  name   = \"replies\"
  action = \"pass\"
  state  = [\"established\", \"related\"]";

/// Passes what tells a sender over IPv4 why its packets do not arrive.
pub(super) const ICMP_ERRORS: &str = "add
  [[rule]]
  name      = \"icmp errors\"
  action    = \"pass\"
  proto     = \"icmp\"
  icmp_type = [\"destination-unreachable\", \"time-exceeded\", \"parameter-problem\"]";

/// Passes what must not be dropped (RFC 4890, section 4.4.1).
pub(super) const ICMPV6: &str = "add
  [[rule]]
  name      = \"icmpv6\"
  action    = \"pass\"
  proto     = \"icmpv6\"
  icmp_type = [\"destination-unreachable\", \"packet-too-big\", \"time-exceeded\",
               \"parameter-problem\", \"echo-request\", \"echo-reply\"]";

/// Passes later fragments, and no first one that no other rule passes.
pub(super) const FRAGMENTS: &str = "add at the end: first fragments, which have ports, end at the \
first of these rules
  [[rule]]
  name     = \"first fragments\"
  action   = \"drop\"
  proto    = \"udp\"
  dport    = \"0-65535\"
  fragment = true

  [[rule]]
  name     = \"later fragments\"
  action   = \"pass\"
  proto    = \"udp\"
  fragment = true";

/// Leaves local services alone.
pub(super) const LOOPBACK: &str = "take `lo` out of `interfaces`, or add as the first rule
  [[rule]]
  name      = \"loopback\"
  action    = \"pass\"
  interface = \"lo\"";

/// Passes what the machine asks others.
pub(super) const REQUESTS: &str = "add
  [[rule]]
  name      = \"requests\"
  action    = \"pass\"
  direction = \"out\"
  proto     = [\"tcp\", \"udp\"]
  dport     = [53, 80, 123, 443]

  [[rule]]
  name      = \"dhcp\"
  action    = \"pass\"
  direction = \"out\"
  proto     = \"udp\"
  sport     = 68
  dport     = 67";

/// Passes the answers of services.
pub(super) const ANSWERS: &str = "add
  [[rule]]
  name      = \"answers of services\"
  action    = \"pass\"
  direction = \"out\"
  tcp_flags = \"ack\"";

/// Passes what finds the other hosts of a link.
pub(super) const DISCOVERY_OUT: &str =
    "leave the rule out, and `policy_out = \"drop\"` drops the rest \
and lets these pass; or add before it
  [[rule]]
  name      = \"arp out\"
  action    = \"pass\"
  direction = \"out\"
  ethertype = \"arp\"

  [[rule]]
  name      = \"neighbor discovery out\"
  action    = \"pass\"
  direction = \"out\"
  icmp_type = [\"router-solicitation\", \"neighbor-solicitation\", \"neighbor-advertisement\"]
  ttl       = 255";

const ARP: &str = "
  [[rule]]
  name      = \"arp\"
  action    = \"pass\"
  ethertype = \"arp\"
";

const DISCOVERY: &str = "
  [[rule]]
  name      = \"neighbor discovery\"
  action    = \"pass\"
  proto     = \"icmpv6\"
  icmp_type = [\"mld-listener-query\", \"router-solicitation\", \"router-advertisement\",
               \"neighbor-solicitation\", \"neighbor-advertisement\", \"redirect\"]
  ttl       = [1, 255]
";

const GROUPS: &str = "
  [[rule]]
  name      = \"igmp\"
  action    = \"pass\"
  proto     = \"igmp\"
  ttl       = 1
";

/// Passes what a rule takes from a link.
pub(super) fn neighbors(what: &[&str]) -> String {
    let mut help =
        "leave the rule out, and `policy = \"drop\"` drops the rest and lets these pass; \
                    or add before it"
            .to_owned();
    if what.contains(&"ARP") {
        help += ARP;
    }
    if what
        .iter()
        .any(|what| !matches!(*what, "ARP" | "IGMP queries"))
    {
        help += DISCOVERY;
    }
    if what.contains(&"IGMP queries") {
        help += GROUPS;
    }
    help.trim_end().to_owned()
}

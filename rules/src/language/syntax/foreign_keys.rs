//! Keys of other firewalls in a rule: what this language calls them, or that it has nothing of the kind.

/// The help for a key that other firewalls have, in small letters.
pub(super) fn help(key: &str) -> Option<String> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let own = match key.as_str() {
        "source" | "saddr" | "src_ip" | "ip_src" | "src_address" | "source_address" | "from" => {
            "src"
        }
        "destination"
        | "daddr"
        | "dst_ip"
        | "ip_dst"
        | "dst_address"
        | "destination_address"
        | "to" => "dst",
        "port" | "ports" | "dst_port" | "dest_port" | "destination_port" | "dports" => "dport",
        "src_port" | "source_port" | "sports" => "sport",
        "protocol" | "l4proto" | "ip_protocol" | "nexthdr" => "proto",
        "verdict" | "target" | "jump" | "decision" => "action",
        "dev" | "device" | "nic" => "interface",
        "fwmark" | "nfmark" | "meta_mark" => "mark",
        "chain" | "hook" => "direction",
        "flags" | "tcpflags" => "tcp_flags",
        "icmp" | "icmpv6" | "icmpv6_type" | "type" => "icmp_type",
        "mac" | "mac_source" | "ether_src" => "src_mac",
        "tos" => "dscp",
        "hoplimit" | "hop_limit" => "ttl",
        "description" | "desc" => "comment",
        "rate" | "limit" | "burst" | "hashlimit" | "connlimit" | "quota" => {
            return Some(
                "rules do not limit rates; `log` has a limit for the packets that are logged"
                    .to_owned(),
            );
        }
        "ct" | "ctstate" | "ct_state" | "conntrack" | "keep_state" => "state",
        "established" | "related" => {
            return Some(
                "replies are matched by `state = [\"established\", \"related\"]`".to_owned(),
            );
        }
        "iif" | "iifname" | "in" => {
            return Some(
                "here it is called `interface`; of packets with `direction = \"out\"`, \
                 `in_interface`"
                    .to_owned(),
            );
        }
        "oif" | "oifname" | "out" | "out_interface" => {
            return Some(
                "here it is called `interface`, in a rule with `direction = \"out\"`".to_owned(),
            );
        }
        "table" | "priority" | "nat" | "dnat" | "snat" | "masquerade" | "redirect" => {
            return Some(
                "there is nothing of the kind here: a rule passes, drops or counts".to_owned(),
            );
        }
        _ => return None,
    };
    Some(format!("here it is called `{own}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_others_are_translated_or_refused() {
        assert_eq!(help("saddr").unwrap(), "here it is called `src`");
        assert_eq!(help("Dst-Port").unwrap(), "here it is called `dport`");
        assert_eq!(help("ctstate").unwrap(), "here it is called `state`");
        assert!(help("established").unwrap().contains("state = ["));
        assert!(help("limit").unwrap().contains("do not limit rates"));
        assert_eq!(help("colour"), None);
    }
}

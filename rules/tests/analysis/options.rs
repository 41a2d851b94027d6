//! IPv4 options, of which a packet can have any set.

use rules::{
    analysis::{Budget, Compare, diff},
    evaluator::decode,
    model::RuleId,
};

use crate::{
    dropping::{ruleset, unreached_of},
    frames::frame,
};

#[test]
fn a_packet_with_any_option_has_one_of_two_complements() {
    let rules = ["ip_option = \"lsrr\"", "ip_option = \"!lsrr\""];
    assert_eq!(
        unreached_of(&[rules[0], rules[1], "ip_option = \"0-255\""]),
        [(2, vec![RuleId(0), RuleId(1)])]
    );
    // Packets without options are left.
    assert_eq!(unreached_of(&[rules[0], rules[1], "family = \"ipv4\""]), []);
}

#[test]
fn a_packet_may_have_another_option_beside() {
    let routes = "ip_option = [\"lsrr\", \"rr\"]";
    assert_eq!(
        unreached_of(&[routes, "ip_option = \"rr\""]),
        [(1, vec![RuleId(0)])]
    );
    assert_eq!(
        unreached_of(&[routes, "ip_option = [\"rr\", \"nop\"]", "ip_option = 148"]),
        []
    );
}

#[test]
fn options_need_room_in_the_header() {
    let short = "length = \"0-23\"\nip_option = \"lsrr\"";
    assert_eq!(unreached_of(&[short]), [(0, vec![])]);
    let long = "length = \"0-24\"\nip_option = \"lsrr\"";
    assert_eq!(unreached_of(&[long]), []);
    // Two options of 2 bytes have room where one has.
    let shadowed = [
        "length = 24\nproto = 253\nip_option = \"rr\"",
        "length = 24\nproto = 253\nip_option = \"lsrr\"",
        "length = 24\nproto = 253\nip_option = 148",
    ];
    assert_eq!(unreached_of(&shadowed), []);
}

#[test]
fn a_change_is_shown_by_a_packet_with_the_option() {
    let old = ruleset(&["ip_option = [\"lsrr\", \"rr\"]"]);
    let new = ruleset(&["ip_option = \"rr\""]);
    let found = diff(&old, &new, Compare::Verdicts, &mut Budget::default()).unwrap();
    assert!(found.undecided.is_empty());
    // Queries of IGMP now pass as neighbors, other packets by the policy.
    assert_eq!(found.changes.len(), 2, "{:?}", found.changes);
    for area in found.changes.iter().flat_map(|change| &change.areas) {
        let fields = decode(&frame(&area.witness)).unwrap();
        assert_eq!(fields.ip_options, [131], "{}", area.witness);
        assert!(
            area.witness
                .to_string()
                .contains("ip_option loose-source-route")
        );
    }
    let back = diff(&old, &old, Compare::Deciders, &mut Budget::default()).unwrap();
    assert!(back.changes.is_empty() && back.undecided.is_empty());
}

//! The meaning of each match field with each of its operators.

use std::{num::NonZeroU32, sync::Arc};

use firewall_ebpf::abi::Reason;
use rules::{
    field::{Family, IcmpSet, RangeSet},
    model::{LogLimit, Matches, Mode, Per, ReasonLogs, RuleAction, Verdict},
};

use crate::support::{load_clean, load_with, matches};

const MAX_V6: u128 = u128::MAX;

/// An address set given as the ranges of its families.
#[track_caller]
fn assert_src(fields: &str, v4: &[(u32, u32)], v6: &[(u128, u128)]) {
    let matches = matches(fields);
    let src = matches.src.as_ref().unwrap();
    assert_eq!(src.v4.ranges(), v4, "{fields}");
    assert_eq!(src.v6.ranges(), v6, "{fields}");
    let dst = self::matches(&fields.replacen("src", "dst", 1));
    assert_eq!(dst.dst, matches.src, "dst like src: {fields}");
    assert_eq!(dst.src, None);
}

#[test]
fn addresses_are_single_ones_prefixes_and_ranges() {
    assert_src("src = \"192.0.2.1\"", &[(0xc000_0201, 0xc000_0201)], &[]);
    assert_src("src = \"192.0.2.0/24\"", &[(0xc000_0200, 0xc000_02ff)], &[]);
    assert_src("src = \"0.0.0.0/0\"", &[(0, u32::MAX)], &[]);
    assert_src(
        "src = \"192.0.2.1-192.0.2.9\"",
        &[(0xc000_0201, 0xc000_0209)],
        &[],
    );
    let doc = 0x2001_0db8_u128 << 96;
    assert_src("src = \"2001:db8::7\"", &[], &[(doc + 7, doc + 7)]);
    assert_src("src = \"2001:db8::/127\"", &[], &[(doc, doc + 1)]);
    assert_src("src = \"::/0\"", &[], &[(0, MAX_V6)]);
    assert_src("src = \"2001:db8::-2001:db8::f\"", &[], &[(doc, doc + 15)]);
}

#[test]
fn a_list_of_addresses_is_any_positive_and_no_negative() {
    assert_src(
        "src = [\"192.0.2.0/30\", \"!192.0.2.1\", \"::1\"]",
        &[(0xc000_0200, 0xc000_0200), (0xc000_0202, 0xc000_0203)],
        &[(1, 1)],
    );
    assert_src(
        "src = [\"!0.0.0.1\", \"192.0.2.1\"]",
        &[(0xc000_0201, 0xc000_0201)],
        &[],
    );
}

#[test]
fn negatives_alone_leave_everything_else_of_both_families() {
    assert_src(
        "src = \"!0.0.0.0/1\"",
        &[(1 << 31, u32::MAX)],
        &[(0, MAX_V6)],
    );
    assert_src(
        "src = [\"!0.0.0.0/1\", \"!8000::/1\"]",
        &[(1 << 31, u32::MAX)],
        &[(0, MAX_V6 >> 1)],
    );
}

#[test]
fn sets_stand_for_their_members() {
    let sets = "[sets]\na = [\"192.0.2.0/31\", \"::1\"]\nb = [\"192.0.2.4\"]";
    assert_src(
        &format!("src = [\"@a\", \"@b\"]\n{sets}"),
        &[(0xc000_0200, 0xc000_0201), (0xc000_0204, 0xc000_0204)],
        &[(1, 1)],
    );
    assert_src(
        &format!("src = [\"0.0.0.0/0\", \"!@a\", \"!@b\"]\n{sets}"),
        &[
            (0, 0xc000_01ff),
            (0xc000_0202, 0xc000_0203),
            (0xc000_0205, u32::MAX),
        ],
        &[],
    );
}

#[test]
fn rules_share_the_sets_that_they_name() {
    let text = r#"
        rule = [
            { name = "1", action = "drop", src = "@big" },
            { name = "2", action = "drop", dst = ["@same"] },
            { name = "3", action = "drop", src = ["@big", "!192.0.2.1"] },
            { name = "4", action = "drop", dst = ["@big", "!192.0.2.1"] },
        ]
        [firewall]
        interfaces = ["*"]
        [sets]
        big = { file = "big.txt" }
        same = { file = "big.txt" }
    "#;
    let loaded = load_with(text, &[("big.txt", "192.0.2.0/24\n")]).unwrap();
    let [one, two, three, four] = [0, 1, 2, 3].map(|at| {
        let matches = &loaded.ruleset.rules[at].matches;
        matches.src.clone().or(matches.dst.clone()).unwrap()
    });
    assert!(Arc::ptr_eq(&one, &two), "a file is read and kept once");
    assert!(Arc::ptr_eq(&three, &four));
    assert!(!Arc::ptr_eq(&one, &three));
}

/// Compares both port fields with the ranges expected of `value`, which may name two sets.
#[track_caller]
fn assert_ports(value: &str, expected: &[(u16, u16)]) {
    let expected = Some(RangeSet::from_ranges(expected.to_vec()));
    let other = "[\"@web\", \"@odd\"]\n[sets]\nweb = [80, 443, \"8000-8099\"]\nodd = [\"1\"]";
    let dport = matches(&format!("dport = {value}\nsport = {other}")).dport;
    assert_eq!(dport, expected, "dport = {value}");
    let sport = matches(&format!("sport = {value}\ndport = {other}")).sport;
    assert_eq!(sport, expected, "sport = {value}");
}

#[test]
fn ports_are_numbers_ranges_sets_and_lists_of_them() {
    assert_ports("22", &[(22, 22)]);
    assert_ports("0x50", &[(80, 80)]);
    assert_ports("\"22\"", &[(22, 22)]);
    assert_ports("\"8000-8099\"", &[(8000, 8099)]);
    assert_ports(
        "[22, \"80-81\", 0, 65535]",
        &[(0, 0), (22, 22), (80, 81), (65535, 65535)],
    );
    assert_ports("\"@web\"", &[(80, 80), (443, 443), (8000, 8099)]);
    assert_ports(
        "[\"@web\", \"!443\", \"@odd\"]",
        &[(1, 1), (80, 80), (8000, 8099)],
    );
    assert_ports("\"!22\"", &[(0, 21), (23, 65535)]);
    assert_ports(
        "[\"!@web\"]",
        &[(0, 79), (81, 442), (444, 7999), (8100, 65535)],
    );
}

#[test]
fn protocols_are_names_numbers_and_ranges() {
    for (value, expected) in [
        ("\"tcp\"", vec![(6, 6)]),
        ("17", vec![(17, 17)]),
        ("\"17\"", vec![(17, 17)]),
        (
            "[\"icmp\", \"icmpv6\", \"icmp6\", \"ipv6-icmp\"]",
            vec![(1, 1), (58, 58)],
        ),
        ("[\"0-5\", \"!2\"]", vec![(0, 1), (3, 5)]),
        ("[\"!tcp\", \"!udp\"]", vec![(0, 5), (7, 16), (18, 255)]),
    ] {
        let proto = matches(&format!("proto = {value}")).proto;
        assert_eq!(proto, Some(RangeSet::from_ranges(expected)), "{value}");
    }
}

#[test]
fn tcp_flags_are_those_set_and_those_clear() {
    let fits = |value: &str| {
        let flags = matches(&format!("tcp_flags = {value}")).tcp_flags.unwrap();
        (0..=u8::MAX)
            .filter(|byte| flags.contains(*byte))
            .collect::<Vec<_>>()
    };
    let all = |test: fn(u8) -> bool| (0..=u8::MAX).filter(|byte| test(*byte)).collect::<Vec<_>>();
    assert_eq!(fits("\"syn\""), all(|f| f & 2 != 0));
    assert_eq!(fits("\"!ack\""), all(|f| f & 16 == 0));
    assert_eq!(fits("\"syn,!ack\""), all(|f| f & 18 == 2));
    assert_eq!(fits("\"syn, !ack\""), all(|f| f & 18 == 2));
    assert_eq!(
        fits("[\"syn,!ack\", \"rst\"]"),
        all(|f| f & 18 == 2 || f & 4 != 0)
    );
    assert_eq!(fits("\"fin,syn,rst,psh,ack,urg,ece,cwr\""), [255]);
    assert_eq!(fits("\"!fin,!syn,!rst,!psh,!ack,!urg,!ece,!cwr\""), [0]);
}

fn icmp(fields: &str) -> IcmpSet {
    matches(fields).icmp.unwrap()
}

fn messages(v4: &[(u16, u16)], v6: &[(u16, u16)]) -> IcmpSet {
    IcmpSet {
        v4: RangeSet::from_ranges(v4.to_vec()),
        v6: RangeSet::from_ranges(v6.to_vec()),
    }
}

#[test]
fn icmp_names_mean_the_message_of_each_family() {
    let v4 = [(0x0800, 0x08ff)];
    let v6 = [(0x8000, 0x80ff)];
    assert_eq!(icmp("icmp_type = \"echo-request\""), messages(&v4, &v6));
    for only_v4 in ["proto = \"icmp\"", "family = \"ipv4\"", "proto = 1"] {
        let text = format!("icmp_type = \"echo-request\"\n{only_v4}");
        assert_eq!(icmp(&text), messages(&v4, &[]), "{only_v4}");
    }
    assert_eq!(
        icmp("icmp_type = \"echo-request\"\nproto = \"icmpv6\""),
        messages(&[], &v6)
    );
    assert_eq!(
        icmp("icmp_type = \"packet-too-big\""),
        messages(&[], &[(0x0200, 0x02ff)])
    );
    assert_eq!(
        icmp("icmp_type = [\"echo-request/0\", \"timestamp-request\"]"),
        messages(&[(0x0800, 0x0800), (0x0d00, 0x0dff)], &[(0x8000, 0x8000)])
    );
}

#[test]
fn icmp_numbers_mean_the_message_of_the_family_given() {
    for (fields, v4, v6) in [
        (
            "proto = \"icmp\"\nicmp_type = 3",
            vec![(0x0300, 0x03ff)],
            vec![],
        ),
        (
            "family = \"ipv6\"\nicmp_type = \"1-2\"",
            vec![],
            vec![(0x0100, 0x02ff)],
        ),
        (
            "proto = 1\nicmp_type = \"3/4\"",
            vec![(0x0304, 0x0304)],
            vec![],
        ),
        (
            "proto = 58\nicmp_type = \"1/3-5\"",
            vec![],
            vec![(0x0103, 0x0105)],
        ),
        (
            "family = \"ipv4\"\nicmp_type = [3, \"!3/4\"]",
            vec![(0x0300, 0x0303), (0x0305, 0x03ff)],
            vec![],
        ),
        (
            "family = \"ipv4\"\nicmp_type = \"!0-254\"",
            vec![(0xff00, 0xffff)],
            vec![],
        ),
    ] {
        assert_eq!(icmp(fields), messages(&v4, &v6), "{fields}");
    }
}

#[test]
fn negated_icmp_types_leave_the_other_messages_of_the_open_families() {
    let all_but = |number: u16| vec![(0, (number << 8) - 1), ((number + 1) << 8, u16::MAX)];
    assert_eq!(
        icmp("icmp_type = \"!echo-request\""),
        messages(&all_but(8), &all_but(128))
    );
    assert_eq!(
        icmp("icmp_type = \"!packet-too-big\""),
        messages(&[(0, u16::MAX)], &all_but(2))
    );
    assert_eq!(
        icmp("proto = \"icmp\"\nicmp_type = \"!8\""),
        messages(&all_but(8), &[])
    );
}

#[test]
fn interfaces_are_names_and_globs() {
    for (value, takes, leaves) in [
        ("\"eth0\"", vec!["eth0"], vec!["eth1"]),
        ("\"eth*\"", vec!["eth0", "eth12"], vec!["wlan0"]),
        (
            "[\"eth?\", \"!eth1\", \"wg0\"]",
            vec!["eth0", "wg0"],
            vec!["eth1", "eth12"],
        ),
        ("\"!eth*\"", vec!["wlan0"], vec!["eth0"]),
    ] {
        let interface = matches(&format!("interface = {value}")).interface.unwrap();
        for name in takes {
            assert!(interface.matches(name), "{value} {name}");
        }
        for name in leaves {
            assert!(!interface.matches(name), "{value} {name}");
        }
    }
}

#[test]
fn ethertypes_are_names_numbers_and_ranges() {
    for (value, expected) in [
        ("\"arp\"", vec![(0x0806, 0x0806)]),
        ("0x88cc", vec![(0x88cc, 0x88cc)]),
        ("\"0x88CC\"", vec![(0x88cc, 0x88cc)]),
        ("2054", vec![(0x0806, 0x0806)]),
        ("\"0-1535\"", vec![(0, 1535)]),
        (
            "[\"lldp\", \"eapol\", \"lacp\"]",
            vec![(0x8809, 0x8809), (0x888e, 0x888e), (0x88cc, 0x88cc)],
        ),
        (
            "[\"0x0600-0xffff\", \"!arp\"]",
            vec![(0x0600, 0x0805), (0x0807, 0xffff)],
        ),
        ("\"!ipv6\"", vec![(0, 0x86dc), (0x86de, 0xffff)]),
    ] {
        let found = matches(&format!("ethertype = {value}")).ethertype;
        assert_eq!(found, Some(RangeSet::from_ranges(expected)), "{value}");
    }
}

#[test]
fn an_ethertype_says_which_icmp_is_meant() {
    let v4 = icmp("ethertype = \"ipv4\"\nicmp_type = 8");
    assert_eq!(v4, messages(&[(0x0800, 0x08ff)], &[]));
    let v6 = icmp("ethertype = [\"ipv6\"]\nicmp_type = 128");
    assert_eq!(v6, messages(&[], &[(0x8000, 0x80ff)]));
}

#[test]
fn vlans_are_identifiers_and_the_word_for_none() {
    for (value, untagged, ids) in [
        ("7", false, vec![(7, 7)]),
        (
            "[\"10-19\", \"!12\", 4095]",
            false,
            vec![(10, 11), (13, 19), (4095, 4095)],
        ),
        ("\"none\"", true, vec![]),
        ("[\"none\", 0]", true, vec![(0, 0)]),
        ("\"!none\"", false, vec![(0, 4095)]),
        ("\"!5\"", false, vec![(0, 4), (6, 4095)]),
        ("[\"!none\", \"!5\"]", false, vec![(0, 4), (6, 4095)]),
        ("[\"none\", \"!5\"]", true, vec![]),
    ] {
        let vlan = matches(&format!("vlan = {value}")).vlan.unwrap();
        assert_eq!(vlan.untagged, untagged, "{value}");
        assert_eq!(vlan.ids.ranges(), ids, "{value}");
    }
}

#[test]
fn mac_addresses_are_single_ones_prefixes_and_ranges() {
    const MAX: u64 = 0xffff_ffff_ffff;
    for (value, expected) in [
        (
            "\"02:00:00:00:00:01\"",
            vec![(0x0200_0000_0001, 0x0200_0000_0001)],
        ),
        (
            "\"00:1B:21:00:00:00/24\"",
            vec![(0x001b_2100_0000, 0x001b_21ff_ffff)],
        ),
        ("\"00:00:00:00:00:01-00:00:00:00:00:09\"", vec![(1, 9)]),
        (
            "[\"00:00:00:00:00:00/44\", \"!00:00:00:00:00:08\"]",
            vec![(0, 7), (9, 15)],
        ),
        ("\"!ff:ff:ff:ff:ff:ff\"", vec![(0, MAX - 1)]),
    ] {
        let src = matches(&format!("src_mac = {value}"));
        assert_eq!(src.src_mac.as_ref().unwrap().ranges(), expected, "{value}");
        let dst = matches(&format!("dst_mac = {value}"));
        assert_eq!(dst.dst_mac, src.src_mac, "{value}");
        assert_eq!(dst.src_mac, None);
    }
}

#[test]
fn lengths_and_hops_are_numbers_and_ranges() {
    for (value, expected) in [
        ("1500", vec![(1500, 1500)]),
        ("[\"0-64\", \"!20-40\"]", vec![(0, 19), (41, 64)]),
        ("\"!0-1499\"", vec![(1500, 65535)]),
    ] {
        let length = matches(&format!("length = {value}")).length;
        assert_eq!(length, Some(RangeSet::from_ranges(expected)), "{value}");
    }
    for (value, expected) in [
        ("1", vec![(1, 1)]),
        ("[\"0-5\", 255, \"!3\"]", vec![(0, 2), (4, 5), (255, 255)]),
        ("\"!255\"", vec![(0, 254)]),
    ] {
        let ttl = matches(&format!("ttl = {value}")).ttl;
        assert_eq!(ttl, Some(RangeSet::from_ranges(expected)), "{value}");
    }
}

#[test]
fn code_points_are_names_numbers_and_ranges() {
    for (value, expected) in [
        ("\"ef\"", vec![(46, 46)]),
        ("46", vec![(46, 46)]),
        (
            "[\"af11\", \"cs7\", \"af43\", \"cs0\"]",
            vec![(0, 0), (10, 10), (38, 38), (56, 56)],
        ),
        ("[\"8-15\", \"!cs1\"]", vec![(9, 15)]),
        ("\"!cs0\"", vec![(1, 63)]),
    ] {
        let dscp = matches(&format!("dscp = {value}")).dscp;
        assert_eq!(dscp, Some(RangeSet::from_ranges(expected)), "{value}");
    }
}

#[test]
fn ip_options_have_names_and_numbers() {
    for (value, expected) in [
        ("\"router-alert\"", vec![(148, 148)]),
        ("148", vec![(148, 148)]),
        (
            "[\"lsrr\", \"strict-source-route\", \"loose-source-route\"]",
            vec![(131, 131), (137, 137)],
        ),
        ("[\"eol\", \"nop\"]", vec![(0, 1)]),
        ("\"0-255\"", vec![(0, 255)]),
        ("\"!nop\"", vec![(0, 0), (2, 255)]),
    ] {
        let options = matches(&format!("ip_option = {value}")).ip_option;
        assert_eq!(options, Some(RangeSet::from_ranges(expected)), "{value}");
    }
}

#[test]
fn fragments_are_asked_for_or_excluded() {
    assert_eq!(matches("fragment = true").fragment, Some(true));
    assert_eq!(matches("fragment = false").fragment, Some(false));
    let first = matches("fragment = true\nproto = \"udp\"\ndport = 53");
    assert_eq!(first.fragment, Some(true));
}

#[test]
fn a_rule_logs_within_a_limit_when_it_says_so() {
    let log = |fields: &str| {
        let text = format!(
            "[firewall]\ninterfaces = [\"*\"]\n[[rule]]\nname = \"r\"\naction = \"count\"\n{fields}\n"
        );
        load_clean(&text).rules.remove(0).log
    };
    let limit = |events, per, burst| {
        Some(LogLimit {
            events: NonZeroU32::new(events).unwrap(),
            per,
            burst: NonZeroU32::new(burst).unwrap(),
            journal: false,
        })
    };
    let journal = Some(LogLimit {
        journal: true,
        ..LogLimit::USUAL
    });
    for (fields, expected) in [
        ("log = { journal = true }", journal),
        ("log = { journal = false }", Some(LogLimit::USUAL)),
        ("", None),
        ("log = false", None),
        ("log = true", limit(10, Per::Second, 50)),
        ("log = {}", limit(10, Per::Second, 50)),
        ("log = { rate = 3 }", limit(3, Per::Second, 50)),
        ("log = { rate = \"7\" }", limit(7, Per::Second, 50)),
        (
            "log = { rate = \"1000000/minute\", burst = 1000000 }",
            limit(1_000_000, Per::Minute, 1_000_000),
        ),
        (
            "log = { rate = \"1/hour\", burst = 1 }",
            limit(1, Per::Hour, 1),
        ),
        ("log.burst = 9", limit(10, Per::Second, 9)),
    ] {
        assert_eq!(log(fields), expected, "{fields}");
    }
}

#[test]
fn the_policy_the_parser_and_bans_log_when_they_say_so() {
    let logs = |text: &str| load_clean(text).settings.logs;
    let none = logs("[firewall]\ninterfaces = [\"*\"]\n");
    assert_eq!(none, ReasonLogs::default());
    let all = "[firewall]\ninterfaces = [\"*\"]\nlog = true\n[parser]\nlog = { burst = 3 }\n\
               [bans]\nlog = { journal = true }\n";
    let logs = logs(all);
    let burst = NonZeroU32::new(3).unwrap();
    let usual = LogLimit::USUAL;
    let expected = [
        (Reason::Policy, Some(usual)),
        (Reason::Truncated, Some(LogLimit { burst, ..usual })),
        (Reason::UnknownEthertype, Some(LogLimit { burst, ..usual })),
        (
            Reason::Banned,
            Some(LogLimit {
                journal: true,
                ..usual
            }),
        ),
        (Reason::Neighbor, None),
    ];
    for (reason, limit) in expected {
        assert_eq!(logs.limit_for(reason), limit, "{reason:?}");
    }
}

#[test]
fn the_family_is_one_of_two() {
    assert_eq!(matches("family = \"ipv4\"").family, Some(Family::Ipv4));
    assert_eq!(matches("family = [\"ipv6\"]").family, Some(Family::Ipv6));
}

#[test]
fn a_field_that_is_not_given_stays_open() {
    assert_eq!(matches(""), Matches::default());
    let only_port = matches("dport = 22");
    assert_eq!(only_port.proto, None);
    assert_eq!(only_port.family, None);
}

#[test]
fn settings_have_defaults() {
    let text = "[firewall]\ninterfaces = [\"eth0\", \"wg*\"]\n";
    let settings = load_clean(text).settings;
    let names: Vec<_> = settings.interfaces.iter().map(|i| i.as_str()).collect();
    assert_eq!(names, ["eth0", "wg*"]);
    assert_eq!(
        (settings.mode, settings.policy),
        (Mode::Native, Verdict::Pass)
    );

    for (word, mode) in [
        ("native", Mode::Native),
        ("generic", Mode::Generic),
        ("auto", Mode::Auto),
    ] {
        assert_eq!(
            load_clean(&format!("{text}mode = \"{word}\""))
                .settings
                .mode,
            mode
        );
    }
    for (word, policy) in [("pass", Verdict::Pass), ("drop", Verdict::Drop)] {
        assert_eq!(
            load_clean(&format!("{text}policy = \"{word}\""))
                .settings
                .policy,
            policy
        );
    }
}

#[test]
fn rules_keep_their_order_names_actions_and_places() {
    let text = "[firewall]\ninterfaces = [\"eth0\"]\n\
        [[rule]]\naction = \"count\"\nname = \"zeta: ü & 'quotes'\"\n\
        [[rule]]\n\tname = \"alpha\"\naction = \"pass\"\n\
        [[rule]]\nname = \"mid\"\naction = \"drop\"\nsport = 1\n";
    let rules = load_clean(text).rules;
    let seen: Vec<_> = rules
        .iter()
        .map(|r| {
            (
                r.name.as_str(),
                r.action,
                r.place.line.get(),
                r.place.column.get(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("zeta: ü & 'quotes'", RuleAction::Count, 5, 8),
            ("alpha", RuleAction::Pass, 7, 9),
            ("mid", RuleAction::Drop, 10, 8),
        ]
    );
}

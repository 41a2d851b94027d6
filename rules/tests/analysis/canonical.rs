//! The canonical form of rule sets: its text is a rule file with the same meaning.

use std::sync::Arc;

use rules::{
    Loaded,
    compiler::{Target, compile},
    diagnostics::{Source, render},
    field::InterfacePattern,
    language::{RuleTest, canonical},
    model::Ruleset,
};
use rules_testing::{INTERFACES, Random, Shape, ruleset};

pub(crate) fn load(text: &str) -> Ruleset {
    load_all(text).ruleset
}

#[expect(clippy::panic, reason = "how a test fails")]
fn load_all(text: &str) -> Loaded {
    let source = Arc::new(Source::new("rules.toml", text));
    let loaded = rules::load(&source, |_| Err("no list files"));
    loaded.unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(render).collect();
        panic!("{}\n{text}", shown.join("\n"))
    })
}

const SAMPLES: [&str; 6] = [
    include_str!("../../samples/ddos.toml"),
    include_str!("../../samples/demo.toml"),
    include_str!("../../samples/home.toml"),
    include_str!("../../samples/laptop.toml"),
    include_str!("../../samples/router.toml"),
    include_str!("../../samples/web.toml"),
];

#[test]
fn samples_in_one_form_say_the_same() {
    for sample in SAMPLES {
        let source = Arc::new(Source::new("rules.toml", sample));
        let list = |name: &str| Ok::<_, String>(Source::new(name, "192.0.2.0/24\n2001:db8::/32\n"));
        let before = rules::load(&source, list).unwrap();
        let text = canonical::text(&before.ruleset, &before.tests);
        let after = load_all(&text);
        assert!(same(&before.ruleset, &after.ruleset), "{text}");
        assert_eq!(canonical::text(&after.ruleset, &after.tests), text);
    }
}

/// Whether rule sets are equal except for the places of their rules.
fn same(before: &Ruleset, after: &Ruleset) -> bool {
    before.settings == after.settings
        && before.rules.len() == after.rules.len()
        && before.rules.iter().zip(&after.rules).all(|(one, other)| {
            (&one.name, one.action, &one.matches) == (&other.name, other.action, &other.matches)
        })
}

#[test]
fn random_rule_sets_in_one_form_have_the_same_image() {
    let mut compared = 0;
    for shape in [
        Shape::Few,
        Shape::Upper,
        Shape::Details,
        Shape::Negatives,
        Shape::Interfaces,
    ] {
        let mut seeds = Random::new(0xca ^ shape as u64);
        for _ in 0..60 {
            let mut before = ruleset(&mut Random::new(seeds.bits()), shape);
            before.settings.interfaces = InterfacePattern::parse("*").into_iter().collect();
            // Rules that no rule file contains: fields that no packet has together, or messages of
            // a family that the other fields exclude.
            let settings = before.settings.clone();
            before.rules.retain(|rule| {
                let alone = Ruleset {
                    settings: settings.clone(),
                    rules: vec![rule.clone()],
                    disabled: Vec::new(),
                };
                let text = canonical::text(&alone, &[]);
                let source = Arc::new(Source::new("rules.toml", text));
                let loaded = rules::load(&source, |_| Err("no list files"));
                loaded.is_ok_and(|loaded| same(&alone, &loaded.ruleset))
            });
            let after = load(&canonical::text(&before, &[]));
            compared += after.rules.len();
            assert_eq!(image(&before), image(&after));
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[expect(clippy::unwrap_used, reason = "how a test fails")]
fn image(ruleset: &Ruleset) -> Vec<u8> {
    let interfaces =
        INTERFACES.map(|(index, name)| (rules::compiler::InterfaceIndex(index), name.to_owned()));
    let slots: Vec<u32> = (0..).take(ruleset.rules.len()).collect();
    let target = Target {
        interfaces: &interfaces,
        slots: &slots,
        metadata: &[],
        max_bytes: 64 << 20,
    };
    compile(ruleset, &target).unwrap().bytes().to_vec()
}

/// Every way to write the messages of ICMP and the flags of TCP comes back as it was.
#[test]
fn every_field_comes_back() {
    let fields = [
        "icmp_type = \"echo-request\"",
        "icmp_type = \"!echo-request\"",
        "icmp_type = [\"destination-unreachable/1-3\", \"packet-too-big\"]",
        "icmp_type = [\"8\", \"3/4\", \"13-14/0\"]\nproto = \"icmp\"",
        "icmp_type = \"!128\"\nfamily = \"ipv6\"",
        "tcp_flags = \"syn,!ack\"",
        "tcp_flags = [\"syn\", \"!syn\"]",
        "tcp_flags = [\"fin,syn\", \"!rst,!psh\", \"cwr\"]",
        "src = [\"192.0.2.0-192.0.2.9\", \"2001:db8::/33\", \"!192.0.2.4\"]",
        "src = \"!192.0.2.4\"",
        "vlan = [\"none\", \"7-9\"]",
        "vlan = \"!4\"",
        "src_mac = \"02:00:00:00:00:01\"\ndst_mac = \"!01:00:00:00:00:00/8\"",
        "ethertype = [\"arp\", \"0x88cc\"]",
        "length = \"!0-99\"\nttl = [1, \"5-7\"]\ndscp = \"ef\"\nfragment = false",
        "ip_option = [\"rr\", \"130-148\", \"!lsrr\"]",
        "ip_option = [\"rr\", \"!rr\"]",
        "interface = [\"eth*\", \"!eth0\"]\nproto = [\"tcp\", \"udp\"]\ndport = \"!80\"",
    ];
    for field in fields {
        let text = format!(
            "[firewall]\ninterfaces = [\"*\"]\n[[rule]]\nname = \"a \\\"b\\\" \\\\\"\naction = \"count\"\n{field}\n"
        );
        let before = load(&text);
        let written = canonical::text(&before, &[]);
        assert!(same(&before, &load(&written)), "{field}\n{written}");
    }
}

const TESTS: &str = r#"
[firewall]
interfaces = ["eth*", "wlan0"]

[[rule]]
name = "a \u0041"
action = "drop"
proto = "udp"

[[test]]
name = "two \"words\""
packet = ["udp 192.0.2.1:1 > 192.0.2.2:2", "udp [::1]:1 > [::2]:2 interface eth3"]
expect = "drop"
rule = "a A"

[[test]]
name = "none"
packet = "ethertype lldp"
expect = "pass"
reason = "unknown_ethertype"

[[test]]
name = "half"
packet = "tcp 192.0.2.1:1 > 192.0.2.2:2 truncate 20"
expect = "drop"
reason = "truncated"
interface = "eth0"

[[test]]
name = "captured"
pcap = "some.pcap"
expect = "pass"
"#;

/// A capture (little-endian pcap) of one ARP frame that contains only its Ethernet header.
const CAPTURE: [u8; 54] = [
    0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0,
    0, //
    0, 0, 0, 0, 0, 0, 0, 0, 14, 0, 0, 0, 14, 0, 0, 0, //
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6,
];

#[test]
fn tests_in_one_form_are_the_same_and_their_own_form() {
    let source = Arc::new(Source::new("rules.toml", TESTS));
    let list = |name: &str| Ok::<_, String>(Source::new(name, CAPTURE));
    let before = rules::load(&source, list).unwrap();
    let text = canonical::text(&before.ruleset, &before.tests);
    let after = load_all(&text);
    assert_eq!(before.tests.len(), 4);
    assert_eq!(before.tests.len(), after.tests.len());
    for (one, other) in before.tests.iter().zip(&after.tests) {
        assert_eq!(one.name, other.name);
        assert_eq!(one.expected.verdict, other.expected.verdict);
        assert_eq!(one.expected.by, other.expected.by);
        let packets = |test: &RuleTest| -> Vec<_> {
            let packets = test.packets.iter();
            packets
                .map(|packet| (packet.frame.clone(), packet.context.clone()))
                .collect()
        };
        assert_eq!(packets(one), packets(other), "{text}");
    }
    assert_eq!(canonical::text(&after.ruleset, &after.tests), text);
}

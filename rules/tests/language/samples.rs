//! The sample files are valid rule files.

use std::{fs, path::Path, sync::Arc};

use rules::{
    diagnostics::Source,
    lint::load_for_use,
    model::{Mode, RuleAction, Ruleset, Verdict},
};

fn sample(name: &str) -> Ruleset {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let source = Arc::new(Source::new(name, fs::read(folder.join(name)).unwrap()));
    let loaded = load_for_use(&source, |list| {
        fs::read(folder.join(list)).map(|bytes| Source::new(list, bytes))
    });
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings);
    loaded.ruleset
}

fn names(ruleset: &Ruleset, action: RuleAction) -> Vec<&str> {
    let rules = ruleset.rules.iter().filter(|rule| rule.action == action);
    rules.map(|rule| rule.name.as_str()).collect()
}

#[test]
fn the_home_server_sample_opens_what_it_says() {
    let ruleset = sample("home.toml");
    assert_eq!(ruleset.settings.mode, Mode::Auto);
    assert_eq!(ruleset.settings.policy, Verdict::Drop);
    assert_eq!(
        names(&ruleset, RuleAction::Pass),
        [
            "home network",
            "ssh from the office",
            "web",
            "http/3 and wireguard",
            "dhcp answers",
            "answers over tcp",
            "answers over udp",
            "icmp",
            "later fragments"
        ]
    );
    assert_eq!(
        names(&ruleset, RuleAction::Drop),
        ["impossible sources", "first fragments"]
    );
    assert_eq!(names(&ruleset, RuleAction::Count), ["pings"]);
    let place = ruleset.rules[0].place;
    assert_eq!((place.line.get(), place.column.get()), (18, 10));
}

#[test]
fn the_laptop_sample_lets_in_replies_and_little_else() {
    let ruleset = sample("laptop.toml");
    assert_eq!(ruleset.settings.policy, Verdict::Drop);
    assert!(ruleset.asks_for_states());
    assert_eq!(
        names(&ruleset, RuleAction::Pass),
        ["replies", "dhcp answers", "multicast listeners", "pings"]
    );
    assert_eq!(names(&ruleset, RuleAction::Drop), ["no such segment"]);
}

#[test]
fn the_ddos_sample_blocks_the_list_but_for_one_host() {
    let ruleset = sample("ddos.toml");
    assert_eq!(ruleset.settings.mode, Mode::Native);
    let blocklist = ruleset
        .rules
        .iter()
        .find(|rule| rule.name == "blocklist")
        .unwrap();
    let src = blocklist.matches.src.as_ref().unwrap();
    let v4 = |a, b, c, d| src.v4.contains(u32::from_be_bytes([a, b, c, d]));
    assert!(v4(192, 0, 2, 200));
    assert!(v4(198, 51, 100, 95));
    assert!(v4(203, 0, 113, 7));
    assert!(!v4(203, 0, 113, 53));
    assert!(!v4(192, 0, 2, 1));
    assert_eq!(src.v6.ranges().len(), 2);
}

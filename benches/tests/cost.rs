//! The measurement, in a separate process because it holds BPF objects and handles signals.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use benches::{
    cost::{
        case::{Case, Rules},
        drawing::any_packets,
        report::Report,
        rounds::{Setting, measure},
        site::Site,
        subject::Cause,
        subject_kind::SubjectKind,
    },
    interrupt::Interrupt,
    rulesets::{Family, Origin, generate::crossed_ports},
};

const SETTING: Setting = Setting {
    rounds: 3,
    time: Duration::from_millis(60),
    cpu: 0,
};

fn site() -> Site {
    Site {
        firewall: "/nonexistent".into(),
        interrupt: Interrupt::watch().unwrap(),
        patience: Duration::from_secs(1),
    }
}

#[test]
#[ignore = "needs root"]
fn the_empty_programs_get_every_packet_and_have_a_cost() {
    let case = Case {
        name: "empty".to_owned(),
        description: String::new(),
        packets: any_packets(&[Family::V4, Family::V6], 1000, 1),
        packets_from: Origin::Generated,
        rules: Rules::File(String::new()),
        rules_from: Origin::Given,
    };
    let kinds = [
        SubjectKind::Baseline,
        SubjectKind::PassingBaseline,
        SubjectKind::NftInet,
    ];
    let report = measure(&case, &kinds, &SETTING, &site(), &|_| {}).unwrap();
    assert_eq!(report.generator.samples, 3);
    let names = |report: &Report| -> Vec<_> {
        let subjects = report.subjects.iter();
        subjects.map(|one| one.name.clone()).collect()
    };
    assert_eq!(names(&report), ["empty XDP drop", "empty XDP pass"]);
    for figures in &report.subjects {
        assert!(figures.sent > 0);
        assert_eq!(figures.sent, figures.received);
        let way = figures.on_the_way.nanoseconds;
        let alone = figures.alone.unwrap().nanoseconds;
        assert!(0.0 < alone.median && alone.median < way.median);
    }
    assert_eq!(report.absent.len(), 1);
    let json = serde_json::to_string(&report).unwrap();
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(names(&read), names(&report));
    assert!(
        report
            .to_string()
            .contains("nftables inet prerouting: not measured")
    );
}

#[test]
#[ignore = "needs root"]
fn rules_that_the_compiler_refuses_are_reported_and_nothing_is_started() {
    let case = Case {
        name: "crossed".to_owned(),
        description: String::new(),
        packets: any_packets(&[Family::V4], 1000, 1),
        packets_from: Origin::Generated,
        rules: Rules::Set(crossed_ports(Family::V4, 10_000)),
        rules_from: Origin::Generated,
    };
    let kinds = [SubjectKind::Baseline, SubjectKind::Firewall];
    let report = measure(&case, &kinds, &SETTING, &site(), &|_| {}).unwrap();
    assert_eq!(report.subjects.len(), 1);
    let [absent] = &report.absent[..] else {
        panic!("{:?}", report.absent);
    };
    assert_eq!(
        (absent.name.as_str(), absent.cause),
        ("firewall", Cause::Refused)
    );
    let message = &absent.reason;
    assert!(
        message.contains("more than the 4194304 allowed"),
        "{message}"
    );
}

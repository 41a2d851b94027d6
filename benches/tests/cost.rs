//! The measurement, in a process of its own: it holds BPF objects and takes over signals.

use std::time::Duration;

use benches::{
    cost::{
        case::{Case, Rules},
        report::Report,
        rounds::{Setting, measure},
        sample::any_packets,
        site::Site,
        subject_kind::SubjectKind,
    },
    interrupt::Interrupt,
    rulesets::Family,
};

#[test]
#[ignore = "needs root"]
fn the_empty_programs_get_every_packet_and_have_a_cost() {
    let case = Case {
        name: "empty".to_owned(),
        description: String::new(),
        packets: any_packets(&[Family::V4, Family::V6], 1000, 1),
        rules: Rules::File(String::new()),
    };
    let setting = Setting {
        rounds: 3,
        time: Duration::from_millis(60),
        cpu: 0,
    };
    let site = Site {
        firewall: "/nonexistent".into(),
        interrupt: Interrupt::watch().unwrap(),
        patience: Duration::from_secs(1),
    };
    let kinds = [
        SubjectKind::Baseline,
        SubjectKind::PassingBaseline,
        SubjectKind::NftInet,
    ];
    let report = measure(&case, &kinds, &setting, &site, &|_| {}).unwrap();
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

//! `docs/control.md` lists each request and answer with its keys; here it is compared with the types.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZeroU32,
    path::Path,
    sync::Arc,
};

use rules::diagnostics::{Diagnostic, Source};
use serde::Serialize;
use serde_json::Value;

use super::{
    in_force::Times,
    protocol::{
        Answer, CaptureFilter, CaptureLine, FlowQuery, ReportRequest, Request, RulesResult, VERSION,
    },
};
use crate::{
    bans::{
        guard::MachineAddresses,
        service::{BanOutcome, BanRequest, Refused, UnbanRequest},
    },
    candidate::budget::Budget,
    interfaces::unattached::Unattached,
    kernel::generation::Generation,
    lockout::caller::Caller,
    packet_log::drop_filter::DropFilter,
    rule_file::{fallback::LastGood, load::SourceError},
};

/// By the name of a request or an answer its keys, each with those of the objects around it.
type Keys = BTreeMap<String, BTreeSet<String>>;

/// The keys in the tables below a heading of the page.
fn documented(heading: &str) -> Keys {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/control.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, part) = page.split_once(&format!("\n### {heading}\n")).unwrap();
    let part = part.split("\n#").next().unwrap();
    let mut found = Keys::new();
    for row in part.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('|').skip(1);
        let name = cells.next().unwrap().trim_matches([' ', '`']);
        let keys = cells.next().unwrap();
        let keys = keys.split('`').skip(1).step_by(2).map(str::to_owned);
        found.entry(name.to_owned()).or_default().extend(keys);
    }
    // The heads of the tables.
    found.retain(|name, _| !["command", "answer"].contains(&name.as_str()));
    found
}

/// Adds the keys of an object to those of its name, which is the value of `tag`.
fn add(found: &mut Keys, tag: &str, object: &impl Serialize) {
    let object = serde_json::to_value(object).unwrap();
    let name = object[tag].as_str().unwrap().to_owned();
    let keys = found.entry(name).or_default();
    add_keys(&object, "", keys);
    keys.remove(tag);
}

fn add_keys(value: &Value, around: &str, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let key = format!("{around}{key}");
                add_keys(value, &format!("{key}."), keys);
                keys.insert(key);
            }
        }
        Value::Array(elements) => {
            let around = around.trim_end_matches('.');
            for element in elements {
                add_keys(element, &format!("{around}[]."), keys);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn caller() -> Option<Caller> {
    Some(Caller {
        peer: "192.0.2.1:50112".parse().unwrap(),
        local: "192.0.2.2:22".parse().unwrap(),
    })
}

/// Requests that together have all keys. The match has each of them, so that none is forgotten.
fn requests() -> Vec<Request> {
    let all = vec![
        Request::Ping {},
        Request::Apply {
            file: "/r".into(),
            folder: Some("/f".into()),
            max_memory: Some(Budget::DEFAULT),
            wait: true,
            confirm_ms: Some(60_000),
            force: true,
            caller: caller(),
        },
        Request::Reload {
            force: true,
            caller: caller(),
        },
        Request::Confirm {},
        Request::Rollback {
            force: true,
            caller: caller(),
        },
        Request::Unload {},
        Request::Ban {
            bans: vec![BanRequest {
                prefix: "192.0.2.1".to_owned(),
                term: Some("1h".to_owned()),
                reason: "r".to_owned(),
            }],
        },
        Request::Unban(UnbanRequest::Prefixes(vec!["192.0.2.1".to_owned()])),
        Request::Unban(UnbanRequest::Reason {
            reason: "r".to_owned(),
            before: Some(1),
        }),
        Request::Unban(UnbanRequest::All),
        Request::Capture(CaptureFilter {
            rules: ["r".to_owned()].into(),
            drops: Some(Box::new(DropFilter {
                rules: ["r".to_owned()].into(),
                reasons: ["policy".to_owned()].into(),
                direction: Some("in".to_owned()),
                interface: Some("eth0".to_owned()),
                addresses: vec!["192.0.2.1".to_owned()],
                src: vec!["192.0.2.1".to_owned()],
                dst: vec!["192.0.2.1".to_owned()],
                proto: vec!["tcp".to_owned()],
                ports: vec![22],
                sample: Some(NonZeroU32::MIN),
                rate: Some(NonZeroU32::MIN),
            })),
        }),
        Request::Addresses {},
        Request::Report(ReportRequest::Status {}),
        Request::Report(ReportRequest::Rules {
            counters: true,
            previous: true,
        }),
        Request::Report(ReportRequest::Counters {}),
        Request::Report(ReportRequest::Bans {}),
        Request::Report(ReportRequest::Flows(FlowQuery {
            protocol: Some("tcp".to_owned()),
            address: Some("192.0.2.1".to_owned()),
            port: Some(22),
            phase: Some("answered".to_owned()),
        })),
    ];
    let names: BTreeSet<&str> = all
        .iter()
        .map(|request| match request {
            Request::Ping {} => "ping",
            Request::Apply { .. } => "apply",
            Request::Reload { .. } => "reload",
            Request::Confirm {} => "confirm",
            Request::Rollback { .. } => "rollback",
            Request::Unload {} => "unload",
            Request::Ban { .. } => "ban",
            Request::Unban(_) => "unban",
            Request::Capture(_) => "capture",
            Request::Addresses {} => "addresses",
            Request::Report(asked) => match asked {
                ReportRequest::Status {} => "report status",
                ReportRequest::Rules { .. } => "report rules",
                ReportRequest::Counters {} => "report counters",
                ReportRequest::Bans {} => "report bans",
                ReportRequest::Flows(_) => "report flows",
            },
        })
        .collect();
    assert_eq!(names.len(), 15);
    all
}

/// What is wrong with a rule file, with all that can be said of it.
fn diagnostics() -> Vec<Diagnostic> {
    let text = "[firewall]\ninterface = [\"eth0\"]\n";
    let source = Arc::new(Source::new("r.toml", text));
    let no_list = |_: &str| Err::<Source, _>("no such file");
    let mut diagnostics = rules::load(&source, no_list).unwrap_err();
    diagnostics.retain(|diagnostic| diagnostic.help.is_some());
    diagnostics
}

/// Answers that together have all keys, as [`requests`].
fn answers() -> Vec<Answer> {
    let invalid = SourceError::Invalid {
        path: "/r".into(),
        diagnostics: diagnostics(),
    };
    let all = vec![
        Answer::Alive {
            pid: 1,
            generation: Some(Generation::FIRST),
            times: Some(Times::ZERO),
            unattached: vec![Unattached {
                name: "eth0".to_owned(),
                error: Some("e".to_owned()),
                help: Some("h".to_owned()),
            }],
            faults: vec!["f".to_owned()],
            last_good: Some(LastGood {
                kept_at: "t".to_owned(),
                error: "e".to_owned(),
            }),
        },
        Answer::Done {
            message: "m".to_owned(),
            rules: Some(RulesResult {
                changed: true,
                generation: Generation::FIRST,
                confirm_seconds: Some(60),
                warnings: diagnostics().iter().map(Into::into).collect(),
            }),
        },
        Answer::failed(&invalid.into()),
        Answer::refused("error: no\nhelp: yes".to_owned()),
        Answer::Bans(BanOutcome {
            added: 1,
            renewed: 1,
            removed: 1,
            refused: vec![Refused {
                item: 0,
                message: "m".to_owned(),
                missing: true,
            }],
        }),
        Answer::Capturing {
            rules: vec!["r".to_owned()],
        },
        Answer::Addresses(MachineAddresses {
            own: vec!["192.0.2.1".parse().unwrap()],
            gateways: vec!["192.0.2.2".parse().unwrap()],
        }),
        Answer::Report {
            report: Value::from(1),
        },
        Answer::Ending,
    ];
    let names: BTreeSet<&str> = all
        .iter()
        .map(|answer| match answer {
            Answer::Alive { .. } => "alive",
            Answer::Done { .. } => "done",
            Answer::Failed(_) => "failed",
            Answer::Bans(_) => "bans",
            Answer::Capturing { .. } => "capturing",
            Answer::Addresses(_) => "addresses",
            Answer::Report { .. } => "report",
            Answer::Ending => "ending",
        })
        .collect();
    assert_eq!(names.len(), 8);
    all
}

#[test]
fn requests_have_the_keys_that_are_documented_and_no_others() {
    let mut found = Keys::new();
    for request in &requests() {
        add(&mut found, "command", request);
    }
    assert_eq!(found, documented("Requests"));
}

#[test]
fn answers_have_the_keys_that_are_documented_and_no_others() {
    let mut found = Keys::new();
    for answer in &answers() {
        add(&mut found, "answer", answer);
    }
    for keys in found.values_mut() {
        assert!(keys.remove("version"), "each answer has its version");
    }
    assert_eq!(found, documented("Answers"));
}

#[test]
fn each_request_and_answer_is_read_as_it_was_written() {
    for request in requests() {
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(Request::read(line.as_bytes()), Ok(request), "{line}");
    }
    for answer in answers() {
        let line = serde_json::to_string(&answer).unwrap();
        assert!(
            line.starts_with(&format!("{{\"version\":{VERSION},\"answer\":")),
            "{line}"
        );
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        // Of a version before there was a number, and of a later one.
        let others = [
            line.replacen("\"version\":1,", "", 1),
            line.replacen("\"version\":1,", "\"version\":2,\"more\":true,", 1),
        ];
        for other in others {
            assert_eq!(serde_json::from_str::<Answer>(&other).unwrap(), answer);
        }
        // The last line of a capture is an answer, too.
        let last: CaptureLine = serde_json::from_str(&line).unwrap();
        assert_eq!(last, CaptureLine::Ends(answer));
    }
}

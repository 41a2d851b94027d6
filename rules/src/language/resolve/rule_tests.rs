//! The meaning of `[[test]]`: packets as frames, and their expected results.
//!
//! This module owns the values of the keys of a test. It does not evaluate packets.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use firewall_ebpf::abi::Reason;

use super::{
    choice::{choice, verdict},
    files::ListReader,
    name::name_fault,
};
use crate::{
    captures::{self, Frame},
    context::Context,
    diagnostics::{Code, Report, Source, Span},
    evaluator::Outcome,
    field::InterfacePattern,
    language::{
        rule_test::{Expected, RuleTest, TestPacket},
        syntax::{At, File, Term, Test, WrittenPackets},
    },
    model::{Direction, RuleId, Ruleset, Verdict},
    notation,
    text::{counted, duration, nearest, number, quoted},
};

/// The reasons that a test can expect.
const REASONS: &[Reason] = &[
    Reason::Policy,
    Reason::Neighbor,
    Reason::Malformed,
    Reason::Truncated,
    Reason::TooManyHeaders,
    Reason::TooManyTags,
    Reason::UnknownEthertype,
];

/// Reads the tests of a rule file; `ruleset` has its rules, unless some could not be read.
pub(super) fn resolve<'a>(
    file: &'a File<'a>,
    ruleset: &Ruleset,
    source: &Arc<Source>,
    list: &mut ListReader<'_>,
    report: &mut Report,
) -> Vec<RuleTest> {
    let mut tests = Tests {
        ruleset,
        rules: (0..)
            .map(RuleId)
            .zip(&ruleset.rules)
            .map(|(id, rule)| (rule.name.as_str(), id))
            .collect(),
        rules_are_known: ruleset.rules.len() + ruleset.disabled.len() == file.rules.len(),
        source,
        list,
        captures: HashMap::new(),
        report,
    };
    let written = file.tests.iter();
    written.filter_map(|test| tests.one(test)).collect()
}

/// State shared by all tests while they are read.
struct Tests<'r, 'a, 'l, 's> {
    ruleset: &'r Ruleset,
    rules: HashMap<&'r str, RuleId>,
    /// Whether all rules were read without faults.
    rules_are_known: bool,
    source: &'s Arc<Source>,
    list: &'s mut ListReader<'l>,
    /// The frames of each capture that was read; `None` if it cannot be read.
    captures: HashMap<&'a str, Option<Vec<Frame>>>,
    report: &'s mut Report,
}

impl<'a> Tests<'_, 'a, '_, '_> {
    fn one(&mut self, test: &'a Test<'a>) -> Option<RuleTest> {
        let name = self.name(test.name);
        let expected = test
            .expect
            .and_then(|word| verdict("expect", word, self.report));
        let interface = self.interface_of(test);
        let on = interface.as_ref().and_then(Option::as_deref);
        let packets = match &test.packets {
            Some(WrittenPackets::Written(terms)) => self.written(terms, on),
            Some(WrittenPackets::Captured { file, index }) => {
                self.captured(*file, index.as_ref(), on)
            }
            None => None,
        };
        let given = test
            .given
            .as_ref()
            .and_then(|terms| self.written(terms, on));
        let after = match &test.after {
            Some(term) => self.after(term),
            None => Some(Duration::ZERO),
        };
        let by = self.by(test, packets.as_deref().unwrap_or_default(), expected);
        let (name, expected, _) = (name?, expected?, interface?);
        Some(RuleTest {
            name: name.value.to_owned(),
            place: self.source.place(name.span.start),
            given: given?,
            after: after?,
            packets: packets?,
            expected: Expected {
                verdict: expected,
                by: by?,
                span: test.expect?.span,
            },
            source: Arc::clone(self.source),
        })
    }

    fn name(&mut self, name: Option<At<&'a str>>) -> Option<At<&'a str>> {
        let name = name?;
        if let Some(fault) = name_fault(name.value) {
            let message = format!("invalid test name {}", quoted(name.value));
            self.report
                .add(Code::InvalidName, name.span, message)
                .label(fault);
            return None;
        }
        Some(name)
    }

    /// The decider that the test expects, if any; `None` if it is wrong.
    fn by(
        &mut self,
        test: &Test<'_>,
        packets: &[TestPacket],
        expected: Option<Verdict>,
    ) -> Option<Option<Outcome>> {
        match (test.rule, test.reason) {
            (None, None) => Some(None),
            (Some(rule), None) => self.rule(rule, packets, expected).map(Some),
            (None, Some(reason)) => self.reason(reason, packets, expected).map(Some),
            (Some(_), Some(reason)) => {
                let message = "a packet is judged by a rule or for a reason, not both";
                self.report.add(Code::Contradiction, reason.span, message);
                None
            }
        }
    }

    fn rule(
        &mut self,
        name: At<&str>,
        packets: &[TestPacket],
        expected: Option<Verdict>,
    ) -> Option<Outcome> {
        let Some(&id) = self.rules.get(name.value) else {
            let disabled = &self.ruleset.disabled;
            if disabled.iter().any(|rule| rule.name == name.value) {
                let message = format!("the rule {} is disabled", quoted(name.value));
                self.report
                    .add(Code::UnknownRule, name.span, message)
                    .label("it decides no packet")
                    .help("take out `enabled = false` of the rule, or this test");
                return None;
            }
            // The rule may be one that could not be read.
            if self.rules_are_known {
                let message = format!("unknown rule {}", quoted(name.value));
                let meant = nearest(name.value, self.rules.keys().copied());
                let diagnostic = self.report.add(Code::UnknownRule, name.span, message);
                if let Some(meant) = meant {
                    diagnostic.help(format!("did you mean `{meant}`?"));
                }
            }
            return None;
        };
        let rule = self.ruleset.iter().find(|(known, _)| *known == id);
        let rule = rule?.1;
        let mut others = packets.iter();
        if let Some(other) = others.find(|packet| packet.context.direction != rule.direction) {
            let (of_rule, of_packet) = (rule.direction, other.context.direction);
            let message = format!(
                "the rule {} is for packets {}, and the packet goes {}",
                quoted(name.value),
                of_rule.as_str(),
                of_packet.as_str()
            );
            let (span, place) = (other.span, name.span);
            self.report
                .add(Code::Contradiction, place, message)
                .note_at(span, "the packet is here")
                .help(format!("begin the packet with `{}`", of_rule.as_str()));
            return None;
        }
        let decides = rule.action.verdict();
        self.check_verdict(name, decides, expected, "the rule")?;
        Some(Outcome::Rule(id))
    }

    fn reason(
        &mut self,
        name: At<&str>,
        packets: &[TestPacket],
        expected: Option<Verdict>,
    ) -> Option<Outcome> {
        let reasons: Vec<_> = REASONS
            .iter()
            .map(|reason| (reason.name(), *reason))
            .collect();
        let reason = choice("reason", name, &reasons, self.report)?;
        for direction in Direction::ALL {
            let mut packets = packets.iter();
            if packets.any(|packet| packet.context.direction == direction) {
                let decides = self.ruleset.settings.verdict_for(direction, reason);
                self.check_verdict(name, Some(decides), expected, "the reason")?;
            }
        }
        Some(Outcome::Reason(reason))
    }

    /// Reports if the rule or reason `name` never gives the expected verdict.
    fn check_verdict(
        &mut self,
        name: At<&str>,
        decides: Option<Verdict>,
        expected: Option<Verdict>,
        what: &str,
    ) -> Option<()> {
        let quoted = quoted(name.value);
        let message = match (decides, expected) {
            (None, _) => format!("{what} {quoted} only counts, and decides over no packet"),
            (Some(decides), Some(expected)) if decides != expected => format!(
                "the test expects `{}`, but {what} {quoted} stands for `{}`",
                expected.as_str(),
                decides.as_str()
            ),
            (Some(_), _) => return Some(()),
        };
        self.report.add(Code::Contradiction, name.span, message);
        None
    }

    /// The interface of all packets of a test that do not name their own; `None` if it is wrong.
    fn interface_of(&mut self, test: &Test<'_>) -> Option<Option<String>> {
        match test.interface {
            Some(name) => self.interface(name.value, name.span).map(Some),
            None => Some(self.ruleset.settings.usual_interface().map(str::to_owned)),
        }
    }

    fn interface(&mut self, name: &str, span: Span) -> Option<String> {
        let patterns = &self.ruleset.settings.interfaces;
        match InterfacePattern::parse(name) {
            Some(pattern) if !pattern.is_glob() => {}
            Some(_) | None => {
                let message = format!("{} is no name of an interface", quoted(name));
                self.report.add(Code::InvalidValue, span, message);
                return None;
            }
        }
        // Without patterns there is an error already.
        if !patterns.is_empty() && !patterns.iter().any(|pattern| pattern.selects(name)) {
            let message = format!("packets on {} are not filtered", quoted(name));
            self.report
                .add(Code::Contradiction, span, message)
                .help("name an interface that `interfaces` of `[firewall]` fits");
            return None;
        }
        Some(name.to_owned())
    }

    /// The time between the packets that came before and those of the test.
    fn after(&mut self, term: &Term<'_>) -> Option<Duration> {
        let given = duration(&term.text);
        if given.is_none() {
            let message = format!("invalid time {}", quoted(&term.text));
            self.report
                .add(Code::InvalidValue, term.span, message)
                .help("write a time as in `2s`, `1h30m` or `90`, which is seconds");
        }
        given
    }

    fn written(&mut self, terms: &[Term<'_>], interface: Option<&str>) -> Option<Vec<TestPacket>> {
        let packets: Vec<_> = terms
            .iter()
            .filter_map(|term| self.notation(term, interface))
            .collect();
        (packets.len() == terms.len()).then_some(packets)
    }

    fn notation(&mut self, term: &Term<'_>, interface: Option<&str>) -> Option<TestPacket> {
        match notation::read(&term.text) {
            Ok(packet) => {
                let interface = match &packet.context.interface {
                    Some(own) => Some(self.interface(own, term.span)?),
                    None => interface.map(str::to_owned),
                };
                Some(TestPacket {
                    frame: packet.frame,
                    context: Context {
                        interface,
                        ..packet.context
                    },
                    origin: quoted(&term.text),
                    span: term.span,
                })
            }
            Err(fault) => {
                let span = self.source.inside(term.span, &term.text, fault.at);
                let diagnostic = self.report.add(Code::InvalidPacket, span, fault.message);
                diagnostic.help = fault.help;
                None
            }
        }
    }

    fn captured(
        &mut self,
        file: At<&'a str>,
        index: Option<&Term<'_>>,
        interface: Option<&str>,
    ) -> Option<Vec<TestPacket>> {
        let wanted = match index.map(|index| number::single::<usize>(&index.text)) {
            None => None,
            Some(Ok(wanted)) => Some(wanted),
            Some(Err(_)) => {
                let message = "`index` is the number of a packet, counted from 1";
                self.report.add(Code::InvalidValue, index?.span, message);
                return None;
            }
        };
        self.read_capture(file);
        let frames = self.captures.get(file.value)?.as_ref()?;
        let chosen: Vec<_> = frames
            .iter()
            .filter(|frame| wanted.is_none_or(|wanted| wanted == frame.number))
            .collect();
        if chosen.is_empty() {
            let span = index.map_or(file.span, |index| index.span);
            let message = format!(
                "the capture {} has no such packet: it has {}",
                quoted(file.value),
                counted(frames.len(), "packet")
            );
            self.report.add(Code::InvalidValue, span, message);
            return None;
        }
        if let Some(frame) = chosen.iter().find(|frame| !frame.is_whole()) {
            let message = format!(
                "packet {} of {} was captured in part: {} bytes of {}",
                frame.number,
                quoted(file.value),
                frame.bytes.len(),
                frame.length
            );
            self.report
                .add(Code::InvalidPacket, file.span, message)
                .help("capture whole packets, as `tcpdump -s 0` does");
            return None;
        }
        let packets = chosen.into_iter().map(|frame| TestPacket {
            frame: frame.bytes.clone(),
            context: Context::arriving(interface.map(str::to_owned)),
            origin: format!("packet {} of {}", frame.number, quoted(file.value)),
            span: file.span,
        });
        Some(packets.collect())
    }

    /// Reads a capture, unless it is already read, and reports errors.
    fn read_capture(&mut self, file: At<&'a str>) {
        let Entry::Vacant(place) = self.captures.entry(file.value) else {
            return;
        };
        let frames = (self.list)(file.value).and_then(|capture| {
            captures::frames(capture.bytes())
                .and_then(Iterator::collect)
                .map_err(|error| error.to_string())
        });
        let frames = frames.map_err(|error| {
            let message = format!("cannot read the capture {}: {error}", quoted(file.value));
            self.report.add(Code::UnreadableFile, file.span, message);
        });
        place.insert(frames.ok());
    }
}

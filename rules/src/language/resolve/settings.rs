//! The meaning of `[firewall]`, `[parser]`, `[flows]` and `[bans]`.

use super::{
    choice::{choice, verdict},
    flows::flows,
    interface::interface_pattern,
    log,
};
use crate::{
    diagnostics::{Code, Report, Source},
    field::InterfacePattern,
    language::syntax::{self, At, Term},
    model::{Mode, Parser, ReasonLogs, Settings, Verdict},
    text::quoted,
};

pub(super) fn settings(
    written: &syntax::WrittenSettings<'_>,
    written_parser: &syntax::WrittenParser<'_>,
    written_flows: &syntax::WrittenFlows<'_>,
    written_bans: &syntax::WrittenBans<'_>,
    source: &Source,
    report: &mut Report,
) -> Settings {
    let policy = written
        .policy
        .and_then(|word| verdict("policy", word, report))
        .unwrap_or(Verdict::Pass);
    Settings {
        interfaces: interfaces(written.interfaces.iter().flatten(), report),
        mode: written
            .mode
            .and_then(|word| {
                let modes = [
                    ("native", Mode::Native),
                    ("generic", Mode::Generic),
                    ("auto", Mode::Auto),
                ];
                choice("mode", word, &modes, report)
            })
            .unwrap_or(Mode::Native),
        policy,
        policy_out: written
            .policy_out
            .and_then(|word| verdict("policy_out", word, report))
            .unwrap_or(Verdict::Pass),
        parser: parser(written_parser, policy, report),
        flows: flows(written_flows, source, report),
        logs: {
            let mut limit = |written: &Option<syntax::Log<'_>>| {
                written.as_ref().and_then(|log| log::limit(log, report))
            };
            ReasonLogs {
                policy: limit(&written.log),
                parser: limit(&written_parser.log),
                bans: limit(&written_bans.log),
            }
        },
    }
}

fn parser(written: &syntax::WrittenParser<'_>, policy: Verdict, report: &mut Report) -> Parser {
    let default = Parser::with_policy(policy);
    let mut or_default = |word: Option<At<&str>>, default| {
        word.and_then(|word| verdict("verdict", word, report))
            .unwrap_or(default)
    };
    Parser {
        malformed: or_default(written.malformed, default.malformed),
        truncated: or_default(written.truncated, default.truncated),
        too_many_headers: or_default(written.too_many_headers, default.too_many_headers),
        too_many_tags: or_default(written.too_many_tags, default.too_many_tags),
        unknown_ethertype: or_default(written.unknown_ethertype, default.unknown_ethertype),
    }
}

/// The interfaces to attach to; warns of those that are named twice.
fn interfaces<'t>(
    terms: impl Iterator<Item = &'t Term<'t>>,
    report: &mut Report,
) -> Vec<InterfacePattern> {
    let mut patterns: Vec<InterfacePattern> = Vec::new();
    let mut spans = Vec::new();
    for term in terms {
        let Some(pattern) = attached_interface(term, report) else {
            continue;
        };
        let mut before = patterns.iter().zip(&spans);
        if let Some((_, first)) = before.find(|(before, _)| **before == pattern) {
            let message = format!("the interface {} is named twice", quoted(&term.text));
            report
                .add(Code::RedundantMember, term.span, message)
                .note_at(*first, "it is here");
        }
        patterns.push(pattern);
        spans.push(term.span);
    }
    patterns
}

fn attached_interface(term: &Term<'_>, report: &mut Report) -> Option<InterfacePattern> {
    if term.text.starts_with(['!', '@']) {
        let message = "`interfaces` takes names and globs only";
        report
            .add(Code::InvalidValue, term.span, message)
            .help("name each interface to attach to; rules can be narrowed by `interface`");
        return None;
    }
    interface_pattern(term, &term.text, report)
}

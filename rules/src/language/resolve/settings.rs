//! The meaning of `[firewall]` and `[parser]`.

use super::{choice::choice, interface::interface_pattern};
use crate::{
    diagnostics::{Code, Report},
    field::InterfacePattern,
    language::syntax::{self, At, Term},
    model::{Mode, Parser, Policy, Settings},
};

const POLICIES: [(&str, Policy); 2] = [("pass", Policy::Pass), ("drop", Policy::Drop)];

pub(super) fn settings(
    written: &syntax::Settings<'_>,
    written_parser: &syntax::Parser<'_>,
    report: &mut Report,
) -> Settings {
    let policy = written
        .policy
        .and_then(|word| choice("policy", word, &POLICIES, report))
        .unwrap_or(Policy::Pass);
    let interfaces = written.interfaces.iter().flatten();
    Settings {
        interfaces: interfaces
            .filter_map(|term| attached_interface(term, report))
            .collect(),
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
        parser: parser(written_parser, policy, report),
    }
}

pub(super) fn parser(written: &syntax::Parser<'_>, policy: Policy, report: &mut Report) -> Parser {
    let default = Parser::with_policy(policy);
    let mut verdict = |word: Option<At<&str>>, default| {
        word.and_then(|word| choice("verdict", word, &POLICIES, report))
            .unwrap_or(default)
    };
    Parser {
        malformed: verdict(written.malformed, default.malformed),
        truncated: verdict(written.truncated, default.truncated),
        too_many_headers: verdict(written.too_many_headers, default.too_many_headers),
        too_many_tags: verdict(written.too_many_tags, default.too_many_tags),
        unknown_ethertype: verdict(written.unknown_ethertype, default.unknown_ethertype),
    }
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

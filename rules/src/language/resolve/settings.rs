//! The meaning of `[firewall]` and `[parser]`.

use super::{
    choice::{choice, verdict},
    interface::interface_pattern,
};
use crate::{
    diagnostics::{Code, Report},
    field::InterfacePattern,
    language::syntax::{self, At, Term},
    model::{Mode, Parser, Settings, Verdict},
};

pub(super) fn settings(
    written: &syntax::WrittenSettings<'_>,
    written_parser: &syntax::WrittenParser<'_>,
    report: &mut Report,
) -> Settings {
    let policy = written
        .policy
        .and_then(|word| verdict("policy", word, report))
        .unwrap_or(Verdict::Pass);
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

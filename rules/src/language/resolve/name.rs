//! The names of rules and tests.

use std::collections::HashMap;

use crate::{
    diagnostics::{Code, Report, Span},
    language::syntax::At,
    text::quoted,
};

/// The maximum number of bytes that the name of a rule may have.
pub const MAX_RULE_NAME_LEN: usize = 64;

pub(super) fn rule_name<'a>(
    name: Option<At<&'a str>>,
    names: &mut HashMap<&'a str, Span>,
    report: &mut Report,
) -> Option<At<&'a str>> {
    let name = name?;
    if let Some(fault) = name_fault(name.value) {
        let message = format!("invalid rule name {}", quoted(name.value));
        report
            .add(Code::InvalidName, name.span, message)
            .label(fault);
        return None;
    }
    if let Some(first) = names.get(name.value) {
        let message = format!("the rule name {} is taken", quoted(name.value));
        report
            .add(Code::DuplicateName, name.span, message)
            .note_at(*first, "it is taken by this rule")
            .help("counters are kept by name, so that each rule needs its own");
        return None;
    }
    names.insert(name.value, name.span);
    Some(name)
}

/// The maximum number of bytes that the comment of a rule may have.
const MAX_COMMENT_LEN: usize = 256;

/// The comment of a rule.
pub(super) fn comment(comment: At<&str>, report: &mut Report) -> Option<String> {
    let length = comment.value.len();
    let fault = if length > MAX_COMMENT_LEN {
        format!("it has {length} bytes, more than {MAX_COMMENT_LEN}")
    } else if comment.value.contains(char::is_control) {
        "it has a control character".to_owned()
    } else {
        return Some(comment.value.to_owned());
    };
    let message = "invalid comment of a rule";
    let diagnostic = report.add(Code::InvalidValue, comment.span, message);
    diagnostic
        .label(fault)
        .help("longer notes are TOML comments, after `#`");
    None
}

/// Why a text cannot be the name of a rule or a test.
pub(super) fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("it is empty".to_owned())
    } else if name.len() > MAX_RULE_NAME_LEN {
        let length = name.len();
        Some(format!(
            "it has {length} bytes, more than {MAX_RULE_NAME_LEN}"
        ))
    } else if name.contains(char::is_control) {
        Some("it has a control character".to_owned())
    } else {
        None
    }
}

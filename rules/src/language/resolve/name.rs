//! The names of rules and tests.

use std::collections::HashMap;

use crate::{
    diagnostics::{Code, Report, Span},
    language::syntax::At,
    text::quoted,
};

/// The most bytes that the name of a rule may have.
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

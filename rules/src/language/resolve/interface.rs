//! Interface names and globs.

use crate::{
    diagnostics::{Code, Report},
    field::InterfacePattern,
    language::syntax::Term,
    text::quoted,
};

/// Reads `text`, which is `term` less its operators, as the name or glob of an interface.
pub(super) fn interface_pattern(
    term: &Term<'_>,
    text: &str,
    report: &mut Report,
) -> Option<InterfacePattern> {
    if term.is_number {
        let message = "an interface is named by a string";
        report
            .add(Code::WrongType, term.span, message)
            .label("this is an integer");
        return None;
    }
    let pattern = InterfacePattern::parse(text);
    if pattern.is_none() {
        let longest = InterfacePattern::MAX_NAME_LEN;
        let message = format!("invalid interface name {}", quoted(text));
        report
            .add(Code::InvalidValue, term.span, message)
            .help(format!(
                "a name has 1 to {longest} bytes and neither `/` nor `:` nor white space"
            ));
    }
    pattern
}

//! The field `family`.

use crate::{
    diagnostics::{Code, Report, suggest},
    field::Family,
    language::syntax::Field,
    text::quoted,
};

pub(super) fn family(field: &Field<'_>, report: &mut Report) -> Option<Family> {
    let [term] = field.terms.as_slice() else {
        report
            .add(Code::InvalidValue, field.span, "`family` takes one value")
            .help("leave `family` out to match both families");
        return None;
    };
    match term.text.as_ref() {
        "ipv4" => Some(Family::Ipv4),
        "ipv6" => Some(Family::Ipv6),
        other => {
            let message = format!("unknown family {}", quoted(other));
            let diagnostic = report.add(Code::InvalidValue, term.span, message);
            suggest(diagnostic, other, ["ipv4", "ipv6"]);
            None
        }
    }
}

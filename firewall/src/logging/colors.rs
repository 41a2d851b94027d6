//! Colors of reports at a terminal.
//!
//! Reports are plain text everywhere else, those of the daemon too: colors are added where a report is
//! printed, by the words and marks that lines begin with.

use std::{env, fmt::Write as _, io::IsTerminal, sync::OnceLock};

/// When output has colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ColorChoice {
    /// At a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What was chosen on the command line.
static CHOICE: OnceLock<ColorChoice> = OnceLock::new();

/// Sets the choice for this process.
pub(crate) fn choose(choice: ColorChoice) {
    CHOICE.get_or_init(|| choice);
}

/// Whether what goes to `output` has colors.
pub(crate) fn are_for(output: &impl IsTerminal) -> bool {
    let choice = CHOICE.get().copied().unwrap_or_default();
    are_wanted(choice, output.is_terminal(), |name| {
        env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })
}

/// Decides by the variables of <https://no-color.org> and <https://bixense.com/clicolors>.
fn are_wanted(
    choice: ColorChoice,
    is_terminal: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> bool {
    let is_set = |name: &str| variable(name).filter(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set("NO_COLOR").is_some() => false,
        ColorChoice::Auto if is_set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        ColorChoice::Auto => {
            is_terminal
                && is_set("CLICOLOR").is_none_or(|value| value != "0")
                && is_set("TERM").is_some_and(|value| value != "dumb")
        }
    }
}

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const ERROR: &str = "\x1b[1;31m";
const WARNING: &str = "\x1b[1;33m";
const NOTE: &str = "\x1b[1;32m";
const HELP: &str = "\x1b[1;36m";
const MARGIN: &str = "\x1b[1;34m";

/// The report with colors, if what goes to `output` has them.
pub(crate) fn painted_for(output: &impl IsTerminal, report: String) -> String {
    if are_for(output) {
        paint(&report)
    } else {
        report
    }
}

/// The report with colors.
fn paint(report: &str) -> String {
    let mut painted = String::with_capacity(report.len() + 128);
    // That of the finding to which a snippet belongs.
    let mut mark = ERROR;
    for line in report.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        // Writing to a string does not fail.
        let _ = match Line::of(line) {
            Line::Head { head, rest, color } => {
                mark = color;
                let bold = if matches!(color, ERROR | WARNING) {
                    BOLD
                } else {
                    ""
                };
                let reset = if bold.is_empty() { "" } else { RESET };
                write!(painted, "{color}{head}{RESET}{bold}{rest}{reset}{end}")
            }
            Line::Margin { margin, rest } => {
                let marks = rest.trim_start_matches([' ', '\t']);
                if marks.starts_with('^') {
                    let (space, marks) = rest.split_at(rest.len() - marks.len());
                    write!(
                        painted,
                        "{MARGIN}{margin}{RESET}{space}{mark}{marks}{RESET}{end}"
                    )
                } else {
                    write!(painted, "{MARGIN}{margin}{RESET}{rest}{end}")
                }
            }
            Line::Other => write!(painted, "{line}{end}"),
        };
    }
    painted
}

/// A line of a report.
enum Line<'a> {
    /// The beginning of a finding, a note or a help.
    Head {
        head: &'a str,
        rest: &'a str,
        color: &'static str,
    },
    /// A line of a snippet.
    Margin {
        margin: &'a str,
        rest: &'a str,
    },
    Other,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        for (word, color) in [
            ("error", ERROR),
            ("warning", WARNING),
            ("note", NOTE),
            ("help", HELP),
        ] {
            if let Some(rest) = line.strip_prefix(word)
                && rest.starts_with([':', '['])
                && let Some(colon) = line.find(':')
            {
                let (head, rest) = line.split_at(colon + 1);
                return Self::Head { head, rest, color };
            }
        }
        let unnumbered = line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit());
        for sign in ["-->", "|"] {
            if unnumbered.len() < line.len()
                && let Some(rest) = unnumbered.strip_prefix(sign)
            {
                let (margin, rest) = line.split_at(line.len() - rest.len());
                return Self::Margin { margin, rest };
            }
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_for_terminals_unless_somebody_says_otherwise() {
        let wanted = |choice, is_terminal, variables: &[(&str, &str)]| {
            are_wanted(choice, is_terminal, |name| {
                let mut variables = variables.iter();
                variables
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        use ColorChoice::{Always, Auto, Never};
        const XTERM: (&str, &str) = ("TERM", "xterm");
        for (expected, choice, is_terminal, variables) in [
            (true, Auto, true, &[XTERM] as &[_]),
            (false, Auto, false, &[XTERM]),
            (false, Auto, true, &[("TERM", "dumb")]),
            (false, Auto, true, &[]),
            (false, Auto, true, &[XTERM, ("NO_COLOR", "1")]),
            (true, Auto, true, &[XTERM, ("NO_COLOR", "")]),
            (false, Auto, true, &[XTERM, ("CLICOLOR", "0")]),
            (true, Auto, false, &[("CLICOLOR_FORCE", "1")]),
            (false, Auto, false, &[("CLICOLOR_FORCE", "0")]),
            (
                false,
                Auto,
                false,
                &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
            ),
            (true, Always, false, &[("NO_COLOR", "1")]),
            (false, Never, true, &[XTERM, ("CLICOLOR_FORCE", "1")]),
        ] {
            assert_eq!(
                wanted(choice, is_terminal, variables),
                expected,
                "{choice:?}, {is_terminal}, {variables:?}"
            );
        }
    }

    #[test]
    fn a_report_is_the_same_without_its_colors() {
        let report = "warning[shadowed]: `a` is never reached\n --> rules.toml:7:1\n  |\n\
                      7 | error: no | head\n  | ^^^^^ here\nnote: see\nhelp: turn\nother\n\nerror: x";
        let painted = paint(report);
        for part in [
            "\x1b[1;33mwarning[shadowed]:\x1b[0m\x1b[1m `a` is never reached\x1b[0m\n",
            "\x1b[1;34m -->\x1b[0m rules.toml:7:1\n",
            "\x1b[1;34m7 |\x1b[0m error: no | head\n",
            "\x1b[1;34m  |\x1b[0m \x1b[1;33m^^^^^ here\x1b[0m\n",
            "\x1b[1;36mhelp:\x1b[0m turn\nother\n\n",
        ] {
            assert!(painted.contains(part), "{part:?} in {painted:?}");
        }
        let mut plain = painted;
        for color in [RESET, BOLD, ERROR, WARNING, NOTE, HELP, MARGIN] {
            plain = plain.replace(color, "");
        }
        assert_eq!(plain, report);
    }
}

//! Shortens the verifier's log for messages.

use std::fmt;

/// The maximum number of lines to show.
const SHOWN: usize = 20;

/// The end of a verifier log: the last lines without the statistics, and how many were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    lines: Vec<String>,
    left_out: usize,
}

impl Tail {
    /// The end of `log`.
    pub(crate) fn of(log: &str) -> Self {
        let lines: Vec<&str> = log
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty() && !is_statistic(line))
            .collect();
        let left_out = lines.len().saturating_sub(SHOWN);
        Self {
            lines: lines
                .into_iter()
                .skip(left_out)
                .map(str::to_owned)
                .collect(),
            left_out,
        }
    }
}

/// Lines that the verifier always adds at the end (`print_verification_stats`,
/// `kernel/bpf/verifier.c`).
fn is_statistic(line: &str) -> bool {
    ["processed ", "verification time ", "stack depth "]
        .iter()
        .any(|start| line.starts_with(start))
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left_out {
            _ if self.lines.is_empty() => return f.write_str("  (the verifier wrote no log)"),
            0 => {}
            1 => f.write_str("  (1 earlier line left out)\n")?,
            count => writeln!(f, "  ({count} earlier lines left out)")?,
        }
        for (index, line) in self.lines.iter().enumerate() {
            let end = if index + 1 == self.lines.len() {
                ""
            } else {
                "\n"
            };
            write!(f, "  | {line}{end}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_shown_without_statistics() {
        let mut log: String = (0..30).map(|n| format!("{n}: (bf) r1 = r{n}\n")).collect();
        log.push_str("R1 invalid mem access 'scalar'\n\n");
        log.push_str("verification time 12 usec\nstack depth 0\n");
        log.push_str("processed 30 insns (limit 1000000) max_states_per_insn 0\n");
        let shown = Tail::of(&log).to_string();
        assert!(shown.starts_with("  (11 earlier lines left out)\n  | 11: (bf) r1 = r11\n"));
        assert!(
            shown.ends_with("  | R1 invalid mem access 'scalar'"),
            "{shown}"
        );
    }

    #[test]
    fn a_short_log_is_shown_whole() {
        assert_eq!(Tail::of("one\ntwo\n").to_string(), "  | one\n  | two");
        assert_eq!(Tail::of("").to_string(), "  (the verifier wrote no log)");
    }
}

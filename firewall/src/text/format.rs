//! Text for people: tables, numbers and times.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rules::text::escaped;
pub(crate) use rules::text::{counted, grouped};

/// A table of columns as wide as their longest cell.
pub(crate) struct Table {
    alignments: Vec<Alignment>,
    rows: Vec<Vec<String>>,
}

/// The alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alignment {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[(&str, Alignment)]) -> Self {
        Self {
            alignments: columns.iter().map(|&(_, alignment)| alignment).collect(),
            rows: vec![columns.iter().map(|&(title, _)| title.to_owned()).collect()],
        }
    }

    /// Adds a row. Names and reasons are shown with what cannot be seen as escapes.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| escaped(&cell));
        self.rows.push(cells.collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.alignments.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, &width), alignment) in row.iter().zip(&widths).zip(&self.alignments) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                line.push_str(&match alignment {
                    Alignment::Left => format!("{cell:<width$}"),
                    Alignment::Right => format!("{cell:>width$}"),
                });
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number of bytes, in the largest unit of 1,024 that leaves it whole or above 9.
pub(crate) fn bytes(number: u64) -> String {
    let mut rest = number;
    for unit in ["bytes", "KiB", "MiB"] {
        if rest < 10 << 10 && !(unit != "MiB" && rest > 0 && rest.is_multiple_of(1024)) {
            return format!("{} {unit}", grouped(rest));
        }
        rest = rest.div_ceil(1024);
    }
    format!("{} GiB", grouped(rest))
}

/// Formats a duration, to three digits.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1e3;
    if milliseconds < 10.0 {
        format!("{milliseconds:.2} ms")
    } else if milliseconds < 100.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{milliseconds:.0} ms")
    }
}

/// A time in UTC, as RFC 3339 writes it.
pub(crate) fn utc(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |duration| duration.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The date that many days after 1970-01-01, counted in years that begin in March, so that the
/// leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 {
        (month + 3, year)
    } else {
        (month - 9, year + 1)
    };
    (era * 400 + year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[("RULE", Alignment::Left), ("N", Alignment::Right)]);
        table.row(["a".into(), "1,000".into()]);
        table.row(["größer".into(), "2".into()]);
        assert_eq!(
            table.to_string(),
            "RULE        N\na       1,000\ngrößer      2\n"
        );
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(9_999), "9,999 bytes");
        assert_eq!(bytes(65_536), "64 KiB");
        assert_eq!(bytes(70_000), "69 KiB");
        assert_eq!(bytes(3 << 20), "3 MiB");
        assert_eq!(milliseconds(Duration::from_micros(1_234)), "1.23 ms");
    }

    #[test]
    fn times_are_utc() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_251_200), "2024-03-01T00:00:00Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}

//! Lengths of time, as people write them.

use std::time::Duration;

/// Reads `90s`, `1h30m`, `2d`, `3h59m38.3s` or `3600`, which is seconds.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than the type holds is longer than any length of time.
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    // `M` is minutes in most formats of durations, not months; other white space than that of ASCII cannot be seen.
    if text.contains('M') || !text.is_ascii() {
        return None;
    }
    let (whole, fraction) = match text.split_once('.') {
        // As Go writes seconds.
        Some((whole, fraction)) => (format!("{whole}s"), fraction.strip_suffix('s')?),
        None => (text.to_owned(), "0"),
    };
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let whole = humantime::parse_duration(&whole).ok()?;
    whole.checked_add(Duration::from_secs_f64(fraction))
}

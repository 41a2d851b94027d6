//! The figures of a run as a page.

use std::fmt::{self, Write as _};

use super::{
    results::{Measured, Results},
    targets::{REFERENCE_BASELINE, Target, targets},
};
use crate::cost::{report::Figures, subject_kind::SubjectKind};

/// The whole page.
#[must_use]
pub fn page(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_page(&mut text, results);
    text
}

/// The table of the targets alone.
#[must_use]
pub fn target_table(results: &Results) -> String {
    let mut text = String::new();
    let _ = write_targets(&mut text, results);
    text
}

fn write_page(text: &mut String, results: &Results) -> fmt::Result {
    writeln!(text, "# What a packet costs\n")?;
    write_setting(text, results)?;
    writeln!(text, "\n## Targets\n")?;
    write_targets(text, results)?;
    writeln!(
        text,
        "\n## Cost of a packet\n\nAs a multiple of the baseline, and nanoseconds over it.\n"
    )?;
    write_table(text, results, cost)?;
    writeln!(
        text,
        "\n## Loading\n\nCPU time of the commands until the rules were in force, in seconds.\n"
    )?;
    write_table(text, results, |figures| {
        format!("{:.3}", figures.loading.cpu_seconds)
    })?;
    writeln!(
        text,
        "\n## Memory\n\nIn MB: of all maps of rules for `firewall`, for others by how much the kernel's \
         own memory grew.\n"
    )?;
    write_table(text, results, |figures| {
        format!("{:.1}", figures.loading.memory() as f64 / 1e6)
    })?;
    writeln!(text, "\n## The compiler\n")?;
    write_compiler(text, results)?;
    write_reload(text, results)?;
    write_switch_times(text, results)?;
    write_bans(text, results)?;
    write_absent(text, results)
}

fn write_setting(text: &mut String, results: &Results) -> fmt::Result {
    let machine = &results.machine;
    let (baseline, noise, generator) = (results.baseline(), results.noise(), results.generator());
    writeln!(
        text,
        "{}, {} CPUs, {:.1} GB of memory, Linux {}, {}; load average {:.2} at the beginning; \
         measured in {:.0} s.\n",
        machine.cpu,
        machine.cpus,
        machine.memory_bytes as f64 / 1e9,
        machine.kernel,
        date(machine.time),
        machine.load_average,
        results.seconds
    )?;
    writeln!(
        text,
        "The baseline is an empty XDP program that drops each packet: {:.0} ns on one CPU (from {:.0} \
         to {:.0} over the cases), with the packet made and sent through a veth pair. Half the \
         distance between its quartiles is {:.1}% of it (at most {:.1}%). A packet that is made and \
         dropped before it is sent takes {:.0} ns. Firewalls take turns, and each turn is compared \
         with that of the baseline in the same round; figures are medians over the rounds.",
        baseline.median,
        baseline.min,
        baseline.max,
        noise.median * 100.0,
        noise.max * 100.0,
        generator.median
    )
}

fn write_targets(text: &mut String, results: &Results) -> fmt::Result {
    writeln!(
        text,
        "Costs as a multiple of the baseline, and beside it what a packet takes over the baseline with what \
         the target leaves for it where the baseline is {REFERENCE_BASELINE:.0} ns, for which the targets were \
         set.\n\n\
         | figure | target | measured | | over the baseline | left by the target |\n\
         | --- | ---: | ---: | --- | ---: | ---: |"
    )?;
    for target in targets(results) {
        let Target {
            what,
            unit,
            most,
            found,
            over_baseline,
        } = &target;
        let unit = if unit.is_empty() { "x" } else { unit };
        let found = found.map_or_else(String::new, |found| format!("{} {unit}", short(found)));
        let verdict = match target.is_met() {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        let nanoseconds =
            |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.0} ns"));
        writeln!(
            text,
            "| {what} | {most} {unit} | {found} | {verdict} | {} | {} |",
            nanoseconds(*over_baseline),
            nanoseconds(target.allowance())
        )?;
    }
    Ok(())
}

/// A row a case, a column a subject.
fn write_table(
    text: &mut String,
    results: &Results,
    cell: impl Fn(&Figures) -> String,
) -> fmt::Result {
    let kinds = SubjectKind::COMPARED
        .iter()
        .filter(|kind| **kind != SubjectKind::Baseline);
    let kinds: Vec<_> = kinds.copied().collect();
    write!(text, "| case |")?;
    for kind in &kinds {
        write!(text, " {} |", kind.name())?;
    }
    writeln!(text, "\n| --- |{}", " ---: |".repeat(kinds.len()))?;
    for measured in &results.measured {
        write!(text, "| {} |", measured.report.case)?;
        for kind in &kinds {
            let cell = measured.figures(*kind).map_or_else(String::new, &cell);
            write!(text, " {cell} |")?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn cost(figures: &Figures) -> String {
    let way = &figures.on_the_way;
    format!(
        "{} (+{:.0} ns)",
        short(way.times_baseline.median),
        way.over_baseline.median
    )
}

fn write_compiler(text: &mut String, results: &Results) -> fmt::Result {
    writeln!(
        text,
        "| case | compiled in s | image in MB | expected ns | measured over the baseline |\n\
         | --- | ---: | ---: | ---: | ---: |"
    )?;
    for measured in &results.measured {
        let Some(figures) = measured.figures(SubjectKind::Firewall) else {
            continue;
        };
        if let Some(image) = figures.loading.image {
            writeln!(
                text,
                "| {} | {:.4} | {:.3} | {} | {:.0} |",
                measured.report.case,
                image.compile_seconds,
                image.bytes as f64 / 1e6,
                image.expected_nanoseconds,
                figures.on_the_way.over_baseline.median
            )?;
        }
    }
    Ok(())
}

fn write_reload(text: &mut String, results: &Results) -> fmt::Result {
    let Some(reload) = &results.reload else {
        return Ok(());
    };
    writeln!(
        text,
        "\n## Reloads under traffic\n\nA list of {} prefixes, reloaded {} times with other members: \
         {:.1} ms from the files to the switch as the log has it (from {:.1} to {:.1}), {:.1} ms from \
         the signal until the log had it. Of {} packets from sources that stayed listed, {} were let \
         through and {} not judged.",
        reload.prefixes,
        reload.logged.samples,
        reload.logged.median * 1e3,
        reload.logged.min * 1e3,
        reload.logged.max * 1e3,
        reload.seen.median * 1e3,
        reload.received,
        reload.passed,
        reload.unjudged
    )
}

fn write_switch_times(text: &mut String, results: &Results) -> fmt::Result {
    if results.switch_times.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n## Reloads of large rule files\n\nWithout traffic, in milliseconds: from the files to the \
         switch as the log has it, and from the signal until the log had it.\n\n\
         | reloaded | times | logged | from | to | from the signal |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |"
    )?;
    for time in &results.switch_times {
        writeln!(
            text,
            "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            time.what,
            time.logged.samples,
            time.logged.median * 1e3,
            time.logged.min * 1e3,
            time.logged.max * 1e3,
            time.seen.median * 1e3
        )?;
    }
    Ok(())
}

fn write_bans(text: &mut String, results: &Results) -> fmt::Result {
    let Some(bans) = &results.bans else {
        return Ok(());
    };
    writeln!(text, "\n## Bans\n\n{bans}")
}

fn write_absent(text: &mut String, results: &Results) -> fmt::Result {
    writeln!(text, "\n## Not measured\n")?;
    for Measured { report, .. } in &results.measured {
        for absent in &report.absent {
            writeln!(
                text,
                "- {}: {}: {}",
                report.case, absent.name, absent.reason
            )?;
        }
    }
    for failure in &results.failures {
        writeln!(text, "- {failure}")?;
    }
    Ok(())
}

/// With three digits, or none behind the point.
fn short(number: f64) -> String {
    if number < 10.0 && number.fract() != 0.0 {
        format!("{number:.2}")
    } else if number < 100.0 && number.fract() != 0.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}

/// The day of a time in seconds since 1970, in UTC (H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    // Years begin in March, so that a leap day is their last.
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{of_month:02}", year + era * 400 + later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(1_767_225_599), "2025-12-31");
    }

    #[test]
    fn numbers_are_short() {
        let short = [1.234, 12.34, 123.4, 0.0, 5.0].map(short);
        assert_eq!(short, ["1.23", "12.3", "123", "0", "5"]);
    }
}

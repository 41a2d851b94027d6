//! The figures of a run as a Markdown page.

use std::fmt::{self, Write as _};

use super::{
    results::{Measured, Results},
    targets::{REFERENCE_BASELINE, Target, targets},
};
use crate::cost::{
    data::Data,
    report::Figures,
    subject::{Absent, Cause},
    subject_kind::SubjectKind,
};

/// The whole page.
#[must_use]
pub fn page(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
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
    write_refusals(text, results)?;
    writeln!(
        text,
        "\n## Cost of a packet\n\nAs a multiple of the baseline, and nanoseconds over it.\n"
    )?;
    write_costs(text, results)?;
    writeln!(
        text,
        "\n## Data\n\nPublished rules are files of ClassBench that lie beside the project; generated \
         rules, lists and packets are drawn from a seed by this program, the same every time. Packets \
         come in the same order again and again; of distinct packets each comes once before any comes \
         again.\n"
    )?;
    write_data(text, results)?;
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
    write_state(text, results)?;
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
            refused,
        } = &target;
        let unit = if unit.is_empty() { "x" } else { unit };
        let found = found.map_or_else(String::new, |found| format!("{} {unit}", short(found)));
        let verdict = match target.is_met() {
            Some(true) => "met".to_owned(),
            Some(false) if *refused > 0 => format!("**missed**, {refused} refused"),
            Some(false) => "**missed**".to_owned(),
            None => "not measured".to_owned(),
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

/// The subjects with a column.
fn columns() -> impl Iterator<Item = SubjectKind> {
    let kinds = SubjectKind::COMPARED.into_iter();
    kinds.filter(|kind| *kind != SubjectKind::Baseline)
}

fn write_heads(text: &mut String) -> fmt::Result {
    write!(text, "| case |")?;
    for kind in columns() {
        write!(text, " {} |", kind.name())?;
    }
    writeln!(text, "\n| --- |{}", " ---: |".repeat(columns().count()))
}

/// Writes the row of a case, with one column per subject.
fn write_row(
    text: &mut String,
    measured: &Measured,
    cell: impl Fn(&Figures) -> String,
) -> fmt::Result {
    write!(text, "| {} |", measured.report.case)?;
    for kind in columns() {
        let absent = || {
            measured
                .absent(kind)
                .map_or("", |absent| absent.cause.word())
        };
        let figures = measured.figures(kind);
        let cell = figures.map_or_else(|| absent().to_owned(), &cell);
        write!(text, " {cell} |")?;
    }
    writeln!(text)
}

fn write_costs(text: &mut String, results: &Results) -> fmt::Result {
    write_heads(text)?;
    for measured in &results.measured {
        write_row(text, measured, cost)?;
    }
    Ok(())
}

/// Writes a table with a row for each set of rules, whatever its packets.
fn write_table(
    text: &mut String,
    results: &Results,
    cell: impl Fn(&Figures) -> String,
) -> fmt::Result {
    write_heads(text)?;
    for measured in results.rules() {
        write_row(text, measured, &cell)?;
    }
    Ok(())
}

fn write_data(text: &mut String, results: &Results) -> fmt::Result {
    writeln!(
        text,
        "| case | what | rules | packets | number | distinct |\n\
         | --- | --- | --- | --- | ---: | ---: |"
    )?;
    for Measured { report, .. } in &results.measured {
        let Data {
            rules,
            packets,
            count,
            distinct,
        } = report.data;
        writeln!(
            text,
            "| {} | {} | {} | {} | {count} | {distinct} |",
            report.case,
            report.description,
            rules.name(),
            packets.name()
        )?;
    }
    Ok(())
}

fn write_refusals(text: &mut String, results: &Results) -> fmt::Result {
    if results.refusals().next().is_none() {
        return Ok(());
    }
    writeln!(
        text,
        "\n## Refused\n\nRules that the compiler of `firewall` refuses, and what it says.\n\n\
         | case | message |\n| --- | --- |"
    )?;
    for (measured, message) in results.refusals() {
        // A vertical bar would end the cell.
        let message = message.replace('|', "\\|").replace('\n', "<br>");
        writeln!(text, "| {} | {message} |", measured.report.case)?;
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
    for measured in results.rules() {
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
         the signal until the log had it. Of {} packets, {} generated distinct ones again and again from \
         sources that stayed listed, {} were let through and {} not judged.",
        reload.prefixes,
        reload.logged.samples,
        reload.logged.median * 1e3,
        reload.logged.min * 1e3,
        reload.logged.max * 1e3,
        reload.seen.median * 1e3,
        reload.received,
        reload.packets,
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
            time.what.name(),
            time.logged.samples,
            time.logged.median * 1e3,
            time.logged.min * 1e3,
            time.logged.max * 1e3,
            time.seen.median * 1e3
        )?;
    }
    Ok(())
}

fn write_state(text: &mut String, results: &Results) -> fmt::Result {
    let Some(state) = &results.state else {
        return Ok(());
    };
    writeln!(text, "\n## States\n\n{state}")
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
        let others = |absent: &&Absent| absent.cause != Cause::Refused;
        for absent in report.absent.iter().filter(others) {
            let word = match absent.cause {
                Cause::Unable | Cause::Refused => "",
                Cause::Failed => "failed: ",
            };
            writeln!(
                text,
                "- {}: {}: {word}{}",
                report.case, absent.name, absent.reason
            )?;
        }
    }
    for failure in &results.failures {
        writeln!(text, "- {failure}")?;
    }
    Ok(())
}

/// With three significant digits, or without decimals.
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
    use std::{env, fs};

    use super::*;
    use crate::{rulesets::Origin, suite::plan::Group};

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

    /// The results stored with the source.
    fn kept() -> Results {
        let text = fs::read_to_string(format!("{FOLDER}/report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_page_that_is_kept_is_that_of_the_figures() {
        let (page, path) = (page(&kept()), format!("{FOLDER}/report.md"));
        if env::var_os("FIREWALL_RENEW").is_some_and(|value| value == "1") {
            fs::write(path, page).unwrap();
            return;
        }
        assert!(
            page == fs::read_to_string(path).unwrap(),
            "help: `FIREWALL_RENEW=1 cargo test -p benches --lib page_that_is_kept` writes report.md"
        );
    }

    #[test]
    fn rules_that_are_refused_are_a_row_and_miss_their_target() {
        let mut results = kept();
        results.measured.truncate(1);
        let mut refused = results.measured.first().unwrap().clone();
        let firewall = SubjectKind::Firewall;
        refused.group = Group::RuleSets;
        refused.size = 10_000;
        refused.report.case = "rules:fw:10000".to_owned();
        let subjects = &mut refused.report.subjects;
        subjects.retain(|figures| figures.name == SubjectKind::Baseline.name());
        refused.report.absent = vec![Absent {
            name: firewall.name().to_owned(),
            cause: Cause::Refused,
            reason: "777 steps | more\nthan 128".to_owned(),
        }];
        assert!(!page(&results).contains("refused"));
        results.measured.push(refused);
        let page = page(&results);
        for line in [
            "| rules:fw:10000 | refused |  |  |  |  |  |",
            "| rules:fw:10000 | 777 steps \\| more<br>than 128 |",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        let target = page
            .lines()
            .find(|line| line.starts_with("| 10,000 rules, worst of the sets |"));
        let target = target.unwrap();
        assert!(target.contains("| **missed**, 1 refused |"), "{target}");
    }

    #[test]
    fn the_page_says_what_each_case_is_measured_with() {
        let mut results = kept();
        results.measured.truncate(1);
        let report = &mut results.measured.first_mut().unwrap().report;
        report.case = "classbench:a, trace".to_owned();
        report.description = "3 rules".to_owned();
        report.data = Data {
            rules: Origin::Published,
            packets: Origin::Published,
            count: 120_601,
            distinct: 53_492,
        };
        let line = "| classbench:a, trace | 3 rules | published | published | 120601 | 53492 |";
        let page = page(&results);
        assert!(page.lines().any(|found| found == line), "{page}");
    }

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

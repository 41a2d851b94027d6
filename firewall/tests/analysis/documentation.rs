//! What the pages for new users show is what the command prints.

use std::{fs, path::Path};

use crate::support::run;

fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(name)).unwrap()
}

/// The first block of code of a page in this language.
fn block<'p>(page: &'p str, language: &str) -> &'p str {
    let begin = format!("\n```{language}\n");
    let (_, rest) = page.split_once(&begin).unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_first_rule_is_checked_and_explained_as_the_page_shows() {
    let page = page("docs/getting-started.md");
    let files = [("rules.toml", block(&page, "toml"))];
    let checked = run(&files, &["check", "rules.toml"]);
    let (found, size) = summary(&checked);
    let (_, shown) = page.split_once("$ firewall check rules.toml\n").unwrap();
    let shown = summary(shown);
    assert_eq!(shown.0, found);
    assert!(is_about(shown.1, size), "{checked}");
    let packet = "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn";
    let explained = run(&files, &["explain", "rules.toml", packet]);
    let (_, table) = explained.split_once("\n\n").unwrap();
    let (table, _) = table.split_once("--- stderr").unwrap();
    assert!(
        page.contains(&format!("'{packet}'\n...\n{table}")),
        "{explained}"
    );
}

#[test]
fn the_demonstration_has_the_rules_that_the_readme_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/samples/demo.toml");
    let checked = run(&[], &["check", path.to_str().unwrap()]);
    let (found, size) = summary(&checked);
    let (_, found) = found.split_once("no errors, ").unwrap();
    let readme = page("README.md");
    let (_, shown) = readme.split_once("generation 1 in force: ").unwrap();
    let shown = summary(shown);
    assert_eq!(shown.0, found);
    assert!(is_about(shown.1, size), "{checked}");
}

/// The first line with the size of an image: what is before, and the bytes.
fn summary(text: &str) -> (&str, f64) {
    let line = text.lines().find(|line| line.contains(", image ")).unwrap();
    let (found, rest) = line.split_once(", image ").unwrap();
    let mut words = rest.split(' ');
    let number = words.next().unwrap().replace(',', "");
    let unit = words.next().unwrap_or_default();
    let number: f64 = number.parse().unwrap();
    (
        found,
        if unit.starts_with("KiB") {
            number * 1024.0
        } else {
            number
        },
    )
}

/// Whether a size is that of another version or path: the image has both.
fn is_about(shown: f64, size: f64) -> bool {
    (shown - size).abs() < size / 10.0
}

//! The examples in the documentation are valid rules.

use std::{fs, path::Path};

use crate::support::{failures, load_for_use, load_with};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(path).unwrap()
}

/// The blocks of TOML in a file of the documentation, each a whole rule file or the rules of one.
fn examples(file: &str) -> Vec<String> {
    let text = read(file);
    let blocks = text.split("```toml\n").skip(1);
    blocks
        .map(|block| {
            let block = block.split("```").next().unwrap();
            if block.contains("[firewall]") {
                block.to_owned()
            } else {
                format!("[firewall]\ninterfaces = [\"eth0\", \"wlan*\"]\n{block}")
            }
        })
        .collect()
}

fn check(file: &str) -> Vec<String> {
    let examples = examples(file);
    assert!(!examples.is_empty(), "{file}");
    for example in &examples {
        let lists = [
            ("lists/drop.txt", "203.0.113.0/24\n"),
            ("a.netset", "203.0.113.0/24\n"),
            ("b.netset.gz", "2001:db8::/32\n"),
            ("ips.csv", "seen,ip\n2026-01-01,198.51.100.200\n"),
        ];
        let loaded = load_with(example, &lists);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{file}: {errors:#?}"));
        assert!(loaded.warnings.is_empty(), "{file}: {:#?}", loaded.warnings);
        if let Ok(loaded) = load_for_use(example) {
            assert!(loaded.warnings.is_empty(), "{file}: {:#?}", loaded.warnings);
        }
        let failures = failures(&loaded);
        assert!(failures.is_empty(), "{file}: {}", failures.join("\n"));
    }
    examples
}

#[test]
fn the_examples_of_the_readme_and_the_first_steps_have_no_fault() {
    check("README.md");
    check("docs/getting-started.md");
}

#[test]
fn the_examples_of_the_language_have_no_fault_and_show_every_field() {
    let text = check("docs/rules.md").concat();
    let table = read("docs/rules.md");
    // The rows of the table of fields: those with four columns, and the fields in the first.
    let rows = table
        .lines()
        .filter(|line| line.matches(" | ").count() == 3);
    let fields: Vec<_> = rows
        .skip_while(|row| !row.starts_with("| field"))
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert_eq!(fields.len(), 22, "{fields:?}");
    for field in fields {
        let is_set = |line: &str| {
            line.split('=')
                .next()
                .is_some_and(|key| key.trim() == field)
        };
        assert!(text.lines().any(is_set), "`{field}` has no example");
    }
}

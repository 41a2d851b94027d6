//! List files, and lines on the standard input of `ban`: whatever they hold, they are read or refused without a
//! panic; what is reported can be printed; and what is read as addresses means the same in a list, in a rule and in
//! its one form.

#![no_main]

use std::{num::NonZeroUsize, sync::Arc};

use libfuzzer_sys::fuzz_target;
use rules::{
    diagnostics::{Source, render},
    field::{AddressSet, address},
    language::lists::{self, ListOptions},
    text::is_hidden,
};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let options = ListOptions {
        column: NonZeroUsize::new(usize::from(choice & 7)),
        skips_bad_lines: choice & 8 != 0,
        may_be_empty: choice & 16 != 0,
    };
    let source = Arc::new(Source::new("list", data));
    let diagnostics = match lists::parse_with(&source, options) {
        Ok(list) => {
            assert!(options.may_be_empty || list.set != AddressSet::default());
            list.warnings
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            errors
        }
    };
    for diagnostic in &diagnostics {
        let shown = render(diagnostic);
        assert!(!shown.contains(|c| is_hidden(c) && !matches!(c, '\n' | '\t')));
        assert!(shown.len() < 1 << 14);
    }
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(read) = address::read(line) {
            let found = lists::line(line).map(|found| found.map(|found| found.addresses));
            assert_eq!(found, Ok(Some(read)));
        }
        match lists::line(line) {
            Ok(Some(found)) => {
                let range = found.addresses.range;
                let form = range.to_string();
                let again = address::read(form.as_bytes()).map(|again| again.range);
                assert_eq!(again, Ok(range), "{form}");
                // The prefixes of a ban are the range, in order and without gaps.
                let prefixes: Vec<_> = range.prefixes().collect();
                assert!(!prefixes.is_empty() && prefixes.len() <= 254);
                assert!(prefixes.is_sorted());
            }
            Ok(None) => {}
            Err(error) => assert!(!error.about(line).contains(is_hidden)),
        }
    }
});

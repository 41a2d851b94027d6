//! Lines on the standard input of `ban`: whatever they hold, they are read or refused without a panic, and what is read
//! is the same in its one form.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for line in text.split('\n') {
        firewall::fuzzing::ban_line(line);
    }
});

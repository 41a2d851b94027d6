//! Lines on the control socket: whatever they hold, they are a request, which is the same when it is written again, or
//! are refused with an answer that can be read.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| firewall::fuzzing::request(line));

//! The notation for packets: what each word becomes, what a foreign dissector says of the frames,
//! and what is told of mistakes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

mod dissector;
mod documentation;
mod faults;
mod fields;
mod random;

//! The `firewall` command.

fn main() {}
